"""The session of the bot's original description, published as its reader would."""

import shutil
import subprocess
from decimal import Decimal

from tests.mqtt_broker.seed_session import SEED_SESSION


def publish(watching, topic, message):
    """Publish with mosquitto_pub where it is installed."""
    if program := shutil.which("mosquitto_pub"):
        where = ("-h", "127.0.0.1", "-p", str(watching.broker.port))
        subprocess.run([program, *where, "-t", topic, "-m", message], check=True, timeout=60)
    else:
        watching.publisher.send(topic, message.encode(), qos=0)


def test_the_whole_session_gives_rows_states_and_alerts(watching):
    with watching.listening():
        for count, (topic, message) in enumerate(SEED_SESSION, start=1):
            publish(watching, topic, message)
            watching.wait_events(count)
    assert [row["kind"] for row in watching.events()] == [
        "HEARTBEAT", "STARTED", "POSITION_OPENED", "TRADE_COMPLETED", "BALANCE", "HEARTBEAT", "UNKNOWN",
    ]  # fmt: skip
    assert not any(row["problem"] for row in watching.events())
    assert [bytes(row["payload"]).decode() for row in watching.events()] == [each for _, each in SEED_SESSION]
    assert watching.kinds() == [
        "WATCHED_STARTED", "WATCHED_POSITION_OPENED", "WATCHED_TRADE_COMPLETED", "WATCHED_BALANCE_CHANGED",
    ]  # fmt: skip
    started, opened, completed, balance = [content for _, content in watching.alerts()]
    for content in (started, opened, completed, balance):
        assert content["watched_bot"] == "polyspike"
        assert content["clock_off"]
        assert content["sent_at"] == "2009-02-13T23:31:30+00:00"
    assert (started["version"], Decimal(started["initial_balance"])) == ("1.0.0", 1000)
    assert (opened["name"], opened["side"], opened["quantity"], opened["quantity_unit"]) == (
        "BTC/USD", "long", "0.01", "BTC",
    )  # fmt: skip
    assert (Decimal(opened["stop_loss"]), Decimal(opened["take_profit"])) == (49000, 52000)
    assert (Decimal(completed["pnl"]), Decimal(completed["pnl_fraction"])) == (10, Decimal("0.02"))
    assert completed["duration_seconds"] == 3600
    assert (Decimal(balance["available"]), Decimal(balance["locked"])) == (1010, 0)
    assert balance["reason"] == "trade_closed"
    bot = watching.bot()
    assert (bot["state"], bot["messages"], bot["bad_messages"]) == ("ONLINE", 7, 0)
    assert bot["heartbeat"]["uptime_seconds"] == 3600
    assert Decimal(bot["balance"]["equity"]) == 1010
    [trade] = watching.rows("SELECT * FROM watched_trades")
    assert (trade["state"], trade["is_completed"], trade["exit_price"]) == ("CLOSED", True, 51000)
    assert (trade["stop_loss"], trade["quantity"], trade["quantity_unit"]) == (49000, Decimal("0.01"), "BTC")
    [point] = watching.rows("SELECT * FROM watched_balances")
    assert (point["balance"], point["equity"], point["total_pnl"]) == (1010, 1010, 10)


def test_a_line_sent_twice_on_purpose_alerts_twice(watching):
    topic, message = SEED_SESSION[1]
    with watching.listening():
        publish(watching, topic, message)
        publish(watching, topic, message)
        watching.wait_events(2)
    assert watching.kinds() == ["WATCHED_STARTED"] * 2
