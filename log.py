"""Write one line per event to standard output: time, level, part, signal, words; never a secret."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from pydantic import SecretStr

from settings import Settings

HIDDEN = "***"
SHORTEST_SECRET = 6
# Each keeps its first group and hides the rest of the match.
PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(usr_)[\w-]{6,}",
        r"(\btoken=)[^\s&\"'<>]+",
        r"(/webhook/(?!usr_))[^\s?&\"'<>]+",
        r"(://[^\s:/@\"']*:)[^\s@/\"']+(?=@)",
        r"(discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/)[\w-]+",
        r"(\b(?:authorization|bearer|basic)\b[\"']?\s*[:=]?\s*[\"']?(?:bearer\s+|basic\s+|bot\s+)?)[\w.~+/=-]{8,}",
        r"((?:api[_-]?key(?:[_-]?id)?|secret(?:[_-]?key)?|encryption[_-]key|passphrase|password|"
        r"access[_-](?:key|sign|passphrase))[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&}]+",
        r"()\b[\w-]{43}=(?![\w=])",
    )
)

_signal: ContextVar[str] = ContextVar("signal", default="-")


@contextmanager
def about_signal(signal_id: object) -> Iterator[None]:
    """Name this signal in every line that is logged inside."""
    token = _signal.set(str(signal_id))
    try:
        yield
    finally:
        _signal.reset(token)


def logging_setup(part: str, settings: Settings) -> None:
    """Send everything this process logs to standard output, in one form; may be called again."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter(part, secrets_of(settings)))
    logging.basicConfig(level=settings.log_level.value, handlers=[handler], force=True)
    logging.captureWarnings(True)


class LineFormatter(logging.Formatter):
    """Make one line of an event, its traceback included, with every secret hidden.

    `secrets` are hidden wherever they stand; tokens, keys and passwords also by their form.
    """

    def __init__(self, part: str, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._part = part
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the event's line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        signal = getattr(record, "signal", None) or _signal.get()
        words = redact(super().format(record), self._secrets).replace("\r", "").replace("\n", "\\n")
        return f"{time.replace('+00:00', 'Z')} {record.levelname} {self._part} signal={signal} {words}"


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return the text with every secret replaced by asterisks."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern in PATTERNS:
        text = pattern.sub(lambda match: match.group(1) + HIDDEN, text)
    return text


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return the secrets among the settings, the longest first."""
    values = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    parts = {part.strip() for value in values for part in (value, *value.split(","))}
    return tuple(sorted((part for part in parts if len(part) >= SHORTEST_SECRET), key=len, reverse=True))
