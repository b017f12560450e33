"""The gateway client: what Discord says is handed on to the parts of the bot."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import discord
from discord import app_commands
from discord.ext import tasks

from discord_bot import addresses, reversal_answers, slash
from discord_bot.answering import log_name
from discord_bot.api import Api
from discord_bot.backlog import Backlog
from discord_bot.changes import note_deletion, note_edit
from discord_bot.desk import Desk
from discord_bot.incoming import Incoming
from discord_bot.reversal_presses import SignalButton
from discord_bot.reversal_sending import Sending
from discord_bot.standing import Standing
from discord_bot.telling import Telling
from discord_bot.trade_commands import PageButton

TELL_SECONDS = 1.0
SEND_SECONDS = 1.0
STAND_SECONDS = 10.0
LOOK_FOR_INTENT_SECONDS = 60.0

# Its complaints about libraries for voice
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False

logger = logging.getLogger("discord_bot")


class DiscordBot(discord.Client):
    """One connection to Discord, for as long as this process is the bot.

    `was_ready` tells whether Discord ever let it in; `wants_anew` is set when it should come back with an
    intent that it lacked.
    """

    def __init__(self, desk: Desk, *, process: str = "", reads_messages: bool = True) -> None:
        super().__init__(
            intents=intents(reads_messages=reads_messages),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
        )
        self.desk = desk
        self.tree = slash.Tree(self)
        self.api = Api(desk.settings)
        self.standing = Standing(self)
        self.telling = Telling(self)
        self.sending = Sending(self)
        self.incoming = Incoming(self)
        self.backlog = Backlog(self, process)
        self.paces: dict[int, app_commands.Cooldown] = {}
        self.was_ready = self.is_catching_up = False
        self.wants_anew = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()

    async def setup_hook(self) -> None:
        """Tell Discord the commands, before the gateway is joined."""
        settings = self.desk.settings
        if settings.discord_base_url is not None:
            await addresses.use_its_gateway(self)
        self.add_dynamic_items(SignalButton, PageButton)
        await slash.register(self.tree, settings.discord_guild_id, self.standing)
        await self.backlog.look_when()
        self.api.open()
        for loop in (self.tell, self.send_signals, self.stand, self.look_for_intent):
            loop.start()

    async def close(self) -> None:
        """Leave Discord; what is under way is taken up from its rows by the next client."""
        for loop in (self.tell, self.send_signals, self.stand, self.look_for_intent):
            loop.cancel()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self.api.close()
        await super().close()

    def carry_on(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside, until it is done or the client closes."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a duty of the bot failed", exc_info=error)

    async def on_connect(self) -> None:
        """Hear what is said from now on."""
        self.is_catching_up = False

    async def on_resumed(self) -> None:
        """Hear what is said from now on; what was missed came before this."""
        self.is_catching_up = False
        self.incoming.hear_live()
        await self.standing.look()

    async def on_disconnect(self) -> None:
        """Take what comes until the next connection is whole as what was missed."""
        self.is_catching_up = True
        self.incoming.hold_live()
        # Leaving is no loss, and what ended it has been noted
        if not self.is_closed():
            await self.standing.note_away()

    async def on_ready(self) -> None:
        """Look for what came while nobody listened, for which what is heard live waits; say where we are."""
        self.was_ready = True
        self.carry_on(self.backlog.read(self.backlog.bounds()))
        logger.info("connected to Discord as %s, in %s servers", self.user, len(self.guilds))
        await self.standing.look()

    async def on_message(self, message: discord.Message) -> None:
        """Take a message in, in the order of its channel."""
        await self.incoming.take(message, is_missed=self.is_catching_up)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Note what was asked and by whom; take a form that was sent in. The rest finds its own way."""
        if interaction.type is not discord.InteractionType.autocomplete:
            logger.info("%s: %s", interaction.type.name, log_name(interaction))
        await reversal_answers.take_form(interaction)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Note an edit of a signal, which changes nothing."""
        await note_edit(self.desk, payload)

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Note that a signal was deleted, which changes nothing."""
        await note_deletion(self.desk, payload.message_id)

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Note which signals were deleted among others."""
        for message_id in sorted(payload.message_ids):
            await note_deletion(self.desk, message_id)

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        """Log what failed in an event, in our own form."""
        logger.exception("%s failed", event_method)

    @tasks.loop(seconds=TELL_SECONDS)
    async def tell(self) -> None:
        """Tell in the channels what became of their signals."""
        await self._guard(self.telling.tell_some())

    @tasks.loop(seconds=SEND_SECONDS)
    async def send_signals(self) -> None:
        """Send what the scan and the trades that are followed have for people."""
        await self._guard(self.sending.send_some())

    @tasks.loop(seconds=STAND_SECONDS)
    async def stand(self) -> None:
        """Note how the bot stands, and what it lacks."""
        if self.is_ready():
            await self._guard(self.standing.look())

    @tasks.loop(seconds=LOOK_FOR_INTENT_SECONDS)
    async def look_for_intent(self) -> None:
        """Come back as one that reads messages, once the developer portal allows it."""
        if not self.intents.message_content:
            await self._guard(self._look_for_intent())

    async def _look_for_intent(self) -> None:
        flags = (await self.application_info()).flags
        if flags.gateway_message_content or flags.gateway_message_content_limited:
            logger.info("the Message Content intent is switched on now")
            self.wants_anew.set()

    async def _guard(self, duty: Coroutine[Any, Any, None]) -> None:
        try:
            await duty
        except Exception:
            # A loop of discord.py ends at the first failure
            logger.exception("a duty of the bot failed, and is done again at its next turn")


def intents(*, reads_messages: bool) -> discord.Intents:
    """Return what is asked of the gateway; message contents need a switch in the developer portal."""
    asked = discord.Intents.none()
    asked.guilds = True
    asked.guild_messages = True
    asked.message_content = reads_messages
    return asked
