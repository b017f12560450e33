"""Write one line per event to standard output: time, level, part, signal, words; never a secret."""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime

from pydantic import SecretStr

from database.away import is_away
from settings import LogFormat, Settings

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

OUTAGE_SECONDS = 30.0
NO_SIGNAL = "-"
_signal: ContextVar[str] = ContextVar("signal", default=NO_SIGNAL)
# What would end a line, or lead a terminal astray; the words may be a sender's.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class about_signal:  # noqa: N801  read as a word: with about_signal(…)
    """Name these signals in every line that is logged inside, and where an error is logged that left here."""

    def __init__(self, *signal_ids: object) -> None:
        self._named = ",".join(str(each) for each in signal_ids if each is not None) or NO_SIGNAL

    def __enter__(self) -> None:
        self._token = _signal.set(self._named)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        _signal.reset(self._token)
        # The innermost knows it best.
        if error is not None and not hasattr(error, "about_signal"):
            with suppress(AttributeError):
                error.about_signal = self._named  # type: ignore[attr-defined]


def logging_setup(part: str, settings: Settings) -> None:
    """Send everything this process logs to standard output, in one form; may be called again."""
    handler = logging.StreamHandler(sys.stdout)
    form = JsonFormatter if settings.log_format is LogFormat.JSON else LineFormatter
    handler.setFormatter(form(part, secrets_of(settings)))
    handler.addFilter(OutageFilter())
    logging.basicConfig(level=settings.log_level.value, handlers=[handler], force=True)
    logging.captureWarnings(True)


class OutageFilter(logging.Filter):
    """Say that the database is away in one plain line, and again every `OUTAGE_SECONDS` while it lasts.

    Every loop of a process meets the outage, and each would log a traceback that says nothing more. What
    is left out is counted in the next line. Any other failure of the database passes as it is.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._again_at = 0.0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the first line about an outage pass, without its traceback."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not is_away(error):
            return True
        with self._lock:
            left_out = self._counted(self._clock())
        if left_out is not None:
            first, *_ = (str(error).strip() or type(error).__name__).splitlines()
            since = f" ({left_out} such lines were left out before)" if left_out else ""
            say_plainly(record, "the database is away: %s; %s%s", first, record.getMessage(), since)
        return left_out is not None

    def _counted(self, now: float) -> int | None:
        """Return how many lines were left out before the one that is due now, None where it is not due."""
        if now < self._again_at:
            self._left_out += 1
            return None
        left_out, self._left_out, self._again_at = self._left_out, 0, now + OUTAGE_SECONDS
        return left_out


def say_plainly(record: logging.LogRecord, words: str, *values: object) -> None:
    """Give a line other words and no traceback; it stays under its signal."""
    record.signal = signal_of(record)
    record.msg, record.args = words, values
    record.exc_info = record.exc_text = None


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
        words = redact(super().format(record), self._secrets).replace("\r\n", "\n")
        plain = _UNPRINTABLE.sub(_escaped, words)
        return f"{_time(record)} {record.levelname} {self._part} signal={signal_of(record)} {plain}"


class JsonFormatter(LineFormatter):
    """Make one line of JSON of an event, for what collects logs; secrets are hidden in the same way."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the event's line."""
        signal = signal_of(record)
        said: dict[str, str | None] = {
            "time": _time(record),
            "level": record.levelname,
            "part": self._part,
            "signal": None if signal == NO_SIGNAL else signal,
            "logger": record.name,
            "words": redact(record.getMessage(), self._secrets),
        }
        if record.exc_info and record.exc_info[0] is not None:
            said["traceback"] = redact(self.formatException(record.exc_info), self._secrets)
        return json.dumps(said)


def signal_of(record: logging.LogRecord) -> str:
    """Return the id of the signal that an event is about: given with it, being worked on, or the error's."""
    error = record.exc_info[1] if record.exc_info else None
    given: str | None = getattr(record, "signal", None)
    current = _signal.get()
    if given or current != NO_SIGNAL:
        return given or current
    return str(getattr(error, "about_signal", NO_SIGNAL))


def _time(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


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
