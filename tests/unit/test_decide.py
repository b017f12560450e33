from dataclasses import replace
from decimal import Decimal

import pytest

from core.decide import Holding, decide
from core.plan import Await, Code, LegPurpose, Plan
from core.signal import Action, PositionSide, Signal
from tests.unit.examples import BOT

LONG, SHORT, FLAT = PositionSide.LONG, PositionSide.SHORT, PositionSide.FLAT


def told(
    held: PositionSide,
    named: PositionSide | None,
    after: PositionSide | None = None,
    source: str = "discord:1",
) -> Plan:
    signal = Signal(action=Action.CLOSE, symbol="BTC-USDT", position_before=named, position_after=after)
    decision = decide(
        bot=replace(BOT, own_exit=None, source=source),
        holding=Holding(side=held, quantity=Decimal(held.sign)),
        open_orders=(),
        signal=signal,
        no_shorts=None,
    )
    assert not isinstance(decision, Await)
    return decision


@pytest.mark.parametrize(
    ("held", "named", "closes"),
    [
        (LONG, None, True),
        (SHORT, None, True),
        (LONG, LONG, True),
        (SHORT, SHORT, True),
        (SHORT, LONG, False),
        (LONG, SHORT, False),
    ],
)
def test_a_close_that_names_its_side_leaves_the_other_alone(
    held: PositionSide, named: PositionSide | None, closes: bool
) -> None:
    plan = told(held, named)
    assert [leg.purpose for leg in plan.legs] == ([LegPurpose.CLOSE] if closes else [])
    assert plan.missed_alert is None
    if not closes:
        assert plan.skip is not None
        assert plan.skip.code is Code.ALREADY_FLAT
        assert plan.skip.sentence == f"The signal closes a {named}; the bot holds a {held}."


def test_a_strategy_that_states_what_it_holds_afterwards_is_followed() -> None:
    plan = told(SHORT, LONG, FLAT, source="tradingview")
    assert [leg.purpose for leg in plan.legs] == [LegPurpose.CLOSE]
    assert plan.missed_alert is not None


@pytest.mark.parametrize(("source", "opens"), [("tradingview", False), ("discord:1", True)])
def test_after_our_own_exit_a_message_of_people_opens_where_a_strategys_alert_ends_its_trade(
    source: str, opens: bool
) -> None:
    decision = decide(
        bot=replace(BOT, own_exit=LONG, source=source),
        holding=Holding(side=FLAT, quantity=Decimal(0)),
        open_orders=(),
        signal=Signal(action=Action.SELL, symbol="BTC-USDT"),
        no_shorts=None,
    )
    assert not isinstance(decision, Await)
    assert bool(decision.legs) == opens
    assert (decision.skip is None) == opens


def test_a_close_of_what_is_not_held_tells_of_no_lost_alert() -> None:
    plan = told(FLAT, SHORT)
    assert plan.missed_alert is None
    assert plan.skip is not None
    assert plan.skip.code is Code.ALREADY_FLAT
