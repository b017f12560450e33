"""A small local server that gives bars as Alpha Vantage, Alpaca's market data and Kraken do.

What it has of a pair is a walk that is the same for a time whenever it is asked; a test may take bars away, change
them or add others. Like the real ones it shows the bar that is still forming.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from core.bar import opening
from core.pips import market_of
from reversal.market_hours import may_be
from tests.faults import Fault, FaultKind, Faults, cut_off, struck
from tests.local_server import LocalServer, answer_json

Json = dict[str, Any]

NEW_YORK = ZoneInfo("America/New_York")
KEY, SECRET = "KEY-OF-A-TEST-48151623", "SECRET-OF-A-TEST-42"
ALPHA_VANTAGE_SPANS = {
    "1min": "1 Min",
    "5min": "5 Min",
    "15min": "15 Min",
    "30min": "30 Min",
    "60min": "1 Hour",
}
ALPACA_SPANS = {"1Min": "1 Min", "5Min": "5 Min", "15Min": "15 Min", "30Min": "30 Min", "1Hour": "1 Hour"}
KRAKEN_SPANS = {"1": "1 Min", "5": "5 Min", "15": "15 Min", "30": "30 Min", "60": "1 Hour", "240": "4 Hour"}
KRAKEN_MOST = 720
NAMES = ("open", "high", "low", "close")
SPANS = {
    "1 Min": 60,
    "5 Min": 300,
    "15 Min": 900,
    "30 Min": 1800,
    "1 Hour": 3600,
    "4 Hour": 14400,
    "1 Day": 86400,
}


@dataclass(slots=True)
class Prices:
    """What the services have: `now` is their time, `page` the most bars of one answer of Alpaca's.

    `when_asked` is called for each request before it is answered.
    """

    now: datetime
    page: int = 10_000
    paid: bool = True
    first: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    lacking: set[datetime] = field(default_factory=set)
    given: dict[datetime, dict[str, Any]] = field(default_factory=dict)
    twice: bool = False
    requests: list[web.Request] = field(default_factory=list)
    when_asked: Callable[[], object] = field(default=lambda: None)
    faults: Faults = field(default_factory=lambda: Faults(random.Random(1)))

    def fault(self, kind: FaultKind, **fields: Any) -> None:
        """Order trouble for the next requests."""
        self.faults.waiting.append(Fault(kind=kind, **fields))

    def bars(
        self, pair: str, timeframe: str, since: datetime, until: datetime
    ) -> list[tuple[datetime, Json]]:
        """Return the bars that opened from `since` to `until`, the forming one too."""
        lasts = timedelta(seconds=SPANS[timeframe])
        kind = market_of(pair).kind
        opened = opening(max(since, self.first), timeframe)
        rows = []
        while opened <= min(until, self.now):
            if opened in self.given:
                rows.append((opened, price(opened) | self.given[opened]))
            elif opened >= since and opened not in self.lacking and may_be(kind, timeframe, opened):
                rows.append((opened, price(opened)))
            opened += lasts
        rows += [
            (each, price(each) | more)
            for each, more in self.given.items()
            if each != opening(each, timeframe)
        ]
        return [row for row in rows for _ in range(2 if self.twice else 1)]


def price(opened: datetime) -> Json:
    """Return the prices of the bar that opened then, the same ever after."""
    chance = random.Random(int(opened.timestamp()))
    first, last = (round(100 + chance.uniform(-1, 1), 5) for _ in range(2))
    high, low = round(max(first, last) + 0.5, 5), round(min(first, last) - 0.5, 5)
    return {"open": first, "high": high, "low": low, "close": last, "volume": chance.randint(1, 9999)}


@contextmanager
def price_server(now: datetime) -> Iterator[tuple[str, Prices]]:
    """Serve from a thread; give the address, and what to change."""
    prices = Prices(now)

    async def answer(request: web.Request) -> web.StreamResponse:
        prices.requests.append(request)
        prices.when_asked()

        async def carry_out() -> web.StreamResponse:
            return _answer(prices, request)

        fault = prices.faults.take(request.method, request.path, "")
        if fault is None:
            return await carry_out()
        response = await struck(fault, request, carry_out, {"message": f"wrong, {KEY} {SECRET}"})
        return response if response is not None else cut_off(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = LocalServer(app)
    try:
        yield server.url, prices
    finally:
        server.close()


def _answer(prices: Prices, request: web.Request) -> web.Response:
    if request.path == "/query":
        return answer_json(alpha_vantage(prices, request))
    if request.path in ("/v2/stocks/bars", "/v1beta3/crypto/us/bars"):
        return alpaca(prices, request)
    if request.path == "/0/public/AssetPairs":
        return answer_json(
            {"error": [], "result": {"XXBTZUSD": kraken_pair("XXBT", "ZUSD", "XBTUSD", "XBT/USD")}}
        )
    if request.path == "/0/public/OHLC":
        return answer_json(kraken(prices, request))
    return answer_json({"message": "Not Found"}, status=404)


def alpha_vantage(prices: Prices, request: web.Request) -> Json:
    """Answer as Alpha Vantage, to whom every answer is a 200."""
    asked = request.query
    if asked.get("apikey") != KEY:
        return {
            "Error Message": "the parameter apikey is invalid or missing. Please claim your free API key."
        }
    daily = asked["function"] == "FX_DAILY"
    if not prices.paid and (not daily or asked["outputsize"] == "full"):
        return {"Information": f"Thank you for using Alpha Vantage, {KEY}! This is a premium endpoint."}
    if {asked["from_symbol"], asked["to_symbol"]} - {"EUR", "USD", "JPY"}:
        return {"Error Message": "Invalid API call. Please retry or visit the documentation for FX_INTRADAY."}
    timeframe = "1 Day" if daily else ALPHA_VANTAGE_SPANS[asked["interval"]]
    pair = f"{asked['from_symbol']}/{asked['to_symbol']}"
    bars = prices.bars(pair, timeframe, prices.now - timedelta(seconds=SPANS[timeframe] * 3000), prices.now)
    if asked["outputsize"] == "compact":
        bars = bars[-100:]
    form = "%Y-%m-%d" if daily else "%Y-%m-%d %H:%M:%S"
    series = {
        f"{opened:{form}}": {
            f"{number}. {name}": f"{row[name]:.5f}" if isinstance(row[name], float) else row[name]
            for number, name in enumerate(NAMES, start=1)
        }
        for opened, row in reversed(bars)
    }
    span = "Daily" if daily else asked["interval"]
    return {
        "Meta Data": {
            "1. Information": f"FX Intraday ({span}) Time Series",
            "2. From Symbol": asked["from_symbol"],
            "3. To Symbol": asked["to_symbol"],
            ("6. Time Zone" if daily else "7. Time Zone"): "UTC",
        },
        f"Time Series FX ({span})": series,
    }


def alpaca(prices: Prices, request: web.Request) -> web.Response:
    """Answer as Alpaca: a stock's day begins at New York's midnight, pages follow a token."""
    if (request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY")) != (KEY, SECRET):
        return answer_json({"message": f"forbidden, {request.headers.get('APCA-API-KEY-ID')}"}, status=403)
    asked, pair = request.query, request.query["symbols"]
    if asked.get("feed") == "sip" and not prices.paid:
        return answer_json({"message": "subscription does not permit querying recent SIP data"}, status=403)
    since, until = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))
    daily = asked["timeframe"] == "1Day"
    if daily:
        since, until = (_date_of(each) for each in (since, until))
    bars = prices.bars(pair, "1 Day" if daily else ALPACA_SPANS[asked["timeframe"]], since, until)
    first = int(asked.get("page_token") or 0)
    page = bars[first : first + min(prices.page, int(asked["limit"]))]
    rows = [{"t": _alpaca_time(opened, daily), **_short(row), "n": 3, "vw": 1.5} for opened, row in page]
    token = str(first + len(page)) if first + len(page) < len(bars) else None
    return answer_json({"bars": {pair: rows} if rows else None, "next_page_token": token})


def kraken(prices: Prices, request: web.Request) -> Json:
    """Answer as Kraken: at most the newest 720, whatever was asked for."""
    asked = request.query
    if asked["pair"] != "XXBTZUSD":
        return {"error": ["EQuery:Unknown asset pair"]}
    timeframe = "1 Day" if asked["interval"] == "1440" else KRAKEN_SPANS[asked["interval"]]
    since = datetime.fromtimestamp(int(asked.get("since", 0)) + 1, UTC)
    bars = prices.bars("BTC/USD", timeframe, since, prices.now)[-KRAKEN_MOST:]
    rows = [
        [
            int(opened.timestamp()),
            *(_text(row[name]) for name in ("open", "high", "low", "close")),
            "1.5",
            _text(row["volume"]),
            7,
        ]
        for opened, row in bars
    ]
    return {"error": [], "result": {"XXBTZUSD": rows, "last": 0}}


def kraken_pair(base: str, quote: str, short: str, name: str) -> Json:
    """Return what Kraken says of a pair."""
    return {
        "altname": short,
        "wsname": name,
        "aclass_base": "currency",
        "base": base,
        "aclass_quote": "currency",
        "quote": quote,
        "pair_decimals": 1,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3],
        "leverage_sell": [2, 3],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
    }


def _short(row: Json) -> Json:
    return {name[0]: value for name, value in row.items()}


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) else value


def _date_of(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(NEW_YORK).date(), datetime.min.time(), UTC)


def _alpaca_time(opened: datetime, daily: bool) -> str:
    midnight = datetime.combine(opened.date(), datetime.min.time(), NEW_YORK)
    return f"{(midnight if daily else opened).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
