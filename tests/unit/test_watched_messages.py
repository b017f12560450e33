"""What messages of watched bots say: every dialect, and whatever else may come."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database.watched import BotState, WatchedBot
from watching.effects import after, alert_of, balance_of, stored
from watching.heartbeats import Attention, is_away
from watching.link import topmost
from watching.messages import KEPT_BYTES, TOPICS, Kind, understand
from watching.repeats import is_repeat

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TIMEOUT = timedelta(seconds=90)
BOT = WatchedBot(id=1, user_id=None, prefix="polyspike/", name="polyspike")


def read(below, payload, *, prefix="polyspike/", at=NOW, retained=False):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return understand(prefix + below, prefix, body, at, is_retained=retained)


def said(below, **fields):
    return stored(read(below, fields).understood)


def test_the_form_by_market_is_understood():
    assert said(
        "status/bot/started",
        session_id="20261121_120000",
        config={"initial_balance": 100.0, "spike_threshold": 0.03, "position_size": 5.0, "monitored_markets": 12},
    ) == {
        "session": "20261121_120000", "initial_balance": "100.0", "spike_threshold": "0.03",
        "position_size": "5.0", "monitored_markets": 12,
    }  # fmt: skip
    assert said(
        "status/bot/stopped",
        session_id="s", final_stats={"total_pnl": -3.25, "total_trades": 7, "win_rate": 0.57},
    ) == {"session": "s", "total_pnl": "-3.25", "total_trades": 7, "win_rate": "0.57"}  # fmt: skip
    assert said("status/bot/error", error_type="API", error_message="no answer", severity="CRITICAL") == {
        "error_type": "API", "message": "no answer", "severity": "critical",
    }  # fmt: skip
    assert said("status/bot/heartbeat", uptime_seconds=30.9, balance=99.5, open_positions=2, total_trades=4) == {
        "uptime_seconds": 30, "balance": "99.5", "open_positions": 2, "total_trades": 4,
    }  # fmt: skip
    assert said(
        "trading/position/opened",
        token_id="0xabcdef123456", market_name="Will it rain?", entry_price=0.45, position_size=5.0,
        reason="spike_up", spike_magnitude=0.04,
    ) == {
        "market": "0xabcdef123456", "name": "Will it rain?", "quantity": "5.0", "quantity_unit": "USD",
        "entry_price": "0.45", "reason": "spike_up", "spike_fraction": "0.04",
    }  # fmt: skip
    completed = said(
        "trading/trade/completed",
        trade_id="uuid", token_id="0xabcdef123456", market_name="Will it rain?", entry_price=0.45, exit_price=0.5,
        size=5.0, pnl=0.55, pnl_pct=0.111, duration_seconds=61.7, reason="take_profit",
    )  # fmt: skip
    assert (completed["trade_id"], completed["quantity"], completed["quantity_unit"]) == (
        "uuid",
        "5.0",
        "USD",
    )
    assert (completed["pnl_fraction"], completed["duration_seconds"]) == ("0.111", 61)
    assert completed["reason"] == "take_profit"
    closed = said("trading/position/closed", token_id="t", exit_reason="stop_loss", position_size=5, pnl=-1)
    assert (closed["reason"], closed["quantity"], closed["pnl"]) == ("stop_loss", "5", "-1")
    assert said("balance/update", available_balance=1, locked_in_positions=2, update_reason="trade") == {
        "available": "1", "locked": "2", "reason": "trade",
    }  # fmt: skip
    session = said("stats/session", duration_seconds=5.5, total_pnl_pct=0.1, avg_win=2, avg_loss=-1)
    assert session == {
        "duration_seconds": 5, "total_pnl_fraction": "0.1", "average_win": "2", "average_loss": "-1",
    }  # fmt: skip
    assert (
        said("market/spike_detected", token_id="t", spike_pct=-0.05, direction="down")["spike_fraction"]
        == "-0.05"
    )


def test_the_form_by_symbol_is_understood():
    opened = said("trading/position/opened", symbol="BTC/USD", side="long", entry_price=50000, size=0.01)
    assert opened == {
        "market": "BTC/USD", "name": "BTC/USD", "side": "long", "quantity": "0.01", "quantity_unit": "BTC",
        "entry_price": "50000",
    }  # fmt: skip
    assert said("status/bot/started", version="1.0.0", initial_balance=1000.0) == {
        "version": "1.0.0", "initial_balance": "1000.0",
    }  # fmt: skip


def test_the_form_of_test_scripts_is_understood():
    opened = said(
        "trading/position/opened", token_id="t", market_name="M", side="YES", amount=10, price=0.55, cost=5.5
    )
    assert (opened["quantity"], opened["quantity_unit"], opened["entry_price"]) == ("10", "shares", "0.55")
    completed = said(
        "trading/trade/completed", trade_id="x", token_id="t", pnl_percent=9.09, hold_time_seconds=300
    )
    assert (completed["pnl_fraction"], completed["duration_seconds"]) == ("0.0909", 300)
    assert said("status/bot/heartbeat", active_positions=1)["open_positions"] == 1


def test_topics_of_the_older_publisher_are_understood():
    assert read("status/bot/events/started", {}).kind is Kind.STARTED
    assert read("trading/positions/opened", {}).kind is Kind.POSITION_OPENED
    assert read("balance/current", {}).kind is Kind.BALANCE


def test_a_missing_market_name_becomes_the_shortened_token():
    assert said("trading/position/opened", token_id="1234567890")["name"] == "123456..."
    assert said("trading/position/opened", token_id="12345678")["name"] == "12345678"
    assert said("trading/position/opened")["name"] == "Unknown market"


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        (1234567890, datetime(2009, 2, 13, 23, 31, 30, tzinfo=UTC)),
        (1234567890.25, datetime(2009, 2, 13, 23, 31, 30, 250000, tzinfo=UTC)),
        ("1234567890", datetime(2009, 2, 13, 23, 31, 30, tzinfo=UTC)),
        (1234567890123, datetime(2009, 2, 13, 23, 31, 30, 123000, tzinfo=UTC)),
        (1763726400000000, datetime(2025, 11, 21, 12, 0, tzinfo=UTC)),
        ("2026-11-21T12:00:00Z", NOW),
        ("2026-11-21T13:00:00+01:00", NOW),
        ("2026-11-21T12:00:00", NOW),
        ("2026-11-21 12:00:00.000", NOW),
    ],
)
def test_times_are_read_in_every_form(stamp, moment):
    event = read("status/bot/heartbeat", {"timestamp": stamp})
    assert (event.sent_at, event.problem) == (moment, None)


@pytest.mark.parametrize(
    "stamp", [True, "soon", [], {}, -5, 1e18, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_time_that_cannot_be_read_is_named_and_the_rest_is_kept(stamp):
    event = read("status/bot/heartbeat", {"timestamp": stamp, "uptime_seconds": 5})
    if stamp != 1e18:
        assert event.sent_at is None
        assert "timestamp: " in event.problem
    assert (event.kind, event.understood) == (Kind.HEARTBEAT, {"uptime_seconds": 5})


def test_a_clock_more_than_a_minute_off_is_marked():
    stamps = {61: True, 59: False, -61: True, -59: False}
    for seconds, is_off in stamps.items():
        event = read("status/bot/heartbeat", {"timestamp": NOW.timestamp() + seconds})
        assert event.clock_is_off is is_off
    assert not read("status/bot/heartbeat", {}).clock_is_off


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"started", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"null", "null where an object is expected"),
        (b"[1, 2]", "a list where an object is expected"),
        (b"12", "the number 12 where an object is expected"),
        (b'"text"', '"text" where an object is expected'),
        (b"true", "true where an object is expected"),
        (b"NaN", "NaN where an object is expected"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_at_all_is_bad_and_says_why(payload, reason):
    event = read("status/bot/started", payload)
    assert event.kind is Kind.BAD
    assert reason in event.problem
    assert event.understood == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is not a number"),
        ("Infinity", "Infinity is not a number"),
        ("-Infinity", "-Infinity is not a number"),
        ("1e400", "too large"),
        ("1e999999999999999999999", "is not a number"),
        ("9" * 5000, "is not a number"),
        ("true", "true is not a number"),
        ('"much"', '"much" is not a number'),
        ('"NaN"', '"NaN" is not a number'),
        ("[1]", "a list is not a number"),
        ("{}", "an object is not a number"),
    ],
)
def test_a_field_that_cannot_be_read_is_dropped_and_named(text, reason):
    event = read("balance/update", f'{{"balance": {text}, "equity": 5}}'.encode())
    assert event.kind is Kind.BALANCE
    assert event.understood == {"equity": Decimal(5)}
    assert event.problem.startswith("balance: ")
    assert reason in event.problem
    assert alert_of(BOT, event) is not None


def test_null_counts_as_not_there():
    event = read("balance/update", {"balance": None, "equity": "5.50", "update_reason": None})
    assert (event.understood, event.problem) == ({"equity": Decimal("5.50")}, None)


def test_texts_can_be_kept_and_shown():
    body = rb'{"error_message": "a\u0000b\ud800c\u202ed", "error_type": 5, "severity": ["x"]}'
    event = read("status/bot/error", body)
    assert event.understood == {"message": "a�b�c�d", "error_type": "5"}
    assert event.problem == "severity: a list is not a text"
    long = read("status/bot/error", {"error_message": "x" * 1_000_000})
    assert len(long.understood["message"]) == 500
    assert (len(long.payload), long.payload_bytes) == (KEPT_BYTES, 1_000_021)


def test_figures_keep_their_digits_and_lose_their_exponent():
    assert said("balance/update", balance=0.1)["balance"] == "0.1"
    assert stored(read("balance/update", b'{"balance": 1E+5, "equity": 1e-7}').understood) == {
        "balance": "100000", "equity": "0.0000001",
    }  # fmt: skip


def test_another_topic_is_unknown_whatever_it_says():
    for payload in (b"hello", b"", b"\xff", b"{}", b"null"):
        event = read("test", payload)
        assert (event.kind, event.problem) == (Kind.UNKNOWN, None)


def test_the_prefix_is_the_one_that_is_given():
    assert read("status/bot/started", {}, prefix="my/own/").kind is Kind.STARTED
    elsewhere = understand("polyspike/status/bot/started", "my/own/", b"{}", NOW, is_retained=False)
    assert elsewhere.kind is Kind.UNKNOWN


def test_a_trade_is_known_by_its_id_and_anything_else_by_its_content():
    first = read("trading/trade/completed", {"trade_id": "a", "pnl": 1})
    again = read("trading/trade/completed", {"pnl": 1.0, "trade_id": "a"})
    assert first.is_unique
    assert first.identity == again.identity
    assert read("trading/trade/completed", {"trade_id": "b", "pnl": 1}).identity != first.identity
    opened = read("trading/position/opened", {"timestamp": NOW.timestamp()})
    assert opened.is_unique
    assert opened.identity != read("trading/position/closed", {"timestamp": NOW.timestamp()}).identity
    assert not read("trading/position/opened", {"timestamp": 1234567890}).is_unique
    assert not read("trading/position/opened", {}).is_unique


def test_only_a_heartbeat_that_comes_live_is_a_sign_of_life():
    assert read("status/bot/heartbeat", {}).is_sign_of_life
    assert read("status/bot/heartbeat", b"\xff").is_sign_of_life
    assert not read("status/bot/heartbeat", b"").is_sign_of_life
    assert not read("status/bot/heartbeat", {}, retained=True).is_sign_of_life
    assert not read("balance/update", {}).is_sign_of_life


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["timestamp", "trade_id", "token_id", "symbol", "market_name", "side", "size", "position_size", "amount", "pnl",
     "pnl_pct", "pnl_percent", "duration_seconds", "balance", "equity", "config", "final_stats", "severity",
     "error_message", "session_id", "monitored_markets", "spike_magnitude", "uptime_seconds", "reason"]
)  # fmt: skip


def check_whatever_it_is(topic, payload):
    event = understand("p/" + topic, "p/", payload, NOW, is_retained=False)
    kept = json.dumps(stored(event.understood), allow_nan=False)
    kept.encode()
    assert "\\u0000" not in kept
    assert "\\ud8" not in kept
    assert (event.kind is Kind.BAD) <= bool(event.problem)
    bot = after(BOT, event, TIMEOUT, is_new=True)
    json.dumps([bot.heartbeat, bot.balance, bot.session], allow_nan=False)
    alert_of(bot, event)
    balance_of(bot, event)


# Machines are slow and shared: how long one example takes says nothing
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PATIENT
@given(st.sampled_from([*TOPICS, "test"]), st.dictionaries(NAMES, ANY_JSON))
def test_any_object_is_understood(topic, payload):
    check_whatever_it_is(topic, json.dumps(payload).encode())


@PATIENT
@given(st.sampled_from([*TOPICS, "test"]), st.binary())
def test_any_bytes_are_understood(topic, payload):
    check_whatever_it_is(topic, payload)


def heard(below, payload=None, *, bot=BOT, at=NOW, retained=False, is_new=True):
    return after(bot, read(below, payload or {}, at=at, retained=retained), TIMEOUT, is_new=is_new)


def test_states_follow_what_comes_live():
    started = heard("status/bot/started")
    assert (started.state, started.started_at) == (BotState.ONLINE, NOW)
    alive = heard("status/bot/heartbeat")
    assert (alive.state, alive.last_heartbeat_at) == (BotState.ONLINE, NOW)
    assert heard("status/bot/stopped", bot=alive).state is BotState.STOPPED
    assert heard("status/bot/error", bot=alive).state is BotState.ONLINE
    assert heard("balance/update").state is BotState.UNKNOWN


def test_a_retained_heartbeat_is_no_sign_of_life():
    fresh = heard("status/bot/heartbeat", {"timestamp": NOW.timestamp() - 30}, retained=True)
    assert (fresh.state, fresh.last_heartbeat_at) == (BotState.ONLINE, NOW - timedelta(seconds=30))
    old = heard("status/bot/heartbeat", {"timestamp": NOW.timestamp() - 91}, retained=True)
    assert old.state is BotState.OFFLINE
    assert heard("status/bot/heartbeat", {"timestamp": 4e9}, retained=True).last_heartbeat_at is None
    later = NOW + timedelta(hours=1)
    known = heard("status/bot/heartbeat", {"timestamp": later.timestamp()}, bot=heard("status/bot/heartbeat"),
                  retained=True, at=later)  # fmt: skip
    assert known.last_heartbeat_at == NOW


def test_a_retained_message_never_replaces_a_newer_one():
    shown = heard("balance/update", {"timestamp": NOW.timestamp(), "balance": 2})
    older = heard(
        "balance/update", {"timestamp": NOW.timestamp() - 5, "balance": 1}, bot=shown, retained=True
    )
    assert older.balance["balance"] == "2"
    newer = heard(
        "balance/update", {"timestamp": NOW.timestamp() + 5, "balance": 3}, bot=shown, retained=True
    )
    assert newer.balance["balance"] == "3"


def test_a_balance_alerts_when_a_figure_changed():
    first = read("balance/update", {"balance": 10, "equity": 11})
    assert alert_of(BOT, first) is not None
    told = after(BOT, first, TIMEOUT, is_new=True)
    assert alert_of(told, read("balance/update", {"balance": 10.0, "update_reason": "periodic"})) is None
    assert alert_of(told, read("balance/update", {"balance": 10, "equity": 11.01})) is not None
    seen = after(told, read("stats/periodic", {"balance": 12}), TIMEOUT, is_new=True)
    assert seen.balance["balance"] == "12"
    assert alert_of(seen, read("balance/update", {"balance": 12})) is not None
    assert alert_of(told, read("balance/update", {"balance": 99}, retained=True)) is None


def test_silent_kinds_tell_nothing():
    for below in ("status/bot/heartbeat", "trading/position/closed", "stats/session", "stats/periodic", "test",
                  "market/spike_detected"):  # fmt: skip
        assert alert_of(BOT, read(below, {})) is None


ONLINE = WatchedBot(
    id=1,
    user_id=None,
    prefix="p/",
    name="p",
    state=BotState.ONLINE,
    last_heartbeat_at=NOW - timedelta(seconds=90),
)


def test_a_bot_is_away_after_the_timeout_and_not_before():
    long_ago = NOW - timedelta(days=1)
    assert not is_away(ONLINE, long_ago, TIMEOUT, NOW)
    assert is_away(ONLINE, long_ago, TIMEOUT, NOW + timedelta(microseconds=1))
    assert not is_away(ONLINE, long_ago, timedelta(seconds=91), NOW + timedelta(seconds=1))


def test_only_time_in_which_it_would_have_been_heard_counts():
    later = NOW + timedelta(hours=1)
    assert not is_away(ONLINE, later - timedelta(seconds=90), TIMEOUT, later)
    assert is_away(ONLINE, later - timedelta(seconds=91), TIMEOUT, later)


def test_a_bot_that_started_and_never_beat_counts_from_its_start():
    bot = WatchedBot(id=1, user_id=None, prefix="p/", name="p", state=BotState.ONLINE, started_at=NOW)
    assert not is_away(bot, NOW, TIMEOUT, NOW + TIMEOUT)
    assert is_away(bot, NOW, TIMEOUT, NOW + TIMEOUT * 2)


def test_a_clock_set_back_by_a_moment_takes_nobody_away():
    bot = replace(ONLINE, last_heartbeat_at=NOW + timedelta(milliseconds=300))
    long_ago = NOW - timedelta(days=1)
    assert not is_away(bot, long_ago, TIMEOUT, NOW)
    assert is_away(replace(bot, last_heartbeat_at=NOW + timedelta(hours=1)), long_ago, TIMEOUT, NOW)


def test_who_stopped_or_was_never_seen_is_not_away():
    for state in (BotState.STOPPED, BotState.UNKNOWN, BotState.OFFLINE):
        bot = WatchedBot(id=1, user_id=None, prefix="p/", name="p", state=state, last_heartbeat_at=NOW)
        assert not is_away(bot, NOW, TIMEOUT, NOW + timedelta(days=1))


def test_time_in_which_we_did_not_run_or_hear_does_not_count():
    attention, second = Attention(), timedelta(seconds=1)
    assert attention.look(NOW, 0.0, can_hear=False) is None
    assert attention.look(NOW, 0.0, can_hear=True) == NOW
    assert attention.look(NOW + second, 1.0, can_hear=True) == NOW
    asleep = NOW + timedelta(hours=1)
    assert attention.look(asleep, 2.0, can_hear=True) == asleep
    stopped = asleep + timedelta(minutes=1)
    assert attention.look(stopped, 62.0, can_hear=True) == stopped
    assert attention.look(stopped + second, 63.0, can_hear=True) == stopped
    assert attention.look(NOW, 64.0, can_hear=True) == NOW


def test_a_redelivery_is_known_by_when_it_comes():
    event = read("status/bot/started", {"timestamp": 1234567890})
    connected_at = NOW - timedelta(seconds=60)
    assert is_repeat(event, connected_at, is_stored=True, earlier=())
    assert not is_repeat(event, connected_at - timedelta(microseconds=1), is_stored=True, earlier=())
    assert not is_repeat(event, connected_at, is_stored=False, earlier=())
    before = read("status/bot/started", {"timestamp": 1234567890}, at=connected_at - timedelta(seconds=1))
    assert is_repeat(event, connected_at, is_stored=False, earlier=(before,))
    same = read("status/bot/started", {"timestamp": 1234567890}, at=connected_at + timedelta(seconds=1))
    assert not is_repeat(event, connected_at, is_stored=False, earlier=(same,))
    assert not is_repeat(read("status/bot/heartbeat", {}), connected_at, is_stored=True, earlier=())


def test_filters_that_lie_in_others_are_left_out():
    assert topmost(["a/", "a/b/", "c/", "ab/"]) == {"a/", "c/", "ab/"}
