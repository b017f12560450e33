"""Say which source serves a pair: one setting for each kind of market.

A source is loaded when it is first wanted: those that ask over HTTP need libraries that the others do not.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from core.pips import MarketKind, market_of
from reversal.sources.base import BarSource
from reversal.sources.csv_folder import csv_folder
from reversal.sources.replay import ReplaySource
from settings import Settings

OFF = "off"
KEYS: Mapping[str, tuple[str, ...]] = {
    "alpha_vantage": ("ALPHA_VANTAGE_API_KEY",),
    "alpaca": ("ALPACA_DATA_KEY_ID", "ALPACA_DATA_SECRET_KEY"),
}


def source_of(pair: str, settings: Settings) -> BarSource | None:
    """Return what gives a pair's bars, or None where its kind of market is off; raise ValueError for no pair."""
    return source_for(market_of(pair).kind, settings)


def source_for(kind: MarketKind, settings: Settings) -> BarSource | None:
    """Return what gives the bars of a kind of market, or None where it is off."""
    name = chosen(kind, settings)
    return None if name == OFF else _made(name, settings)


def chosen(kind: MarketKind, settings: Settings) -> str:
    """Return the setting of a kind of market: a source's name, an exchange's, or off."""
    return {
        MarketKind.FOREX: settings.reversal_forex_source,
        MarketKind.CRYPTO: settings.reversal_crypto_source,
        MarketKind.STOCK: settings.reversal_stock_source,
    }[kind]


def setting_of(kind: MarketKind) -> str:
    """Return the name of the setting that chooses the source of a kind of market."""
    return f"REVERSAL_{kind}_SOURCE"


def missing_keys(settings: Settings) -> list[str]:
    """Return in words which chosen sources lack keys, and so can give no bars."""
    return [
        f"{setting_of(kind)} is {name}, and {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        for kind in MarketKind
        if (name := chosen(kind, settings)) in KEYS
        and (missing := [each for each in KEYS[name] if not _has(settings, each)])
    ]


def _has(settings: Settings, name: str) -> bool:
    key = getattr(settings, name.lower())
    return key is not None and bool(key.get_secret_value())


@lru_cache(maxsize=16)
def _made(name: str, settings: Settings) -> BarSource:
    """Make a source once for a process: it keeps its connections, and an exchange its list of markets."""
    maker = MAKERS.get(name)
    return maker(settings) if maker else _exchange(name, settings)


def _alpha_vantage(settings: Settings) -> BarSource:
    from reversal.sources.alpha_vantage import alpha_vantage

    return alpha_vantage(settings)


def _alpaca(settings: Settings) -> BarSource:
    from reversal.sources.alpaca_bars import alpaca_bars

    return alpaca_bars(settings)


def _exchange(name: str, settings: Settings) -> BarSource:
    from reversal.sources.ccxt_bars import ccxt_bars

    return ccxt_bars(name, settings)


MAKERS: Mapping[str, Callable[[Settings], BarSource]] = {
    "replay": lambda settings: ReplaySource(),
    "alpha_vantage": _alpha_vantage,
    "alpaca": _alpaca,
    "csv": csv_folder,
}
