"""The slash commands; a new one is a function here and one more entry of `COMMANDS`.

Each defers first, within Discord's 3 seconds, and asks the database afterwards. All answers are private:
whether they show the caller's own data is known only then.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import discord
import psycopg2
from discord import app_commands

from database import discord_accounts, discord_figures, tracked_trades, watched_reading
from database.discord_accounts import Linking
from database.pool import Row, Transaction
from database.tracked_trades import TradeFilters
from discord_bot import cards, trade_cards
from discord_bot.answering import AWAY, FAULT, UNKNOWN_INTERACTION
from discord_bot.cards import Card
from discord_bot.reversal_settings import settings
from discord_bot.standing import Standing
from discord_bot.trade_commands import history, stop, trades

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

MOST_CHOICES = 25
LONGEST_NAME = 100
UNKNOWN_BOT = "You watch no bot of that name. Yours: {}."
OTHERS = "Also watched: {}. Choose with the option bot."
NOT_LINKED = (
    "Your Discord account is linked to no DashTrade account, so there is no trading of yours to show. The"
    " dashboard's Discord page gives you a code for /link."
)
LINKING = {
    Linking.LINKED: "✅ Linked: this Discord account belongs to the DashTrade account {} now.",
    Linking.WRONG: "❌ That code is wrong, used or older than 10 minutes. The dashboard's Discord page gives another.",
    Linking.TOO_MANY: "❌ Too many wrong codes. Wait 15 minutes, then take a new code from the dashboard.",
    Linking.TAKEN: "❌ This Discord account is linked to another DashTrade account. Unlink it there first.",
}

logger = logging.getLogger("discord_bot")


async def _own_bots(
    interaction: "discord.Interaction[DiscordBot]", typed: str
) -> list[app_commands.Choice[str]]:
    """Offer the caller's watched bots whose names hold what is typed."""
    bots = await _watched_by(interaction)
    fitting = [bot for bot in bots if typed.lower() in bot["name"].lower()]
    return [
        app_commands.Choice(name=bot["name"][:LONGEST_NAME], value=str(bot["id"]))
        for bot in fitting[:MOST_CHOICES]
    ]


@app_commands.command(description="Is the watched trading bot online, since when, and its last heartbeat")
@app_commands.describe(bot="Which of your watched bots; without it the first")
@app_commands.autocomplete(bot=_own_bots)
async def status(interaction: "discord.Interaction[DiscordBot]", bot: str | None = None) -> None:
    """Show whether a watched bot lives."""
    await _defer(interaction)
    desk, now = interaction.client.desk, discord.utils.utcnow()
    timeout = timedelta(seconds=desk.settings.heartbeat_timeout_seconds)
    listener = await desk.ask(watched_reading.listener)
    chosen = await _choose(interaction, bot, "Trading Bot Status")
    await _show(interaction, chosen, lambda row: cards.status(row, listener, timeout, now))


@app_commands.command(description="Balance, equity and P&L of the watched trading bot")
@app_commands.describe(bot="Which of your watched bots; without it the first")
@app_commands.autocomplete(bot=_own_bots)
async def balance(interaction: "discord.Interaction[DiscordBot]", bot: str | None = None) -> None:
    """Show what a watched bot said last of its account."""
    await _defer(interaction)
    now = discord.utils.utcnow()
    chosen = await _choose(interaction, bot, "Balance")
    await _show(interaction, chosen, lambda row: cards.balance(row, now))


@app_commands.command(description="Session statistics of the watched trading bot, and your own trading")
@app_commands.describe(bot="Which of your watched bots; without it the first")
@app_commands.autocomplete(bot=_own_bots)
async def stats(interaction: "discord.Interaction[DiscordBot]", bot: str | None = None) -> None:
    """Show a watched bot's statistics and the caller's own."""
    await _defer(interaction)
    now = discord.utils.utcnow()
    chosen = await _choose(interaction, bot, "Session Stats")
    own = await interaction.client.desk.ask(_own_trading, interaction.user.id)
    beside = (
        []
        if own is None
        else [cards.embed(cards.trading(own.bots, now)), trade_cards.statistics(own.tracked)]
    )
    words = NOT_LINKED if own is None else None
    await _show(interaction, chosen, lambda row: cards.session(row, now), beside, words)


@app_commands.command(description="Link your Discord account to your DashTrade account")
@app_commands.describe(code="The code that the dashboard's Discord page shows; it works once, for 10 minutes")
async def link(interaction: "discord.Interaction[DiscordBot]", code: app_commands.Range[str, 1, 40]) -> None:
    """Join the caller's Discord account to a DashTrade account by a one-time code."""
    await _defer(interaction)
    done = await interaction.client.desk.ask(
        discord_accounts.redeem_code,
        discord_accounts.code_hash(code),
        interaction.user.id,
        str(interaction.user),
        discord.utils.utcnow(),
    )
    words = LINKING[done.result].format(discord.utils.escape_markdown(done.email or ""))
    await interaction.followup.send(words, ephemeral=True)


COMMANDS: tuple[app_commands.Command[Any, ..., None], ...] = (
    *(status, balance, stats, link),
    *(settings, trades, history, stop),
)


async def register(tree: app_commands.CommandTree[Any], guild_id: int | None, standing: Standing) -> None:
    """Tell Discord the commands: of one server at once, else of all, which may take an hour."""
    guild = None if guild_id is None else discord.Object(guild_id)
    for command in COMMANDS:
        tree.add_command(command, guild=guild)
    try:
        await tree.sync(guild=guild)
        if guild is not None and await tree.fetch_commands():
            # Those of all servers, from before one was named, would be there twice
            await tree.sync()
        standing.commands_refused = False
    except discord.Forbidden as error:
        standing.commands_refused = True
        logger.warning("the commands are not let in: %s", error)


class Tree(app_commands.CommandTree[Any]):
    """The commands as Discord knows them; whatever fails is told to the one who asked."""

    async def on_error(
        self, interaction: discord.Interaction[Any], error: app_commands.AppCommandError, /
    ) -> None:
        """Log a failure, and say so where the interaction still takes an answer."""
        name = interaction.command.qualified_name if interaction.command else "?"
        cause = error.__cause__ or error
        if isinstance(cause, discord.NotFound) and cause.code == UNKNOWN_INTERACTION:
            logger.warning("/%s came too late to be answered: Discord waits 3 seconds", name)
            return
        logger.error("/%s failed", name, exc_info=cause)
        if not isinstance(cause, discord.HTTPException) and interaction.response.is_done():
            words = AWAY if isinstance(cause, psycopg2.OperationalError) else FAULT
            await interaction.followup.send(words, ephemeral=True)


async def _defer(interaction: "discord.Interaction[DiscordBot]") -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """Which bot is shown and what else could be, or the card that says why none is."""

    bot: Row
    card: Card | None = None
    others: tuple[str, ...] = ()


async def _choose(interaction: "discord.Interaction[DiscordBot]", wanted: str | None, title: str) -> _Choice:
    now = discord.utils.utcnow()
    bots = await _watched_by(interaction)
    if not bots:
        return _Choice(bot={}, card=cards.no_bot(title, now))
    if wanted is None:
        return _Choice(bot=bots[0], others=tuple(bot["name"] for bot in bots[1:]))
    found = [bot for bot in bots if wanted == str(bot["id"]) or wanted.lower() == bot["name"].lower()]
    if not found:
        names = ", ".join(bot["name"] for bot in bots)
        return _Choice(bot={}, card=cards.no_bot(title, now, UNKNOWN_BOT.format(names)))
    return _Choice(bot=found[0])


async def _show(
    interaction: "discord.Interaction[DiscordBot]",
    chosen: _Choice,
    draw: Callable[[Row], Card],
    beside: Sequence[discord.Embed] = (),
    words: str | None = None,
) -> None:
    card = draw(chosen.bot) if chosen.card is None else chosen.card
    said = [OTHERS.format(cards.listed(chosen.others))] if chosen.others else []
    said += [words] if words else []
    shown = [cards.embed(card), *beside]
    await interaction.followup.send("\n".join(said), embeds=shown, ephemeral=True)


async def _watched_by(interaction: "discord.Interaction[DiscordBot]") -> list[Row]:
    """Return the bots that the caller may see; one who is not linked none outside of a server of the bot's."""
    is_in_server = interaction.guild is not None
    return await interaction.client.desk.ask(_watched, interaction.user.id, is_in_server=is_in_server)


def _watched(transaction: Transaction, discord_user_id: int, *, is_in_server: bool) -> list[Row]:
    user_id = discord_accounts.user_of_discord(transaction, discord_user_id)
    if user_id is None and not is_in_server:
        return []
    return discord_figures.watched_bots(transaction, user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """The caller's trading: of their bots, and what they opened elsewhere and let DashTrade follow."""

    bots: dict[str, Any]
    tracked: Row


def _own_trading(transaction: Transaction, discord_user_id: int) -> _Own | None:
    user_id = discord_accounts.user_of_discord(transaction, discord_user_id)
    if user_id is None:
        return None
    return _Own(
        bots=discord_figures.own_trading(transaction, user_id),
        tracked=tracked_trades.statistics(transaction, user_id, TradeFilters(with_archived=True)),
    )
