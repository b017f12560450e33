"""What Streamlit's own handlers write holds no secret, and its server's log of addresses stays closed."""

import io
import logging
from collections.abc import Iterator

import pytest

import settings
from ui.library_logs import ACCESS, hide_secrets

TOKEN = "usr_0123456789abcdefghijkl"
KEY = "a plain sentence that is a key"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Give what loggers write that have a handler of their own, as Streamlit's have."""
    factory, access = logging.getLogRecordFactory(), logging.getLogger(ACCESS)
    handler = logging.StreamHandler(io.StringIO())
    found = {"DATABASE_URL": "postgresql://a:b@c/d", "PUBLIC_URL": "http://localhost", "SIGNAL_API_KEY": KEY}
    hide_secrets(settings.build(settings.Found(values=found)))
    # After that, as Streamlit does
    for name in (ACCESS, "streamlit.web.server"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
    yield handler.stream
    for name in (ACCESS, "streamlit.web.server"):
        logging.getLogger(name).removeHandler(handler)
    access.filters.clear()
    logging.setLogRecordFactory(factory)


def test_the_log_of_addresses_stays_closed(written: io.StringIO) -> None:
    logging.getLogger(ACCESS).info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "POST", f"/webhook?token={TOKEN}", "1.1", 202
    )
    assert written.getvalue() == ""


def test_words_arguments_and_tracebacks_hold_no_secret(written: io.StringIO) -> None:
    logger = logging.getLogger("streamlit.web.server")
    logger.info("%d requests, the last %s", 3, f"/webhook/{TOKEN}")
    try:
        raise RuntimeError(f"it was {KEY}")
    except RuntimeError:
        logger.exception("100 % failed")
    said = written.getvalue()
    assert "3 requests, the last /webhook/" in said
    assert "100 % failed\nTraceback" in said
    assert not [secret for secret in (TOKEN, KEY) if secret in said]
