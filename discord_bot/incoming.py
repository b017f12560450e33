"""A message in a channel: a command, a signal for those who registered the channel, or nothing to us."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import discord

from core.signal import Action
from database import channel_messages, channel_reading, signal_channels
from database.channel_messages import MessageState, SeenMessage
from database.pool import Row
from database.signal_channels import SignalChannel
from discord_bot import prefix
from discord_bot.api import Answer, NotTaken
from discord_bot.lease import AWAY
from log import about_signal
from signals import discord_text
from signals.discord_text import NoSignal, RefusedSignal, TextSignal

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

REMEMBERED = 2000
AGAIN_SECONDS = 0.5
# An old entry does harm, an old close seldom: what holds a position waits for the server for as long
CLOSE_SECONDS = 3600
READ_TYPES = (discord.MessageType.default, discord.MessageType.reply)
MISSED = (
    "This came while DashTrade was not connected, so nothing was traded: an old signal is never made up for."
)
LATE = (
    "This reached DashTrade {} s after it was posted; the channel takes signals for {} s. Nothing was traded."
)
NO_ANSWER = "The webhook server did not take it in time ({}). Nothing was traded."
STOPPED_OVER_IT = "DashTrade was stopped before this was sent, and now it is too old. Nothing was traded."
NOT_NAMED = (
    "The webhook server did not answer for this registration. Look at the Discord page of the dashboard."
)

logger = logging.getLogger("discord_bot")


class Incoming:
    """Take messages in, one after the other in each channel.

    A message is a row before it is sent, and is sent only while the row says so: seen twice, or by two
    processes, it is sent as one, and the server tells copies by its id. What is heard live waits until what
    was missed before it has its rows: whoever comes next looks for what is newer than the newest row.
    """

    def __init__(self, client: "DiscordBot") -> None:
        self._client = client
        self._desk = client.desk
        self._last: dict[int, asyncio.Task[None]] = {}
        self._hears_live = asyncio.Event()
        self.seen: OrderedDict[int, None] = OrderedDict()

    async def take(self, message: discord.Message, *, is_missed: bool) -> None:
        """Do with a message what is to be done; `is_missed` says that nobody listened when it was posted."""
        if not self._may_concern_us(message):
            return
        self._remember(message.id)
        if prefix.is_command(message.content):
            if not is_missed:
                await prefix.answer(self._client, message)
            return
        if not is_missed:
            await self._hears_live.wait()
        await self._in_turn(message.channel.id, lambda: self._read_surely(message, is_missed=is_missed))

    def hold_live(self) -> None:
        """Let what is heard from now on wait."""
        self._hears_live.clear()

    def hear_live(self) -> None:
        """Take in what has waited, and what is heard from now on at once."""
        self._hears_live.set()

    async def take_up(self) -> None:
        """Send on what was being sent when a process died, unless it is too old by now."""
        for row in await self._desk.ask(channel_messages.unsent):
            await self._in_turn(row["channel_id"], partial(self._take_up, row))

    async def _in_turn(self, channel_id: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something after all that came before it in its channel, until the client closes."""
        before = self._last.get(channel_id)
        self._last[channel_id] = self._client.carry_on(_after(before, work))
        await self._last[channel_id]

    def _may_concern_us(self, message: discord.Message) -> bool:
        me = self._client.user
        return (
            message.guild is not None
            and (me is None or message.author.id != me.id)
            and message.type in READ_TYPES
            and bool(message.content.strip())
        )

    def _remember(self, message_id: int) -> None:
        self.seen[message_id] = None
        while len(self.seen) > REMEMBERED:
            self.seen.popitem(last=False)

    async def _read_surely(self, message: discord.Message, *, is_missed: bool) -> None:
        """Read a message again for as long as the database is away: one that is passed over is lost."""
        while True:
            try:
                await self._read(message, is_missed=is_missed)
                return
            except AWAY as error:
                logger.warning("message %s waits for the database", message.id, exc_info=error)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self, message: discord.Message, *, is_missed: bool) -> None:
        channels = await self._desk.ask(signal_channels.of_discord_channel, message.channel.id)
        active = [each for each in channels if each.is_active]
        reading = discord_text.read(message.content) if active else None
        if reading is None or isinstance(reading, NoSignal):
            return
        roles = await self._roles(message, active)
        taking = [each for each in active if each.takes_author(message.author.id, roles)]
        if not taking:
            return
        match reading:
            case TextSignal() if is_missed:
                await self._note_unsent(taking, message, MessageState.BACKLOG, MISSED)
            case TextSignal():
                await self._send_in_time(taking, message, reading, roles)
            case RefusedSignal() if not is_missed:
                await self._note_unsent(taking, message, MessageState.REFUSED, reading.sentence)

    async def _roles(self, message: discord.Message, channels: Sequence[SignalChannel]) -> list[int]:
        """Return the author's roles; of a message that was read back Discord does not tell them."""
        if isinstance(message.author, discord.Member) or not any(each.role_ids for each in channels):
            return roles_of(message)
        return await self._roles_now(message.channel.id, message.author.id)

    async def _send_in_time(
        self,
        channels: Sequence[SignalChannel],
        message: discord.Message,
        signal: TextSignal,
        roles: Sequence[int],
    ) -> None:
        age = (discord.utils.utcnow() - message.created_at).total_seconds()
        limits = {each.id: oldest(each, signal) for each in channels}
        for channel in channels:
            if age >= limits[channel.id]:
                words = LATE.format(round(age), limits[channel.id])
                await self._note_unsent([channel], message, MessageState.LATE, words)
        timely = [each for each in channels if age < limits[each.id]]
        if not timely:
            return
        ids = [channel.id for channel in timely]
        now = discord.utils.utcnow()
        to_send = await self._desk.ask(channel_messages.note_sending, ids, seen_of(message), now)
        if to_send:
            self._client.telling.mark(message.channel.id, message.id)
            longest = max(limits[each.id] for each in timely)
            fields = fields_for(signal, message.channel.id, seen_of(message), roles)
            await self._send(to_send, message.id, fields, message.created_at + timedelta(seconds=longest))

    async def _send(
        self, registrations: Sequence[int], message_id: int, fields: Mapping[str, Any], until: datetime
    ) -> None:
        """Send until each registration has its answer; wait only until the server took it in for some.

        So one user's broker that does not answer holds up nobody's later messages.
        """
        answers = self._client.api.answers(fields, until)
        left = await self._hear(answers, set(registrations), message_id, all_of_them=False)
        if left:
            self._client.carry_on(self._hear_rest(answers, left, message_id))

    async def _hear_rest(self, answers: AsyncIterator[Answer], pending: set[int], message_id: int) -> None:
        await self._hear(answers, pending, message_id, all_of_them=True)

    async def _hear(
        self, answers: AsyncIterator[Answer], pending: set[int], message_id: int, *, all_of_them: bool
    ) -> set[int]:
        """Note the answers until none is missing, or the server took it in for some; return what is missing."""
        words = NOT_NAMED
        try:
            async for answer in answers:
                pending = pending - await self._note_answers(pending, message_id, answer)
                if not pending or (not all_of_them and answer.is_passing and "signals" in answer.body):
                    return pending
        except NotTaken as fault:
            logger.error("message %s was not taken: %s", message_id, fault)
            words = NO_ANSWER.format(fault)
        await self._give_up(pending, message_id, words)
        return set()

    async def _note_answers(self, pending: set[int], message_id: int, answer: Answer) -> set[int]:
        said = {one: outcome for one in pending if (outcome := answer_for(one, answer)) is not None}
        for registration, (state, sentence, uuid) in said.items():
            await self._desk.ask(
                channel_messages.note_answer, registration, message_id, state, sentence, uuid
            )
            with about_signal(uuid):
                logger.info("message %s is %s for registration %s", message_id, state, registration)
        return set(said)

    async def _give_up(self, registrations: Collection[int], message_id: int, words: str) -> None:
        """Note that there was no answer, unless the signal was stored all the same."""
        for registration in registrations:
            uuid = await self._desk.ask(channel_reading.stored_signal, registration, message_id)
            state, sentence = (MessageState.FAILED, words) if uuid is None else (MessageState.STORED, None)
            await self._desk.ask(
                channel_messages.note_answer, registration, message_id, state, sentence, uuid
            )

    async def _take_up(self, row: Row) -> None:
        registration = row["signal_channel_id"]
        channel = await self._desk.ask(signal_channels.find, registration)
        signal = discord_text.read(row["text"])
        until = row["posted_at"]
        if channel is not None and isinstance(signal, TextSignal):
            until += timedelta(seconds=oldest(channel, signal))
        if discord.utils.utcnow() >= until or not isinstance(signal, TextSignal):
            await self._give_up([registration], row["message_id"], STOPPED_OVER_IT)
            return
        seen = SeenMessage(**{name: row[name] for name in SeenMessage.__dataclass_fields__})
        roles = await self._roles_now(row["channel_id"], row["author_id"])
        fields = fields_for(signal, row["channel_id"], seen, roles)
        await self._send([registration], row["message_id"], fields, until)

    async def _roles_now(self, channel_id: int, author_id: int) -> list[int]:
        channel = self._client.get_channel(channel_id)
        if isinstance(channel, discord.abc.GuildChannel | discord.Thread):
            # A webhook is no member
            with suppress(discord.HTTPException):
                return [role.id for role in (await channel.guild.fetch_member(author_id)).roles]
        return []

    async def _note_unsent(
        self, channels: Sequence[SignalChannel], message: discord.Message, state: MessageState, words: str
    ) -> None:
        ids = [channel.id for channel in channels]
        now = discord.utils.utcnow()
        await self._desk.ask(channel_messages.note_not_sent, ids, seen_of(message), state, words, now)


async def _after(before: asyncio.Task[None] | None, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if before is not None:
        await asyncio.wait({before})
    await work()


def oldest(channel: SignalChannel, signal: TextSignal) -> int:
    """Return how many seconds old a signal may be sent on for a registration."""
    limit = channel.max_signal_age_seconds
    return max(limit, CLOSE_SECONDS) if signal.action is Action.CLOSE else limit


def roles_of(message: discord.Message) -> list[int]:
    """Return the roles of a message's author in its server; none for a webhook."""
    return [role.id for role in getattr(message.author, "roles", ())]


def seen_of(message: discord.Message) -> SeenMessage:
    """Return a message as it is kept."""
    return SeenMessage(
        message_id=message.id,
        author_id=message.author.id,
        author=str(message.author),
        text=message.content,
        posted_at=message.created_at,
    )


def fields_for(
    signal: TextSignal, channel_id: int, message: SeenMessage, roles: Sequence[int]
) -> dict[str, Any]:
    """Return what the API is told: what the signal says, and where and whom it came from."""
    return {
        **discord_text.fields_of(signal),
        "source": signal_channels.SOURCE,
        "channel": str(channel_id),
        "author": str(message.author_id),
        "author_roles": [str(role) for role in roles],
        "message_id": str(message.message_id),
        "format": signal.format,
        "posted_at": message.posted_at.isoformat(),
    }


Outcome = tuple[MessageState, str | None, UUID | None]


def answer_for(registration: int, answer: Answer) -> Outcome | None:
    """Return what the server's answer means for a registration; None where it is to be asked again."""
    named = answer.body.get("signals")
    for said in named or ():
        if said.get("channel_registration") == registration:
            return _outcome(said)
    if answer.is_passing:
        return None
    return MessageState.REFUSED, answer.sentence if named is None else NOT_NAMED, None


def _outcome(said: Mapping[str, Any]) -> Outcome | None:
    if said.get("status") == "not_stored":
        return None
    uuid = UUID(said["signal_id"]) if said.get("signal_id") else None
    if uuid is not None and said.get("status") in ("accepted", "duplicate"):
        return MessageState.STORED, None, uuid
    return MessageState.REFUSED, str(said.get("message") or said.get("code")), uuid
