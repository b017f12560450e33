"""All that one running server knows."""

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from aiohttp import web

from tests.blofin_server.account import Account
from tests.blofin_server.market import LocalMarket
from tests.blofin_server.settings import Settings
from tests.blofin_server.signing import Nonces
from tests.faults import Faults

Json = dict[str, Any]
MODES = ("demo", "live")
DEFAULT_BALANCE = Decimal(10_000)


class Skin(Protocol):
    """The manners of one exchange: how it signs in, answers and refuses."""

    key_header: str

    def carry_out(self, server: "Server", request: web.Request, body: str) -> web.Response:
        """Return the answer to a request."""
        ...

    def too_many(self) -> web.Response:
        """Return the answer beyond a rate limit."""
        ...


@dataclass(slots=True)
class Server:
    """Hold market, accounts, faults and the record of one server.

    `skin` is the exchange it stands for, and `mode` which of its hosts. The demo host gives demo money and
    has no funding account, for which ccxt passes over the list of currencies in sandbox mode; here it answers 152404.
    """

    mode: str = "live"
    seed: str = "1"
    skin: Skin | None = None
    make_market: Callable[[], LocalMarket] = LocalMarket
    settings: Settings = field(init=False)
    market: LocalMarket = field(init=False)
    accounts: dict[str, Account] = field(init=False)
    faults: Faults = field(init=False)
    nonces: Nonces = field(init=False)
    requests: deque[Json] = field(init=False)
    calls: dict[str, deque[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything but the mode and the seed."""
        self.settings = Settings()
        self.market = self.make_market()
        self.accounts = {}
        self.faults = Faults(random.Random(self.seed))
        self.nonces = Nonces()
        self.requests = deque(maxlen=100_000)
        self.calls = {}

    def now(self) -> int:
        """Return the server's time in milliseconds."""
        return int(time.time() * 1000) + self.settings.clock_offset_ms

    def open_account(self, key: str, secret: str, passphrase: str, fields: Json) -> Account:
        """Open an account, or a new one in place of the old; `fields` are those of `Account`."""
        account = Account(
            key=key,
            secret=secret,
            passphrase=passphrase,
            market=self.market,
            settings=self.settings,
            created=self.now(),
            demo=self.mode == "demo",
            **fields,
        )
        self.accounts[key] = account
        return account

    def is_over(self, who: str, limit: int, seconds: float) -> bool:
        """Count a call and tell whether it is one too many; a limit of 0 is none."""
        if not limit:
            return False
        calls, now = self.calls.setdefault(who, deque()), time.monotonic()
        while calls and calls[0] <= now - seconds:
            calls.popleft()
        if len(calls) >= limit:
            return True
        calls.append(now)
        return False


SERVER: web.AppKey[Server] = web.AppKey("server", Server)
