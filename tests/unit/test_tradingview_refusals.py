"""What is refused, under which of the sender's names, and with what advice."""

import json

import pytest

from signals.tradingview import InvalidJson, InvalidSignal, parse

BASE = {"action": "buy", "symbol": "AAPL"}


def problems_of(**fields):
    with pytest.raises(InvalidSignal) as refusal:
        parse(json.dumps(BASE | fields).encode())
    return {problem.name: problem for problem in refusal.value.problems}


def number_as_written(text):
    return parse(b'{"action":"buy","symbol":"AAPL","price":' + text.encode() + b"}")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"BUY AAPL now", "plain text"),
        (b"[]", "a list"),
        (b'"buy"', "a text"),
        (b"17", "a number"),
        (b"null", "null"),
        (b"true", "true or false"),
        (b"{'action': 'buy'}", "not valid JSON"),
        (b'{"action": "buy",}', "not valid JSON"),
        (b'{"action": "buy"} {"action": "sell"}', "not valid JSON"),
        (b'{"action": "buy", "action": "buy"}', '"action" comes twice'),
        (b'{"a": {"b": 1, "b": 2}}', '"b" comes twice'),
        (b'{"price": NaN}', "NaN"),
        (b'{"price": -Infinity}', "-Infinity"),
        (b'{"action": "b\xfcy"}', "not UTF-8"),
        ('{"action": "buy"}'.encode("utf-16"), "not UTF-8"),
        (b'{"x": "\\u0000"}', "not text"),
        (b'{"\\ud800": 1}', "not text"),
        (b"[" * 60_000, "levels deep"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, "levels deep"),
    ],
)
def test_what_is_not_one_json_object(body, said):
    with pytest.raises(InvalidJson) as refusal:
        parse(body, "text/plain; charset=utf-8")
    assert said in refusal.value.message
    assert refusal.value.hint


def test_the_hint_shows_the_template_and_unquoted_placeholders():
    with pytest.raises(InvalidJson) as refusal:
        parse(b'{"price": {{close}}}', "text/plain")
    assert "placeholder" in refusal.value.hint
    assert '"action": "BUY"' in refusal.value.hint


def test_required_fields_are_named_together():
    with pytest.raises(InvalidSignal) as refusal:
        parse(b"{}")
    assert [(each.name, each.got) for each in refusal.value.problems] == [
        ("action", "nothing"),
        ("symbol", "nothing"),
    ]
    assert "ticker" in refusal.value.problems[1].allowed


WRONG = {
    "action": ["hold", "", 1, True, {"a": 1}, ["buy"], "buy now", "{{x}}"],
    "symbol": ["", "A APL", "NASDAQ:", ":AAPL", "ÄAPL", "straße", 5, "A" * 40, "{{ticker}}", "AAPL;DROP"],
    "exchange": ["N/A", "ß", 3, ""],
    "timeframe": ["soon", "15M", "0", "", True, 1.5, [15]],
    "price": ["", "NaN", "null", 0, -1, "0.0", "1,234.5", "$5", "1e400", "٣", True, [1], {"x": 1}, "1_000"],
    "orderType": ["stop", "stop_limit", "trailing_stop", 1],
    "limit_price": [0, "x"],
    "stop_loss": [0, "-5%", "100%", "%", "", {}, {"percent": 5, "stopPrice": 3}, [90], "NaN", True],
    "takeProfit": [[], [1] * 11, {"percent": None}, "x", {"stopPrice": 5}],
    "quantity": [0, -1, "50%", "NaN"],
    "quantityType": ["lots", 3],
    "sentiment": ["up", "", 1],
    "prev_market_position": ["none"],
    "position_size": ["x", "NaN", "1e99"],
    "id": ["x" * 201, "a\nb", True],
    "timenow": [
        "yesterday",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "0",
        -1,
        20260131,
        "9999-12-31T23:59:59-10:00",
    ],
    "bot": ["", "x" * 101, "a\tb"],
    "test": [1, 0, "yes", "", None],
}


@pytest.mark.parametrize(("name", "raw"), [(name, raw) for name, values in WRONG.items() for raw in values])
def test_each_wrong_field_is_named_with_what_is_allowed(name, raw):
    problems = problems_of(**{name: raw})
    assert list(problems) == [name]
    assert problems[name].allowed
    assert len(problems[name].got) <= 80


def test_all_wrong_fields_are_told_at_once():
    wrong = {name: values[0] for name, values in WRONG.items() if name != "takeProfit"}
    assert set(problems_of(**wrong)) == set(wrong)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"stopLoss": {"percent": -5}}, "stopLoss.percent"),
        ({"stopLoss": {"type": "hard", "stopPrice": 5}}, "stopLoss.type"),
        ({"stopLoss": {"type": "stop", "trailPercent": 5}}, "stopLoss.type"),
        ({"stopLoss": {"type": "trailing_stop", "stopPrice": 5}}, "stopLoss.type"),
        ({"tp": [5, "x"]}, "tp[1]"),
        ({"tp": [{"limitPrice": 0}]}, "tp[0].limitPrice"),
        ({"strategy": {"market_position": "up"}}, "strategy.market_position"),
    ],
)
def test_the_place_inside_an_object_or_list_is_named(fields, place):
    assert list(problems_of(**fields)) == [place]


@pytest.mark.parametrize(
    "number", ["1e400", "-1e-400", "9" * 5000, "0." + "0" * 5000 + "1", "1e-99", "1e16", "-0"]
)
def test_absurd_numbers_are_refused(number):
    with pytest.raises(InvalidSignal, match="above 0"):
        number_as_written(number)


def test_a_scripts_small_exponent_is_a_price():
    assert str(number_as_written("1e-05").price) == "0.00001"


@pytest.mark.parametrize(
    "name", ["action", "timeframe", "price", "sentiment", "stop_loss", "bot", "id", "test"]
)
def test_an_unfilled_strategy_placeholder_says_that_it_is_no_strategy_alert(name):
    problems = problems_of(**{name: "{{strategy.order.action}}"})
    assert "not a strategy alert" in problems[name].allowed
    assert "{{strategy.order.action}}" in problems[name].allowed


def test_an_unfilled_placeholder_inside_a_stop():
    problems = problems_of(stopLoss={"stopPrice": '{{plot("stop")}}'})
    assert '{{plot("stop")}}' in problems["stopLoss.stopPrice"].allowed


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "buy", "side": "sell"},
        {"action": "close", "direction": "long"},
        {"Action": "sell"},
        {"ticker": "MSFT"},
        {"symbol": "XETR:AMD", "ticker": "NASDAQ:AMD"},
        {"price": 100, "signalPrice": 101},
        {"tf": "15", "interval": "60"},
        {"sl": 90, "stopLoss": 91},
        {"sentiment": "bullish", "market_position": "flat"},
        {"quantity": 1, "contracts": 2},
        {"timenow": 1769860800, "sent_at": 1769860801},
    ],
)
def test_two_names_that_disagree_are_named_together(fields):
    (name,) = problems_of(**fields)
    assert name.count(" and ") == 1


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"price": 100, "stop_loss": 101}, "stop_loss"),
        ({"price": 100, "stop_loss": 100}, "stop_loss"),
        ({"price": 100, "sl": {"amount": 100}}, "sl"),
        ({"action": "sell", "price": 100, "stop_loss": 99}, "stop_loss"),
        ({"price": 100, "tp": 99}, "tp"),
        ({"price": 100, "tp": [101, 99]}, "tp[1]"),
        ({"action": "sell", "price": 100, "tp": "100%"}, "tp"),
        ({"price": 100, "orderType": "limit", "limitPrice": 95, "stop_loss": 96}, "stop_loss"),
        ({"stop_loss": 100, "take_profit": 99}, "stop_loss"),
        ({"action": "sell", "stop_loss": 100, "take_profit": 101}, "stop_loss"),
        ({"action": "sell", "sentiment": "long", "price": 100, "stop_loss": 101}, "stop_loss"),
    ],
)
def test_a_stop_or_target_on_the_wrong_side(fields, name):
    assert list(problems_of(**fields)) == [name]


def test_an_exit_does_not_mind_where_its_stop_lies():
    assert parse(json.dumps(BASE | {"sentiment": "flat", "price": 100, "sl": 101}).encode()).stop_loss


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"action": "cancel"}, "action"),
        ({"action": "add"}, "action"),
        ({"orderType": "limit"}, "orderType"),
        ({"orderType": "market", "limitPrice": 5}, "limitPrice"),
        ({"action": "sell", "quantityType": "percent_of_position", "quantity": 50}, "quantityType"),
        ({"action": "exit", "quantityType": "percent_of_position", "quantity": 101}, "quantity"),
    ],
)
def test_fields_that_do_not_go_together(fields, name):
    assert list(problems_of(**fields)) == [name]
