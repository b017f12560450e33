"""The formats a signal may be written in. A new one is one entry here; its examples are tests."""

from collections.abc import Mapping
from dataclasses import dataclass

from signals.discord_draft import Draft, Mark
from signals.discord_reading import SignalFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A message of a format, and `TextSignal.summary` of what it is read as."""

    text: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way of writing signals: what tells it from the others, in words for people, and examples.

    `marks` must all be there. The first format of the table that fits is the message's.
    """

    name: SignalFormat
    what: str
    marks: frozenset[Mark]
    examples: tuple[Example, ...]


FORMATS: tuple[Format, ...] = (
    Format(
        name=SignalFormat.CLOSE,
        what="An order to close what is open: “close” or “exit” first, then the coin; a share, a side and "
        "“now” may be added, and nothing else.",
        marks=frozenset({Mark.CLOSING}),
        examples=(
            Example(text="close BTC", summary="CLOSE BTC-USDT"),
            Example(text="Exit ETH/USDT long now", summary="CLOSE ETH-USDT long"),
            Example(text="Close 50% of SOLUSDT", summary="CLOSE SOL-USDT size 50 percent_of_position"),
        ),
    ),
    Format(
        name=SignalFormat.COMPACT,
        what="Side, symbol and three or more prices in a row, parted by slashes: entry, stop, targets.",
        marks=frozenset({Mark.LADDER}),
        examples=(
            Example(
                text="LONG BTCUSDT 60000/58000/65000",
                summary="BUY BTC-USDT entry 60000 stop 58000 targets 65000",
            ),
            Example(
                text="short ETH 3.5k / 3.6k / 3.3k / 3.2k 5x",
                summary="SELL ETH-USDT entry 3500 stop 3600 targets 3300 3200 leverage 5",
            ),
        ),
    ),
    Format(
        name=SignalFormat.TRADERSPOST,
        what="What TradersPost and bots like it write: a JSON message, or its names as labels "
        "(`ticker`, `action`, `price`, `stopLoss`, `takeProfit`).",
        marks=frozenset({Mark.TICKER_LABEL}),
        examples=(
            Example(
                text='{"ticker": "BTCUSDT", "action": "buy", "price": 60000, '
                '"stopLoss": {"type": "stop", "stopPrice": 58000}, "takeProfit": {"limitPrice": 65000}}',
                summary="BUY BTC-USDT entry 60000 stop 58000 targets 65000",
            ),
            Example(
                text="ticker: ETHUSDT | action: sell | price: 3500 | stopLoss: 3600 | takeProfit: 3200",
                summary="SELL ETH-USDT entry 3500 stop 3600 targets 3200",
            ),
        ),
    ),
    Format(
        name=SignalFormat.TARGET_LIST,
        what="A card whose targets are a numbered list, as signal bots for copy trading post them.",
        marks=frozenset({Mark.NUMBERED_LIST}),
        examples=(
            Example(
                text="#SOL/USDT\nExchange: Binance Futures\nSignal Type: Regular (Long)\n"
                "Leverage: Isolated (10X)\nEntry Targets:\n1) 145.5\nTake-Profit Targets:\n1) 150\n2) 155.25\n"
                "3) 160\nStop Targets:\n1) 140",
                summary="BUY SOL-USDT entry 145.5 stop 140 targets 150 155.25 160 leverage 10",
            ),
        ),
    ),
    Format(
        name=SignalFormat.ALERT_CARD,
        what="A card of lines with names: PAIR, SIDE, ENTRY, SL, TP1 to TPn, LEVERAGE, in any order.",
        marks=frozenset({Mark.PAIR_LABEL}),
        examples=(
            Example(
                text="🚨 **TRADING SIGNAL ALERT** 🚨\n\n**📝 PAIR:** BTC/USDT #41\n**SIDE:** __LONG 📈__\n"
                "**ENTRY:** `60,000`\n**SL:** `58,000`\n**TP1:** `62,000`\n**TP2:** `64,000`\n**TP3:** `66,000`\n"
                "**⚖️ LEVERAGE:** 10x",
                summary="BUY BTC-USDT entry 60000 stop 58000 targets 62000 64000 66000 leverage 10",
            ),
            Example(
                text="PAIR: XRP/USDT (LOW RISK) 🟢\nTYPE: SWING\nSIZE: 1-4%\nSIDE: SHORT 📉\nENTRY: 0.52\n"
                "✖️ SL: 0.55\nTAKE PROFIT TARGETS:\nTP1: 0.50\nTP2: 0.48",
                summary="SELL XRP-USDT entry 0.52 stop 0.55 targets 0.5 0.48",
            ),
        ),
    ),
    Format(
        name=SignalFormat.EMOJI,
        what="Emojis for words: 📈 or 🟢 long, 📉 or 🔴 short, 💰 or 📍 entry, 🛑 or ⛔ stop, 🎯 targets.",
        marks=frozenset({Mark.EMOJI_LABEL}),
        examples=(
            Example(
                text="📈 BTC-USDT 💰 60000 🛑 58000 🎯 65000",
                summary="BUY BTC-USDT entry 60000 stop 58000 targets 65000",
            ),
            Example(
                text="🔴 ETHUSDT 📍 3500-3520 ⛔ 3600 🎯 3300 / 3200",
                summary="SELL ETH-USDT entry 3500-3520 stop 3600 targets 3300 3200",
            ),
        ),
    ),
    Format(
        name=SignalFormat.STANDARD,
        what="Side and symbol, then labelled prices in any order, in one line or several.",
        marks=frozenset(),
        examples=(
            Example(
                text="LONG BTC-USDT Entry: 60000 SL: 58000 TP: 65000",
                summary="BUY BTC-USDT entry 60000 stop 58000 targets 65000",
            ),
            Example(
                text="BTC/USDT SHORT\nTP1 57k TP2 55k\nStop loss: 61,500\nEntry: 60,000 - 60,500\nCross 20x",
                summary="SELL BTC-USDT entry 60000-60500 stop 61500 targets 57000 55000 leverage 20",
            ),
            Example(
                text="Buy $ETH now, SL 3400, TP 3600 and 3700. Good luck!",
                summary="BUY ETH-USDT market stop 3400 targets 3600 3700",
            ),
        ),
    ),
)
BY_NAME: Mapping[SignalFormat, Format] = {each.name: each for each in FORMATS}


def format_of(draft: Draft) -> SignalFormat:
    """Return the first format whose marks the message bears; the last takes any."""
    return next(each.name for each in FORMATS if each.marks <= draft.marks)
