"""How the simulator fills, ends and books its orders."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers.simulator import (
    OrderRejected,
    PositionIntent,
    SimulatedType,
    TimeInForce,
)
from core.instrument import AssetClass
from core.money import ZERO
from core.order import OrderIntent, OrderState, Side
from tests.unit.simulator_desk import FRIDAY, MONDAY, SATURDAY, D, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Sessions


def test_a_stock_order_waits_for_the_open(desk: Desk) -> None:
    desk.now = SATURDAY
    order = desk.buy("1")
    assert (order.state, order.active_from) == (
        OrderState.SUBMITTED,
        datetime(2026, 11, 23, 14, 30, tzinfo=UTC),
    )
    assert desk.simulator.advance(order.active_from - timedelta(seconds=1)) == ()
    (filled,) = desk.simulator.advance(order.active_from)
    assert filled.state is OrderState.FILLED


def test_a_broker_may_refuse_outside_the_session() -> None:
    desk = Desk(queue_outside_session=False)
    desk.now = SATURDAY
    with pytest.raises(OrderRejected, match="market is closed"):
        desk.buy("1")
    assert desk.buy("0.1", "BTC/USD").state is OrderState.FILLED


def test_a_day_order_expires_at_the_close_and_not_before(desk: Desk) -> None:
    order = desk.limit_buy("1", "150")
    close = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    assert desk.simulator.advance(close - timedelta(seconds=1)) == ()
    (ended,) = desk.simulator.advance(close)
    assert (ended.state, ended.ended_at) == (OrderState.EXPIRED, close)
    assert desk.simulator.cancel(order.id, close) == ended


def test_a_weekend_order_lives_through_monday(desk: Desk) -> None:
    desk.now = SATURDAY
    order = desk.limit_buy("1", "150")
    assert order.expires_at == datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
    assert desk.simulator.advance(MONDAY) == ()


def test_orders_until_cancelled_stay(desk: Desk) -> None:
    order = desk.limit_buy("1", "150", time_in_force=TimeInForce.GTC)
    desk.simulator.advance(FRIDAY + timedelta(days=60))
    assert desk.order(order).is_open


# Filling


def test_a_market_order_pays_the_spread(desk: Desk) -> None:
    assert desk.buy("10").average_price == D("200.05")
    assert desk.sell("10").average_price == D("199.95")
    assert desk.books.cash == D(99_999)
    assert desk.books.holding("AAPL").realized == -1


def test_nothing_fills_on_submit_where_the_rule_says_so() -> None:
    desk = Desk(fill_on_submit=False)
    order = desk.buy("10")
    assert (order.state, desk.books.executions) == (OrderState.SUBMITTED, [])
    (filled,) = desk.simulator.advance(desk.now)
    assert filled.state is OrderState.FILLED


def test_a_large_order_fills_a_piece_per_advance() -> None:
    desk = Desk(full_fill_notional=D(1000))
    order = desk.buy("10")
    assert order.filled_quantity == 4
    desk.simulator.advance(desk.now)
    desk.market.pin("AAPL", "209.95", "210.05")
    desk.simulator.advance(desk.now)
    done = desk.order(order)
    assert (done.state, done.average_price) == (OrderState.FILLED, (8 * D("200.05") + 2 * D("210.05")) / 10)
    assert [e.cumulative_quantity for e in desk.books.executions] == [4, 8, 10]
    assert [e.position_quantity for e in desk.books.executions] == [4, 8, 10]


def test_partial_fills_are_the_same_every_time() -> None:
    def shares() -> list[Decimal]:
        desk = Desk(partial_fill_share=D("0.5"), seed="seven")
        return [desk.buy("10", client_order_id=f"id{n}").filled_quantity for n in range(40)]

    first = shares()
    assert first == shares()
    partial = [share for share in first if share < 10]
    assert 8 < len(partial) < 32
    assert all(1 <= share <= 8 and share == int(share) for share in partial)


def test_a_partial_fill_is_completed_by_the_next_advance() -> None:
    desk = Desk(partial_fill_share=D(1))
    order = desk.buy("10")
    assert order.state is OrderState.PARTIALLY_FILLED
    desk.simulator.advance(desk.now)
    assert desk.order(order).state is OrderState.FILLED


def test_a_stop_limit_waits_for_its_stop_and_keeps_its_limit(desk: Desk) -> None:
    desk.buy("10")
    order = desk.sell("10", order_type=SimulatedType.STOP_LIMIT, stop_price=D(190), limit_price=D("189.50"))
    desk.market.pin("AAPL", "189.00", "189.10")
    desk.simulator.advance(desk.now)
    assert (desk.order(order).triggered, desk.order(order).is_open) == (True, True)
    desk.market.pin("AAPL", "191.00", "191.10")
    desk.simulator.advance(desk.now)
    assert desk.order(order).average_price == D("191.00")


def test_immediate_or_cancel_never_rests(desk: Desk) -> None:
    order = desk.limit_buy("1", "190", time_in_force=TimeInForce.IOC)
    assert (order.state, order.filled_quantity) == (OrderState.CANCELED, 0)
    desk = Desk(full_fill_notional=D(1000))
    order = desk.buy("10", time_in_force=TimeInForce.IOC)
    assert (order.state, order.filled_quantity) == (OrderState.CANCELED, 4)


def test_notional_becomes_a_fraction(desk: Desk) -> None:
    order = desk.buy(None, notional=D(100))
    assert (order.quantity, order.notional) == (D("0.499875031"), D(100))
    assert order.state is OrderState.FILLED


# Fees, holdings, money


def test_crypto_fees_are_taken_on_the_credited_side(desk: Desk) -> None:
    bought = desk.buy("1", "BTC/USD")
    assert (bought.fee, bought.fee_asset) == (D("0.0025"), "BTC")
    assert desk.books.holding("BTC/USD").quantity == D("0.9975")
    sold = desk.sell("0.9975", "BTC/USD")
    assert (sold.fee, sold.fee_asset) == (D("0.9975") * 59990 * D("0.0025"), "USD")
    assert desk.books.holding("BTC/USD").quantity == 0
    assert desk.books.cash == 100_000 - 60_010 + D("0.9975") * 59990 * D("0.9975")
    assert desk.books.holding("BTC/USD").realized == desk.books.cash - 100_000


def test_stock_fees_can_be_set() -> None:
    desk = Desk(taker_fees={AssetClass.STOCK: D("0.001"), AssetClass.CRYPTO: ZERO})
    assert (desk.buy("10").fee, desk.books.cash) == (D("2.0005"), 100_000 - D("2000.5") - D("2.0005"))


def test_a_short_needs_margin_but_its_proceeds_are_no_money(desk: Desk) -> None:
    desk.sell("100")
    money = desk.simulator.balances(desk.now)
    assert (money.cash, money.short_value) == (D(119_995), D(-20_005))
    assert money.equity == D(99_990)
    assert money.buying_power == 2 * (D(99_990) - D("10002.5"))
    assert money.non_marginable_buying_power == D("89987.5")


def test_open_orders_reserve_and_give_back(desk: Desk) -> None:
    order = desk.limit_buy("100", "190")
    assert desk.simulator.balances(desk.now).buying_power == D(181_000)
    desk.simulator.cancel(order.id, desk.now)
    assert desk.simulator.balances(desk.now).buying_power == D(200_000)


def test_an_exit_needs_no_buying_power() -> None:
    desk = Desk(full_fill_notional=None)
    desk.buy("975")
    desk.market.pin("AAPL", "120.00", "120.10")
    assert desk.simulator.balances(desk.now).buying_power == 0
    assert desk.sell("975").filled_quantity > 0


def test_a_reduction_may_be_small(desk: Desk) -> None:
    desk.buy("0.01", "BTC/USD")
    assert desk.sell("0.0001", "BTC/USD").state is OrderState.FILLED
    strict = Desk(minimum_for_exits=True)
    strict.buy("0.01", "BTC/USD")
    with pytest.raises(OrderRejected, match="minimal amount of order 10"):
        strict.sell("0.0001", "BTC/USD")


# Levers


def test_levers_change_what_a_test_needs(desk: Desk) -> None:
    order = desk.limit_buy("10", "150")
    execution = desk.simulator.fill(order.id, D(4), D("149.5"), desk.now)
    assert (execution.cumulative_quantity, execution.position_quantity) == (4, 4)
    with pytest.raises(ValueError, match="cannot be filled"):
        desk.simulator.fill(order.id, D(7), D("149.5"), desk.now)
    rejected = desk.simulator.reject(order.id, "no borrow", desk.now)
    assert (rejected.state, rejected.message, rejected.filled_quantity) == (
        OrderState.REJECTED,
        "no borrow",
        4,
    )
    other = desk.limit_buy("1", "150")
    assert desk.simulator.expire(other.id, desk.now).state is OrderState.EXPIRED


def test_a_hand_closes_a_position_and_its_orders(desk: Desk) -> None:
    desk.buy("10")
    stop = desk.stop_sell("10", "150")
    desk.simulator.set_holding("AAPL", D(0), D("199.95"), desk.now)
    assert desk.books.holding("AAPL").quantity == 0
    assert desk.books.holding("AAPL").realized == -1
    assert desk.books.cash == 99_999
    assert desk.order(stop).state is OrderState.CANCELED


def test_available_quantity_is_what_no_order_claims(desk: Desk) -> None:
    desk.buy("10")
    desk.limit_sell("4", "250")
    assert desk.simulator.available_quantity("AAPL") == 6


def test_an_unknown_order_cannot_be_cancelled(desk: Desk) -> None:
    with pytest.raises(OrderRejected) as refusal:
        desk.simulator.cancel("nothing", desk.now)
    assert (refusal.value.code, refusal.value.status) == ("40410000", 404)


def test_an_intent_says_all_that_alpaca_is_told(desk: Desk) -> None:
    intent = OrderIntent(client_order_id="a", symbol="btcusd", side=Side.BUY, quantity=D("0.1"))
    order = desk.simulator.submit_intent(intent, desk.now)
    assert (order.symbol, order.time_in_force, order.position_intent) == ("BTC/USD", TimeInForce.GTC, None)
    intent = OrderIntent(
        client_order_id="b", symbol="aapl", side=Side.BUY, quantity=D(1), closes_account_position=False
    )
    order = desk.simulator.submit_intent(intent, desk.now)
    assert (order.time_in_force, order.position_intent) == (TimeInForce.DAY, PositionIntent.OPEN)
