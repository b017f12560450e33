"""The page Discord & alerts: its tabs, of which the open one alone is run."""

from database.accounts import User
from ui import tabs
from ui.alert_pages import channels, choices, history
from ui.calm import tell_what_was_done
from ui.channel_pages import account, reversal_settings
from ui.channel_pages import page as signal_channels

TABS = {
    "Where to": channels.draw,
    "Which alerts": choices.draw,
    "History": history.draw,
    "Signal channels": signal_channels.draw,
    account.TAB: account.draw,
    reversal_settings.TAB: reversal_settings.draw,
}


def draw(user: User) -> None:
    """Draw the tabs; `?tab=History` leads to one."""
    account.tell_of_visit(user)
    tell_what_was_done()
    tabs.open_named(TABS, {"channel": "Signal channels"})
    tabs.draw(user, TABS)
