"""Give a coin its pair, and part a pair that is written as one word."""

from signals.discord_draft import Named

DEFAULT_QUOTE = "USDT"
_QUOTES = (DEFAULT_QUOTE, "USDC", "USD")


def symbol_of(named: Named) -> str:
    """Return `BTC-USDT` for a pair, and for a coin alone its usual one."""
    return f"{named.base}-{named.quote or DEFAULT_QUOTE}"


def split_pair(ticker: str) -> Named:
    """Return the halves of a symbol written as one word: `BTCUSDT` → BTC and USDT, `AAPL` → AAPL alone."""
    for quote in _QUOTES:
        if ticker.endswith(quote) and ticker != quote:
            return Named(base=ticker.removesuffix(quote), quote=quote, text=ticker)
    return Named(base=ticker, quote=None, text=ticker)
