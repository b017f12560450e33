"""One account of the local BloFin: its money, positions, orders, and what an execution does to them."""

import itertools
import time
from dataclasses import dataclass, field
from decimal import Decimal

from tests.blofin_server import margin
from tests.blofin_server.market import LocalMarket
from tests.blofin_server.orders import ZERO, Fill, Order, Position, Protection, TriggerOrder
from tests.blofin_server.settings import ClosedProtection, Settings

NET, HEDGE = "net_mode", "long_short_mode"
IDS = itertools.count(28_150_801)


def new_id() -> str:
    """Return an id that no other thing of this process has."""
    return str(next(IDS))


@dataclass(slots=True, kw_only=True)
class Account:
    """Hold one user's futures account and the key to it."""

    key: str
    secret: str
    passphrase: str
    market: LocalMarket
    settings: Settings
    balance: Decimal
    funding: Decimal = ZERO
    permissions: frozenset[str] = frozenset({"read", "trade"})
    expired: bool = False
    demo: bool = False
    key_type: int = 1
    broker_id: str = ""
    ips: tuple[str, ...] = ()
    extra: dict[str, object] = field(default_factory=dict)
    position_mode: str = NET
    margin_mode: str = "cross"
    created: int = 0
    leverages: dict[tuple[str, str, str], int] = field(default_factory=dict)
    symbol_margin: dict[str, str] = field(default_factory=dict)
    positions: dict[tuple[str, str, str], Position] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    protections: dict[str, Protection] = field(default_factory=dict)
    triggers: dict[str, TriggerOrder] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    received_at: dict[str, float] = field(default_factory=dict)

    def now(self) -> int:
        """Return the server's time in milliseconds."""
        return int(time.time() * 1000) + self.settings.clock_offset_ms

    def leverage(self, inst_id: str, margin_mode: str, position_side: str) -> int:
        """Return the leverage that is set, 3 as long as none was."""
        side = position_side if margin_mode == "isolated" and self.position_mode == HEDGE else "net"
        return self.leverages.get((inst_id, margin_mode, side), 3)

    def open_orders(self, inst_id: str | None = None) -> list[Order]:
        """Return the orders that can still trade."""
        return [o for o in self.orders.values() if o.is_open and inst_id in (None, o.inst_id)]

    def position_size(self, key: tuple[str, str, str]) -> Decimal:
        """Return the contracts of a position, negative for a short, zero when there is none."""
        position = self.positions.get(key)
        return position.size if position else ZERO

    def reducible(self, order: Order | Protection | TriggerOrder) -> Decimal:
        """Return how many contracts an order on this side can close."""
        size = self.position_size(order.position_key)
        closes = size > 0 if order.side == "sell" else size < 0
        return abs(size) if closes else ZERO

    def profit(self, *, cross: bool | None = None) -> Decimal:
        """Return the unrealized profit of all positions, or of the cross or isolated ones."""
        return sum(
            (
                margin.profit(p, self.market.instrument(p.inst_id), self.market.price(p.inst_id).mark)
                for p in self.positions.values()
                if cross in (None, p.is_cross)
            ),
            ZERO,
        )

    def isolated_margin(self) -> Decimal:
        """Return the money set aside for isolated positions."""
        return sum((p.margin for p in self.positions.values() if not p.is_cross), ZERO)

    def cross_margin(self) -> Decimal:
        """Return what the cross positions tie up."""
        return sum(
            (
                margin.initial_margin(p, self.market.instrument(p.inst_id), self.market.price(p.inst_id).mark)
                for p in self.positions.values()
                if p.is_cross
            ),
            ZERO,
        )

    def order_margin(self) -> Decimal:
        """Return what the open orders would tie up."""
        return sum((self.cost(order) for order in self.open_orders()), ZERO)

    def available(self) -> Decimal:
        """Return what new orders may tie up."""
        free = self.balance + self.profit(cross=True) - self.isolated_margin() - self.cross_margin()
        return free - self.order_margin()

    def cost(self, order: Order) -> Decimal:
        """Return the margin that the opening part of an order needs."""
        opening = order.remaining - min(order.remaining, self.reducible(order))
        if order.reduce_only or opening <= 0:
            return ZERO
        price = order.price if order.price is not None else self.touch(order)
        instrument = self.market.instrument(order.inst_id)
        return margin.notional(instrument, opening, price) / order.leverage

    def touch(self, order: Order) -> Decimal:
        """Return the price at which an order that takes liquidity trades."""
        price = self.market.price(order.inst_id)
        return price.ask if order.side == "buy" else price.bid

    def backing(self, position: Position) -> Decimal:
        """Return the money that stands behind a position before it is liquidated."""
        if not position.is_cross:
            return position.margin
        others = [p for p in self.positions.values() if p.is_cross and p is not position]
        gains, needs = ZERO, ZERO
        for other in others:
            instrument, mark = self.market.instrument(other.inst_id), self.market.price(other.inst_id).mark
            gains += margin.profit(other, instrument, mark)
            needs += margin.liquidation_margin(other, instrument, mark, self.settings.taker_fee)
        return self.balance - self.isolated_margin() + gains - needs

    def liquidation_price(self, position: Position) -> Decimal | None:
        """Return the mark price at which a position is liquidated."""
        instrument = self.market.instrument(position.inst_id)
        return margin.liquidation_price(position, instrument, self.settings.taker_fee, self.backing(position))

    def execute(self, order: Order, size: Decimal, price: Decimal, fee_rate: Decimal) -> None:
        """Trade so many contracts of an order: position, money, fill and the order's own figures."""
        instrument = self.market.instrument(order.inst_id)
        fee = margin.notional(instrument, size, price) * fee_rate
        gain = self._move(order, size, price)
        self.balance += gain - fee
        order.filled += size
        order.value += size * price
        order.fee += fee
        order.pnl += gain
        order.updated = self.now()
        order.state = "filled" if order.remaining <= 0 else "partially_filled"
        self._note_fill(order, size, price, gain, fee)
        self._attach(order)
        self._release_closed(order.position_key)

    def end(self, order: Order, source: str, reason: str) -> None:
        """End an open order before it is filled."""
        order.state = self.settings.partly_filled_end if order.filled else "canceled"
        order.cancel_source, order.cancel_reason, order.updated = source, reason, self.now()
        self._attach(order)

    def add_protection(self, order: Order, size: Decimal) -> Protection:
        """Let an order's stop and target rest as a TP/SL order for what has filled."""
        protection = Protection(
            id=new_id(),
            client_id=order.client_id if self.settings.attached_client_id else "",
            inst_id=order.inst_id,
            margin_mode=order.margin_mode,
            position_side=order.position_side,
            side="sell" if order.side == "buy" else "buy",
            size=size,
            reduce_only=True,
            leverage=order.leverage,
            created=self.now(),
            exits=order.exits,
            broker_id=order.broker_id,
        )
        self.protections[protection.id] = protection
        return protection

    def _move(self, order: Order, size: Decimal, price: Decimal) -> Decimal:
        position = self.positions.get(order.position_key) or self._new_position(order)
        closing = min(size, abs(position.size)) if position.size * order.sign < 0 else ZERO
        gain = self._reduce(position, closing, price) if closing else ZERO
        if size > closing:
            self._increase(position, (size - closing) * order.sign, price, order.leverage)
        position.updated = self.now()
        if position.size == 0:
            self.positions.pop(order.position_key, None)
        else:
            self.positions[order.position_key] = position
        return gain

    def _new_position(self, order: Order) -> Position:
        return Position(
            id=new_id(),
            inst_id=order.inst_id,
            margin_mode=order.margin_mode,
            side=order.position_side,
            leverage=order.leverage,
            created=self.now(),
            updated=self.now(),
        )

    def _reduce(self, position: Position, size: Decimal, price: Decimal) -> Decimal:
        instrument = self.market.instrument(position.inst_id)
        share = size / abs(position.size)
        gain = margin.profit(position, instrument, price) * share
        position.margin -= position.margin * share
        position.size -= size if position.size > 0 else -size
        position.realized += gain
        return gain

    def _increase(self, position: Position, signed: Decimal, price: Decimal, leverage: int) -> None:
        instrument = self.market.instrument(position.inst_id)
        whole = position.size + signed
        position.average = (position.average * position.size + price * signed) / whole
        position.size, position.leverage = whole, leverage
        if not position.is_cross:
            position.margin += margin.notional(instrument, signed, price) / leverage

    def _note_fill(self, order: Order, size: Decimal, price: Decimal, gain: Decimal, fee: Decimal) -> None:
        self.fills.append(
            Fill(
                id=new_id(),
                order_id=order.id,
                inst_id=order.inst_id,
                position_side=order.position_side,
                side=order.side,
                price=price,
                size=size,
                pnl=gain,
                fee=fee,
                at=self.now(),
                broker_id=order.broker_id,
            )
        )

    def _attach(self, order: Order) -> None:
        early = self.settings.attach_at_first_fill
        if not order.exits or not order.filled or (order.is_open and not early):
            return
        # an order that only closed has left nothing to protect
        size = min(order.filled, max(ZERO, self.position_size(order.position_key) * order.sign))
        resting = self.protections.get(order.protection_id)
        if resting is None and size:
            order.protection_id = self.add_protection(order, size).id
        elif resting is not None and resting.state == "live":
            resting.size = size

    def _release_closed(self, key: tuple[str, str, str]) -> None:
        how = self.settings.closed_protection
        if key in self.positions or how is ClosedProtection.NONE:
            return
        for protection in self.protections.values():
            whole_only = how is ClosedProtection.WHOLE and protection.size is not None
            if protection.position_key == key and protection.state == "live" and not whole_only:
                protection.state = "canceled"
