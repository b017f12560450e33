"""Bars are kept as they first came, and nothing stands in for those that do not come."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from database.market_bars import FaultKind
from database.pool import Database
from reversal import feeding
from tests.database.feed_desk import AAPL, COIN, HOUR, MINUTE, NOW, Desk, feed_desk
from tests.faults import FaultKind as Trouble
from tests.price_server import KEY, SECRET


@pytest.fixture
def desk(database: Database, database_url: str) -> Iterator[Desk]:
    with feed_desk(database, database_url) as made:
        yield made


def test_a_source_that_fails_is_replaced_by_nothing_and_says_since_when(desk: Desk) -> None:
    """The older system fell back to made-up prices on a 429 and told nobody (D7 item 14)."""
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=429, count=2)
    words = desk.refresh(COIN)[COIN]
    assert words == "Alpaca asks us to wait (HTTP 429)."
    assert desk.bars(COIN) == []
    first = desk.feed(COIN)
    assert (first["failure"], first["source"]) == (words, "alpaca")
    assert NOW <= first["failed_since"] < NOW + MINUTE

    # left alone for a minute, and the failure is still told
    assert desk.later(timedelta(seconds=20), COIN) == {COIN: words}
    assert desk.prices.requests == []

    assert desk.later(2 * MINUTE, COIN) == {COIN: words}
    assert desk.feed(COIN)["failed_since"] == first["failed_since"]

    assert desk.later(16 * MINUTE, COIN) == {}
    assert len(desk.bars(COIN)) == 600
    assert {row["source"] for row in desk.bars(COIN)} == {"alpaca"}
    assert (desk.feed(COIN)["failed_since"], desk.feed(COIN)["failure"]) == (None, None)


def test_bars_missed_while_a_source_was_down_come_afterwards_and_are_not_late(desk: Desk) -> None:
    desk.refresh(COIN)
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=503, count=3)
    for _ in range(3):
        assert COIN in desk.later(HOUR, COIN)
    assert desk.later(HOUR, COIN) == {}
    assert len(desk.bars(COIN)) == 604
    assert desk.faults(COIN) == []


def test_a_source_that_is_down_is_not_asked_for_every_pair(desk: Desk) -> None:
    coins = [(f"{name}/USD", "1 Hour") for name in ("ADA", "BTC", "ETH", "SOL")]
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=500, count=-1)
    assert set(desk.refresh(*coins)) == set(coins)
    assert len(desk.prices.requests) == 1


def test_an_answer_that_is_none_keeps_no_other_pair_from_its_bars(desk: Desk) -> None:
    coins = [(f"{name}/USD", "1 Hour") for name in ("ADA", "BTC", "ETH", "SOL")]
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=200, body="<html>")
    assert list(desk.refresh(*coins)) == [("ADA/USD", "1 Hour")]
    # what is sound comes first from now on
    desk.later(HOUR, *coins)
    assert [request.query["symbols"] for request in desk.prices.requests] == [
        *("BTC/USD", "ETH/USD", "SOL/USD", "ADA/USD")
    ]


def test_a_slow_source_takes_no_more_time_than_there_is(desk: Desk) -> None:
    assert desk.refresh(COIN, AAPL, longest=timedelta(seconds=-1)) == {
        COIN: feeding.NO_TIME,
        AAPL: feeding.NO_TIME,
    }
    assert desk.prices.requests == []
    assert desk.refresh(COIN, AAPL) == {}


def test_no_row_and_no_message_holds_a_key(desk: Desk) -> None:
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=403)
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=200, body=f'{{"Information": "Your key {KEY} is wrong"}}')
    failures = desk.refresh(COIN, ("EUR/USD", "1 Hour"))
    assert len(failures) == 2
    with desk.database.transaction() as transaction:
        rows = transaction.all("SELECT row_to_json(market_feeds)::text AS row FROM market_feeds")
    assert "***" in "".join(failures.values())
    assert not [words for words in (*failures.values(), *map(str, rows)) if KEY in words or SECRET in words]


def test_a_stored_bar_stays_as_it_first_came(desk: Desk) -> None:
    desk.refresh(COIN)
    before = desk.bars(COIN)
    changed = before[-2]["opened_at"]
    desk.prices.given[changed] = {"close": 100.25}
    desk.later(HOUR, COIN)
    assert desk.bars(COIN)[:-1] == before
    assert desk.faults(COIN) == [(FaultKind.CHANGED, changed)]
    desk.later(HOUR, COIN)
    assert desk.faults(COIN) == [(FaultKind.CHANGED, changed)]


def test_a_hole_is_noted_cuts_what_is_usable_and_heals_when_the_bar_comes_late(desk: Desk) -> None:
    desk.refresh(COIN)
    hole = NOW.replace(hour=16, minute=0)
    desk.prices.lacking.add(hole)
    desk.later(3 * HOUR, COIN)
    assert hole not in desk.opened(COIN)
    assert desk.faults(COIN) == [(FaultKind.MISSING, hole)]
    assert desk.usable(COIN) == [hole + HOUR]
    desk.prices.lacking.clear()
    desk.later(HOUR, COIN)
    assert desk.faults(COIN)[1:] == [(FaultKind.LATE, hole)]
    assert len(desk.usable(COIN)) == 604


def test_impossible_and_misplaced_bars_are_noted_and_not_stored(desk: Desk) -> None:
    desk.refresh(COIN)
    at = NOW.replace(hour=15, minute=0)
    desk.prices.given |= {at: {"high": 1.0}, at + HOUR + 20 * MINUTE: {}}
    desk.later(3 * HOUR, COIN)
    assert at not in desk.opened(COIN)
    assert sorted(desk.faults(COIN)) == [
        (FaultKind.IMPOSSIBLE, at),
        (FaultKind.MISALIGNED, at + HOUR + 20 * MINUTE),
        (FaultKind.MISSING, at),
    ]


def test_weekend_bars_of_currencies_are_noted_and_not_stored(desk: Desk) -> None:
    wanted = ("EUR/USD", "1 Hour")
    saturday = datetime(2026, 3, 14, 12, tzinfo=UTC)
    desk.prices.given[saturday] = {}
    desk.refresh(wanted)
    assert saturday not in desk.opened(wanted)
    assert desk.faults(wanted) == [(FaultKind.MARKET_CLOSED, saturday)]


def test_a_bar_that_is_not_there_yet_is_asked_for_now_and_then(desk: Desk) -> None:
    desk.refresh(COIN)
    desk.prices.lacking |= {NOW.replace(hour=15, minute=0), NOW.replace(hour=16, minute=0)}
    asked = []
    for _ in range(60):
        desk.later(MINUTE, COIN)
        asked.append(len(desk.prices.requests))
    assert asked[0] == 0
    desk.now = NOW + HOUR
    assert sum(asked[-3:]) == 1


def test_a_source_without_newer_bars_is_stale_and_says_so(desk: Desk) -> None:
    desk.refresh(COIN)
    desk.prices.lacking |= {NOW.replace(minute=0) + number * HOUR for number in range(10)}
    assert desk.later(3 * HOUR, COIN) == {}
    words = desk.later(2 * HOUR, COIN)[COIN]
    assert words == "alpaca gives no bars of BTC/USD 1 Hour after 2026-03-18 15:00 UTC."
    assert desk.feed(COIN)["failure"] == words
    since = desk.feed(COIN)["failed_since"]
    assert desk.later(HOUR, COIN) == {COIN: words}
    assert desk.feed(COIN)["failed_since"] == since
    desk.prices.lacking.clear()
    assert desk.later(HOUR, COIN) == {}
    assert desk.feed(COIN)["failed_since"] is None


def test_a_pair_without_any_bar_says_so(desk: Desk) -> None:
    desk.prices.first = NOW + HOUR
    assert desk.refresh(COIN) == {COIN: "alpaca has no bars of BTC/USD 1 Hour."}
