"""Name every word and emoji that a Discord signal may hold; whatever is not here is not understood.

To accept another word, add it to the line of its role. `docs/signal-formats.md` lists the labels.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from core.order import MarginMode
from core.signal import Action


class Role(StrEnum):
    """What a piece of a message is to the grammar."""

    SIDE = "side"
    CIRCLE = "circle"
    CLOSE = "close"
    SYMBOL = "symbol"
    WORD = "word"
    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    LADDER = "ladder"
    MARKET = "market"
    LIMIT = "limit"
    LEVERAGE = "leverage"
    MARGIN = "margin"
    SIZE = "size"
    RISK = "risk"
    RISK_LEVEL = "risk level"
    PAIR = "pair"
    TICKER = "ticker"
    NAMED = "named"
    RATIO = "ratio"
    HALF = "half"
    FILLER = "filler"
    POLITE = "polite"
    ARTICLE = "article"
    TIMEFRAME_NAME = "timeframe name"
    PRICE = "price"
    TIMES = "times"
    PERCENT = "percent"
    TIMEFRAME = "timeframe"
    BAD_NUMBER = "bad number"
    INDEX = "index"
    REFERENCE = "reference"
    CURRENCY = "currency"
    COLON = "colon"
    AT = "at"
    DASH = "dash"
    PLUS = "plus"
    SLASH = "slash"
    AND = "and"
    TO = "to"
    COMMA = "comma"
    OPEN = "("
    SHUT = ")"
    STOP_MARK = "."
    MARK = "mark"
    DECORATION = "decoration"
    UNKNOWN = "unknown"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WORDS: Mapping[Role, str] = {
    Role.CLOSE: "close, exit",
    Role.ENTRY: (
        "entry, entries, entry price, entry zone, entry range, entry area, entry point, entry target, "
        "entry targets, entry level, entry at, enter, enter at, ep, buy zone, buy price, buy at, sell "
        "zone, sell price, sell at, price"
    ),
    Role.STOP: (
        "stop, stop loss, stop-loss, stoploss, sl, s/l, stop price, stop target, stop targets, stop loss "
        "price, stoploss price"
    ),
    Role.TARGET: (
        "tp, tps, t/p, target, targets, tgt, take profit, take-profit, takeprofit, take profits, "
        "take-profits, take profit target, take profit targets, take-profit target, take-profit targets, "
        "profit target, profit targets, target price, take profit price"
    ),
    Role.LADDER: "entry/sl/tp, entry/stop/target, e/sl/tp",
    Role.MARKET: (
        "market, now, cmp, at market, market order, market price, market entry, at cmp, current price, "
        "current market price"
    ),
    Role.LIMIT: "limit, limit order, limit entry",
    Role.LEVERAGE: "leverage, lev",
    Role.SIZE: "size, position size, qty, quantity, amount",
    Role.RISK: "risk, risk per trade",
    Role.RISK_LEVEL: "low, medium, high",
    Role.PAIR: "pair, symbol, coin, asset, instrument, token",
    Role.TICKER: "ticker",
    # These stand before a colon and name what follows
    Role.NAMED: (
        "side, direction, action, type, signal type, trade type, order type, exchange, exchanges, margin, "
        "margin mode, margin type"
    ),
    Role.RATIO: "rr, r:r, r/r, risk reward, risk/reward, risk:reward, risk reward ratio",
    Role.HALF: "half",
    Role.TIMEFRAME_NAME: "timeframe, time frame, tf",
    Role.CURRENCY: "usdt, usd, usdc",
    Role.AT: "at",
    Role.AND: "and",
    Role.TO: "to",
    Role.POLITE: "please, trade, position",
    # Harmless in an order to close alone
    Role.ARTICLE: "the, all, full, entire, of",
    Role.FILLER: (
        "signal, signals, alert, trading, trading signal, trading signal alert, new signal, new trade, "
        "new setup, new alert, trade alert, trade setup, trade signal, setup, premium, vip, free, crypto, "
        "futures, perp, perpetual, perpetuals, swap, scalp, swing, day trade, intraday, regular, binance, "
        "bybit, blofin, bitget, okx, kucoin, mexc, bingx, gate, gate.io, low risk, medium risk, high "
        "risk, with, trade safe, good luck, gl, glhf, good luck all, good luck everyone, dyor, nfa, nfa "
        "dyor, not financial advice, this is not financial advice, do your own research, lfg, let's go, "
        "lets go, gm, hello, hi, hi all, hey, guys, team, everyone, happy trading, stay safe, manage your "
        "risk, use proper risk management, risk management"
    ),
}
SIDES = {"long": Action.BUY, "buy": Action.BUY, "short": Action.SELL, "sell": Action.SELL}
MARGINS = {"cross": MarginMode.CROSS, "isolated": MarginMode.ISOLATED, "iso": MarginMode.ISOLATED}

EMOJIS: Mapping[str, tuple[Role, object]] = {
    "📈": (Role.SIDE, Action.BUY),
    "📉": (Role.SIDE, Action.SELL),
    "🟢": (Role.CIRCLE, Action.BUY),
    "🔴": (Role.CIRCLE, Action.SELL),
    **dict.fromkeys("💰📍", (Role.ENTRY, None)),
    **dict.fromkeys("🛑⛔", (Role.STOP, None)),
    "🎯": (Role.TARGET, None),
    **dict.fromkeys(
        "🚨🚀🔥⚡💎💵💲📊🔔📢📣🔶🔷🔸🔹🟠🟡🟣🔵🟦🟧🟥🟩⭐🌟✨💥📌🪙💹✖⚖⚙🏷📝👉▶➤➡→➜»🙏🍀☘🥇🥈🥉🔝🆕🛡⬆⬇⚠",
        (Role.DECORATION, None),
    ),
}
MARKS: Mapping[str, Role] = {
    **dict.fromkeys(":=", Role.COLON),
    "@": Role.AT,
    "-": Role.DASH,
    "+": Role.PLUS,
    "/": Role.SLASH,
    "&": Role.AND,
    ",": Role.COMMA,
    "(": Role.OPEN,
    "[": Role.OPEN,
    ")": Role.SHUT,
    "]": Role.SHUT,
    ".": Role.STOP_MARK,
    "$": Role.CURRENCY,
    **dict.fromkeys(';|!"•·●▪▫◾◽◆◇■□★☆─━═│┃', Role.MARK),
}

# Coins whose names nobody writes as a word of a sentence
COINS = _words(
    "1000bonk 1000floki 1000pepe 1000shib 1inch aave ada algo apt arb avax axs bch bera bnb bonk btc "
    "cake chz crv dash doge dot dydx egld ena eos etc eth fet fil floki ftm gala gmx grt hbar hype icp "
    "imx inj jup kas kava ldo ltc mana matic mkr neo ondo ordi pepe pol pyth qtum rndr rune sei shib "
    "snx sol strk stx sui tao theta tia ton trx uni vet wif wld xlm xmr xrp xtz zec"
)
# Words in capitals beside a side that are no coin
NO_COINS = _words(
    "ABOVE ADD AFTER AGAIN ALL AN AS BE BEFORE BELOW BIAS BIG BOTTOM BREAK BUYER BY CALL CALLS DIP DO "
    "FOR FROM GO HEDGE HERE IDEA IF IN IS IT LIVE ME MORE MY NEAR NEW NO NOT OF OK ON ONE ONLY OPEN "
    "OPTION OPTIONS OR ORDER ORDERS OUT OVER PUT PUTS RETEST RUN SELLER SIDE SO SPOT SQUEEZE STOP STORY "
    "TERM THAT THE THIS TIME TODAY TOMORROW TOP TRADE TWO UNDER UP US VOLUME WAIT WALL WE WHEN YES"
)
# Where one of these is left over, people talk of a trade, or tell what became of one
TALK = _words(
    "achieved ago banked because booked cancel canceled cancelled closed closing completed congrats "
    "could deleted didn't don't done dont earlier edited entered example exited filled had has have he "
    "hit hits how i i'd i'll i'm i've if ignore im instead invalid invalidated last liquidated look "
    "looking loss losses lost maybe might mine missed mistake move moved moving my never no not old "
    "previous probably profit profits reached recap remember result results running secured she should "
    "sorry squeeze still stopped taken test testing they think thinking tomorrow took triggered typo "
    "unless update updated wait waiting was watch watching we we're were what when where who why win "
    "won would wrong yesterday you your"
)
# These hint at talk where little of a signal is there
CHAT = _words(
    "a about an are as bad be been but can can't for from going gonna good great haha here imo in is it "
    "it's just like lol looks nice of on or really so some that there this to very will won't"
)
RESULT_MARKS = frozenset("✅☑✔❌❎🤣😂🤔❓❔")
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD")
EXCHANGES = ("BINANCE", "BYBIT", "BLOFIN", "BITGET", "OKX", "KUCOIN", "MEXC", "BINGX", "COINBASE", "KRAKEN")

_PHRASE_PIECE = re.compile(r"[a-z']+|[^\sa-z']")
Phrase = tuple[tuple[str, ...], Role, object]


def pieces_of(phrase: str) -> tuple[str, ...]:
    """Return a phrase as the scanner cuts it: `stop-loss` → stop, -, loss."""
    return tuple(_PHRASE_PIECE.findall(phrase))


def _all() -> Iterator[Phrase]:
    for role, listed in WORDS.items():
        phrases = listed.split(", ")
        yield from ((pieces_of(phrase), role, _side_in(role, phrase)) for phrase in phrases)
    yield from (((word,), Role.SIDE, action) for word, action in SIDES.items())
    for word, mode in MARGINS.items():
        yield (word,), Role.MARGIN, mode
        yield (word, "margin"), Role.MARGIN, mode


def _side_in(role: Role, phrase: str) -> object:
    # "buy zone" names the side along with the entry
    return SIDES.get(phrase.split()[0]) if role is Role.ENTRY else None


def _by_first_word() -> dict[str, tuple[Phrase, ...]]:
    found: dict[str, list[Phrase]] = {}
    for phrase in sorted(_all(), key=lambda each: -len(each[0])):
        found.setdefault(phrase[0][0], []).append(phrase)
    return {first: tuple(phrases) for first, phrases in found.items()}


PHRASES = _by_first_word()
