"""Ask Alpha Vantage for bars of currencies: FX_INTRADAY and FX_DAILY, times in UTC.

Whatever is wrong comes as HTTP 200 with `Error Message`, `Information` or `Note` in place of bars. The key
can only be given in the address.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from core.bar import Bar, length
from core.pips import MarketKind
from reversal.sources.base import (
    SETTLED,
    Allowance,
    SourceDown,
    SourceRefused,
    freely,
)
from reversal.sources.line import Line
from reversal.sources.numbers import number
from settings import Settings

ADDRESS = "https://www.alphavantage.co"
INTERVALS = {"1 Min": "1min", "5 Min": "5min", "15 Min": "15min", "30 Min": "30min", "1 Hour": "60min"}
DAILY = "1 Day"
# What `outputsize=compact` gives, the newest ones.
COMPACT = 100
MINUTE, DAY = 60, 86_400
NAMES = {"open": "1. open", "high": "2. high", "low": "3. low", "close": "4. close"}
TOO_OFTEN = re.compile(r"rate limit|call frequency|call volume|requests per|spreading out", re.IGNORECASE)
PAID_ONLY = re.compile(r"premium (endpoint|feature|plan)|outputsize", re.IGNORECASE)


class AlphaVantage:
    """Give bars of currencies. `shortest` is the shortest timeframe that the operator's plan has."""

    name = "alpha_vantage"
    kinds = frozenset({MarketKind.FOREX})
    settles = SETTLED
    is_replay = False

    def __init__(self, key: str, address: str, allowances: tuple[Allowance, ...], shortest: str) -> None:
        self.allowances = allowances
        self._key, self._address = key, address
        self._timeframes = [each for each in (*INTERVALS, DAILY) if length(each) >= length(shortest)]
        self._line = Line("Alpha Vantage", (key,))

    def pairs(self) -> Sequence[str]:
        """Return none: there are hundreds."""
        return ()

    def timeframes(self, pair: str) -> Sequence[str]:
        """Return the timeframes that the plan has."""
        return self._timeframes

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
        if not self._key:
            raise SourceRefused("Alpha Vantage needs a key: set ALPHA_VANTAGE_API_KEY.")
        is_short = (now - since) / length(timeframe) < COMPACT
        try:
            answer = self._ask(pair, timeframe, "compact" if is_short else "full", asking)
        except _PaidOnly as refusal:
            # A free key gets the newest hundred days, and no more of the past.
            if is_short or timeframe != DAILY:
                raise SourceRefused(str(refusal)) from None
            answer = self._ask(pair, timeframe, "compact", asking)
        bars = self._read(answer, timeframe)
        return [bar for bar in bars if since <= bar.opened_at < until and bar.closed_at <= now]

    def _ask(self, pair: str, timeframe: str, size: str, asking: Callable[[], None]) -> Mapping[str, Any]:
        base, _, quote = pair.partition("/")
        parameters = {"from_symbol": base, "to_symbol": quote, "outputsize": size, "apikey": self._key}
        if timeframe == DAILY:
            parameters["function"] = "FX_DAILY"
        else:
            parameters |= {"function": "FX_INTRADAY", "interval": INTERVALS[timeframe]}
        asking()
        answer = self._line.json(f"{self._address}/query", parameters)
        if not isinstance(answer, dict):
            raise self._line.not_understood("it is no object")
        self._check(answer)
        return answer

    def _check(self, answer: Mapping[str, Any]) -> None:
        """Raise what stands in the place of bars."""
        if "Error Message" in answer:
            raise SourceRefused(f"Alpha Vantage refuses: {self._line.shown(answer['Error Message'])}")
        words = answer.get("Note") or answer.get("Information")
        if words is None:
            return
        if TOO_OFTEN.search(str(words)):
            raise SourceDown(f"Alpha Vantage asks us to wait: {self._line.shown(words)}")
        if PAID_ONLY.search(str(words)):
            raise _PaidOnly(
                f"Alpha Vantage refuses: {self._line.shown(words)} With a free key set"
                " ALPHA_VANTAGE_SHORTEST_TIMEFRAME=1 Day."
            )
        raise SourceRefused(f"Alpha Vantage refuses: {self._line.shown(words)}")

    def _read(self, answer: Mapping[str, Any], timeframe: str) -> list[Bar]:
        with self._line.reading():
            span = "Daily" if timeframe == DAILY else INTERVALS[timeframe]
            self._check_zone(answer["Meta Data"])
            series = answer[f"Time Series FX ({span})"]
            return [_bar(written, prices, length(timeframe)) for written, prices in sorted(series.items())]

    def _check_zone(self, about: Mapping[str, str]) -> None:
        zones = [value for name, value in about.items() if name.endswith("Time Zone")]
        if any(zone.split(" ")[0] != "UTC" for zone in zones):
            raise ValueError(f"its times are of {zones[0]}, not UTC")


class _PaidOnly(Exception):
    """The plan does not have it."""


def alpha_vantage(settings: Settings) -> AlphaVantage:
    """Return the source as the settings have it."""
    key = settings.alpha_vantage_api_key
    per_minute = Allowance(calls=settings.alpha_vantage_calls_per_minute, seconds=MINUTE)
    per_day = Allowance(calls=settings.alpha_vantage_calls_per_day, seconds=DAY)
    # What it calls sparing: no two in one second, whatever the minute allows.
    per_second = Allowance(calls=1, seconds=1)
    return AlphaVantage(
        key=key.get_secret_value() if key else "",
        address=settings.alpha_vantage_base_url or ADDRESS,
        allowances=(per_second, per_minute, per_day) if per_day.calls else (per_second, per_minute),
        shortest=settings.alpha_vantage_shortest_timeframe,
    )


def _bar(written: str, prices: Mapping[str, str], lasts: timedelta) -> Bar:
    # a day is written without its hour
    opened_at = datetime.fromisoformat(written).replace(tzinfo=UTC)
    read = {field: number(prices[name]) for field, name in NAMES.items()}
    return Bar(opened_at=opened_at, closed_at=opened_at + lasts, **read)
