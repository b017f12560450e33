"""The way of a signal as stages with the time between them, whatever of it has been gone; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from ui.formatting import price, quantity

Trace = dict[str, Any]
NOT_TRADED = ("SKIPPED", "REFUSED", "FAILED")


class Mark(StrEnum):
    """How a stage stands: passed, where the way ended, under way, or never reached."""

    DONE = "done"
    ENDED = "ended"
    NOW = "now"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage; `after` is the time since the stage before it that has one."""

    name: str
    mark: Mark
    at: datetime | None = None
    after: timedelta | None = None
    words: str = ""


def stages(trace: Trace) -> list[Stage]:
    """Return the stages from sent to finished; those after the end of the way are marked as never reached."""
    moments: list[tuple[str, datetime | None, str]] = [
        ("Sent", trace["sent_at"], "by the sender's clock"),
        ("Received", trace["received_at"], ""),
        ("Stored", trace["stored_at"], "from here on it cannot get lost"),
        ("Decided", trace["decided_at"], _decided(trace)),
    ]
    orders = orders_of(trace)
    if not orders:
        moments += [("Order sent", None, ""), ("Filled", None, "")]
    for order in orders:
        moments += _of_order(order, several=len(orders) > 1)
    # Who sent no time leaves no gap in the way.
    known = [moment for moment in moments if moment[0] != "Sent" or moment[1] is not None]
    return _marked(trace, _timed(known))


def orders_of(trace: Trace) -> list[Trace]:
    """Return the orders of all legs in their order."""
    legs = trace["plan"]["legs"] if trace["plan"] else []
    names = {"OPEN": "entry", "CLOSE": "exit"}
    return [{**order, "for": names[leg["purpose"]]} for leg in legs for order in leg["orders"]]


def gap_in_words(gap: timedelta) -> str:
    """Write the time between two steps: `+12 ms`, `+1.24 s`, `+3 min 5 s`, `+2 h 10 min`."""
    seconds = gap.total_seconds()
    sign, seconds = ("−" if seconds < 0 else "+"), abs(seconds)
    if seconds < 1:
        return f"{sign}{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{sign}{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest} s"
    return f"{sign}{minutes // 60} h {minutes % 60} min"


def gaps(steps: Sequence[dict[str, Any]]) -> list[str]:
    """Return the time since the step before for each of a trace's steps."""
    return ["", *(gap_in_words(later["at"] - earlier["at"]) for earlier, later in pairwise(steps))]


def _of_order(order: Trace, *, several: bool) -> list[tuple[str, datetime | None, str]]:
    name = f"{order['side']} {quantity(order['quantity'])} {order['symbol']}"
    fills = order["fills"]
    filled = order["filled_quantity"]
    said = (
        f"{quantity(filled)} at {price(order['average_price'])}" if filled else order["broker_message"] or ""
    )
    ending = "Filled" if filled else order["state"].replace("_", " ").capitalize()
    at = fills[-1]["filled_at"] if fills else order["finished_at"]
    which = f" ({order['for']})" if several else ""
    steps = [(f"Order sent{which}", order["sent_at"], name)]
    acknowledged = order["acknowledged_at"]
    # A broker that fills at once says both in one answer.
    if acknowledged is not None and (at is None or acknowledged < at):
        steps.append((f"Taken by the broker{which}", acknowledged, ""))
    return [*steps, (f"{ending if at else 'Filled'}{which}", at, said)]


def _decided(trace: Trace) -> str:
    plan = trace["plan"]
    if plan is None or not plan["legs"]:
        return ""
    return ", then ".join(f"{'enter' if leg['purpose'] == 'OPEN' else 'exit'} by {leg['side'].lower()}"
                          for leg in plan["legs"])  # fmt: skip


def _timed(moments: Sequence[tuple[str, datetime | None, str]]) -> list[Stage]:
    timed: list[Stage] = []
    before: datetime | None = None
    for name, at, words in moments:
        after = at - before if at is not None and before is not None else None
        timed.append(Stage(name=name, mark=Mark.DONE if at else Mark.NEVER, at=at, after=after, words=words))
        before = at or before
    return timed


def _marked(trace: Trace, timed: list[Stage]) -> list[Stage]:
    """Put the end of the way after the last stage that was reached."""
    reached = [index for index, stage in enumerate(timed) if stage.at is not None]
    last = reached[-1] if reached else -1
    finished = trace["finished_at"]
    if finished is None:
        name, mark, words = "Under way", Mark.NOW, trace["sentence"] or "This page looks again by itself."
    elif trace["state"] in NOT_TRADED:
        name, mark, words = f"{trace['state'].capitalize()}: {trace['code']}", Mark.ENDED, trace["sentence"]
    else:
        name, mark, words = "Done", Mark.DONE, trace["sentence"] or ""
    since = finished - timed[last].at if finished and reached and timed[last].at else None
    end = Stage(name=name, mark=mark, at=finished, after=since, words=words or "")
    if mark is Mark.DONE:
        return [*(stage for stage in timed if stage.at), end]
    return [*timed[: last + 1], end, *(stage for stage in timed[last + 1 :] if stage.at is None)]
