"""The paper broker's books survive what processes do to each other."""

import multiprocessing
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import psycopg2
import psycopg2.errors
import pytest

from brokers.paper import PaperBroker
from brokers.simulator import Rules, Simulator
from core.errors import Conflict, Rejected, Unavailable, Unknown
from core.order import OrderIntent, OrderState, OrderType, Side
from database import paper
from database.pool import Database
from tests.contract.pinned_market import PinnedMarket
from tests.contract.test_paper_contract import new_connection

D = Decimal
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def market() -> PinnedMarket:
    pinned = PinnedMarket()
    pinned.pin("AAPL", "199.95", "200.05")
    pinned.pin("BTC/USD", "59990", "60010")
    return pinned


def broker(database: Database, connection_id: int, rules: Rules | None = None) -> PaperBroker:
    return PaperBroker(database, connection_id, market=market(), clock=lambda: NOW, rules=rules)


def buy(symbol: str, quantity: str, client_order_id: str, limit: str | None = None) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side.BUY,
        quantity=D(quantity),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=None if limit is None else D(limit),
    )


@pytest.fixture
def connection_id(database: Database) -> int:
    return new_connection(database)


def test_orders_come_back_from_the_database_as_they_were(database: Database, connection_id: int) -> None:
    paper_broker = broker(database, connection_id, Rules(full_fill_notional=D(1000)))
    sent = [
        paper_broker.submit(buy("AAPL", "10", "a")),
        paper_broker.submit(buy("AAPL", "0.5", "b", limit="150.25")),
        paper_broker.submit(buy("BTC/USD", "0.123456789", "c")),
    ]
    assert [paper_broker.find_order(o.client_order_id) for o in sent] == sent
    assert {o.client_order_id for o in paper_broker.open_orders()} == {"a", "b", "c"}


def test_the_stored_books_are_the_books_of_the_simulator(database: Database, connection_id: int) -> None:
    """The same orders in memory and through the database end in the same cash, holdings and orders."""
    stored, rules = broker(database, connection_id), Rules()
    with paper.reading(database) as transaction:
        assert paper.load_books(transaction, connection_id) is None
    memory = Simulator(paper.Books(account=str(connection_id), cash=D(100_000)), market(), rules)
    for intent in (
        buy("AAPL", "10", "a"),
        buy("BTC/USD", "0.123456789", "b"),
        buy("AAPL", "3", "c", "150.00"),
    ):
        assert stored.submit(intent) == memory.submit_intent(intent, NOW).as_order()
    with paper.reading(database) as transaction:
        books = paper.load_books(transaction, connection_id)
        executions = paper.fills(transaction, connection_id)
    assert books is not None
    assert (books.cash, books.holdings) == (memory.books.cash, memory.books.holdings)
    assert books.open_orders() == memory.books.open_orders()
    assert executions == memory.books.executions


def test_a_refused_order_leaves_nothing_behind(database: Database, connection_id: int) -> None:
    paper_broker = broker(database, connection_id)
    paper_broker.submit(buy("AAPL", "1", "a"))
    before = paper_broker.account()
    with pytest.raises(Rejected):
        paper_broker.submit(buy("AAPL", "5000", "b"))
    assert paper_broker.account() == before
    assert paper_broker.find_order("b") is None
    paper_broker.submit(buy("AAPL", "1", "b"))


def test_an_error_inside_a_change_rolls_all_of_it_back(database: Database, connection_id: int) -> None:
    """The price breaks off while the second piece is booked: neither piece nor cash may stay."""
    broken = market()
    paper_broker = PaperBroker(database, connection_id, market=broken, clock=lambda: NOW)
    first = paper_broker.submit(buy("AAPL", "1", "a", limit="190.00"))
    second = paper_broker.submit(buy("BTC/USD", "0.01", "b", limit="50000"))
    broken.pin("AAPL", "180.00", "180.10")
    broken.pin("BTC/USD", D("NaN"), D("NaN"))
    with pytest.raises(ArithmeticError):
        paper_broker.advance()
    broken.pin("BTC/USD", "59990", "60010")
    assert paper_broker.find_order("a") == first
    assert paper_broker.find_order("b") == second
    assert paper_broker.account().cash == D(100_000)


def test_a_lost_database_reads_as_unknown(connection_id: int, free_port: int) -> None:
    nowhere = Database(f"postgresql://nobody@127.0.0.1:{free_port}/nothing")
    with pytest.raises(Unknown):
        broker(nowhere, connection_id).submit(buy("AAPL", "1", "a"))
    with pytest.raises(Unknown):
        broker(nowhere, connection_id).account()


def test_a_lock_not_to_be_had_reads_as_unavailable(
    database: Database, connection_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "LOCK_TIMEOUT_SECONDS", 1)
    paper_broker = broker(database, connection_id)
    paper_broker.submit(buy("AAPL", "1", "a"))
    with database.transaction() as transaction:
        paper.lock_account(transaction, connection_id)
        with pytest.raises(Unavailable):
            paper_broker.submit(buy("AAPL", "1", "b"))
        assert paper_broker.position("AAPL").quantity == 1
    assert paper_broker.submit(buy("AAPL", "1", "b")).state is OrderState.FILLED


def test_a_deleted_connection_takes_its_account_along(database: Database, connection_id: int) -> None:
    paper_broker = broker(database, connection_id)
    paper_broker.submit(buy("AAPL", "1", "a"))
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM user_api_keys WHERE id = %s", (connection_id,))
        for table in ("paper_accounts", "paper_positions", "paper_orders", "paper_fills"):
            assert transaction.value(f"SELECT count(*) FROM {table}") == 0
    with pytest.raises(Rejected):
        paper_broker.submit(buy("AAPL", "1", "b"))


def test_a_fill_is_stored_once(database: Database, connection_id: int) -> None:
    broker(database, connection_id).submit(buy("AAPL", "1", "a"))
    with pytest.raises(psycopg2.errors.UniqueViolation), database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO paper_fills (order_id, cumulative_quantity, symbol, side, quantity, price, fee,
                fee_asset, fee_in_base, position_quantity, filled_at)
            SELECT order_id, cumulative_quantity, symbol, side, quantity, price, fee, fee_asset,
                fee_in_base, position_quantity, filled_at FROM paper_fills
            """
        )


def test_a_resting_order_fills_once_for_all_who_watch(database: Database, connection_id: int) -> None:
    """Several watchers advance one account at once: each change is reported by exactly one."""
    prices = market()
    watchers = [PaperBroker(database, connection_id, market=prices, clock=lambda: NOW) for _ in range(4)]
    for number in range(5):
        watchers[0].submit(buy("AAPL", "1", f"order{number}", limit="190.00"))
    prices.pin("AAPL", "180.00", "180.10")
    changed: list[str] = []

    def watch(watcher: PaperBroker) -> None:
        changed.extend(order.client_order_id for order in watcher.advance())

    threads = [threading.Thread(target=watch, args=(watcher,)) for watcher in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed) == [f"order{number}" for number in range(5)]
    assert watchers[0].position("AAPL").quantity == 5


def test_readers_never_see_half_a_trade(database: Database, connection_id: int) -> None:
    """Cash and holding change together, so the equity at a spread of zero never moves."""
    prices = market()
    prices.pin("AAPL", "200", "200")
    paper_broker = PaperBroker(database, connection_id, market=prices, clock=lambda: NOW)
    done = threading.Event()
    seen: set[Decimal] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(paper_broker.account().equity)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        paper_broker.submit(buy("AAPL", "2", f"order{number}"))
    done.set()
    reader.join()
    assert seen == {D(100_000)}


def trade_in_a_process(url: str, connection_id: int, name: str) -> None:
    database = Database(url)
    paper_broker = broker(database, connection_id)
    for number in range(15):
        paper_broker.submit(buy("AAPL", "1", f"{name}{number}"))
        sell = replace(buy("BTC/USD", "0.001", f"{name}x{number}"), side=Side.SELL)
        try:
            paper_broker.submit(sell)
        except (Rejected, Conflict):
            paper_broker.submit(buy("BTC/USD", "0.01", f"{name}y{number}"))
    database.close()


def start_traders(url: str, connection_id: int, names: str) -> list[multiprocessing.Process]:
    context = multiprocessing.get_context("spawn")
    traders = [context.Process(target=trade_in_a_process, args=(url, connection_id, name)) for name in names]
    for trader in traders:
        trader.start()
    return traders  # type: ignore[return-value]


def assert_books_add_up(database: Database, connection_id: int) -> int:
    with paper.reading(database) as transaction:
        books = paper.load_books(transaction, connection_id)
        executions = paper.fills(transaction, connection_id)
    assert books is not None
    cash = D(100_000)
    held = {symbol: D(0) for symbol in books.holdings}
    for e in executions:
        cash -= e.side.sign * e.quantity * e.price + (D(0) if e.fee_in_base else e.fee)
        held[e.symbol] += e.side.sign * e.quantity - (e.fee if e.fee_in_base else D(0))
        assert e.position_quantity == held[e.symbol]
    assert books.cash == cash
    assert {s: h.quantity for s, h in books.holdings.items()} == held
    return len(executions)


def test_processes_trade_one_account_without_losing_anything(
    database: Database, database_url: str, connection_id: int
) -> None:
    traders = start_traders(database_url, connection_id, "abc")
    for trader in traders:
        trader.join(60)
        assert trader.exitcode == 0
    assert_books_add_up(database, connection_id)
    assert broker(database, connection_id).position("AAPL").quantity == 45


def test_a_killed_process_leaves_whole_trades_behind(
    database: Database, database_url: str, connection_id: int
) -> None:
    (trader,) = start_traders(database_url, connection_id, "a")
    deadline = time.monotonic() + 30
    while not broker(database, connection_id).positions() and time.monotonic() < deadline:
        time.sleep(0.01)
    trader.kill()
    trader.join()
    assert assert_books_add_up(database, connection_id) > 0
    assert broker(database, connection_id).submit(buy("AAPL", "1", "after")).state is OrderState.FILLED
