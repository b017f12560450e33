"""Measure the memory of every part, idle and after a burst of 1,000 alerts.

`python -m bench.memory`. PSS counts a page shared by n processes as an nth in each, so the parts add up to
what the machine really gives; RSS counts it in full in each, and shared buffers once per connection.
"""

from bench import ground
from bench.burst import BOTS_EACH, USERS, WORKERS, burst
from bench.parts import Part
from bench.running import await_watch, trading_floor


def show(idle: dict[str, Part], after: dict[str, Part]) -> None:
    """Print both measurements side by side."""
    names = sorted(idle.keys() & after.keys(), key=lambda name: -idle[name].pss)
    rows = [(name, idle[name].processes, *_figures(idle[name]), *_figures(after[name])) for name in names]
    sums = [_figure(of, which) for of in (idle, after) for which in ("pss", "rss")]
    rows.append(("all", sum(part.processes for part in idle.values()), *sums))
    head = ("part", "processes", "PSS idle", "RSS idle", "PSS after", "RSS after")
    ground.table(f"Memory in MB, {USERS} accounts watched, {WORKERS} workers", head, rows)


def _figures(part: Part) -> tuple[str, str]:
    return f"{part.pss:.0f}", f"{part.rss:.0f}"


def _figure(parts: dict[str, Part], which: str) -> str:
    return f"{sum(getattr(part, which) for part in parts.values()):.0f}"


def main() -> None:
    """Start everything, look, send a burst, look again."""
    with trading_floor(users=USERS, bots_each=BOTS_EACH, workers=WORKERS) as floor:
        await_watch(floor)
        idle = floor.parts()
        burst(floor)
        show(idle, floor.parts())


if __name__ == "__main__":
    main()
