"""What the commands show of a watched bot, as alerts; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from discord import Embed

from alerts.discord_embeds import embeds
from alerts.figures import amount, duration, fields_of, gain_tone, money, percent, plain, signed, words
from alerts.neutral import neutral, shortened
from core.alert import Alert, AlertField, Tone
from database.pool import Row

EXCELLENT = timedelta(seconds=45)
GOOD = timedelta(seconds=60)
LONGEST_LIST = 500
NO_BOT = "No bot is watched here yet: whoever runs DashTrade names one in the dashboard, or sets MQTT_TOPIC_PREFIX."
NO_STATUS = (
    "No heartbeat came yet. The bot may not have started, may report below another prefix, or at another"
    " MQTT broker; a heartbeat comes every 30 seconds."
)
NO_BALANCE = "No balance was reported yet: it comes with the bot's next message below balance/update."
NO_SESSION = "No statistics were reported yet: a bot publishes them while it runs, or when it stops."

Card = Alert


def embed(card: Card) -> Embed:
    """Return a card as Discord shows it, with nothing in it that mentions or links."""
    (made,) = embeds([card])
    return Embed.from_dict(made)


def no_bot(subject: str, at: datetime, why: str = NO_BOT) -> Card:
    """Say that there is no bot to show, and why."""
    return _card("no data", f"{subject}: No Data", Tone.QUIET, at=at, text=why)


def listed(names: Sequence[str]) -> str:
    """Return names as one short text without any effect in Discord."""
    return shortened(neutral(", ".join(names)), LONGEST_LIST)


def status(bot: Row, listener: Mapping[str, Any], timeout: timedelta, now: datetime) -> Card:
    """Say whether a bot lives and when it was last heard; the state is the listener's, not by our clock."""
    warning = _deafness(listener)
    match bot["state"]:
        case "ONLINE":
            return _online(bot, warning, now)
        case "OFFLINE":
            return _offline(bot, warning, timeout, now)
        case "STOPPED":
            text = f"It said that it stops, {_ago(bot['last_message_at'], now)}."
            title, tone = "Trading Bot Status: STOPPED", Tone.WARNING
        case _:
            text, title, tone = NO_STATUS, "Trading Bot Status: No Data", Tone.QUIET
    return _card("status", title, tone, bot=bot, at=now, text=_joined(text, warning))


def balance(bot: Row, now: datetime) -> Card:
    """Show what a bot said last of its account."""
    said = bot["balance"] or {}
    figures = fields_of(
        cash_balance=money(said.get("balance")),
        total_equity=money(said.get("equity")),
        available=money(said.get("available")),
        locked=money(said.get("locked")) if (amount(said.get("locked")) or 0) > 0 else None,
        unrealized_pnl=signed(said.get("unrealized_pnl")) if amount(said.get("unrealized_pnl")) else None,
        total_realized_pnl=_arrowed(said.get("total_pnl")),
        last_update_reason=words(said.get("reason")),
    )
    if not figures:
        return _card("balance", "Balance: No Data", Tone.QUIET, bot=bot, at=now, text=NO_BALANCE)
    tone = gain_tone(said.get("total_pnl"))
    return _card("balance", "💵 Balance", tone, bot=bot, at=_heard(said, now), fields=figures)


def session(bot: Row, now: datetime) -> Card:
    """Show the statistics a bot published last."""
    said = bot["session"] or {}
    figures = fields_of(
        session_duration=duration(said.get("duration_seconds")),
        initial_balance=money(said.get("initial_balance")),
        final_balance=money(said.get("final_balance")),
        total_pnl=_with_percent(said.get("total_pnl"), said.get("total_pnl_fraction")),
        total_trades=plain(said.get("total_trades")),
        winning_trades=plain(said.get("winning_trades")),
        losing_trades=plain(said.get("losing_trades")),
        win_rate=percent(said.get("win_rate")),
        average_win=money(said.get("average_win")),
        average_loss=money(_size(said.get("average_loss"))),
        max_drawdown=money(said.get("max_drawdown")),
        profit_factor=_profit_factor(said),
    )
    if not figures:
        return _card("stats", "Session Stats: No Data", Tone.QUIET, bot=bot, at=now, text=NO_SESSION)
    tone = gain_tone(said.get("total_pnl"))
    return _card("stats", "📊 Session Stats", tone, bot=bot, at=_heard(said, now), fields=figures)


def trading(total: Mapping[str, Any], now: datetime) -> Card:
    """Show a user's own trading through DashTrade, from the totals of `discord_figures.own_trading`."""
    if not total["trades"]:
        text = "DashTrade has closed no trade of yours yet."
        return _card("trading", "Your Trading: No Data", Tone.QUIET, at=now, text=text)
    rate = total["win_rate"]
    shown = fields_of(
        realized_pnl=signed(total["total_pnl"]),
        trades=plain(total["trades"]),
        winning_trades=plain(total["wins"]),
        losing_trades=plain(total["losses"]),
        win_rate=None if rate is None else percent(rate / 100),
        profit_factor=None if total["profit_factor"] is None else f"{total['profit_factor']:.2f}",
        max_drawdown=money(total["max_drawdown"]),
        best_trade=signed(total["best"]),
        worst_trade=signed(total["worst"]),
        fees=money(total["fees"]),
    )
    return _card("trading", "📈 Your Trading", gain_tone(total["total_pnl"]), at=now, fields=shown)


def _online(bot: Row, warning: str, now: datetime) -> Card:
    seen = _last_seen(bot)
    quiet = None if seen is None else now - seen
    quality = "Fair" if quiet is None or quiet >= GOOD else "Good" if quiet >= EXCELLENT else "Excellent"
    said = bot["heartbeat"] or {}
    figures = fields_of(
        last_heartbeat=None if seen is None else _ago(seen, now),
        connection=quality,
        started=_moment(bot["started_at"]),
        uptime=duration(said.get("uptime_seconds")),
        open_positions=plain(said.get("open_positions")),
        total_trades=plain(said.get("total_trades")),
    )
    title = "Trading Bot Status: ONLINE"
    return _card("status", title, Tone.GOOD, bot=bot, at=now, text=warning, fields=figures)


def _offline(bot: Row, warning: str, timeout: timedelta, now: datetime) -> Card:
    seen = bot["offline_since"] or _last_seen(bot)
    figures = fields_of(
        last_seen=_moment(seen),
        silent_for=None if seen is None else duration((now - seen).total_seconds()),
        threshold=duration(timeout.total_seconds()),
    )
    text = _joined("No heartbeat arrives any more.", warning)
    title = "Trading Bot Status: OFFLINE"
    return _card("status", title, Tone.WARNING, bot=bot, at=now, text=text, fields=figures)


def _card(
    kind: str,
    title: str,
    tone: Tone,
    *,
    at: datetime,
    bot: Row | None = None,
    text: str = "",
    fields: tuple[AlertField, ...] = (),
) -> Card:
    fields = tuple(replace(field, name=field.name.replace(" pnl", " P&L")) for field in fields)
    footer = "" if bot is None else str(bot["name"])
    return Alert(kind=kind, title=title, tone=tone, text=text, fields=fields, footer=footer, at=at)


def _deafness(listener: Mapping[str, Any]) -> str:
    if not listener["alive"]:
        return "DashTrade's MQTT listener does not run: this is how it was when it last did."
    if not listener["is_connected"]:
        return "DashTrade has no connection to its MQTT broker: this is how it was when it last had."
    return ""


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _last_seen(bot: Row) -> datetime | None:
    return max(filter(None, (bot["last_heartbeat_at"], bot["started_at"])), default=None)


def _ago(at: datetime | None, now: datetime) -> str:
    return "at an unknown time" if at is None else f"{duration(max((now - at).total_seconds(), 0))} ago"


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _heard(said: Mapping[str, Any], now: datetime) -> datetime:
    return datetime.fromisoformat(said["at"]) if said.get("at") else now


def _arrowed(value: object) -> str | None:
    number, text = amount(value), signed(value)
    if number is None or text is None:
        return None
    return f"{'📉' if number < 0 else '📈'} {text}"


def _with_percent(value: object, fraction: object) -> str | None:
    text, share = signed(value), percent(fraction, sign=True)
    return f"{text} ({share})" if text and share else text


def _size(value: object) -> Decimal | None:
    number = amount(value)
    return None if number is None else abs(number)


def _profit_factor(said: Mapping[str, Any]) -> str | None:
    """Return gross profit over gross loss from averages and counts, where there was a loss."""
    names = ("average_win", "winning_trades", "average_loss", "losing_trades")
    figures = [amount(said.get(name)) for name in names]
    if any(figure is None for figure in figures):
        return None
    win, wins, loss, losses = (abs(figure) for figure in figures if figure is not None)
    return f"{win * wins / (loss * losses):.2f}" if loss * losses else None
