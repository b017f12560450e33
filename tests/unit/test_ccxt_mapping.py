"""The pure part of the ccxt adapter: numbers, symbols, sides, states, errors, keys and exits."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from brokers import blofin_mapping as own
from brokers import ccxt_mapping as mapping
from brokers.base import BrokerName, ProtectionState
from brokers.ccxt_venues import BINANCE_FUTURES, BLOFIN, BYBIT, VENUES, Venue
from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected, Unavailable, Unknown
from core.order import MarginMode, OrderIntent, OrderState, OrderType, Side

D = Decimal
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BTC: dict[str, Any] = {
    "id": "BTC-USDT",
    "symbol": "BTC/USDT:USDT",
    "base": "BTC",
    "quote": "USDT",
    "settle": "USDT",
    "swap": True,
    "linear": True,
    "active": True,
    "contractSize": "0.001",
    "precision": {"amount": "0.1", "price": "0.1"},
    "limits": {
        "leverage": {"min": "1", "max": "125"},
        "amount": {"min": "0.1", "max": "1000"},
        "cost": {"min": None},
    },
}
BONK = {
    **BTC,
    "id": "1000BONK-USDT",
    "symbol": "1000BONK/USDT:USDT",
    "base": "1000BONK",
    "contractSize": "1000",
    "precision": {"amount": "1", "price": "0.000001"},
}
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


class TestKey:
    RAW = {"readOnly": 0, "ips": ["10.0.0.1"], "expireTime": "1900000000000"}  # noqa: RUF012

    def test_a_good_one(self) -> None:
        assert own.read_rights(self.RAW, NOW) == own.KeyRights()

    @pytest.mark.parametrize(
        "more",
        [
            {"withdraw": True},
            {"withdrawEnabled": "1"},
            {"permissions": ["READ", "TRADE", "WITHDRAW"]},
            {"perms": "trade,withdraw"},
        ],
    )
    def test_a_field_that_speaks_of_withdrawals(self, more: dict[str, object]) -> None:
        warning = own.read_rights({**self.RAW, **more}, NOW).warning
        assert warning is not None
        assert warning.startswith("THIS KEY MAY WITHDRAW MONEY")

    @pytest.mark.parametrize(
        "more", [{"withdraw": False}, {"withdraw": 0}, {"permissions": ["READ", "TRADE"]}]
    )
    def test_a_field_that_denies_them(self, more: dict[str, object]) -> None:
        assert own.read_rights({**self.RAW, **more}, NOW).warning is None

    def test_the_test_of_it_counts(self) -> None:
        assert "WITHDRAW" in (own.read_rights(self.RAW, NOW, withdraws=True).warning or "")

    def test_reading_only(self) -> None:
        assert "may only read" in (own.read_rights({**self.RAW, "readOnly": 1}, NOW).problem or "")

    def test_one_that_ends_soon(self) -> None:
        end = int((NOW + timedelta(days=3)).timestamp() * 1000)
        assert "expires on 2026-11-24" in (
            own.read_rights({**self.RAW, "expireTime": end}, NOW).warning or ""
        )


PROTECTION = {
    "tpslId": "7",
    "marginMode": "cross",
    "clientOrderId": "ours",
    "instId": "BTC-USDT",
    "side": "sell",
    "positionSide": "net",
    "size": "10",
    "state": "effective",
    "slTriggerPrice": "58000.000",
    "tpTriggerPrice": None,
    "createTime": "1700000000000",
}
EXIT = {
    "orderId": "9",
    "marginMode": "cross",
    "side": "sell",
    "positionSide": "net",
    "orderCategory": "sl",
    "algoId": "",
}


class TestProtection:
    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ("live", ProtectionState.RESTING),
            ("effective", ProtectionState.TRIGGERED),
            ("canceled", ProtectionState.GONE),
            ("order_failed", ProtectionState.GONE),
        ],
    )
    def test_states(self, state: str, expected: ProtectionState) -> None:
        assert own.protection_state({**PROTECTION, "state": state}) is expected

    def test_a_state_that_is_not_known_is_not_guessed(self) -> None:
        with pytest.raises(Unknown):
            own.protection_state({**PROTECTION, "state": "waiting"})

    def test_what_rests(self) -> None:
        found = own.read_protection(PROTECTION, BTC)
        assert (found.quantity, found.stop_price, found.target_price) == (D("0.01"), D(58000), None)
        assert own.read_protection({**PROTECTION, "size": "-1"}, BTC).quantity is None

    def test_a_price_of_zero_is_none(self) -> None:
        found = own.read_protection({**PROTECTION, "tpTriggerPrice": "0.000"}, BTC)
        assert (found.stop_price, found.target_price) == (D(58000), None)
        assert own.is_stop({**PROTECTION, "tpTriggerPrice": "0"}, None) is True

    def test_the_exit_that_names_it(self) -> None:
        other = {**EXIT, "orderId": "8", "algoId": "6"}
        assert own.named_exit(PROTECTION, [other, {**EXIT, "algoId": "7"}]) == {**EXIT, "algoId": "7"}
        named = {**EXIT, "orderId": "5", "algoClientOrderId": "ours"}
        assert own.named_exit(PROTECTION, [other, named]) == named
        assert own.named_exit(PROTECTION, [other, EXIT]) is None
        assert (
            own.named_exit({**PROTECTION, "clientOrderId": ""}, [{**EXIT, "algoClientOrderId": ""}]) is None
        )

    @pytest.mark.parametrize(
        "change", [{"side": "buy"}, {"positionSide": "long"}, {"orderCategory": "normal"}]
    )
    def test_a_name_on_something_else_is_another_things(self, change: dict[str, str]) -> None:
        """The ids of orders that are no stops come from other counters."""
        assert own.named_exit(PROTECTION, [{**EXIT, "algoId": "7", **change}]) is None

    def test_the_only_exit_that_could_be_its(self) -> None:
        others = [
            {**EXIT, "orderId": "1", "orderCategory": "normal"},
            {**EXIT, "orderId": "2", "side": "buy"},
            {**EXIT, "orderId": "3", "positionSide": "short"},
            {**EXIT, "orderId": "4", "algoId": "6"},
            {**EXIT, "orderId": "5", "algoClientOrderId": "theirs"},
            {**EXIT, "orderId": "6", "orderCategory": "tp"},
            {**EXIT, "orderId": "7", "marginMode": "isolated"},
        ]
        assert own.nameless_exit(PROTECTION, [*others, EXIT, EXIT]) == EXIT
        assert own.nameless_exit(PROTECTION, others) is None

    def test_one_of_both_kinds_may_have_sent_either(self) -> None:
        both = {**PROTECTION, "tpTriggerPrice": "66000"}
        target = {**EXIT, "orderCategory": "tp"}
        assert own.nameless_exit(both, [target]) == target
        assert own.nameless_exit({**both, "orderCategory": "sl"}, [target]) is None

    def test_of_two_none_is_guessed(self) -> None:
        assert own.nameless_exit(PROTECTION, [EXIT, {**EXIT, "orderId": "10"}]) is None

    @pytest.mark.parametrize(
        ("sent", "change", "expected"),
        [
            (EXIT, {}, True),
            ({**EXIT, "orderCategory": "tp"}, {}, False),
            (None, {}, True),
            (None, {"slTriggerPrice": "", "tpTriggerPrice": "66000"}, False),
            (None, {"tpTriggerPrice": "66000"}, None),
            (None, {"tpTriggerPrice": "66000", "orderCategory": "tp"}, False),
        ],
    )
    def test_stop_or_target(
        self, sent: dict[str, str] | None, change: dict[str, str], expected: bool | None
    ) -> None:
        assert own.is_stop({**PROTECTION, **change}, sent) is expected

    @pytest.mark.parametrize("data", [{}, {"tpslId": None}, [{"tpslId": ""}]])
    def test_an_answer_without_an_id_is_not_believed(self, data: object) -> None:
        with pytest.raises(Unknown):
            own.protection_id({"data": data}, "ours")
        with pytest.raises(Unknown):
            own.protection_id({"data": {"tpslId": "1", "clientOrderId": "theirs"}}, "ours")


def test_the_tier_of_the_smallest_positions_comes_first() -> None:
    rows = [
        {"minSize": "1000", "maintenanceMarginRate": "0.05"},
        {"minSize": "20", "maintenanceMarginRate": "0.01"},
        {"minSize": "3", "maintenanceMarginRate": "0.004"},
    ]
    assert [tier["maintenanceMarginRate"] for tier in own.tiers(rows)] == ["0.004", "0.01", "0.05"]


class TestLeverage:
    ROWS = (  # a hedged isolated account has a row for each side
        {"instId": "BTC-USDT", "leverage": "10", "positionSide": "long"},
        {"instId": "BTC-USDT", "leverage": "4", "positionSide": "short"},
    )

    @pytest.mark.parametrize(("side", "leverage"), [("long", 10), ("short", 4)])
    def test_each_side_has_its_own(self, side: str, leverage: int) -> None:
        assert own.leverage_of(self.ROWS, "BTC-USDT", side) == leverage

    def test_one_row_stands_for_both(self) -> None:
        rows = [{"instId": "BTC-USDT", "leverage": "7", "positionSide": "net"}]
        assert own.leverage_of(rows, "BTC-USDT", "long") == 7
        with pytest.raises(IndexError):
            own.leverage_of(rows, "ETH-USDT", "long")
