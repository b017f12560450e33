from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.instrument import Quote
from core.order import Fill, Side
from core.position import Position
from core.protection import Protection
from core.risk import PriceFault, RiskKind, RiskTrigger, Watched, assess, exit_price, loss_percent
from core.signal import PositionSide
from tests.unit.examples import APPLE, BITCOIN, BOT, NOW


def held(quantity: str, average: str = "100") -> Position:
    return Position(quantity=Decimal(quantity), average_price=Decimal(average), opened_at=NOW)


LONG, SHORT = held("10"), held("-10")


def watched(
    position: Position,
    price: str,
    *,
    stop: str | None = None,
    target: str | None = None,
    risk_limit: str | None = None,
    daily_limit: str | None = None,
    **facts: Any,
) -> Watched:
    def amount(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    values: dict[str, Any] = {"instrument": APPLE, "price_at": NOW} | facts
    return Watched(
        bot=replace(BOT, risk_limit_percent=amount(risk_limit), daily_loss_limit=amount(daily_limit)),
        position=position,
        protection=Protection(stop_price=amount(stop), target_price=amount(target)),
        price=Decimal(price),
        **values,
    )


@pytest.mark.parametrize(
    ("position", "price", "limits", "kind", "threshold", "actual"),
    [
        (LONG, "95.01", {"stop": "95"}, None, "", ""),
        (LONG, "95", {"stop": "95"}, RiskKind.STOP, "95", "95"),
        (LONG, "80", {"stop": "95"}, RiskKind.STOP, "95", "80"),
        (SHORT, "104.99", {"stop": "105"}, None, "", ""),
        (SHORT, "105", {"stop": "105"}, RiskKind.STOP, "105", "105"),
        (LONG, "109.99", {"target": "110"}, None, "", ""),
        (LONG, "110", {"target": "110"}, RiskKind.TARGET, "110", "110"),
        (SHORT, "90.01", {"target": "90"}, None, "", ""),
        (SHORT, "88", {"target": "90"}, RiskKind.TARGET, "90", "88"),
        # 10 % of the cost basis: at 90 for a long and at 110 for a short, not at 90.91 or 111.11.
        (LONG, "90.01", {"risk_limit": "10"}, None, "", ""),
        (LONG, "90", {"risk_limit": "10"}, RiskKind.RISK_LIMIT, "10", "10"),
        (SHORT, "109.99", {"risk_limit": "10"}, None, "", ""),
        (SHORT, "110", {"risk_limit": "10"}, RiskKind.RISK_LIMIT, "10", "10"),
        (LONG, "95.01", {"daily_limit": "50"}, None, "", ""),
        (LONG, "95", {"daily_limit": "50"}, RiskKind.DAILY_LOSS_LIMIT, "50", "50"),
        (SHORT, "106", {"daily_limit": "50"}, RiskKind.DAILY_LOSS_LIMIT, "50", "60"),
        (LONG, "100", {}, None, "", ""),
    ],
)
def test_thresholds(
    position: Position, price: str, limits: dict[str, str], kind: RiskKind | None, threshold: str, actual: str
) -> None:
    trigger = assess(watched(position, price, **limits), NOW)
    if kind is None:
        assert trigger is None
        return
    assert isinstance(trigger, RiskTrigger)
    assert (trigger.kind, trigger.threshold, trigger.actual) == (kind, Decimal(threshold), Decimal(actual))
    assert trigger.price == Decimal(price)


def test_todays_loss_counts_realized_and_the_mark_of_the_days_start() -> None:
    day: dict[str, Any] = {"realized_today": Decimal(-30), "day_start_unrealized": Decimal(40)}
    # 20 open now, 40 open at the day's start, 30 lost in between: 50 lost today.
    trigger = assess(watched(LONG, "102", daily_limit="50", **day), NOW)
    assert isinstance(trigger, RiskTrigger)
    assert trigger.actual == 50
    assert trigger.sentence == "The bot has lost 50.00 today; its daily loss limit is 50.00."
    assert assess(watched(LONG, "102.01", daily_limit="50", **day), NOW) is None


@pytest.mark.parametrize(
    ("price", "limits", "kind"),
    [
        # Stop and target crossed over: the price is through both.
        ("100", {"stop": "101", "target": "99"}, RiskKind.STOP),
        ("80", {"stop": "95", "risk_limit": "10", "daily_limit": "100"}, RiskKind.RISK_LIMIT),
        ("80", {"stop": "95", "daily_limit": "100"}, RiskKind.DAILY_LOSS_LIMIT),
        ("94", {"stop": "95", "risk_limit": "10", "daily_limit": "100"}, RiskKind.STOP),
    ],
)
def test_the_gravest_comes_first(price: str, limits: dict[str, str], kind: RiskKind) -> None:
    trigger = assess(watched(LONG, price, **limits), NOW)
    assert isinstance(trigger, RiskTrigger)
    assert trigger.kind is kind


EVERYTHING = {"stop": "99", "target": "101", "risk_limit": "1", "daily_limit": "1"}


@pytest.mark.parametrize("price", ["0", "-1"])
def test_a_price_of_zero_triggers_nothing(price: str) -> None:
    fault = assess(watched(LONG, price, **EVERYTHING), NOW)
    assert fault == PriceFault(sentence=f"The price of AAPL is {price}; its risk is not watched.")


def test_an_old_price_triggers_nothing() -> None:
    late = NOW + timedelta(seconds=60, milliseconds=1)
    assert isinstance(assess(watched(LONG, "50", **EVERYTHING), NOW + timedelta(seconds=60)), RiskTrigger)
    fault = assess(watched(LONG, "50", **EVERYTHING), late)
    assert isinstance(fault, PriceFault)
    assert "61 s old" in fault.sentence


def test_nothing_held_is_nothing_watched() -> None:
    assert assess(watched(Position(), "0", **EVERYTHING), NOW) is None
    dust = held("0.0005", "50000")
    assert assess(watched(dust, "1", **EVERYTHING, instrument=BITCOIN), NOW) is None


def test_entry_fees_are_part_of_the_loss() -> None:
    bought = Fill(side=Side.BUY, quantity=Decimal(10), price=Decimal(100), at=NOW, fee=Decimal(10))
    position = Position().apply(bought).position
    assert loss_percent(position, Decimal(101)) == 0
    assert loss_percent(position, Decimal("90.9")) == 10
    assert loss_percent(Position(), Decimal(100)) == 0


def test_the_price_is_what_we_could_get() -> None:
    quote = Quote(symbol="AAPL", bid=Decimal(99), ask=Decimal(101), at=NOW)
    assert exit_price(quote, PositionSide.LONG) == 99
    assert exit_price(quote, PositionSide.SHORT) == 101


DISTANCES = st.none() | st.decimals("0.01", "50", places=2)


@given(
    move=st.decimals("-60", "60", places=2),
    stop=DISTANCES,
    target=DISTANCES,
    risk_limit=DISTANCES,
    daily_limit=DISTANCES,
)
def test_long_and_short_mirror_each_other(
    move: Decimal,
    stop: Decimal | None,
    target: Decimal | None,
    risk_limit: Decimal | None,
    daily_limit: Decimal | None,
) -> None:
    def kind(position: Position, sign: int) -> RiskKind | None:
        facts = watched(position, str(100 + sign * move))
        facts = replace(
            facts,
            bot=replace(facts.bot, risk_limit_percent=risk_limit, daily_loss_limit=daily_limit),
            protection=Protection(
                stop_price=None if stop is None else 100 - sign * stop,
                target_price=None if target is None else 100 + sign * target,
            ),
        )
        trigger = assess(facts, NOW)
        assert not isinstance(trigger, PriceFault)
        return None if trigger is None else trigger.kind

    expected = None
    if risk_limit is not None and -move >= risk_limit:
        expected = RiskKind.RISK_LIMIT
    elif daily_limit is not None and -move * 10 >= daily_limit:
        expected = RiskKind.DAILY_LOSS_LIMIT
    elif stop is not None and -move >= stop:
        expected = RiskKind.STOP
    elif target is not None and move >= target:
        expected = RiskKind.TARGET
    assert kind(LONG, 1) == kind(SHORT, -1) == expected
