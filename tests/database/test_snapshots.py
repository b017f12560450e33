"""What the broker last said of positions, stored by two who ask at the same moment."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from bot_database import Database, Transaction, risk
from brokers.base import AccountPosition
from tests.database.trading_floor import TradingFloor


@pytest.fixture
def floor(database: Database) -> Iterator[TradingFloor]:
    floor = TradingFloor(database)
    yield floor
    floor.paper_database.close()


def store(floor: TradingFloor, transaction: Transaction, **quantities: int) -> None:
    positions = [
        AccountPosition(
            symbol=symbol,
            quantity=Decimal(quantity),
            average_price=Decimal(200),
            current_price=Decimal(201),
            unrealized=Decimal(quantity),
        )
        for symbol, quantity in quantities.items()
    ]
    risk.store_positions(transaction, floor.connection_id, positions, floor.now)


def test_the_later_of_two_readings_stands_alone(floor: TradingFloor) -> None:
    def second() -> None:
        with floor.database.transaction() as transaction:
            store(floor, transaction, AAPL=2, MSFT=1)

    with ThreadPoolExecutor(1) as pool:
        with floor.database.transaction() as transaction:
            store(floor, transaction, AAPL=1, TSLA=1)
            waiting = pool.submit(second)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
        waiting.result(10)
    with floor.database.transaction() as transaction:
        rows = risk.positions_of(transaction, floor.user_id)
    assert {row["symbol"]: row["quantity"] for row in rows} == {"AAPL": 2, "MSFT": 1}
