"""Whatever comes: a signal or one of two refusals, quickly; and what is stored reads back the same."""

import itertools
import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.order import OrderType
from core.signal import Action, Level, LevelKind, PositionSide, QuantityMode, Signal
from core.signal_json import from_json, to_json
from signals.message import NAMES
from signals.tradingview import InvalidJson, InvalidSignal, explain, parse, understand

ALL_NAMES = [name for names in NAMES.values() for name in names]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
ACTIONS = ("buy", "sell", "exit", "add", "long", "short", "flat")
OTHER_WORDS = ("limit", "percent_of_position", "fixed_quantity", "2026-01-31T12:00:00Z", "true", "")
WORDS = st.sampled_from(
    [*ACTIONS, *OTHER_WORDS, "AAPL", "NASDAQ:AAPL", "BTC/USDT", "15", "1h", "D", "5%", "{{ticker}}"]
)
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 200))
SCALARS = st.one_of(WORDS, NUMBERS, st.booleans(), st.none(), TEXTS)
LEVEL_OBJECTS = st.dictionaries(
    st.sampled_from(["type", "stopPrice", "limitPrice", "percent", "amount", "trailPercent"]),
    SCALARS,
    max_size=3,
)
VALUES = st.recursive(
    SCALARS | LEVEL_OBJECTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)
MARKET_POSITIONS = st.sampled_from(["long", "short", "flat", "bullish"])
LIKELY = st.fixed_dictionaries(
    {"action": st.sampled_from(["buy", "SELL", "exit"]), "symbol": st.sampled_from(["AAPL", "XETR:AMD"])},
    optional={
        "tf": st.sampled_from(["15", 60, "D", "1 Hour"]),
        "close": st.decimals("0.01", 9999, places=2).map(str),
        "orderType": st.sampled_from(["market", "limit"]),
        "sl": st.sampled_from(["5%", {"amount": "0.001"}, {"trailPercent": 2}, {"percent": 1, "note": "x"}]),
        "tp": st.sampled_from(["5%", ["1%", {"percent": 2}], {"amount": 0.001}]),
        "qty": st.integers(1, 100),
        "quantityType": st.sampled_from(["fixed_quantity", "percent_of_equity", "percent_of_position"]),
        "market_position": MARKET_POSITIONS,
        "prev_market_position": MARKET_POSITIONS,
        "position_size": st.integers(-9, 9),
        "order_id": st.just("Long"),
        "timenow": st.integers(946_684_800, 4_000_000_000),
        "time": st.just("2026-01-31T12:00:00Z"),
        "bot": st.sampled_from(["7", 7, "my bot"]),
        "test": st.booleans(),
        "note": VALUES,
    },
)
UNLIKELY = st.dictionaries(
    st.sampled_from([*ALL_NAMES, "strategy", "order", "extras"]) | TEXTS, VALUES, max_size=8
)


def outcome(body):
    """Parse and return the signal or None for a refusal; any other exception fails the test."""
    try:
        understood = understand(body)
    except InvalidJson as error:
        refusal = [error.message, error.hint]
    except InvalidSignal as error:
        refusal = [text for each in error.problems for text in (each.name, each.got, each.allowed)]
    else:
        json.dumps(explain(understood))
        return understood.signal
    assert refusal
    assert all(refusal)
    return None


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_any_bytes(body):
    assert outcome(body) is None


@given(UNLIKELY | LIKELY)
@settings(max_examples=600, deadline=None)
def test_any_json_object_and_its_signal_round_trips(message):
    signal = outcome(json.dumps(message).encode())
    if signal is not None:
        assert from_json(json.loads(json.dumps(to_json(signal)))) == signal


@given(UNLIKELY | LIKELY, st.integers(0, 200), st.binary(max_size=3))
@settings(max_examples=300, deadline=None)
def test_a_damaged_message(message, place, damage):
    body = json.dumps(message).encode()
    outcome(body[:place] + damage + body[place + len(damage) :])


SIZE = 65_000
HOSTILE = [
    b"{" * SIZE,
    b'{"action":' + b"9" * SIZE + b"}",
    b'{"action":"buy","symbol":"AAPL","price":"' + b"1" * SIZE + b'"}',
    b'{"action":"buy","symbol":"AAPL","price":1e' + b"9" * SIZE + b"}",
    b'{"action":"' + b"{" * SIZE + b'","symbol":"AAPL"}',
    b'{"action":"' + b"{{a" * (SIZE // 3) + b'","symbol":"AAPL"}',
    b'{"action":"buy","symbol":"AAPL","timeframe":"' + b" " * SIZE + b'x"}',
    b'{"' + b"_" * SIZE + b'action":"hold"}',
    b"{" + b",".join(b'"%saction":"buy"' % (b"_" * n) for n in range(340)) + b"}",
    b"{" + b",".join(b'"c%slose":1,"p%srice":2' % (b"_" * n, b"_" * n) for n in range(170)) + b"}",
    b"{" + b",".join(b'"k%d":1' % n for n in range(6_000)) + b"}",
    b'{"tp":[' + b",".join(b"1" for _ in range(30_000)) + b"]}",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_body_costs_little(body):
    calls = itertools.count()
    sys.setprofile(lambda *_: next(calls))
    try:
        assert outcome(body) is None
    finally:
        sys.setprofile(None)
    assert next(calls) < 10 * SIZE


POSITIVE = st.decimals("0.000001", "1000000000", allow_nan=False, allow_infinity=False)
MOMENTS = st.integers(946_684_800_000_000, 4_070_908_800_000_000).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
LEVELS = st.builds(Level, kind=st.sampled_from(LevelKind), value=POSITIVE) | st.builds(
    Level, kind=st.just(LevelKind.PERCENT), value=POSITIVE, trailing=st.just(True)
)
JSON_VALUES = st.recursive(
    TEXTS | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=5,
)


@st.composite
def signals(draw):
    limit_price = draw(st.none() | POSITIVE)
    mode = draw(st.sampled_from(QuantityMode))
    whole = QuantityMode.PERCENT_OF_POSITION
    return Signal(
        action=draw(st.sampled_from(Action)),
        symbol=draw(st.sampled_from(["AAPL", "BRK.B", "BTCUSDT"])),
        exchange=draw(st.none() | st.just("NASDAQ")),
        timeframe=draw(st.none() | st.just("15 Min")),
        price=draw(st.none() | POSITIVE),
        order_type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
        limit_price=limit_price,
        stop_loss=draw(st.none() | LEVELS),
        take_profits=tuple(draw(st.lists(LEVELS, max_size=3))),
        quantity=draw(st.none() | (st.decimals(1, 100) if mode is whole else POSITIVE)),
        quantity_mode=mode,
        position_after=draw(st.none() | st.sampled_from(PositionSide)),
        position_before=draw(st.none() | st.sampled_from(PositionSide)),
        position_size=draw(st.none() | POSITIVE | POSITIVE.map(lambda size: -size) | st.just(Decimal(0))),
        sender_id=draw(st.none() | TEXTS),
        sent_at=draw(st.none() | MOMENTS),
        bar_time=draw(st.none() | MOMENTS),
        bot=draw(st.none() | TEXTS),
        test=draw(st.booleans()),
        extras=draw(st.dictionaries(TEXTS, JSON_VALUES, max_size=3)),
    )


@given(signals())
def test_a_signal_is_stored_and_read_back_exactly(signal):
    assert from_json(json.loads(json.dumps(to_json(signal)))) == signal


@given(signals())
def test_a_partial_exit_is_a_share_or_a_contradiction(signal):
    fraction = signal.partial_exit_fraction
    assert fraction is None or (signal.is_partial_exit and 0 < fraction <= 1)
    if signal.is_partial_exit and fraction is None:
        assert signal.contradiction


@given(signals())
def test_a_stated_position_is_what_is_wanted(signal):
    if signal.position_after is not None:
        assert signal.wanted is signal.position_after


def test_an_unknown_stored_field_is_an_error():
    stored = to_json(parse(b'{"action":"buy","symbol":"AAPL"}'))
    with pytest.raises(KeyError):
        from_json(stored | {"surprise": 1})
