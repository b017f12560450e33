"""Who trades what in a chaos run: pure, so that a seed and a scale say it all."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from brokers.base import BrokerName
from tests.chaos.scale import Scale

START_MONEY = Decimal(1_000_000)
PERPETUALS = {
    "BTC-USDT": "60000", "ETH-USDT": "3000", "SOL-USDT": "150", "XRP-USDT": "2", "ADA-USDT": "0.8",
    "LTC-USDT": "80", "DOT-USDT": "6", "LINK-USDT": "15",
}  # fmt: skip
POST_SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "LTC-USDT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one bot is made of; `limit_price` makes its long entries rest, `stop` is in percent."""

    symbol: str
    interval: str
    stop: str | None = None
    target: str | None = None
    limit_price: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One bot: its number in the cast, its user's number, and what it is made of."""

    number: int
    user: int
    part: Part

    @property
    def timeframe(self) -> str:
        """Return the bot's timeframe."""
        return {"60": "1 Hour"}.get(self.part.interval, f"{self.part.interval} Min")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One user with one account; `listens` says that the Discord channel trades there as well."""

    number: int
    broker: BrokerName
    listens: bool

    @property
    def key(self) -> str:
        """Return the key of the account, which is the label of the connection too."""
        return f"PKCHAOS{self.number:03d}"

    @property
    def hook(self) -> int:
        """Return the number of the user's webhook at the Discord-like server."""
        return 1000 + self.number


STOCKS = (
    Part(symbol="AAPL", interval="5"),
    Part(symbol="NVDA", interval="15", stop="5"),
    Part(symbol="AAPL", interval="15"),
    Part(symbol="META", interval="15", stop="5", target="12"),
    Part(symbol="TSLA", interval="15", limit_price="260.00"),
    Part(symbol="MSFT", interval="15"),
    Part(symbol="AAPL", interval="60", limit_price="180.00"),
    Part(symbol="AMD", interval="15", stop="4"),
    Part(symbol="GOOGL", interval="15"),
    Part(symbol="NVDA", interval="60", stop="5"),
)
COINS_WITH_LEVERAGE = (
    Part(symbol="SOL-USDT", interval="15", stop="4"),
    Part(symbol="BTC-USDT", interval="15", stop="4"),
    Part(symbol="ETH-USDT", interval="15", stop="4", target="9"),
    Part(symbol="BTC-USDT", interval="5"),
    Part(symbol="XRP-USDT", interval="15", stop="5"),
    Part(symbol="ADA-USDT", interval="15", stop="5"),
    Part(symbol="LTC-USDT", interval="15", stop="4"),
    Part(symbol="DOT-USDT", interval="15"),
    Part(symbol="LINK-USDT", interval="15", stop="5"),
    Part(symbol="SOL-USDT", interval="60", stop="4"),
)
COINS = (
    Part(symbol="BTC/USD", interval="15", stop="5"),
    Part(symbol="ETH/USD", interval="15"),
    Part(symbol="BTC/USD", interval="5"),
    Part(symbol="SOL/USD", interval="15", stop="5"),
    Part(symbol="LTC/USD", interval="15"),
    Part(symbol="ETH/USD", interval="60"),
    Part(symbol="DOGE/USD", interval="15", stop="5"),
    Part(symbol="SOL/USD", interval="60"),
    Part(symbol="LTC/USD", interval="5", stop="5"),
    Part(symbol="DOGE/USD", interval="5"),
)
PARTS = {BrokerName.ALPACA: STOCKS, BrokerName.BLOFIN: COINS_WITH_LEVERAGE, BrokerName.PAPER: COINS}


def users(scale: Scale) -> list[User]:
    """Return everybody; the first of those at BloFin follow the Discord channel."""
    brokers = [
        *[BrokerName.ALPACA] * scale.alpaca_users,
        *[BrokerName.BLOFIN] * scale.blofin_users,
        *[BrokerName.PAPER] * scale.paper_users,
    ]
    listening = range(scale.alpaca_users, scale.alpaca_users + scale.listeners)
    return [
        User(number=number, broker=broker, listens=number in listening)
        for number, broker in enumerate(brokers)
    ]


def seats(scale: Scale, everybody: list[User]) -> list[Seat]:
    """Return every bot that is made at the start; the Discord channel makes its own."""
    return [
        Seat(number=number, user=user.number, part=part)
        for number, (user, part) in enumerate(_parts(scale, everybody))
    ]


def _parts(scale: Scale, everybody: list[User]) -> Iterator[tuple[User, Part]]:
    for user in everybody:
        for part in PARTS[user.broker][: scale.bots_each]:
            yield user, part
