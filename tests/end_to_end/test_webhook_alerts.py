"""Alerts over HTTP: stored before they are answered, for the bot they are meant for."""

import threading
import time
from datetime import UTC, datetime

import pytest

from core.signal import Action
from core.signal_json import from_json
from signals.templates import STRATEGY_TEMPLATE
from tests.end_to_end.webhook_desk import CONTENT_TYPES, WebhookDesk


@pytest.mark.parametrize("content_type", [*CONTENT_TYPES, "", "application/vnd.trading+json"])
def test_an_alert_is_stored_with_its_lane_and_number_and_the_lane_is_rung(desk, ann, content_type):
    bot_id = ann.bot()
    before = datetime.now(UTC)
    answer = ann.send(
        action="buy", ticker="NASDAQ:AAPL", interval="15", price="143.12", content_type=content_type
    )
    assert answer.status_code == 202, answer.json
    [signal] = ann.signals()
    assert answer.json == {"status": "accepted", "signal_id": str(signal["uuid"])}
    assert (signal["state"], signal["bot_config_id"], signal["number"]) == ("STORED", bot_id, 1)
    assert (signal["source"], signal["code"], signal["duplicates"]) == ("tradingview", None, 0)
    assert signal["understood"]["price"] == "143.12"
    assert before < signal["received_at"] < signal["stored_at"] < datetime.now(UTC)
    assert desk.value("SELECT bells FROM lanes WHERE id = %s", (signal["lane_id"],)) == 1


def test_the_raw_body_is_kept_as_it_came(desk, ann):
    ann.bot()
    body = b'\xef\xbb\xbf {"action":"sell","symbol":"AAPL","timeframe":"15", "note":"\xc3\xa9t\xc3\xa9"}\n'
    assert desk.post(f"/webhook?token={ann.token}", body).status_code == 202
    [signal] = ann.signals()
    assert bytes(signal["body"]) == body
    assert from_json(signal["understood"]).extras == {"note": "été"}


def test_the_token_may_stand_in_the_path(ann):
    ann.bot()
    answer = ann.send(path=f"/webhook/{ann.token}", action="buy", symbol="AAPL", timeframe="15")
    assert answer.status_code == 202


def test_the_template_of_setup_works_as_tradingview_fills_it(desk, ann):
    bot_id = ann.bot()
    filled = {
        "strategy.order.action": "sell", "ticker": "AAPL", "interval": "15", "strategy.order.price": "150.5",
        "strategy.order.contracts": "3", "strategy.market_position": "flat",
        "strategy.prev_market_position": "long", "strategy.position_size": "0",
        "strategy.order.id": "Long exit", "timenow": "2026-11-20T14:45:00Z",
    }  # fmt: skip
    body = STRATEGY_TEMPLATE
    for name, value in filled.items():
        body = body.replace("{{" + name + "}}", value)
    assert desk.post(f"/webhook?token={ann.token}", body).status_code == 202
    [stored] = ann.signals()
    signal = from_json(stored["understood"])
    assert (stored["bot_config_id"], signal.action, signal.wanted) == (bot_id, Action.SELL, "FLAT")
    assert stored["sent_at"] == datetime(2026, 11, 20, 14, 45, tzinfo=UTC)
    assert stored["sender_id"] == "Long exit@2026-11-20T14:45:00+00:00"


def test_three_timeframes_of_one_symbol_share_a_lane_and_its_numbers(ann):
    ids = [ann.bot(timeframe=each) for each in ("5 Min", "15 Min", "30 Min")]
    for minutes in ("30", "5", "15"):
        assert ann.send(action="buy", symbol="AAPL", timeframe=minutes).status_code == 202
    signals = ann.signals()
    assert [each["bot_config_id"] for each in signals] == [ids[2], ids[0], ids[1]]
    assert [each["number"] for each in signals] == [1, 2, 3]
    assert len({each["lane_id"] for each in signals}) == 1


def test_a_disabled_bot_takes_its_signals_too(desk, ann):
    bot_id = ann.bot()
    with desk.database.transaction() as transaction:
        transaction.execute("UPDATE user_bot_configs SET is_active = false WHERE id = %s", (bot_id,))
    assert ann.send(action="close", symbol="AAPL", timeframe="15").status_code == 202


def test_no_bot_says_what_was_looked_for_and_what_there_is(desk, ann):
    bot_id = ann.bot("AAPL", "15 Min", name="Apple")
    archived = ann.bot("TSLA", "15 Min")
    other_source = ann.bot("TSLA", "15 Min", source="discord", name="By Discord")
    with desk.database.transaction() as transaction:
        transaction.execute("UPDATE user_bot_configs SET archived_at = now() WHERE id = %s", (archived,))
    desk.trader("bob@example.org").bot("TSLA", "15 Min")
    answer = ann.send(action="buy", symbol="TSLA", timeframe="15")
    [stored] = ann.signals()
    assert answer.status_code == 404
    assert answer.json == {
        "error": "No bot configuration found for TSLA 15 Min.",
        "code": "NO_BOT",
        "signal_id": str(stored["uuid"]),
        "looked_for": {"symbol": "TSLA", "timeframe": "15 Min"},
        "bots": [
            {"id": bot_id, "name": "Apple", "symbol": "AAPL", "timeframe": "15 Min", "connection": "Practice"}
        ],
        "total_bots": 1,
    }
    assert (stored["state"], stored["code"], stored["sentence"]) == (
        "REFUSED",
        "NO_BOT",
        answer.json["error"],
    )
    assert stored["lane_id"] is None
    assert other_source
    assert desk.value("SELECT sum(bells) FROM lanes") == 0


def test_two_connections_are_ambiguous_until_bot_or_token_says_which(ann):
    live = ann.connection("Second")
    first, second = ann.bot(name="One"), ann.bot(name="Two", connection_id=live)
    alert = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}
    answer = ann.send(**alert)
    assert (answer.status_code, answer.json["code"]) == (422, "AMBIGUOUS_BOT")
    assert "One (15 Min, Practice), Two (15 Min, Second)" in answer.json["error"]
    assert ann.send(**alert, bot="two").status_code == 202
    assert ann.send(**alert, bot=str(first)).status_code == 202
    assert ann.send(**alert, token=ann.bound_token(live)).status_code == 202
    accepted = [each["bot_config_id"] for each in ann.signals() if each["number"]]
    assert accepted == [second, first, second]


def test_a_bound_token_does_not_show_the_bots_of_other_connections(ann):
    ann.bot(name="Elsewhere")
    answer = ann.send(
        token=ann.bound_token(ann.connection("Second")), action="buy", symbol="AAPL", timeframe="15"
    )
    assert (answer.status_code, answer.json["bots"]) == (404, [])


def test_another_exchange_is_refused_with_the_reason(ann):
    ann.bot("AMD")
    answer = ann.send(action="buy", symbol="XETR:AMD", timeframe="15")
    assert (answer.status_code, answer.json["code"]) == (422, "SYMBOL_NOT_TRADEABLE")
    assert answer.json["error"].startswith("XETR:AMD is not what this bot trades")
    assert [each["state"] for each in ann.signals()] == ["REFUSED"]


@pytest.mark.parametrize("symbol", ["BTC/USD", "BTCUSD", "COINBASE:BTCUSD", "BTC-USD"])
def test_a_pair_finds_its_bot_however_it_is_spelled(ann, symbol):
    ann.bot("BTC/USD", "1 Hour", crypto=True)
    assert ann.send(action="buy", symbol=symbol, timeframe="1h").status_code == 202


def test_a_contradiction_is_refused_at_once(ann):
    ann.bot()
    answer = ann.send(action="sell", symbol="AAPL", timeframe="15", market_position="long")
    assert (answer.status_code, answer.json["code"]) == (422, "CONTRADICTORY_SIGNAL")
    [stored] = ann.signals()
    assert (stored["state"], stored["understood"]["position_after"]) == ("REFUSED", "LONG")


@pytest.mark.parametrize("action", ["buy", "sell", "close"])
def test_a_test_is_explained_kept_and_never_trades(desk, ann, action):
    ann.bot(name="Apple")
    answer = ann.send(action=action, symbol="AAPL", timeframe="15", test=True, colour="red")
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["code"]) == ("test", "TEST_SIGNAL")
    assert "bot Apple would have taken it" in answer.json["message"]
    assert answer.json["signal"]["action"] == action.upper()
    assert answer.json["ignored"] == ["colour"]
    [stored] = ann.signals()
    assert (stored["state"], stored["code"], stored["lane_id"]) == ("REFUSED", "TEST_SIGNAL", None)
    assert desk.value("SELECT sum(bells) FROM lanes") == 0


def test_a_test_without_a_bot_gets_the_refusal_that_the_alert_would_get(ann):
    answer = ann.send(action="buy", symbol="AAPL", timeframe="15", test=True)
    assert (answer.status_code, answer.json["code"]) == (404, "NO_BOT")


class TestWaiting:
    def test_the_outcome_is_in_the_answer_where_there_is_one_in_time(self, desk, ann):
        ann.bot()

        def finish():
            deadline = time.monotonic() + 20
            while not ann.signals():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            with desk.database.transaction() as transaction:
                transaction.execute(
                    """
                    UPDATE signals SET state = 'SKIPPED', code = 'ALREADY_LONG', sentence = 'It is long.',
                           finished_at = now()
                    """
                )

        engine = threading.Thread(target=finish)
        engine.start()
        answer = ann.send(
            path=f"/webhook?token={ann.token}&wait=20", action="buy", symbol="AAPL", timeframe="15"
        )
        engine.join()
        assert answer.status_code == 202
        assert answer.json["outcome"] == {
            "state": "SKIPPED", "code": "ALREADY_LONG", "sentence": "It is long."
        }  # fmt: skip

    def test_without_an_outcome_in_time_the_signal_is_accepted_all_the_same(self, ann):
        ann.bot()
        began = time.monotonic()
        answer = ann.send(
            path=f"/webhook?token={ann.token}&wait=0.3", action="buy", symbol="AAPL", timeframe="15"
        )
        assert time.monotonic() - began >= 0.3
        assert (answer.status_code, "outcome" in answer.json) == (202, False)

    @pytest.mark.parametrize("wait", ["soon", "", "-1", "nan", "0", "-inf"])
    def test_a_wish_that_cannot_be_read_does_not_cost_the_alert(self, ann, wait):
        ann.bot()
        answer = ann.send(
            path=f"/webhook?token={ann.token}&wait={wait}", action="buy", symbol="AAPL", timeframe="15"
        )
        assert answer.status_code == 202

    def test_at_most_four_wait_and_the_fifth_is_answered_at_once(self, desk, ann):
        ann.bot()
        waiting = desk.app.extensions["dashtrade"].waiting
        for _ in range(4):
            assert waiting.acquire(blocking=False)
        assert not waiting.acquire(blocking=False)
        answer = ann.send(
            path=f"/webhook?token={ann.token}&wait=25", action="buy", symbol="AAPL", timeframe="15"
        )
        assert answer.status_code == 202
        for _ in range(4):
            waiting.release()


class TestWithoutADatabase:
    def test_nothing_is_stored_and_the_answer_makes_tradingview_send_again(self, free_port, caplog):
        desk = WebhookDesk(f"postgresql://user:very-secret@127.0.0.1:{free_port}/none")
        answer = desk.post("/webhook?token=usr_abcdefghijklmnop", {"action": "buy", "symbol": "AAPL"})
        assert answer.status_code == 503
        assert answer.json == {
            "error": "The message could not be stored. Send it again.",
            "code": "NOT_STORED",
        }
        assert desk.client.get("/health").status_code == 503
        assert desk.client.get("/user/1/bots?token=usr_abcdefghijklmnop").json["code"] == "UNAVAILABLE"
        assert "127.0.0.1" not in answer.text

    def test_a_message_is_explained_all_the_same(self, free_port):
        desk = WebhookDesk(f"postgresql://user:very-secret@127.0.0.1:{free_port}/none")
        assert desk.post("/test-webhook", {"action": "buy", "symbol": "AAPL"}).status_code == 200

    def test_a_connection_that_dies_costs_one_503_and_the_resend_is_stored_once(self, desk, ann):
        ann.bot()
        alert = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}
        assert ann.send(**alert).status_code == 202
        desk.all(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'dashtrade webhook' AND datname = current_database()
            """
        )
        other = alert | {"action": "sell"}
        answers = [ann.send(**other).status_code for _ in range(3)]
        assert answers in ([503, 202, 200], [202, 200, 200])
        assert [each["number"] for each in ann.signals()] == [1, 2]

    def test_a_lane_that_stays_locked_gives_503_before_tradingview_hangs_up(self, desk, ann):
        ann.bot()
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE lanes SET bells = bells + 1")
            answer = ann.send(action="buy", symbol="AAPL", timeframe="15")
        assert (answer.status_code, answer.json["code"]) == (503, "NOT_STORED")
        assert ann.signals() == []
