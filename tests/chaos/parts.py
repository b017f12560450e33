"""The processes of a running DashTrade by their part, to be killed or stopped for a while; only its own."""

import signal
from collections.abc import Iterator

import psutil

WORDS = {
    "webhook": "gunicorn",
    "worker": "jobs.py",
    "watch": "broker_watch.py",
    "mqtt": "mqtt_listener.py",
    "discord": "discord_bot",
    "reversal": "reversal_watch.py",
    "dashboard": "streamlit",
    "database": "postgres",
}
CHILD = "webhook-child"


def processes(supervisor: int, part: str) -> list[psutil.Process]:
    """Return the processes of a part that live now, the oldest first."""
    if part == CHILD:
        return [child for master in processes(supervisor, "webhook") for child in _living(master)]
    found = _living(psutil.Process(supervisor))
    return [each for each in found if WORDS[part] in _command(each)]


def send(process: psutil.Process, number: signal.Signals) -> bool:
    """Send a process a signal; tell whether it was still there."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def local_ports(process: psutil.Process) -> list[int]:
    """Return the ports that a process has connected from."""
    try:
        return [each.laddr.port for each in process.net_connections("tcp") if each.raddr]
    except psutil.Error:
        return []


def _living(parent: psutil.Process) -> Iterator[psutil.Process]:
    for child in parent.children():
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                yield child
        except psutil.NoSuchProcess:
            continue


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
