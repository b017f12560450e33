"""A line of the log: one per event, named by part and signal, and free of secrets."""

import io
import logging
import re
import sys

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import log
import settings
from encryption import new_key, new_token


@pytest.fixture
def loaded():
    values = {
        "DATABASE_URL": "postgresql://ann:db-password@127.0.0.1/x",
        "PUBLIC_URL": "http://localhost",
        "ENCRYPTION_KEY": f"{new_key()},{new_key()}",
        "SIGNAL_API_KEY": "a plain sentence that is a key",
        "MQTT_PASSWORD": "mqtt-password",
    }
    return settings.build(settings.Found(values=values))


@pytest.fixture
def lines(loaded, monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.logging_setup("worker", loaded)
    yield lambda: written.getvalue().splitlines()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 3), ("INFO", 2), ("WARNING", 1), ("ERROR", 0)])
def test_the_level_of_the_settings_hides_what_is_below_it(lines, loaded, monkeypatch, level, shown):
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    log.logging_setup("mqtt listener", loaded.model_copy(update={"log_level": settings.LogLevel(level)}))
    logger = logging.getLogger("mqtt_listener")
    for say in (logger.debug, logger.info, logger.warning):
        say("said")
    assert len(written.getvalue().splitlines()) == shown


def test_a_line_says_when_how_grave_who_and_about_which_signal(lines):
    with log.about_signal("6f1e"):
        logging.getLogger("engine").warning("order %s refused", 7)
    logging.getLogger("engine").info("idle")
    logging.getLogger("engine").debug("not shown")
    first, second = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z WARNING worker signal=6f1e order 7 refused", first)
    assert second.endswith(" INFO worker signal=- idle")


def test_a_signal_may_be_given_with_the_event(lines):
    logging.getLogger().info("stored", extra={"signal": "abc"})
    assert "signal=abc stored" in lines()[0]


def test_a_traceback_stays_on_one_line(lines):
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger().exception("failed")
    (line,) = lines()
    assert "failed\\nTraceback" in line
    assert line.endswith("ValueError: first\\nsecond")


def test_the_settings_secrets_are_hidden_in_words_arguments_and_tracebacks(lines, loaded):
    secrets = log.secrets_of(loaded)
    assert len(secrets) == 6
    for secret in secrets:
        logging.getLogger().info("it is " + secret.replace("%", "%%"))
        logging.getLogger().info("it is %s", secret)
        try:
            raise RuntimeError(secret)
        except RuntimeError:
            logging.getLogger().exception("failed")
    written = "\n".join(lines())
    assert written.count(log.HIDDEN) >= 3 * len(secrets)
    assert not [secret for secret in secrets if secret in written]


SECRETS = {
    "a token": "usr_{}",
    "a token in a query": "POST /webhook?token={}&wait=3 202",
    "a token in a path": "POST /webhook/usr_{} 202",
    "a database address": "postgresql://ann:{}@db/x",
    "a Discord webhook": "https://discord.com/api/webhooks/123/{}",
    "a header": "{{'APCA-API-SECRET-KEY': '{}'}}",
    "another header": "X-API-Key: {}",
    "a bearer": "Authorization: Bearer {}",
    "JSON": '{{"passphrase": "{}", "symbol": "AAPL"}}',
    "a variable": "ENCRYPTION_KEY={}",
    "BloFin's header": '"ACCESS-PASSPHRASE": "{}"',
    "an argument": "REST(key_id='x', secret_key='{}')",
}


@pytest.mark.parametrize("form", SECRETS.values(), ids=SECRETS)
@given(secret=st.from_regex(r"[A-Za-z0-9_-]{16,64}", fullmatch=True))
def test_secrets_are_known_by_their_form(form, secret):
    line = form.format(secret)
    hidden = log.redact(line)
    assert secret not in hidden
    assert hidden == form.format(log.HIDDEN)


def test_a_fernet_key_alone_is_known_by_its_form():
    assert log.redact(f"it was {new_key()}.") == "it was ***."


def test_what_is_around_a_token_stays_readable():
    line = log.redact(f"POST /webhook?token={new_token('usr_')}&wait=5 202 in 3 ms")
    assert line == "POST /webhook?token=***&wait=5 202 in 3 ms"


@pytest.mark.parametrize(
    "line",
    [
        "order 7f3a9c1e5b2d4f608a9b0c1d2e3f4a5b filled 3 AAPL at 143.12",
        "signal=6f1e4c1a-8a0f-4a53-9d57-0b7f3f0d9a11 decided",
        "https://example.org:8080/webhook",
        "the token of ann was revoked",
    ],
)
def test_a_line_without_a_secret_stays_as_it_is(line):
    assert log.redact(line) == line


def fail(words, error=None):
    try:
        raise error or psycopg2.OperationalError(
            "server closed the connection unexpectedly\n\tThis probably means"
        )
    except Exception:
        logging.getLogger("worker").exception(words)


class TestOutages:
    def test_a_database_that_is_away_is_one_plain_line_however_many_loops_meet_it(self, lines):
        with log.about_signal("6f1e"):
            fail("lane 5 failed")
        for number in range(20):
            fail(f"lane {number} failed", psycopg2.InterfaceError("connection already closed"))
        (line,) = lines()
        words = "the database is away: server closed the connection unexpectedly; lane 5 failed"
        assert line.endswith(f" ERROR worker signal=6f1e {words}")

    def test_it_is_said_again_while_it_lasts_with_what_was_left_out(self, lines):
        now = [0.0]
        handler = logging.getLogger().handlers[0]
        handler.filters[:] = [log.OutageFilter(lambda: now[0])]
        for seconds in (0, 1, log.OUTAGE_SECONDS - 0.1, log.OUTAGE_SECONDS, log.OUTAGE_SECONDS + 1):
            now[0] = seconds
            fail(f"at {seconds}")
        assert [line.partition("; ")[2] for line in lines()] == [
            "at 0",
            "at 30.0 (2 such lines were left out before)",
        ]

    @pytest.mark.parametrize("error", [KeyError("x"), psycopg2.ProgrammingError("no such column")])
    def test_any_other_failure_keeps_its_traceback_beside_it(self, lines, error):
        fail("lane 5 failed")
        fail("lane 6 failed", error)
        fail("lane 7 failed", error)
        assert ["Traceback" in line for line in lines()] == [False, True, True]
