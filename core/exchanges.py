"""Tell whether the exchange that stands before a symbol is one that a connection trades.

TradingView writes `NASDAQ:AAPL`, `XETR:AMD`, `BINANCE:BTCUSDT`. The same letters at another exchange are
another thing: Xetra's AMD is quoted in euros, and must not be taken for the American share.
"""

from core.instrument import AssetClass

US_STOCK_EXCHANGES = frozenset(
    {
        *("NASDAQ", "NYSE", "AMEX", "ARCA", "NYSEARCA", "NYSEAMERICAN", "NYSEMKT", "BATS", "CBOE", "BZX"),
        *("IEX", "MEMX", "BOATS", "OTC", "OTCMKTS", "OTCBB", "PINK"),
    }
)
CRYPTO_EXCHANGES = frozenset(
    {
        *("BINANCE", "BINANCEUS", "BITFINEX", "BITGET", "BITHUMB", "BITMEX", "BITPANDAPRO", "BITSO"),
        *("BITSTAMP", "BLOFIN", "BTSE", "BYBIT", "CEXIO", "COINBASE", "COINEX", "CRYPTO", "CRYPTOCOM"),
        *("DERIBIT", "DYDX", "EXMO", "GATE", "GATEIO", "GEMINI", "HITBTC", "HTX", "HUOBI", "HYPERLIQUID"),
        *("KRAKEN", "KUCOIN", "LBANK", "MEXC", "OKCOIN", "OKEX", "OKX", "PHEMEX", "PIONEX", "POLONIEX"),
        *("TOOBIT", "UPBIT", "WEEX", "WHITEBIT", "WOO", "XT", "BINGX", "ALPACA"),
    }
)
_TRADED = {AssetClass.STOCK: US_STOCK_EXCHANGES, AssetClass.CRYPTO: CRYPTO_EXCHANGES}
_WHAT = {AssetClass.STOCK: "American shares", AssetClass.CRYPTO: "crypto"}


def objection(symbol: str, exchange: str | None, asset_class: AssetClass, broker: str) -> str | None:
    """Return the sentence that refuses a symbol of `exchange` at `broker`, None where it is traded there.

    A symbol without an exchange is the bot's own. For crypto every crypto exchange will do: the coin is
    the same one and prices differ little.
    """
    if exchange is None or exchange in _TRADED[asset_class]:
        return None
    return (
        f"{exchange}:{symbol} is not what this bot trades: {broker} trades {symbol} as {_WHAT[asset_class]},"
        f" and {exchange} is {_kind(exchange)}. Send {symbol} alone if it is meant all the same."
    )


def _kind(exchange: str) -> str:
    if exchange in US_STOCK_EXCHANGES:
        return "an American stock exchange"
    return "a crypto exchange" if exchange in CRYPTO_EXCHANGES else "another market"
