"""What a message changes about its bot, and what is to be told: pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from database.notifications import NotificationKind
from database.watched import BalanceRow, BotState, Json, WatchedBot
from watching.messages import Event, Kind

ALERTS = {
    Kind.STARTED: NotificationKind.WATCHED_STARTED,
    Kind.STOPPED: NotificationKind.WATCHED_STOPPED,
    Kind.ERROR: NotificationKind.WATCHED_ERROR,
    Kind.POSITION_OPENED: NotificationKind.WATCHED_POSITION_OPENED,
    Kind.TRADE_COMPLETED: NotificationKind.WATCHED_TRADE_COMPLETED,
    Kind.BALANCE: NotificationKind.WATCHED_BALANCE_CHANGED,
}
FIGURES = ("balance", "equity", "available", "locked", "unrealized_pnl", "total_pnl")
FUTURE_TOLERANCE = timedelta(minutes=1)


def after(bot: WatchedBot, event: Event, timeout: timedelta, *, is_new: bool) -> WatchedBot:
    """Return how a message leaves its bot; one that is not new shows at most that the bot lives."""
    if event.is_sign_of_life:
        bot = _alive(bot, event.received_at)
    if not is_new:
        return bot
    bot = replace(bot, messages=bot.messages + 1, bad_messages=bot.bad_messages + (event.kind is Kind.BAD))
    if event.is_retained:
        return _refreshed(bot, event, timeout)
    bot = replace(bot, last_message_at=event.received_at)
    return _LIVE[event.kind](bot, event) if event.kind in _LIVE else bot


def alert_of(bot: WatchedBot, event: Event) -> tuple[NotificationKind, Json] | None:
    """Return what to tell about a new live message, given its bot before it; None where it is silent."""
    if event.is_retained or event.kind not in ALERTS:
        return None
    if event.kind is Kind.BALANCE and not _balance_changed(bot, event):
        return None
    return ALERTS[event.kind], content_of(bot, event)


def back_of(bot: WatchedBot, event: Event) -> tuple[NotificationKind, Json] | None:
    """Return that a bot is back, given the bot before the message; None where it was not away."""
    if not event.is_sign_of_life or bot.state is not BotState.OFFLINE:
        return None
    return NotificationKind.WATCHED_BACK, {**content_of(bot, event), **absence(bot, event.received_at)}


def content_of(bot: WatchedBot, event: Event) -> Json:
    """Return what an alert is made of."""
    return {
        **stored(event.understood),
        "watched_bot": bot.name,
        "watched_bot_id": bot.id,
        "topic": event.topic,
        "sent_at": event.sent_at.isoformat() if event.sent_at else None,
        "clock_off": event.clock_is_off,
    }


def absence(bot: WatchedBot, now: datetime) -> Json:
    """Return since when a bot was not heard, as an alert's content."""
    seen = last_seen(bot)
    if seen is None:
        return {}
    return {
        "last_seen": seen.astimezone(UTC).isoformat(),
        "away_seconds": max(0, int((now - seen).total_seconds())),
    }


def last_seen(bot: WatchedBot) -> datetime | None:
    """Return the last sign of life: a heartbeat or a start."""
    return max(filter(None, (bot.last_heartbeat_at, bot.started_at)), default=None)


def balance_of(bot: WatchedBot, event: Event) -> BalanceRow | None:
    """Return the point of the balance curve that a new message gives, given its bot before it."""
    figures = {name: event.understood[name] for name in FIGURES if name in event.understood}
    if event.kind not in (Kind.BALANCE, Kind.PERIODIC_STATS) or not figures:
        return None
    if event.is_retained and not _is_newer(event, bot.balance):
        return None
    if event.kind is Kind.PERIODIC_STATS and not _differ(figures, bot.balance, ("balance", "equity")):
        return None
    at = _credible(event) if event.is_retained else None
    reason = event.understood.get("reason")
    return BalanceRow(watched_bot_id=bot.id, at=at or event.received_at, **figures, reason=reason)


def stored(understood: Mapping[str, Any]) -> Json:
    """Return fields as JSON: decimals as text without an exponent."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in understood.items()
    }


def _alive(bot: WatchedBot, at: datetime) -> WatchedBot:
    return replace(bot, state=BotState.ONLINE, last_heartbeat_at=at, last_message_at=at, offline_since=None)


def _shown(event: Event) -> Json:
    """Return what is shown of a message: its fields, when it arrived and what time it says itself."""
    sent_at = event.sent_at.isoformat() if event.sent_at else None
    return {**stored(event.understood), "at": event.received_at.isoformat(), "sent_at": sent_at}


def _started(bot: WatchedBot, event: Event) -> WatchedBot:
    return replace(
        bot,
        state=BotState.ONLINE,
        started_at=event.received_at,
        offline_since=None,
    )


def _stopped(bot: WatchedBot, event: Event) -> WatchedBot:
    # Many bots never send statistics of their own
    figures = {**(bot.session or {}), **_shown(event)} if event.understood else bot.session
    return replace(bot, state=BotState.STOPPED, offline_since=None, session=figures)


def _heartbeat(bot: WatchedBot, event: Event) -> WatchedBot:
    return replace(bot, heartbeat=_shown(event))


def _balance(bot: WatchedBot, event: Event) -> WatchedBot:
    told = {
        **_told(bot),
        **stored({name: event.understood[name] for name in FIGURES if name in event.understood}),
    }
    return replace(bot, balance={**(bot.balance or {}), **_shown(event), "told": told})


def _periodic(bot: WatchedBot, event: Event) -> WatchedBot:
    figures = replace(event, understood={k: v for k, v in event.understood.items() if k in FIGURES})
    return replace(
        bot,
        balance={**(bot.balance or {}), **_shown(figures)},
        session={**(bot.session or {}), **_shown(event)},
    )


def _session(bot: WatchedBot, event: Event) -> WatchedBot:
    return replace(bot, session=_shown(event))


_LIVE: Mapping[Kind, Callable[[WatchedBot, Event], WatchedBot]] = {
    Kind.STARTED: _started,
    Kind.STOPPED: _stopped,
    Kind.HEARTBEAT: _heartbeat,
    Kind.BALANCE: _balance,
    Kind.PERIODIC_STATS: _periodic,
    Kind.SESSION_STATS: _session,
}


def _told(bot: WatchedBot) -> Json:
    told: Json = (bot.balance or {}).get("told", {})
    return told


def _balance_changed(bot: WatchedBot, event: Event) -> bool:
    """Tell whether a figure differs from the last balance that was told; without a figure nothing does."""
    figures = {name: event.understood[name] for name in FIGURES if name in event.understood}
    return _differ(figures, _told(bot), FIGURES)


def _differ(figures: Mapping[str, Decimal], known: Json | None, names: tuple[str, ...]) -> bool:
    before = known or {}
    return any(
        name in figures and (name not in before or Decimal(before[name]) != figures[name]) for name in names
    )


def _credible(event: Event) -> datetime | None:
    """Return the time a message gives itself, if it does not lie in the future."""
    if event.sent_at is None or event.sent_at > event.received_at + FUTURE_TOLERANCE:
        return None
    return event.sent_at


def _is_newer(event: Event, shown: Json | None) -> bool:
    """Tell whether a retained message that was never stored is newer than what is shown, by the sender's clock."""
    if shown is None or event.sent_at is None or shown.get("sent_at") is None:
        return True
    return event.sent_at > datetime.fromisoformat(shown["sent_at"])


def _refreshed(bot: WatchedBot, event: Event, timeout: timedelta) -> WatchedBot:
    """Show what the broker kept, unless something newer is shown; it says nothing about the bot living now."""
    match event.kind:
        case Kind.HEARTBEAT if _is_newer(event, bot.heartbeat):
            return _first_sight(_heartbeat(bot, event), event, timeout)
        case Kind.BALANCE if _is_newer(event, bot.balance):
            return replace(bot, balance={**(bot.balance or {}), **_shown(event)})
        case Kind.SESSION_STATS if _is_newer(event, bot.session):
            return _session(bot, event)
        case Kind.PERIODIC_STATS if _is_newer(event, bot.session):
            return _periodic(bot, event)
        case Kind.STARTED if bot.started_at is None and bot.last_heartbeat_at is None:
            return _first_sight(replace(bot, started_at=_credible(event)), event, timeout)
        case Kind.STOPPED if bot.last_message_at is None:
            return _stopped(bot, event)
    return bot


def _first_sight(bot: WatchedBot, event: Event, timeout: timedelta) -> WatchedBot:
    """Judge a bot that was never heard by what the broker kept of it, silently."""
    at = _credible(event)
    if bot.state is not BotState.UNKNOWN or bot.last_heartbeat_at is not None:
        return bot
    if event.kind is Kind.HEARTBEAT:
        bot = replace(bot, last_heartbeat_at=at)
    if at is None or event.received_at - at > timeout:
        return replace(bot, state=BotState.OFFLINE, offline_since=at or event.received_at)
    return replace(bot, state=BotState.ONLINE)
