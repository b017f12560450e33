"""A bot's own holding and what it has earned, from its fills, by the average-cost method (trading.md §6)."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from core.instrument import Instrument
from core.money import ZERO
from core.order import Fill, Side
from core.signal import PositionSide


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What one fill did. Money is in the quote currency.

    `realized` is the profit that this fill booked, net of all fees of what it closed; zero for a
    fill that only opens. `fees` is what this fill cost in fees, a base-asset fee at the fill's price;
    it is already inside `realized` or the average price. `opened` and `closed` say whether a position
    began or ended here: dust does not count as a position, and a flip does both.
    """

    position: "Position"
    realized: Decimal
    fees: Decimal
    closed_quantity: Decimal
    opened: bool
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A holding at its average cost, always equal to what its fills add up to.

    `quantity` is signed, shorts negative. `average_price` is what a held unit cost, entry fees
    included (for a short: what it brought, net of fees); zero when nothing is held. A fee in the
    quote currency is added to the cost, a fee in the base asset is taken from the quantity at
    unchanged cost: either raises a long's average price, and the closing fill books its share.
    `realized` is cumulative. Nothing is rounded but quotients, at the 28th digit, so

        realized + unrealized(price) = money out − money in + quantity × price

    holds at every moment and price, far below the cent (money out: received, money in: paid).
    """

    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realized: Decimal = ZERO
    opened_at: datetime | None = None

    @property
    def side(self) -> PositionSide:
        """Return the side by the sign alone; decisions ask `tradable_side`."""
        return _side(self.quantity)

    @property
    def cost_basis(self) -> Decimal:
        """Return what the holding cost, or brought if it is a short: never negative."""
        return abs(self.quantity * self.average_price)

    def tradable_side(self, instrument: Instrument | None) -> PositionSide:
        """Return the side for decisions: a rest too small to be sold is FLAT."""
        if instrument is not None and instrument.is_dust(self.quantity):
            return PositionSide.FLAT
        return self.side

    def unrealized(self, price: Decimal) -> Decimal:
        """Return the profit if the holding were valued at `price`, net of its entry fees."""
        return self.quantity * (price - self.average_price)

    def apply(self, fill: Fill, instrument: Instrument | None = None) -> Booking:
        """Book one fill; one that crosses zero closes with a part of itself and opens with the rest.

        `instrument` tells dust; without it only zero is flat. Raises ValueError for a base-asset
        fee that eats the whole purchase.
        """
        sign = fill.side.sign
        base_fee, quote_fee = (fill.fee, ZERO) if fill.fee_in_base else (ZERO, fill.fee)
        change = sign * fill.quantity - base_fee
        if change * sign <= 0:
            raise ValueError(f"a fee of {base_fee} leaves nothing of a fill of {fill.quantity}")
        paid = sign * fill.quantity * fill.price + quote_fee
        return self._trade(change, paid, quote_fee + base_fee * fill.price, fill.at, instrument)

    def adjust_quantity(
        self,
        change: Decimal,
        *,
        at: datetime,
        price: Decimal | None = None,
        instrument: Instrument | None = None,
    ) -> Booking:
        """Correct the signed quantity by `change` for something that was no order of ours.

        With a price it is booked like a trade at that price without fee (EXTERNAL_CLOSE). Without
        one no money moved (a fee correction, a split): the cost stays with what is left, and is
        booked as lost when nothing of its side is left.
        """
        if change == 0:
            return self._booking(self, ZERO, ZERO, instrument)
        if price is not None:
            side = Side.BUY if change > 0 else Side.SELL
            return self.apply(Fill(side=side, quantity=abs(change), price=price, at=at), instrument)
        return self._correct(change, at, instrument)

    def _trade(
        self, change: Decimal, paid: Decimal, fees: Decimal, at: datetime, instrument: Instrument | None
    ) -> Booking:
        closing = min(abs(change), abs(self.quantity)) if change * self.quantity < 0 else ZERO
        only_closes = closing == abs(change)
        closing_paid = paid if only_closes else paid * closing / abs(change)
        kept = self.quantity + closing.copy_sign(change)
        realized = -closing_paid - (self.quantity - kept) * self.average_price
        average = self.average_price
        if not only_closes:
            average = (kept * average + paid - closing_paid) / (self.quantity + change)
        after = self._moved(change, average, realized, at, instrument)
        return self._booking(after, fees, closing, instrument)

    def _correct(self, change: Decimal, at: datetime, instrument: Instrument | None) -> Booking:
        cost = self.quantity * self.average_price
        quantity = self.quantity + change
        if quantity * self.quantity > 0:
            after = self._moved(change, cost / quantity, ZERO, at, instrument)
        else:
            after = self._moved(change, ZERO, -cost, at, instrument)
        return self._booking(after, ZERO, ZERO, instrument)

    def _moved(
        self,
        change: Decimal,
        average: Decimal,
        realized: Decimal,
        at: datetime,
        instrument: Instrument | None,
    ) -> "Position":
        quantity = self.quantity + change
        after = Position(
            quantity=quantity,
            average_price=average if quantity else ZERO,
            realized=self.realized + realized,
        )
        side = after.tradable_side(instrument)
        if side is PositionSide.FLAT:
            return after
        return replace(after, opened_at=self.opened_at if side is self.tradable_side(instrument) else at)

    def _booking(
        self, after: "Position", fees: Decimal, closed_quantity: Decimal, instrument: Instrument | None
    ) -> Booking:
        was, now = self.tradable_side(instrument), after.tradable_side(instrument)
        return Booking(
            position=after,
            realized=after.realized - self.realized,
            fees=fees,
            closed_quantity=closed_quantity,
            opened=now is not was and now is not PositionSide.FLAT,
            closed=now is not was and was is not PositionSide.FLAT,
        )


def _side(quantity: Decimal) -> PositionSide:
    if quantity == 0:
        return PositionSide.FLAT
    return PositionSide.LONG if quantity > 0 else PositionSide.SHORT
