"""The page Trade journal: one trade that the address names, or its tabs, of which the open one alone is run."""

from database.accounts import User
from ui import tabs
from ui.calm import calm, tell_what_was_done
from ui.journal_pages import history, open_trades, panel

TABS = {"Open trades": open_trades.draw, "History": history.draw}


def draw(user: User) -> None:
    """Draw the tabs, or one trade in full."""
    tell_what_was_done()
    number = panel.named()
    if number is not None:
        with calm():
            panel.draw(user, number)
        return
    tabs.open_named(TABS, {})
    tabs.draw(user, TABS)
