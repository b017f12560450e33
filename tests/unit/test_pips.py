"""Pips, points and what they are worth, against a table worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pips import CURRENCIES, Direction, MarketKind, market_of, pip_value, rate_between

PRICES = {
    "EUR/USD": Decimal("1.10"),
    "GBP/USD": Decimal("1.25"),
    "NZD/USD": Decimal("0.60"),
    "USD/JPY": Decimal("150"),
    "USD/CHF": Decimal("0.80"),
    "BTC/USD": Decimal("60000"),
}
LONG, SHORT = Direction.LONG, Direction.SHORT


@pytest.mark.parametrize(
    ("pair", "currency", "worked_out"),
    [
        # 0.0001 x 100,000 = 10 of the quote currency; 0.01 x 100,000 = 1,000 yen
        ("EUR/USD", "USD", "10"),
        ("GBP/USD", "USD", "10"),
        ("USD/JPY", "USD", "6.67"),  # 1,000 / 150
        ("EUR/JPY", "USD", "6.67"),
        ("USD/CHF", "USD", "12.50"),  # 10 / 0.80
        ("EUR/GBP", "USD", "12.50"),  # 10 x 1.25
        ("AUD/NZD", "USD", "6.00"),  # 10 x 0.60
        ("EUR/USD", "EUR", "9.09"),  # 10 / 1.10
        ("EUR/GBP", "EUR", "11.36"),  # 12.50 / 1.10
        ("GBP/JPY", "EUR", "6.06"),  # 1,000 / 150 / 1.10
        ("EUR/JPY", "JPY", "1000"),
        ("BTC/USD", "USD", "0.01"),  # a point of one coin
        ("AAPL", "USD", "0.01"),
    ],
)
def test_a_pip_of_one_lot_is_worth_what_the_table_says(pair, currency, worked_out):
    value = pip_value(market_of(pair), currency, PRICES)
    assert round(value, 2) == Decimal(worked_out)


def test_without_a_price_there_is_no_value():
    assert pip_value(market_of("EUR/SEK"), "USD", PRICES) is None
    assert rate_between("SEK", "NOK", PRICES) is None


@pytest.mark.parametrize(
    ("direction", "price", "lots", "pips", "dollars"),
    [
        (LONG, "1.0962", "0.1", "108", "108"),
        (LONG, "1.0962", "0.5", "108", "540"),
        (LONG, "1.0800", "0.1", "-54", "-54"),
        (SHORT, "1.0800", "0.1", "54", "54"),
        (LONG, "1.08965", "0.1", "42.5", "42.5"),
        (LONG, "1.0854", "1", "0", "0"),
    ],
)
def test_the_figures_of_the_source_description(direction, price, lots, pips, dollars):
    market, entry = market_of("EUR/USD"), Decimal("1.0854")
    assert market.steps(direction, entry, Decimal(price)) == Decimal(pips)
    assert market.profit(direction, entry, Decimal(price), Decimal(lots)) == Decimal(dollars)


def test_yen_count_a_hundred_times_larger_pips():
    market = market_of("USD/JPY")
    assert market.steps(LONG, Decimal("150.00"), Decimal("150.54")) == 54
    profit = market.profit(LONG, Decimal("150.00"), Decimal("150.54"), Decimal("0.1"))
    assert profit == 5400
    assert round(profit * rate_between("JPY", "USD", PRICES), 2) == 36


@pytest.mark.parametrize(
    ("pair", "kind", "unit", "shown"),
    [
        ("eur/usd", MarketKind.FOREX, "pips", "1.08540"),
        ("USD/JPY", MarketKind.FOREX, "pips", "1.0854"),
        ("BTC/USDT", MarketKind.CRYPTO, "points", "1.0854"),
        ("AAPL", MarketKind.STOCK, "points", "1.0854"),
    ],
)
def test_a_market_is_known_by_its_name(pair, kind, unit, shown):
    market = market_of(pair)
    assert (market.kind, market.unit, market.shown(Decimal("1.0854"))) == (kind, unit, shown)


@pytest.mark.parametrize(
    ("pair", "price", "shown"),
    [
        ("XRP/USD", "1.2363", "1.2363"),
        ("XRP/USD", "1.5", "1.5000"),
        ("BTC/USD", "64000.5", "64000.50"),
        ("BTC/USD", "64000.123456789", "64000.12"),
        ("DOGE/USD", "0.17088", "0.17088"),
        ("PEPE/USD", "0.0000123456", "0.0000123456"),
        ("SHIB/USD", "0.00001", "0.000010000"),
        ("AAPL", "227.4833", "227.483"),
        ("AAPL", "227.40000", "227.40"),
        ("BTC/USD", "0", "0.0000"),
        ("USD/JPY", "150.123456", "150.123"),
        ("EUR/USD", "1.0854321", "1.08543"),
        ("JPY/USD", "0.0065432", "0.0065432"),
    ],
)
def test_a_price_is_shown_with_the_digits_that_tell_it_from_others(pair, price, shown):
    market = market_of(pair)
    assert market.shown(Decimal(price)) == shown
    assert market.shown(Decimal(price), grouped=True).replace(",", "") == shown


@pytest.mark.parametrize("typed", ["EURUSD", "eurusd", " EURUSD "])
def test_two_currencies_in_one_word_are_a_pair_and_no_share(typed):
    assert market_of(typed) == market_of("EUR/USD")
    assert market_of("USDJPY").step == Decimal("0.01")
    assert market_of("GOOGLE").kind is MarketKind.STOCK
    assert market_of("EURUSD/JPY").quote == "JPY"


@pytest.mark.parametrize(
    "pair",
    [
        *(
            "",
            "EUR/",
            "/USD",
            "EUR/USD/X",
            "EUR USD",
            "E-U",
            "EUR/EUR",
            "EUREUR",
            "BTC/BTC",
            "²",
            "ＥＵＲ/USD",
        ),
        *("A" * 21, f"BTC/{'A' * 21}", "A" * 100_000),
    ],
)
def test_what_is_no_pair_is_told(pair):
    with pytest.raises(ValueError, match="write EUR/USD"):
        market_of(pair)


@given(
    st.sampled_from(sorted(CURRENCIES - {"USD"})),
    st.decimals("0.5", "200", places=3),
    st.decimals("0.5", "200", places=3),
    st.decimals("0.01", "100", places=2),
)
def test_a_long_wins_what_a_short_loses_and_pips_are_the_profit_counted(base, entry, price, lots):
    market = market_of(f"{base}/USD")
    won, lost = market.profit(LONG, entry, price, lots), market.profit(SHORT, entry, price, lots)
    assert won == -lost
    assert market.steps(LONG, entry, price) == -market.steps(SHORT, entry, price)
    value = pip_value(market, "USD", {})
    assert abs(market.steps(LONG, entry, price) * value * lots - won) <= value * lots / 20
