"""The simulated market is the same everywhere, moves gently, and keeps the exchange's hours."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.simulated_market import CRYPTO_PRICES, STOCK_PRICES, SimulatedMarket
from brokers.simulator.sessions import early_closings, easter, holidays, session_of, stock_clock
from core.errors import Rejected
from core.instrument import AssetClass

D = Decimal
ROOT = Path(__file__).resolve().parents[2]
MARKET = SimulatedMarket()
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
SYMBOLS = ["AAPL", "BRK.B", "ZZZZ", "BTC/USD", "SHIB/USD", "DOGE/USDT"]
MOMENTS = st.integers(0, 60 * 366 * 86_400).map(
    lambda n: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=n)
)
# Twice the steepest slope of the waves, the rest for rounding to the tick.
MOST_PER_SECOND = {AssetClass.STOCK: D("0.0003"), AssetClass.CRYPTO: D("0.0006")}


# Prices


def test_a_price_can_be_named() -> None:
    """Written down once: a change of the formula would move every user's simulated prices."""
    quote = MARKET.quote("AAPL", NOON)
    assert (quote.bid, quote.ask) == (D("210.65"), D("210.70"))


def test_another_process_sees_the_same_prices() -> None:
    code = (
        "from datetime import UTC, datetime\n"
        "from brokers.simulated_market import SimulatedMarket\n"
        f"for s in {SYMBOLS}: q = SimulatedMarket().quote(s, datetime(2026, 11, 20, 17, tzinfo=UTC));"
        " print(q.symbol, q.bid, q.ask)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    quotes = [MARKET.quote(symbol, NOON) for symbol in SYMBOLS]
    assert run.stdout.splitlines() == [f"{q.symbol} {q.bid} {q.ask}" for q in quotes]


def test_the_whole_second_has_one_price_in_every_time_zone() -> None:
    later = (NOON + timedelta(microseconds=999_999)).astimezone(ZoneInfo("Asia/Tokyo"))
    assert MARKET.quote("AAPL", later) == MARKET.quote("AAPL", NOON)


@given(st.sampled_from(SYMBOLS), MOMENTS)
def test_quotes_lie_on_ticks_with_a_spread(symbol: str, moment: datetime) -> None:
    quote, instrument = MARKET.quote(symbol, moment), MARKET.instrument(symbol)
    assert 0 < quote.bid < quote.ask
    assert quote.bid % instrument.tick(quote.bid) == 0
    assert quote.ask % instrument.tick(quote.ask) == 0
    assert (quote.ask - quote.bid) <= max(quote.bid * D("0.001"), 3 * instrument.tick(quote.ask))


@given(st.sampled_from(SYMBOLS), MOMENTS)
def test_a_second_moves_a_price_only_a_little(symbol: str, moment: datetime) -> None:
    before, after = MARKET.quote(symbol, moment), MARKET.quote(symbol, moment + timedelta(seconds=1))
    instrument = MARKET.instrument(symbol)
    most = before.middle * MOST_PER_SECOND[instrument.asset_class] + 2 * instrument.tick(before.ask)
    assert abs(after.middle - before.middle) <= most


@given(MOMENTS)
def test_well_known_prices_stay_near_their_level(moment: datetime) -> None:
    assert D(160) < MARKET.quote("AAPL", moment).middle < D(240)
    assert D(40_000) < MARKET.quote("BTC/USD", moment).middle < D(80_000)


def test_prices_move() -> None:
    seen = {MARKET.quote("AAPL", NOON + timedelta(minutes=n)).bid for n in range(60)}
    assert len(seen) > 20


def test_unknown_stocks_have_prices_of_their_own() -> None:
    prices = {MARKET.quote(symbol, NOON).bid for symbol in ("ABCD", "ABCE", "ABCF", "X")}
    assert len(prices) == 4
    assert all(D(5) < price < D(1000) for price in prices)


# Instruments


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("AAPL", "AAPL"),
        (" aapl ", "AAPL"),
        ("BRK.B", "BRK.B"),
        ("brk/b", "BRK.B"),
        ("BRKB", "BRK.B"),
        ("BTC/USD", "BTC/USD"),
        ("BTC-USDT", "BTC/USDT"),
        ("btcusdt.p", "BTC/USDT"),
        ("ETHUSDC", "ETH/USDC"),
    ],
)
def test_every_spelling_gives_the_canonical_one(spelling: str, canonical: str) -> None:
    assert MARKET.instrument(spelling).symbol == canonical
    assert MARKET.quote(spelling, NOON) == MARKET.quote(canonical, NOON)


@pytest.mark.parametrize("symbol", ["", "EURUSD", "TOOLONG", "FOOUSD", "A1", "ÄÖ", "/"])
def test_what_is_outside_the_universe_is_rejected(symbol: str) -> None:
    with pytest.raises(Rejected):
        MARKET.instrument(symbol)


def test_stocks_and_crypto_have_alpacas_rules() -> None:
    stock, crypto = MARKET.instrument("AAPL"), MARKET.instrument("BTC/USD")
    assert (stock.shortable, crypto.shortable) == (True, False)
    assert (stock.quantity_step, stock.short_quantity_step) == (D("0.000000001"), D(1))
    assert (stock.minimum_notional, crypto.minimum_notional) == (D(1), D(10))
    assert (crypto.base_asset, crypto.quote_asset, stock.base_asset) == ("BTC", "USD", None)
    assert crypto.minimum_quantity == D("0.00001")


def test_every_listed_symbol_is_in_the_universe() -> None:
    assert all(MARKET.instrument(s).asset_class is AssetClass.STOCK for s in STOCK_PRICES)
    assert all(MARKET.instrument(f"{s}USD").base_asset == s for s in CRYPTO_PRICES)


# Hours


@pytest.mark.parametrize(
    ("year", "closed"),
    [
        (2021, "0101 0118 0215 0402 0531 0705 0906 1125 1224"),
        (2022, "0117 0221 0415 0530 0620 0704 0905 1124 1226"),
        (2023, "0102 0116 0220 0407 0529 0619 0704 0904 1123 1225"),
        (2024, "0101 0115 0219 0329 0527 0619 0704 0902 1128 1225"),
        (2025, "0101 0120 0217 0418 0526 0619 0704 0901 1127 1225"),
        (2026, "0101 0119 0216 0403 0525 0619 0703 0907 1126 1225"),
        (2027, "0101 0118 0215 0326 0531 0618 0705 0906 1125 1224"),
    ],
)
def test_holidays_are_those_the_exchange_published(year: int, closed: str) -> None:
    """Sources: the exchange's calendars, where 2022-01-01 (a Saturday) was not made up for."""
    assert sorted(day.strftime("%m%d") for day in holidays(year)) == closed.split()


@pytest.mark.parametrize(
    ("year", "early"),
    [
        (2023, "0703 1124"),
        (2024, "0703 1129 1224"),
        (2025, "0703 1128 1224"),
        (2026, "1127 1224"),
    ],
)
def test_early_closings_are_those_the_exchange_published(year: int, early: str) -> None:
    assert sorted(day.strftime("%m%d") for day in early_closings(year)) == early.split()


@pytest.mark.parametrize(
    "sunday", [date(1961, 4, 2), date(2000, 4, 23), date(2024, 3, 31), date(2038, 4, 25), date(2049, 4, 18)]
)
def test_easter(sunday: date) -> None:
    assert easter(sunday.year) == sunday


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "is_open", "next_open", "next_close"),
    [
        ("2026-11-20 14:29:59", False, "2026-11-20 14:30", "2026-11-20 21:00"),
        ("2026-11-20 14:30", True, "2026-11-23 14:30", "2026-11-20 21:00"),
        ("2026-11-20 20:59:59", True, "2026-11-23 14:30", "2026-11-20 21:00"),
        ("2026-11-20 21:00", False, "2026-11-23 14:30", "2026-11-23 21:00"),
        ("2026-11-21 12:00", False, "2026-11-23 14:30", "2026-11-23 21:00"),
        ("2026-11-26 15:00", False, "2026-11-27 14:30", "2026-11-27 18:00"),
        ("2026-11-27 17:00", True, "2026-11-30 14:30", "2026-11-27 18:00"),
        ("2026-07-01 13:30", True, "2026-07-02 13:30", "2026-07-01 20:00"),
        ("2026-03-06 22:00", False, "2026-03-09 13:30", "2026-03-09 20:00"),
    ],
)
def test_stock_sessions(now: str, is_open: bool, next_open: str, next_close: str) -> None:
    """Also over a week-end, a holiday, an early closing and the change to summer time."""
    clock = stock_clock(utc(now))
    assert (clock.is_open, clock.next_open, clock.next_close) == (is_open, utc(next_open), utc(next_close))


@given(MOMENTS)
def test_the_clock_agrees_with_itself(moment: datetime) -> None:
    clock = MARKET.clock(AssetClass.STOCK, moment)
    assert clock.next_open is not None
    assert clock.next_close is not None
    assert clock.next_open > moment
    assert clock.next_close > moment
    assert (clock.next_close < clock.next_open) == clock.is_open
    assert stock_clock(clock.next_open).is_open
    assert not stock_clock(clock.next_close).is_open


def test_crypto_never_closes() -> None:
    clock = MARKET.clock(AssetClass.CRYPTO, utc("2026-12-25 03:00"))
    assert (clock.is_open, clock.next_open, clock.next_close) == (True, None, None)


def test_a_holiday_has_no_session() -> None:
    assert session_of(date(2026, 11, 26)) is None
