"""What `manage.py doctor` says of the reversal watch, its newest scan, and prices that do not come."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from administration import doctor_reversal
from administration.console import Console
from core.bar import opening
from database import health, market_bars, scans
from database.pool import Database
from database.scans import Looked
from tests.database.office import with_database
from tests.database.trade_desk import TradeDesk

NOTHING = Looked(pairs=0, scores=0, notifications=0, model_ms=None)


@pytest.fixture
def said(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    def lines(**settings: str) -> list[str]:
        with_database(database_url, monkeypatch, PUBLIC_URL="http://127.0.0.1", **settings)
        return [str(finding) for finding in doctor_reversal.reversal_watch(Console())]

    return lines


def beat(database: Database, *, seconds_ago: int = 0) -> None:
    with database.transaction() as transaction:
        at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        health.beat(transaction, doctor_reversal.PART, "here:1", at)


def scanned(database: Database, due_at: datetime, failure: str | None = None) -> None:
    with database.transaction() as transaction:
        claim = scans.claim(transaction, due_at, ("5 Min",), due_at)
        assert claim is not None
        if failure is None:
            scans.finish(transaction, claim, NOTHING, due_at)
        else:
            scans.fail(transaction, claim, failure, due_at)


def now_due() -> datetime:
    return opening(datetime.now(UTC), "5 Min")


def test_it_never_ran(said: Callable[..., list[str]]) -> None:
    assert said() == ["FAULT  reversal watch: never ran. To mend it, start DashTrade: make run."]


def test_it_is_switched_off(said: Callable[..., list[str]]) -> None:
    assert said(REVERSAL_WATCHES="0") == ["ok     reversal watch: switched off (REVERSAL_WATCHES=0)"]


def test_all_is_well(said: Callable[..., list[str]], database: Database) -> None:
    beat(database)
    scanned(database, now_due())
    running, newest = said()
    assert running == "ok     reversal watch: 1 running"
    assert newest.startswith("ok     reversal scan: the newest is that of ")


def test_it_fell_silent(said: Callable[..., list[str]], database: Database) -> None:
    beat(database, seconds_ago=60)
    assert "silent since" in said()[0]


def test_the_newest_scan_failed(said: Callable[..., list[str]], database: Database) -> None:
    beat(database)
    scanned(database, now_due(), failure="ModelRefused: its hash differs")
    assert said()[1].startswith("FAULT  reversal scan: that of ")
    assert "its hash differs" in said()[1]


def test_it_lives_and_does_not_scan(said: Callable[..., list[str]], database: Database) -> None:
    beat(database)
    scanned(database, now_due() - timedelta(minutes=30))
    assert said()[1].startswith("FAULT  reversal scan: none since that of ")


def test_prices_that_do_not_come_are_named(said: Callable[..., list[str]], database: Database) -> None:
    beat(database)
    now = datetime.now(UTC)
    with database.transaction() as transaction:
        market_bars.note_failure(
            transaction, "EUR/USD", "1 Hour", "alpha_vantage", "The key was refused.", now
        )
        market_bars.note_failure(
            transaction, "GBP/USD", "1 Hour", "alpha_vantage", "Long ago.", now - timedelta(days=2)
        )
    [line] = said()[1:]
    assert line.startswith("FAULT  prices of EUR/USD 1 Hour (alpha_vantage): none since ")
    assert "The key was refused. To mend it, " in line


def test_a_chosen_source_without_its_keys_is_a_fault(
    said: Callable[..., list[str]], database: Database
) -> None:
    beat(database)
    [line] = said(REVERSAL_CRYPTO_SOURCE="alpaca")[1:]
    assert line == (
        "FAULT  reversal prices: REVERSAL_CRYPTO_SOURCE is alpaca, and ALPACA_DATA_KEY_ID and ALPACA_DATA_SECRET_KEY"
        " are missing. To mend it, set it, or choose another source."
    )


def test_what_waits_for_discord_too_long_is_a_fault(
    said: Callable[..., list[str]], database: Database
) -> None:
    beat(database)
    desk = TradeDesk(database)
    desk.now = datetime.now(UTC) - timedelta(minutes=5)
    desk.notify(next_attempt_at=desk.now)
    assert len(said()) == 1
    desk.wait(minutes=-6)
    desk.notify(next_attempt_at=desk.now)
    [line] = said()[1:]
    assert line.startswith("FAULT  signals and news of trades: 2 wait for Discord, the oldest since ")
