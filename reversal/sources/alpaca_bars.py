"""Ask Alpaca's market data for bars of stocks and coins, by REST alone.

Prices of stocks are adjusted for splits, as they are when asked for. A stock's day begins at New York's midnight
and is dated as there. Without a plan only the exchange IEX is given: fewer trades than all of America's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from core.bar import Bar, length
from core.pips import MarketKind
from reversal.sources.base import SETTLED, Allowance, SourceRefused, freely
from reversal.sources.line import Line
from reversal.sources.numbers import number
from settings import Settings

ADDRESS = "https://data.alpaca.markets"
NEW_YORK = ZoneInfo("America/New_York")
TIMEFRAMES = {
    "1 Min": "1Min",
    "5 Min": "5Min",
    "15 Min": "15Min",
    "30 Min": "30Min",
    "1 Hour": "1Hour",
    "1 Day": "1Day",
}
DAILY = "1 Day"
PAGE = 10_000
MOST_PAGES = 20
MINUTE, MOST_CALLS = 60, 200
NAMES = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


class AlpacaBars:
    """Give bars of stocks and coins."""

    name = "alpaca"
    kinds = frozenset({MarketKind.STOCK, MarketKind.CRYPTO})
    settles = SETTLED
    is_replay = False

    def __init__(
        self, keys: tuple[str, str], address: str, feed: str, allowances: tuple[Allowance, ...]
    ) -> None:
        self.allowances = allowances
        self._keys, self._address, self._feed = keys, address, feed
        self._line = Line("Alpaca", keys)

    def pairs(self) -> Sequence[str]:
        """Return none: there are thousands."""
        return ()

    def timeframes(self, pair: str) -> Sequence[str]:
        """Return the timeframes it gives; a day of coins is built, since Alpaca's does not begin at UTC's midnight."""
        return [each for each in TIMEFRAMES if each != DAILY or "/" not in pair]

    def fetch(
        self,
        pair: str,
        timeframe: str,
        since: datetime,
        until: datetime,
        *,
        now: datetime,
        asking: Callable[[], None] = freely,
    ) -> Sequence[Bar]:
        """Return the bars that opened from `since` to before `until` and closed by `now`."""
        if not all(self._keys):
            raise SourceRefused("Alpaca needs keys: set ALPACA_DATA_KEY_ID and ALPACA_DATA_SECRET_KEY.")
        by_date = timeframe == DAILY and "/" not in pair
        first, last = (_asked(moment, by_date) for moment in (since, until))
        parameters = {
            "symbols": pair,
            "timeframe": TIMEFRAMES[timeframe],
            "start": _written(first),
            "end": _written(last - timedelta(seconds=1)),
            "limit": str(PAGE),
            "sort": "asc",
        }
        bars = []
        for rows in self._pages(pair, parameters, asking):
            with self._line.reading():
                bars += [_bar(row, length(timeframe), by_date) for row in rows]
        return [bar for bar in bars if since <= bar.opened_at < until and bar.closed_at <= now]

    def _pages(
        self, pair: str, parameters: Mapping[str, str], asking: Callable[[], None]
    ) -> Iterator[Sequence[Any]]:
        path, more = "/v1beta3/crypto/us/bars", dict(parameters)
        if "/" not in pair:
            path, more = "/v2/stocks/bars", {**parameters, "feed": self._feed, "adjustment": "split"}
        headers = {"APCA-API-KEY-ID": self._keys[0], "APCA-API-SECRET-KEY": self._keys[1]}
        for _ in range(MOST_PAGES):
            asking()
            answer = self._line.json(f"{self._address}{path}", more, headers)
            with self._line.reading():
                # Alpaca says null where there are none
                bars, token = answer["bars"] or {}, answer["next_page_token"]
                rows = bars.get(pair) or []
                if not isinstance(rows, list) or not isinstance(token, str | None):
                    raise TypeError("its bars are no list")
            yield rows
            if not token:
                return
            more["page_token"] = token
        raise self._line.not_understood(f"it has more than {MOST_PAGES} pages")


def alpaca_bars(settings: Settings) -> AlpacaBars:
    """Return the source as the settings have it."""
    keys = (settings.alpaca_data_key_id, settings.alpaca_data_secret_key)
    key_id, secret = (key.get_secret_value() if key else "" for key in keys)
    calls = min(settings.alpaca_calls_per_minute, MOST_CALLS)
    return AlpacaBars(
        keys=(key_id, secret),
        address=settings.apca_api_data_url or ADDRESS,
        feed=settings.alpaca_data_feed,
        allowances=(Allowance(calls=calls, seconds=MINUTE),),
    )


def _asked(moment: datetime, by_date: bool) -> datetime:
    return datetime.combine(moment.date(), time(), NEW_YORK) if by_date else moment


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _bar(row: Mapping[str, object], lasts: timedelta, by_date: bool) -> Bar:
    opened_at = datetime.fromisoformat(str(row["t"]))
    if opened_at.tzinfo is None:
        raise ValueError(f"the time {row['t']} has no zone")
    if by_date:
        opened_at = datetime.combine(opened_at.astimezone(NEW_YORK).date(), time(), UTC)
    read: dict[str, Decimal] = {field: number(row[name]) for field, name in NAMES.items()}
    return Bar(opened_at=opened_at.astimezone(UTC), closed_at=opened_at.astimezone(UTC) + lasts, **read)
