"""Whatever is asked of the simulator, no money and no share appears or disappears."""

import copy
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.simulator import (
    Execution,
    OrderConflict,
    OrderRejected,
    OrderRequest,
    SimulatedType,
    TimeInForce,
)
from core.instrument import AssetClass
from core.order import OrderState, Side
from tests.unit.simulator_desk import D, Desk

START = D(100_000)
SYMBOLS = ("AAPL", "MSFT", "BTC/USD")
PRICES = {"AAPL": D(200), "MSFT": D(450), "BTC/USD": D(60_000)}
# The average price is a quotient, so the last of 28 digits may be off.
NOTHING = D("1e-15")

Step = Callable[[Desk], None]


def quote_all(desk: Desk, percent: dict[str, int]) -> None:
    for symbol, change in percent.items():
        middle = PRICES[symbol] * (100 + change) / 100
        desk.market.pin(symbol, middle - D("0.05"), middle + D("0.05"))


def send(symbol: str, side: Side, kind: SimulatedType, size: int, whole: bool, offset: int) -> Step:
    def step(desk: Desk) -> None:
        price = PRICES[symbol]
        quantity = D(size) * 100 / price
        if whole and symbol != "BTC/USD":
            quantity = max(quantity.to_integral_value(), D(1))
        named = price * (100 + offset) / 100
        request = OrderRequest(
            client_order_id=f"order{len(desk.books.orders)}",
            symbol=symbol,
            side=side,
            quantity=round(quantity, 9),
            order_type=kind,
            limit_price=named if kind.has_limit else None,
            stop_price=named if kind.has_stop else None,
            time_in_force=TimeInForce.GTC if symbol == "BTC/USD" else TimeInForce.DAY,
        )
        before = copy.deepcopy(desk.books)
        try:
            desk.simulator.submit(request, desk.now)
        except (OrderRejected, OrderConflict):
            assert desk.books == before

    return step


def cancel(number: int) -> Step:
    def step(desk: Desk) -> None:
        resting = desk.books.open_orders()
        if resting:
            desk.simulator.cancel(resting[number % len(resting)].id, desk.now)

    return step


def pass_time(minutes: int, percent: dict[str, int]) -> Step:
    def step(desk: Desk) -> None:
        desk.now += timedelta(minutes=minutes)
        quote_all(desk, percent)
        desk.simulator.advance(desk.now)

    return step


CHANGES = st.fixed_dictionaries({symbol: st.integers(-20, 20) for symbol in SYMBOLS})
STEPS = st.lists(
    st.one_of(
        st.builds(
            send,
            st.sampled_from(SYMBOLS),
            st.sampled_from(Side),
            st.sampled_from(SimulatedType),
            st.integers(1, 600),
            st.booleans(),
            st.integers(-25, 25),
        ),
        st.builds(cancel, st.integers(0, 9)),
        st.builds(pass_time, st.sampled_from([0, 1, 120, 1440]), CHANGES),
    ),
    max_size=40,
)


def worked(steps: list[Step]) -> Desk:
    desk = Desk(full_fill_notional=D(20_000), partial_fill_share=D("0.3"))
    quote_all(desk, dict.fromkeys(SYMBOLS, 0))
    for step in steps:
        step(desk)
    return desk


def money_moved(execution: Execution) -> Decimal:
    """Work out again, apart from the simulator, what an execution does to the cash."""
    value = execution.quantity * execution.price
    taken = D(0) if execution.fee_in_base else execution.fee
    return (value if execution.side is Side.SELL else -value) - taken


def shares_moved(execution: Execution) -> Decimal:
    taken = execution.fee if execution.fee_in_base else D(0)
    return (execution.quantity if execution.side is Side.BUY else -execution.quantity) - taken


@given(STEPS)
@settings(deadline=None)
def test_cash_and_holdings_are_the_sum_of_the_executions(steps: list[Step]) -> None:
    books = worked(steps).books
    assert books.cash == START + sum((money_moved(e) for e in books.executions), D(0))
    held: dict[str, Decimal] = defaultdict(Decimal)
    for execution in books.executions:
        held[execution.symbol] += shares_moved(execution)
        assert execution.position_quantity == held[execution.symbol]
    assert {s: h.quantity for s, h in books.holdings.items()} == dict(held)


@given(STEPS)
@settings(deadline=None)
def test_realized_and_unrealized_are_the_change_of_equity(steps: list[Step]) -> None:
    desk = worked(steps)
    equity = desk.simulator.balances(desk.now).equity
    explained = D(0)
    for holding in desk.books.holdings.values():
        quote = desk.market.quote(holding.symbol, desk.now)
        mark = quote.bid if holding.quantity > 0 else quote.ask
        explained += holding.realized + holding.quantity * (mark - holding.average_price)
    assert abs(equity - START - explained) < NOTHING


@given(STEPS)
@settings(deadline=None)
def test_executions_sum_to_the_filled_quantity(steps: list[Step]) -> None:
    books = worked(steps).books
    for order in books.orders.values():
        mine = [e for e in books.executions if e.order_id == order.id]
        assert sum((e.quantity for e in mine), D(0)) == order.filled_quantity <= order.quantity
        assert [e.cumulative_quantity for e in mine] == sorted({e.cumulative_quantity for e in mine})
        assert sum((e.fee for e in mine), D(0)) == order.fee
        assert (order.state is OrderState.FILLED) == (order.filled_quantity == order.quantity)
        if mine:
            value = sum((e.quantity * e.price for e in mine), D(0))
            assert abs((order.average_price or D(0)) * order.filled_quantity - value) < NOTHING


@given(STEPS)
@settings(deadline=None)
def test_crypto_is_never_short_and_no_trade_crosses_zero(steps: list[Step]) -> None:
    books = worked(steps).books
    for execution in books.executions:
        before = execution.position_quantity - shares_moved(execution)
        assert before * execution.position_quantity >= 0
        if execution.symbol == "BTC/USD":
            assert execution.position_quantity >= 0


@given(STEPS)
@settings(deadline=None)
def test_claims_on_a_holding_never_exceed_it(steps: list[Step]) -> None:
    desk = worked(steps)
    for symbol, holding in desk.books.holdings.items():
        if holding.quantity:
            claims = [
                o.remaining
                for o in desk.books.open_orders(symbol)
                if o.side.sign * holding.quantity < 0 and o.asset_class is AssetClass.STOCK
            ]
            assert sum(claims, D(0)) <= abs(holding.quantity)


@given(STEPS)
@settings(deadline=None)
def test_limits_are_kept_and_the_same_steps_give_the_same_books(steps: list[Step]) -> None:
    books = worked(steps).books
    for execution in books.executions:
        limit = books.orders[execution.order_id].limit_price
        if limit is not None:
            assert (limit - execution.price) * execution.side.sign >= 0
    assert worked(steps).books == books
