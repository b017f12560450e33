"""Figures that only grow: each event counts once, whoever adds up and whoever dies."""

import re
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime

import pytest

from core.signal import Action
from core.tallies import BY_TRIGGER, Tallies, bound_of
from database import alert_channels, health, migrate, replays, signal_channels, standing, tallies
from database.pool import Database
from intake import TRADINGVIEW
from signals.service import DEFAULT_SOURCE
from tests.database.trading_floor import TradingFloor


def totals(database):
    """Return how often each figure with its labels happened."""
    found = {}
    with database.transaction() as transaction:
        for each in tallies.read(transaction):
            key = (each.figure, *each.labels)
            found[key] = found.get(key, 0) + each.times
    return found


def test_nothing_is_counted_of_what_was_rolled_back(database):
    with suppress(RuntimeError), database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO faults (subject, words, first_at, last_at) VALUES ('x', '', now(), now())"
        )
        raise RuntimeError
    assert totals(database) == {}


def test_an_event_counts_once_before_and_after_it_was_added_up(database):
    fault(database, "lane 12")
    fault(database, "lane 13", times=3)
    before = totals(database)
    assert before == {("fault", "lane"): 4}
    added(database)
    assert totals(database) == before
    fault(database, "reconcile of connection 5")
    assert totals(database) == before | {("fault", "reconcile of connection"): 1}
    added(database)
    assert totals(database) == before | {("fault", "reconcile of connection"): 1}
    with database.transaction() as transaction:
        assert transaction.value("SELECT count(*) FROM tallies") == 0


def test_many_who_add_up_and_write_at_once_lose_and_double_nothing(database_url):
    writers, each = 4, 60
    with closing(Database(database_url, size=2 * writers)) as database:

        def write(number):
            for _ in range(each):
                fault(database, f"lane {number}")
                added(database)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert totals(database) == {("fault", "lane"): writers * each}


def test_what_was_taken_and_not_committed_is_there_for_the_next(database):
    fault(database, "lane 1")
    with suppress(RuntimeError), database.transaction() as transaction:
        assert tallies.add_up(transaction) == 1
        raise RuntimeError
    assert totals(database) == {("fault", "lane"): 1}


def test_what_a_process_counted_is_written_with_its_bounds(database):
    counted = Tallies()
    for seconds in (0.001, 0.005, 0.0051, 1000):
        counted.count("broker_call", "paper", "submit", seconds=seconds)
    counted.count("broker_error", "paper", "submit", "Unknown")
    with database.transaction() as transaction:
        tallies.write_down(transaction, counted.take())
        found = {(each.figure, each.le): each for each in tallies.read(transaction)}
    assert {key: each.times for key, each in found.items()} == {
        ("broker_call", 0.005): 2, ("broker_call", 0.01): 1, ("broker_call", float("inf")): 1,
        ("broker_error", 0.005): 1,
    }  # fmt: skip
    assert sum(each.seconds for each in found.values()) == pytest.approx(1000.0111)
    assert counted.take() == ()


def test_the_database_and_the_processes_know_the_same_bounds(database):
    with database.transaction() as transaction:
        for seconds in (0, 0.005, 0.0050001, 299.9, 300, 300.1):
            transaction.execute(
                "INSERT INTO tallies (figure, labels, seconds) VALUES ('fault', ARRAY['x'], %s)", (seconds,)
            )
        by_database = sorted((each.le, each.times) for each in tallies.read(transaction))
    assert by_database == [(0.005, 2), (0.01, 1), (300.0, 2), (float("inf"), 1)]
    assert [bound_of(each) for each in (0.005, 0.0050001, 300, 300.1)] == [0.005, 0.01, 300, float("inf")]


def test_a_figure_takes_its_labels_and_no_others():
    with pytest.raises(ValueError, match="labels"):
        Tallies().count("broker_call", "paper")


def test_a_traded_signal_is_counted_at_every_step(database):
    floor = TradingFloor(database)
    bot = floor.bot()
    floor.send(bot, Action.BUY)
    floor.send(bot, Action.BUY)
    floor.send(bot, Action.CLOSE)
    found = totals(database)
    wanted = {
        ("signal_received", "other"): 3,
        ("signal_decided", "other"): 3,
        ("signal_finished", "other", "EXECUTED", "EXECUTED"): 2,
        ("signal_finished", "other", "SKIPPED", "ALREADY_LONG"): 1,
        ("order_planned", "paper", "OPEN"): 1,
        ("order_planned", "paper", "CLOSE"): 1,
        ("order_acknowledged", "paper", "OPEN"): 1,
        ("order_acknowledged", "paper", "CLOSE"): 1,
        ("order_finished", "paper", "OPEN", "FILLED"): 1,
        ("order_finished", "paper", "CLOSE", "FILLED"): 1,
        ("fill_booked", "paper", "submit"): 2,
    }
    assert {key: found.get(key) for key in wanted} == wanted
    with database.transaction() as transaction:
        (signal,) = [each for each in tallies.read(transaction) if each.figure == "signal_received"][:1]
        transaction.execute("UPDATE signals SET duplicates = duplicates + 2 WHERE number = 1")
        # What was counted stays, whatever becomes of its rows.
        transaction.execute("DELETE FROM users")
    assert signal.seconds >= 0
    found = totals(database)
    assert {key: found.get(key) for key in wanted} == wanted
    assert found["signal_duplicate", "other"] == 2


def test_a_source_that_a_service_made_up_is_no_figure_of_its_own(database):
    floor = TradingFloor(database)
    floor.send(floor.bot(), Action.BUY)
    with database.transaction() as transaction:
        for source in ("discord", "mine", "reversal"):
            transaction.execute(
                """
                INSERT INTO signals (user_id, source, body_hash, body, state, code, sentence, received_at, finished_at)
                VALUES (%s, %s, '', '', 'REFUSED', 'NO_BOT', '.', now(), now())
                """,
                (floor.user_id, source),
            )
    received = {key[1]: times for key, times in totals(database).items() if key[0] == "signal_received"}
    assert received == {"discord": 1, "other": 2, "reversal": 1}


def test_every_figure_of_the_database_is_declared_and_every_declared_one_is_written():
    written = set(
        re.findall(r"(?:VALUES \(|SELECT )'([a-z_]+)'", (migrate.OURS / "016_tallies.sql").read_text())
    )
    assert written == set(BY_TRIGGER)


def test_the_source_of_every_kind_of_signal_is_counted_by_its_name(database):
    with database.transaction() as transaction:
        for source in (TRADINGVIEW, replays.SOURCE, signal_channels.SOURCE, DEFAULT_SOURCE):
            assert transaction.value("SELECT source_counted(%s)", (source,)) == source


def plan_of(transaction, sql):
    return transaction.value(f"EXPLAIN (FORMAT JSON) {sql}")[0]["Plan"]


def walked(plan):
    """Return the tables that a plan reads from end to end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(walked(child) for child in plan.get("Plans", ())))


def test_the_histories_are_the_tables_that_there_are(database):
    with database.transaction() as transaction:
        rows = transaction.all("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tablename"] for row in rows} >= standing.HISTORIES


def test_no_gauge_walks_a_history(database):
    for gauge in standing.GAUGES:
        with database.transaction() as transaction:
            rows = transaction.all(gauge.sql)
            # A small table is walked, being cheaper; where that costs much, an index must do.
            transaction.execute("SET LOCAL enable_seqscan = off")
            assert not walked(plan_of(transaction, gauge.sql)) & standing.HISTORIES, gauge.name
        assert all(set(row) == {*gauge.labels, "value"} and row["value"] is not None for row in rows), (
            gauge.name
        )


def fault(database, subject, times=1):
    now = datetime.now(UTC)
    for _ in range(times):
        with database.transaction() as transaction:
            health.note_fault(transaction, subject, "words", now)


def added(database):
    with database.transaction() as transaction:
        return tallies.add_up(transaction)


def test_how_sending_stands_is_told_without_walking_what_was_sent(database):
    now = datetime.now(UTC)
    with database.transaction() as transaction:
        transaction.execute("SET LOCAL enable_seqscan = off")
        found = alert_channels.sending_figures(transaction, now)
        plan = plan_of(transaction, captured(alert_channels.sending_figures, now))
    assert found == {"unrouted": 0, "failed": 0, "waiting": 0, "oldest": None}
    assert not walked(plan) & standing.HISTORIES


def captured(ask, *arguments):
    """Return the statement that a function runs, with its values in it."""
    said = []

    class Listening:
        def one(self, sql, values):
            said.append(sql % {name: f"'{value}'::timestamptz" for name, value in values.items()})

    ask(Listening(), *arguments)
    return said[0]
