"""Whatever orders come and wherever prices go, the book of the local BloFin adds up."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.blofin_server import matching, trading
from tests.blofin_server.account import HEDGE, NET, Account
from tests.blofin_server.errors import Refused
from tests.blofin_server.market import LocalMarket
from tests.blofin_server.orders import ZERO
from tests.blofin_server.settings import Settings

START = Decimal(1_000)
ENDED = {"filled", "canceled", "partially_canceled"}


def prices() -> st.SearchStrategy[str]:
    return st.integers(min_value=55_000, max_value=65_000).map(str)


@st.composite
def order_bodies(draw: st.DrawFn) -> dict[str, object]:
    """Draw an order request; some of them are refused, as they must be."""
    side = draw(st.sampled_from(["buy", "sell"]))
    kinds = ["market", "market", "limit", "post_only", "ioc", "fok"]
    body: dict[str, object] = {
        "instId": "BTC-USDT",
        "marginMode": draw(st.sampled_from(["cross", "isolated"])),
        "hedge": draw(st.sampled_from(["long", "short"])),
        "side": side,
        "orderType": draw(st.sampled_from(kinds)),
        "price": draw(prices()),
        "size": str(draw(st.integers(min_value=1, max_value=400))),
        "reduceOnly": draw(st.sampled_from(["false", "false", "false", "true"])),
    }
    return body | draw(exits(side))


@st.composite
def exits(draw: st.DrawFn, side: str) -> dict[str, object]:
    """Draw a stop and a target, mostly on their right sides."""
    below, above = draw(st.integers(54_000, 60_000)), draw(st.integers(60_000, 66_000))
    stop, target = (below, above) if side == "buy" else (above, below)
    chosen: dict[str, object] = {}
    if draw(st.booleans()):
        chosen |= {"slTriggerPrice": str(stop), "slOrderPrice": "-1"}
    if draw(st.booleans()):
        chosen |= {"tpTriggerPrice": str(target), "tpOrderPrice": draw(st.sampled_from(["-1", str(target)]))}
    return chosen


steps = st.one_of(
    st.tuples(st.just("order"), order_bodies()),
    st.tuples(st.just("order"), order_bodies()),
    st.tuples(st.just("price"), prices()),
    st.tuples(st.just("protect"), order_bodies()),
    st.tuples(st.just("cancel"), st.integers(min_value=0, max_value=3)),
)


def carry_out(account: Account, what: str, how: Any) -> None:
    if what in ("order", "protect"):
        side = "net" if account.position_mode == NET else how["hedge"]
        place = trading.place_order if what == "order" else trading.place_protection
        place(account, {**how, "positionSide": side})
    elif what == "cancel":
        for order in account.open_orders()[how : how + 1]:
            account.end(order, "user_canceled", "")
    else:
        account.market.set_price("BTC-USDT", Decimal(how))
        matching.price_moved(account, "BTC-USDT")


@settings(max_examples=300, deadline=None)
@given(
    mode=st.sampled_from([NET, HEDGE]),
    fill_size=st.sampled_from([None, Decimal(70)]),
    moves=st.lists(steps, min_size=10, max_size=40),
)
def test_the_book_adds_up(mode: str, fill_size: Decimal | None, moves: list[tuple[str, Any]]) -> None:
    switches = Settings(fill_size=fill_size)
    account = Account(
        key="k",
        secret="s",
        passphrase="p",
        market=LocalMarket(),
        settings=switches,
        balance=START,
        position_mode=mode,
    )
    for margin_mode in ("cross", "isolated"):
        for side in ("net", "long", "short"):
            account.leverages["BTC-USDT", margin_mode, side] = 25
    for what, how in moves:
        try:
            carry_out(account, what, how)
        except Refused:
            continue
        check_positions(account)
        check_orders(account)
        check_money(account)


def check_positions(account: Account) -> None:
    traded: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for fill in account.fills:
        key = account.orders[fill.order_id].position_key
        traded[key] += fill.size if fill.side == "buy" else -fill.size
    assert {key: size for key, size in traded.items() if size} == {
        key: position.size for key, position in account.positions.items()
    }
    for position in account.positions.values():
        assert position.margin >= 0 if position.is_cross else position.margin > 0
        assert {"long": position.size > 0, "short": position.size < 0}.get(position.side, True)
    for protection in account.protections.values():
        assert (
            protection.state != "live"
            or not protection.reduce_only
            or account.position_size(protection.position_key)
        )


def check_orders(account: Account) -> None:
    for order in account.orders.values():
        filled = sum((fill.size for fill in account.fills if fill.order_id == order.id), ZERO)
        assert filled == order.filled <= order.size
        assert order.is_open or order.state in ENDED
        assert (order.state == "filled") is (order.filled == order.size)


def check_money(account: Account) -> None:
    booked = START + sum((fill.pnl - fill.fee for fill in account.fills), ZERO)
    is_taken_over = any(
        o.category == "full_liquidation" and o.margin_mode == "cross" for o in account.orders.values()
    )
    # the exchange bears what a cross account lost beyond its money, and no more
    assert (
        account.balance >= booked - Decimal("1e-15")
        if is_taken_over
        else abs(account.balance - booked) < Decimal("1e-15")
    )
