"""The commands of trades that are followed: `/trades`, `/history` and `/stop`; each shows the caller's own alone."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from actions.refused import Refused
from actions.tracked_trades import close_trade
from database import discord_accounts, tracked_trades
from database.pool import Row, Transaction
from database.tracked_trades import TradeFilters
from discord_bot import trade_cards
from discord_bot.answering import guarded
from discord_bot.reversal_settings import NOT_LINKED
from discord_bot.trade_form import number_typed

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

OPEN_AT_ONCE = 10
CLOSED_AT_ONCE = 6
NEWEST = 0
ACTOR = "discord /stop"
CLOSED = TradeFilters(status="closed", with_archived=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One page of trades that ended; `older` is where the next begins, None at the end."""

    rows: list[Row]
    older: int | None


@app_commands.command(
    description="Your open trades: what each is worth, and how far it is to stop and target"
)
async def trades(interaction: "discord.Interaction[DiscordBot]") -> None:
    """Show the caller's open trades."""
    await guarded(interaction, "/trades", _trades(interaction))


@app_commands.command(description="Your closed trades, newest first")
async def history(interaction: "discord.Interaction[DiscordBot]") -> None:
    """Show the caller's closed trades."""
    await guarded(interaction, "/history", _history(interaction))


@app_commands.command(description="Close one of your tracked trades by hand")
@app_commands.describe(
    trade_id="The trade's number, as /trades shows it",
    price="At which price you closed it, such as 1.0896; else the newest that is known",
)
async def stop(
    interaction: "discord.Interaction[DiscordBot]",
    trade_id: app_commands.Range[int, 1, 2**53 - 1],
    price: str | None = None,
) -> None:
    """Close one of the caller's trades and say at what price."""
    await guarded(interaction, "/stop", _stop(interaction, trade_id, price))


class PageButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"history:(?P<before>[0-9]{1,19})"):
    """Turn the page of a `/history`; NEWEST is the first page. It knows its place by its own name alone."""

    def __init__(self, before: int) -> None:
        super().__init__(_page_button(before))
        self._before = before

    @classmethod
    async def from_custom_id(
        cls, _interaction: "discord.Interaction[Any]", _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> "PageButton":
        """Return the button that was pressed."""
        return cls(int(match["before"]))

    async def callback(self, interaction: "discord.Interaction[Any]") -> None:
        """Show another page in place of this one."""
        await guarded(interaction, "older trades", _turn(interaction, self._before or None))


async def _trades(interaction: "discord.Interaction[DiscordBot]") -> None:
    user_id = await _caller(interaction)
    rows = await interaction.client.desk.ask(tracked_trades.open_of, user_id)
    embed = trade_cards.open_trades(rows[:OPEN_AT_ONCE], len(rows), discord.utils.utcnow())
    await interaction.followup.send(embed=embed, ephemeral=True)


async def _history(interaction: "discord.Interaction[DiscordBot]") -> None:
    user_id = await _caller(interaction)
    shelf = await interaction.client.desk.ask(_shelf, user_id, None)
    embed, view = trade_cards.closed_trades(shelf.rows, is_first=True), _pages(shelf, None)
    await interaction.followup.send(embed=embed, view=view, ephemeral=True)


async def _turn(interaction: "discord.Interaction[DiscordBot]", before: int | None) -> None:
    await interaction.response.defer()
    user_id = await _user(interaction)
    shelf = await interaction.client.desk.ask(_shelf, user_id, before)
    embed, view = trade_cards.closed_trades(shelf.rows, is_first=before is None), _pages(shelf, before)
    await interaction.edit_original_response(embed=embed, view=view)


async def _stop(interaction: "discord.Interaction[DiscordBot]", trade_id: int, price: str | None) -> None:
    user_id = await _caller(interaction)
    at = None if price is None else number_typed(price, "price")
    desk, now = interaction.client.desk, discord.utils.utcnow()
    closed = await desk.act(close_trade, user_id, ACTOR, trade_id, now, at)
    await interaction.followup.send(trade_cards.just_closed(closed), ephemeral=True)


async def _caller(interaction: "discord.Interaction[DiscordBot]") -> int:
    """Acknowledge, then return whose account the caller's is; raise `Refused` for nobody's."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    return await _user(interaction)


async def _user(interaction: "discord.Interaction[DiscordBot]") -> int:
    user_id = await interaction.client.desk.ask(discord_accounts.user_of_discord, interaction.user.id)
    if user_id is None:
        raise Refused(NOT_LINKED)
    return user_id


def _shelf(transaction: Transaction, user_id: int, before: int | None) -> Shelf:
    rows = tracked_trades.page(transaction, user_id, CLOSED, before, CLOSED_AT_ONCE + 1)
    shown = rows[:CLOSED_AT_ONCE]
    return Shelf(rows=shown, older=shown[-1]["id"] if len(rows) > CLOSED_AT_ONCE else None)


def _pages(shelf: Shelf, before: int | None) -> discord.ui.View:
    """Return the buttons to other pages, where there are any."""
    view = discord.ui.View(timeout=None)
    if before is not None:
        view.add_item(_page_button(NEWEST))
    if shelf.older is not None:
        view.add_item(_page_button(shelf.older))
    # What it says is heard by `PageButton`, so discord.py need not keep it
    view.stop()
    return view


def _page_button(before: int) -> discord.ui.Button[Any]:
    label = "Newest" if before == NEWEST else "Older"
    return discord.ui.Button(label=label, custom_id=f"history:{before}", style=discord.ButtonStyle.secondary)
