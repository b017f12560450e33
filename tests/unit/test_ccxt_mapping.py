"""The pure part of the ccxt adapter: numbers, symbols, sides, states and errors."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from brokers import ccxt_mapping as mapping
from brokers.base import BrokerName
from brokers.ccxt_venues import BINANCE_FUTURES, BLOFIN, BYBIT, VENUES, Venue
from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected, Unavailable, Unknown
from core.order import MarginMode, OrderIntent, OrderState, OrderType, Side
from tests.unit.ccxt_markets import BONK, BTC

D = Decimal
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORDER = {
    "id": "12",
    "clientOrderId": "abc",
    "symbol": "BTC/USDT:USDT",
    "side": "sell",
    "type": "market",
    "amount": "2.5",
    "filled": "2.5",
    "average": "60000.10",
    "status": "closed",
    "timestamp": 1_700_000_000_123,
    "lastUpdateTimestamp": 1_700_000_001_000,
    "fee": {"cost": "0.09", "currency": "USDT"},
    "info": {},
}
POSITION = {
    "symbol": "BTC/USDT:USDT",
    "contracts": "10",
    "side": "short",
    "entryPrice": "60000",
    "markPrice": "59000",
    "unrealizedPnl": "10",
    "leverage": "20",
    "marginMode": "isolated",
    "initialMargin": "30",
    "liquidationPrice": "62000",
}


class TestContracts:
    @pytest.mark.parametrize(
        ("coins", "market", "contracts"),
        [("0.0025", BTC, "2.5"), ("0.0001", BTC, "0.1"), ("54000", BONK, "54"), ("1", BTC, "1000")],
    )
    def test_there_and_back(self, coins: str, market: dict[str, Any], contracts: str) -> None:
        assert mapping.to_contracts(D(coins), market) == D(contracts)
        assert mapping.to_coins(contracts, market) == D(coins)

    @pytest.mark.parametrize(("coins", "market"), [("0.00254", BTC), ("0.00005", BTC), ("1500", BONK)])
    def test_nothing_is_cut_down(self, coins: str, market: dict[str, Any]) -> None:
        with pytest.raises(Rejected, match="no multiple"):
            mapping.to_contracts(D(coins), market)

    @pytest.mark.parametrize("size", [None, "", "0", "-1"])
    def test_an_unknown_size_is_never_one(self, size: str | None) -> None:
        with pytest.raises(Rejected, match="is not known"):
            mapping.to_contracts(D(1), {**BTC, "contractSize": size})

    @pytest.mark.parametrize("value", [0.1, True, "NaN", "inf", "x", [], {}])
    def test_a_float_is_no_number(self, value: object) -> None:
        with pytest.raises(ValueError, match="not a number"):
            mapping.to_coins(value, BTC)

    @pytest.mark.parametrize(
        ("number", "text"),
        [("1000", "1000"), ("1E+3", "1000"), ("0.00010", "0.0001"), ("1E-8", "0.00000001"), ("0", "0")],
    )
    def test_numbers_are_written_plainly(self, number: str, text: str) -> None:
        assert mapping.plain(D(number)) == text
        assert str(mapping.tidy(D(number))) in {text, "1E-8"}

    def test_a_price_is_refused_between_ticks_and_never_rounded(self) -> None:
        assert mapping.check_price(D("60000.10"), BTC) == "60000.1"
        with pytest.raises(Rejected, match=r"tick of 0\.1"):
            mapping.check_price(D("60000.15"), BTC)


class TestSymbols:
    @pytest.mark.parametrize(
        "symbol",
        [
            "BTC-USDT",
            "btcusdt",
            "BTC/USDT",
            "BTC/USDT:USDT",
            "BTCUSDT.P",
            "BLOFIN:BTCUSDT.P",
            "BTCUSDTPERP",
            " btc-usdt ",
        ],
    )
    def test_every_spelling_of_a_market(self, symbol: str) -> None:
        assert set(mapping.spellings(symbol)) & set(mapping.by_key([BTC]))

    def test_a_markets_own_name_is_no_other_ones(self) -> None:
        renamed = {**BTC, "id": "XBT-USDT"}
        for markets in ([BTC, renamed], [renamed, BTC]):
            assert mapping.by_key(markets) == {"BTCUSDT": BTC, "XBTUSDT": renamed}
        third = {**BTC, "id": "BTC2-USDT"}
        assert mapping.by_key([renamed, third]) == {"XBTUSDT": renamed, "BTC2USDT": third}

    @pytest.mark.parametrize("symbol", ["BTCUSD", "BTC-USDC", "USDT", "1000BTC-USDT", ""])
    def test_no_other(self, symbol: str) -> None:
        assert not set(mapping.spellings(symbol)) & set(mapping.by_key([BTC]))

    @pytest.mark.parametrize(
        "change", [{"swap": False}, {"linear": False}, {"settle": "USDC"}, {"settle": "BTC", "linear": False}]
    )
    def test_only_linear_perpetuals_in_usdt(self, change: dict[str, object]) -> None:
        assert mapping.is_listed(BTC)
        assert not mapping.is_listed({**BTC, **change})


class TestSides:
    @pytest.mark.parametrize(
        ("side", "closing", "expected"),
        [
            (Side.BUY, False, "long"),
            (Side.SELL, False, "short"),
            (Side.SELL, True, "long"),
            (Side.BUY, True, "short"),
        ],
    )
    def test_a_closing_order_works_on_the_other_side(self, side: Side, closing: bool, expected: str) -> None:
        assert mapping.position_side(side, closing=closing) == expected

    @pytest.mark.parametrize(
        ("told", "closing"),
        [
            ({}, False),
            ({"closes_account_position": False}, False),
            ({"closes_account_position": True}, True),
            ({"reduce_only": True}, True),
            ({"reduce_only": True, "closes_account_position": False}, True),
        ],
    )
    def test_what_closes(self, told: dict[str, bool], closing: bool) -> None:
        intent = OrderIntent(client_order_id="a", symbol="B", side=Side.SELL, quantity=D(1), **told)
        assert mapping.is_closing(intent) is closing


class TestInstruments:
    def test_everything_is_in_coins(self) -> None:
        found = mapping.read_instrument(BTC, "BloFin")
        assert (found.symbol, found.quantity_step, found.minimum_quantity) == (
            "BTC-USDT",
            D("0.0001"),
            D("0.0001"),
        )
        assert (found.maximum_leverage, found.exchange) == (125, "BloFin")
        assert mapping.read_instrument(BONK, "BloFin").quantity_step == 1000

    def test_tiers_tell_what_the_market_does_not(self) -> None:
        market = {**BTC, "limits": {**BTC["limits"], "leverage": {"max": None}}}
        assert mapping.read_instrument(market, "X").maximum_leverage is None
        tiers = [
            {"maxLeverage": "100", "maintenanceMarginRate": "0.004"},
            {"maxLeverage": "50", "maintenanceMarginRate": "0.01"},
        ]
        found = mapping.read_instrument(market, "X", tiers)
        assert (found.maximum_leverage, found.maintenance_rate) == (100, D("0.004"))

    def test_an_inactive_one_is_not_tradable(self) -> None:
        assert not mapping.read_instrument({**BTC, "active": False}, "X").tradable


class TestOrders:
    def test_contracts_and_times(self) -> None:
        order = mapping.read_order(ORDER, BTC)
        assert (order.symbol, order.side, order.quantity) == ("BTC-USDT", Side.SELL, D("0.0025"))
        assert (order.filled_quantity, order.average_price) == (D("0.0025"), D("60000.1"))
        assert (order.state, order.order_type) == (OrderState.FILLED, OrderType.MARKET)
        assert (order.fee, order.fee_asset) == (D("0.09"), "USDT")
        assert order.submitted_at.isoformat() == "2023-11-14T22:13:20.123000+00:00"
        assert order.updated_at - order.submitted_at == timedelta(milliseconds=877)

    @pytest.mark.parametrize(
        ("status", "filled", "state"),
        [
            ("open", "0", OrderState.SUBMITTED),
            ("open", "1", OrderState.PARTIALLY_FILLED),
            ("closed", "2.5", OrderState.FILLED),
            ("canceled", "0", OrderState.CANCELED),
            ("canceled", "1", OrderState.CANCELED),
            # ccxt hands BloFin's own word on
            ("partially_canceled", "1", OrderState.CANCELED),
            ("expired", "0", OrderState.EXPIRED),
            ("rejected", "0", OrderState.REJECTED),
        ],
    )
    def test_states(self, status: str, filled: str, state: OrderState) -> None:
        assert mapping.read_order({**ORDER, "status": status, "filled": filled}, BTC).state is state

    @pytest.mark.parametrize(
        "change", [{"status": "half_done"}, {"status": None}, {"side": "hold"}, {"id": None}]
    )
    def test_nothing_is_guessed(self, change: dict[str, object]) -> None:
        with pytest.raises((ValueError, KeyError)):
            mapping.read_order({**ORDER, **change}, BTC)

    def test_nothing_filled_has_no_price(self) -> None:
        order = mapping.read_order({**ORDER, "filled": "0", "average": "0.000", "fee": None}, BTC)
        assert (order.average_price, order.fee, order.fee_asset) == (None, D(0), None)


class TestPositions:
    def test_a_short_is_negative(self) -> None:
        (held,) = mapping.read_positions([POSITION], {BTC["symbol"]: BTC})
        assert (held.symbol, held.quantity, held.average_price) == ("BTC-USDT", D("-0.01"), D(60000))
        assert (held.leverage, held.margin_mode, held.margin) == (D(20), MarginMode.ISOLATED, D(30))
        assert held.liquidation_price == D(62000)

    def test_two_sides_are_their_difference(self) -> None:
        long = {**POSITION, "side": "long", "contracts": "15", "entryPrice": "58000", "unrealizedPnl": "5"}
        (held,) = mapping.read_positions([POSITION, long], {BTC["symbol"]: BTC})
        assert (held.quantity, held.average_price, held.unrealized) == (D("0.005"), D(58000), D(15))
        assert (held.margin, held.liquidation_price) == (D(60), None)

    def test_two_of_one_side_are_their_sum_at_their_average(self) -> None:
        cross = {**POSITION, "contracts": "30", "entryPrice": "64000", "marginMode": "cross"}
        (held,) = mapping.read_positions([POSITION, cross], {BTC["symbol"]: BTC})
        assert (held.quantity, held.average_price) == (D("-0.04"), D(63000))

    def test_two_equal_sides_are_flat(self) -> None:
        long = {**POSITION, "side": "long"}
        assert mapping.read_positions([POSITION, long], {BTC["symbol"]: BTC}) == ()

    def test_a_side_that_is_not_known_is_not_guessed(self) -> None:
        with pytest.raises(KeyError):
            mapping.read_positions([{**POSITION, "side": None}], {BTC["symbol"]: BTC})


class TestMoney:
    ROW = {"currency": "USDT", "equity": "1000.50", "balance": "990", "available": "800"}  # noqa: RUF012

    def test_the_money_in_usdt(self) -> None:
        balance = {"data": {"details": [{"currency": "BTC"}, self.ROW]}}
        found = mapping.read_account(balance, BLOFIN.money, NOW)
        assert (found.equity, found.cash, found.buying_power) == (D("1000.5"), D(990), D(800))
        assert (found.currency, found.at) == ("USDT", NOW)

    def test_an_account_without_any_does_not_list_it(self) -> None:
        found = mapping.read_account({"data": {"details": []}}, BLOFIN.money, NOW)
        assert (found.equity, found.buying_power) == (D(0), D(0))

    @pytest.mark.parametrize("balance", [{}, {"data": None}, {"data": {"details": {}}}])
    def test_an_answer_without_a_list_is_not_poverty(self, balance: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="no list"):
            mapping.read_account(balance, BLOFIN.money, NOW)

    def test_free_margin_below_zero_is_none(self) -> None:
        row = {**self.ROW, "available": "-5"}
        assert mapping.read_account({"data": {"details": [row]}}, BLOFIN.money, NOW).buying_power == 0

    def test_free_margin_of_the_whole_account(self) -> None:
        coin = {"coin": "USDT", "equity": "10", "walletBalance": "9"}
        balance = {"result": {"list": [{"totalAvailableBalance": "7", "coin": [coin]}]}}
        assert mapping.read_account(balance, BYBIT.money, NOW).buying_power == 7


def judged(venue: Venue, status: int, body: object, path: str = "/api/v1/trade/order") -> BrokerError | None:
    text = body if isinstance(body, str) else json.dumps(body)
    try:
        mapping.check_answer(venue, status, path, text, 3.0)
    except BrokerError as error:
        return error
    return None


class TestErrors:
    def test_a_success_is_none(self) -> None:
        assert judged(BLOFIN, 200, {"code": "0", "data": [{"orderId": "1", "code": "0"}]}) is None
        assert judged(BYBIT, 200, {"retCode": 0, "result": {}}) is None
        assert judged(BINANCE_FUTURES, 200, [], "/fapi/v1/openOrders") is None
        assert judged(BINANCE_FUTURES, 200, {"orderId": 1}) is None

    @pytest.mark.parametrize(
        ("status", "body", "kind", "code"),
        [
            (200, {"code": "0", "data": [{"code": "103003", "msg": "no"}]}, Rejected, "103003"),
            (200, {"code": "1", "data": [{"code": "102002", "msg": "no"}]}, DuplicateOrder, "102002"),
            (200, {"code": "0", "data": {"code": "102038", "msg": "no"}}, Rejected, "102038"),
            (200, {"code": "0", "data": [{"code": 102022, "msg": "no"}]}, Conflict, "102022"),
            (200, {"code": "1", "msg": "All operations failed", "data": []}, Rejected, "1"),
            (200, {"code": "152405", "msg": "late"}, Unavailable, "152405"),
            (200, {"code": "500", "msg": "Internal Server Error"}, Unknown, "500"),
            (429, {"code": "1", "msg": "no"}, Unavailable, "1"),
            (502, {"code": "1", "msg": "no"}, Unknown, "1"),
            (502, "<html>", Unknown, None),
            (408, "", Unknown, None),
            (403, "<html>", Unavailable, None),
            (418, "", Unavailable, None),
            (400, "", Rejected, None),
            (401, "<html>", Rejected, None),
            (422, "", Rejected, None),
            (404, "", Unknown, None),
            (405, {"message": "no route"}, Unknown, None),
            (301, "", Unknown, None),
            (302, "<html>we are back soon</html>", Unknown, None),
            (403, {"code": "403", "msg": "Forbidden"}, Unavailable, "403"),
            (418, {"code": "1", "msg": "banned"}, Unavailable, "1"),
            (400, {"code": "152001", "msg": "no"}, Rejected, "152001"),
            (200, {"code": "0", "data": {"code": "152405", "msg": "late"}}, Unavailable, "152405"),
            (200, "", Unknown, None),
            (200, "null", Unknown, None),
            (200, {"data": []}, Unknown, None),
        ],
    )
    def test_what_an_answer_means(
        self, status: int, body: object, kind: type[BrokerError], code: str | None
    ) -> None:
        found = judged(BLOFIN, status, body)
        assert type(found) is kind
        assert found is not None
        assert found.code == code

    @pytest.mark.parametrize(
        ("venue", "body"),
        [
            (BLOFIN, {"code": "152405", "msg": "Timestamp has expired"}),
            (BYBIT, {"retCode": 10002, "retMsg": "Timestamp has expired"}),
            (BINANCE_FUTURES, {"code": -1021, "msg": "Timestamp has expired"}),
        ],
    )
    def test_a_wrong_clock_is_named(self, venue: Venue, body: object) -> None:
        found = judged(venue, 200, body)
        assert type(found) is Unavailable
        assert found.message == f"Timestamp has expired {mapping.CLOCK}"
        assert "clock" in mapping.CLOCK

    def test_the_wait_that_was_asked_for(self) -> None:
        found = judged(BLOFIN, 429, "")
        assert isinstance(found, Unavailable)
        assert found.retry_after == 3.0

    def test_an_end_in_words_is_no_mystery_whatever_its_code(self) -> None:
        words = "Cancel failed as the order has been filled, triggered, canceled or does not exist."
        found = judged(BLOFIN, 200, {"code": "0", "data": [{"code": "500", "msg": words}]})
        assert type(found) is Rejected
        assert mapping.is_ended(found, BLOFIN.codes)

    @pytest.mark.parametrize(
        ("venue", "path", "body"),
        [
            (BLOFIN, "/api/v1/account/positions", {"code": "0", "data": None}),
            (BLOFIN, "/api/v1/account/positions", {"code": "0", "data": {}}),
            (BLOFIN, "/api/v1/trade/orders-pending", {"code": "0"}),
            (BYBIT, "/v5/position/list", {"retCode": 0, "result": {}}),
            (BINANCE_FUTURES, "/fapi/v3/positionRisk", {"orderId": 1}),
        ],
    )
    def test_a_list_that_is_missing_is_not_an_empty_one(self, venue: Venue, path: str, body: object) -> None:
        assert type(judged(venue, 200, body, path)) is Unknown

    def test_words_carry_no_signature(self) -> None:
        words = "https://fapi.binance.com/order?symbol=BTCUSDT&signature=abc123&apiKey=xyz HTTP"
        assert mapping.without_secrets(words).endswith("symbol=BTCUSDT&signature=…&apiKey=… HTTP")

    def test_no_code_says_two_things(self) -> None:
        for venue in VENUES.values():
            codes = venue.codes
            groups = [
                codes.duplicate,
                codes.conflict,
                codes.unavailable,
                codes.unknown,
                codes.mode,
                codes.clock,
            ]
            assert len(frozenset().union(*groups)) == sum(map(len, groups))

    def test_the_table_is_complete(self) -> None:
        assert set(VENUES) == {BrokerName.BLOFIN, BrokerName.BYBIT, BrokerName.BINANCE_FUTURES}
        for venue in VENUES.values():
            assert venue.look_ups
            assert venue.capabilities.lends
            assert venue.capabilities.calls_per_minute
