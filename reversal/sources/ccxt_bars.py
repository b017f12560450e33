"""Ask any exchange that ccxt knows for bars of coins; no key is needed.

Only the exchange's own module is loaded (`core.one_module`), and of its list of markets only those that are
asked for are kept.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from core import timeframe as timeframes
from core.bar import Bar, length
from core.one_module import one_module
from core.pips import MarketKind
from reversal.sources.base import (
    SETTLED,
    Allowance,
    SourceDown,
    SourceRefused,
    SourceUnavailable,
    freely,
)
from reversal.sources.line import Line
from reversal.sources.numbers import number
from settings import Settings

LONGEST = "1 Day"
# Steps over a stretch in which an exchange has no bar at all, and the most that one fetch may ask.
STEP, MOST_PAGES = 200, 40
# Well below what any exchange allows without a key.
ALLOWANCE = Allowance(calls=60, seconds=60)
REFUSED = ("BadSymbol", "BadRequest", "AuthenticationError", "PermissionDenied", "NotSupported")
# ccxt writes every request to its logger
_silent = logging.getLogger("reversal.sources.ccxt_bars.silent")
_silent.disabled = True


class CcxtBars:
    """Give bars of coins from one exchange, by the name that ccxt gives it."""

    kinds = frozenset({MarketKind.CRYPTO})
    allowances: tuple[Allowance, ...] = (ALLOWANCE,)
    settles = SETTLED
    is_replay = False

    def __init__(self, exchange: str, address: str | None = None) -> None:
        self.name = exchange
        self._address = address
        self._client: Any = None
        self._one_at_a_time = threading.Lock()

    def pairs(self) -> Sequence[str]:
        """Return none: there are hundreds."""
        return ()

    def timeframes(self, pair: str) -> Sequence[str]:
        """Return the timeframes up to a day that the exchange has by itself."""
        return list(self._names())

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
        with self._one_at_a_time, self._understood():
            self._know(pair, asking)
            rows = [row for page in self._pages(pair, timeframe, since, until, asking) for row in page]
            bars = [_bar(row, length(timeframe)) for row in rows]
        if not bars:
            # An exchange trades always; ccxt makes an empty list of many an answer that is none.
            raise SourceUnavailable(
                f"{self._opened().session.title} gives no bars of {pair} {timeframe} at all."
            )
        return [bar for bar in bars if since <= bar.opened_at < until and bar.closed_at <= now]

    def _pages(
        self, pair: str, timeframe: str, since: datetime, until: datetime, asking: Callable[[], None]
    ) -> Iterator[Sequence[Sequence[Any]]]:
        lasts, asked = length(timeframe), since
        for _ in range(MOST_PAGES):
            if asked >= until:
                return
            asking()
            rows = self._opened().fetch_ohlcv(pair, self._names()[timeframe], _milliseconds(asked))
            yield rows
            newest = max((_moment(row[0]) for row in rows), default=asked - lasts)
            asked = newest + lasts if newest >= asked else asked + STEP * lasts

    def _know(self, pair: str, asking: Callable[[], None]) -> None:
        """Learn the exchange's market of a pair, once."""
        client = self._opened()
        if pair in (client.markets or {}):
            return
        asking()
        known, everything = client.markets or {}, client.load_markets(True)
        if pair not in everything:
            client.set_markets(list(known.values())) if known else _forget(client)
            raise SourceRefused(f"{client.name} has no market {pair}.")
        client.set_markets([*known.values(), everything[pair]])

    def _names(self) -> Mapping[str, str]:
        """Return ccxt's name of each timeframe up to a day, shortest first."""
        named = {}
        for name in self._opened().timeframes or {}:
            # ccxt's m is a minute, M a month
            if name[-1] in "mhd":
                named[timeframes.canonical(name)] = name
        fitting = [each for each in named if length(each) <= length(LONGEST) and not _odd(each)]
        return {each: named[each] for each in sorted(fitting, key=length)}

    def _opened(self) -> Any:
        if self._client is None:
            self._client = _open(self.name, self._address)
        return self._client

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn what ccxt raises of itself into failures of ours."""
        line: Line = self._opened().session
        try:
            with line.reading():
                yield
        except _ccxt_errors() as error:
            words = f"{line.title}: {line.shown(error)}"
            kinds = {kind.__name__ for kind in type(error).__mro__}
            if kinds & set(REFUSED):
                failure: Exception = SourceRefused(words)
            else:
                failure = SourceDown(words) if "NetworkError" in kinds else SourceUnavailable(words)
        else:
            return
        raise failure


def ccxt_bars(exchange: str, settings: Settings) -> CcxtBars:
    """Return the source that asks an exchange."""
    return CcxtBars(exchange, settings.reversal_ccxt_base_url)


def _open(exchange: str, address: str | None) -> Any:
    try:
        kind: Any = getattr(one_module("ccxt", exchange), exchange)
    except (ModuleNotFoundError, AttributeError):
        raise SourceRefused(f"The installed ccxt has no exchange {exchange}.") from None
    client = kind({"enableRateLimit": False, "options": {"fetchMarkets": {"types": ["spot"]}}})
    client.has["fetchCurrencies"] = False
    client.logger, client.number, client.on_json_response = _silent, str, _exactly
    client.session = Line(str(client.name))
    client.on_rest_response = _judging(client.session)
    if address is not None:
        client.urls["api"] = _moved(client.urls["api"], address)
    return client


def _exactly(body: str) -> Any:
    """Read an answer, its numbers as texts: a float would already be rounded."""
    try:
        return json.loads(body, parse_float=str)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _judging(line: Line) -> Callable[..., str]:
    """Return what judges an answer's status before ccxt makes anything of it."""

    def judged(
        status: int, _reason: str, _url: str, _method: str, _headers: object, body: str, *_: object
    ) -> str:
        if status == 429 or status >= 500:
            line.check(status, body)
        return body.strip()

    return judged


def _moved(urls: Any, address: str) -> Any:
    if isinstance(urls, Mapping):
        return {name: _moved(each, address) for name, each in urls.items()}
    return address.rstrip("/") + urlsplit(urls).path


def _forget(client: Any) -> None:
    client.markets = client.markets_by_id = None


def _odd(timeframe: str) -> bool:
    """Tell whether bars of a timeframe do not fill a day evenly, so that their openings wander."""
    return bool(length(LONGEST) % length(timeframe))


def _bar(row: Sequence[Any], lasts: timedelta) -> Bar:
    opened_at = _moment(row[0])
    prices = dict(zip(("open", "high", "low", "close", "volume"), map(number, row[1:6]), strict=True))
    return Bar(opened_at=opened_at, closed_at=opened_at + lasts, **prices)


def _moment(milliseconds: object) -> datetime:
    if not isinstance(milliseconds, int):
        raise TypeError(f"the time {milliseconds!r} is no number")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def _ccxt_errors() -> type[BaseException]:
    kind: type[BaseException] = sys.modules["ccxt.base.errors"].BaseError
    return kind
