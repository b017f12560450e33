"""What a signal wants, when it is a part of an exit, and when it contradicts itself."""

from decimal import Decimal

import pytest

from core.signal import Action, Level, LevelKind, PositionSide, QuantityMode, Signal

LONG, SHORT, FLAT = PositionSide.LONG, PositionSide.SHORT, PositionSide.FLAT


def signal(action, after=None, *, before=None, contracts=None, size=None, mode=QuantityMode.UNITS):
    return Signal(
        action=action,
        symbol="AAPL",
        position_after=after,
        position_before=before,
        quantity=None if contracts is None else Decimal(contracts),
        quantity_mode=mode,
        position_size=None if size is None else Decimal(size),
    )


@pytest.mark.parametrize(
    ("action", "after", "wanted"),
    [
        (Action.BUY, None, LONG),
        (Action.SELL, None, SHORT),
        (Action.CLOSE, None, FLAT),
        (Action.BUY, FLAT, FLAT),
        (Action.SELL, FLAT, FLAT),
        (Action.SELL, LONG, LONG),
    ],
)
def test_the_stated_position_beats_the_action(action, after, wanted):
    assert signal(action, after).wanted is wanted


@pytest.mark.parametrize(
    ("sent", "fraction"),
    [
        (signal(Action.SELL, LONG, contracts=5, size=15), "0.25"),
        (signal(Action.SELL, LONG, before=LONG, contracts=5, size=15), "0.25"),
        (signal(Action.BUY, SHORT, contracts=5, size=-5), "0.5"),
        (signal(Action.CLOSE, LONG, contracts=1, size=9), "0.1"),
        (signal(Action.CLOSE, contracts=50, mode=QuantityMode.PERCENT_OF_POSITION), "0.5"),
        (signal(Action.SELL, LONG, contracts=30, mode=QuantityMode.PERCENT_OF_POSITION), "0.3"),
    ],
)
def test_partial_exits(sent, fraction):
    assert sent.is_partial_exit
    assert sent.partial_exit_fraction == Decimal(fraction)
    assert sent.contradiction is None


@pytest.mark.parametrize(
    "sent",
    [
        signal(Action.BUY, contracts=5, size=5),
        signal(Action.BUY, LONG, before=LONG, contracts=5, size=15),
        signal(Action.SELL, FLAT, before=LONG, contracts=5, size=0),
        signal(Action.SELL, SHORT, before=LONG, contracts=10, size=-5),
        signal(Action.SELL, SHORT, before=LONG, contracts=10, size=5),
        signal(Action.CLOSE, contracts=5),
        signal(Action.CLOSE, contracts=100, mode=QuantityMode.PERCENT_OF_POSITION),
    ],
)
def test_whole_moves_are_no_partial_exits_and_no_contradictions(sent):
    assert not sent.is_partial_exit
    assert sent.partial_exit_fraction is None
    assert sent.contradiction is None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (signal(Action.SELL, LONG), "quantity"),
        (signal(Action.BUY, SHORT), "quantity"),
        (signal(Action.CLOSE, LONG), "quantity"),
        (signal(Action.SELL, LONG, contracts=5), "position_size"),
        (signal(Action.SELL, LONG, contracts=5, size=5, mode=QuantityMode.NOTIONAL), "position_size"),
        (signal(Action.SELL, LONG, before=FLAT, contracts=5, size=5), "quantity"),
        (signal(Action.SELL, LONG, before=SHORT, contracts=5, size=5), "quantity"),
        (signal(Action.BUY, LONG, size=-5), "its size is -5"),
        (signal(Action.BUY, LONG, size=0), "its size is 0"),
        (signal(Action.SELL, FLAT, size=3), "its size is 3"),
        (signal(Action.SELL, SHORT, size=0), "its size is 0"),
    ],
)
def test_contradictions_are_a_sentence(sent, said):
    assert said in sent.contradiction


def test_levels_lie_on_their_side_of_the_entry():
    level = Level(kind=LevelKind.AMOUNT, value=Decimal(3))
    entry = Decimal(100)
    assert (level.stop_price(entry, LONG), level.target_price(entry, LONG)) == (97, 103)
    assert (level.stop_price(entry, SHORT), level.target_price(entry, SHORT)) == (103, 97)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="above zero"):
        Level(kind=LevelKind.PRICE, value=Decimal(0))
    with pytest.raises(ValueError, match="distance"):
        Level(kind=LevelKind.PRICE, value=Decimal(1), trailing=True)
    with pytest.raises(ValueError, match="limit_price"):
        Signal(action=Action.BUY, symbol="AAPL", limit_price=Decimal(1))
