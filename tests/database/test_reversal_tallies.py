"""What /metrics gives of reversal signals: scans, their prices, what Discord took, and tracked trades."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.bar import Bar, opening
from database import health, market_bars, notification_sending, scans, standing, tallies, trade_updates
from database.pool import Database
from database.scans import Looked
from database.trade_updates import TradeUpdate, UpdateKind
from tests.database.trade_desk import TradeDesk

FOUND = Looked(pairs=2, scores=4, notifications=1, model_ms=Decimal(12))
NOBODY = Looked(pairs=0, scores=0, notifications=0, model_ms=None)
NO_BARS = Looked(pairs=2, scores=0, notifications=0, model_ms=None, late=1)
SOME_BARS = Looked(pairs=2, scores=2, notifications=0, model_ms=Decimal(12), late=1)
WEEKEND = Looked(pairs=2, scores=0, notifications=0, model_ms=None)


@pytest.fixture
def desk(database: Database) -> TradeDesk:
    made = TradeDesk(database)
    made.link(made.ann)
    return made


def counted(database: Database, figure: str) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    with database.transaction() as transaction:
        for each in tallies.read(transaction):
            if each.figure == figure:
                found[each.labels] = found.get(each.labels, 0) + each.times
    return found


def stands(database: Database, name: str) -> dict[str, float]:
    """Return a gauge's values by its label, or under its own name where it has none."""
    gauge = next(each for each in standing.GAUGES if each.name == name)
    with database.transaction() as transaction:
        rows = standing.read(transaction)[name]
    return {row[gauge.labels[0]] if gauge.labels else name: float(row["value"]) for row in rows}


def scanned(database: Database, due_at: datetime, ending: Looked | str) -> None:
    with database.transaction() as transaction:
        claim = scans.claim(transaction, due_at, ("5 Min",), due_at)
        assert claim is not None
        ended = due_at + timedelta(seconds=4)
        if isinstance(ending, str):
            scans.fail(transaction, claim, ending, ended)
        else:
            scans.finish(transaction, claim, ending, ended)


def test_a_scan_is_counted_by_what_came_of_it(database: Database) -> None:
    noon = datetime(2026, 11, 16, 12, tzinfo=UTC)
    for number, ending in enumerate((FOUND, "it was ended by SIGKILL", NOBODY, NO_BARS, SOME_BARS, WEEKEND)):
        scanned(database, noon + timedelta(minutes=5 * number), ending)
    assert counted(database, "scan_ended") == {
        ("DONE",): 3,
        ("FAILED",): 1,
        ("NOTHING_WANTED",): 1,
        ("NO_PRICES",): 1,
    }
    with database.transaction() as transaction:
        found = [each for each in tallies.read(transaction) if each.figure == "scan_ended"]
    assert sum(each.seconds for each in found) == pytest.approx(24)


def test_how_old_the_newest_scan_is(database: Database) -> None:
    name = "dashtrade_reversal_scan_age_seconds"
    assert stands(database, name) == {}
    now = datetime.now(UTC)
    scanned(database, now - timedelta(minutes=30), FOUND)
    scanned(database, now - timedelta(minutes=20), "its source is down")
    # A clock that was ahead hides nothing.
    scanned(database, now + timedelta(hours=9), FOUND)
    assert stands(database, name)[name] == pytest.approx(1800, abs=120)


def test_prices_that_do_not_come(database: Database) -> None:
    now = datetime.now(UTC)
    closed_at = opening(now, "30 Min")
    prices = dict.fromkeys(("open", "high", "low", "close"), Decimal("1.1"))
    with database.transaction() as transaction:
        for pair, source in (("EUR/USD", "csv"), ("GBP/USD", "alpaca")):
            opened_at = closed_at - timedelta(minutes=30)
            bar = Bar(opened_at=opened_at, closed_at=closed_at, **prices)
            market_bars.store(transaction, pair, "30 Min", source, [bar], now)
            market_bars.note_fetched(transaction, pair, "30 Min", source, closed_at, now)
        market_bars.note_failure(transaction, "USD/JPY", "30 Min", "alpaca", "The key was refused.", now)
        long_ago = now - timedelta(days=2)
        market_bars.note_failure(transaction, "USD/CHF", "30 Min", "alpaca", "Wanted no more.", long_ago)
    age = (now - closed_at).total_seconds()
    assert stands(database, "dashtrade_reversal_feeds_failing") == {"csv": 0, "alpaca": 1}
    ages = stands(database, "dashtrade_reversal_bar_age_seconds")
    assert ages == {source: pytest.approx(age, abs=120) for source in ("csv", "alpaca")}


def sent(desk: TradeDesk, ending: Callable[..., None], *values: Any) -> None:
    """Let the Discord bot come to an end with what is due next."""
    with desk.database.transaction() as transaction:
        parcel = notification_sending.next_parcel(transaction, desk.ann, desk.now)
        assert parcel is not None
        ending(transaction, parcel, *values)


def test_what_discord_took_and_what_it_did_not(desk: TradeDesk) -> None:
    oldest = "dashtrade_reversal_message_oldest_seconds"
    assert stands(desk.database, oldest) == {"SIGNAL": 0, "UPDATE": 0}
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    for minutes in (10, 20):
        opened_at = desk.now - timedelta(minutes=minutes)
        desk.notify(bar_opened_at=opened_at, next_attempt_at=desk.now, created_at=long_ago)
    assert stands(desk.database, oldest)["SIGNAL"] == pytest.approx(7200, abs=120)
    sent(desk, notification_sending.note_sent, 1, 2, long_ago + timedelta(seconds=3))
    sent(desk, notification_sending.note_failed, "50007", desk.now)
    news = TradeUpdate(
        trade_id=desk.open().trade_id, kind=UpdateKind.RUNNING, price=Decimal("1.09"), steps=Decimal(46),
        pnl=None, message="It runs.", send=True,
    )  # fmt: skip
    with desk.database.transaction() as transaction:
        trade_updates.store(transaction, [news], desk.now)
    sent(desk, notification_sending.note_sent, 1, 2, desk.now)
    assert counted(desk.database, "reversal_message_ended") == {
        ("SIGNAL", "SENT"): 1,
        ("SIGNAL", "FAILED"): 1,
        ("UPDATE", "SENT"): 1,
    }
    assert stands(desk.database, oldest)["SIGNAL"] == 0


def test_tracked_trades_open_and_ended(desk: TradeDesk) -> None:
    name = "dashtrade_tracked_trades_open"
    first, _ = desk.open().trade_id, desk.open()
    assert stands(desk.database, name) == {name: 2}
    desk.close(first, "1.09")
    assert stands(desk.database, name) == {name: 1}
    assert counted(desk.database, "tracked_trade_ended") == {("manual_close",): 1}


def test_the_watch_is_a_part_that_lives(database: Database) -> None:
    with database.transaction() as transaction:
        health.beat(transaction, "reversal watch", "here:1", datetime.now(UTC))
    assert stands(database, "dashtrade_processes_alive")["reversal watch"] == 1
