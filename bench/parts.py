"""The processes of a running DashTrade by the part they belong to, with their processor time and memory."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil

PARTS = (
    ("postgres", "database (PostgreSQL)"),
    ("gunicorn", "webhook server"),
    ("jobs.py", "workers"),
    ("broker_watch.py", "broker watch"),
    ("reversal_watch.py", "reversal watch"),
    ("streamlit", "dashboard"),
    ("mqtt_listener.py", "MQTT listener"),
    ("discord_bot", "Discord bot"),
    ("embedded_broker", "MQTT broker (embedded)"),
    ("supervision.py", "supervisor"),
)
MEGABYTE = 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one part takes: processes, processor seconds so far, and memory in MB."""

    processes: int
    seconds: float
    pss: float
    rss: float


def parts_of(pid: int) -> dict[str, Part]:
    """Return the parts below a supervisor."""
    found: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    root = psutil.Process(pid)
    _gather(root, _name(root), found)
    return {name: _sum(rows) for name, rows in found.items()}


def _sum(rows: list[tuple[float, float, float]]) -> Part:
    seconds, pss, rss = (sum(column) for column in zip(*rows, strict=True))
    return Part(processes=len(rows), seconds=seconds, pss=pss, rss=rss)


def _gather(process: psutil.Process, part: str, found: dict[str, list[tuple[float, float, float]]]) -> None:
    try:
        times = process.cpu_times()
        found[part].append((times.user + times.system, *_memory(process.pid)))
        for child in process.children():
            _gather(child, _name(child) if part in ("supervisor", "others") else part, found)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return


def _name(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    return next((name for word, name in PARTS if word in command), "others")


def _memory(pid: int) -> tuple[float, float]:
    """Return PSS and RSS in MB."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kilobytes = {line[0]: int(line[1]) for line in lines}
    return kilobytes["Pss:"] / MEGABYTE, kilobytes["Rss:"] / MEGABYTE
