"""The buttons below a signal; each carries the signal's number, so that they outlive the bot's process.

What is shown is plain and forgotten at once; `SignalButton` in `reversal_presses` hears every press.
"""

from enum import StrEnum
from typing import Any

import discord


class Press(StrEnum):
    """What a button does; CORRECT stands below a form that was refused, and opens it again."""

    OPEN = "open"
    IGNORE = "ignore"
    DETAILS = "details"
    CORRECT = "correct"


LOOKS = {
    Press.OPEN: ("Open Trade", "✅", discord.ButtonStyle.success),
    Press.IGNORE: ("Ignore", "🚫", discord.ButtonStyle.secondary),
    Press.DETAILS: ("Details", "📊", discord.ButtonStyle.primary),
    Press.CORRECT: ("Correct it", "✏️", discord.ButtonStyle.primary),
}
PATTERN = rf"signal:(?P<press>{'|'.join(Press)}):(?P<number>[0-9]{{1,19}})"


def button(press: Press, notification_id: int, *, disabled: bool = False) -> discord.ui.Button[Any]:
    """Return one button of one signal."""
    label, emoji, style = LOOKS[press]
    custom_id = f"signal:{press}:{notification_id}"
    return discord.ui.Button(label=label, emoji=emoji, style=style, custom_id=custom_id, disabled=disabled)


def below_signal(notification_id: int, *, answered: bool) -> discord.ui.View:
    """Return the buttons of a signal; once it is answered only its details can be asked for."""
    return _view(
        button(Press.OPEN, notification_id, disabled=answered),
        button(Press.IGNORE, notification_id, disabled=answered),
        button(Press.DETAILS, notification_id),
    )


def below_refusal(notification_id: int) -> discord.ui.View:
    """Return the button that opens a refused form again."""
    return _view(button(Press.CORRECT, notification_id))


def _view(*buttons: discord.ui.Button[Any]) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    for each in buttons:
        view.add_item(each)
    # discord.py would keep every view that was ever sent, to hear its presses itself
    view.stop()
    return view
