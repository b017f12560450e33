"""Whole pages as a browser opens them: by their address, with a session's cookie, through the gate's script."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.text_format import MessageToString
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Dataframe, Node
from streamlit.util import calc_hash

from database import sign_in
from database.pool import Database
from ui.gate import COOKIE

SCRIPT = Path(__file__).resolve().parents[2] / "ui" / "navigation.py"


@dataclass(slots=True)
class Browser:
    """What a browser keeps: its cookies, which Streamlit has from the websocket's handshake."""

    cookies: dict[str, str] = field(default_factory=dict)

    def use(self, token: str | None) -> None:
        """Come with this session from now on, or with none."""
        self.cookies.clear()
        if token is not None:
            self.cookies[COOKIE] = token

    def opens(self, path: str = "", **query: object) -> AppTest:
        """Open an address and return the page that is drawn, after its last run."""
        page = AppTest.from_file(str(SCRIPT), default_timeout=60)
        # What AppTest.switch_page sets, which needs a first run of another page.
        page._page_hash = calc_hash(path)
        for name, value in query.items():
            page.query_params[name] = str(value)
        return page.run()


def new_browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    """Return a browser whose cookies the pages see; AppTest has no handshake of its own."""
    browser = Browser()
    monkeypatch.setattr(ContextProxy, "cookies", property(lambda _context: browser.cookies))
    return browser


def open_session(database: Database, user_id: int, agent: str = "") -> str:
    """Return the token of a new session of an account."""
    with database.transaction() as transaction:
        return sign_in.open_session(transaction, user_id, agent=agent, now=datetime.now(UTC))


def everything(page: AppTest) -> str:
    """Return all that was sent to the browser: words, tables, figures, options, what is folded away."""
    assert not page.exception, page.exception[0]
    return "\n".join(_sent(page._tree)).replace("\\\\", "").replace("\\", "")


def _sent(node: Node) -> Iterator[str]:
    if isinstance(node, Dataframe):
        yield node.value.to_csv()
    elif getattr(node, "proto", None) is not None:
        yield MessageToString(node.proto, as_utf8=True)
    if isinstance(node, Block):
        for child in node.children.values():
            yield from _sent(child)
