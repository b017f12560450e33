"""A user at the dashboard's pages without a browser: the pages' own services on a test's database."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from actions.acting import Acting
from database import accounts
from database.accounts import User
from encryption import new_key
from ui.services import Services, services

SCRIPT = Path(__file__).resolve().parents[1] / "page_script.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """The services as the pages have them, and one user."""

    services: Services
    user: User

    @property
    def acting(self) -> Acting:
        return Acting(owner=self.user.id, actor=self.user.email)

    def another_user(self, email: str = "eve@example.org") -> Acting:
        """Return somebody else who acts."""
        with self.services.database.transaction() as transaction:
            user = accounts.create_user(transaction, email, "correct horse battery")
        return Acting(owner=user.id, actor=email)

    def draw(self, part: Callable[[User], None]) -> AppTest:
        """Draw a part of a page for the user, to its end."""
        page = AppTest.from_file(str(SCRIPT), default_timeout=20)
        page.session_state["part"] = (part.__module__, part.__name__)
        page.session_state["user"] = self.user
        return page.run()


def open_office(url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Point the pages at a migrated database that has no user yet, and make one."""
    with_database(url, monkeypatch)
    with services().database.transaction() as transaction:
        user = accounts.create_user(transaction, "ann@example.org", "correct horse battery")
    return Office(services=services(), user=user)


def with_database(url: str, monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """Give the pages another database and other settings from now on."""
    for name, value in {"DATABASE_URL": url, "ENCRYPTION_KEY": new_key(), **settings}.items():
        monkeypatch.setenv(name, value)
    services.cache_clear()
