"""The main job on real input: alerts by HTTP, real processes, a broker's books to compare with.

Everything here happens in one running DashTrade, as `make run` starts it. Each test has bots on symbols of
its own; what was earned is compared with what the broker's own list of executions adds up to.
"""

import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers.simulated_market import SimulatedMarket
from tests.end_to_end.money import CENT, FEE_STEP, assert_flat_with, in_account
from tests.end_to_end.stack import JSON_TYPE, TEXT_TYPE, Json, Stack, Trader, running_stack, wait_for


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(RISK_INTERVAL_SECONDS=1, RECONCILE_INTERVAL_SECONDS=2) as stack:
        yield stack


@pytest.fixture(scope="module")
def ann(stack: Stack) -> Trader:
    return Trader(stack, "ann@example.com")


@pytest.fixture(scope="module")
def main(ann: Trader) -> int:
    """Give the connection that most tests trade in."""
    return ann.connect_alpaca("main", 1_000_000)


@pytest.fixture(scope="module")
def msft(ann: Trader, main: int) -> int:
    return ann.bot("MSFT", "15m", main, "--max-deviation", 1)


@pytest.fixture(scope="module")
def ben(stack: Stack) -> Trader:
    return Trader(stack, "ben@example.com")


@pytest.fixture(scope="module")
def bens(ben: Trader) -> int:
    return ben.connect_alpaca("own", 50_000)


@pytest.mark.parametrize(
    ("content_type", "symbol", "quantity"),
    [(JSON_TYPE, "AMZN", "27.776234653"), (TEXT_TYPE, "GOOGL", "31.248046997")],
)
def test_an_alert_of_either_content_type_is_traded(
    stack: Stack, ann: Trader, main: int, content_type: str, symbol: str, quantity: str
) -> None:
    bot_id = ann.bot(symbol, "5m", main)
    answer = ann.alert("buy", f"NASDAQ:{symbol}", "5", content_type=content_type)
    assert answer.status == 202
    assert (answer.outcome["state"], answer.outcome["code"]) == ("EXECUTED", "EXECUTED")
    [order] = stack.at_broker(symbol)
    assert (order["side"], order["qty"], order["status"]) == ("buy", quantity, "filled")
    [trade] = ann.trades(bot_id)
    assert (trade["action"], trade["status"], trade["filled_qty"]) == ("BUY", "FILLED", quantity)
    assert trade["filled_price"] == order["filled_avg_price"]
    assert trade["signal_id"] == answer.body["signal_id"]
    trace = ann.trace(answer.body["signal_id"])
    steps = [step["what"] for step in trace["steps"]]
    assert steps.index("stored") < steps.index("decided") < steps.index("outcome: EXECUTED")
    [sent] = trace["plan"]["legs"][0]["orders"]
    assert (sent["broker_order_id"], sent["client_order_id"]) == (order["id"], order["client_order_id"])


def test_a_bot_enters_skips_flips_and_closes(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("TSLA", "15m", main)

    def alert(action: str, bid: str, ask: str) -> tuple[str, str]:
        stack.broker.price("TSLA", bid, ask)
        outcome = ann.alert(action, "NASDAQ:TSLA", "15", price=bid).outcome
        return outcome["state"], outcome["code"]

    assert alert("buy", "249.90", "250.00") == ("EXECUTED", "EXECUTED")
    assert ann.held(bot_id) == 20
    assert alert("buy", "250.90", "251.00") == ("SKIPPED", "ALREADY_LONG")
    assert alert("sell", "260.00", "260.10") == ("EXECUTED", "EXECUTED")
    assert ann.held(bot_id) == -19
    assert alert("sell", "259.00", "259.10") == ("SKIPPED", "ALREADY_SHORT")
    assert alert("close", "255.40", "255.50") == ("EXECUTED", "EXECUTED")
    assert assert_flat_with(ann, main, bot_id) == 20 * (260 - 250) + 19 * (260 - Decimal("255.50"))
    assert alert("close", "255.00", "255.10") == ("SKIPPED", "ALREADY_FLAT")
    assert alert("sell", "300.00", "300.10") == ("EXECUTED", "EXECUTED")
    assert ann.held(bot_id) == -16
    assert alert("buy", "310.00", "310.10") == ("EXECUTED", "EXECUTED")
    assert alert("close", "305.00", "305.10") == ("EXECUTED", "EXECUTED")
    assert_flat_with(ann, main, bot_id)
    assert [order["position_intent"] for order in stack.at_broker("TSLA")] == [
        "buy_to_open", "sell_to_close", "sell_to_open", "buy_to_close", "sell_to_open", "buy_to_close",
        "buy_to_open", "sell_to_close",
    ]  # fmt: skip


def test_the_strategy_template_states_both_positions(ann: Trader, main: int) -> None:
    bot_id = ann.bot("META", "1h", main)

    def alert(action: str, contracts: int, before: str, after: str, size: int) -> Json:
        strategy = {"prev_market_position": before, "market_position": after, "position_size": str(size)}
        sent = {**strategy, "contracts": str(contracts), "order_id": "Long", "price": "500.05"}
        return ann.alert(action, "NASDAQ:META", "60", **sent).outcome

    assert alert("buy", 3, "flat", "long", 3)["code"] == "EXECUTED"
    whole = ann.held(bot_id)
    assert alert("sell", 1, "long", "long", 2)["code"] == "EXECUTED"
    assert abs(ann.held(bot_id) - whole * 2 / 3) < FEE_STEP
    assert alert("sell", 5, "long", "short", -3)["code"] == "EXECUTED"
    assert ann.held(bot_id) < 0
    assert alert("buy", 3, "short", "flat", 0)["code"] == "EXECUTED"
    assert_flat_with(ann, main, bot_id)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"action": "buy", "ticker": "ZZZZ", "interval": "15"}', 404, "NO_BOT"),
        (b'{"action": "buy", "ticker": "MSFT", "interval": "240"}', 404, "NO_BOT"),
        (b'{"action": "buy", "ticker": "XETR:MSFT", "interval": "15"}', 422, "SYMBOL_NOT_TRADEABLE"),
        (b'{"action": "buy", "ticker": ', 400, "INVALID_JSON"),
        (b'{"action": "{{strategy.order.action}}", "ticker": "MSFT"}', 422, "INVALID_SIGNAL"),
        (b'{"action": "hold", "ticker": "MSFT", "interval": "15"}', 422, "INVALID_SIGNAL"),
        (b'{"action": "sell", "ticker": "MSFT", "market_position": "long"}', 422, "CONTRADICTORY_SIGNAL"),
    ],
)
def test_an_alert_for_nobody_is_refused_and_kept(
    stack: Stack, ann: Trader, msft: int, body: bytes, status: int, code: str
) -> None:
    answer = ann.send(body)
    assert (answer.status, answer.code) == (status, code)
    [kept] = stack.read("signals", ann.email, "--limit", 1)
    assert (kept["signal_id"], kept["state"], kept["code"]) == (answer.body["signal_id"], "REFUSED", code)
    assert kept["sentence"] == answer.body["error"]


def test_an_unknown_token_is_refused(stack: Stack, ann: Trader) -> None:
    answer = stack.post("/webhook", ann.message("buy", "TSLA", "15"), token="usr_" + "x" * 43)
    assert (answer.status, answer.code) == (401, "INVALID_TOKEN")


class TestRefusals:
    """Every alert here is accepted, and its entry refused with the reason."""

    numbers = itertools.count()

    def refused(
        self, ann: Trader, action: str = "buy", symbol: str = "MSFT", interval: str = "15", **more: object
    ) -> str:
        # a field that nobody reads, lest two alerts within a second be one and the same
        answer = ann.alert(action, symbol, interval, comment=next(self.numbers), **more)
        assert answer.status == 202
        assert answer.outcome["state"] in {"REFUSED", "SKIPPED"}
        assert answer.outcome["sentence"]
        return str(answer.outcome["code"])

    def test_too_old_by_its_sending_time(self, ann: Trader, msft: int) -> None:
        sent = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
        assert self.refused(ann, timenow=None, sent_at=sent) == "SIGNAL_TOO_OLD"

    def test_bot_disabled(self, stack: Stack, ann: Trader, msft: int) -> None:
        stack.manage("bot", "disable", msft)
        assert self.refused(ann) == "BOT_DISABLED"
        stack.manage("bot", "enable", msft)

    def test_market_closed(self, stack: Stack, ann: Trader) -> None:
        # A connection of its own: the market's clock is asked once a minute at most.
        ann.bot("AMD", "1h", ann.connect_alpaca("night"))
        stack.broker.clock(is_open=False)
        try:
            assert self.refused(ann, "buy", "AMD", "60") == "MARKET_CLOSED"
        finally:
            stack.broker.clock(is_open=True)

    def test_price_moved(self, ann: Trader, msft: int) -> None:
        assert self.refused(ann, price="380.00") == "PRICE_MOVED"

    def test_kill_switch(self, stack: Stack, ann: Trader, msft: int) -> None:
        stack.manage("kill-switch", "bot", msft, "reducing")
        assert self.refused(ann) == "KILL_SWITCH"
        stack.manage("kill-switch", "bot", msft, "active")

    def test_below_what_the_broker_takes(self, ann: Trader, main: int) -> None:
        ann.bot("QQQ", "15m", main, "--size", 100)
        assert self.refused(ann, "sell", "QQQ") == "SIZE_TOO_SMALL"

    def test_the_bots_maximum(self, ann: Trader, main: int) -> None:
        ann.bot("SPY", "15m", main, "--max-size", "0.50")
        assert self.refused(ann, "buy", "SPY") == "MAX_POSITION_SIZE"

    def test_no_money(self, ann: Trader) -> None:
        poor = ann.connect_alpaca("poor", "0.20")
        ann.bot("F", "15m", poor)
        assert self.refused(ann, "buy", "F") == "INSUFFICIENT_BUYING_POWER"

    def test_a_share_that_nobody_lends(self, ann: Trader, main: int) -> None:
        ann.bot("NOSHRT", "15m", main)
        assert self.refused(ann, "sell", "NOSHRT") == "SHORT_NOT_ALLOWED"

    def test_an_account_that_may_not_sell_short(self, ann: Trader) -> None:
        bot_id = ann.bot("AMZN", "1d", ann.connect_alpaca("longs", shorting_enabled=False))
        assert self.refused(ann, "sell", "AMZN", "1D") == "SHORT_NOT_ALLOWED"
        assert ann.alert("buy", "AMZN", "1D").outcome["sentence"].startswith("Bought 27.77")
        flip = ann.alert("sell", "AMZN", "1D", price="180").outcome
        assert (flip["state"], flip["code"]) == ("EXECUTED", "SHORT_NOT_ALLOWED")
        assert flip["sentence"].startswith("Sold 27.77")
        assert ann.held(bot_id) == 0

    def test_against_another_bot(self, ann: Trader, main: int) -> None:
        long, short = ann.bot("WHOLE", "15m", main), ann.bot("WHOLE", "1h", main)
        assert ann.alert("buy", "WHOLE", "15").outcome["code"] == "EXECUTED"
        assert self.refused(ann, "sell", "WHOLE", "60") == "OPPOSITE_POSITION"
        assert ann.alert("close", "WHOLE", "15").outcome["code"] == "EXECUTED"
        assert (ann.held(long), ann.held(short)) == (0, 0)


def test_the_same_alert_again_is_a_duplicate(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("AMD", "15m", main)
    body = ann.message("buy", "AMD", "15", price="150")
    first, second = ann.send(body), ann.send(body, TEXT_TYPE)
    assert (first.status, second.status) == (202, 200)
    assert second.body["status"] == "duplicate"
    assert second.body["signal_id"] == first.body["signal_id"]
    assert second.outcome == first.outcome
    assert len(stack.at_broker("AMD")) == 1
    assert len(ann.trades(bot_id)) == 1


def test_three_timeframes_of_one_symbol_are_held_apart(stack: Stack, ann: Trader) -> None:
    account = ann.connect_alpaca("three", 100_000)
    five, fifteen, thirty = (ann.bot("AAPL", f"{minutes}m", account) for minutes in (5, 15, 30))
    for ask, minutes in (200, "5"), (210, "15"), (220, "30"):
        stack.broker.price("AAPL", ask - Decimal("0.02"), ask)
        assert ann.alert("buy", "NASDAQ:AAPL", minutes).outcome["code"] == "EXECUTED"
    quantities = [25, Decimal("23.809523809"), Decimal("22.727272727")]
    assert [ann.held(bot) for bot in (five, fifteen, thirty)] == quantities
    assert in_account(ann, account, "AAPL") == sum(quantities)

    stack.broker.price("AAPL", "230.00", "230.02")
    assert ann.alert("close", "NASDAQ:AAPL", "15").outcome["code"] == "EXECUTED"
    assert assert_flat_with(ann, account, fifteen) == Decimal("23.809523809") * 20
    assert (ann.held(five), ann.held(thirty)) == (25, Decimal("22.727272727"))
    assert in_account(ann, account, "AAPL") == Decimal("47.727272727")
    ann.alert("close", "NASDAQ:AAPL", "5")
    ann.alert("close", "NASDAQ:AAPL", "30")
    assert assert_flat_with(ann, account, five) == 25 * 30
    assert assert_flat_with(ann, account, thirty) == Decimal("22.727272727") * 10
    assert in_account(ann, account, "AAPL") == 0


def test_pieces_at_the_broker_become_one_trade(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("NVDA", "1h", main)
    stack.broker.settings(full_fill_notional="1500", fill_delay=0.1)
    try:
        assert ann.alert("buy", "NVDA", "60").outcome["code"] == "EXECUTED"
        stack.broker.price("NVDA", "130.00", "130.02")
        assert ann.alert("sell", "NVDA", "60").outcome["code"] == "EXECUTED"
        assert ann.alert("close", "NVDA", "60").outcome["code"] == "EXECUTED"
    finally:
        stack.broker.settings(full_fill_notional=None, fill_delay=0)
    assert_flat_with(ann, main, bot_id)
    orders = stack.read("orders", ann.email, "--limit", 1000)
    ours = [order["client_order_id"] for order in orders if order["bot_id"] == bot_id]
    pieces = [each for each in stack.broker.executions(ann.keys[main]) if each["client_order_id"] in ours]
    assert len(ours) == 4
    assert len(pieces) >= 3 * len(ours)


def test_a_piece_that_filled_shows_while_the_rest_is_open(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("BRK.B", "1h", main, "--size-mode", "units", "--size", 10)
    stack.broker.settings(hold_fills=True)
    try:
        entry = ann.alert("buy", "BRK.B", "60", wait=0)
        [order] = wait_for(lambda: stack.at_broker("BRK.B"))
        stack.broker.fill(ann.keys[main], order["client_order_id"], 4, "420.10")
        wait_for(
            lambda: ann.bots()[bot_id]["order_status"] == "PARTIALLY FILLED", 10, lambda: ann.bots()[bot_id]
        )
        assert ann.held(bot_id) == 4
        [trade] = ann.trades(bot_id)
        assert (trade["status"], trade["filled_qty"]) == ("PARTIALLY_FILLED", "4")
    finally:
        stack.broker.settings(hold_fills=False)
    wait_for(lambda: ann.trace(entry.body["signal_id"])["state"] == "EXECUTED")
    assert ann.bots()[bot_id]["order_status"] == "FILLED"
    assert ann.alert("close", "BRK.B", "60").outcome["code"] == "EXECUTED"
    assert_flat_with(ann, main, bot_id)


def test_crypto_pays_its_fee_from_what_is_bought(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("ETHUSD", "4h", main)
    stack.broker.price("ETH/USD", "2999", "3000")
    assert ann.alert("buy", "COINBASE:ETHUSD", "240").outcome["code"] == "EXECUTED"
    bought = Decimal("1.666666666")
    fee = Decimal("0.004166667")
    assert ann.held(bot_id) == bought - fee
    assert in_account(ann, main, "ETHUSD") == bought - fee
    stack.broker.price("ETH/USD", "3100", "3101")
    assert ann.alert("close", "ETHUSD", "240").outcome["code"] == "EXECUTED"
    earned = assert_flat_with(ann, main, bot_id)
    assert abs(earned - ((bought - fee) * 3100 * Decimal("0.9975") - bought * 3000)) < CENT


def test_a_rejection_is_shown_with_the_brokers_words(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("BRK.B", "1d", main)
    words = "account is restricted to liquidation only"
    stack.broker.fault("answer_before", status=403, body=json.dumps({"code": 40310000, "message": words}))
    outcome = ann.alert("buy", "NYSE:BRK.B", "1D").outcome
    assert (outcome["state"], outcome["code"]) == ("FAILED", "BROKER_REJECTED")
    assert words in outcome["sentence"]
    [trade] = ann.trades(bot_id)
    assert trade["status"] == "REJECTED"
    assert words in trade["message"]
    assert ann.bots()[bot_id]["order_status"] == "REJECTED"
    assert ann.held(bot_id) == 0


def test_a_stop_from_the_alert_is_kept_by_the_monitor(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("LTCUSD", "15m", main)
    stack.broker.price("LTC/USD", "79.99", "80.00")
    assert ann.alert("buy", "LTCUSD", "15", stop_loss="78", take_profit="90").outcome["code"] == "EXECUTED"
    [position] = [each for each in ann.positions()["bots"] if each["bot_id"] == bot_id]
    assert (position["stop_price"], position["target_price"], position["held_by"]) == ("78", "90", "ENGINE")
    stack.broker.price("LTC/USD", "77.90", "77.95")
    wait_for(lambda: ann.held(bot_id) == 0, 15, stack.written)
    earned = assert_flat_with(ann, main, bot_id)
    assert earned < 0
    [event] = [each for each in stack.read("risk-events", ann.email) if each["bot"] == "LTC/USD 15 Min"]
    assert (event["kind"], event["threshold"], event["actual"]) == ("STOP", "78", "77.9")
    assert event["state"] == "DONE"
    # The strategy does not know: its exit of that trade must not open a short.
    assert ann.alert("sell", "LTCUSD", "15").outcome["code"] == "FLAT_BY_OWN_EXIT"


def test_a_position_closed_by_hand_is_booked_before_our_close(stack: Stack, ann: Trader) -> None:
    account = ann.connect_alpaca("hand", 100_000)
    bot_id = ann.bot("AAPL", "1d", account)
    stack.broker.price("AAPL", "199.98", "200.00")
    assert ann.alert("buy", "AAPL", "1D").outcome["code"] == "EXECUTED"
    stack.broker.holding(ann.keys[account], "AAPL", 0, "199.98")
    outcome = ann.alert("close", "AAPL", "D").outcome
    assert outcome["code"] == "EXTERNAL_CLOSE"
    assert ann.held(bot_id) == 0
    assert Decimal(ann.bots()[bot_id]["total_pnl"]) == 25 * Decimal("-0.02")
    assert len(stack.broker.orders(ann.keys[account])) == 1


def test_the_kill_switch_flattens_one_user(
    stack: Stack, ann: Trader, main: int, ben: Trader, bens: int
) -> None:
    anns, his = ann.bot("DOGEUSD", "15m", main), ben.bot("DOGEUSD", "15m", bens)
    assert ann.alert("buy", "DOGEUSD", "15").outcome["code"] == "EXECUTED"
    assert ben.alert("buy", "DOGEUSD", "15").outcome["code"] == "EXECUTED"
    stack.manage("kill-switch", "user", ben.email, "flatten")
    wait_for(lambda: ben.held(his) == 0, 15, stack.written)
    assert_flat_with(ben, bens, his)
    [state] = wait_for(
        lambda: [user["trading"] for user in stack.read("user", "list") if user["trading"] == "HALTED"], 15
    )
    assert state == "HALTED"
    assert ben.alert("buy", "DOGEUSD", "15", price="0.12").outcome["code"] == "KILL_SWITCH"
    assert ann.held(anns) > 0
    assert ann.alert("close", "DOGEUSD", "15").outcome["code"] == "EXECUTED"
    stack.manage("kill-switch", "user", ben.email, "active")
    assert ben.alert("buy", "DOGEUSD", "15", price="0.13").outcome["code"] == "EXECUTED"


def test_two_users_are_apart(stack: Stack, ann: Trader, main: int, ben: Trader, bens: int) -> None:
    ann.bot("SOLUSD", "15m", main)
    answer = ben.alert("buy", "SOLUSD", "15")
    assert (answer.status, answer.code) == (404, "NO_BOT")
    assert "SOL/USD" not in json.dumps(answer.body["bots"])
    his = ben.bot("SOLUSD", "15m", bens)
    assert ben.alert("buy", "SOLUSD", "15", price="150").outcome["code"] == "EXECUTED"
    assert not [order for order in stack.broker.orders(ann.keys[main]) if order["symbol"] == "SOL/USD"]
    for what in "bots", "positions":
        assert stack.get(f"/user/{ann.id}/{what}", token=ben.token).status == 404
        assert stack.get(f"/user/{ann.id}/{what}").status == 401
    [signal] = stack.read("signals", ann.email, "--limit", 1)
    assert stack.get(f"/api/v1/signals/{signal['signal_id']}", token=ben.token).status == 404
    assert ben.alert("close", "SOLUSD", "15").outcome["code"] == "EXECUTED"
    assert_flat_with(ben, bens, his)


def test_the_paper_broker_trades_at_simulated_prices(stack: Stack, ann: Trader) -> None:
    bot_id = ann.bot("BTCUSD", "15m", ann.connect_paper())
    assert ann.alert("buy", "BTCUSD", "15").outcome["code"] == "EXECUTED"
    assert ann.alert("close", "BTCUSD", "15").outcome["code"] == "EXECUTED"
    opened, closed = ann.trades(bot_id)
    earned, quantity = Decimal(0), Decimal(0)
    for trade in opened, closed:
        [order] = ann.trace(trade["signal_id"])["plan"]["legs"][0]["orders"]
        [fill] = order["fills"]
        quote = SimulatedMarket().quote("BTC/USD", datetime.fromisoformat(fill["filled_at"]))
        filled, price = Decimal(fill["quantity"]), Decimal(fill["price"])
        if trade is opened:
            assert price == quote.ask
            earned, quantity = earned - filled * price, filled - Decimal(fill["fee"])
            assert fill["fee_asset"] == "BTC"
        else:
            assert (price, filled) == (quote.bid, quantity)
            earned += filled * price * Decimal("0.9975")
    assert ann.held(bot_id) == 0
    assert abs(Decimal(closed["realized_pnl"]) - earned) < CENT / 2


def test_a_close_takes_back_an_open_entry(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("BTCUSD", "1h", main)
    stack.broker.settings(hold_fills=True)
    try:
        first = ann.alert("buy", "BTCUSD", "60", wait=0)
        assert (first.status, sorted(first.body)) == (202, ["signal_id", "status"])
        wait_for(lambda: stack.at_broker("BTC/USD"))
        again = ann.alert("buy", "BTCUSD", "60", price="60001")
        assert again.outcome["code"] == "ENTRY_PENDING"
        closed = ann.alert("close", "BTCUSD", "60").outcome
        assert (closed["state"], closed["code"]) == ("EXECUTED", "EXECUTED")
        assert "has been cancelled" in closed["sentence"]
    finally:
        stack.broker.settings(hold_fills=False)
    [order] = stack.at_broker("BTC/USD")
    assert (order["status"], order["filled_qty"]) == ("canceled", "0")
    trace = ann.trace(first.body["signal_id"])
    assert (trace["state"], trace["code"]) == ("SKIPPED", "SUPERSEDED")
    assert [trade["status"] for trade in ann.trades(bot_id)] == ["CANCELED"]
    assert ann.bots()[bot_id]["order_status"] == "READY"


def test_a_service_signals_for_a_user(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("BTCUSD", "1d", main, "--source", "discord")
    body = {
        "action": "buy",
        "symbol": "BTC/USD",
        "timeframe": "1 Day",
        "source": "discord",
        "message_id": "77",
    }
    answer = stack.post_as_service({**body, "user": ann.email}, wait=20)
    assert (answer.status, answer.outcome["code"]) == (202, "EXECUTED")
    again = stack.post_as_service({**body, "user": ann.email, "price": "1"}, wait=20)
    assert (again.status, again.body["signal_id"]) == (200, answer.body["signal_id"])
    assert stack.get("/api/v1/signals/" + answer.body["signal_id"], token=ann.token).status == 200
    assert ann.held(bot_id) > 0


def test_an_alert_through_the_dashboards_port_is_traded(stack: Stack, ann: Trader, main: int) -> None:
    bot_id = ann.bot("F", "5m", main)
    wait_for(stack.dashboard_answers, 60, stack.written)
    answer = stack.post_through_dashboard(ann.message("buy", "F", "5"), ann.token)
    assert answer.status == 202
    wait_for(lambda: ann.trace(answer.body["signal_id"])["state"] == "EXECUTED", 15)
    assert ann.held(bot_id) > 0


def test_a_restart_keeps_the_position_its_stop_and_the_kill_switch(
    stack: Stack, ann: Trader, main: int
) -> None:
    bot_id = ann.bot("LTCUSD", "1h", main)
    stack.broker.price("LTC/USD", "79.99", "80.00")
    assert ann.alert("buy", "LTCUSD", "60", stop_loss="5%").outcome["code"] == "EXECUTED"
    stack.manage("kill-switch", "bot", bot_id, "reducing")
    stack.stop()
    stack.broker.price("LTC/USD", "75.00", "75.01")
    stack.start()
    wait_for(lambda: ann.held(bot_id) == 0, 20, stack.written)
    assert_flat_with(ann, main, bot_id)
    [event, *_] = stack.read("risk-events", ann.email)
    assert (event["bot"], event["kind"], event["threshold"]) == ("LTC/USD 1 Hour", "STOP", "76")
    assert ann.alert("buy", "LTCUSD", "60").outcome["code"] == "KILL_SWITCH"


def test_the_accounts_hold_what_the_bots_do(stack: Stack, ann: Trader, ben: Trader) -> None:
    """Runs last: whatever the tests before left open, the books of both sides must agree."""
    stack.broker.settle()
    for trader in ann, ben:
        for connection, key in trader.keys.items():
            bots = [bot for bot in trader.bots().values() if bot["connection_id"] == connection]
            for symbol in {bot["symbol"] for bot in bots}:
                sum_of_bots = sum(Decimal(bot["quantity"]) for bot in bots if bot["symbol"] == symbol)
                extra = in_account(trader, connection, symbol.replace("/", "")) - sum_of_bots
                assert 0 <= extra <= (10 * FEE_STEP if "/" in symbol else 0), symbol
            account = stack.broker.books(key)["account"]
            earned = sum(Decimal(bot["total_pnl"]) for bot in bots)
            paid = sum(Decimal(bot["quantity"]) * Decimal(bot["average_price"]) for bot in bots)
            start = {"main": 1_000_000, "own": 50_000, "poor": Decimal("0.20")}.get(
                bots[0]["connection"], 100_000
            )
            assert abs(Decimal(account["cash"]) - (start + earned - paid)) < CENT, bots[0]["connection"]


def test_the_log_tells_no_secret_and_no_fault(stack: Stack, ann: Trader, ben: Trader) -> None:
    written = stack.log.read_text()
    assert not [line for line in written.splitlines() if re.search("Traceback| ERROR ", line)]
    for trader in ann, ben:
        assert trader.token not in written
        for key in trader.keys.values():
            assert f"secret of {key}" not in written
