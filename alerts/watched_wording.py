"""What the alerts of watched bots say; each is made from what the bot reported and no more."""

from collections.abc import Callable, Mapping
from typing import Any

from alerts.figures import (
    Content,
    amount,
    duration,
    fields_of,
    gain_tone,
    money,
    percent,
    plain,
    signed,
    words,
)
from core.alert import Tone
from database.notifications import NotificationKind

Said = dict[str, Any]

SEVERITIES = {"critical": Tone.BAD, "error": Tone.BAD, "warning": Tone.WARNING}


def _started(content: Content) -> Said:
    return {
        "title": "🚀 Bot started",
        "tone": Tone.GOOD,
        "fields": fields_of(
            session=_text(content, "session"),
            version=_text(content, "version"),
            initial_balance=money(content.get("initial_balance")),
            position_size=money(content.get("position_size")),
            spike_threshold=percent(content.get("spike_threshold")),
            monitored_markets=_text(content, "monitored_markets"),
        ),
    }


def _stopped(content: Content) -> Said:
    return {
        "title": "🛑 Bot stopped",
        "tone": Tone.WARNING,
        "fields": fields_of(
            session=_text(content, "session"),
            total_pnl=signed(content.get("total_pnl")),
            total_trades=_text(content, "total_trades"),
            win_rate=percent(content.get("win_rate")),
        ),
    }


def _error(content: Content) -> Said:
    severity = str(content.get("severity") or "error").lower()
    return {
        "title": f"❗ Bot error ({severity})",
        "tone": SEVERITIES.get(severity, Tone.BAD),
        "text": _text(content, "message") or "The bot gave no message.",
        "fields": fields_of(error_type=_text(content, "error_type")),
    }


def _offline(content: Content) -> Said:
    return {
        "title": "⚠️ Bot offline",
        "tone": Tone.WARNING,
        "text": "No heartbeat arrives any more.",
        "fields": fields_of(
            last_seen=_moment(content.get("last_seen")), missing_for=duration(content.get("away_seconds"))
        ),
    }


def _back(content: Content) -> Said:
    return {
        "title": "✅ Bot back online",
        "tone": Tone.GOOD,
        "fields": fields_of(
            was_away_for=duration(content.get("away_seconds")), last_seen=_moment(content.get("last_seen"))
        ),
    }


def _opened(content: Content) -> Said:
    return {
        "title": "🟢 Position opened",
        "tone": Tone.GOOD,
        "text": _text(content, "name") or "Unknown market",
        "fields": fields_of(
            side=words(content.get("side")),
            entry_price=plain(content.get("entry_price")),
            size=_size(content),
            stop_loss=plain(content.get("stop_loss")),
            take_profit=plain(content.get("take_profit")),
            reason=words(content.get("reason")),
            spike=percent(content.get("spike_fraction"), sign=True),
        ),
    }


def _completed(content: Content) -> Said:
    return {
        "title": "💰 Trade completed",
        "tone": gain_tone(content.get("pnl")),
        "text": _text(content, "name") or "Unknown market",
        "fields": fields_of(
            side=words(content.get("side")),
            entry_price=plain(content.get("entry_price")),
            exit_price=plain(content.get("exit_price")),
            pnl=signed(content.get("pnl")),
            pnl_fraction=percent(content.get("pnl_fraction"), sign=True),
            size=_size(content),
            held_for=duration(content.get("duration_seconds")),
            reason=words(content.get("reason")),
        ),
    }


def _balance(content: Content) -> Said:
    reason = words(content.get("reason"))
    return {
        "title": "💵 Balance changed",
        "tone": Tone.INFO,
        "text": f"Reason: {reason}" if reason else "",
        "fields": fields_of(
            balance=money(content.get("balance")),
            equity=money(content.get("equity")),
            available=money(content.get("available")),
            locked=money(content.get("locked")),
            unrealized_pnl=signed(content.get("unrealized_pnl")),
            total_pnl=signed(content.get("total_pnl")),
        ),
    }


def _size(content: Content) -> str | None:
    if content.get("quantity_unit") == "USD":
        return money(content.get("quantity"))
    size = plain(content.get("quantity"))
    unit = content.get("quantity_unit")
    return f"{size} {unit}" if size and unit else size


def _moment(value: object) -> str | None:
    return str(value)[:19].replace("T", " ") + " UTC" if value else None


def _text(content: Content, key: str) -> str | None:
    value = content.get(key)
    number = amount(value) if not isinstance(value, str) else None
    return plain(number) if number is not None else (str(value) if value not in (None, "") else None)


def _of_bot(wording: Callable[[Content], Said]) -> Callable[[Mapping[str, Any]], Said]:
    """Name the bot, and show the sender's own time where it is not the time of arrival."""

    def said(content: Mapping[str, Any]) -> Said:
        clock = _moment(content.get("sent_at")) if content.get("clock_off") else None
        parts = (content.get("watched_bot"), clock and f"by its own clock {clock}")
        return {**wording(content), "about": " · ".join(str(part) for part in parts if part)}

    return said


WATCHED: dict[NotificationKind, Callable[[Content], Said]] = {
    NotificationKind.WATCHED_STARTED: _of_bot(_started),
    NotificationKind.WATCHED_STOPPED: _of_bot(_stopped),
    NotificationKind.WATCHED_ERROR: _of_bot(_error),
    NotificationKind.WATCHED_OFFLINE: _of_bot(_offline),
    NotificationKind.WATCHED_BACK: _of_bot(_back),
    NotificationKind.WATCHED_POSITION_OPENED: _of_bot(_opened),
    NotificationKind.WATCHED_TRADE_COMPLETED: _of_bot(_completed),
    NotificationKind.WATCHED_BALANCE_CHANGED: _of_bot(_balance),
}
