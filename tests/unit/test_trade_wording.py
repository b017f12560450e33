"""What people read of their trades, to the letter."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core import trade_wording
from core.pips import Direction, market_of
from core.tracked_trade import CloseReason, Levels
from core.trade_outcome import outcome
from core.trade_wording import Told, duration, money, steps

ENTERED = datetime(2026, 11, 20, 12, tzinfo=UTC)
LASTED = timedelta(hours=1, minutes=43, seconds=59)


def told(source="csv", currency="USD"):
    return Told(
        trade_id=12,
        market=market_of("EUR/USD"),
        direction=Direction.LONG,
        lots=Decimal("0.10"),
        currency=currency,
        entered_at=ENTERED,
        source=source,
    )


def worth(price, currency="USD"):
    levels = Levels(
        market=market_of("EUR/USD"),
        direction=Direction.LONG,
        entry=Decimal("1.0854"),
        stop=Decimal("1.0800"),
        target=Decimal("1.0962"),
        entered_at=ENTERED,
    )
    return outcome(levels, Decimal("0.1"), currency, Decimal(price), {})


@pytest.mark.parametrize(
    ("reason", "price", "words"),
    [
        (CloseReason.TARGET, "1.0962", "✅ Take Profit Hit! +108 pips (+$108)"),
        (CloseReason.STOP, "1.0800", "❌ Stop Loss Hit! −54 pips (−$54)"),
        (CloseReason.STOP, "1.0899", "✅ Stop Loss Hit! +45 pips (+$45)"),
        (CloseReason.TIME, "1.0857", "⏰ Time limit reached: +3 pips (+$3)"),
        (CloseReason.BY_HAND, "1.08545", "✋ Closed by hand: +0.5 pips (+$0.50)"),
        (CloseReason.BY_HAND, "1.0854", "✋ Closed by hand: 0 pips ($0)"),
        (CloseReason.BY_HAND, "1.0855", "✋ Closed by hand: +1 pip (+$1)"),
    ],
)
def test_the_end_of_a_trade(reason, price, words):
    first, second = trade_wording.closed(told(), reason, worth(price), ENTERED + LASTED).split("\n")
    assert first == words
    assert second == "Trade #12 · EUR/USD LONG 0.1 lots · 1h 43m"


def test_a_trade_that_runs():
    message = trade_wording.running(told(), worth("1.0896"), ENTERED + LASTED)
    assert message.split("\n")[0] == "📊 Trade still running: +42 pips (+$42)"


def test_what_comes_of_a_recording_says_so():
    message = trade_wording.running(told("replay"), worth("1.0896"), ENTERED + LASTED)
    assert "REPLAY" in message


def test_money_without_a_rate_is_said_to_be_unknown():
    message = trade_wording.running(told(currency="CHF"), worth("1.0896", "CHF"), ENTERED + LASTED)
    assert message.startswith("📊 Trade still running: +42 pips (in CHF unknown: no rate is known)")


@pytest.mark.parametrize(
    ("value", "currency", "words"),
    [
        ("1080", "USD", "+$1,080"),
        ("-54.5", "EUR", "−€54.50"),
        ("12.30", "CHF", "+12.30 CHF"),
        ("-80000", "JPY", "−¥80,000"),
        ("0", "USD", "$0"),
    ],
)
def test_money_has_its_sign_first(value, currency, words):
    assert money(Decimal(value), currency) == words


def test_points_are_called_points():
    assert steps(Decimal("-150.0"), "points") == "−150 points"


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=59), "0m"),
        (timedelta(minutes=43), "43m"),
        (timedelta(hours=1, minutes=43), "1h 43m"),
        (timedelta(days=2, hours=4, minutes=59), "2d 4h"),
        (timedelta(minutes=-5), "0m"),
    ],
)
def test_a_duration_has_two_units(span, words):
    assert duration(span) == words
