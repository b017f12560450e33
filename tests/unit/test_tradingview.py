"""Messages that people paste today, and what each of them means."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core.order import OrderType
from core.signal import Action, Level, LevelKind, PositionSide, QuantityMode
from signals.templates import INDICATOR_TEMPLATE, STRATEGY_TEMPLATE
from signals.tradingview import explain, message_schema, parse, understand

BASE = {"action": "buy", "symbol": "AAPL"}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def signal_of(**fields):
    return parse(json.dumps(BASE | fields).encode())


def price_level(value):
    return Level(kind=LevelKind.PRICE, value=Decimal(value))


def percent(value, *, trailing=False):
    return Level(kind=LevelKind.PERCENT, value=Decimal(value), trailing=trailing)


def filled(template, **values):
    for name, value in values.items():
        template = template.replace("{{" + name.replace("__", ".") + "}}", value)
    return template.encode()


def test_the_owners_curl_line():
    signal = parse(b'{"action": "BUY", "symbol": "AAPL", "timeframe": "15 Min"}')
    assert (signal.action, signal.symbol, signal.timeframe) == (Action.BUY, "AAPL", "15 Min")
    assert (signal.order_type, signal.wanted, signal.test) == (OrderType.MARKET, PositionSide.LONG, False)


def test_our_strategy_template_as_tradingview_fills_it():
    body = filled(
        STRATEGY_TEMPLATE,
        strategy__order__action="sell",
        ticker="BTCUSDT.P",
        interval="240",
        strategy__order__price="43210.5",
        strategy__order__contracts="0.4",
        strategy__market_position="long",
        strategy__prev_market_position="long",
        strategy__position_size="0.6",
        strategy__order__id="TP1",
        timenow="2026-01-31T12:00:00Z",
    )
    signal = parse(body, "application/json")
    assert (signal.symbol, signal.timeframe, signal.price) == ("BTCUSDT", "4 Hour", Decimal("43210.5"))
    assert signal.is_partial_exit
    assert signal.partial_exit_fraction == Decimal("0.4")
    assert signal.contradiction is None
    assert signal.sent_at == NOON
    assert signal.sender_id == "TP1@2026-01-31T12:00:00+00:00"
    assert signal.extras == {}


def test_our_indicator_template_as_tradingview_fills_it():
    body = filled(
        INDICATOR_TEMPLATE, ticker="AAPL", interval="D", close="199.9", timenow="2026-01-31T12:00:00Z"
    )
    signal = parse(body)
    assert (signal.timeframe, signal.price, signal.sender_id) == ("1 Day", Decimal("199.9"), None)


def test_traderspost_with_percent_levels():
    signal = parse(
        b'{"ticker":"AMD","action":"buy","signalPrice":143.12,"quantity":1,'
        b'"takeProfit":{"percent":10},"stopLoss":{"type":"stop","percent":5}}'
    )
    assert signal.price == Decimal("143.12")
    assert (signal.stop_loss, signal.take_profits) == (percent(5), (percent(10),))
    assert signal.stop_loss.stop_price(Decimal(100), PositionSide.SHORT) == 105
    assert signal.take_profits[0].target_price(Decimal(100), PositionSide.SHORT) == 90


@pytest.mark.parametrize("action", ["buy", "sell", "exit", "add"])
def test_traderspost_sentiment_flat_closes_whatever_the_action_is(action):
    assert signal_of(action=action, sentiment="flat").wanted is PositionSide.FLAT


def test_traderspost_add_takes_its_side_from_the_sentiment():
    assert signal_of(action="add", sentiment="bullish").action is Action.BUY
    assert signal_of(action="add", sentiment="bearish").action is Action.SELL


@pytest.mark.parametrize(
    ("sent", "stop"),
    [
        ({"type": "stop", "stopPrice": 95}, price_level(95)),
        ({"type": "stop_limit", "stopPrice": "95", "limitPrice": 94}, price_level(95)),
        ({"type": "trailing_stop", "trailPercent": 3}, percent(3, trailing=True)),
        ({"type": "trailing_stop", "percent": 3}, percent(3, trailing=True)),
        ({"trailAmount": 2}, Level(kind=LevelKind.AMOUNT, value=Decimal(2), trailing=True)),
        ({"amount": "2.5"}, Level(kind=LevelKind.AMOUNT, value=Decimal("2.5"))),
        (95, price_level(95)),
        ("95.0", price_level("95.0")),
        ("5%", percent(5)),
    ],
)
def test_forms_of_a_stop(sent, stop):
    assert signal_of(price=100, stopLoss=sent).stop_loss == stop
    assert signal_of(price=100, SL=sent).stop_loss == stop


def test_what_a_stop_object_says_besides_is_kept():
    signal = signal_of(price=100, stopLoss={"type": "stop_limit", "stopPrice": 95, "limitPrice": 94})
    assert signal.extras == {"stopLoss.limitPrice": "94"}


def test_a_list_of_take_profits():
    signal = signal_of(tp=[101, "5%", {"limitPrice": "110"}, {"amount": 7}])
    amount = Level(kind=LevelKind.AMOUNT, value=Decimal(7))
    assert signal.take_profits == (price_level(101), percent(5), price_level(110), amount)


def test_3commas_strategy_message_closes_when_its_nested_position_is_flat():
    signal = parse(
        b'{"secret":"s3cr3t","max_lag":"300","timestamp":"2026-01-31T12:00:00Z","trigger_price":"101.5",'
        b'"tv_exchange":"BINANCE","tv_instrument":"BTCUSDT.P","action":"sell","bot_uuid":"u-1",'
        b'"strategy_info":{"market_position":"flat","market_position_size":"0",'
        b'"prev_market_position":"long","prev_market_position_size":"3"},'
        b'"order":{"amount":"3","currency_type":"base"}}'
    )
    assert (signal.wanted, signal.position_before) == (PositionSide.FLAT, PositionSide.LONG)
    assert (signal.symbol, signal.exchange, signal.quantity) == ("BTCUSDT", "BINANCE", 3)
    assert (signal.sent_at, signal.price) == (NOON, Decimal("101.5"))
    assert "s3cr3t" not in str(signal)
    assert signal.extras["max_lag"] == "300"


def test_the_tutorials_nested_strategy_template():
    signal = parse(
        b'{"passphrase":"abcdefgh","time":"2026-01-31T12:00:00Z","exchange":"NASDAQ","ticker":"AAPL",'
        b'"bar":{"open":1,"close":2},"strategy":{"position_size":"-5","order_action":"buy",'
        b'"order_contracts":"5","order_price":"200.1","order_id":"Cover","market_position":"short",'
        b'"market_position_size":"5","prev_market_position":"short"}}'
    )
    assert signal.action is Action.BUY
    assert signal.wanted is PositionSide.SHORT
    assert signal.partial_exit_fraction == Decimal("0.5")
    assert (signal.bar_time, signal.sent_at) == (NOON, None)
    assert signal.sender_id == "Cover@2026-01-31T12:00:00+00:00"
    assert signal.extras["bar"] == {"open": "1", "close": "2"}
    assert "abcdefgh" not in str(signal)


@pytest.mark.parametrize(
    ("word", "action"),
    [(word, Action.BUY) for word in ("buy", "Long", " BULL ", "bullish")]
    + [(word, Action.SELL) for word in ("sell", "SHORT", "bear", "bearish")]
    + [(word, Action.CLOSE) for word in ("close", "exit", "Flat", "flatten")],
)
@pytest.mark.parametrize("name", ["action", "SIDE", "order_action", "Signal", "direction"])
def test_words_and_names_of_the_action(name, word, action):
    assert parse(json.dumps({name: word, "ticker": "AAPL"}).encode()).action is action


@pytest.mark.parametrize(
    ("sent", "symbol", "exchange"),
    [
        ("aapl", "AAPL", None),
        ("NASDAQ:AAPL", "AAPL", "NASDAQ"),
        ("XETR:AMD", "AMD", "XETR"),
        ("NYMEX_DL:CL1!", "CL1!", "NYMEX"),
        ("BTCUSDT.P", "BTCUSDT", None),
        ("BTC/USDT", "BTCUSDT", None),
        ("btc-usdt", "BTCUSDT", None),
        ("BINANCE:BTC_USDT.P", "BTCUSDT", "BINANCE"),
        ("BRK.B", "BRK.B", None),
        ("BRK-B", "BRK-B", None),
    ],
)
def test_symbols(sent, symbol, exchange):
    signal = signal_of(symbol=sent)
    assert (signal.symbol, signal.exchange) == (symbol, exchange)


def test_the_exchange_is_found_under_either_name():
    assert signal_of(symbol="AMD", exchange="XETR").exchange == "XETR"
    assert signal_of(symbol="AMD", ticker="XETR:AMD").exchange == "XETR"
    assert signal_of(symbol="NASDAQ:AAPL", exchange="BATS").exchange == "NASDAQ"


@pytest.mark.parametrize(
    "sent",
    ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", 1769860800, "1769860800000", "1769860800.000"],
)
@pytest.mark.parametrize("name", ["timenow", "sent_at", "timestamp"])
def test_forms_of_the_sending_time(name, sent):
    assert signal_of(**{name: sent}).sent_at == NOON


def test_the_bars_time_is_not_the_sending_time():
    signal = signal_of(time="2026-01-31T12:00:00Z")
    assert (signal.sent_at, signal.bar_time) == (None, NOON)
    assert signal_of(time="10:30").extras == {"time": "10:30"}


@pytest.mark.parametrize(
    ("fields", "sender_id"),
    [
        ({"id": 17}, "17"),
        ({"alertTimestamp": "1769860800000"}, "1769860800000"),
        ({"signal_id": "x", "order_id": "Long", "timenow": "2026-01-31T12:00:00Z"}, "x"),
        ({"id": "", "order_id": "Long", "time": "2026-01-31T12:00:00Z"}, "Long@2026-01-31T12:00:00+00:00"),
        ({"order_id": "Long"}, None),
    ],
)
def test_the_senders_id(fields, sender_id):
    assert signal_of(**fields).sender_id == sender_id


@pytest.mark.parametrize(
    ("fields", "order_type", "limit_price"),
    [
        ({"price": 100}, OrderType.MARKET, None),
        ({"orderType": "market"}, OrderType.MARKET, None),
        ({"orderType": "limit", "limitPrice": 99}, OrderType.LIMIT, 99),
        ({"order_type": "LIMIT", "price": "98"}, OrderType.LIMIT, 98),
        ({"limit_price": 97}, OrderType.LIMIT, 97),
    ],
)
def test_order_types(fields, order_type, limit_price):
    signal = signal_of(**fields)
    assert (signal.order_type, signal.limit_price) == (order_type, limit_price)


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("fixed_quantity", QuantityMode.UNITS),
        ("dollar_amount", QuantityMode.NOTIONAL),
        ("risk_dollar_amount", QuantityMode.RISK_AMOUNT),
        ("risk_percent", QuantityMode.RISK_PERCENT),
        ("percent_of_equity", QuantityMode.PERCENT_OF_EQUITY),
    ],
)
def test_what_the_quantity_counts(word, mode):
    signal = signal_of(quantityType=word, qty="2.5")
    assert (signal.quantity, signal.quantity_mode) == (Decimal("2.5"), mode)


def test_volume_is_the_bars_and_no_quantity():
    signal = signal_of(volume=100_000)
    assert signal.quantity is None
    assert signal.extras == {"volume": "100000"}


def test_a_full_bar_beside_the_orders_price():
    signal = signal_of(order_price="143.12", open=1, high=2, low=1, close="143.10")
    assert signal.price == Decimal("143.12")
    assert signal.extras["close"] == "143.10"
    assert signal_of(close="143.10").price == Decimal("143.10")


@pytest.mark.parametrize(("sent", "test"), [(True, True), (False, False), ("true", True), ("False", False)])
def test_the_test_flag(sent, test):
    assert signal_of(test=sent).test is test


def test_two_names_of_one_meaning_may_agree():
    signal = signal_of(
        side="LONG", ticker="NASDAQ:AAPL", price="143.10", signalPrice=143.1, tf="15", interval="15m"
    )
    assert (signal.action, signal.timeframe, signal.price) == (Action.BUY, "15 Min", Decimal("143.10"))


def test_null_counts_as_not_sent():
    signal = signal_of(stop_loss=None, price=None, close=5)
    assert (signal.stop_loss, signal.price) == (None, 5)


@pytest.mark.parametrize(
    "body", [b'\xef\xbb\xbf {"action":"buy","symbol":"AAPL"}\r\n ', b'\n{"action":"buy","symbol":"AAPL"}']
)
def test_a_byte_order_mark_and_white_space_are_allowed(body):
    assert parse(body, "text/plain; charset=utf-8").symbol == "AAPL"


def test_explain_names_the_senders_fields_and_what_was_ignored():
    body = (
        b'{"side":"buy","ticker":"AAPL","interval":"15","close":143.12,"test":true,"rsi":30,"order_id":"L"}'
    )
    assert explain(understand(body)) == {
        "signal": {
            "action": "BUY",
            "symbol": "AAPL",
            "timeframe": "15 Min",
            "price": "143.12",
            "order_type": "MARKET",
            "quantity_mode": "UNITS",
            "wanted": "LONG",
            "test": "true",
        },
        "understood": {
            "action": "side",
            "symbol": "ticker",
            "timeframe": "interval",
            "price": "close",
            "test": "test",
        },
        "ignored": ["rsi", "order_id"],
    }


def test_explain_shows_a_contradiction():
    body = b'{"action":"sell","ticker":"AAPL","market_position":"long","contracts":1}'
    assert "position_size" in explain(understand(body))["contradiction"]


def test_every_field_of_the_schema_names_what_it_is_called():
    properties = message_schema()["properties"]
    assert "order_action" in properties["action"]["description"]
    assert all("Accepted names" in each["description"] for each in properties.values())
