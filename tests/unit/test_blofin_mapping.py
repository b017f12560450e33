"""The pure part that is BloFin's alone: rights of a key, protection and its exits, tiers and leverage."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers import blofin_mapping as own
from brokers.base import ProtectionState
from core.errors import Unknown
from tests.unit.ccxt_markets import BTC

D = Decimal
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


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
