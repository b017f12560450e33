"""Hear every press of a signal's buttons, whichever process of the bot sent them."""

import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import discord

from discord_bot import reversal_answers
from discord_bot.answering import guarded
from discord_bot.reversal_buttons import PATTERN, Press, button

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

Act = Callable[["discord.Interaction[DiscordBot]", int], Coroutine[Any, Any, None]]

ACTS: dict[Press, Act] = {
    Press.OPEN: reversal_answers.open_form,
    Press.IGNORE: reversal_answers.ignore,
    Press.DETAILS: reversal_answers.details,
    Press.CORRECT: reversal_answers.correct,
}


class SignalButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=PATTERN):
    """One button of one signal, as it is made anew for each press."""

    def __init__(self, press: Press, notification_id: int) -> None:
        super().__init__(button(press, notification_id))
        self._press = press
        self._notification_id = notification_id

    @classmethod
    async def from_custom_id(
        cls, _interaction: "discord.Interaction[Any]", _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> "SignalButton":
        """Return the button that was pressed."""
        return cls(Press(match["press"]), int(match["number"]))

    async def callback(self, interaction: "discord.Interaction[Any]") -> None:
        """Do what the button says."""
        act = ACTS[self._press](interaction, self._notification_id)
        await guarded(interaction, f"button {self._press} of signal {self._notification_id}", act)
