"""The alerts of the demo: what simple strategies on the simulated prices would have sent; pure."""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from brokers.simulated_market import SimulatedMarket

FLAT, LONG, SHORT = "flat", "long", "short"
DELAY = timedelta(milliseconds=1200)
# TradingView sends again what it thinks was lost.
RESENT_AFTER = timedelta(seconds=3)
EVERY_SO_OFTEN = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoBot:
    """A bot and its strategy: two averages of so many bars, which says what it wants when they cross.

    It goes with the faster one, or `against` it, which waits for the price to come back.
    """

    symbol: str
    timeframe: str
    minutes: int
    size: Decimal
    fast: int
    slow: int
    shorts: bool = False
    against: bool = False
    limits: Mapping[str, Decimal | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A body that reached the webhook at a time."""

    at: datetime
    body: bytes


BOTS = (
    DemoBot(symbol="BTC/USD", timeframe="1 Hour", minutes=60, size=Decimal(8000), fast=8, slow=26,
            limits={"stop_loss_percent": Decimal(3), "risk_limit_percent": Decimal(10)}),
    DemoBot(symbol="ETH/USD", timeframe="30 Min", minutes=30, size=Decimal(5000), fast=5, slow=20, against=True,
            limits={"take_profit_percent": Decimal(4), "stop_loss_percent": Decimal(2)}),
    DemoBot(symbol="SOL/USD", timeframe="4 Hour", minutes=240, size=Decimal(5000), fast=5, slow=20, against=True,
            limits={"risk_limit_percent": Decimal(10)}),
    DemoBot(symbol="AAPL", timeframe="15 Min", minutes=15, size=Decimal(10000), fast=4, slow=12, against=True,
            shorts=True, limits={"stop_loss_percent": Decimal(2), "risk_limit_percent": Decimal(10)}),
    DemoBot(symbol="NVDA", timeframe="45 Min", minutes=45, size=Decimal(6000), fast=5, slow=20, against=True,
            shorts=True, limits={"daily_loss_limit": Decimal(60), "cooldown_minutes": 30}),
    DemoBot(symbol="SPY", timeframe="1 Hour", minutes=60, size=Decimal(12000), fast=3, slow=12, against=True,
            shorts=True, limits={"risk_limit_percent": Decimal(10)}),
    DemoBot(symbol="TSLA", timeframe="1 Day", minutes=1440, size=Decimal(4000), fast=2, slow=5, shorts=True,
            limits={"stop_loss_percent": Decimal(5)}),
)  # fmt: skip
ODD = (
    b'{"action": "buy", "ticker": "NFLX", "interval": "15", "price": "948.20"}',
    b"BUY AAPL now!",
    b'{"action": "buy", "ticker": "AAPL", "interval": "15", "price": "-12"}',
    b'{"action": "buy", "ticker": "BTCUSD", "interval": "60", "price": "61000", "market_position": "short"}',
)


def alerts(start: datetime, end: datetime) -> list[Alert]:
    """Return all alerts of the demo in the order in which they came."""
    market = SimulatedMarket()
    found = [alert for bot in BOTS for alert in _of_bot(bot, market, start, end)]
    resent = [Alert(at=each.at + RESENT_AFTER, body=each.body) for each in found[::EVERY_SO_OFTEN]]
    span = (end - start) / (len(ODD) + 1)
    odd = [Alert(at=start + span * number, body=body) for number, body in enumerate(ODD, start=1)]
    wanted = [each for each in (*found, *resent, *odd) if each.at < end]
    return sorted(wanted, key=lambda alert: alert.at)


def _of_bot(bot: DemoBot, market: SimulatedMarket, start: datetime, end: datetime) -> Iterator[Alert]:
    asset_class = market.instrument(bot.symbol).asset_class
    prices: deque[Decimal] = deque(maxlen=bot.slow)
    held = FLAT
    step = timedelta(minutes=bot.minutes)
    # Daily bars of a stock end within its session, so that the alert comes while it trades.
    at = start + (timedelta(hours=15) if bot.minutes >= 1440 else timedelta())
    while at < end:
        if market.clock(asset_class, at).is_open:
            quote = market.quote(bot.symbol, at)
            prices.append((quote.bid + quote.ask) / 2)
            wanted = _wanted(bot, prices, held)
            if wanted != held:
                yield Alert(at=at + DELAY, body=_body(bot, at, prices[-1], held, wanted))
                held = wanted
        at += step


def _wanted(bot: DemoBot, prices: deque[Decimal], held: str) -> str:
    if len(prices) < bot.slow:
        return held
    fast = sum(list(prices)[-bot.fast :], Decimal(0)) / bot.fast
    slow = sum(prices, Decimal(0)) / bot.slow
    if (fast > slow) is not bot.against:
        return LONG
    return SHORT if bot.shorts else FLAT


def _body(bot: DemoBot, at: datetime, price: Decimal, held: str, wanted: str) -> bytes:
    message = {
        "action": "buy" if wanted == LONG else "sell",
        "ticker": bot.symbol.replace("/", ""),
        "interval": "D" if bot.minutes == 1440 else str(bot.minutes),
        "price": str(round(price, 4)),
        "market_position": wanted,
        "prev_market_position": held,
        "timenow": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps(message).encode()
