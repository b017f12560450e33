"""What a trade is worth, against a table worked out by hand, and that long and short mirror each other."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pips import CURRENCIES, Direction, market_of
from core.tracked_trade import Levels, Result
from core.trade_outcome import outcome, quoted_pair, rate_pairs, reward_to_risk

LONG, SHORT = Direction.LONG, Direction.SHORT
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRICES = {
    "EUR/USD": Decimal("1.10"),
    "GBP/USD": Decimal("1.25"),
    "USD/JPY": Decimal("150"),
    "USD/CHF": Decimal("0.80"),
}


def levels(pair, direction, entry):
    entry = Decimal(entry)
    below, above = entry / 2, entry * 2
    stop, target = (below, above) if direction is LONG else (above, below)
    return Levels(
        market=market_of(pair), direction=direction, entry=entry, stop=stop, target=target, entered_at=NOON
    )


@pytest.mark.parametrize(
    ("pair", "direction", "entry", "price", "lots", "currency", "steps", "profit"),
    [
        ("EUR/USD", LONG, "1.0854", "1.0962", "0.1", "USD", "108", "108.00"),
        ("EUR/USD", LONG, "1.0854", "1.0962", "0.5", "USD", "108", "540.00"),
        ("EUR/USD", LONG, "1.0854", "1.0800", "0.1", "USD", "-54", "-54.00"),
        ("EUR/USD", SHORT, "1.0854", "1.0800", "0.1", "USD", "54", "54.00"),
        # 108 of a dollar each, put into euros at the trade's own price: 108 / 1.0962
        ("EUR/USD", LONG, "1.0854", "1.0962", "0.1", "EUR", "108", "98.52"),
        # 54 x 1,000 yen x 0.1 = 5,400 yen, at the trade's own price: / 150.54
        ("USD/JPY", LONG, "150.00", "150.54", "0.1", "USD", "54", "35.87"),
        # 80 x 1,000 yen x 1 = 80,000 yen / 150
        ("EUR/JPY", SHORT, "165.80", "165.00", "1", "USD", "80", "533.33"),
        # the same in euros: 80,000 / 165.00, by the trade's own pair
        ("EUR/JPY", SHORT, "165.80", "165.00", "1", "EUR", "80", "484.85"),
        # 20 x 10 pounds x 0.5 = 100 pounds x 1.25
        ("EUR/GBP", LONG, "0.8500", "0.8520", "0.5", "USD", "20", "125.00"),
        # 20 x 10 francs = 200 francs / 0.80, then x 1 / 1.10
        ("GBP/CHF", LONG, "1.0000", "1.0020", "1", "EUR", "20", "227.27"),
        ("EUR/JPY", SHORT, "165.80", "165.00", "1", "JPY", "80", "80000.00"),
        ("BTC/USD", LONG, "60000", "60410.50", "0.25", "USD", "41050", "102.62"),
        ("AAPL", SHORT, "200", "201.50", "10", "USD", "-150", "-15.00"),
        ("EUR/SEK", LONG, "11.2000", "11.2100", "1", "USD", "100", None),
    ],
)
def test_worth_is_what_was_worked_out_by_hand(pair, direction, entry, price, lots, currency, steps, profit):
    found = outcome(levels(pair, direction, entry), Decimal(lots), currency, Decimal(price), PRICES)
    assert (found.steps, found.profit) == (Decimal(steps), profit and Decimal(profit))


@pytest.mark.parametrize(
    ("price", "result"), [("1.0855", "win"), ("1.08545", "breakeven"), ("1.0853", "loss")]
)
def test_a_win_is_a_pip_at_least(price, result):
    found = outcome(levels("EUR/USD", LONG, "1.0854"), Decimal(1), "USD", Decimal(price), {})
    assert found.result is Result(result)


prices = st.decimals("0.5", "200", places=5)


@given(
    st.sampled_from(sorted(CURRENCIES)), st.sampled_from(sorted(CURRENCIES)), st.sampled_from(["USD", "EUR", "JPY"]),
    prices, prices, st.decimals("0.01", "100", places=2),
)  # fmt: skip
def test_a_long_wins_what_a_short_loses(base, quote, currency, entry, price, lots):
    if base == quote:
        return
    won, lost = (
        outcome(levels(f"{base}/{quote}", direction, entry), lots, currency, price, PRICES)
        for direction in (LONG, SHORT)
    )
    assert won.steps == -lost.steps
    assert won.percentage == -lost.percentage
    assert (won.profit is None) == (lost.profit is None)
    assert won.profit is None or won.profit == -lost.profit
    mirrored = {Result.WIN: Result.LOSS, Result.LOSS: Result.WIN, Result.BREAKEVEN: Result.BREAKEVEN}
    assert lost.result is mirrored[won.result]


@given(prices, prices, st.decimals("0.01", "100", places=2), st.sampled_from([LONG, SHORT]))
def test_money_and_pips_never_disagree_about_their_sign(entry, price, lots, direction):
    found = outcome(levels("EUR/USD", direction, entry), lots, "USD", price, {})
    assert found.profit * found.steps >= 0


def test_reward_to_risk_is_of_the_distances():
    assert reward_to_risk(Decimal("1.0854"), Decimal("1.0800"), Decimal("1.0962")) == 2


def test_the_pairs_that_give_a_rate():
    assert rate_pairs(market_of("EUR/USD"), "USD") == frozenset()
    assert {"USD/JPY", "EUR/USD"} <= rate_pairs(market_of("GBP/JPY"), "EUR")
    assert (quoted_pair("USD", "EUR"), quoted_pair("JPY", "USD")) == ("EUR/USD", "USD/JPY")
