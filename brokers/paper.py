"""The built-in broker: simulated prices, real rules, books of its own in our database."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, TypeVar

from brokers.base import (
    Account,
    AccountPosition,
    BrokerName,
    Capabilities,
    CredentialField,
    Mode,
)
from brokers.simulated_market import SimulatedMarket
from brokers.simulator import (
    Books,
    Holding,
    Rules,
    Simulator,
    Venue,
)
from brokers.simulator.valuation import mark_price
from core.instrument import AssetClass, Instrument, MarketClock, Quote
from core.order import Order, OrderIntent
from database import paper
from database.pool import Database, Transaction

STARTING_CASH = Decimal(100_000)
CURRENCY = "USD"

Result = TypeVar("Result")


class PaperBroker:
    """Trade one connection's simulated account, with Alpaca's rules and refusals.

    Safe from several threads and processes: every change is one transaction under the lock of
    the account's row, so an order is taken whole or not at all. The account appears, with
    `starting_cash`, at its first order.

    Stock orders are good for the day and wait for the open where the market is closed; crypto
    orders are good until cancelled. Orders that rest fill in `advance`, which must be called
    regularly, and at no other time. Fees are booked with the fill that causes them and stand in
    `Order.fee`, so nothing is ever posted later.

    Each call takes a connection from `database`: give it a pool of its own, or a caller that
    holds connections of the same pool while it calls may wait for itself.
    """

    name: ClassVar[BrokerName] = BrokerName.PAPER
    capabilities: Capabilities = Capabilities(
        modes=(Mode.PAPER,),
        asset_classes=(AssetClass.STOCK, AssetClass.CRYPTO),
        shorts=True,
        streams=False,
        holds_protection=False,
        read_timeout_seconds=10.0,
    )
    credential_fields: ClassVar[tuple[CredentialField, ...]] = ()

    def __init__(
        self,
        database: Database,
        connection_id: int,
        *,
        market: Venue | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rules: Rules | None = None,
        starting_cash: Decimal = STARTING_CASH,
    ) -> None:
        self._database = database
        self._connection_id = connection_id
        self._market = market or SimulatedMarket()
        self._clock = clock
        self._rules = rules or Rules()
        self._starting_cash = starting_cash

    def account(self) -> Account:
        """Return the account's money, marked to what closing everything would bring now."""
        now = self._clock()
        money = self._simulator(self._read_books()).balances(now)
        return Account(
            equity=money.equity,
            cash=money.cash,
            buying_power=money.buying_power,
            currency=CURRENCY,
            shorting_enabled=self._rules.shorting_enabled,
            at=now,
        )

    def positions(self) -> tuple[AccountPosition, ...]:
        """Return every holding that is not zero."""
        now = self._clock()
        return tuple(self._marked(h, now) for h in self._read_books().holdings.values() if h.quantity)

    def position(self, symbol: str) -> AccountPosition:
        """Return the holding of a symbol in any spelling, zero when flat."""
        canonical = self.instrument(symbol).symbol
        return self._marked(self._read_books().holding(canonical), self._clock())

    def instrument(self, symbol: str) -> Instrument:
        """Return the rules of a symbol in any spelling; raise `Rejected` for an unknown one."""
        return self._market.instrument(symbol)

    def quote(self, symbol: str) -> Quote:
        """Return the market's bid and ask."""
        return self._market.quote(self.instrument(symbol).symbol, self._clock())

    def clock(self, asset_class: AssetClass) -> MarketClock:
        """Return the session of an asset class."""
        return self._market.clock(asset_class, self._clock())

    def submit(self, intent: OrderIntent) -> Order:
        """Take an order and fill it as far as the market allows at once.

        Raises `Rejected` and `Conflict` with Alpaca's codes, and `DuplicateOrder` where the client
        order id was used before, whatever became of that order.
        """
        now = self._clock()

        def take(transaction: Transaction, simulator: Simulator) -> Order:
            if paper.is_used(transaction, self._connection_id, intent.client_order_id):
                simulator.books.used_client_order_ids.add(intent.client_order_id)
            return simulator.submit_intent(intent, now).as_order()

        return self._change(take, now)

    def find_order(self, client_order_id: str, symbol: str | None = None) -> Order | None:
        """Return the order with this id of ours, however old, or None."""
        with paper.reading(self._database) as transaction:
            order = paper.order_by_client_order_id(transaction, self._connection_id, client_order_id)
        return None if order is None else order.as_order()

    def open_orders(self) -> tuple[Order, ...]:
        """Return every order that is not final, oldest first."""
        with paper.reading(self._database) as transaction:
            found = paper.open_orders(transaction, self._connection_id)
        return tuple(order.as_order() for order in found)

    def cancel(self, broker_order_id: str) -> None:
        """Cancel an order; one that is final stays as it is. Raise `Rejected` for an unknown id."""
        now = self._clock()

        def end(transaction: Transaction, simulator: Simulator) -> None:
            known = paper.order_by_id(transaction, self._connection_id, broker_order_id)
            if known is None or known.is_open:
                simulator.cancel(broker_order_id, now)

        self._change(end, now)

    def advance(self, now: datetime | None = None) -> tuple[Order, ...]:
        """Fill, go on filling and expire what rests, and return the orders that changed."""
        moment = now or self._clock()
        if not self.open_orders():
            return ()
        return self._change(
            lambda _, simulator: tuple(order.as_order() for order in simulator.advance(moment)), moment
        )

    def _change(self, action: Callable[[Transaction, Simulator], Result], now: datetime) -> Result:
        with paper.changing(self._database) as transaction:
            books = self._locked_books(transaction)
            before = dict(books.orders)
            result = action(transaction, self._simulator(books))
            changed = [order for key, order in books.orders.items() if before.get(key) is not order]
            paper.save(transaction, self._connection_id, books, changed, now)
        return result

    def _locked_books(self, transaction: Transaction) -> Books:
        if not paper.lock_account(transaction, self._connection_id):
            paper.open_account(transaction, self._connection_id, self._starting_cash)
            paper.lock_account(transaction, self._connection_id)
        return paper.load_books(transaction, self._connection_id) or self._new_books()

    def _read_books(self) -> Books:
        with paper.reading(self._database) as transaction:
            return paper.load_books(transaction, self._connection_id) or self._new_books()

    def _new_books(self) -> Books:
        return Books(account=str(self._connection_id), cash=self._starting_cash)

    def _simulator(self, books: Books) -> Simulator:
        return Simulator(books, self._market, self._rules)

    def _marked(self, holding: Holding, now: datetime) -> AccountPosition:
        price = mark_price(holding.quantity, self._market.quote(holding.symbol, now))
        return AccountPosition(
            symbol=holding.symbol,
            quantity=holding.quantity,
            average_price=holding.average_price,
            current_price=price,
            unrealized=holding.quantity * (price - holding.average_price),
        )
