"""Every kind of news: how the settings page names it, and how it is delivered until a user decides."""

from dataclasses import dataclass
from enum import StrEnum

from database.notifications import NotificationKind


class Delivery(StrEnum):
    """What a user wants of a kind: each at once, none, or the first at once and the rest together."""

    ON = "ON"
    OFF = "OFF"
    MERGED = "MERGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfNews:
    """Describe a kind: `label` is for one of it, `plural` follows a number, `group` is its heading.

    `published` kinds are also told to whoever watches this DashTrade over MQTT; `for_operator` ones
    are about the server and go to whoever runs it.
    """

    label: str
    plural: str
    group: str
    default: Delivery = Delivery.ON
    published: bool = False
    for_operator: bool = False


BOTS, RISK, SERVER, WATCHED = "Your bots", "Risk and safety", "The server", "Watched bots"

KINDS: dict[NotificationKind, KindOfNews] = {
    NotificationKind.BOT_FILLED: KindOfNews(
        label="Order filled", plural="orders filled", group=BOTS, published=True
    ),
    NotificationKind.BOT_REJECTED: KindOfNews(
        label="Order rejected or failed", plural="orders rejected or failed", group=BOTS, published=True
    ),
    NotificationKind.SIGNAL_REFUSED: KindOfNews(
        label="Signal refused", plural="signals refused", group=BOTS, default=Delivery.MERGED
    ),
    NotificationKind.MISSED_ALERT: KindOfNews(label="Alert missed", plural="alerts missed", group=BOTS),
    NotificationKind.DAILY_SUMMARY: KindOfNews(label="Daily summary", plural="daily summaries", group=BOTS),
    NotificationKind.RISK_LIMIT_HIT: KindOfNews(
        label="Stop, target or loss limit reached", plural="limits reached", group=RISK
    ),
    NotificationKind.EXIT_FAILED: KindOfNews(
        label="Exit failed", plural="exits failed", group=RISK, published=True
    ),
    NotificationKind.PROTECTION_MISSING: KindOfNews(
        label="Position not watched", plural="positions not watched", group=RISK, published=True
    ),
    NotificationKind.KILL_SWITCH: KindOfNews(
        label="Kill switch turned", plural="turns of a kill switch", group=RISK, published=True
    ),
    NotificationKind.CONNECTION_BROKEN: KindOfNews(
        label="Broker connection broken", plural="broken connections", group=RISK, published=True
    ),
    NotificationKind.ACCOUNT_MISMATCH: KindOfNews(
        label="Account and books differ", plural="differences between account and books", group=RISK
    ),
    NotificationKind.EXTERNAL_CLOSE: KindOfNews(
        label="Position closed elsewhere", plural="positions closed elsewhere", group=RISK
    ),
    NotificationKind.WATCHED_STARTED: KindOfNews(label="Started", plural="bots started", group=WATCHED),
    NotificationKind.WATCHED_STOPPED: KindOfNews(label="Stopped", plural="bots stopped", group=WATCHED),
    NotificationKind.WATCHED_ERROR: KindOfNews(label="Error", plural="errors of bots", group=WATCHED),
    NotificationKind.WATCHED_OFFLINE: KindOfNews(label="Offline", plural="bots offline", group=WATCHED),
    NotificationKind.WATCHED_BACK: KindOfNews(label="Back online", plural="bots back online", group=WATCHED),
    NotificationKind.WATCHED_POSITION_OPENED: KindOfNews(
        label="Position opened", plural="positions opened", group=WATCHED
    ),
    NotificationKind.WATCHED_TRADE_COMPLETED: KindOfNews(
        label="Trade completed", plural="trades completed", group=WATCHED
    ),
    NotificationKind.WATCHED_BALANCE_CHANGED: KindOfNews(
        label="Balance changed", plural="balance changes", group=WATCHED, default=Delivery.MERGED
    ),
    NotificationKind.PART_DOWN: KindOfNews(
        label="Part of DashTrade down", plural="parts down", group=SERVER, for_operator=True
    ),
    NotificationKind.PART_BACK: KindOfNews(
        label="Part of DashTrade back", plural="parts back", group=SERVER, for_operator=True
    ),
    NotificationKind.MQTT_BROKER_DOWN: KindOfNews(
        label="MQTT broker unreachable", plural="outages of the MQTT broker", group=SERVER, for_operator=True
    ),
    NotificationKind.MQTT_BROKER_BACK: KindOfNews(
        label="MQTT broker back", plural="returns of the MQTT broker", group=SERVER, for_operator=True
    ),
    NotificationKind.TEST_ALERT: KindOfNews(label="Test alert", plural="test alerts", group=SERVER),
}

# What nobody may switch off: it was asked for a moment ago.
ALWAYS = frozenset({NotificationKind.TEST_ALERT})


def kinds_to_choose() -> dict[str, dict[NotificationKind, KindOfNews]]:
    """Return the kinds a user decides about, by their group."""
    chosen: dict[str, dict[NotificationKind, KindOfNews]] = {}
    for kind, news in KINDS.items():
        if kind not in ALWAYS and not news.for_operator:
            chosen.setdefault(news.group, {})[kind] = news
    return chosen


def defaults() -> dict[str, str]:
    """Return how each kind is delivered where its user decided nothing."""
    return {str(kind): str(news.default) for kind, news in KINDS.items()}


def published() -> list[str]:
    """Return the kinds that are told over MQTT."""
    return [str(kind) for kind, news in KINDS.items() if news.published]
