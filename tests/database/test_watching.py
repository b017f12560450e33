"""Messages of watched bots written down: rows, trades, alerts, each once."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from database import accounts, health, watched, watched_list
from database.watched import BotState
from watching.inbox import Message
from watching.writer import Writer

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PREFIX = "polyspike/"
TIMEOUT = timedelta(seconds=90)


class Desk:
    """A writer on a database, and a clock that moves when a message comes."""

    def __init__(self, database):
        self.database = database
        self.writer = Writer(TIMEOUT)
        self.now = datetime.now(UTC)
        self.connected_at = self.now
        with database.transaction() as transaction:
            watched.ensure_default(transaction, PREFIX)

    def message(self, below, payload=None, *, retained=False, prefix=PREFIX, again=False, **fields):
        self.now += timedelta(milliseconds=1)
        if payload is None:
            payload = json.dumps(fields).encode()
        return Message(
            generation=1, connected_at=self.connected_at, mid=1, qos=1, topic=prefix + below, payload=payload,
            is_retained=retained, received_at=self.now, again=again,
        )  # fmt: skip

    def store(self, *messages, is_retry=False):
        with self.database.session() as session:
            with session.transaction() as transaction:
                prefixes = watched.watched_prefixes(transaction)
            self.writer.store(session, prefixes, messages, is_retry=is_retry)

    def send(self, below, payload=None, **more):
        message = self.message(below, payload, **more)
        self.store(message)
        return message

    def connect_anew(self, after=timedelta(0)):
        self.now += after + timedelta(milliseconds=1)
        self.connected_at = self.now

    def rows(self, sql, *parameters):
        with self.database.transaction() as transaction:
            return transaction.all(sql, parameters)

    def count(self):
        return self.rows("SELECT count(*) AS count FROM watched_events")[0]["count"]

    def kinds(self):
        return [row["kind"] for row in self.rows("SELECT kind FROM notifications ORDER BY id")]

    def trades(self):
        return self.rows("SELECT * FROM watched_trades ORDER BY id")

    def bot(self):
        return self.rows("SELECT * FROM watched_bots WHERE prefix = %s", PREFIX)[0]


@pytest.fixture
def desk(database):
    return Desk(database)


def test_the_bot_of_the_settings_belongs_to_nobody_until_there_is_an_admin(desk):
    desk.send("status/bot/started")
    with desk.database.transaction() as transaction:
        admin = accounts.create_user(transaction, "ann@example.org", "correct horse battery")
        accounts.create_user(transaction, "bob@example.org", "correct horse battery")
        watched.ensure_default(transaction, PREFIX)
    desk.send("status/bot/stopped")
    owners = [row["user_id"] for row in desk.rows("SELECT user_id FROM notifications ORDER BY id")]
    assert owners == [None, admin.id]
    assert desk.bot()["user_id"] == admin.id


def test_another_prefix_in_the_settings_becomes_the_default(desk):
    with desk.database.transaction() as transaction:
        watched.ensure_default(transaction, "other/bots/")
    rows = desk.rows("SELECT prefix, name, is_default FROM watched_bots ORDER BY id")
    assert [(row["prefix"], row["name"], row["is_default"]) for row in rows] == [
        (PREFIX, "polyspike", False), ("other/bots/", "other/bots", True),
    ]  # fmt: skip


def test_a_message_belongs_to_the_longest_prefix_and_to_none_without_one(desk):
    with desk.database.transaction() as transaction:
        watched.ensure_default(transaction, "polyspike/two/")
    desk.store(
        desk.message("status/bot/started", prefix="polyspike/two/"), desk.message("status/bot/started"),
        desk.message("status/bot/started", prefix="nobody/"),
    )  # fmt: skip
    rows = desk.rows(
        "SELECT prefix, topic FROM watched_events JOIN watched_bots ON watched_bots.id = watched_bot_id ORDER BY topic"
    )
    assert [row["prefix"] for row in rows] == [PREFIX, "polyspike/two/"]


def test_no_user_hears_of_anothers_bot_with_a_prefix_much_like_his(desk):
    prefixes = ("a/", "ab/", "A/", "a b/", "b/a/")
    with desk.database.transaction() as transaction:
        for prefix in prefixes:
            user = accounts.create_user(
                transaction, f"{len(prefix)}{ord(prefix[0])}@example.org", "correct horse"
            )
            watched_list.add(transaction, user.id, prefix, prefix)
    desk.store(*(desk.message("status/bot/started", prefix=prefix) for prefix in ("a", *prefixes)))
    rows = desk.rows(
        """
        SELECT prefix, user_id, messages, (SELECT array_agg(content ->> 'topic') FROM notifications
                                            WHERE notifications.user_id = watched_bots.user_id) AS told
          FROM watched_bots WHERE NOT is_default ORDER BY id
        """
    )
    assert [(row["prefix"], row["messages"]) for row in rows] == [(prefix, 1) for prefix in prefixes]
    assert [row["told"] for row in rows] == [[f"{prefix}status/bot/started"] for prefix in prefixes]
    assert desk.count() == len(prefixes)


def test_what_an_owner_watched_goes_with_the_owner_while_it_still_comes(desk):
    with desk.database.transaction() as transaction:
        user = accounts.create_user(transaction, "ann@example.org", "correct horse")
        bot = watched_list.add(transaction, user.id, "Ann's", "anns/")
    desk.send("status/bot/started", prefix="anns/")
    with desk.database.transaction() as transaction:
        transaction.execute("DELETE FROM users")
    with desk.database.session() as session:
        late = [desk.message("status/bot/stopped", prefix="anns/"), desk.message("status/bot/started")]
        desk.writer.store(session, {"anns/": bot, PREFIX: desk.bot()["id"]}, late, is_retry=False)
    assert desk.rows("SELECT user_id, kind FROM notifications") == [
        {"user_id": None, "kind": "WATCHED_STARTED"}
    ]
    assert desk.count() == 1


def test_one_trade_told_in_three_messages_is_one_row(desk):
    market = {"token_id": "0xabc", "market_name": "Rain?"}
    desk.send("trading/position/opened", **market, entry_price=0.4, position_size=5, reason="spike_up")
    desk.send(
        "trading/position/closed", **market, entry_price=0.4, exit_price=0.5, pnl=1, exit_reason="take_profit"
    )
    [closed] = desk.trades()
    assert (closed["state"], closed["is_completed"], closed["exit_reason"]) == (
        "CLOSED",
        False,
        "take_profit",
    )
    desk.send(
        "trading/trade/completed", **market, trade_id="a", entry_price=0.4, exit_price=0.5, pnl=1.25, size=5,
        pnl_pct=0.25, reason="take_profit",
    )  # fmt: skip
    [trade] = desk.trades()
    assert (trade["trade_id"], trade["is_completed"], trade["pnl"]) == ("a", True, Decimal("1.25"))
    assert (trade["entry_reason"], trade["quantity"], trade["quantity_unit"]) == ("spike_up", 5, "USD")
    assert desk.kinds() == ["WATCHED_POSITION_OPENED", "WATCHED_TRADE_COMPLETED"]


def test_all_three_in_one_batch_are_one_row_too(desk):
    market = {"symbol": "BTC/USD", "side": "long"}
    desk.store(
        desk.message("trading/position/opened", **market, entry_price=1),
        desk.message("trading/position/closed", **market, exit_price=2),
        desk.message("trading/trade/completed", **market, exit_price=2, trade_id="a"),
    )
    [trade] = desk.trades()
    assert (trade["state"], trade["is_completed"], trade["entry_price"]) == ("CLOSED", True, 1)


def test_a_closing_that_comes_after_the_completion_closes_nothing_else(desk):
    desk.send("trading/position/opened", symbol="A", entry_price=1)
    desk.send("trading/trade/completed", symbol="A", trade_id="a", exit_price=2)
    desk.send("trading/position/closed", symbol="A", exit_price=2)
    [trade] = desk.trades()
    assert trade["is_completed"]


def test_a_trade_whose_opening_nobody_heard_is_a_closed_row(desk):
    desk.send("trading/trade/completed", symbol="A", trade_id="a", pnl=1)
    desk.send("trading/position/closed", symbol="B", exit_price=2)
    assert [(row["market"], row["state"], row["is_completed"]) for row in desk.trades()] == [
        ("A", "CLOSED", True), ("B", "CLOSED", False),
    ]  # fmt: skip


def test_the_oldest_trade_of_a_market_is_closed_unless_side_or_price_says_otherwise(desk):
    for price, side in ((1, "long"), (2, "long"), (3, "short")):
        desk.send("trading/position/opened", symbol="A", entry_price=price, side=side)
    desk.send("trading/trade/completed", symbol="A", trade_id="x", side="SHORT")
    desk.send("trading/trade/completed", symbol="A", trade_id="y", entry_price=2)
    desk.send("trading/trade/completed", symbol="A", trade_id="z")
    assert [row["trade_id"] for row in desk.trades()] == ["z", "y", "x"]
    desk.send("trading/trade/completed", symbol="B", trade_id="w")
    assert len(desk.trades()) == 4


STEPS = ("position/opened", "position/closed", "trade/completed")


@pytest.mark.parametrize("order", list(permutations(STEPS)), ids=", ".join)
@pytest.mark.parametrize("apart", [timedelta(0), timedelta(minutes=2)], ids=str)
def test_messages_with_one_trade_id_are_one_trade_in_whatever_order(desk, order, apart):
    fields = {"symbol": "A", "trade_id": "a", "entry_price": 1, "size": 3}
    for step in order:
        more = {} if step == "position/opened" else {"exit_price": 2, "pnl": 3}
        for _ in range(2):
            desk.send(f"trading/{step}", **fields, **more)
        desk.now += apart
    [trade] = desk.trades()
    assert (trade["state"], trade["is_completed"], trade["pnl"]) == ("CLOSED", True, 3)
    assert (trade["entry_price"], trade["exit_price"], trade["quantity"]) == (1, 2, 3)
    assert trade["opened_at"] is None or trade["opened_at"] < trade["closed_at"]
    assert desk.bot()["bad_messages"] == 0
    assert sorted(desk.kinds()) == ["WATCHED_POSITION_OPENED"] * 2 + ["WATCHED_TRADE_COMPLETED"]


def test_one_trade_id_of_two_bots_is_two_trades(desk):
    with desk.database.transaction() as transaction:
        watched.ensure_default(transaction, "other/")
    for prefix in (PREFIX, "other/"):
        desk.send("trading/position/opened", prefix=prefix, symbol="A", trade_id="a")
        desk.send("trading/trade/completed", prefix=prefix, symbol="A", trade_id="a", pnl=1)
    assert [row["state"] for row in desk.trades()] == ["CLOSED", "CLOSED"]
    assert len({row["watched_bot_id"] for row in desk.trades()}) == 2
    assert desk.kinds().count("WATCHED_TRADE_COMPLETED") == 2


def test_a_trade_seen_twice_is_stored_and_told_once(desk):
    desk.send("trading/trade/completed", symbol="A", trade_id="a", pnl=1)
    desk.send("trading/trade/completed", symbol="A", trade_id="a", pnl=1, timestamp=5)
    one = desk.message("trading/trade/completed", symbol="A", trade_id="b")
    desk.store(one, one)
    assert (desk.count(), len(desk.trades()), len(desk.kinds())) == (2, 2, 2)
    assert desk.bot()["messages"] == 2


def test_a_line_without_a_time_is_told_as_often_as_it_is_sent(desk):
    for _ in range(3):
        desk.send("status/bot/started", timestamp=1234567890)
    assert (desk.count(), len(desk.kinds())) == (3, 3)


def test_such_a_line_is_a_redelivery_when_it_comes_right_after_connecting(desk):
    desk.send("status/bot/started", timestamp=1234567890)
    desk.connect_anew()
    desk.send("status/bot/started", timestamp=1234567890)
    assert (desk.count(), desk.kinds()) == (1, ["WATCHED_STARTED"])
    desk.now += timedelta(seconds=61)
    desk.send("status/bot/started", timestamp=1234567890)
    assert desk.count() == 2
    desk.connect_anew(timedelta(minutes=61))
    desk.send("status/bot/started", timestamp=1234567890)
    assert desk.count() == 3


def test_what_the_broker_says_it_sends_again_is_known_after_hours_in_which_nobody_listened(desk):
    line = {"below": "status/bot/started", "timestamp": 1234567890}
    held = desk.message(**line)
    desk.now += timedelta(hours=9)
    desk.connect_anew()
    desk.store(held)
    desk.connect_anew()
    desk.send(**line, again=True)
    desk.now += timedelta(seconds=61)
    desk.send(**line, again=True)
    assert (desk.count(), desk.kinds()) == (1, ["WATCHED_STARTED"])
    desk.send("status/bot/heartbeat")
    desk.connect_anew(timedelta(hours=2))
    desk.send(**line, again=True)
    assert desk.count() == 3, "the one before was sent long before the end of listening, so this is another"


def test_a_redelivery_is_known_in_the_batch_that_holds_the_first(desk):
    first = desk.message("status/bot/started")
    desk.connect_anew()
    again = desk.message("status/bot/started")
    desk.store(first, again)
    assert (desk.count(), desk.kinds()) == (1, ["WATCHED_STARTED"])


def test_a_batch_whose_commit_was_not_answered_is_written_once(desk):
    batch = [
        desk.message("status/bot/started"),
        desk.message("status/bot/heartbeat"),
        desk.message("trading/trade/completed", symbol="A"),
        desk.message("balance/update", balance=5, timestamp=desk.now.timestamp()),
    ]
    desk.store(*batch)
    desk.store(*batch, is_retry=True)
    assert (desk.count(), len(desk.trades()), len(desk.kinds())) == (4, 1, 3)
    desk.store(*batch[:2], desk.message("status/bot/stopped"), is_retry=True)
    assert desk.count() == 5


def test_a_retained_message_refreshes_and_does_not_alert(desk):
    stamp = desk.now.timestamp()
    desk.send("balance/update", retained=True, balance=5, timestamp=stamp - 50_000)
    desk.send("stats/session", retained=True, session_id="s", timestamp=stamp - 500_000)
    desk.send("status/bot/heartbeat", retained=True, timestamp=stamp - 500)
    bot = desk.bot()
    assert (bot["balance"]["balance"], bot["session"]["session"]) == ("5", "s")
    assert (bot["state"], desk.kinds()) == (BotState.OFFLINE, [])
    assert desk.count() == 3
    for _ in range(2):
        desk.connect_anew(timedelta(hours=2))
        desk.send("balance/update", retained=True, balance=5, timestamp=stamp - 50_000)
        desk.send("stats/session", retained=True, session_id="s", timestamp=stamp - 500_000)
    assert desk.count() == 3
    [point] = desk.rows("SELECT at FROM watched_balances")
    assert point["at"].timestamp() == pytest.approx(stamp - 50_000)


def test_a_message_known_as_retained_still_alerts_when_it_comes_live(desk):
    fields = {"symbol": "A", "timestamp": desk.now.timestamp(), "trade_id": "a"}
    desk.send("trading/trade/completed", retained=True, **fields)
    assert desk.kinds() == []
    desk.send("trading/trade/completed", **fields)
    assert (desk.kinds(), desk.count(), len(desk.trades())) == (["WATCHED_TRADE_COMPLETED"], 1, 1)
    desk.send("trading/trade/completed", **fields)
    assert len(desk.kinds()) == 1
    both = {"symbol": "A", "timestamp": desk.now.timestamp(), "trade_id": "b"}
    desk.store(
        desk.message("trading/trade/completed", retained=True, **both),
        desk.message("trading/trade/completed", **both),
    )
    assert (len(desk.kinds()), desk.count(), len(desk.trades())) == (2, 2, 2)


def test_an_outage_ends_with_one_alert(desk):
    desk.send("status/bot/heartbeat")
    with desk.database.transaction() as transaction:
        [bot] = watched.lock_online(transaction)
        watched.put_offline(transaction, {bot.id: desk.now})
    desk.now += timedelta(minutes=10)
    desk.send("status/bot/heartbeat")
    desk.send("status/bot/heartbeat")
    [back] = desk.rows("SELECT * FROM notifications")
    assert back["kind"] == "WATCHED_BACK"
    assert back["content"]["away_seconds"] == 600
    assert datetime.fromisoformat(back["content"]["last_seen"]).utcoffset() == timedelta(0)
    assert (desk.bot()["state"], desk.bot()["offline_since"]) == ("ONLINE", None)


def test_a_heartbeat_that_says_nothing_new_is_still_a_heartbeat(desk):
    fields = {"timestamp": desk.now.timestamp()}
    desk.send("status/bot/heartbeat", **fields)
    later = desk.send("status/bot/heartbeat", **fields)
    assert desk.count() == 1
    assert desk.bot()["last_heartbeat_at"] == later.received_at


def test_a_clean_stop_and_a_new_start(desk):
    desk.send("status/bot/heartbeat")
    desk.send("status/bot/stopped", final_stats={"total_pnl": 5})
    assert desk.bot()["state"] == "STOPPED"
    desk.send("status/bot/heartbeat")
    assert (desk.bot()["state"], desk.kinds()) == ("ONLINE", ["WATCHED_STOPPED"])


def test_statistics_are_silent_and_shown(desk):
    desk.send("stats/periodic", balance=10, equity=11, win_rate=0.5)
    desk.send("stats/periodic", balance=10, equity=11, win_rate=0.6)
    desk.send("stats/periodic", balance=10, equity=12)
    bot = desk.bot()
    assert (bot["balance"]["equity"], bot["session"]["win_rate"], desk.kinds()) == ("12", "0.6", [])
    points = desk.rows("SELECT equity FROM watched_balances ORDER BY id")
    assert [point["equity"] for point in points] == [11, 12]


HOSTILE = (
    b"", b"started", b"\xff\xfe\x00", b"null", b"[]", b"[" * 50_000, b'{"timestamp": NaN}', b'{"timestamp": true}',
    b'{"timestamp": 1e400, "balance": 1e400, "pnl": -1e400}', b'{"balance": ' + b"9" * 5000 + b"}",
    rb'{"error_message": "\u0000\ud800", "session_id": "\u0000", "trade_id": "\u0000", "symbol": "\udfff"}',
    b'{"symbol": {}, "side": 5, "size": "NaN", "entry_price": [], "config": [], "final_stats": 3}',
    b'{"timestamp": 99999999999, "balance": true, "uptime_seconds": 1e30, "duration_seconds": 999999999999999999}',
    b'{"timestamp": -1}', b'{"x": "' + b"y" * 1_000_000 + b'"}', b'{"monitored_markets": [1, 2, 3]}',
)  # fmt: skip


def test_nothing_that_is_sent_stops_the_writer(desk):
    topics = (
        "status/bot/started", "status/bot/stopped", "status/bot/error", "status/bot/heartbeat", "balance/update",
        "trading/position/opened", "trading/position/closed", "trading/trade/completed", "stats/session",
        "stats/periodic", "market/spike_detected", "anything", "",
    )  # fmt: skip
    for topic in topics:
        desk.store(*(desk.message(topic, payload) for payload in HOSTILE))
    desk.send("status/bot/started", session_id="the next one")
    rows = desk.rows("SELECT * FROM watched_events")
    # Completed trades whose ids are the same after all that cannot be kept was taken out are one
    assert len(rows) == len(topics) * len(HOSTILE) + 1
    bad = [row for row in rows if row["kind"] == "BAD"]
    assert len(bad) == 11 * 6
    assert all(row["problem"] for row in bad)
    assert desk.bot()["bad_messages"] == len(bad)
    assert max(len(row["payload"]) for row in rows) == 64 * 1024
    assert max(row["payload_bytes"] for row in rows) == 1_000_009
    assert desk.bot()["state"] == "ONLINE"
    assert not desk.rows("SELECT * FROM faults")


def test_one_message_that_cannot_be_stored_does_not_keep_the_others(desk):
    with desk.database.transaction() as transaction:
        transaction.execute("ALTER TABLE watched_trades ADD CHECK (market <> 'poison')")
    desk.store(
        desk.message("status/bot/started"),
        desk.message("trading/position/opened", symbol="poison"),
        desk.message("status/bot/stopped"),
    )
    rows = desk.rows("SELECT kind, problem FROM watched_events ORDER BY id")
    assert [row["kind"] for row in rows] == ["STARTED", "BAD", "STOPPED"]
    assert "CheckViolation" in rows[1]["problem"]
    assert desk.kinds() == ["WATCHED_STARTED", "WATCHED_STOPPED"]


def test_a_message_that_cannot_even_be_bad_is_told_of(desk):
    with desk.database.transaction() as transaction:
        transaction.execute("ALTER TABLE watched_events ADD CHECK (topic NOT LIKE '%poison')")
    desk.store(desk.message("status/bot/started"), desk.message("poison"), desk.message("status/bot/stopped"))
    assert desk.kinds() == ["WATCHED_STARTED", "WATCHED_STOPPED"]
    with desk.database.transaction() as transaction:
        [fault] = health.faults(transaction)
    assert "cannot be stored" in fault["words"]


def test_a_bot_that_is_no_longer_watched_is_left_out(desk):
    with desk.database.transaction() as transaction:
        prefixes = {**watched.watched_prefixes(transaction), "gone/": 4711}
    messages = [desk.message("status/bot/started", prefix="gone/"), desk.message("status/bot/started")]
    with desk.database.session() as session:
        desk.writer.store(session, prefixes, messages, is_retry=False)
    assert desk.count() == 1


def test_old_messages_are_deleted_by_their_kind(desk):
    desk.send("status/bot/heartbeat")
    desk.send("status/bot/started")
    with desk.database.transaction() as transaction:
        assert watched.prune(transaction, desk.now + timedelta(days=7, hours=-1)) == 0
        assert watched.prune(transaction, desk.now + timedelta(days=7, hours=1)) == 1
        assert watched.prune(transaction, desk.now + timedelta(days=90, hours=-1)) == 0
        assert watched.prune(transaction, desk.now + timedelta(days=90, hours=1)) == 1
    assert desk.count() == 0


def test_the_last_figures_of_a_bot_that_stops_are_kept_as_its_statistics(desk):
    desk.send("status/bot/stopped", final_stats={"total_pnl": 12, "total_trades": 1, "win_rate": 1})
    session = desk.bot()["session"]
    assert (session["total_pnl"], session["total_trades"]) == ("12", 1)


def test_a_balance_without_a_figure_changes_nothing_and_tells_nothing(desk):
    desk.send("balance/update", balance="NaN")
    assert desk.kinds() == []
    assert desk.bot()["messages"] == 1
