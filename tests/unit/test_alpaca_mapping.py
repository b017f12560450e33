"""Read and write Alpaca's JSON: recorded shapes, odd ones, and everything that must raise."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers import alpaca_mapping as mapping
from core.errors import Rejected
from core.instrument import AssetClass, symbol_key
from core.order import OrderIntent, OrderState, OrderType, Side

D = Decimal
Json = dict[str, Any]

# The example of an equity order in Alpaca's OpenAPI file, and a crypto fill in the same shape
ORDER: Json = {
    "id": "7b08df51-c1ac-453c-99f9-323a5f075f0d",
    "client_order_id": "5680c4bc-9ac1-4a12-a44c-df427ba53032",
    "created_at": "2023-12-12T22:31:24.668464435Z",
    "updated_at": "2023-12-12T22:31:24.668464435Z",
    "submitted_at": "2023-12-12T22:31:24.577215743Z",
    "filled_at": None,
    "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
    "symbol": "AAPL",
    "asset_class": "us_equity",
    "notional": None,
    "qty": "2",
    "filled_qty": "0",
    "filled_avg_price": None,
    "order_class": "",
    "order_type": "limit",
    "type": "limit",
    "side": "buy",
    "time_in_force": "gtc",
    "limit_price": "150",
    "stop_price": None,
    "status": "accepted",
    "extended_hours": False,
    "legs": None,
}
CRYPTO: Json = {
    **ORDER,
    "symbol": "BTC/USD",
    "asset_class": "crypto",
    "type": "market",
    "qty": "0.1",
    "filled_qty": "0.04",
    "filled_avg_price": "60000.5",
    "status": "partially_filled",
}
STOCK_ASSET: Json = {
    "id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
    "class": "us_equity",
    "exchange": "NASDAQ",
    "symbol": "AAPL",
    "name": "Apple Inc. Common Stock",
    "status": "active",
    "tradable": True,
    "marginable": True,
    "shortable": True,
    "easy_to_borrow": True,
    "fractionable": True,
}
CRYPTO_ASSET: Json = {
    **STOCK_ASSET,
    "class": "crypto",
    "exchange": "CRYPTO",
    "symbol": "BTC/USD",
    "shortable": False,
    "min_order_size": "0.000026527",
    "min_trade_increment": "0.000000001",
    "price_increment": "0.1",
}
POSITION: Json = {
    "symbol": "AAPL",
    "asset_class": "us_equity",
    "avg_entry_price": "100.0",
    "qty": "5",
    "side": "long",
    "current_price": "120.0",
    "unrealized_pl": "100.0",
}
ACCOUNT: Json = {
    "status": "ACTIVE",
    "equity": "103820.56",
    "cash": "-23140.2",
    "buying_power": "262113.632",
    "currency": "USD",
    "shorting_enabled": True,
    "trading_blocked": False,
    "account_blocked": False,
    "trade_suspended_by_user": False,
}
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


def intent(**changes: Any) -> OrderIntent:
    common: Json = {
        "client_order_id": "a1",
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": D("1.50"),
        "closes_account_position": False,
    }
    return OrderIntent(**{**common, **changes})


class TestSymbols:
    @pytest.mark.parametrize(
        ("symbol", "expected"),
        [
            ("aapl", ("AAPL",)),
            (" NASDAQ:AAPL ", ("AAPL",)),
            ("BRK.B", ("BRK.B",)),
            ("BRK/B", ("BRK.B",)),
            ("BRK-B", ("BRK.B",)),
            ("GBTC", ("GBTC",)),
            ("USD", ("USD",)),
            ("BTC/USD", ("BTC/USD",)),
            ("btc-usdt", ("BTC/USDT",)),
            ("BTCUSD", ("BTC/USD", "BTCUSD")),
            ("BINANCE:BTCUSDT.P", ("BTC/USDT", "BTCUSDT.P")),
            ("ETHBTC", ("ETH/BTC", "ETHBTC")),
            ("UNUSD", ("UNUSD", "UN/USD")),
        ],
    )
    def test_spellings(self, symbol: str, expected: tuple[str, ...]) -> None:
        assert mapping.spellings(symbol) == expected

    @given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ./-:", max_size=12))
    def test_a_spelling_is_still_the_same_symbol(self, symbol: str) -> None:
        bare = symbol_key(symbol.rpartition(":")[2])
        assert all(symbol_key(found) == bare for found in mapping.spellings(symbol) if "." not in found)

    def test_paths_and_classes(self) -> None:
        assert mapping.path_symbol("BTC/USD") == "BTCUSD"
        assert mapping.asset_class_of("BTC/USD") is AssetClass.CRYPTO
        assert mapping.asset_class_of("BRK.B") is AssetClass.STOCK


class TestRequests:
    def test_a_market_order(self) -> None:
        assert mapping.order_body(intent()) == {
            "symbol": "AAPL",
            "qty": "1.50",
            "side": "buy",
            "type": "market",
            "time_in_force": "day",
            "client_order_id": "a1",
            "position_intent": "buy_to_open",
        }

    def test_prices_stay_exact(self) -> None:
        limit = mapping.order_body(intent(order_type=OrderType.LIMIT, limit_price=D("150.10")))
        stop = mapping.order_body(intent(order_type=OrderType.STOP, stop_price=D("0.00010")))
        assert (limit["type"], limit["limit_price"]) == ("limit", "150.10")
        assert (stop["type"], stop["stop_price"]) == ("stop", "0.00010")

    @pytest.mark.parametrize(
        ("side", "closes", "expected"),
        [
            (Side.BUY, False, "buy_to_open"),
            (Side.BUY, True, "buy_to_close"),
            (Side.SELL, False, "sell_to_open"),
            (Side.SELL, True, "sell_to_close"),
        ],
    )
    def test_stocks_say_what_they_mean(self, side: Side, closes: bool, expected: str) -> None:
        body = mapping.order_body(intent(side=side, closes_account_position=closes))
        assert body["position_intent"] == expected

    def test_what_is_not_known_is_not_said(self) -> None:
        assert "position_intent" not in mapping.order_body(intent(closes_account_position=None))

    def test_crypto_rests_and_has_no_intent(self) -> None:
        body = mapping.order_body(intent(symbol="BTC/USD", quantity=D("1E-8")))
        assert body["time_in_force"] == "gtc"
        assert body["qty"] == "0.00000001"
        assert "position_intent" not in body

    def test_crypto_has_no_stop(self) -> None:
        with pytest.raises(Rejected):
            mapping.order_body(intent(symbol="BTC/USD", order_type=OrderType.STOP, stop_price=D(1)))

    @given(st.decimals(min_value="0.000000001", max_value=10**9, places=9))
    def test_every_quantity_arrives_as_it_is(self, quantity: Decimal) -> None:
        text = mapping.order_body(intent(quantity=quantity))["qty"]
        assert D(text) == quantity
        assert "E" not in text


class TestOrders:
    def test_the_documented_example(self) -> None:
        order = mapping.read_order(ORDER)
        assert order.broker_order_id == "7b08df51-c1ac-453c-99f9-323a5f075f0d"
        assert (order.symbol, order.side, order.quantity) == ("AAPL", Side.BUY, 2)
        assert (order.order_type, order.state) == (OrderType.LIMIT, OrderState.SUBMITTED)
        assert (order.filled_quantity, order.average_price) == (0, None)
        assert (order.fee, order.fee_asset, order.message) == (0, None, None)
        assert order.submitted_at == datetime(2023, 12, 12, 22, 31, 24, 577215, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("status", "untouched", "begun"),
        [
            ("new", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("accepted", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("pending_new", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("accepted_for_bidding", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("held", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("partially_filled", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("pending_cancel", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("pending_replace", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("done_for_day", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("stopped", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("suspended", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("calculated", OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
            ("filled", OrderState.FILLED, OrderState.FILLED),
            ("canceled", OrderState.CANCELED, OrderState.CANCELED),
            ("expired", OrderState.EXPIRED, OrderState.EXPIRED),
            ("rejected", OrderState.REJECTED, OrderState.REJECTED),
            ("replaced", OrderState.CANCELED, OrderState.CANCELED),
        ],
    )
    def test_every_status(self, status: str, untouched: OrderState, begun: OrderState) -> None:
        assert mapping.read_order({**ORDER, "status": status}).state is untouched
        part = {**ORDER, "status": status, "filled_qty": "1", "filled_avg_price": "150"}
        assert mapping.read_order(part).state is begun

    def test_calculated_and_complete_is_filled(self) -> None:
        raw = {**ORDER, "status": "calculated", "filled_qty": "2", "filled_avg_price": "150"}
        assert mapping.read_order(raw).state is OrderState.FILLED

    def test_ends_that_need_words(self) -> None:
        assert mapping.read_order({**ORDER, "status": "rejected"}).message
        replaced = mapping.read_order({**ORDER, "status": "replaced", "replaced_by": "the-next"})
        assert replaced.message == "Replaced by order the-next"

    def test_a_crypto_buy_pays_in_coins(self) -> None:
        order = mapping.read_order(CRYPTO)
        assert (order.fee, order.fee_asset) == (D("0.0001"), "BTC")
        assert order.average_price == D("60000.5")

    def test_a_crypto_sale_pays_in_dollars(self) -> None:
        order = mapping.read_order({**CRYPTO, "side": "sell"})
        assert (order.fee, order.fee_asset) == (D("0.04") * D("60000.5") * D("0.0025"), "USD")

    def test_a_fee_is_rounded_against_us(self) -> None:
        order = mapping.read_order({**CRYPTO, "filled_qty": "0.000000001"})
        assert order.fee == D("0.000000001")

    def test_an_old_spelling_of_a_pair(self) -> None:
        assert mapping.read_order({**CRYPTO, "symbol": "BTCUSD"}).symbol == "BTC/USD"

    def test_an_order_by_money_has_the_quantity_it_got(self) -> None:
        raw = {**ORDER, "qty": None, "notional": "500", "filled_qty": "1.25", "filled_avg_price": "150"}
        assert mapping.read_order(raw).quantity == D("1.25")

    @pytest.mark.parametrize("kind", ["stop", "stop_limit", "trailing_stop"])
    def test_types_of_other_peoples_orders(self, kind: str) -> None:
        assert mapping.read_order({**ORDER, "type": kind}).order_type is OrderType.STOP

    @pytest.mark.parametrize(
        "raw", [{**ORDER, "asset_class": "us_option"}, {**ORDER, "symbol": ""}, {**ORDER, "symbol": None}]
    )
    def test_options_and_legs_are_not_ours_to_read(self, raw: Json) -> None:
        assert not mapping.is_ours_to_read(raw)
        assert mapping.is_ours_to_read(ORDER)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"status": "half_done"},
            {"side": "both"},
            {"type": "iceberg"},
            {"qty": "two"},
            {"qty": "NaN"},
            {"qty": True},
            {"filled_qty": None},
            {"filled_qty": 0.5},
            {"submitted_at": "yesterday"},
            {"submitted_at": "2023-12-12T22:31:24"},
        ],
    )
    def test_what_is_not_understood_raises(self, wrong: Json) -> None:
        with pytest.raises((ValueError, KeyError, TypeError)):
            mapping.read_order({**ORDER, **wrong})

    @pytest.mark.parametrize(
        "field", ["id", "client_order_id", "symbol", "side", "type", "status", "filled_qty"]
    )
    def test_what_is_missing_raises(self, field: str) -> None:
        with pytest.raises(KeyError):
            mapping.read_order({name: value for name, value in ORDER.items() if name != field})


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2023-12-12T22:31:24.668464435Z", datetime(2023, 12, 12, 22, 31, 24, 668464, tzinfo=UTC)),
            ("2025-06-24T14:15:22-04:00", datetime(2025, 6, 24, 18, 15, 22, tzinfo=UTC)),
            ("2025-06-24T14:15:22.5-04:00", datetime(2025, 6, 24, 18, 15, 22, 500000, tzinfo=UTC)),
            ("2019-06-12T22:47:07.99658Z", datetime(2019, 6, 12, 22, 47, 7, 996580, tzinfo=UTC)),
        ],
    )
    def test_nanoseconds_and_offsets(self, text: str, expected: datetime) -> None:
        assert mapping.read_time(text) == expected
        assert mapping.read_time(text).tzinfo is UTC


class TestHoldings:
    @pytest.mark.parametrize(
        ("side", "quantity", "expected"), [("long", "5", 5), ("short", "-5", -5), ("short", "5", -5)]
    )
    def test_the_side_gives_the_sign(self, side: str, quantity: str, expected: int) -> None:
        assert mapping.read_position({**POSITION, "side": side, "qty": quantity}).quantity == expected

    def test_a_pair_gets_its_slash_back(self) -> None:
        raw = {**POSITION, "symbol": "BTCUSD", "asset_class": "crypto"}
        assert mapping.read_position(raw).symbol == "BTC/USD"

    def test_a_missing_price_is_zero_which_triggers_nothing(self) -> None:
        position = mapping.read_position({**POSITION, "current_price": None, "unrealized_pl": None})
        assert (position.current_price, position.unrealized) == (0, 0)

    def test_an_unknown_side_raises(self) -> None:
        with pytest.raises(KeyError):
            mapping.read_position({**POSITION, "side": "flat"})

    def test_the_account_without_day_trading_fields(self) -> None:
        account = mapping.read_account(ACCOUNT, NOW)
        assert (account.equity, account.cash) == (D("103820.56"), D("-23140.2"))
        assert (account.buying_power, account.currency, account.at) == (D("262113.632"), "USD", NOW)
        assert account.shorting_enabled
        assert account.problem is None

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"status": "ACCOUNT_CLOSED"}, "The account is ACCOUNT_CLOSED."),
            ({"account_blocked": True}, "The account is blocked."),
            ({"trading_blocked": True}, "Trading is blocked."),
            ({"trade_suspended_by_user": True}, "Trading is suspended in the account's settings."),
        ],
    )
    def test_an_account_with_a_problem(self, change: Json, words: str) -> None:
        assert mapping.read_account({**ACCOUNT, **change}, NOW).problem == words


class TestInstruments:
    def test_a_stock(self) -> None:
        found = mapping.read_instrument(STOCK_ASSET)
        assert (found.symbol, found.asset_class, found.exchange) == ("AAPL", AssetClass.STOCK, "NASDAQ")
        assert found.tradable
        assert found.shortable
        assert (found.quantity_step, found.short_quantity_step) == (D("1E-9"), 1)
        assert (found.tick(D(1)), found.tick(D("0.99"))) == (D("0.01"), D("0.0001"))
        assert found.minimum_notional == 1

    @pytest.mark.parametrize(
        ("change", "shortable"),
        [
            ({"easy_to_borrow": False}, False),
            ({"shortable": False}, False),
            ({"borrow_status": "easy_to_borrow", "easy_to_borrow": None}, True),
            ({"borrow_status": "hard_to_borrow"}, False),
        ],
    )
    def test_shorts_need_easy_borrowing(self, change: Json, shortable: bool) -> None:
        assert mapping.read_instrument({**STOCK_ASSET, **change}).shortable is shortable

    @pytest.mark.parametrize("change", [{"status": "inactive"}, {"tradable": False}])
    def test_not_tradable(self, change: Json) -> None:
        assert not mapping.read_instrument({**STOCK_ASSET, **change}).tradable

    def test_a_stock_in_whole_shares(self) -> None:
        assert mapping.read_instrument({**STOCK_ASSET, "fractionable": False}).quantity_step == 1

    def test_a_pair(self) -> None:
        found = mapping.read_instrument(CRYPTO_ASSET)
        assert (found.base_asset, found.quote_asset) == ("BTC", "USD")
        assert (found.quantity_step, found.tick(D(60_000))) == (D("1E-9"), D("0.1"))
        assert (found.minimum_quantity, found.minimum_notional) == (D("0.000026527"), 10)
        assert not found.shortable

    @pytest.mark.parametrize(
        "raw",
        [
            {**STOCK_ASSET, "class": "us_option"},
            {**STOCK_ASSET, "tradable": "yes"},
            {**CRYPTO_ASSET, "price_increment": "0"},
            {**CRYPTO_ASSET, "min_trade_increment": None},
        ],
    )
    def test_what_is_not_understood_raises(self, raw: Json) -> None:
        with pytest.raises(ValueError, match=r"."):
            mapping.read_instrument(raw)


class TestMarket:
    def test_a_quote_is_exact(self) -> None:
        raw = json.loads('{"t": "2026-11-20T15:00:00Z", "bp": 199.95, "ap": 200.05}', parse_float=Decimal)
        quote = mapping.read_quote("AAPL", raw)
        assert (quote.bid, quote.ask, quote.at) == (D("199.95"), D("200.05"), NOW)

    @pytest.mark.parametrize(("bid", "ask"), [(0, 0), (0, 200), (199, 0), (-1, 200)])
    def test_a_closed_market_has_no_price(self, bid: int, ask: int) -> None:
        with pytest.raises(Rejected, match="No usable quote for AAPL"):
            mapping.read_quote("AAPL", {"t": "2026-11-20T15:00:00Z", "bp": bid, "ap": ask})

    def test_a_rounded_price_is_not_taken(self) -> None:
        with pytest.raises(ValueError, match="not a number"):
            mapping.read_quote("AAPL", {"t": "2026-11-20T15:00:00Z", "bp": 199.95, "ap": 200.05})

    def test_the_clock(self) -> None:
        clock, at = mapping.read_clock(
            {
                "timestamp": "2025-06-24T14:15:22-04:00",
                "is_open": True,
                "next_open": "2025-06-25T09:30:00-04:00",
                "next_close": "2025-06-24T16:00:00-04:00",
            }
        )
        assert clock.is_open
        assert clock.next_open == datetime(2025, 6, 25, 13, 30, tzinfo=UTC)
        assert clock.next_close == datetime(2025, 6, 24, 20, tzinfo=UTC)
        assert at == datetime(2025, 6, 24, 18, 15, 22, tzinfo=UTC)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
READERS: list[tuple[Callable[[Any], object], Json]] = [
    (mapping.read_order, ORDER),
    (mapping.read_order, CRYPTO),
    (mapping.read_position, POSITION),
    (mapping.read_instrument, STOCK_ASSET),
    (mapping.read_instrument, CRYPTO_ASSET),
    (lambda raw: mapping.read_account(raw, NOW), ACCOUNT),
]


@given(data=st.data())
def test_junk_in_any_field_is_refused_or_harmless(data: st.DataObject) -> None:
    read, good = data.draw(st.sampled_from(READERS))
    field = data.draw(st.sampled_from(sorted(good)))
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        found: Any = read({**good, field: data.draw(JUNK)})
        texts = ("symbol", "broker_order_id", "client_order_id", "currency", "exchange")
        assert all(isinstance(getattr(found, name, ""), str) for name in texts)
