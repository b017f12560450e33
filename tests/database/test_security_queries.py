"""Every function over the database that takes a user: to another user the owner's things are like none at all."""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from pydantic import SecretStr

from core.instrument import AssetClass, Instrument
from database import embedded, tokens
from database.accounts import AccountError, Role
from database.history import TradeFilter
from database.notifications import NotificationKind
from database.pool import Database, Transaction
from database.signal_list import SignalFilter
from encryption import Vault, new_key
from tests.conftest import TEMPLATE, _database_for_one_test
from tests.database.test_isolation import FOLLOWED, OTHER, OWNER, floor_of
from tests.database.whole_pages import open_session

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.now(UTC)
# Whatever may be said of a thing that is not there, or not the user's.
REFUSALS = (ValueError, LookupError, psycopg2.Error, AccountError)
NOBODYS, NOBODYS_UUID = 987_654_321, UUID(int=1)
# Parameters that name a thing, by the table the owner's is taken from; where a name means several, by module.
THINGS = {
    "bot_id": "user_bot_configs", "bot_ids": "user_bot_configs", "connection_id": "user_api_keys",
    "trade_id": "user_trades", "notification_id": "notifications", "token_id": "user_webhook_tokens",
    "session": "user_sessions", "session_id": "user_sessions", "registration": "signal_channels",
    "only": "signal_channels", "watched_bot_id": "watched_bots", "original": "signals", "demo.after": "notifications",
    "lane_id": "lanes", "event_id": "watched_events", "trade_ids": "bot_trades", "signal_id": "signals.uuid",
    "channel_id": "signal_channels", "position_details.trade_ids": "bot_trades",
    "watched_list.bot_id": "watched_bots", "watched_reading.bot_id": "watched_bots",
    "reversal_reading.signal_id": "signal_notifications",
    "tracked_trades.notification_id": "signal_notifications", "demo.channel_id": "alert_channels",
    "signal_channels.create.channel_id": "signal_channels.channel_id", "trade_fills.trade_id": "user_trades",
}  # fmt: skip
COLUMNS = {"name": "taken", "position_size": 1, "max_position_size": 9, "leverage": 1, "max_leverage": 1}
PLAIN: Mapping[str, Any] = {
    "now": NOW, "at": NOW, "since": NOW - timedelta(days=9), "until": NOW, "by": timedelta(days=1),
    "day": date(2026, 11, 21), "password": "another long password", "name": "taken", "label": "taken",
    "text": "", "zone": "UTC", "role": Role.USER, "active": False, "transport": "DISCORD", "address": "https://x",
    "shown": "x", "wishes": {}, "changes": {}, "currency": "USD", "code": "000000", "secret": "A" * 32,
    "sentence": "taken", "kind": "STOP", "actor": "test", "action": "test", "subject": "test", "agent": "test",
    "broker": "paper", "mode": "paper", "timeframe": "1 Hour", "position_size": Decimal(1), "prefix": "taken/",
    "source": "tradingview", "hashed": b"x", "dashboard": None, "discord_user_id": 77, "discord_username": "x",
    "request_key": "test", "limit": 50, "wanted": TradeFilter(), "state": None, "signals": 1, "because": "x",
    "defaults": {}, "token": "nobody's", "columns": {"notes": "taken"},
    "instrument": Instrument(symbol="TSLA", asset_class=AssetClass.STOCK),
    "signal_list.wanted": SignalFilter(), "notifications.kind": NotificationKind.BOT_FILLED,
    "signal_channels.columns": COLUMNS, "trade_fills.columns": {"bot_config_id": None},
    "history.kind": None, "watched_reading.kind": None, "bots": 5,
}  # fmt: skip
# What is changed where a function takes columns by their names.
CHANGES = {
    "bots.edit_bot": {"name": "taken"}, "connections.edit_connection": {"label": "taken"},
    "notifications.notify": {"sentence": "taken"},
}  # fmt: skip
# What makes something new of the caller's own, which is different each time.
NEW = {
    "accounts.allow_reset", "bots.create_connection", "notifications.notify", "replays.replay_connection",
    "sign_in.open_session", "watched_list.add",
}  # fmt: skip
# Told whose things these are by who has made sure: a session by its token, a lane's run, the operator's command.
TOLD = {"discord_accounts.store_state", "risk.note_event", "demo.begin", "demo.note_deliveries"}
# Asked by what serves users, over tables of users, and yet without a user.
NO_USER = {
    "who comes in, by a secret or an address": (
        "accounts.user_by_email", "accounts.sign_up", "accounts.invite", "accounts.reset_password",
        "accounts.is_link_alive", "accounts.there_is_an_account", "sign_in.sign_in", "sign_in.sign_in_with_code",
        "sign_in.user_of_session", "sign_in.living_sessions", "sign_in.end_session", "sign_in.session_id",
        "tokens.find_token", "discord_accounts.take_state", "discord_accounts.redeem_code",
        "discord_accounts.user_of_discord",
    ),
    "admins alone, asked in the action": (
        "accounts.accounts_page", "accounts.lock_admins", "audit.page", "alert_reading.operators_standing",
    ),
    "figures of the whole server, without a name or an amount": (
        "alert_channels.sending_figures", "inbox.waiting", "standing.read", "watched_list.is_taken",
    ),
    "of a bot, connection, channel, trade or signal that was found and locked by its owner before": (
        "bot_list.is_closing_by_hand", "bots.store_credentials", "bots.note_connection", "bots.note_warning",
        "bots.bot_row", "bots.trading_states", "connections.held_at", "connections.has_open_orders",
        "connections.remove_connection", "replays.bot_for_replays", "risk.ask_exit", "signal_channels.switch",
        "signal_channels.archive", "signal_channels.bots_of", "tracked_trades.note_answer",
        "tracked_trades.create", "trade_fills.bot_for", "trade_fills.is_undecided", "inbox.bots_open_to",
        "inbox.outcome_of", "reports.owner_of_signal",
    ),
    "the Discord bot, which serves every user: what goes to whom is by channel, message or notification": (
        "channel_messages.unsent", "channel_messages.unanswered", "channel_messages.backlog_from",
        "channel_messages.outcome", "channel_reading.rows_of_message", "channel_reading.stored_signal",
        "channel_reading.counts", "channel_reading.connection_states", "notification_sending.users_due",
        "notification_sending.note_sent", "notification_sending.note_seen", "notification_sending.notification",
        "signal_channels.watched_channel_ids", "signal_channels.of_discord_channel",
        "signal_notifications.sent_before",
    ),
}  # fmt: skip
SERVING_USERS = ("ui", "pages", "actions", "webhook", "discord_bot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """An owner with everything and another user with as much."""

    database: Database
    vault: Vault
    owner: int
    other: int
    tables: dict[str, bool]

    def thing(self, transaction: Transaction, place: str) -> Any:
        """Return the id of one of the owner's, by its table or table.column."""
        table, _, column = place.partition(".")
        of = f"WHERE user_id = {self.owner}" if self.tables[table] else ""
        value = transaction.value(f"SELECT {column or 'id'} FROM {table} {of} ORDER BY id LIMIT 1")
        assert value is not None, place
        return value

    def owners(self, transaction: Transaction) -> dict[str, str]:
        """Return what all of the owner's rows come to, by table."""
        one = (
            "SELECT '{0}' AS name, md5(string_agg(t::text, ',' ORDER BY t::text)) AS said"
            " FROM {0} AS t WHERE user_id = %(owner)s"
        )
        every = " UNION ALL ".join(one.format(table) for table, is_owned in self.tables.items() if is_owned)
        return {row["name"]: row["said"] for row in transaction.all(every, {"owner": self.owner})}


@pytest.fixture(scope="module")
def town(server: embedded.Server) -> Iterator[Town]:
    for url in _database_for_one_test(server, TEMPLATE):
        with closing(Database(url)) as database:
            vault = Vault(SecretStr(new_key()))
            owner = floor_of(database, OWNER, "NFLX", "Owners").user_id
            other = floor_of(database, OTHER, "MSFT", "Others").user_id
            for user_id, name in ((owner, "Owners"), (other, "Others")):
                open_session(database, user_id, agent=f"{name}-browser")
                with database.transaction() as transaction:
                    tokens.create_token(transaction, vault, user_id, name=f"{name}-token")
            with database.transaction() as transaction:
                rows = transaction.all(
                    "SELECT table_name, bool_or(column_name = 'user_id') AS owned FROM information_schema.columns"
                    " WHERE table_schema = 'public' AND table_name !~ '^_?yoyo' GROUP BY 1"
                )
            tables = {row["table_name"]: row["owned"] for row in rows}
            yield Town(database=database, vault=vault, owner=owner, other=other, tables=tables)


@pytest.fixture(scope="module")
def before(town: Town) -> dict[str, str]:
    with town.database.transaction() as transaction:
        return town.owners(transaction)


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Give every public function of database/, by `module.name`."""
    for path in sorted((ROOT / "database").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield f"{path.stem}.{node.name}", node


def of_a_user() -> list[str]:
    return [name for name, node in functions() if "user_id" in _parameters(node)]


def _parameters(node: ast.FunctionDef) -> set[str]:
    return {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}


def found(name: str) -> Callable[..., Any]:
    module, function = name.split(".")
    call: Callable[..., Any] = getattr(importlib.import_module(f"database.{module}"), function)
    return call


def given(table: Mapping[str, Any], function: str, parameter: str) -> Any:
    """Return what a table says of a parameter: of this function, of its module, or of every one."""
    names = (f"{function}.{parameter}", f"{function.split('.')[0]}.{parameter}", parameter)
    return next((table[each] for each in names if each in table), None)


def arguments(town: Town, transaction: Transaction, name: str, *, owners: bool) -> dict[str, Any]:
    """Return what the other user calls a function with: things of the owner, or of nobody."""
    made: dict[str, Any] = dict(CHANGES.get(name, {}))
    caller = {"transaction": transaction, "vault": town.vault, "user_id": town.other}
    for parameter in inspect.signature(found(name)).parameters.values():
        place, plain = (given(table, name, parameter.name) for table in (THINGS, PLAIN))
        if parameter.name in caller:
            made[parameter.name] = caller[parameter.name]
        elif place is not None:
            one = town.thing(transaction, place) if owners else NOBODYS_UUID if "uuid" in place else NOBODYS
            made[parameter.name] = [one] if parameter.name.endswith("ids") else one
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            assert plain is not None or parameter.name in ("state", "dashboard", "kind"), (name, parameter)
            made[parameter.name] = plain
    return made


class _Undone(Exception):
    """Take back what a call did."""


def outcome(town: Town, name: str, *, owners: bool) -> tuple[object, dict[str, str]]:
    """Call a function as the other user; return what came of it and what the owner's rows are then."""
    result: object = None
    rows: dict[str, str] = {}
    try:
        with town.database.transaction() as transaction:
            called = found(name)(**arguments(town, transaction, name, owners=owners))
            result = list(called) if inspect.isgenerator(called) else called
            rows = town.owners(transaction)
            raise _Undone
    except _Undone:
        return result, rows
    except REFUSALS as refusal:
        return type(refusal), {}


@pytest.mark.parametrize("name", sorted(set(of_a_user()) - TOLD))
def test_to_another_user_the_owners_things_are_like_none(
    town: Town, before: dict[str, str], name: str
) -> None:
    theirs, after = outcome(town, name, owners=True)
    assert [mark for mark in ("Owners", OWNER, FOLLOWED) if mark in repr(theirs)] == []
    assert after in ({}, before)
    nobodys, _ = outcome(town, name, owners=False)
    assert theirs == nobodys or name in NEW


def test_the_owner_has_things_to_be_seen(town: Town, before: dict[str, str]) -> None:
    empty = {table for table, said in before.items() if said is None}
    assert empty == {"daily_summaries", "link_codes", "user_alert_settings", "user_invites"}
    seen = 0
    for name in of_a_user():
        mine = outcome(replace(town, other=town.owner), name, owners=True)[0]
        seen += any(mark in repr(mine) for mark in ("Owners", OWNER, FOLLOWED))
    assert seen >= 30


def test_what_serves_users_asks_for_a_user_or_says_why_not(town: Town) -> None:
    """A query over users' rows without a user is on the list, each with the reason for it."""
    tables = {table for table, is_owned in town.tables.items() if is_owned} | {"users"}
    asked = set(asked_for())
    without = {
        name
        for name, node in functions()
        if name in asked and not _parameters(node) & {"user_id", "users", "user", "owner", "user_ids"}
        if touched(name) & tables
    }
    listed = [name for names in NO_USER.values() for name in names]
    assert without == set(listed)
    assert len(listed) == len(set(listed))


def asked_for() -> Iterator[str]:
    """Give what the rooms that serve users take from database/, by `module.name`."""
    for path in (each for room in SERVING_USERS for each in ROOT.glob(f"{room}/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}"
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("database."):
                yield from (f"{node.module.partition('.')[2]}.{name.name}" for name in node.names)


@cache
def parsed(module: str) -> list[ast.stmt]:
    return ast.parse((ROOT / "database" / f"{module}.py").read_text()).body


def touched(name: str) -> set[str]:
    """Return the tables that a function's SQL names, with that of the functions of its file it calls."""
    module, function = name.split(".")
    body = parsed(module)
    parts = {each.name: each for each in body if isinstance(each, ast.FunctionDef)} | {
        target.id: each
        for each in body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    words, waiting, done = [], [function], set()
    while waiting:
        part = waiting.pop()
        done.add(part)
        for node in ast.walk(parts[part]):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.append(node.value)
            elif isinstance(node, ast.Name) and node.id in parts and node.id not in done:
                waiting.append(node.id)
    return set(re.findall(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)", "\n".join(words)))
