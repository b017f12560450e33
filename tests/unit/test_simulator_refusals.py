"""What the simulator refuses: each rule by name, with Alpaca's codes, words and extra fields."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from brokers.simulator import (
    OrderConflict,
    OrderRejected,
    PositionIntent,
    SimulatedOrder,
    SimulatedType,
    TimeInForce,
)
from tests.unit.simulator_desk import Act, D, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Refusals: preparation, the offending order, code, status, words

LIMIT, STOP = SimulatedType.LIMIT, SimulatedType.STOP


def nothing(desk: Desk) -> None:
    """Prepare nothing."""


def untradable(desk: Desk) -> None:
    desk.market.describe(replace(desk.market.instrument("AAPL"), tradable=False))


def unshortable(desk: Desk) -> None:
    desk.market.describe(replace(desk.market.instrument("AAPL"), shortable=False))


def whole_shares_only(desk: Desk) -> None:
    desk.market.describe(replace(desk.market.instrument("AAPL"), quantity_step=D(1)))


def long_ten(desk: Desk) -> None:
    desk.buy("10")


def short_ten(desk: Desk) -> None:
    desk.sell("10")


MALFORMED, FORBIDDEN, UNPROCESSABLE = (40010001, 422), (40310000, 403), (42210000, 422)
REJECTIONS: list[tuple[str, Act, Act, tuple[int, int], str]] = [
    ("no size", nothing, lambda d: d.buy(None), MALFORMED, "qty or notional is required"),
    (
        "two sizes",
        nothing,
        lambda d: d.buy("1", notional=D(5)),
        MALFORMED,
        "only one of qty or notional is accepted",
    ),
    ("zero", nothing, lambda d: d.buy("0"), MALFORMED, "qty must be > 0"),
    (
        "no limit",
        nothing,
        lambda d: d.buy("1", order_type=LIMIT),
        MALFORMED,
        "limit orders require limit price",
    ),
    (
        "limit on market",
        nothing,
        lambda d: d.buy("1", limit_price=D(5)),
        MALFORMED,
        "market orders require no limit price",
    ),
    (
        "long id",
        nothing,
        lambda d: d.buy("1", client_order_id="x" * 129),
        MALFORMED,
        "client_order_id must be no more than 128 characters",
    ),
    ("unknown", nothing, lambda d: d.buy("1", "NOSUCH1"), MALFORMED, 'asset "NOSUCH1" not found'),
    (
        "used id",
        lambda d: d.buy("1", client_order_id="a"),
        lambda d: d.buy("1", client_order_id="a"),
        MALFORMED,
        "client_order_id must be unique",
    ),
    ("untradable", untradable, lambda d: d.buy("1"), UNPROCESSABLE, 'asset "AAPL" is not tradable'),
    (
        "sub-penny",
        nothing,
        lambda d: d.limit_buy("1", "190.123"),
        UNPROCESSABLE,
        "invalid limit_price 190.123. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    ("price zero", nothing, lambda d: d.limit_buy("1", "0"), UNPROCESSABLE, "limit_price must be > 0"),
    (
        "stop above",
        long_ten,
        lambda d: d.stop_sell("10", "199.95"),
        UNPROCESSABLE,
        "stop price must be less than current price",
    ),
    (
        "stop below",
        nothing,
        lambda d: d.buy("1", order_type=STOP, stop_price=D("200.05")),
        UNPROCESSABLE,
        "stop price must be greater than current price",
    ),
    (
        "not fractionable",
        whole_shares_only,
        lambda d: d.buy("1.5"),
        UNPROCESSABLE,
        'asset "AAPL" is not fractionable',
    ),
    (
        "too fine",
        nothing,
        lambda d: d.buy("0.1234567891"),
        MALFORMED,
        "qty must be a multiple of 0.000000001",
    ),
    (
        "fraction till cancelled",
        nothing,
        lambda d: d.buy("1.5", time_in_force=TimeInForce.GTC),
        UNPROCESSABLE,
        "fractional orders must be DAY orders",
    ),
    (
        "below a dollar",
        nothing,
        lambda d: d.buy("0.001"),
        FORBIDDEN,
        "cost basis must be >= minimal amount of order 1",
    ),
    (
        "notional below a dollar",
        nothing,
        lambda d: d.buy(None, notional=D("0.99")),
        UNPROCESSABLE,
        "notional amount must be >= 1.00",
    ),
    (
        "below ten dollars",
        nothing,
        lambda d: d.buy("0.0001", "BTC/USD"),
        FORBIDDEN,
        "cost basis must be >= minimal amount of order 10",
    ),
    (
        "crypto for a day",
        nothing,
        lambda d: d.buy("1", "BTC/USD", time_in_force=TimeInForce.DAY),
        UNPROCESSABLE,
        "invalid crypto time_in_force",
    ),
    (
        "crypto stop",
        nothing,
        lambda d: d.buy("1", "BTC/USD", order_type=STOP, stop_price=D(70000)),
        UNPROCESSABLE,
        "invalid order type for crypto order",
    ),
    (
        "sell across zero",
        long_ten,
        lambda d: d.sell("15"),
        FORBIDDEN,
        "insufficient qty available for order (requested: 15, available: 10)",
    ),
    (
        "cover across zero",
        short_ten,
        lambda d: d.buy("15"),
        FORBIDDEN,
        "insufficient qty available for order (requested: 15, available: 10)",
    ),
    (
        "crypto short",
        nothing,
        lambda d: d.sell("1", "BTC/USD"),
        FORBIDDEN,
        "insufficient balance for BTC (requested: 1, available: 0)",
    ),
    (
        "crypto on margin",
        nothing,
        lambda d: d.buy("1.7", "BTC/USD"),
        FORBIDDEN,
        "insufficient balance for USD (requested: 102017, available: 100000)",
    ),
    (
        "short fraction",
        nothing,
        lambda d: d.sell("1.5"),
        UNPROCESSABLE,
        "fractional orders cannot be sold short",
    ),
    ("unshortable", unshortable, lambda d: d.sell("1"), UNPROCESSABLE, 'asset "AAPL" cannot be sold short'),
    (
        "close of nothing",
        nothing,
        lambda d: d.sell("1", position_intent=PositionIntent.CLOSE),
        UNPROCESSABLE,
        "position intent mismatch, inferred: sell_to_open, specified: sell_to_close",
    ),
    ("too dear", nothing, lambda d: d.buy("976"), FORBIDDEN, "insufficient buying power"),
]


@pytest.mark.parametrize(
    ("prepare", "offend", "kind", "words"),
    [case[1:] for case in REJECTIONS],
    ids=[case[0] for case in REJECTIONS],
)
def test_rejections(desk: Desk, prepare: Act, offend: Act, kind: tuple[int, int], words: str) -> None:
    prepare(desk)
    before = copy.deepcopy(desk.books)
    with pytest.raises(OrderRejected) as refusal:
        offend(desk)
    assert (refusal.value.code, refusal.value.status) == (str(kind[0]), kind[1])
    assert refusal.value.message == words
    assert refusal.value.body | {"code": kind[0], "message": words} == refusal.value.body
    assert desk.books == before


def test_buying_power_is_checked_at_the_collar(desk: Desk) -> None:
    """200,000 of buying power at 200.05 x 1.025 buys 975 shares and not 976."""
    with pytest.raises(OrderRejected) as refusal:
        desk.buy("976")
    assert refusal.value.body["buying_power"] == "200000"
    assert refusal.value.body["cost_basis"] == "200130.02"
    assert desk.buy("975").filled_quantity > 0


@pytest.mark.parametrize(("enabled", "cash"), [(False, "100000"), (True, "1999")])
def test_an_account_may_not_be_allowed_to_short(enabled: bool, cash: str) -> None:
    with pytest.raises(OrderRejected, match="account is not allowed to short"):
        Desk(cash, shorting_enabled=enabled).sell("1")


def test_a_blocked_account_takes_no_order() -> None:
    with pytest.raises(OrderRejected):
        Desk(trading_blocked=True).buy("1")


# Conflicts


def test_held_shares_name_their_holders(desk: Desk) -> None:
    desk.buy("10")
    first, second = desk.limit_sell("6", "250"), desk.limit_sell("4", "260")
    with pytest.raises(OrderConflict) as conflict:
        desk.sell("10")
    assert conflict.value.blocking_order_id == first.id
    assert conflict.value.body == {
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 10, available: 0)",
        "symbol": "AAPL",
        "available": "0",
        "existing_qty": "10",
        "held_for_orders": "10",
        "related_orders": [first.id, second.id],
    }


def test_more_than_is_held_is_final_even_while_shares_are_held(desk: Desk) -> None:
    desk.buy("10")
    desk.limit_sell("6", "250")
    with pytest.raises(OrderRejected) as refusal:
        desk.sell("11")
    assert refusal.value.body["held_for_orders"] == "6"


@pytest.mark.parametrize(
    ("resting", "new", "reason"),
    [
        (lambda d: d.stop_sell("10", "150"), lambda d: d.buy("1"), "opposite side market/stop order exists"),
        (
            lambda d: d.stop_sell("10", "150"),
            lambda d: d.limit_buy("1", "190"),
            "opposite side market/stop order exists",
        ),
        (lambda d: d.limit_sell("10", "250"), lambda d: d.buy("1"), "opposite side limit order exists"),
        (
            lambda d: d.limit_sell("10", "250"),
            lambda d: d.limit_buy("1", "250"),
            "opposite side limit order exists",
        ),
    ],
)
def test_wash_trades(desk: Desk, resting: Callable[[Desk], SimulatedOrder], new: Act, reason: str) -> None:
    desk.buy("10")
    holder = resting(desk)
    with pytest.raises(OrderConflict) as conflict:
        new(desk)
    assert conflict.value.blocking_order_id == holder.id
    assert conflict.value.body == {
        "code": 40310000,
        "message": "potential wash trade detected. use complex orders",
        "existing_order_id": holder.id,
        "reject_reason": reason,
    }


def test_limits_that_cannot_meet_are_no_wash_trade(desk: Desk) -> None:
    desk.buy("10")
    desk.limit_sell("10", "250")
    assert desk.limit_buy("1", "190").is_open


def test_a_flat_account_cannot_rest_on_both_sides(desk: Desk) -> None:
    resting = desk.limit_sell("10", "250")
    with pytest.raises(
        OrderConflict, match="cannot open a long buy while a short sell order is open"
    ) as conflict:
        desk.limit_buy("1", "190")
    assert conflict.value.blocking_order_id == resting.id


def test_an_entry_against_a_holding_waits_for_its_close(desk: Desk) -> None:
    desk.buy("10")
    with pytest.raises(OrderConflict) as conflict:
        desk.sell("5", position_intent=PositionIntent.OPEN)
    assert (conflict.value.code, conflict.value.status) == ("42210000", 422)
    assert conflict.value.message.endswith("inferred: sell_to_close, specified: sell_to_open")


@pytest.mark.parametrize(
    ("switch", "prepare", "offend"),
    [
        (
            "check_unique_ids",
            lambda d: d.buy("1", client_order_id="a"),
            lambda d: d.buy("1", client_order_id="a"),
        ),
        ("check_prices", nothing, lambda d: d.limit_buy("1", "190.123")),
        ("check_minimum", nothing, lambda d: d.buy("0.001")),
        ("check_fractions", whole_shares_only, lambda d: d.buy("1.5")),
        (
            "check_wash_trades",
            lambda d: (d.buy("10"), d.stop_sell("10", "150")),
            lambda d: d.buy("1"),
        ),
        ("check_position_intent", nothing, lambda d: d.sell("1", position_intent=PositionIntent.CLOSE)),
        ("check_available_quantity", long_ten, lambda d: d.sell("15")),
        ("check_shorting", unshortable, lambda d: d.sell("1")),
        ("check_buying_power", nothing, lambda d: d.buy("976")),
    ],
)
def test_every_rule_can_be_switched_off(switch: str, prepare: Act, offend: Act) -> None:
    strict = Desk()
    prepare(strict)
    with pytest.raises((OrderRejected, OrderConflict)):
        offend(strict)
    lax = Desk(**{switch: False})
    prepare(lax)
    offend(lax)
    assert len(lax.books.orders) > len(strict.books.orders)
