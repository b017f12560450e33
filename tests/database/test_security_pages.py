"""What strangers wrote is markup on no page, and the walks over the pages take in all of them."""

import ast
import importlib
import re
from collections.abc import Iterator
from contextlib import closing
from operator import attrgetter
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from pydantic import SecretStr
from streamlit.source_util import page_icon_and_name
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Node

from database import embedded, tokens
from database.accounts import create_user
from database.pool import Database
from encryption import Vault, new_key
from tests.conftest import TEMPLATE, _database_for_one_test
from tests.database.office import with_database
from tests.database.test_isolation import ADDRESSES, floor_of
from tests.database.test_page_states import PLACES
from tests.database.whole_pages import new_browser, open_session
from ui.services import services

ROOT = Path(__file__).resolve().parents[2]
# An e-mail address may begin like this, too: the admin's page shows it.
MARK = "`[x](https://evil.example/)<b>:red[y]"
MARKUP = re.compile(r"\[x\]\(|<b>|:red\[y")
CODE = re.compile(r"(?<!\\)`[^`]*`")
# What Streamlit shows letter by letter, whatever stands there.
LITERAL = {"Code.code_text", "Text.body", "Selectbox.options", "TextInput.default", "PlotlyChart.spec"}
# In an address beside what the walks name: a tab, a link's tab, and where Discord sends a browser back.
NOT_THINGS = {"tab", "open", "linked"}


@pytest.fixture(scope="module")
def marked(server: embedded.Server) -> Iterator[dict[tuple[str, str], AppTest]]:
    """Draw every address for a user whose things all bear markup as their names; the admin's for an admin."""
    with pytest.MonkeyPatch.context() as patch:
        for url in _database_for_one_test(server, TEMPLATE):
            key = new_key()
            with closing(Database(url)) as database:
                sessions, ids = furnished(database, key)
            patch.setenv("TZ", "UTC")
            with_database(url, patch, ENCRYPTION_KEY=key)
            browser, pages = new_browser(patch), {}
            for path, query in [*ADDRESSES, *made_up()]:
                browser.use(sessions["admin" if path == "admin" else "owner"])
                pages[path, query] = browser.opens(path, **dict(parts(query.format(**ids))))
            yield pages
            services().database.close()
            services.cache_clear()


def made_up() -> set[tuple[str, str]]:
    """Return an address for each thing that one can name, with markup in place of its id."""
    named = {(path, name) for path, query in ADDRESSES for name, value in parts(query) if "{" in value}
    return {(path, f"{name}={MARK}") for path, name in named}


def furnished(database: Database, key: str) -> tuple[dict[str, str], dict[str, object]]:
    """Make an admin and a user who has everything; return their sessions and the ids of the user's things."""
    with database.transaction() as transaction:
        admin = create_user(transaction, "admin@example.org", "correct horse battery")
    owner = floor_of(database, f"{MARK}@example.org", "NFLX", f"Owners{MARK}")
    with database.transaction() as transaction:
        tokens.create_token(transaction, Vault(SecretStr(key)), owner.user_id, name=MARK)
    tables = {"reversal": "signal_notifications WHERE failed_at IS NOT NULL", "trade": "user_trades",
              "watched": "watched_bots", "bot": "user_bot_configs", "channel": "signal_channels"}  # fmt: skip
    ids = {name: owner.one(f"SELECT id FROM {table} LIMIT 1")["id"] for name, table in tables.items()}
    sessions = {
        "admin": open_session(database, admin.id),
        "owner": open_session(database, owner.user_id, agent=MARK),
    }
    return sessions, {**ids, "signal": owner.one("SELECT uuid FROM signals LIMIT 1")["uuid"]}


def parts(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part)]


def texts(message: Message, place: str) -> Iterator[tuple[str, str]]:
    """Give every text that is sent to the browser, with where in the message it stands."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            for text in [value] if isinstance(value, str) else value:
                yield f"{place}.{field.name}", text
        elif field.type == FieldDescriptor.TYPE_MESSAGE and not field.message_type.GetOptions().map_entry:
            for one in [value] if isinstance(value, Message) else value:
                yield from texts(one, f"{place}.{field.name}")


def sent(node: Node) -> Iterator[tuple[str, str]]:
    if isinstance(proto := getattr(node, "proto", None), Message):
        yield from texts(proto, type(proto).__name__)
    if isinstance(node, Block):
        for child in node.children.values():
            yield from sent(child)


def test_what_strangers_wrote_is_markup_nowhere(marked: dict[tuple[str, str], AppTest]) -> None:
    shown = set()
    for address, page in marked.items():
        assert not page.exception, (address, page.exception[0])
        for place, text in sent(page._tree):
            if "evil" in text:
                shown.add(place)
                assert place in LITERAL or not MARKUP.search(CODE.sub("", text)), (address, place, text)
                assert place != "PlotlyChart.spec" or "\\u003cb\\u003e" not in text, address
    assert {"Markdown.body", "Alert.body", "ButtonGroup.options.content", "PlotlyChart.spec"} <= shown
    admins = [
        text for address, page in marked.items() if address[0] == "admin" for _, text in sent(page._tree)
    ]
    assert any("evil" in text for text in admins)


def test_the_walks_take_in_every_page_and_tab(marked: dict[tuple[str, str], AppTest]) -> None:
    tabs = {address: [tab.label for tab in page.get("tab")] for address, page in marked.items()}
    drawn = {(path, label) for (path, _), labels in tabs.items() for label in labels}
    first = {path: labels[0] for (path, _), labels in tabs.items() if labels}
    walks = {
        "isolation": {(path, dict(parts(query)).get("tab")) for path, query in ADDRESSES},
        "states": {(place.path, dict(place.query).get("tab")) for place in PLACES.values()},
    }
    files = {page_icon_and_name(file)[1] for file in (ROOT / "pages").glob("*.py")}
    for name, walked in walks.items():
        assert {path or "overview" for path, _ in walked} == files, name
        assert {(path, tab or first.get(path)) for path, tab in walked} >= drawn, name
    assert len(drawn) >= 30


def test_the_walks_name_every_thing_that_an_address_can_name() -> None:
    named = {name for _, query in ADDRESSES for name, _ in parts(query)}
    assert set(names_in_addresses()) - NOT_THINGS == named - NOT_THINGS


def names_in_addresses() -> Iterator[str]:
    """Give every name that a page looks for in its address."""
    for path in sorted(ROOT.glob("ui/*/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            key = key_of(node)
            if key is not None:
                module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
                yield key.value if isinstance(key, ast.Constant) else attrgetter(ast.unparse(key))(module)


def key_of(node: ast.AST) -> ast.expr | None:
    """Return what is looked up, where a node looks something up in `st.query_params`."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="query_params"), slice=key):
            return key
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="query_params")), args=[key, *_]):
            return key
        case ast.Compare(left=key, comparators=[ast.Attribute(attr="query_params")]):
            return key
    return None
