"""What to put into one message when much happened at once: each alert, or a summary of a flood."""

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.kinds import KINDS
from core.alert import Alert, AlertField, Tone
from database.notifications import NotificationKind

# Of a kind with no more than these in a flood, each still stands for itself.
FEW = 3
LINES = 15
LONGEST_LINE = 160
TELLING = ("P&L", "Balance", "Equity")
WORST_FIRST = (Tone.BAD, Tone.WARNING, Tone.GOOD, Tone.INFO, Tone.QUIET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An alert on its way; `together` says that its reader wants those of its kind in one."""

    alert: Alert
    together: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """What one message carries, and how many of those that waited it tells of."""

    alerts: tuple[Alert, ...]
    taken: int


def compose(waiting: Sequence[Waiting], *, most: int, merges: bool) -> Composition:
    """Return the next message for what waits, oldest first.

    Alerts wanted together become one, and so do those of a flood, by kind. Without `merges` every
    alert stands for itself.
    """
    if not merges:
        return Composition(alerts=tuple(each.alert for each in waiting[:most]), taken=min(most, len(waiting)))
    for few in (most, FEW, 1):
        told = _told(waiting, few)
        if len(told) <= most:
            return Composition(alerts=told, taken=len(waiting))
    return compose(waiting[: len(waiting) // 2], most=most, merges=merges)


def _told(waiting: Sequence[Waiting], few: int) -> tuple[Alert, ...]:
    """Return the alerts in the order of their news, a summary at the place of its newest."""
    kinds: dict[str, list[int]] = {}
    for place, each in enumerate(waiting):
        kinds.setdefault(each.alert.kind, []).append(place)
    told: dict[int, Alert] = {}
    for places in kinds.values():
        alerts = [waiting[place].alert for place in places]
        most = 1 if any(waiting[place].together for place in places) else few
        told |= zip(places, alerts, strict=True) if len(alerts) <= most else {places[-1]: summary(alerts)}
    return tuple(told[place] for place in sorted(told))


def summary(group: Sequence[Alert]) -> Alert:
    """Return one alert that tells of many of a kind: how many, and a line for each of the worst and newest."""
    worst_last = sorted(range(len(group)), key=lambda place: -WORST_FIRST.index(group[place].tone))
    lines = [_line(group[place]) for place in sorted(worst_last[-LINES:])]
    left = len(group) - len(lines)
    others = [f"{left} earlier or milder ones, and:"] if left else []
    return Alert(
        kind=group[0].kind,
        title=f"{len(group)} {KINDS[NotificationKind(group[0].kind)].plural}",
        tone=min((alert.tone for alert in group), key=WORST_FIRST.index),
        text="\n".join([*others, *lines]),
        footer=group[-1].footer if len({alert.footer for alert in group}) == 1 else "DashTrade",
        at=group[-1].at,
        data={"merged": [dict(alert.data) for alert in group]},
    )


def _telling(alert: Alert) -> Sequence[AlertField]:
    """Return the few figures for which an alert is read: the money, else the first ones where it has no words."""
    money = [field for field in alert.fields if field.name in TELLING]
    return money or ([] if alert.text else alert.fields[:3])


def _line(alert: Alert) -> str:
    figures = ", ".join(f"{field.name} {field.value}" for field in _telling(alert))
    words = (alert.title, alert.text.split("\n", 1)[0], figures)
    line = " · ".join([f"{alert.at:%H:%M:%S} UTC", *(each for each in words if each)])
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"
