"""All that one running server knows, and how its handlers reach it."""

import json
import random
import time
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.alpaca_server.account import START_CASH, AlpacaAccount, Settings
from tests.alpaca_server.market import LocalMarket
from tests.faults import Faults

Json = dict[str, Any]

# Alpaca's paper keys begin so; such a key gets an account at its first call, any other is refused
OPEN_DOOR = "PK"
PUBLIC_PATHS = ("/_control", "/stream")


class NotAuthorized(Exception):
    """Answer 401: no such key, or another secret."""


@dataclass(slots=True)
class Server:
    """Hold the market, the accounts, the streams and the faults of one server."""

    seed: str = "1"
    settings: Settings = field(init=False)
    market: LocalMarket = field(init=False)
    accounts: dict[str, AlpacaAccount] = field(init=False)
    faults: Faults = field(init=False)
    requests: deque[list[Any]] = field(init=False)
    sign_ins: deque[tuple[str, bool]] = field(init=False)
    calls: dict[str, deque[float]] = field(init=False)
    listeners: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything but the connected streams' sockets."""
        self.settings = Settings(seed=self.seed)
        self.market = LocalMarket()
        self.accounts = {}
        self.faults = Faults(random.Random(self.seed))
        self.requests = deque(maxlen=500_000)
        self.sign_ins = deque(maxlen=100_000)
        self.calls = {}

    def account(self, key: str, secret: str) -> AlpacaAccount:
        """Return the account of a key; raises `NotAuthorized`."""
        account = self.accounts.get(key)
        if account is None and key.startswith(OPEN_DOOR) and secret:
            account = self.open_account(key, secret, START_CASH, {})
        if account is None or account.secret != secret:
            raise NotAuthorized
        return account

    def open_account(self, key: str, secret: str, cash: Decimal, flags: Json) -> AlpacaAccount:
        """Open an account, or a new one in place of the old."""
        account = AlpacaAccount(
            key=key,
            secret=secret,
            market=self.market,
            settings=self.settings,
            publish=lambda frame: self.publish(key, frame),
            cash=cash,
            flags=flags,
        )
        self.accounts[key] = account
        return account

    def publish(self, key: str, frame: Json) -> None:
        """Send a frame to the stream that listens for a key, if there is one."""
        listener = self.listeners.get(key)
        if listener is not None and not self.settings.mute_streams:
            listener.put_nowait(json.dumps(frame))

    def seconds_to_wait(self, key: str) -> float:
        """Count a call against the rate limit; return 0, or how long the key must wait."""
        limit = self.settings.requests_per_minute
        if not limit:
            return 0.0
        calls = self.calls.setdefault(key, deque())
        now = time.monotonic()
        while calls and calls[0] <= now - 60:
            calls.popleft()
        if len(calls) >= limit:
            return max(0.001, calls[0] + 60 - now)
        calls.append(now)
        return 0.0


SERVER: web.AppKey[Server] = web.AppKey("server", Server)


def server_of(request: web.Request) -> Server:
    """Return the server that a request came to."""
    return request.app[SERVER]


def account_of(request: web.Request) -> AlpacaAccount:
    """Return the account whose keys the request carries; raises `NotAuthorized`."""
    headers = request.headers
    key, secret = headers.get("APCA-API-KEY-ID", ""), headers.get("APCA-API-SECRET-KEY", "")
    return server_of(request).account(key, secret)
