"""Whatever is written: no error, nothing misread; and every signal reads back as it was meant."""

import itertools
import json
import sys
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.signal import Action
from signals.discord_text import (
    NoSignal,
    RefusedSignal,
    SignalFormat,
    TextSignal,
    explain,
    fields_of,
    read,
)
from signals.discord_vocabulary import EMOJIS, MARKS, WORDS
from signals.service import read_service_fields
from signals.tradingview import understand
from tests.unit.discord_messages import SIGNALS

BASES = ("BTC", "ETH", "1000BONK", "SOL", "1INCH", "QQZ")
SIDES = {Action.BUY: ("LONG", "Buy"), Action.SELL: ("SHORT", "sell")}
KNOWN_WORDS = [word for words in WORDS.values() for word in words.split(", ")]
PIECES = st.sampled_from(
    [
        *KNOWN_WORDS,
        *EMOJIS,
        *MARKS,
        *[
            "LONG",
            "SHORT",
            "BUY",
            "SELL",
            "BTC",
            "ETH-USDT",
            "$SOL",
            "10x",
            "x5",
            "50%",
            "4h",
            "60k",
            "#1",
            "1)",
            "TP1",
            "TP2",
        ],
    ]
) | st.integers(1, 70_000).map(str)


@st.composite
def prices(draw):
    """Draw stop, entry and one to four targets of a long in ascending order, none of them doubtful."""
    places = draw(st.sampled_from([0, 1, 2, 4]))
    steps = draw(st.lists(st.integers(1, 900), min_size=3, max_size=6))
    rising = list(itertools.accumulate(steps, initial=draw(st.integers(5_000, 60_000))))[1:]
    return [Decimal(level).scaleb(-places) for level in rising]


@st.composite
def signals(draw):
    action = draw(st.sampled_from([Action.BUY, Action.SELL]))
    levels = draw(prices())
    if action is Action.SELL:
        levels.reverse()
    stop, entry, *targets = levels
    return TextSignal(
        format=SignalFormat.STANDARD,
        action=action,
        symbol=f"{draw(st.sampled_from(BASES))}-USDT",
        entry=entry,
        stop_loss=stop,
        take_profits=tuple(targets),
        leverage=draw(st.none() | st.integers(1, 125).map(Decimal)),
    )


def grouped(price):
    return f"{price:,f}"


def thousands(price):
    return f"{(price / 1000).normalize():f}k"


NUMBERS = st.sampled_from([str, grouped, thousands, lambda price: f"${price}"])


def standard(draw, signal):
    number = draw(NUMBERS)
    numbered = draw(st.booleans())
    labels = draw(
        st.sampled_from([("Entry:", "SL:"), ("entry", "stop loss"), ("Entry Price =", "Stop-Loss:")])
    )
    targets = [
        f"TP{place if numbered else ''}: {number(target)}"
        for place, target in enumerate(signal.take_profits, start=1)
    ]
    parts = [f"{labels[0]} {number(signal.entry)}", f"{labels[1]} {number(signal.stop_loss)}"]
    parts += draw(st.permutations(targets)) if numbered else targets
    parts += [f"{signal.leverage}x"] if signal.leverage else []
    if numbered:
        parts = draw(st.permutations(parts))
    head = f"{draw(st.sampled_from(SIDES[signal.action]))} {signal.symbol}"
    return draw(st.sampled_from(["\n", ", ", " | ", " "])).join([head, *parts])


def compact(draw, signal):
    number = draw(NUMBERS)
    ladder = draw(st.sampled_from(["/", " / "])).join(
        map(number, (signal.entry, signal.stop_loss, *signal.take_profits))
    )
    leverage = f" {signal.leverage}x" if signal.leverage else ""
    return (
        f"{draw(st.sampled_from(SIDES[signal.action]))} {signal.symbol.replace('-', '')} {ladder}{leverage}"
    )


def emoji(draw, signal):
    chart = "📈" if signal.action is Action.BUY else "📉"
    targets = " ".join(f"🎯 {target}" for target in signal.take_profits)
    leverage = f" ⚡ {signal.leverage}x" if signal.leverage else ""
    return f"{chart} {signal.symbol} 💰 {signal.entry} 🛑 {signal.stop_loss} {targets}{leverage}"


def card(draw, signal):
    mark = draw(st.sampled_from(["", "**", "__", "`"]))
    lines = [
        f"{mark}PAIR:{mark} {signal.symbol.replace('-', '/')}",
        f"{mark}SIDE:{mark} {SIDES[signal.action][0]}",
        f"{mark}ENTRY:{mark} {mark}{signal.entry}{mark}",
        f"{mark}SL:{mark} {signal.stop_loss}",
        *(f"{mark}TP{place}:{mark} `{target}`" for place, target in enumerate(signal.take_profits, start=1)),
    ]
    lines += [f"LEVERAGE: {signal.leverage}x"] if signal.leverage else []
    return "🚨 TRADING SIGNAL ALERT 🚨\n" + "\n".join(draw(st.permutations(lines)))


def target_list(draw, signal):
    lines = "\n".join(f"{place}) {target}" for place, target in enumerate(signal.take_profits, start=1))
    leverage = f"Leverage: Cross ({signal.leverage}X)\n" if signal.leverage else ""
    return (
        f"#{signal.symbol.replace('-', '/')}\nSignal Type: Regular ({SIDES[signal.action][0].title()})\n{leverage}"
        f"Entry Targets:\n1) {signal.entry}\nTake-Profit Targets:\n{lines}\nStop Targets:\n1) {signal.stop_loss}"
    )


def traderspost(draw, signal):
    fields = {"ticker": signal.symbol, "action": signal.action.lower(), "price": str(signal.entry)}
    fields |= {
        "stopLoss": str(signal.stop_loss),
        "takeProfit": [str(target) for target in signal.take_profits],
    }
    return json.dumps(fields)


WRITERS = {
    SignalFormat.STANDARD: standard,
    SignalFormat.COMPACT: compact,
    SignalFormat.EMOJI: emoji,
    SignalFormat.ALERT_CARD: card,
    SignalFormat.TARGET_LIST: target_list,
    SignalFormat.TRADERSPOST: traderspost,
}


def meant(reading):
    """Return what of a reading trades."""
    assert isinstance(reading, TextSignal), reading
    return (
        reading.action,
        reading.symbol,
        reading.entry,
        reading.entry_range,
        reading.stop_loss,
        reading.take_profits,
        reading.leverage,
    )


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data(), signal=signals())
@settings(max_examples=80, deadline=None)
def test_a_signal_written_in_any_format_reads_back_as_itself(name, data, signal):
    text = WRITERS[name](data.draw, signal)
    reading = read(text)
    assert isinstance(reading, TextSignal), (text, reading)
    assert reading.format is name
    leverage = None if name is SignalFormat.TRADERSPOST else signal.leverage
    assert meant(reading)[:-1] == meant(signal)[:-1]
    assert reading.leverage == leverage


def test_every_format_that_opens_is_written():
    assert set(WRITERS) == set(SignalFormat) - {SignalFormat.CLOSE}


@given(
    st.sampled_from(BASES),
    st.sampled_from(["close", "Exit", "CLOSE"]),
    st.sampled_from(["", " now", " long"]),
)
def test_an_order_to_close_reads_back_as_itself(base, word, tail):
    reading = read(f"{word} {base}{tail}")
    assert isinstance(reading, TextSignal)
    assert (reading.action, reading.symbol) == (Action.CLOSE, f"{base}-USDT")


def is_sound(reading):
    """Assert that a reading is one of the three, complete, and that a signal agrees with itself."""
    if isinstance(reading, TextSignal):
        rising = reading.action is Action.BUY
        edges = reading.entry_range or ((reading.entry,) if reading.entry is not None else ())
        levels = [reading.stop_loss] if reading.stop_loss is not None else []
        levels += [*(edges if rising else reversed(edges)), *reading.take_profits]
        assert levels == sorted(set(levels), reverse=not rising)
        assert all(level > 0 for level in levels)
        assert understand(json.dumps(fields_of(reading)).encode())
    else:
        assert isinstance(reading, NoSignal | RefusedSignal)
        assert reading.why if isinstance(reading, NoSignal) else reading.sentence


@given(st.text(max_size=300))
@settings(max_examples=500, deadline=None)
def test_any_text(text):
    is_sound(read(text))
    assert explain(text)


@given(st.lists(PIECES, max_size=14), st.sampled_from([" ", "\n", "", ": "]))
@settings(max_examples=1500, deadline=None)
def test_any_heap_of_known_words(pieces, between):
    is_sound(read(between.join(pieces)))


@given(st.sampled_from([text for text, _ in SIGNALS]), st.integers(0, 200), st.text(max_size=3))
@settings(max_examples=500, deadline=None)
def test_a_damaged_signal(text, place, damage):
    is_sound(read(text[:place] + damage + text[place + len(damage) :]))


# "half" is a number, and "close BTC half" a signal of its own
WORDS_OF_PROSE = st.one_of(
    st.sampled_from(
        [
            *(word for word in KNOWN_WORDS if word != "half"),
            *EMOJIS,
            *MARKS,
            "moon",
            "because",
            "maybe",
            "soon",
            "the",
            "and",
            "?",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Nd", "Nl", "No"]), max_size=12),
)


@given(
    st.sampled_from([text for text, _ in SIGNALS]),
    st.lists(WORDS_OF_PROSE, max_size=8),
    st.sampled_from([" ", "\n"]),
)
@settings(max_examples=1000, deadline=None)
def test_prose_behind_a_signal_never_changes_what_it_trades(text, words, between):
    alone, followed = read(text), read(text + between + " ".join(words))
    if isinstance(followed, TextSignal):
        numbers = (
            followed.action,
            followed.entry,
            followed.entry_range,
            followed.stop_loss,
            followed.take_profits,
        )
        assert numbers == (alone.action, alone.entry, alone.entry_range, alone.stop_loss, alone.take_profits)
        assert followed.symbol.split("-")[0] == alone.symbol.split("-")[0]
        assert (followed.leverage, followed.quantity) == (alone.leverage, alone.quantity)


@given(data=st.data(), signal=signals())
@settings(max_examples=200, deadline=None)
def test_a_minus_before_any_price_makes_it_no_signal(data, signal):
    level = data.draw(st.sampled_from([signal.entry, signal.stop_loss, *signal.take_profits]))
    name = data.draw(st.sampled_from([SignalFormat.COMPACT, SignalFormat.EMOJI, SignalFormat.ALERT_CARD]))
    text = WRITERS[name](data.draw, signal) if name is not SignalFormat.COMPACT else compact_plain(signal)
    assert not isinstance(read(text.replace(str(level), f"-{level}", 1)), TextSignal)


def compact_plain(signal):
    ladder = "/".join(map(str, (signal.entry, signal.stop_loss, *signal.take_profits)))
    return f"{SIDES[signal.action][0]} {signal.symbol} {ladder}"


@given(signals(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_fields_for_the_server_say_the_same(signal, ranged):
    if ranged:
        other = (signal.entry + signal.take_profits[0]) / 2
        low, high = sorted((signal.entry, other))
        text = f"{SIDES[signal.action][0]} {signal.symbol} Entry {low}-{high} SL {signal.stop_loss} 5x"
        assert isinstance(read(text), TextSignal | RefusedSignal)
        signal = read(text) if isinstance(read(text), TextSignal) else signal
    body = json.dumps(fields_of(signal)).encode()
    understood, beside = understand(body).signal, read_service_fields(body)
    assert understood.action is signal.action
    assert understood.price == signal.entry
    assert understood.stop_loss.value == signal.stop_loss
    assert tuple(target.value for target in understood.take_profits) == signal.take_profits
    assert beside.problems == ()
    assert (beside.leverage, beside.entry_range) == (signal.leverage, signal.entry_range)


SIZE = 4000
HOSTILE = (
    "LONG BTC " + "-" * SIZE,
    "LONG BTC " + "/".join(["60000"] * (SIZE // 6)),
    "LONG BTC TP " + "1) 60000 " * (SIZE // 10),
    "LONG BTC TP " + " ".join(["60000"] * (SIZE // 6)),
    "LONG BTC " + "stop loss " * (SIZE // 10),
    "LONG BTC " + "do your own " * (SIZE // 12),
    "LONG " + "A" * SIZE,
    "LONG " + "1" * SIZE,
    "LONG BTC Entry: " + "1," * (SIZE // 2),
    "LONG BTC " + " " * (SIZE - 30) + "60000",
    "LONG BTC " + "\n" * (SIZE - 30) + "x",
    "LONG BTC " + "*_`" * (SIZE // 3),
    "LONG BTC " + "<" * SIZE,
    "LONG BTC " + "https://" * (SIZE // 8),
    "LONG BTC " + "🎯" * SIZE,
    "LONG BTC 🎯" + "🚀" * SIZE,
    "LONG BTC MARKET " + "(" * SIZE,
    "LONG BTC Entry " + ": " * (SIZE // 2),
    "LONG " + "BTCUSD" * (SIZE // 6),
    "LONG BTC " + "a" * 20 + "'a" * (SIZE // 2),
    '{"ticker":' * (SIZE // 10) + "}",
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_message_costs_little(text):
    calls = itertools.count()
    sys.setprofile(lambda *_: next(calls))
    try:
        reading = read(text[:SIZE])
    finally:
        sys.setprofile(None)
    is_sound(reading)
    assert next(calls) < 60 * SIZE
