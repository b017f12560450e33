"""The broker watch over several brokers: one that does not answer keeps it from none of the others."""

import json
import threading
from contextlib import closing
from decimal import Decimal

from bot_database import Database, bots
from bot_engine import desk_for
from broker_watch import THREADS, BrokerWatch
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


def reconciled(database: Database) -> list[int]:
    """Return the connections whose books were compared."""
    with database.transaction() as transaction:
        rows = transaction.all("SELECT id FROM user_api_keys WHERE reconciled_at IS NOT NULL ORDER BY id")
    return [row["id"] for row in rows]
