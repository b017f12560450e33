"""Margin, profit and liquidation, as BloFin's own example figures give them."""

from decimal import Decimal

from tests.blofin_server.market import Instrument
from tests.blofin_server.orders import ZERO, Position


def notional(instrument: Instrument, size: Decimal, price: Decimal) -> Decimal:
    """Return the value of so many contracts in the quote currency."""
    return abs(size) * instrument.contract_value * price


def profit(position: Position, instrument: Instrument, price: Decimal) -> Decimal:
    """Return a position's unrealized profit at a price."""
    return position.size * instrument.contract_value * (price - position.average)


def initial_margin(position: Position, instrument: Instrument, mark: Decimal) -> Decimal:
    """Return what a cross position ties up: its value at the mark price, divided by its leverage."""
    return notional(instrument, position.size, mark) / position.leverage


def maintenance_margin(position: Position, instrument: Instrument, mark: Decimal) -> Decimal:
    """Return what a position must keep."""
    return notional(instrument, position.size, mark) * instrument.maintenance_rate


def liquidation_margin(position: Position, instrument: Instrument, mark: Decimal, fee: Decimal) -> Decimal:
    """Return the margin at which a position is liquidated: its maintenance and the fee of closing it."""
    return notional(instrument, position.size, mark) * (instrument.maintenance_rate + fee)


def liquidation_price(
    position: Position, instrument: Instrument, fee: Decimal, backing: Decimal
) -> Decimal | None:
    """Return the mark price at which `backing` no longer carries a position, None where there is none.

    `backing` is the margin of an isolated position, and what the whole account has for a cross one.
    """
    coins = abs(position.size) * instrument.contract_value
    rate = instrument.maintenance_rate + fee
    cost = coins * position.average
    sign = 1 if position.size > 0 else -1
    price = (cost - sign * backing) / (coins * (1 - sign * rate))
    return price if price > ZERO else None
