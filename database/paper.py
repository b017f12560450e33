"""The paper broker's books in PostgreSQL: loaded whole, changed under the account's lock, saved."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import psycopg2.errors

from brokers.simulator import (
    Books,
    Execution,
    Holding,
    PositionIntent,
    SimulatedOrder,
    SimulatedType,
    TimeInForce,
)
from core.errors import Rejected, Unavailable, Unknown
from core.instrument import AssetClass
from core.order import OrderState, Side
from database.pool import Database, Row, Transaction
from database.prepared import prepared

LOCK_TIMEOUT_SECONDS = 8
ORDER_COLUMNS = tuple(field.name for field in fields(SimulatedOrder))


@contextmanager
def changing(database: Database) -> Iterator[Transaction]:
    """Give a transaction whose failures read as a broker's.

    `Unavailable`: the account's lock was not to be had, nothing happened. `Unknown`: the
    database went away, perhaps after it committed. `Rejected`: the connection is deleted.
    """
    try:
        with database.transaction() as transaction:
            transaction.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
            yield transaction
    except psycopg2.errors.LockNotAvailable as error:
        raise Unavailable("the paper account is busy") from error
    except psycopg2.errors.ForeignKeyViolation as error:
        raise Rejected("this connection does not exist any more") from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise Unknown(f"the database did not answer: {error}") from error


@contextmanager
def reading(database: Database) -> Iterator[Transaction]:
    """Give a transaction that sees one moment and takes no lock; raise `Unknown` where it cannot."""
    try:
        with database.transaction() as transaction:
            transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield transaction
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise Unknown(f"the database did not answer: {error}") from error


def open_account(transaction: Transaction, connection_id: int, starting_cash: Decimal) -> None:
    """Make the account at its first use; an account that exists stays as it is."""
    transaction.execute(
        """
        INSERT INTO paper_accounts (connection_id, starting_cash, cash)
        VALUES (%(id)s, %(cash)s, %(cash)s) ON CONFLICT (connection_id) DO NOTHING
        """,
        {"id": connection_id, "cash": starting_cash},
    )


def lock_account(transaction: Transaction, connection_id: int) -> bool:
    """Lock the account until the transaction ends; tell whether there is one."""
    sql = "SELECT connection_id FROM paper_accounts WHERE connection_id = %s FOR UPDATE"
    return transaction.maybe(sql, (connection_id,)) is not None


def load_books(transaction: Transaction, connection_id: int) -> Books | None:
    """Return the account's cash, holdings and open orders, or None where there is no account.

    Orders that are final stay in the database; see `is_used`.
    """
    cash = transaction.value("SELECT cash FROM paper_accounts WHERE connection_id = %s", (connection_id,))
    if cash is None:
        return None
    holdings = transaction.all(
        """
        SELECT symbol, quantity, average_price, realized FROM paper_positions
         WHERE connection_id = %s ORDER BY symbol
        """,
        (connection_id,),
    )
    orders = open_orders(transaction, connection_id)
    return Books(
        account=str(connection_id),
        cash=cash,
        holdings={row["symbol"]: Holding(**row) for row in holdings},
        orders={order.id: order for order in orders},
    )


def open_orders(transaction: Transaction, connection_id: int) -> list[SimulatedOrder]:
    """Return the orders that are not final, oldest first."""
    rows = transaction.all(
        """
        SELECT * FROM paper_orders
         WHERE connection_id = %s AND state IN ('SUBMITTED', 'PARTIALLY_FILLED') ORDER BY number
        """,
        (connection_id,),
    )
    return [_order(row) for row in rows]


def accounts_with_open_orders(transaction: Transaction) -> set[int]:
    """Return the connections whose paper account has an order that is not final."""
    rows = transaction.all(
        prepared(
            "SELECT DISTINCT connection_id FROM paper_orders WHERE state IN ('SUBMITTED', 'PARTIALLY_FILLED')"
        )
    )
    return {row["connection_id"] for row in rows}


def is_used(transaction: Transaction, connection_id: int, client_order_id: str) -> bool:
    """Tell whether the account ever took an order with this id."""
    return order_by_client_order_id(transaction, connection_id, client_order_id) is not None


def order_by_client_order_id(
    transaction: Transaction, connection_id: int, client_order_id: str
) -> SimulatedOrder | None:
    """Return the account's order with this id of the client's, or None."""
    row = transaction.maybe(
        "SELECT * FROM paper_orders WHERE connection_id = %s AND client_order_id = %s",
        (connection_id, client_order_id),
    )
    return None if row is None else _order(row)


def order_by_id(transaction: Transaction, connection_id: int, order_id: str) -> SimulatedOrder | None:
    """Return the account's order with this id of the broker's, or None."""
    row = transaction.maybe(
        "SELECT * FROM paper_orders WHERE connection_id = %s AND id::text = %s", (connection_id, order_id)
    )
    return None if row is None else _order(row)


def fills(transaction: Transaction, connection_id: int) -> list[Execution]:
    """Return every fill of the account, oldest first."""
    rows = transaction.all(
        """
        SELECT paper_fills.* FROM paper_fills JOIN paper_orders ON paper_orders.id = order_id
         WHERE connection_id = %s ORDER BY paper_fills.id
        """,
        (connection_id,),
    )
    return [_execution(row) for row in rows]


def save(
    transaction: Transaction,
    connection_id: int,
    books: Books,
    orders: Iterable[SimulatedOrder],
    now: datetime,
) -> None:
    """Write the account, these orders, and every execution and holding of the books."""
    transaction.execute(
        "UPDATE paper_accounts SET cash = %s, updated_at = %s WHERE connection_id = %s",
        (books.cash, now, connection_id),
    )
    for order in orders:
        _save_order(transaction, connection_id, order)
    for execution in books.executions:
        _insert_fill(transaction, execution)
    for symbol in {execution.symbol for execution in books.executions}:
        _save_holding(transaction, connection_id, books.holdings[symbol])


def _save_order(transaction: Transaction, connection_id: int, order: SimulatedOrder) -> None:
    names = ", ".join(ORDER_COLUMNS)
    values = ", ".join(f"%({name})s" for name in ORDER_COLUMNS)
    row = {name: getattr(order, name) for name in ORDER_COLUMNS} | {"connection_id": connection_id}
    transaction.execute(
        f"""
        INSERT INTO paper_orders ({names}, connection_id) VALUES ({values}, %(connection_id)s)
        ON CONFLICT (id) DO UPDATE SET state = excluded.state, triggered = excluded.triggered,
            filled_quantity = excluded.filled_quantity, average_price = excluded.average_price,
            fee = excluded.fee, message = excluded.message, updated_at = excluded.updated_at,
            filled_at = excluded.filled_at, ended_at = excluded.ended_at
        """,
        row,
    )


def _insert_fill(transaction: Transaction, execution: Execution) -> None:
    transaction.execute(
        """
        INSERT INTO paper_fills (order_id, cumulative_quantity, symbol, side, quantity, price, fee,
            fee_asset, fee_in_base, position_quantity, filled_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            execution.order_id,
            execution.cumulative_quantity,
            execution.symbol,
            execution.side,
            execution.quantity,
            execution.price,
            execution.fee,
            execution.fee_asset,
            execution.fee_in_base,
            execution.position_quantity,
            execution.at,
        ),
    )


def _save_holding(transaction: Transaction, connection_id: int, holding: Holding) -> None:
    transaction.execute(
        """
        INSERT INTO paper_positions (connection_id, symbol, quantity, average_price, realized)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (connection_id, symbol) DO UPDATE SET quantity = excluded.quantity,
            average_price = excluded.average_price, realized = excluded.realized
        """,
        (connection_id, holding.symbol, holding.quantity, holding.average_price, holding.realized),
    )


def _order(row: Row) -> SimulatedOrder:
    values = {name: _in_utc(row[name]) for name in ORDER_COLUMNS}
    intent = row["position_intent"]
    return SimulatedOrder(
        **values
        | {
            "id": str(row["id"]),
            "asset_class": AssetClass(row["asset_class"]),
            "side": Side(row["side"]),
            "order_type": SimulatedType(row["order_type"]),
            "time_in_force": TimeInForce(row["time_in_force"]),
            "position_intent": None if intent is None else PositionIntent(intent),
            "state": OrderState(row["state"]),
        }
    )


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _execution(row: Row) -> Execution:
    values = {field.name: row[field.name] for field in fields(Execution) if field.name in row}
    return Execution(
        **values
        | {"order_id": str(row["order_id"]), "side": Side(row["side"]), "at": _in_utc(row["filled_at"])}
    )
