"""Bring signals and trade updates from their rows to the people they are for, each user apart from the others.

A message is claimed before it is sent and sent under a nonce of its own, so that Discord tells copies. It goes
to the channel that the user chose, else to their direct messages; where Discord takes neither, it goes to
DISCORD_CHANNEL_ID with a mention, and else its row says why it was not sent. A chosen channel that refuses is
switched off until its user names it, or another, again.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import psycopg2

from alerts.discord_answers import seconds
from alerts.neutral import shortened
from database import discord_accounts, notification_sending
from database.notification_sending import Parcel, Recipient
from discord_bot import reversal_buttons, reversal_embed, trade_words
from log import about_signal

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

AT_ONCE = 4
IN_A_TURN = 20
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 600.0
GIVE_UP_AFTER = timedelta(hours=24)
SEEN_FOR = timedelta(minutes=10)
LONGEST_WORDS = 400
# Discord's: messages opened too fast; none to this user, no server in common, no such recipient
OPENING_TOO_FAST = 40003
NOT_IN_PRIVATE = frozenset({50007, 50278, 50033})
NOT_LINKED = "No Discord account is linked."
CLOSED = "The account is closed."
SWITCHED_OFF = "Notifications were switched off."
ELSEWHERE = "It was sent elsewhere: {}"
NOT_SEEN = "the bot does not see channel {}"
NOT_THERE = "the linked Discord account cannot see channel {}"

logger = logging.getLogger("discord_bot")


class NotThere(Exception):
    """Say why a place takes nothing for a user; another one may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a message can go: a channel, or direct messages (None); `is_shared` where nobody chose it."""

    channel_id: int | None
    is_shared: bool = False


class Sending:
    """Send what is due; one task for each user, so that nobody waits for another's refusal."""

    def __init__(self, client: "DiscordBot") -> None:
        self._client = client
        self._desk = client.desk
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._seen: dict[tuple[int, int], datetime] = {}

    async def send_some(self) -> None:
        """Begin to send to users for whom something is due."""
        free = AT_ONCE - len(self._busy)
        if free <= 0 or not self._client.is_ready():
            return
        now = discord.utils.utcnow()
        for user_id in await self._desk.ask(notification_sending.users_due, now, list(self._busy), free):
            task = self._client.carry_on(self._serve(user_id))
            self._busy[user_id] = task
            task.add_done_callback(lambda _, done=user_id: self._busy.pop(done, None))  # type: ignore[misc]

    async def _serve(self, user_id: int) -> None:
        for _ in range(IN_A_TURN):
            now = discord.utils.utcnow()
            parcel = await self._desk.ask(notification_sending.next_parcel, user_id, now)
            if parcel is None:
                return
            with about_signal(*parcel.signal_ids):
                await self._send_surely(parcel)

    async def _send_surely(self, parcel: Parcel) -> None:
        try:
            await self._send(parcel)
        except psycopg2.Error:
            raise
        except Exception as error:
            logger.exception("%s failed here", parcel.nonce)
            await self._try_later(parcel, error)

    async def _send(self, parcel: Parcel) -> None:
        why = _unsendable(parcel)
        if why is not None:
            await self._fail(parcel, why)
            return
        reasons = []
        for place in self._places(parcel.recipient):
            try:
                message = await self._send_to(place, parcel)
            except (discord.HTTPException, NotThere) as error:
                if _is_passing(error):
                    await self._try_later(parcel, error)
                    return
                reasons.append(_words(error))
                await self._switch_off(place, parcel.recipient, error)
                if not _lets_others_try(error):
                    break
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                await self._try_later(parcel, error)
                return
            else:
                now = discord.utils.utcnow()
                elsewhere = ELSEWHERE.format("; ".join(reasons)) if reasons else None
                await self._desk.ask(
                    notification_sending.note_sent, parcel, message.channel.id, message.id, now, elsewhere
                )
                return
        await self._fail(parcel, "; ".join(reasons))

    async def _switch_off(self, place: Place, recipient: Recipient, error: Exception) -> None:
        """Leave the channel that a user chose alone, where it refused; the dashboard says so."""
        if place.channel_id is None or place.is_shared or not _is_refusal(error):
            return
        logger.warning("channel %s of user %s is switched off", place.channel_id, recipient.user_id)
        now = discord.utils.utcnow()
        await self._desk.ask(
            discord_accounts.switch_channel_off, recipient.user_id, place.channel_id, _words(error), now
        )

    def _places(self, recipient: Recipient) -> list[Place]:
        chosen = [Place(channel_id=recipient.channel_id)] if recipient.channel_id else []
        own = self._desk.settings.discord_channel_id
        last = [Place(channel_id=own, is_shared=True)] if own and own != recipient.channel_id else []
        return [*chosen, Place(channel_id=None), *last]

    async def _send_to(self, place: Place, parcel: Parcel) -> discord.Message:
        discord_id = parcel.recipient.discord_id or 0
        whom = discord.Object(discord_id)
        content, more = _content(parcel, in_private=not place.is_shared)
        if place.channel_id is None:
            channel = await self._client.create_dm(whom)
            return await channel.send(content, nonce=parcel.nonce, **more)
        if not place.is_shared:
            await self._check_seen(place.channel_id, discord_id)
        room = self._client.get_partial_messageable(place.channel_id)
        mentions = discord.AllowedMentions(everyone=False, roles=False, users=[whom])
        text = f"<@{discord_id}> {content}"
        return await room.send(text, nonce=parcel.nonce, allowed_mentions=mentions, **more)

    async def _check_seen(self, channel_id: int, discord_id: int) -> None:
        """Raise `NotThere` unless the user may read the channel: anybody's number can be typed in."""
        now = discord.utils.utcnow()
        until = self._seen.get((channel_id, discord_id))
        if until is not None and until > now:
            return
        channel = await self._channel(channel_id)
        try:
            member = await channel.guild.fetch_member(discord_id)
        except discord.NotFound:
            raise NotThere(NOT_THERE.format(channel_id)) from None
        if not channel.permissions_for(member).view_channel:
            raise NotThere(NOT_THERE.format(channel_id))
        self._seen = {key: until for key, until in self._seen.items() if until > now}
        self._seen[channel_id, discord_id] = now + SEEN_FOR

    async def _channel(self, channel_id: int) -> discord.abc.GuildChannel | discord.Thread:
        """Return a server's channel; what is not known here Discord is asked for, since a server may be away."""
        found = self._client.get_channel(channel_id)
        if found is None:
            with suppress(discord.Forbidden, discord.NotFound, discord.InvalidData):
                found = await self._client.fetch_channel(channel_id)
        if not isinstance(found, discord.abc.GuildChannel | discord.Thread):
            raise NotThere(NOT_SEEN.format(channel_id))
        return found

    async def _try_later(self, parcel: Parcel, error: Exception) -> None:
        now = discord.utils.utcnow()
        if parcel.signal is None and now - parcel.created_at > GIVE_UP_AFTER:
            await self._fail(parcel, f"Discord could not be reached for a day: {_words(error)}")
            return
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (parcel.attempts - 1), LONGEST_PAUSE_SECONDS)
        at = now + timedelta(seconds=max(pause, _retry_after(error)))
        logger.warning("%s is sent later, at %s: %s", parcel.nonce, at.isoformat(), _words(error))
        await self._desk.ask(notification_sending.note_later, parcel, _words(error), at)

    async def _fail(self, parcel: Parcel, words: str) -> None:
        logger.warning("%s cannot be sent to user %s: %s", parcel.nonce, parcel.recipient.user_id, words)
        await self._desk.ask(notification_sending.note_failed, parcel, words, discord.utils.utcnow())


def _content(parcel: Parcel, *, in_private: bool) -> tuple[str, dict[str, Any]]:
    row = parcel.signal
    if row is None:
        return trade_words.updates(parcel.updates, in_private=in_private), {}
    view = reversal_buttons.below_signal(row["id"], answered=False)
    return reversal_embed.title(row), {"embed": reversal_embed.embed(row), "view": view}


def _unsendable(parcel: Parcel) -> str | None:
    recipient, is_signal = parcel.recipient, parcel.signal is not None
    reasons = (
        (not recipient.is_active, CLOSED),
        (recipient.discord_id is None, NOT_LINKED),
        # What becomes of a trade is told all the same
        (is_signal and not recipient.wants_notifications, SWITCHED_OFF),
    )
    return next((words for holds, words in reasons if holds), None)


def _is_passing(error: Exception) -> bool:
    """Tell what may be otherwise in a while, also where something on the way answered instead of Discord."""
    if not isinstance(error, discord.HTTPException):
        return False
    is_page = error.code == 0 and error.text.lstrip().startswith("<")
    return error.status in (408, 429) or error.status >= 500 or is_page or error.code == OPENING_TOO_FAST


def _lets_others_try(error: Exception) -> bool:
    """Tell a place that takes nothing from a message that no place takes."""
    return _is_refusal(error) or (isinstance(error, discord.HTTPException) and error.code in NOT_IN_PRIVATE)


def _is_refusal(error: Exception) -> bool:
    """Tell that a place takes nothing any more. A 401 is about the bot's token, and so about every place."""
    return not isinstance(error, discord.HTTPException) or error.status in (403, 404)


def _retry_after(error: Exception) -> float:
    if not isinstance(error, discord.HTTPException):
        return 0.0
    try:
        return seconds(error.response.headers.get("Retry-After", "0")) or 0.0
    except ValueError:
        return 0.0


def _words(error: Exception) -> str:
    if isinstance(error, discord.HTTPException):
        said = " ".join(error.text.split()) if not error.text.lstrip().startswith("<") else ""
        code = f" (code {error.code})" if error.code else ""
        return shortened(f"Discord answered {error.status}{code}: {said}".rstrip(": "), LONGEST_WORDS)
    return shortened(str(error) or type(error).__name__, LONGEST_WORDS)
