"""What is said of a run: as text for people, as JSON for machines."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from tests.chaos.cover import Cover, outside
from tests.chaos.evidence import Evidence
from tests.chaos.invariants import LONGEST_GAP_SECONDS
from tests.chaos.scale import Scale
from tests.chaos.senders import Alerts, Messages, Posts

MOST_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run: its violations by the invariant's name, its troubles by how often, and its figures."""

    seed: int
    scale: Scale
    violations: dict[str, list[str]]
    troubles: dict[str, int]
    seconds: dict[str, float]
    figures: dict[str, Any]
    log_lines: dict[str, int]

    @property
    def holds(self) -> bool:
        """Tell whether nothing is wrong."""
        return not any(self.violations.values())

    def json(self) -> str:
        """Return everything as JSON."""
        return json.dumps({"holds": self.holds, **asdict(self)}, indent=2, default=str)

    def text(self) -> str:
        """Return what a person wants to read."""
        lines = [f"Chaos run of seed {self.seed}: {'everything holds' if self.holds else 'VIOLATIONS'}", ""]
        for name, found in self.violations.items():
            lines.append(f"  {'ok  ' if not found else 'FAIL'} {name.replace('_', ' ')}")
            lines += [f"         {words}" for words in found[:MOST_SHOWN]]
            lines += [f"         … and {len(found) - MOST_SHOWN} more"] * (len(found) > MOST_SHOWN)
        for title, values in (
            ("Figures", self.figures), ("Seconds", {k: f"{v:.1f}" for k, v in self.seconds.items()}),
            ("Troubles", self.troubles), ("Lines in the log", self.log_lines),
        ):  # fmt: skip
            lines += ["", title, *(f"  {name}: {value}" for name, value in values.items())]
        return "\n".join(lines)


def figures(
    evidence: Evidence, alerts: Alerts, messages: Messages, posts: Posts, cover: Cover
) -> dict[str, Any]:
    """Return what was sent, what became of it, and the longest time without protection."""
    gaps = [(gap.counted(evidence.excused.get(gap.broker, [])), gap.seconds) for gap in evidence.gaps]
    return {
        "alerts sent": alerts.posts,
        "of them unanswered": alerts.unanswered,
        "answers by status": dict(Counter(answer.status for answer in alerts.answers)),
        "signals by outcome": dict(
            Counter(f"{row['state']} {row['code']}" for row in evidence.signals).most_common()
        ),
        "orders by broker's state": dict(Counter(order.state for order in evidence.their_orders)),
        "MQTT messages published": messages.published,
        "MQTT messages stored": len(evidence.watched_events),
        "posts in Discord": len(posts.posted),
        "posts noted": dict(Counter(row["state"] for row in evidence.noted_posts)),
        "notifications": len(evidence.notifications),
        "deliveries": dict(Counter(f"{each.transport} {each.state}" for each in evidence.deliveries)),
        "messages that came again": sum(evidence.extra_messages.values())
        + sum(max(0, each.arrived - 1) for each in evidence.deliveries),
        "positions watched": cover.positions,
        "longest without protection, s": round(max((raw for _, raw in gaps), default=0.0), 1),
        "longest without protection beside trouble, s": round(
            max((counted for counted, _ in gaps), default=0.0), 1
        ),
        "stated, s": LONGEST_GAP_SECONDS,
        "of the watched time held against the rule, %": {
            broker: round(
                100 * outside(cover.began_at, cover.ended_at, times) / (cover.ended_at - cover.began_at)
            )
            for broker, times in evidence.excused.items()
        },
        "machine overloaded, s": round(sum(end - begin for begin, end in evidence.overloaded)),
    }
