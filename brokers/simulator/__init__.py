"""A broker without wires: rules, books and matching, with every price and every time given from outside.

The paper broker keeps these books in PostgreSQL; the tests' Alpaca-like server wears the same
core over HTTP. `Simulator` is the way in, `Rules` the switches, `Venue` what it asks for prices.
"""

from brokers.simulator.books import (
    Books,
    Execution,
    Holding,
    OrderRequest,
    PositionIntent,
    SimulatedOrder,
    SimulatedType,
    TimeInForce,
    request_from_intent,
)
from brokers.simulator.core import Simulator
from brokers.simulator.refusals import OrderConflict, OrderRejected, Refusal
from brokers.simulator.rules import Rules, Venue
from brokers.simulator.valuation import Balances

__all__ = [
    "Balances",
    "Books",
    "Execution",
    "Holding",
    "OrderConflict",
    "OrderRejected",
    "OrderRequest",
    "PositionIntent",
    "Refusal",
    "Rules",
    "SimulatedOrder",
    "SimulatedType",
    "Simulator",
    "TimeInForce",
    "Venue",
    "request_from_intent",
]
