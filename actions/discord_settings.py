"""Change what a user wants to hear of reversal signals: from Discord's `/settings` and from the dashboard.

Each wish comes as people write it. What is stored is canonical: timeframes as `1 Hour`, pairs as `EUR/USD`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from actions.refused import Refused
from core.pips import CURRENCIES, market_of
from core.timeframe import canonical
from database import audit, discord_accounts
from database.discord_accounts import CHANNEL
from database.pool import Database, Row, Transaction
from reversal.choosing import TIMEFRAMES

MOST_PAIRS = 100
MOST_A_DAY = 200
LONGEST_COOLDOWN_MINUTES = 10_080
SHORTEST_UPDATE_MINUTES, LONGEST_UPDATE_MINUTES = 5, 10_080
LONGEST_TRADE_HOURS = 8_760
YES = frozenset({"on", "yes", "true", "1"})
NO = frozenset({"off", "no", "false", "0"})
NONE = frozenset({"", "none", "never", "no", "off", "-"})
DIRECT = NONE | {"direct", "dm", "direct messages"}

# What each wish is called where it is changed
LABELS: Mapping[str, str] = {
    "notifications_enabled": "Send me signals",
    "preferred_pairs": "Pairs",
    "enabled_timeframes": "Timeframes",
    "min_confidence": "Minimum confidence",
    "only_ml_enhanced": "Only signals of the model",
    "only_with_edge": "Only where an edge was shown",
    "notification_cooldown_minutes": "Same pair again after (minutes)",
    "max_notifications_per_day": "At most a day",
    "notification_channel_id": "Send to the channel (id)",
    "running_update_minutes": "Tell how open trades stand",
    "trade_limit_hours": "Close a trade after (hours)",
    "account_currency": "Account currency",
}

_CHANNEL = re.compile(r"(?:<#)?([1-9][0-9]{14,18})>?")
_WHOLE = re.compile(r"[0-9]{1,9}")
_CURRENCY = re.compile(r"[A-Za-z]{3}")


def change(
    database: Database, user_id: int, actor: str, changes: Mapping[str, str], now: datetime
) -> Row:  # fmt: skip
    """Change a user's wishes, all of them or none, and return the whole row as it is from then on.

    Whoever names a channel, be it the same, has it tried again where it was switched off. `changes` names
    columns of `user_discord_settings`. Raises `Refused` with what is allowed for the first value that cannot
    be, and ValueError for a column that is no wish.
    """
    wanted = {name: _read(name, text) for name, text in changes.items()}
    with database.transaction() as transaction:
        before = discord_accounts.settings_of(transaction, user_id)
        changed = {name: value for name, value in wanted.items() if value != before[name]}
        if CHANNEL in wanted and before["notification_channel_off_at"] is not None:
            changed[CHANNEL] = wanted[CHANNEL]
        if not changed:
            return before
        after = discord_accounts.change_settings(transaction, user_id, changed)
        _note(transaction, user_id, actor, {name: before[name] for name in changed}, changed)
    return after


def timeframes_of(row: Row) -> tuple[str, ...]:
    """Return the wanted timeframes of a stored row, canonical and shortest first; `1h` is `1 Hour`."""
    known = {canonical(each) for each in row["enabled_timeframes"]}
    return tuple(each for each in TIMEFRAMES if each in known)


def _note(
    transaction: Transaction, user_id: int, actor: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    audit.record(
        transaction, actor=actor, action="discord settings", subject=f"user {user_id}", user_id=user_id,
        before=before, after=after,
    )  # fmt: skip


def _read(name: str, text: str) -> Any:
    if name not in _READERS:
        raise ValueError(f"not to be set: {name}; allowed: {sorted(_READERS)}")
    return _READERS[name](text.strip(), name)


def _switch(text: str, name: str) -> bool:
    if text.lower() not in YES | NO:
        raise Refused(f"{_title(name)} is on or off, not {text[:40]!r}.", name)
    return text.lower() in YES


def _timeframes(text: str, name: str) -> list[str]:
    chosen = {_timeframe(part.strip(), name) for part in text.split(",") if part.strip()}
    if not chosen:
        raise Refused(f"Name at least one timeframe of {', '.join(TIMEFRAMES)}.", name)
    return [each for each in TIMEFRAMES if each in chosen]


def _timeframe(text: str, name: str) -> str:
    try:
        found = canonical(text)
    except ValueError:
        found = ""
    if found not in TIMEFRAMES:
        allowed = ", ".join(TIMEFRAMES)
        raise Refused(f"{text[:40]!r} is no timeframe that is scanned: {allowed} (15m, 1h, 4h too).", name)
    return found


def _pairs(text: str, name: str) -> list[str]:
    chosen = list(dict.fromkeys(_pair(part.strip(), name) for part in text.split(",") if part.strip()))
    if not 0 < len(chosen) <= MOST_PAIRS:
        raise Refused(f"Name 1 to {MOST_PAIRS} pairs with commas between: EUR/USD, GBP/USD.", name)
    return chosen


def _pair(text: str, name: str) -> str:
    try:
        return market_of(text).pair
    except ValueError:
        raise Refused(f"{text[:40]!r} is no pair: write EUR/USD, BTC/USD or AAPL.", name) from None


def _confidence(text: str, name: str) -> Decimal:
    digits, percent, _ = text.partition("%")
    try:
        value = Decimal(digits.strip()) / (100 if percent else 1)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value <= 1 or value != round(value, 2):
        raise Refused(f"Confidence goes from 0 to 1 by hundredths, such as 0.65, not {text[:40]!r}.", name)
    return round(value, 2)


def _count(lowest: int, highest: int, what: str) -> Callable[[str, str], int]:
    def read(text: str, name: str) -> int:
        if not _WHOLE.fullmatch(text) or not lowest <= int(text) <= highest:
            raise Refused(
                f"{_title(name)} is a whole number of {what} from {lowest} to {highest}, not {text[:40]!r}.",
                name,
            )
        return int(text)

    return read


def _update_minutes(text: str, name: str) -> int:
    if text.lower() in NONE | {"0"}:
        return 0
    between = f"{SHORTEST_UPDATE_MINUTES} to {LONGEST_UPDATE_MINUTES}"
    if not _WHOLE.fullmatch(text) or not SHORTEST_UPDATE_MINUTES <= int(text) <= LONGEST_UPDATE_MINUTES:
        raise Refused(f"{_title(name)} is every {between} minutes, or never with 0.", name)
    return int(text)


def _trade_hours(text: str, name: str) -> int | None:
    if text.lower() in NONE | {"0"}:
        return None
    return _count(1, LONGEST_TRADE_HOURS, "hours")(text, name)


def _currency(text: str, name: str) -> str:
    if not _CURRENCY.fullmatch(text) or text.upper() not in CURRENCIES:
        allowed = ", ".join(sorted(CURRENCIES))
        raise Refused(f"{text[:40]!r} is no currency that is known here: {allowed}.", name)
    return text.upper()


def _channel(text: str, name: str) -> int | None:
    if text.lower() in DIRECT:
        return None
    match = _CHANNEL.fullmatch(text)
    if match is None or int(match[1]) >= 2**63:
        raise Refused(
            f"{text[:40]!r} is no channel: right-click it in Discord, Copy Channel ID; or leave it empty for"
            " direct messages.",
            name,
        )
    return int(match[1])


def _title(name: str) -> str:
    return f"“{LABELS[name]}”"


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "notifications_enabled": _switch,
    "enabled_timeframes": _timeframes,
    "preferred_pairs": _pairs,
    "min_confidence": _confidence,
    "only_ml_enhanced": _switch,
    "only_with_edge": _switch,
    "max_notifications_per_day": _count(0, MOST_A_DAY, "signals"),
    "notification_cooldown_minutes": _count(0, LONGEST_COOLDOWN_MINUTES, "minutes"),
    "running_update_minutes": _update_minutes,
    "trade_limit_hours": _trade_hours,
    "account_currency": _currency,
    "notification_channel_id": _channel,
}
