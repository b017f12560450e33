"""The book of the local BloFin: orders, positions, margin, liquidation, stops and targets, seen through ccxt."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from tests.blofin_server.local import Control, running_server
from tests.contract.blofin_client import BTC, CCXT_BROKER, ETH, ORDER, Json, Raw, detail, fresh, order_body

EXITS = {"stopLoss": {"triggerPrice": 55_000}, "takeProfit": {"triggerPrice": 70_000}}


@pytest.fixture(scope="module")
def control() -> Iterator[Control]:
    with running_server() as running:
        yield running


@pytest.fixture
def exchange(control: Control) -> Any:
    return fresh(control)


@pytest.fixture
def raw(control: Control, exchange: Any) -> Raw:
    control.account("key", "secret", "phrase")
    return Raw(control)


@pytest.fixture
def hedged(exchange: Any) -> Any:
    exchange.set_position_mode(True)
    return exchange


class TestOrders:
    def test_a_market_order_fills_at_the_touch_and_costs_the_taker_fee(
        self, control: Control, exchange: Any
    ) -> None:
        control.price("BTC-USDT", 59_990, 60_010)
        placed = exchange.create_order(BTC, "market", "buy", 10, None, {"clientOrderId": "first"})
        order = detail(exchange, "first")
        assert order["id"] == placed["id"]
        assert (order["status"], order["filled"], order["average"]) == ("closed", 10, 60_010)
        assert order["fee"] == {"cost": 0.36006, "currency": "USDT"}
        [fill] = exchange.fetch_my_trades(BTC)
        assert (fill["order"], fill["amount"], fill["price"]) == (placed["id"], 10, 60_010)

    def test_a_limit_order_rests_until_its_price_and_costs_the_maker_fee(
        self, control: Control, exchange: Any
    ) -> None:
        exchange.create_order(BTC, "limit", "buy", 10, 59_000, {"clientOrderId": "rests"})
        [resting] = exchange.fetch_open_orders(BTC)
        assert (resting["status"], resting["price"], resting["remaining"]) == ("open", 59_000, 10)
        assert Decimal(control.books("key")["balance"]["details"][0]["orderFrozen"]) > 196
        control.price("BTC-USDT", 58_900)
        order = detail(exchange, "rests")
        assert (order["status"], order["average"], order["fee"]["cost"]) == ("closed", 59_000, 0.118)

    def test_cancelling(self, exchange: Any) -> None:
        placed = exchange.create_order(BTC, "limit", "buy", 1, 59_000)
        assert exchange.cancel_order(placed["id"], BTC)["id"] == placed["id"]
        [order] = exchange.fetch_closed_orders(BTC)
        assert (order["status"], order["info"]["cancelSource"]) == ("canceled", "user_canceled")
        with pytest.raises(ccxt.BadRequest, match="102068"):
            exchange.cancel_order(placed["id"], BTC)

    @pytest.mark.parametrize(
        ("kind", "price", "fill_size", "state", "filled"),
        [
            ("post_only", 61_000, None, "canceled", 0),
            ("post_only", 59_000, None, "live", 0),
            ("ioc", 59_000, None, "canceled", 0),
            ("ioc", 60_000, "4", "partially_canceled", 4),
            ("fok", 60_000, "4", "canceled", 0),
            ("fok", 60_000, None, "filled", 10),
            ("limit", 60_000, "4", "partially_filled", 4),
        ],
    )
    def test_kinds(
        self,
        control: Control,
        exchange: Any,
        kind: str,
        price: int,
        fill_size: str | None,
        state: str,
        filled: int,
    ) -> None:
        control.settings(fill_size=fill_size)
        exchange.create_order(BTC, kind, "buy", 10, price, {"clientOrderId": "one"})
        order = detail(exchange, "one")
        assert (order["info"]["state"], order["filled"], order["info"]["orderType"]) == (state, filled, kind)

    def test_pieces(self, control: Control, exchange: Any) -> None:
        control.settings(fill_size="4")
        exchange.create_order(BTC, "market", "buy", 10, None, {"clientOrderId": "one"})
        states = [detail(exchange, "one")["info"]["state"]]
        for _ in range(2):
            control.tick()
            states.append(detail(exchange, "one")["info"]["state"])
        assert states == ["partially_filled", "partially_filled", "filled"]
        assert [fill["amount"] for fill in exchange.fetch_my_trades(BTC)] == [4, 4, 2]

    def test_fills_by_hand_and_late(self, control: Control, exchange: Any) -> None:
        control.settings(hold_fills=True)
        exchange.create_order(BTC, "market", "buy", 10, None, {"clientOrderId": "held"})
        assert detail(exchange, "held")["info"]["state"] == "live"
        control.fill("key", "held", 3, 59_999)
        control.end("key", "held", "by the exchange")
        order = detail(exchange, "held")
        assert (order["info"]["state"], order["filled"], order["average"]) == (
            "partially_canceled",
            3,
            59_999,
        )
        control.settings(hold_fills=False, fill_delay=0.05)
        exchange.create_order(BTC, "market", "buy", 1, None, {"clientOrderId": "late"})
        deadline = time.monotonic() + 30
        while detail(exchange, "late")["status"] != "closed":
            assert time.monotonic() < deadline

    def test_too_much_is_insufficient(self, exchange: Any) -> None:
        with pytest.raises(ccxt.ExchangeError, match="103003"):
            exchange.create_order(BTC, "market", "buy", 100_000)

    def test_history_is_paged_newest_first(self, exchange: Any) -> None:
        ids = [exchange.create_order(BTC, "market", "buy", 1)["id"] for _ in range(5)]
        query = {"limit": "2", "after": ids[3]}
        rows = exchange.private_get_trade_orders_history(query)["data"]
        assert [row["orderId"] for row in rows] == [ids[2], ids[1]]
        rows = exchange.private_get_trade_orders_history({"before": ids[3]})["data"]
        assert [row["orderId"] for row in rows] == [ids[4]]


class TestPositions:
    def test_net_mode_flips(self, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 10)
        exchange.create_order(BTC, "market", "sell", 14)
        [position] = exchange.fetch_positions()
        assert (position["side"], position["contracts"], position["hedged"]) == ("short", 4, False)
        assert position["info"]["positions"] == "-4"

    def test_reduce_only_never_opens(self, control: Control, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 3)
        params = {"reduceOnly": True, "clientOrderId": "out"}
        exchange.create_order(BTC, "market", "sell", 5, None, params)
        order = detail(exchange, "out")
        assert (order["filled"], order["info"]["state"]) == (3, "partially_canceled")
        assert exchange.fetch_positions() == []
        with pytest.raises(ccxt.ExchangeError, match="102022"):
            exchange.create_order(BTC, "market", "sell", 5, None, {"reduceOnly": True})
        exchange.create_order(BTC, "market", "buy", 3)
        control.settings(amend_reduce_only=True)
        exchange.create_order(BTC, "market", "sell", 5, None, {**params, "clientOrderId": "cut"})
        order = detail(exchange, "cut")
        assert (order["filled"], order["amount"], order["status"]) == (3, 3, "closed")

    def test_profit_goes_into_the_balance(self, control: Control, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 100)
        control.price("BTC-USDT", 61_000)
        [position] = exchange.fetch_positions()
        assert position["unrealizedPnl"] == 100
        assert position["notional"] == 6100
        exchange.create_order(BTC, "market", "sell", 100, None, {"clientOrderId": "out"})
        assert detail(exchange, "out")["info"]["pnl"] == "100.000000000000000000"
        # 10,000 + 100 of profit − 6,000 and 6,100 at 0.06 %
        assert exchange.fetch_balance()["USDT"]["total"] == 10_092.74

    def test_hedge_mode_holds_both_sides(self, hedged: Any) -> None:
        hedged.create_order(BTC, "market", "buy", 10, None, {"positionSide": "long"})
        hedged.create_order(BTC, "market", "sell", 4, None, {"positionSide": "short"})
        held = {position["side"]: position["contracts"] for position in hedged.fetch_positions()}
        assert held == {"long": 10, "short": 4}
        hedged.create_order(BTC, "market", "sell", 10, None, {"positionSide": "long"})
        assert [position["side"] for position in hedged.fetch_positions()] == ["short"]
        with pytest.raises(ccxt.ExchangeError, match="102022"):
            hedged.create_order(BTC, "market", "sell", 1, None, {"positionSide": "long"})

    def test_margin_of_both_modes_is_as_in_the_documents(self, control: Control, exchange: Any) -> None:
        # the example of BloFin's documents: 1 contract of 0.1 ETH at 1591.8, 3 times, 0.4 % maintenance
        control.instrument("ETH-USDT", contract_value="0.1", lot="1", minimum="1")
        control.price("ETH-USDT", "1591.8")
        exchange.create_order(ETH, "market", "buy", 1, None, {"marginMode": "isolated"})
        control.price("ETH-USDT", "1591.69")
        [shown] = exchange.private_get_account_positions()["data"]
        assert shown["margin"] == "53.060000000000000000"
        assert Decimal(shown["liquidationPrice"]) == Decimal("1066.104078762306610407")
        assert Decimal(shown["marginRatio"]) == Decimal("72.453752328329172684")
        assert Decimal(shown["unrealizedPnlRatio"]) == Decimal("-0.000207312476441764")
        assert shown["maintenanceMargin"] == "0.636676"
        assert "initialMargin" not in shown
        exchange.create_order(BTC, "market", "sell", 3)
        [cross] = exchange.private_get_account_positions({"instId": "BTC-USDT"})["data"]
        assert Decimal(cross["initialMargin"]) == 60
        assert "margin" not in cross

    def test_leverage_is_per_instrument_and_margin_mode(self, exchange: Any) -> None:
        exchange.set_leverage(20, BTC, {"marginMode": "cross"})
        exchange.set_leverage(7, BTC, {"marginMode": "isolated"})
        assert exchange.fetch_leverage(BTC, {"marginMode": "cross"})["longLeverage"] == 20
        assert exchange.fetch_leverage(BTC, {"marginMode": "isolated"})["longLeverage"] == 7
        assert exchange.fetch_leverages([BTC, ETH])[ETH]["longLeverage"] == 3
        exchange.create_order(BTC, "market", "buy", 10, None, {"marginMode": "isolated"})
        [position] = exchange.fetch_positions()
        assert (position["leverage"], position["marginMode"]) == (7, "isolated")
        with pytest.raises(ccxt.BadRequest, match="152002"):
            exchange.set_leverage(100, "SOL/USDT:USDT")

    def test_leverage_stands_while_orders_or_positions_are_open(
        self, control: Control, exchange: Any
    ) -> None:
        resting = exchange.create_order(BTC, "limit", "buy", 1, 50_000)
        with pytest.raises(ccxt.InvalidOrder, match="110006"):
            exchange.set_leverage(5, BTC)
        exchange.cancel_order(resting["id"], BTC)
        exchange.create_order(BTC, "market", "buy", 1, None, {"marginMode": "isolated"})
        with pytest.raises(ccxt.InvalidOrder, match="110019"):
            exchange.set_leverage(5, BTC, {"marginMode": "isolated"})
        exchange.set_leverage(5, BTC, {"marginMode": "cross"})
        with pytest.raises(ccxt.InvalidOrder, match="110019"):
            exchange.set_position_mode(True)
        with pytest.raises(ccxt.InvalidOrder, match="110019"):
            exchange.set_margin_mode("isolated")

    def test_isolated_hedge_leverage_is_per_side(self, hedged: Any) -> None:
        with pytest.raises(ccxt.BadRequest, match="152001"):
            hedged.set_leverage(5, BTC, {"marginMode": "isolated"})
        hedged.set_leverage(5, BTC, {"marginMode": "isolated", "positionSide": "short"})
        query = {"instId": "BTC-USDT", "marginMode": "isolated"}
        rows = hedged.private_get_account_batch_leverage_info(query)["data"]
        assert {row["positionSide"]: row["leverage"] for row in rows} == {"long": "3", "short": "5"}

    def test_modes_are_told(self, hedged: Any) -> None:
        assert hedged.fetch_position_mode()["hedged"]
        hedged.set_margin_mode("isolated")
        assert hedged.fetch_margin_mode(BTC)["marginMode"] == "isolated"

    def test_an_isolated_position_is_liquidated_at_its_price_and_loses_its_margin(
        self, control: Control, exchange: Any
    ) -> None:
        exchange.set_leverage(10, BTC, {"marginMode": "isolated"})
        params = {"marginMode": "isolated", "stopLoss": {"triggerPrice": 50_000}}
        exchange.create_order(BTC, "market", "buy", 100, None, params)
        [position] = exchange.fetch_positions()
        before = Decimal(control.books("key")["balance"]["details"][0]["balance"])
        control.price("BTC-USDT", round(position["liquidationPrice"]) + 1)
        assert len(exchange.fetch_positions()) == 1
        control.price("BTC-USDT", round(position["liquidationPrice"]) - 1)
        assert exchange.fetch_positions() == []
        last = exchange.fetch_closed_orders(BTC)[-1]["info"]
        assert last["orderCategory"] == "full_liquidation"
        after = Decimal(control.books("key")["balance"]["details"][0]["balance"])
        assert before - after == 600
        assert [row["state"] for row in control.protections()] == ["canceled"]

    def test_a_cross_account_is_liquidated_together(self, control: Control, exchange: Any) -> None:
        exchange.set_leverage(100, BTC)
        exchange.create_order(BTC, "market", "sell", 5_000)
        [position] = exchange.fetch_positions()
        control.price("BTC-USDT", round(position["liquidationPrice"]) + 1)
        assert exchange.fetch_positions() == []
        assert 0 <= exchange.fetch_balance()["USDT"]["total"] < 1_500

    def test_close_position_names_no_order(self, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 10)
        params = {"clientOrderId": "out", "brokerId": CCXT_BROKER}
        assert exchange.close_position(BTC, None, params)["id"] is None
        assert detail(exchange, "out")["filled"] == 10
        with pytest.raises(ccxt.InvalidOrder, match="102005"):
            exchange.close_position(BTC, None, {"brokerId": CCXT_BROKER})


class TestProtection:
    def pending(self, exchange: Any) -> list[Json]:
        return list(exchange.private_get_trade_orders_tpsl_pending({"instId": "BTC-USDT"})["data"])

    def past(self, exchange: Any) -> list[Json]:
        return list(exchange.private_get_trade_orders_tpsl_history({"instId": "BTC-USDT"})["data"])

    def test_attached_exits_rest_for_what_filled(self, control: Control, exchange: Any) -> None:
        control.settings(fill_size="4")
        exchange.create_order(BTC, "market", "buy", 10, None, {**EXITS, "clientOrderId": "in"})
        assert self.pending(exchange) == []
        control.end("key", "in")
        [resting] = self.pending(exchange)
        assert (resting["size"], resting["side"], resting["state"]) == ("4", "sell", "live")
        assert resting["slOrderPrice"] == "-1"
        assert resting["clientOrderId"] == ""

    def test_attached_exits_may_come_with_the_first_fill(self, control: Control, exchange: Any) -> None:
        control.settings(fill_size="4", attach_at_first_fill=True, attached_client_id=True)
        exchange.create_order(BTC, "market", "buy", 10, None, {**EXITS, "clientOrderId": "in"})
        sizes = [self.pending(exchange)[0]["size"]]
        control.tick()
        sizes.append(self.pending(exchange)[0]["size"])
        assert sizes == ["4", "8"]
        assert self.pending(exchange)[0]["clientOrderId"] == "in"

    @pytest.mark.parametrize(("price", "category"), [(54_990, "sl"), (70_010, "tp")])
    def test_a_trigger_sends_an_order_of_its_own(
        self, control: Control, exchange: Any, price: int, category: str
    ) -> None:
        exchange.create_order(BTC, "market", "buy", 10, None, EXITS)
        [resting] = self.pending(exchange)
        control.price("BTC-USDT", price)
        assert self.pending(exchange) == []
        assert exchange.fetch_positions() == []
        [past] = self.past(exchange)
        assert (past["tpslId"], past["state"], past["actualSize"]) == (resting["tpslId"], "effective", "10")
        sent = exchange.fetch_closed_orders(BTC)[-1]
        assert (sent["info"]["orderCategory"], sent["info"]["algoId"]) == (category, resting["tpslId"])
        assert (sent["average"], sent["filled"], sent["info"]["side"]) == (price, 10, "sell")

    @pytest.mark.parametrize("side", ["buy", "sell"])
    def test_stand_alone(self, control: Control, exchange: Any, side: str) -> None:
        other = "sell" if side == "buy" else "buy"
        exchange.create_order(BTC, "market", side, 10)
        down, up = 55_000, 70_000
        stop, target = (down, up) if side == "buy" else (up, down)
        params = {"stopLossPrice": stop, "takeProfitPrice": target, "clientOrderId": "both"}
        placed = exchange.create_order(BTC, "market", other, 4, None, params)
        assert placed["id"] == self.pending(exchange)[0]["tpslId"]
        control.price("BTC-USDT", target)
        [position] = exchange.fetch_positions()
        assert position["contracts"] == 6
        sent = exchange.private_get_trade_order_detail({"instId": "BTC-USDT", "algoClientOrderId": "both"})[
            "data"
        ]
        assert (sent["orderCategory"], sent["algoId"]) == ("tp", placed["id"])

    def test_the_whole_position(self, control: Control, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 10)
        body = order_body(
            side="sell",
            size="-1",
            slTriggerPrice="55000",
            slOrderPrice="-1",
            orderType=None,
            brokerId=CCXT_BROKER,
        )
        assert exchange.private_post_trade_order_tpsl(body)["data"]["code"] == "0"
        exchange.create_order(BTC, "market", "buy", 5)
        control.price("BTC-USDT", 55_000)
        assert exchange.fetch_positions() == []
        assert self.past(exchange)[0]["actualSize"] == "15"

    def test_cancelling(self, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 10, None, EXITS)
        [resting] = exchange.fetch_open_orders(BTC, params={"tpsl": True})
        exchange.cancel_order(resting["id"], BTC, {"tpsl": True})
        assert self.pending(exchange) == []
        assert self.past(exchange)[0]["state"] == "canceled"
        with pytest.raises(ccxt.ExchangeError, match="500"):
            exchange.cancel_order(resting["id"], BTC, {"tpsl": True})

    @pytest.mark.parametrize(
        ("how", "states"),
        [("all", ["canceled"] * 2), ("whole", ["live", "canceled"]), ("none", ["live"] * 2)],
    )
    def test_what_becomes_of_a_closed_positions_exits(
        self, control: Control, exchange: Any, how: str, states: list[str]
    ) -> None:
        control.settings(closed_protection=how)
        exchange.create_order(BTC, "market", "buy", 10, None, EXITS)
        whole = order_body(
            side="sell", size="-1", slTriggerPrice="54000", slOrderPrice="-1", brokerId=CCXT_BROKER
        )
        exchange.private_post_trade_order_tpsl(whole)
        exchange.create_order(BTC, "market", "sell", 10)
        assert [row["state"] for row in control.protections()] == states
        # what is left behind finds nothing to close and opens nothing
        control.price("BTC-USDT", 53_000)
        assert exchange.fetch_positions() == []
        assert all(row["state"] in ("canceled", "order_failed") for row in control.protections())

    @pytest.mark.parametrize(
        ("exits", "code"),
        [
            ({"slTriggerPrice": "60001", "slOrderPrice": "-1"}, "102038"),
            ({"tpTriggerPrice": "59999", "tpOrderPrice": "-1"}, "102037"),
        ],
    )
    def test_a_price_on_the_wrong_side(self, raw: Raw, exits: Json, code: str) -> None:
        raw.post(ORDER, order_body())
        answer = raw.post("/api/v1/trade/order-tpsl", order_body(side="sell", **exits))
        assert (answer["code"], answer["data"]["code"], answer["data"]["tpslId"]) == ("1", code, None)

    def test_trigger_orders(self, control: Control, exchange: Any) -> None:
        placed = exchange.create_order(BTC, "market", "buy", 2, None, {"triggerPrice": 62_000})
        [waiting] = exchange.fetch_open_orders(BTC, params={"trigger": True})
        assert waiting["id"] == placed["id"]
        control.price("BTC-USDT", 62_500)
        [sent] = exchange.fetch_closed_orders(BTC)
        assert (sent["filled"], sent["info"]["algoId"]) == (2, placed["id"])
        query = {"instId": "BTC-USDT", "orderType": "trigger"}
        [past] = exchange.private_get_trade_orders_algo_history(query)["data"]
        assert past["state"] == "effective"
        placed = exchange.create_order(BTC, "market", "sell", 2, None, {"stopLossPrice": 60_000})
        exchange.cancel_order(placed["id"], BTC, {"trigger": True})
        assert exchange.fetch_open_orders(BTC, params={"trigger": True}) == []


class TestExitsThatDoNotEndWell:
    def stop(self, exchange: Any, **changes: object) -> Any:
        body = order_body(side="sell", slTriggerPrice="55000", slOrderPrice="-1", brokerId=CCXT_BROKER)
        return exchange.private_post_trade_order_tpsl({**body, **changes})["data"]

    def test_an_exit_may_have_been_sent_and_not_filled(self, control: Control, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 10)
        control.settings(hold_fills=True)
        placed = self.stop(exchange, size="10", reduceOnly="true")
        control.price("BTC-USDT", 54_000)
        [resting] = exchange.fetch_open_orders(BTC)
        assert (resting["info"]["orderCategory"], resting["info"]["algoId"]) == ("sl", placed["tpslId"])
        assert control.protections()[0]["state"] == "effective"
        control.fill("key", resting["id"], 4)
        assert exchange.fetch_positions()[0]["contracts"] == 6
        control.settings(hold_fills=False)
        assert exchange.fetch_positions() == []

    def test_a_gap_fills_where_the_price_is_and_not_at_the_stop(
        self, control: Control, exchange: Any
    ) -> None:
        exchange.create_order(BTC, "market", "buy", 10, None, EXITS)
        control.price("BTC-USDT", 51_000)
        assert exchange.fetch_closed_orders(BTC)[-1]["average"] == 51_000

    def test_an_exit_at_a_limit_may_rest_beyond_the_price(self, control: Control, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 10)
        self.stop(exchange, size="10", reduceOnly="true", slOrderPrice="54900")
        control.price("BTC-USDT", 54_000)
        [resting] = exchange.fetch_open_orders(BTC)
        assert (resting["type"], resting["price"], resting["info"]["orderCategory"]) == (
            "limit",
            54_900,
            "sl",
        )
        control.price("BTC-USDT", 54_950)
        assert exchange.fetch_positions() == []

    def test_an_exit_of_more_than_is_held_closes_what_is_held(self, control: Control, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 10)
        self.stop(exchange, size="10", reduceOnly="true")
        exchange.create_order(BTC, "market", "sell", 7)
        control.price("BTC-USDT", 54_000)
        assert exchange.fetch_positions() == []
        assert control.protections()[0]["actualSize"] == "3"

    def test_an_exit_that_is_not_reduce_only_opens_the_other_side(
        self, control: Control, exchange: Any
    ) -> None:
        # reduceOnly is false unless it is sent, as BloFin's documents say
        control.settings(closed_protection="none")
        exchange.create_order(BTC, "market", "buy", 10)
        self.stop(exchange, size="10")
        exchange.create_order(BTC, "market", "sell", 10)
        control.price("BTC-USDT", 54_000)
        [position] = exchange.fetch_positions()
        assert (position["side"], position["contracts"]) == ("short", 10)

    def test_each_hedge_side_has_its_own(self, control: Control, hedged: Any) -> None:
        hedged.create_order(BTC, "market", "buy", 10, None, {"positionSide": "long"})
        hedged.create_order(BTC, "market", "sell", 10, None, {"positionSide": "short"})
        self.stop(hedged, size="-1", positionSide="long")
        control.settings(envelope="flat")
        with pytest.raises(ccxt.ExchangeError, match="102089"):
            self.stop(hedged, size="-1", positionSide="net")
        control.price("BTC-USDT", 54_000)
        assert [position["side"] for position in hedged.fetch_positions()] == ["short"]

    def test_a_closing_order_leaves_no_exits_behind(self, control: Control, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 10)
        params = {"stopLoss": {"triggerPrice": 66_000}, "reduceOnly": True}
        exchange.create_order(BTC, "market", "sell", 12, None, params)
        assert control.protections() == []
