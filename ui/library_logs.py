"""Keep secrets out of what Streamlit and its web server log by handlers of their own."""

import logging
from typing import Any

from log import redact, secrets_of
from settings import Settings

# Of every request with its address, which for an alert holds the token
ACCESS = "uvicorn.access"


def hide_secrets(settings: Settings) -> None:
    """Hide secrets in every event of this process as it is made, whoever writes it, and log no addresses.

    Streamlit gives the access log back its handler after it was switched off, so the log itself is closed.
    """
    logging.setLogRecordFactory(_Records(secrets_of(settings)))
    logging.getLogger(ACCESS).addFilter(_nothing)


class _Records:
    """Make events in which no secret is left, their tracebacks included."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets
        self._formatter = logging.Formatter()

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record = logging.LogRecord(*arguments, **named)
        words = record.getMessage()
        hidden = redact(words, self._secrets)
        if hidden != words:
            record.msg, record.args = hidden, ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redact(self._formatter.formatException(record.exc_info), self._secrets)
        return record


def _nothing(_record: logging.LogRecord) -> bool:
    return False
