"""The page Reversal signals: one signal that the address names, or its tabs, of which the open one alone is run."""

from database.accounts import User
from ui import tabs
from ui.calm import calm, tell_what_was_done
from ui.reversal_pages import data, panel, record, scores, sent
from ui.reversal_pages.address import named

TABS = {
    "Signals": sent.draw,
    "Latest scores": scores.draw,
    "Track record": record.draw,
    "Market data": data.draw,
}


def draw(user: User) -> None:
    """Draw the tabs, or one signal in full."""
    tell_what_was_done()
    number = named()
    if number is not None:
        with calm():
            panel.draw(user, number)
        return
    tabs.open_named(TABS, {})
    tabs.draw(user, TABS)
