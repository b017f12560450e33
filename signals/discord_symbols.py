"""Give a coin its pair, and find out whether it can be traded."""

from collections.abc import Collection

from core.instrument import symbol_key
from signals.discord_draft import Named

DEFAULT_QUOTE = "USDT"
_LIKELY_QUOTES = (DEFAULT_QUOTE, "USDC", "USD")


def symbol_of(named: Named, known_symbols: Collection[str] | None) -> str | None:
    """Return `BTC-USDT` for a pair or a coin alone, or None where `known_symbols` has none that is meant.

    A coin without its other half is the first of its pairs that is known, and then a symbol by itself
    (`AAPL`); the pair in USDT where nothing is known.
    """
    if named.quote is not None:
        return _known(f"{named.base}-{named.quote}", known_symbols)
    if known_symbols is None:
        return f"{named.base}-{DEFAULT_QUOTE}"
    pairs = [*(f"{named.base}-{quote}" for quote in _LIKELY_QUOTES), named.base]
    return next((pair for pair in pairs if _known(pair, known_symbols)), None)


def split_pair(ticker: str) -> Named:
    """Return the halves of a symbol written as one word: `BTCUSDT` → BTC and USDT, `AAPL` → AAPL alone."""
    for quote in _LIKELY_QUOTES:
        if ticker.endswith(quote) and ticker != quote:
            return Named(base=ticker.removesuffix(quote), quote=quote, text=ticker)
    return Named(base=ticker, quote=None, text=ticker)


def _known(symbol: str, known_symbols: Collection[str] | None) -> str | None:
    return symbol if known_symbols is None or symbol_key(symbol) in known_symbols else None
