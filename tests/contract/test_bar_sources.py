"""What every source of bars promises, against servers that answer as the services do, and against files."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.bar import Bar, length, opening
from core.pips import market_of
from reversal.market_hours import may_be
from reversal.sources import line
from reversal.sources.alpaca_bars import AlpacaBars
from reversal.sources.alpha_vantage import AlphaVantage
from reversal.sources.base import (
    AllowanceUsedUp,
    BarSource,
    SourceDown,
    SourceRefused,
    SourceUnavailable,
)
from reversal.sources.ccxt_bars import CcxtBars
from reversal.sources.csv_folder import CsvFolder
from reversal.sources.replay import ReplaySource
from tests.faults import FaultKind
from tests.price_server import KEY, SECRET, Prices, price, price_server

# A Wednesday; a bar is forming in every timeframe
NOW = datetime(2026, 3, 18, 15, 7, 30, tzinfo=UTC)
UNREADABLE = {
    "html": "<html>all is well</html>",
    "nothing": "",
    "null": "null",
    "a list": "[]",
    "an empty object": "{}",
    "a number": "5",
    "half": '{"bars": {"AAPL": [{"t": "2026-03-1',
    "wrong types": '{"bars": [5], "next_page_token": 7, "Meta Data": 5, "Time Series FX (60min)": 5, "error": [],'
    ' "result": {"XXBTZUSD": 5}}',
    "deep": "[" * 100_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A source, the pair and timeframe it is asked for, and the server behind it, if any."""

    source: BarSource
    pair: str
    timeframe: str = "1 Hour"
    prices: Prices | None = None

    def fetch(self, back: int = 10, now: datetime = NOW, **more: Any) -> list[Bar]:
        """Ask for the newest bars, closed or not."""
        since = opening(now, self.timeframe) - back * length(self.timeframe)
        return list(self.source.fetch(self.pair, self.timeframe, since, now, now=now, **more))


@contextmanager
def alpha_vantage_desk() -> Iterator[Desk]:
    with price_server(NOW) as (url, prices):
        yield Desk(source=AlphaVantage(KEY, url, (), "1 Min"), pair="EUR/USD", prices=prices)


@contextmanager
def stock_desk() -> Iterator[Desk]:
    with price_server(NOW) as (url, prices):
        yield Desk(source=AlpacaBars((KEY, SECRET), url, "iex", ()), pair="AAPL", prices=prices)


@contextmanager
def coin_desk() -> Iterator[Desk]:
    with price_server(NOW) as (url, prices):
        yield Desk(source=AlpacaBars((KEY, SECRET), url, "iex", ()), pair="BTC/USD", prices=prices)


@contextmanager
def kraken_desk() -> Iterator[Desk]:
    with price_server(NOW) as (url, prices):
        yield Desk(source=CcxtBars("kraken", url), pair="BTC/USD", prices=prices)


NETWORK = {
    "alpha_vantage": alpha_vantage_desk,
    "alpaca stocks": stock_desk,
    "alpaca coins": coin_desk,
    "kraken": kraken_desk,
}


@pytest.fixture(params=NETWORK, ids=str)
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    with NETWORK[request.param]() as desk:
        yield desk


@pytest.fixture(params=[*NETWORK, "csv", "replay"], ids=str)
def any_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    if request.param == "csv":
        write_csv(tmp_path / "EUR-USD_1h.csv")
        yield Desk(source=CsvFolder(tmp_path, ZoneInfo("UTC")), pair="EUR/USD")
    elif request.param == "replay":
        yield Desk(source=ReplaySource(), pair="EUR/USD")
    else:
        with NETWORK[request.param]() as desk:
            yield desk


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for an answer than one does in earnest."""
    monkeypatch.setattr(line, "READ_SECONDS", 0.5)


def write_csv(path: Path) -> None:
    with path.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["time", "open", "high", "low", "close", "volume"])
        opened = datetime(2026, 3, 16, tzinfo=UTC)
        while opened <= NOW:
            rows.writerow([f"{opened:%Y-%m-%d %H:%M}", *price(opened).values()])
            opened += timedelta(hours=1)


def failure_of(kind: type[Exception], ask: Callable[[], object]) -> str:
    """Return the words of a failure, which must be exactly of this kind and hold no key."""
    with pytest.raises((SourceUnavailable, SourceRefused)) as failure:
        ask()
    assert type(failure.value) is kind, failure.value
    words = "".join(map(str, (failure.value, failure.value.__cause__, failure.value.__context__)))
    assert KEY not in words
    assert SECRET not in words
    return str(failure.value)


def test_the_bars_are_closed_aware_exact_and_in_order(any_desk: Desk) -> None:
    bars = any_desk.fetch()
    assert len(bars) == 10
    assert [bar.opened_at for bar in bars] == sorted(bar.opened_at for bar in bars)
    assert all(
        bar.opened_at.tzinfo is UTC and bar.closed_at - bar.opened_at == timedelta(hours=1) for bar in bars
    )
    assert all(
        isinstance(value, Decimal) for bar in bars for value in (bar.open, bar.high, bar.low, bar.close)
    )
    assert bars[-1].closed_at == NOW.replace(minute=0, second=0)
    if not any_desk.source.is_replay:
        assert [bar.close for bar in bars] == [Decimal(str(price(bar.opened_at)["close"])) for bar in bars]


@pytest.mark.parametrize("minutes", [0, 1, 59])
def test_the_forming_bar_is_never_given(any_desk: Desk, minutes: int) -> None:
    now = NOW.replace(minute=minutes, second=0)
    if any_desk.prices:
        any_desk.prices.now = now
    bars = any_desk.fetch(now=now)
    assert bars[-1].closed_at == now.replace(minute=0)


def test_only_what_was_asked_for_is_given(any_desk: Desk) -> None:
    whole = any_desk.fetch(20)
    since, until = whole[3].opened_at, whole[8].opened_at
    part = any_desk.source.fetch(any_desk.pair, any_desk.timeframe, since, until, now=NOW)
    assert list(part) == whole[3:8]


def test_each_request_asks_for_leave(desk: Desk) -> None:
    asked = []
    desk.fetch(asking=lambda: asked.append(1))
    assert desk.prices is not None
    assert len(asked) == len(desk.prices.requests) > 0


def test_nothing_is_asked_without_leave(desk: Desk) -> None:
    def refuse() -> None:
        raise AllowanceUsedUp("later")

    failure_of(AllowanceUsedUp, lambda: desk.fetch(asking=refuse))
    assert desk.prices is not None
    assert desk.prices.requests == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_service_that_cannot_now_is_down(desk: Desk, status: int) -> None:
    assert desk.prices is not None
    desk.prices.fault(FaultKind.ANSWER_BEFORE, status=status)
    failure_of(SourceDown, desk.fetch)
    assert len(desk.fetch()) == 10


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", [FaultKind.SILENCE_BEFORE, FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER])
def test_no_answer_is_down(desk: Desk, kind: FaultKind) -> None:
    assert desk.prices is not None
    desk.prices.fault(kind)
    failure_of(SourceDown, desk.fetch)
    assert len(desk.fetch()) == 10


@pytest.mark.parametrize("name", NETWORK)
def test_nobody_listens(name: str, free_port: int) -> None:
    address = f"http://127.0.0.1:{free_port}"
    sources: dict[str, tuple[BarSource, str]] = {
        "alpha_vantage": (AlphaVantage(KEY, address, (), "1 Min"), "EUR/USD"),
        "alpaca stocks": (AlpacaBars((KEY, SECRET), address, "iex", ()), "AAPL"),
        "alpaca coins": (AlpacaBars((KEY, SECRET), address, "iex", ()), "BTC/USD"),
        "kraken": (CcxtBars("kraken", address), "BTC/USD"),
    }
    source, pair = sources[name]
    failure_of(SourceDown, Desk(source=source, pair=pair).fetch)


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_that_is_none_is_a_failure_and_not_an_empty_one(desk: Desk, body: str) -> None:
    """The older system's collector expected a list, got an object, and every signal was dead (D7 item 14)."""
    assert desk.prices is not None
    desk.fetch()  # so that an exchange's markets are known
    desk.prices.fault(FaultKind.ANSWER_BEFORE, status=200, body=body)
    failure_of(SourceUnavailable, desk.fetch)
    assert len(desk.fetch()) == 10


def test_an_answer_without_end_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fetch()
    monkeypatch.setattr(line, "MOST_BYTES", 200)
    assert "more than" in failure_of(SourceUnavailable, desk.fetch)


def test_an_answer_in_drops_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fetch()
    monkeypatch.setattr(line, "WHOLE_SECONDS", 0.0)
    monkeypatch.setattr(line, "PIECE_BYTES", 50)
    failure_of(SourceDown, desk.fetch)


@pytest.mark.parametrize("value", ["NaN", "abc", None, [1], {}, True, "Infinity", "-1", ""])
def test_a_price_that_is_none_stays_with_its_own_bar(desk: Desk, value: object) -> None:
    assert desk.prices is not None
    opened = NOW.replace(hour=12, minute=0, second=0)
    desk.prices.given[opened] = {"close": value}
    bars = {bar.opened_at: bar for bar in desk.fetch()}
    assert len(bars) == 10
    assert not bars[opened].close.is_finite() or bars[opened].close < 0
    assert all(bar.close.is_finite() for at, bar in bars.items() if at != opened)


def test_a_bar_given_twice_is_handed_on_for_the_caller_to_judge(desk: Desk) -> None:
    assert desk.prices is not None
    desk.prices.twice = True
    bars = desk.fetch()
    assert len({bar.opened_at for bar in bars}) == 10
    # the names of an object, as Alpha Vantage has them, cannot come twice
    assert len(bars) == (10 if desk.source.name == "alpha_vantage" else 20)


def test_thousands_of_bars_come_whole(desk: Desk) -> None:
    assert desk.prices is not None
    desk.prices.page = 700
    timeframe = "15 Min"
    since = NOW - 2500 * length(timeframe)
    bars = desk.source.fetch(desk.pair, timeframe, since, NOW, now=NOW)
    kind, start = market_of(desk.pair).kind, opening(NOW, timeframe)
    there = [start - n * length(timeframe) for n in range(1, 2501)]
    expected = [at for at in reversed(there) if may_be(kind, timeframe, at) and at >= since]
    # Kraken has no more than its newest 720, one of which is forming
    assert [bar.opened_at for bar in bars] == (expected[-719:] if desk.source.name == "kraken" else expected)


def test_a_stretch_without_any_bar_is_stepped_over(desk: Desk) -> None:
    assert desk.prices is not None
    desk.prices.first = NOW - timedelta(hours=5)
    assert len(desk.fetch(400)) == 5


def test_a_pair_that_is_not_there_is_refused_or_empty(desk: Desk) -> None:
    if "alpaca" in desk.source.name:
        assert Desk(source=desk.source, pair="AAPL").source.fetch("AAPL", "1 Hour", NOW, NOW, now=NOW) == []
        return
    pair = "EUR/CZK" if desk.source.name == "alpha_vantage" else "NOSUCH/USD"
    failure_of(
        SourceRefused, lambda: desk.source.fetch(pair, "1 Hour", NOW - timedelta(hours=9), NOW, now=NOW)
    )
    assert len(desk.fetch()) == 10


def test_alpha_vantages_notes_ask_to_wait_and_are_no_bars() -> None:
    with alpha_vantage_desk() as desk:
        assert desk.prices is not None
        for body in (
            '{"Note": "Thank you! Our standard API call frequency is 5 calls per minute and 500 calls per day."}',
            f'{{"Information": "We have detected your API key as {KEY} and our standard API rate limit is 25'
            f' requests per day."}}',
            '{"Information": "Please consider spreading out your free API requests more sparingly."}',
        ):
            desk.prices.fault(FaultKind.ANSWER_BEFORE, status=200, body=body)
            assert "asks us to wait" in failure_of(SourceDown, desk.fetch)
        desk.prices.fault(FaultKind.ANSWER_BEFORE, status=200, body='{"Error Message": "Invalid API call."}')
        assert "Invalid API call" in failure_of(SourceRefused, desk.fetch)


def test_a_free_key_gets_days_alone_and_is_told_so() -> None:
    with alpha_vantage_desk() as desk:
        assert desk.prices is not None
        desk.prices.paid = False
        assert "ALPHA_VANTAGE_SHORTEST_TIMEFRAME=1 Day" in failure_of(SourceRefused, desk.fetch)
        since = NOW - timedelta(days=600)
        days = desk.source.fetch("EUR/USD", "1 Day", since, NOW, now=NOW)
        assert len(days) == 99
        assert [request.query["outputsize"] for request in desk.prices.requests[-2:]] == ["full", "compact"]


def test_alpha_vantage_in_another_zone_is_not_believed() -> None:
    with alpha_vantage_desk() as desk:
        assert desk.prices is not None
        body = '{"Meta Data": {"6. Time Zone": "US/Eastern"}, "Time Series FX (60min)": {}}'
        desk.prices.fault(FaultKind.ANSWER_BEFORE, status=200, body=body)
        assert "US/Eastern, not UTC" in failure_of(SourceUnavailable, desk.fetch)


@pytest.mark.parametrize("month", [1, 3, 7, 11])
def test_a_stocks_day_bears_its_date_whatever_new_yorks_clock_says(month: int) -> None:
    with stock_desk() as desk:
        now = datetime(2026, month, 18, 15, 0, tzinfo=UTC)
        assert desk.prices is not None
        desk.prices.now = now
        bars = desk.source.fetch("AAPL", "1 Day", now - timedelta(days=20), now, now=now)
        days = [now.replace(hour=0) - timedelta(days=back) for back in range(19, 0, -1)]
        assert [bar.opened_at for bar in bars] == [day for day in days if day.weekday() < 5]


def test_a_pair_with_a_slash_is_asked_for_in_the_query() -> None:
    """The older system put it into the path, which ended at the slash (D7 item 14)."""
    with coin_desk() as desk:
        desk.fetch()
        assert desk.prices is not None
        (request,) = desk.prices.requests
        assert (request.path, request.query["symbols"]) == ("/v1beta3/crypto/us/bars", "BTC/USD")


def test_a_plan_that_lacks_the_feed_is_refused_in_alpacas_words() -> None:
    with price_server(NOW) as (url, prices):
        prices.paid = False
        desk = Desk(source=AlpacaBars((KEY, SECRET), url, "sip", ()), pair="AAPL")
        assert "does not permit querying recent SIP data" in failure_of(SourceRefused, desk.fetch)
        wrong = Desk(source=AlpacaBars(("another key", SECRET), url, "iex", ()), pair="AAPL")
        assert failure_of(SourceRefused, wrong.fetch) == "Alpaca refuses (HTTP 403): forbidden, ***."


def test_keys_that_are_not_set_are_named() -> None:
    nowhere = "http://127.0.0.1:1"
    words = failure_of(
        SourceRefused, Desk(source=AlphaVantage("", nowhere, (), "1 Min"), pair="EUR/USD").fetch
    )
    assert "ALPHA_VANTAGE_API_KEY" in words
    words = failure_of(
        SourceRefused, Desk(source=AlpacaBars(("", ""), nowhere, "iex", ()), pair="AAPL").fetch
    )
    assert "ALPACA_DATA_KEY_ID" in words


def test_an_exchange_keeps_the_markets_that_were_asked_for_and_no_others() -> None:
    with kraken_desk() as desk:
        assert desk.prices is not None
        desk.fetch()
        desk.fetch()
        assert [request.path for request in desk.prices.requests].count("/0/public/AssetPairs") == 1


def test_the_timeframes_of_a_source_are_those_it_answers(desk: Desk) -> None:
    given = desk.source.timeframes(desk.pair)
    assert sorted(given, key=length) == list(given)
    for timeframe in {"1 Min", "15 Min", "1 Hour", "1 Day"} & set(given):
        since = opening(NOW, timeframe) - 3 * length(timeframe)
        assert len(desk.source.fetch(desk.pair, timeframe, since, NOW, now=NOW)) >= 2
