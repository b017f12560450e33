"""The broker watch over several brokers: one that does not answer keeps it from none of the others."""

import json
import math
import threading
from collections import Counter
from contextlib import ExitStack, closing
from decimal import Decimal
from functools import partial

from bot_database import Database, bots, lanes
from bot_engine import desk_for
from broker_watch import THREADS, BrokerWatch, Duty, Watch
from brokers.paper import PaperBroker
from brokers.simulator import Rules
from core.order import OrderIntent, OrderState, OrderType, Side
from encryption import Vault, new_key
from settings import Settings
from tests.alpaca_server.local import Control, running_server
from tests.end_to_end.stack import wait_for

SECRET = "secret"


def settings_for(database: Database, alpaca: Control) -> Settings:
    return Settings.model_validate(
        {
            "database_url": database.url,
            "encryption_key": new_key(),
            "public_url": "http://localhost:8080",
            "apca_api_base_url": alpaca.url,
            "apca_api_data_url": alpaca.url,
            "broker_read_timeout_seconds": 3600,
        }
    )


def connect(database: Database, settings: Settings, broker: str, key: str) -> int:
    """Make a user with an account at a broker and return the connection."""
    vault = Vault(settings.encryption_key)
    keys = json.dumps({"api_key": key, "api_secret": SECRET})
    with database.transaction() as transaction:
        user_id = transaction.value(
            "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id", (f"{key}@example.org",)
        )
        return bots.create_connection(
            transaction,
            user_id=user_id,
            broker=broker,
            mode="paper",
            label=key,
            credentials_sealed=vault.seal(keys),
            sealed_with=vault.key_id,
        )


def test_a_broker_that_hangs_keeps_the_watch_from_no_other(database: Database) -> None:
    # As many connections as the process has: each duty holds one, and asks for its keys by another
    with closing(Database(database.url, size=2 * THREADS + 11)) as own:
        running = started(database, own)
        running.join(60)
    assert not running.is_alive()


def started(database: Database, own: Database) -> threading.Thread:
    """Watch until the account on paper was compared while those at Alpaca hang; return what comes to its end."""
    with running_server() as alpaca:
        settings = settings_for(database, alpaca)
        for number in range(THREADS + 1):
            alpaca.account(f"PK{number}", SECRET, Decimal(1000))
            connect(database, settings, "alpaca", f"PK{number}")
        last = connect(database, settings, "paper", "paper")
        alpaca.fault("silence_before", "GET", "/v2/*", count=-1)
        watch = BrokerWatch(settings, desk_for(settings, own))
        running = threading.Thread(target=watch.run)
        running.start()
        try:
            wait_for(lambda: reconciled(database) == [last], 60, lambda: reconciled(database))
        finally:
            watch.stop()
    return running


def test_threads_that_no_other_broker_wants_are_lent_but_for_one_each(database: Database) -> None:
    settings, _ = on_paper(database, 0)
    ended, at_work = threading.Event(), Counter[str]()

    def look(broker: str) -> float:
        at_work[broker] += 1
        ended.wait(60)
        return math.inf

    with closing(Database(database.url)) as own:
        watch = BrokerWatch(settings, desk_for(settings, own))
        watch._brokers = 5
        try:
            for number, broker in enumerate(["alpaca"] * THREADS + ["blofin"] * THREADS):
                duty = Duty(work=partial(look, broker))
                watch._watches[number] = Watch(
                    connection_id=number, broker=broker, sealed=None, duties={"risk": duty}
                )
                watch._do_what_is_due()
            wait_for(lambda: at_work == {"alpaca": THREADS - 4, "blofin": 1}, 10, lambda: at_work)
        finally:
            ended.set()
            watch._pool.shutdown()
            watch._loop.close()


def reconciled(database: Database) -> list[int]:
    """Return the connections whose books were compared."""
    with database.transaction() as transaction:
        rows = transaction.all("SELECT id FROM user_api_keys WHERE reconciled_at IS NOT NULL ORDER BY id")
    return [row["id"] for row in rows]


def on_paper(database: Database, count: int) -> tuple[Settings, list[int]]:
    """Make users with an account on paper each."""
    with running_server() as alpaca:
        settings = settings_for(database, alpaca)
    return settings, [connect(database, settings, "paper", f"paper{number}") for number in range(count)]


def test_a_watch_takes_a_quarter_of_what_is_free_and_leaves_the_rest_to_others(database: Database) -> None:
    settings, everything = on_paper(database, 100)
    with ExitStack() as stack:
        own = stack.enter_context(closing(Database(database.url)))
        one, other = (BrokerWatch(settings, desk_for(settings, own)) for _ in range(2))
        first, second = (stack.enter_context(database.session()) for _ in range(2))
        for watch in (one, other):
            stack.enter_context(closing(watch._loop))
        one._claim(first)
        other._claim(second)
        assert (len(one._watches), len(other._watches)) == (25, 25)
        for _ in range(8):
            one._claim(first)
        assert one._watches.keys() | other._watches.keys() == set(everything)
        assert not one._watches.keys() & other._watches.keys()


def test_a_lease_comes_with_the_connections_keys(database: Database) -> None:
    settings, (on_paper_one,) = on_paper(database, 1)
    with_keys = connect(database, settings, "alpaca", "PK1")
    with database.transaction() as transaction:
        kept = bots.sealed_credentials(transaction, with_keys)
        transaction.execute(
            "UPDATE user_api_keys SET credentials_sealed = NULL WHERE id = %s", (on_paper_one,)
        )
        removed = with_keys + 1
        found = lanes.sealed_of(transaction, [on_paper_one, with_keys, removed])
    assert found == {on_paper_one: None, with_keys: kept, removed: None}
    assert kept


def test_what_rests_on_paper_is_moved_on_and_nobody_else_is_asked(database: Database) -> None:
    """An order too large to fill at once leaves a rest, which only the watch fills."""
    settings, (with_rest, without) = on_paper(database, 2)
    intent = OrderIntent(
        client_order_id="rest",
        symbol="BTC/USD",
        side=Side.BUY,
        quantity=Decimal("0.5"),
        order_type=OrderType.MARKET,
    )
    broker = PaperBroker(database, with_rest, rules=Rules(full_fill_notional=Decimal(1000)))
    assert broker.submit(intent).state is OrderState.PARTIALLY_FILLED
    with closing(Database(database.url, size=2 * THREADS + 11)) as own:
        watch = BrokerWatch(settings, desk_for(settings, own))
        # Closed, which frees the leases that `run` takes again
        with closing(Database(database.url)) as leases, leases.session() as session:
            watch._claim(session)
            watch._move_on_what_rests(session)
            due = {id: each.duties["advance"].is_due() for id, each in watch._watches.items()}
        assert due == {with_rest: True, without: False}
        watch._release()
        running = threading.Thread(target=watch.run)
        running.start()
        try:
            wait_for(lambda: not broker.open_orders(), 60)
        finally:
            watch.stop()
            running.join(60)
