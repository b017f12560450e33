"""What an alert says: a notification's kind and content, in words."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from alerts.figures import Content, amount, fields_of, gain_tone, money, plain, signed, words
from alerts.watched_wording import WATCHED
from core.alert import Alert, Tone
from database.notifications import NotificationKind

SIGNATURE = "DashTrade"

Said = dict[str, Any]


def alert_for(kind: str, content: Mapping[str, Any], at: datetime) -> Alert:
    """Return the alert of a notification, made from whatever its content holds.

    `at` is when the notification was written.
    """
    said = WORDINGS[NotificationKind(kind)](content)
    footer = " · ".join(str(part) for part in (said.pop("about", None), SIGNATURE) if part)
    return Alert(kind=kind, footer=footer, at=said.pop("at", None) or at, data=dict(content), **said)


def _filled(content: Content) -> Said:
    is_exit = content.get("action") == "CLOSE"
    did = {"BUY": "Bought", "SELL": "Sold"}.get(str(content.get("side")).upper(), "Filled")
    size, symbol = plain(content.get("quantity")), content.get("symbol")
    title = " ".join(str(part) for part in (did, size, symbol) if part)
    return {
        "title": f"{'🏁' if is_exit else '✅'} {title}",
        "tone": gain_tone(content.get("realized")) if is_exit else Tone.GOOD,
        "text": "The position was closed." if is_exit else "",
        "fields": fields_of(
            bot=_text(content.get("bot")),
            quantity=size,
            price=plain(content.get("price")),
            pnl=signed(content.get("realized")) if is_exit else None,
            fees=money(content.get("fees")) if amount(content.get("fees")) else None,
        ),
        "about": content.get("bot"),
    }


def _sentence(title: str, tone: Tone) -> Callable[[Content], Said]:
    def said(content: Content) -> Said:
        return {
            "title": title,
            "tone": tone,
            "text": str(content.get("sentence") or ""),
            "fields": fields_of(
                bot=_text(content.get("bot")),
                symbol=_text(content.get("symbol")),
                connection=_text(content.get("connection")),
                source=words(content.get("source")),
                code=_text(content.get("code")),
            ),
            "about": content.get("bot") or content.get("connection"),
        }

    return said


REACHED = {
    "RISK_LIMIT": ("🛑 Risk limit reached", Tone.BAD),
    "DAILY_LOSS_LIMIT": ("🛑 Daily loss limit reached", Tone.BAD),
    "STOP": ("🔻 Stop-loss reached", Tone.WARNING),
    "TARGET": ("🎯 Take-profit reached", Tone.GOOD),
}


def _limit(content: Content) -> Said:
    title, tone = REACHED.get(str(content.get("event")), ("🛑 Limit reached", Tone.BAD))
    return _sentence(title, tone)(content)


STATES = {
    "ACTIVE": ("▶️ Trading is on again", Tone.GOOD, "Entries and exits are traded."),
    "REDUCING": ("⏸️ No new entries", Tone.WARNING, "Exits are still traded, entries are refused."),
    "FLATTEN": (
        "🧹 Closing everything",
        Tone.WARNING,
        "Every position is being closed, entries are refused.",
    ),
    "HALTED": (
        "🛑 Trading is halted",
        Tone.BAD,
        "Nothing is sent to the broker until it is turned on again.",
    ),
}


def _kill_switch(content: Content) -> Said:
    state = str(content.get("state"))
    title, tone, text = STATES.get(state, (f"Kill switch: {words(state)}", Tone.WARNING, ""))
    scope = {"USER": "All your bots", "SERVER": "The whole server"}.get(
        str(content.get("scope")).upper(), words(content.get("scope"))
    )
    number = content.get("id") if scope in ("Bot", "Connection") else None
    return {
        "title": title,
        "tone": tone,
        "text": text,
        "fields": fields_of(
            switch=f"{scope} {number}" if scope and number else scope, turned_by=_text(content.get("by"))
        ),
    }


def _of_server(title: str, tone: Tone) -> Callable[[Content], Said]:
    def said(content: Content) -> Said:
        part = _text(content.get("part"))
        return {
            "title": f"{title}: {part}" if part else title,
            "tone": tone,
            "text": str(content.get("sentence") or ""),
            "about": "server",
        }

    return said


def _summary(content: Content) -> Said:
    pnl = content.get("pnl")
    trades = int(amount(content.get("trades")) or 0)
    return {
        "title": f"📅 Summary of {content.get('day')}",
        "tone": gain_tone(pnl) if trades else Tone.QUIET,
        "text": "" if trades else "No trades were closed.",
        "fields": fields_of(
            pnl=signed(pnl),
            trades_closed=str(trades),
            won_and_lost=f"{content.get('wins', 0)} / {content.get('losses', 0)}" if trades else None,
            fees=money(content.get("fees")),
            signals=_text(content.get("signals")),
            refused=_text(content.get("refused")) if content.get("refused") else None,
            open_positions=_text(content.get("open_positions")),
            equity=_text(content.get("equity")),
        ),
    }


def _test(content: Content) -> Said:
    return {
        "title": "🔔 Test alert",
        "tone": Tone.INFO,
        "text": "Alerts from DashTrade arrive here.",
        "fields": fields_of(sent_by=_text(content.get("by"))),
    }


def _text(value: object) -> str | None:
    return None if value in (None, "") else str(value)


WORDINGS: dict[NotificationKind, Callable[[Content], Said]] = {
    NotificationKind.BOT_FILLED: _filled,
    NotificationKind.BOT_REJECTED: _sentence("❌ Order rejected", Tone.BAD),
    NotificationKind.SIGNAL_REFUSED: _sentence("🚫 Signal refused", Tone.WARNING),
    NotificationKind.MISSED_ALERT: _sentence("❓ An alert was missed", Tone.WARNING),
    NotificationKind.DAILY_SUMMARY: _summary,
    NotificationKind.RISK_LIMIT_HIT: _limit,
    NotificationKind.EXIT_FAILED: _sentence("🚨 An exit failed", Tone.BAD),
    NotificationKind.PROTECTION_MISSING: _sentence("🚨 A position was not watched", Tone.BAD),
    NotificationKind.KILL_SWITCH: _kill_switch,
    NotificationKind.CONNECTION_BROKEN: _sentence("🔌 Broker connection broken", Tone.BAD),
    NotificationKind.ACCOUNT_MISMATCH: _sentence("⚖️ Account and books differ", Tone.WARNING),
    NotificationKind.EXTERNAL_CLOSE: _sentence("👐 Position closed elsewhere", Tone.WARNING),
    NotificationKind.PART_DOWN: _of_server("🚨 Down", Tone.BAD),
    NotificationKind.PART_BACK: _of_server("✅ Back", Tone.GOOD),
    NotificationKind.MQTT_BROKER_DOWN: _of_server("🚨 MQTT broker unreachable", Tone.BAD),
    NotificationKind.MQTT_BROKER_BACK: _of_server("✅ MQTT broker back", Tone.GOOD),
    NotificationKind.TEST_ALERT: _test,
    **WATCHED,
}
