from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bot import SizeMode
from core.instrument import Quote
from core.order import OrderType, Side
from core.plan import Code, Refusal
from core.protection import Protection, protection_for
from core.signal import Action, Level, LevelKind, QuantityMode, Signal
from core.size import Size, SizeRequest, entry_price, exit_quantity, is_tradable, proposed_size, split_at_zero
from tests.unit.examples import APPLE, BITCOIN, BOT, CONNECTION, NOW


def request(
    *,
    side: Side = Side.BUY,
    price: str = "100",
    bot: dict[str, Any] | None = None,
    connection: dict[str, Any] | None = None,
    instrument: dict[str, Any] | None = None,
    **rest: Any,
) -> SizeRequest:
    facts: dict[str, Any] = {"equity": Decimal(50000), "buying_power": Decimal(100000)} | rest
    return SizeRequest(
        bot=replace(BOT, **(bot or {})),
        connection=replace(CONNECTION, **(connection or {})),
        instrument=replace(APPLE, **(instrument or {})),
        side=side,
        price=Decimal(price),
        **facts,
    )


def size_of(**facts: Any) -> Size:
    size = proposed_size(request(**facts))
    assert isinstance(size, Size)
    return size


RISK_ONE_PERCENT = {"size_mode": SizeMode.RISK_PERCENT, "position_size": Decimal(1)}


@pytest.mark.parametrize(
    ("facts", "quantity"),
    [
        pytest.param({"price": "143.12"}, "34.935", id="5000 / 143.12 = 34.9357"),
        pytest.param({"price": "143.12", "side": Side.SELL}, "34", id="no fractional shorts"),
        pytest.param(
            {"bot": {"size_mode": SizeMode.UNITS, "position_size": Decimal("12.3456")}}, "12.345", id="units"
        ),
        pytest.param(
            {"bot": RISK_ONE_PERCENT, "stop_price": Decimal(96)}, "125", id="500 at risk, 4 a share"
        ),
        pytest.param(
            {"bot": RISK_ONE_PERCENT, "stop_price": Decimal("103"), "side": Side.SELL},
            "166",
            id="500 / 3, short",
        ),
        pytest.param(
            {"connection": {"allow_netting": True}, "price": "143.12"}, "34", id="whole with netting"
        ),
    ],
)
def test_size_by_mode(facts: dict[str, Any], quantity: str) -> None:
    size = size_of(**facts)
    assert size.quantity == Decimal(quantity)
    assert size.caps == ()


@pytest.mark.parametrize(
    ("mode", "amount", "quantity"),
    [
        (QuantityMode.UNITS, "7", "7"),
        (QuantityMode.NOTIONAL, "250", "2.5"),
        (QuantityMode.PERCENT_OF_EQUITY, "10", "50"),
        (QuantityMode.RISK_AMOUNT, "90", "18"),
        (QuantityMode.RISK_PERCENT, "0.5", "50"),
    ],
)
def test_the_signals_own_quantity_counts_only_if_the_bot_says_so(
    mode: QuantityMode, amount: str, quantity: str
) -> None:
    signal = Signal(action=Action.BUY, symbol="AAPL", quantity=Decimal(amount), quantity_mode=mode)
    facts: dict[str, Any] = {"signal": signal, "stop_price": Decimal(95)}
    assert size_of(bot={"use_signal_quantity": True}, **facts).quantity == Decimal(quantity)
    assert size_of(bot={"use_signal_quantity": False}, **facts).quantity == Decimal(50)


@pytest.mark.parametrize(
    ("stop", "side", "part"),
    [(None, Side.BUY, "neither"), ("100", Side.BUY, "a stop at 100"), ("99", Side.SELL, "a stop at 99")],
)
def test_risk_sizes_need_a_stop_that_loses(stop: str | None, side: Side, part: str) -> None:
    asked = request(bot=RISK_ONE_PERCENT, stop_price=None if stop is None else Decimal(stop), side=side)
    refusal = proposed_size(asked)
    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.STOP_REQUIRED
    assert part in refusal.sentence


def test_a_share_of_a_position_is_no_size_of_an_entry() -> None:
    signal = Signal(
        action=Action.BUY,
        symbol="AAPL",
        quantity=Decimal(50),
        quantity_mode=QuantityMode.PERCENT_OF_POSITION,
    )
    refusal = proposed_size(request(bot={"use_signal_quantity": True}, signal=signal))
    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.QUANTITY_REQUIRED


@pytest.mark.parametrize(
    ("facts", "steps", "words"),
    [
        pytest.param(
            {"bot": {"max_position_size": Decimal(2000)}},
            ("50", "20", "20"),
            ["Reduced from 50 to 20 by the bot's maximum of 2,000.00 USD."],
            id="bot",
        ),
        pytest.param(
            {"bot": {"max_position_size": Decimal(2000)}, "connection": {"max_position_size": Decimal(1500)}},
            ("50", "15", "15"),
            [
                "Reduced from 50 to 20 by the bot's maximum of 2,000.00 USD.",
                "Reduced from 20 to 15 by the connection's maximum of 1,500.00 USD.",
            ],
            id="the smaller counts",
        ),
        pytest.param(
            {"buying_power": Decimal(104), "leverage": 10},
            ("50", "50", "10"),
            ["Reduced from 50 to 10 by the buying power left of 104.00 USD."],
            id="leverage sets a tenth aside",
        ),
        pytest.param(
            {"buying_power": Decimal(1040)},
            ("50", "50", "10"),
            ["Reduced from 50 to 10 by the buying power left of 1,040.00 USD."],
            id="a market buy sets 1.04 times its price aside",
        ),
        pytest.param(
            {"buying_power": Decimal(1000), "order_type": OrderType.LIMIT},
            ("50", "50", "10"),
            ["Reduced from 50 to 10 by the buying power left of 1,000.00 USD."],
            id="a limit buy pays its price at most",
        ),
        pytest.param(
            {"buying_power": Decimal(-500)},
            ("50", "50", "0"),
            ["Reduced from 50 to 0 by the buying power left of 0.00 USD."],
            id="a margin call leaves nothing",
        ),
        pytest.param({"buying_power": Decimal(5200)}, ("50", "50", "50"), [], id="just enough"),
    ],
)
def test_caps_reduce_and_say_so(facts: dict[str, Any], steps: tuple[str, str, str], words: list[str]) -> None:
    size = size_of(**facts)
    assert (size.wanted, size.allowed, size.quantity) == tuple(Decimal(step) for step in steps)
    assert list(size.caps) == words


def test_what_is_set_aside() -> None:
    assert size_of().reserve == Decimal(5200)
    assert size_of(order_type=OrderType.LIMIT).reserve == Decimal(5000)
    assert size_of(side=Side.SELL, order_type=OrderType.LIMIT).reserve == Decimal(5200)


@pytest.mark.parametrize(
    ("quantity", "price", "taken"),
    [
        ("0.001", "50000", True),
        ("0.0009", "50000", False),
        ("0.002", "5000", True),
        ("0.002", "4999", False),
        ("0", "50000", False),
    ],
)
def test_the_least_a_broker_takes(quantity: str, price: str, taken: bool) -> None:
    bitcoin = replace(BITCOIN, minimum_notional=Decimal(10))
    assert is_tradable(bitcoin, Decimal(quantity), Decimal(price)) == taken


@pytest.mark.parametrize(
    ("side", "limit", "price"),
    [
        (Side.BUY, None, "101"),
        (Side.SELL, None, "99"),
        (Side.BUY, "95", "95"),
        (Side.BUY, "110", "101"),
        (Side.SELL, "105", "105"),
        (Side.SELL, "90", "99"),
    ],
)
def test_the_price_to_size_by(side: Side, limit: str | None, price: str) -> None:
    quote = Quote(symbol="AAPL", bid=Decimal(99), ask=Decimal(101), at=NOW)
    assert entry_price(quote, side, None if limit is None else Decimal(limit)) == Decimal(price)


MONEY = st.decimals("0.01", "1000000", places=2)


@given(
    price=st.decimals("0.01", "5000", places=2),
    amount=MONEY,
    bot_maximum=st.none() | MONEY,
    connection_maximum=st.none() | MONEY,
    buying_power=st.decimals("-1000", "1000000", places=2),
    side=st.sampled_from(Side),
)
def test_no_cap_is_ever_passed(
    price: Decimal,
    amount: Decimal,
    bot_maximum: Decimal | None,
    connection_maximum: Decimal | None,
    buying_power: Decimal,
    side: Side,
) -> None:
    size = size_of(
        side=side,
        price=str(price),
        bot={"position_size": amount, "max_position_size": bot_maximum},
        connection={"max_position_size": connection_maximum},
        buying_power=buying_power,
    )
    value = size.quantity * price
    assert Decimal(0) <= value <= amount
    assert all(value <= most for most in (bot_maximum, connection_maximum) if most is not None)
    assert size.quantity == 0 or size.reserve <= buying_power
    step = Decimal(1) if side is Side.SELL else Decimal("0.001")
    assert size.quantity % step == 0
    assert bool(size.caps) == (size.quantity < size.wanted)


@pytest.mark.parametrize(
    ("holding", "wanted", "quantity"),
    [
        ("10", None, "10"),
        ("10", "3.3335", "3.333"),
        ("-10", "3.9", "3"),
        ("10", "99", "10"),
        ("10.0009", None, "10"),
        pytest.param("10", "9.995", "10", id="a rest of 0.005 shares is worth less than a dollar"),
        pytest.param("0.005", None, "0.005", id="the whole goes, whatever it is worth"),
    ],
)
def test_exit_quantity(holding: str, wanted: str | None, quantity: str) -> None:
    part = None if wanted is None else Decimal(wanted)
    assert exit_quantity(Decimal(holding), APPLE, Decimal(100), part) == Decimal(quantity)


def test_a_part_too_small_to_close_is_refused_with_the_numbers() -> None:
    refusal = exit_quantity(Decimal("0.5"), BITCOIN, Decimal(50000), Decimal("0.0005"))
    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.SIZE_TOO_SMALL
    assert refusal.sentence == (
        "The part to close is 0.0005 at 50,000; BTC/USD trades at least 0.001, in steps of 0.0001."
    )


@given(
    holding=st.decimals("-100", "100", places=4).filter(bool),
    share=st.decimals("0", "1", places=3),
    price=st.decimals("0.01", "1000", places=2),
)
def test_an_exit_never_trades_more_than_is_held_nor_leaves_a_crumb(
    holding: Decimal, share: Decimal, price: Decimal
) -> None:
    part = exit_quantity(holding, APPLE, price, abs(holding) * share)
    if isinstance(part, Refusal):
        return
    assert Decimal(0) < part <= abs(holding)
    step = APPLE.short_quantity_step if holding < 0 else APPLE.quantity_step
    rest = abs(holding) - part
    assert rest < step or rest * price >= APPLE.minimum_notional


@pytest.mark.parametrize(
    ("account", "side", "quantity", "parts"),
    [
        ("3", Side.SELL, "5", ["3", "2"]),
        ("-3", Side.BUY, "5", ["3", "2"]),
        ("5", Side.SELL, "5", ["5"]),
        ("6", Side.SELL, "5", ["5"]),
        ("0", Side.SELL, "5", ["5"]),
        ("-3", Side.SELL, "5", ["5"]),
        ("3", Side.BUY, "5", ["5"]),
    ],
)
def test_orders_are_split_at_zero(account: str, side: Side, quantity: str, parts: list[str]) -> None:
    assert split_at_zero(Decimal(account), side, Decimal(quantity)) == tuple(Decimal(part) for part in parts)


@given(st.integers(-20, 20), st.sampled_from(Side), st.integers(1, 20))
def test_no_part_carries_the_account_through_zero(account: int, side: Side, quantity: int) -> None:
    held = Decimal(account)
    parts = split_at_zero(held, side, Decimal(quantity))
    assert sum(parts) == quantity
    for part in parts:
        after = held + part * side.sign
        assert part > 0
        assert held * after >= 0
        held = after


# Stops and targets.


def level(kind: str, value: str, *, trailing: bool = False) -> Level:
    return Level(kind=LevelKind(kind), value=Decimal(value), trailing=trailing)


def protect(
    signal: Signal | None = None, side: Side = Side.BUY, entry: str = "100", **bot: Any
) -> Protection | Refusal:
    return protection_for(
        bot=replace(BOT, **bot), signal=signal, side=side, entry=Decimal(entry), instrument=APPLE
    )


def prices(protection: Protection | Refusal) -> tuple[Decimal | None, Decimal | None]:
    assert isinstance(protection, Protection)
    return protection.stop_price, protection.target_price


DEFAULTS: dict[str, Any] = {"stop_loss_percent": Decimal(2), "take_profit_percent": Decimal(4)}


@pytest.mark.parametrize(
    ("side", "entry", "stop", "target"),
    [(Side.BUY, "143.12", "140.26", "148.84"), (Side.SELL, "143.12", "145.98", "137.40")],
)
def test_the_bots_defaults_are_percents_of_the_entry(side: Side, entry: str, stop: str, target: str) -> None:
    assert prices(protect(side=side, entry=entry, **DEFAULTS)) == (Decimal(stop), Decimal(target))


@pytest.mark.parametrize(
    ("side", "stop", "target", "expected"),
    [
        (Side.BUY, level("PRICE", "97.504"), level("PRICE", "110"), ("97.5", "110")),
        (Side.BUY, level("AMOUNT", "3"), level("PERCENT", "10"), ("97", "110")),
        (Side.SELL, level("PRICE", "103"), level("AMOUNT", "7.5"), ("103", "92.5")),
        (Side.SELL, level("PERCENT", "1.5"), level("PRICE", "90"), ("101.5", "90")),
    ],
)
def test_the_signals_levels_beat_the_bots(
    side: Side, stop: Level, target: Level, expected: tuple[str, str]
) -> None:
    action = Action.BUY if side is Side.BUY else Action.SELL
    signal = Signal(action=action, symbol="AAPL", stop_loss=stop, take_profits=(target,))
    assert prices(protect(signal, side, **DEFAULTS)) == tuple(Decimal(price) for price in expected)


def test_each_level_falls_back_by_itself() -> None:
    signal = Signal(action=Action.BUY, symbol="AAPL", stop_loss=level("PRICE", "99"))
    assert prices(protect(signal, **DEFAULTS)) == (Decimal(99), Decimal(104))
    assert protect(signal) == Protection(stop_price=Decimal(99))
    one_target = Signal(action=Action.BUY, symbol="AAPL", take_profits=(level("PRICE", "105"),))
    assert protect(one_target) == Protection(target_price=Decimal(105))
    assert prices(protect()) == (None, None)


@pytest.mark.parametrize(
    ("signal_price", "stop", "target", "side", "code"),
    [
        (None, level("PRICE", "101"), None, Side.BUY, Code.INVALID_SIGNAL),
        ("99", level("PRICE", "101"), None, Side.BUY, Code.INVALID_SIGNAL),
        ("102", level("PRICE", "101"), None, Side.BUY, Code.PRICE_MOVED),
        (None, level("PRICE", "100"), None, Side.BUY, Code.INVALID_SIGNAL),
        (None, level("AMOUNT", "0.001"), None, Side.BUY, Code.INVALID_SIGNAL),
        (None, level("AMOUNT", "100"), None, Side.BUY, Code.INVALID_SIGNAL),
        ("103", level("AMOUNT", "150"), None, Side.BUY, Code.INVALID_SIGNAL),
        ("97", None, level("PRICE", "98"), Side.BUY, Code.PRICE_MOVED),
        (None, None, level("PRICE", "102"), Side.SELL, Code.INVALID_SIGNAL),
        ("98", level("PRICE", "99"), None, Side.SELL, Code.PRICE_MOVED),
    ],
)
def test_a_level_on_the_wrong_side_is_refused(
    signal_price: str | None, stop: Level | None, target: Level | None, side: Side, code: Code
) -> None:
    signal = Signal(
        action=Action.BUY if side is Side.BUY else Action.SELL,
        symbol="AAPL",
        price=None if signal_price is None else Decimal(signal_price),
        stop_loss=stop,
        take_profits=() if target is None else (target,),
    )
    refusal = protect(signal, side)
    assert isinstance(refusal, Refusal)
    assert refusal.code is code


def test_the_market_passed_the_stop_since_the_signal() -> None:
    signal = Signal(action=Action.BUY, symbol="AAPL", price=Decimal(103), stop_loss=level("PRICE", "101"))
    refusal = protect(signal)
    assert isinstance(refusal, Refusal)
    assert refusal.sentence == (
        "The stop at 101 is not below the price of 100."
        " The market has passed it since the signal's price of 103."
    )


def test_a_trailing_stop_and_several_targets_are_done_as_asked() -> None:
    signal = Signal(
        action=Action.BUY,
        symbol="AAPL",
        stop_loss=level("PERCENT", "5", trailing=True),
        take_profits=(level("PRICE", "110"), level("PRICE", "120")),
    )
    protection = protect(signal)
    assert prices(protection) == (Decimal(95), Decimal(110))
    assert isinstance(protection, Protection)
    assert protection.trail_distance == 5
    assert [(each.price, each.share) for each in protection.targets] == [(110, 50), (120, 50)]
    assert protection.notes == ()


def test_a_target_below_zero_is_left_out() -> None:
    protection = protect(side=Side.SELL, take_profit_percent=Decimal(150))
    assert prices(protection) == (None, None)
    assert isinstance(protection, Protection)
    assert len(protection.notes) == 1
