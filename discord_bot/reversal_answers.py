"""What the buttons of a signal and its form do: open, ignore, explain, for the one it was sent to alone.

A form must be Discord's first answer, so the database is asked before it, but only for `SOON_SECONDS`;
everything else is acknowledged first.
"""

import logging
from datetime import datetime
from typing import TYPE_CHECKING

import aiohttp
import discord

from actions import tracked_trades
from actions.refused import Refused
from database import notification_sending
from database.pool import Row, Transaction
from discord_bot import reversal_buttons, reversal_embed, trade_form
from discord_bot.answering import guarded, say
from discord_bot.reversal_details import embed_of_details, report_of

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

SOON_SECONDS = 1.5
NOT_YOURS = "This signal was sent to somebody else: only they can answer it."
GONE = "This signal is no longer known here."
IGNORED = "You ignored this signal already."
OPENED = "You opened trade #{} from this signal already."
EXPIRED = "This signal expired {}: its prices are not those of now."
ACTOR = "discord button"

logger = logging.getLogger("discord_bot")


class Answered(Refused):
    """Say that a signal was answered before; its message is to show it too."""


async def open_form(interaction: "discord.Interaction[DiscordBot]", notification_id: int) -> None:
    """Show the form, filled in from the signal."""
    row = await _answerable_soon(interaction, notification_id)
    if row is not None:
        await interaction.response.send_modal(trade_form.form(row, trade_form.first_values(row)))
        await _note_seen(interaction, row)


async def correct(interaction: "discord.Interaction[DiscordBot]", notification_id: int) -> None:
    """Show the form again, with what was typed before it was refused."""
    row = await _answerable_soon(interaction, notification_id)
    if row is not None:
        values = {**trade_form.first_values(row), **trade_form.kept(interaction.message)}
        await interaction.response.send_modal(trade_form.form(row, values))


async def ignore(interaction: "discord.Interaction[DiscordBot]", notification_id: int) -> None:
    """Answer the signal with no, and show that in its message."""
    await interaction.response.defer()
    desk, now = interaction.client.desk, discord.utils.utcnow()
    row = await desk.ask(_own, notification_id, interaction.user.id)
    try:
        _check_answerable(row, now)
        await desk.act(tracked_trades.ignore, row["user_id"], notification_id, now)
    except Refused as refused:
        await say(interaction, f"❌ {refused.sentence}")
    await _show_answer(interaction, notification_id)


async def details(interaction: "discord.Interaction[DiscordBot]", notification_id: int) -> None:
    """Show privately what is behind a signal, with the honest record of its model."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    desk = interaction.client.desk
    row = await desk.ask(_own, notification_id, interaction.user.id)
    report = await desk.ask(report_of, row)
    await interaction.followup.send(embed=embed_of_details(row, report), ephemeral=True)
    await _note_seen(interaction, row)


async def take_form(interaction: "discord.Interaction[DiscordBot]") -> None:
    """Open the trade of a form that was sent in; other interactions are not this one's."""
    notification_id = trade_form.number_of_form(interaction)
    if notification_id is not None:
        await guarded(interaction, "form", _take(interaction, notification_id))


async def _take(interaction: "discord.Interaction[DiscordBot]", notification_id: int) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    desk, now = interaction.client.desk, discord.utils.utcnow()
    row = await desk.ask(_own, notification_id, interaction.user.id)
    values = trade_form.typed(interaction)
    try:
        asked = trade_form.request(row, values)
        opened = await desk.act(tracked_trades.open_trade, desk.settings, row["user_id"], ACTOR, asked, now)
    except Refused as refused:
        await _refuse(interaction, notification_id, refused, values)
        return
    await interaction.followup.send(trade_form.confirmation(asked, opened), ephemeral=True)
    await _show_answer(interaction, notification_id)


async def _refuse(
    interaction: "discord.Interaction[DiscordBot]",
    notification_id: int,
    refused: Refused,
    values: dict[str, str],
) -> None:
    """Say why no trade was opened; where a field is wrong, with the way back to what was typed."""
    if refused.field is None:
        await say(interaction, f"❌ {refused.sentence}")
        await _show_answer(interaction, notification_id)
        return
    await interaction.followup.send(
        embed=trade_form.refusal(refused, values),
        view=reversal_buttons.below_refusal(notification_id),
        ephemeral=True,
    )


async def _answerable_soon(
    interaction: "discord.Interaction[DiscordBot]", notification_id: int
) -> Row | None:
    """Return a signal that can be answered, or say why not, within Discord's 3 seconds either way."""
    asked = interaction.client.desk.ask(_own, notification_id, interaction.user.id)
    row = await interaction.client.desk.soon(asked, SOON_SECONDS)
    try:
        _check_answerable(row, discord.utils.utcnow())
    except Answered as answered:
        await say(interaction, f"❌ {answered.sentence}")
        await _show_answer(interaction, notification_id)
        return None
    return row


def _own(transaction: Transaction, notification_id: int, discord_user_id: int) -> Row:
    """Return a signal that was sent to the account of this Discord user; raise `Refused`."""
    row = notification_sending.notification(transaction, notification_id)
    if row is None:
        raise Refused(GONE)
    if row["discord_user_id"] != discord_user_id:
        raise Refused(NOT_YOURS)
    return row


def _check_answerable(row: Row, now: datetime) -> None:
    if row["acknowledged"]:
        raise Answered(OPENED.format(row["trade_id"]) if row["trade_id"] else IGNORED)
    if row["expires_at"] <= now:
        raise Refused(EXPIRED.format(reversal_embed.moment(row["expires_at"], "R")))


async def _note_seen(interaction: "discord.Interaction[DiscordBot]", row: Row) -> None:
    """Book a message that arrived as sent, where its sender died before it could."""
    message = interaction.message
    if row["sent_at"] is None and message is not None and not message.flags.ephemeral:
        now = discord.utils.utcnow()
        desk = interaction.client.desk
        await desk.ask(notification_sending.note_seen, row["id"], message.channel.id, message.id, now)


async def _show_answer(interaction: "discord.Interaction[DiscordBot]", notification_id: int) -> None:
    """Show in the signal's own message what was decided, and take its buttons out of use."""
    row = await interaction.client.desk.ask(_own, notification_id, interaction.user.id)
    await _note_seen(interaction, row)
    place = _place(interaction, row)
    if row["acknowledged"] and place is not None:
        channel = interaction.client.get_partial_messageable(place[0])
        view = reversal_buttons.below_signal(row["id"], answered=True)
        try:
            await channel.get_partial_message(place[1]).edit(embed=reversal_embed.embed(row), view=view)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            # The answer stands without it, and nobody is to think that it failed
            logger.warning("the message of signal %s cannot show its answer: %s", notification_id, error)


def _place(interaction: "discord.Interaction[DiscordBot]", row: Row) -> tuple[int, int] | None:
    """Return channel and number of a signal's message, where they are known."""
    if row["discord_message_id"] is not None:
        return row["discord_channel_id"], row["discord_message_id"]
    message = interaction.message
    if message is None or message.flags.ephemeral:
        return None
    return message.channel.id, message.id
