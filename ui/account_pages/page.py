"""The page Settings: its tabs, of which the open one alone is run."""

from database.accounts import User
from ui import tabs
from ui.account_pages import profile, second_factor, sessions, switches
from ui.calm import tell_what_was_done

TABS = {
    "Kill switch": switches.draw,
    "Profile": profile.draw,
    "Sessions": sessions.draw,
    "Second factor": second_factor.draw,
}


def draw(user: User) -> None:
    """Draw the tabs; `?tab=Sessions` leads to one."""
    tell_what_was_done()
    tabs.draw(user, TABS)
