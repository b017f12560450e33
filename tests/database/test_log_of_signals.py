"""Every line that concerns a signal names it: what came, what was decided, sent, filled, and what failed."""

import io
import json
import logging

import pytest

import jobs
import log
import settings
from core.errors import Rejected, Unknown
from core.signal import Action
from database.risk import ask_exit
from encryption import new_key
from settings import LogFormat
from tests.database.trading_floor import TradingFloor
from tests.log_lines import logged


class Failing:
    """A broker whose `submit` fails as it is told to; the rest is the paper broker's."""

    def __init__(self, broker, error):
        self._broker = broker
        self._error = error

    def __getattr__(self, name):
        return getattr(self._broker, name)

    def submit(self, _intent):
        raise self._error


@pytest.fixture
def written():
    """Give the lines that are logged, as the worker writes them."""
    with logged("worker") as lines:
        yield lines


@pytest.fixture
def floor(database):
    return TradingFloor(database)


def words(line):
    return line.partition(" signal=")[2].partition(" ")


def about(lines, signal):
    """Return what the lines say, each of which must name the signal."""
    assert {words(line)[0] for line in lines} == {str(signal["uuid"])}
    return [words(line)[2] for line in lines]


def test_the_whole_way_of_a_signal_is_under_its_id(floor, written):
    signal = floor.send(floor.bot(), Action.BUY)
    decided, sent, ended = about(written(), signal)
    assert decided == "decided: OPEN by BUY"
    assert sent.startswith("order ")
    assert "sent: BUY" in sent
    assert ended.startswith("ended EXECUTED: EXECUTED: Bought")


def test_an_order_that_was_not_taken_is_not_said_to_be_sent(floor, written):
    floor.broker = Failing(floor.paper, Rejected("no money", code="40310000"))
    signal = floor.send(floor.bot(), Action.BUY)
    said = about(written(), signal)
    assert [line for line in said if " was not taken: Rejected: no money" in line]
    assert not [line for line in said if " sent: " in line]
    assert said[-1].startswith("ended FAILED: BROKER_REJECTED")


def test_an_order_in_doubt_says_so_under_its_signal(floor, written):
    floor.broker = Failing(floor.paper, Unknown("no answer in 10 s"))
    signal = floor.send(floor.bot(), Action.BUY)
    assert [line for line in about(written(), signal) if "was not taken: Unknown: no answer in 10 s" in line]


def test_a_failure_in_the_middle_names_the_signal_it_broke_off_at(floor, written, database):
    floor.broker = Failing(floor.paper, RuntimeError("a fault of ours"))
    bot = floor.bot()
    with pytest.raises(RuntimeError):
        floor.send(bot, Action.BUY)
    with database.transaction() as transaction:
        signal = transaction.one("SELECT uuid FROM signals")
        lane = transaction.value("SELECT id FROM lanes")
        transaction.execute("DELETE FROM orders")
    jobs.run_lane_safely(floor.desk, lane)
    failed = [line for line in written() if f"lane {lane} failed" in line]
    assert about(failed, signal)
    assert "RuntimeError: a fault of ours" in failed[0]


def test_an_exit_of_our_own_is_under_the_events_id(floor, written, database):
    bot = floor.bot()
    bought = floor.send(bot, Action.BUY)
    before = len(written())
    with database.transaction() as transaction:
        ask_exit(transaction, bot, "MANUAL_CLOSE", sentence="You asked for it.")
        event = transaction.one("SELECT uuid FROM bot_risk_events")
    floor.work(bot)
    said = about(written()[before:], event)
    assert event["uuid"] != bought["uuid"]
    assert said[0].startswith("decided for MANUAL_CLOSE: CLOSE by SELL")
    assert said[-1].startswith("ended EXECUTED")


def test_a_line_holds_no_character_that_ends_it_or_leads_a_terminal_astray(written):
    logging.getLogger("intake").info("refused: %s", "red\x1b[31m\x07 \u2028next\r\nfake line\x9b1m")
    (line,) = written()
    assert "\\x1b[31m\\x07 \\u2028next\\nfake line\\x9b1m" in line


def test_json_says_the_same_in_parts():
    found = settings.Found(
        values={"DATABASE_URL": "postgresql://ann:db-password@x/y", "PUBLIC_URL": "http://x"}
    )
    secrets = log.secrets_of(settings.build(found))
    form = log.JsonFormatter("worker", secrets)
    with log.about_signal("6f1e"):
        record = logging.getLogger("engine").makeRecord(
            "engine", logging.WARNING, "f", 1, "postgresql://ann:db-password@x/y is %s\naway", ("far",), None
        )
        said = json.loads(form.format(record))
    assert said["time"].endswith("Z")
    assert {name: said[name] for name in said if name != "time"} == {
        "level": "WARNING", "part": "worker", "signal": "6f1e", "logger": "engine", "words": "*** is far\naway",
    }  # fmt: skip
    assert json.loads(form.format(record))["signal"] is None


def test_json_keeps_a_traceback_apart():
    try:
        raise ValueError(f"it was {new_key()}")
    except ValueError as error:
        record = logging.getLogger("x").makeRecord(
            "x", 40, "f", 1, "failed", (), (ValueError, error, error.__traceback__)
        )
    line = log.JsonFormatter("worker").format(record)
    assert "\n" not in line
    said = json.loads(line)
    assert said["words"] == "failed"
    assert said["traceback"].endswith("ValueError: it was ***")


def test_the_setting_chooses_the_form(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    values = {"DATABASE_URL": "postgresql://x/y", "PUBLIC_URL": "http://x", "LOG_FORMAT": "json"}
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        loaded = settings.build(settings.Found(values=values))
        assert loaded.log_format is LogFormat.JSON
        log.logging_setup("worker", loaded)
        logging.getLogger("x").info("said")
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)
    assert json.loads(stream.getvalue())["words"] == "said"
