"""Measure the memory of every part, idle and after a burst of 1,000 alerts.

`python -m bench.memory`. PSS counts a page shared by n processes as an nth in each, so the parts add up to
what the machine really gives; RSS counts it in full in each, and shared buffers once per connection.
"""

from collections import defaultdict
from pathlib import Path

import psutil

from bench import ground
from bench.burst import BOTS_EACH, USERS, WORKERS, burst
from bench.running import Floor, await_watch, trading_floor

Sizes = dict[str, tuple[int, float, float]]
PARTS = (
    ("postgres", "database (PostgreSQL)"),
    ("gunicorn", "webhook server"),
    ("jobs.py", "workers"),
    ("broker_watch.py", "broker watch"),
    ("streamlit", "dashboard"),
    ("supervision.py", "supervisor"),
)


def sizes(floor: Floor) -> Sizes:
    """Return processes, PSS and RSS in MB of every part that runs."""
    assert floor.stack.process is not None
    root = psutil.Process(floor.stack.process.pid)
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    _gather(root, _part(root, "others"), found)
    return {part: (len(each), sum(pss for pss, _ in each), sum(rss for _, rss in each)) for part, each in found.items()}


def _gather(process: psutil.Process, part: str, found: dict[str, list[tuple[float, float]]]) -> None:
    try:
        found[part].append(_memory(process.pid))
        for child in process.children():
            _gather(child, part if part not in ("supervisor", "others") else _part(child, "others"), found)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return


def _part(process: psutil.Process, otherwise: str) -> str:
    command = " ".join(process.cmdline())
    return next((name for word, name in PARTS if word in command), otherwise)


def _memory(pid: int) -> tuple[float, float]:
    """Return PSS and RSS in MB."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kilobytes = {line[0]: int(line[1]) for line in lines}
    return kilobytes["Pss:"] / 1024, kilobytes["Rss:"] / 1024


def show(idle: Sizes, after: Sizes) -> None:
    """Print both measurements side by side."""
    names = sorted(idle, key=lambda name: -idle[name][1])
    rows = [(name, idle[name][0], *(f"{of[name][place]:.0f}" for of in (idle, after) for place in (1, 2)))
            for name in names if name in after]  # fmt: skip
    sums = [sum(of[name][place] for name in of) for of in (idle, after) for place in (1, 2)]
    head = ("part", "processes", "PSS idle", "RSS idle", "PSS after", "RSS after")
    rows.append(("all", sum(idle[name][0] for name in idle), *(f"{value:.0f}" for value in sums)))
    ground.table(f"Memory in MB, {USERS} accounts watched, {WORKERS} workers", head, rows)


def main() -> None:
    """Start everything, look, send a burst, look again."""
    with trading_floor(users=USERS, bots_each=BOTS_EACH, workers=WORKERS) as floor:
        await_watch(floor)
        idle = sizes(floor)
        burst(floor)
        show(idle, sizes(floor))


if __name__ == "__main__":
    main()
