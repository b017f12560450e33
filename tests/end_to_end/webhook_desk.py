"""The real Flask app on a real database, with users, tokens and bots."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import requests

from core.instrument import AssetClass, Instrument
from database import bots, tokens
from database.pool import Database
from encryption import Vault, new_key
from settings import Settings
from tests.conftest import KEPT_FROM_OUTSIDE
from webhook_server import create_app

ROOT = Path(__file__).resolve().parents[2]
# Both of TradingView's: application/json where the message is valid JSON, else text/plain.
CONTENT_TYPES = ("application/json; charset=utf-8", "text/plain; charset=utf-8")


class Trader:
    """A user with an account at the paper broker and a webhook token."""

    def __init__(self, desk, email):
        self.desk = desk
        with desk.database.transaction() as transaction:
            self.id = transaction.value(
                "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id", (email,)
            )
            self.connection_id = bots.create_connection(
                transaction, user_id=self.id, broker="paper", mode="paper", label="Practice"
            )
            self.token = tokens.create_token(transaction, desk.vault, self.id)

    def connection(self, label, broker="paper"):
        with self.desk.database.transaction() as transaction:
            return bots.create_connection(
                transaction, user_id=self.id, broker=broker, mode="paper", label=label
            )

    def bound_token(self, connection_id):
        with self.desk.database.transaction() as transaction:
            return tokens.create_token(transaction, self.desk.vault, self.id, connection_id=connection_id)

    def bot(self, symbol="AAPL", timeframe="15 Min", connection_id=None, crypto=False, **columns):
        instrument = Instrument(
            symbol=symbol,
            asset_class=AssetClass.CRYPTO if crypto else AssetClass.STOCK,
            base_asset=symbol.split("/")[0] if crypto else None,
        )
        with self.desk.database.transaction() as transaction:
            return bots.create_bot(
                transaction,
                user_id=self.id,
                connection_id=connection_id or self.connection_id,
                instrument=instrument,
                timeframe=timeframe,
                position_size=Decimal(5000),
                **columns,
            )

    def send(self, token=None, content_type=CONTENT_TYPES[0], path=None, **fields):
        """Send an alert as TradingView does."""
        return self.desk.post(path or f"/webhook?token={token or self.token}", fields, content_type)

    def signals(self):
        sql = "SELECT * FROM signals WHERE user_id = %s ORDER BY id"
        with self.desk.database.transaction() as transaction:
            return transaction.all(sql, (self.id,))


class WebhookDesk:
    """One webhook server and what its tests need."""

    def __init__(self, database_url, **changes):
        key = new_key()
        values = {"database_url": database_url, "encryption_key": key, "public_url": "http://localhost:8080"}
        self.settings = Settings.model_validate(values | changes)
        self.vault = Vault(self.settings.encryption_key)
        self.database = Database(database_url, size=16)
        self.app = create_app(self.settings)
        self.client = self.app.test_client()

    def trader(self, email="ann@example.org"):
        return Trader(self, email)

    def post(self, path, body, content_type=CONTENT_TYPES[0], **options):
        if not isinstance(body, bytes):
            body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return self.client.post(path, data=body, content_type=content_type, **options)

    def value(self, sql, parameters=None):
        with self.database.transaction() as transaction:
            return transaction.value(sql, parameters)

    def all(self, sql, parameters=None):
        with self.database.transaction() as transaction:
            return transaction.all(sql, parameters)

    def close(self):
        self.database.close()
        self.app.extensions["dashtrade"].database.close()


@contextmanager
def gunicorn(desk, port, *options, **variables):
    """Run the real server on a desk's database; give its process, whose output is a pipe."""
    environ = {
        "DATABASE_URL": desk.database.url,
        "ENCRYPTION_KEY": desk.settings.encryption_key.get_secret_value(),
        "WEBHOOK_PORT": str(port),
        "LISTEN_ADDRESS": "127.0.0.1",
        "WEBHOOK_PROCESSES": "1",
        **variables,
    }
    kept = (*KEPT_FROM_OUTSIDE, "DASHTRADE_ENV_FILE", "DASHTRADE_HOME")
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *options, "webhook_server:app"],
        cwd=ROOT, env={name: os.environ[name] for name in kept if name in os.environ} | environ,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{port}")
        yield server
    finally:
        server.terminate()
        server.wait(20)
        if not server.stdout.closed:
            server.stdout.close()


def _wait_until_it_answers(url):
    deadline = time.monotonic() + 30
    while True:
        try:
            return requests.get(f"{url}/health", timeout=5)
        except (requests.ConnectionError, requests.Timeout):
            assert time.monotonic() < deadline
            time.sleep(0.1)
