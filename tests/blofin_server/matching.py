"""What happens in an account when an order arrives or a price moves."""

from decimal import Decimal

from tests.blofin_server import margin
from tests.blofin_server.account import Account, new_id
from tests.blofin_server.orders import ZERO, Exits, Order, Position, Protection, TriggerOrder

MARKET_PRICE = Decimal(-1)
TAKES_ONCE = ("ioc", "fok")


def arrive(account: Account, order: Order) -> None:
    """Work a new order against the present price; one that was cancelled meanwhile is left alone."""
    if not order.is_open:
        return
    if order.kind == "post_only" and crosses(account, order):
        account.end(order, "system_canceled", "Post-only order would have taken liquidity")
        return
    if not account.settings.hold_fills:
        work(account, order)
    if order.is_open and order.kind in TAKES_ONCE and not account.settings.hold_fills:
        account.end(order, "system_canceled", "The rest could not be filled at once")
    order.rested = True


def price_moved(account: Account, inst_id: str) -> None:
    """Work resting orders, then stops, targets and triggers, then liquidation, at the new price."""
    touch_orders(account, inst_id)
    for protection in list(account.protections.values()):
        if protection.inst_id == inst_id and protection.state == "live":
            _watch_protection(account, protection)
    for trigger in list(account.triggers.values()):
        if trigger.inst_id == inst_id and trigger.state == "live":
            _watch_trigger(account, trigger)
    _liquidate(account)


def touch_orders(account: Account, inst_id: str) -> None:
    """Work every open order of an instrument."""
    if account.settings.hold_fills:
        return
    for order in account.open_orders(inst_id):
        work(account, order)


def crosses(account: Account, order: Order) -> bool:
    """Tell whether an order would trade at the present price."""
    if order.price is None:
        return True
    touch = account.touch(order)
    return order.price >= touch if order.side == "buy" else order.price <= touch


def work(account: Account, order: Order) -> None:
    """Fill what an order can trade now."""
    if not order.is_open or not crosses(account, order):
        return
    size = _tradable(account, order)
    if order.kind == "fok" and size < order.remaining:
        return
    if size > 0:
        fill(account, order, size)
    # a reduce-only order whose position is gone can never fill
    if order.is_open and order.reduce_only and account.reducible(order) == 0:
        account.end(order, "system_canceled", "Reduce-only order without a position")


def fill(account: Account, order: Order, size: Decimal, price: Decimal | None = None) -> None:
    """Fill so many contracts, at the order's price where it has rested, else at the market's."""
    settings = account.settings
    makes = order.rested and order.price is not None
    at = price if price is not None else order.price if makes else account.touch(order)
    assert at is not None
    account.execute(order, size, at, settings.maker_fee if makes else settings.taker_fee)


def _tradable(account: Account, order: Order) -> Decimal:
    size = order.remaining
    if order.reduce_only:
        size = min(size, account.reducible(order))
    if account.settings.fill_size is not None:
        size = min(size, account.settings.fill_size)
    return size


def _watch_protection(account: Account, protection: Protection) -> None:
    last = account.market.price(protection.inst_id).last
    exits, selling = protection.exits, protection.side == "sell"
    if exits.sl_trigger is not None and (last <= exits.sl_trigger if selling else last >= exits.sl_trigger):
        _send_exit(account, protection, "sl", exits.sl_price)
    elif exits.tp_trigger is not None and (last >= exits.tp_trigger if selling else last <= exits.tp_trigger):
        _send_exit(account, protection, "tp", exits.tp_price)


def _send_exit(account: Account, protection: Protection, category: str, price: Decimal | None) -> None:
    closable = account.reducible(protection)
    size = closable if protection.size is None else protection.size
    if protection.reduce_only:
        size = min(size, closable)
    protection.actual_side = category
    if size <= 0:
        protection.state = "order_failed"
        return
    protection.state, protection.actual_size = "effective", size
    order = _order_from(account, protection, size, price)
    order.category = category
    _send(account, order)


def _watch_trigger(account: Account, trigger: TriggerOrder) -> None:
    last = account.market.price(trigger.inst_id).last
    if not (last >= trigger.trigger if trigger.upward else last <= trigger.trigger):
        return
    size = account.reducible(trigger) if trigger.size is None else trigger.size
    if trigger.reduce_only:
        size = min(size, account.reducible(trigger))
    order = _order_from(account, trigger, size, trigger.price)
    order.exits = trigger.exits
    if size <= 0 or account.cost(order) > account.available():
        trigger.state = "order_failed"
        return
    trigger.state, trigger.actual_size = "effective", size
    _send(account, order)


def _send(account: Account, order: Order) -> None:
    account.orders[order.id] = order
    arrive(account, order)


def _order_from(
    account: Account, parent: Protection | TriggerOrder, size: Decimal, price: Decimal | None
) -> Order:
    by_market = price in (None, MARKET_PRICE)
    return Order(
        id=new_id(),
        client_id="",
        inst_id=parent.inst_id,
        margin_mode=parent.margin_mode,
        position_side=parent.position_side,
        side=parent.side,
        kind="market" if by_market else "limit",
        price=None if by_market else price,
        size=size,
        reduce_only=parent.reduce_only,
        leverage=parent.leverage,
        created=account.now(),
        updated=account.now(),
        broker_id=parent.broker_id,
        algo_id=parent.id,
        algo_client_id=parent.client_id,
    )


def _liquidate(account: Account) -> None:
    for position in list(account.positions.values()):
        if not position.is_cross and _is_under(account, [position], position.margin):
            _take_over(account, position)
    cross = [p for p in account.positions.values() if p.is_cross]
    if cross and _is_under(account, cross, account.balance - account.isolated_margin()):
        for position in cross:
            _take_over(account, position)
        account.balance = max(account.balance, account.isolated_margin())


def _is_under(account: Account, positions: list[Position], backing: Decimal) -> bool:
    needed, worth = ZERO, backing
    for position in positions:
        instrument = account.market.instrument(position.inst_id)
        mark = account.market.price(position.inst_id).mark
        worth += margin.profit(position, instrument, mark)
        needed += margin.liquidation_margin(position, instrument, mark, account.settings.taker_fee)
    return worth <= needed


def _take_over(account: Account, position: Position) -> None:
    key = (position.inst_id, position.margin_mode, position.side)
    for order in account.open_orders(position.inst_id):
        if order.position_key == key:
            account.end(order, "system_canceled", "Liquidation")
    order = Order(
        id=new_id(),
        client_id="",
        inst_id=position.inst_id,
        margin_mode=position.margin_mode,
        position_side=position.side,
        side="sell" if position.size > 0 else "buy",
        kind="market",
        price=None,
        size=abs(position.size),
        reduce_only=True,
        leverage=position.leverage,
        created=account.now(),
        updated=account.now(),
        exits=Exits(),
        category="full_liquidation",
    )
    account.orders[order.id] = order
    account.execute(order, order.size, _takeover_price(account, position), ZERO)


def _takeover_price(account: Account, position: Position) -> Decimal:
    """Return the price at which the exchange takes a position over: an isolated one loses its margin whole."""
    if position.is_cross:
        return account.market.price(position.inst_id).mark
    coins = position.size * account.market.instrument(position.inst_id).contract_value
    return position.average - position.margin / coins
