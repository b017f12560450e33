"""Keep the parts running on one machine, with supervisor; run as a script it is that supervisor.

Supervisor starts a part again as soon as it dies, and stops them in turn on Ctrl-C. What it lacks is
here: leftovers of a killed run are ended before the next, a closed terminal stops everything, and
the parts' lines go wherever standard output goes, also to a journal.
"""

import fcntl
import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

ROOT = Path(__file__).resolve().parent
MARK = "DASHTRADE_RUN"
STOP_SECONDS = 15
LEFTOVER_SECONDS = 5
# Supervisor waits one second longer after each failed start, so a part is never given up
TRIES = 1_000_000
# Lines still flow while everything stops, and are thrown away when nobody reads them any more.
PUMP = "trap '' HUP INT TERM; cat; exec cat >/dev/null"


class AlreadyRunning(Exception):
    """Stop the other run first, or use it: one machine folder carries one run at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Describe one process to keep running.

    `rank` orders them: low ones start first and stop last. A part that runs `once` is not started
    again when it has ended. Variables in `without` are no part of its environment.
    """

    name: str
    command: tuple[str, ...]
    rank: int = 10
    copies: int = 1
    account: str | None = None
    stop_signal: str = "TERM"
    once: bool = False
    without: tuple[str, ...] = ()


def lock(home: Path) -> None:
    """Claim the folder for this process, and what it becomes by `exec`, until it dies.

    One that was told to stop has `STOP_SECONDS` to be gone: a restart must not end with nothing running.
    Raises `AlreadyRunning`.
    """
    file = os.open(home / "run.lock", os.O_RDWR | os.O_CREAT, 0o644)
    if not _is_claimed(file):
        print(f"DashTrade still runs from {home}; waiting {STOP_SECONDS} s for it to stop.", flush=True)
        deadline = time.monotonic() + STOP_SECONDS
        while not _is_claimed(file):
            if time.monotonic() > deadline:
                holder = os.read(file, 20).decode()
                raise AlreadyRunning(f"DashTrade already runs from {home} (process {holder})")
            time.sleep(0.1)
    os.truncate(file, 0)
    os.write(file, str(os.getpid()).encode())
    os.set_inheritable(file, True)


def _is_claimed(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def stop_leftovers(home: Path) -> int:
    """End the parts that a killed run left behind, and return how many there were.

    They are known by a mark in their environment, which every process inherits from its run.
    """
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    others = (process for process in psutil.process_iter() if process.pid not in mine)
    left = [process for process in others if _is_marked(process, home)]
    _signal_all(left, signal.SIGTERM)
    _signal_all(_still_running(left), signal.SIGKILL)
    _still_running(left)
    return len(left)


def become_supervisor(parts: Iterable[Part], home: Path) -> NoReturn:
    """Turn this process into the supervisor of the parts; it ends when all of them have."""
    config = home / "supervisor.conf"
    config.write_text(configuration(parts, home))
    os.environ |= {MARK: str(home), "PYTHONUNBUFFERED": "1"}
    _pump_output()
    os.execv(sys.executable, [sys.executable, str(ROOT / "supervision.py"), str(config)])  # noqa: S606


def configuration(parts: Iterable[Part], home: Path) -> str:
    """Return supervisor's configuration for the parts."""
    own = {
        "nodaemon": "true",
        "logfile": "/dev/null",
        "logfile_maxbytes": "0",
        "loglevel": "warn",
        "pidfile": str(home / "supervisor.pid"),
        "nocleanup": "true",
    }
    # Said outright, or supervisor complains about running as root
    own |= {"user": "root"} if os.geteuid() == 0 else {}
    programs = sorted(parts, key=lambda part: part.rank)
    groups = [_group(rank, same) for rank, same in itertools.groupby(programs, lambda part: part.rank)]
    return "\n".join([_section("supervisord", own), *(_program(part) for part in programs), *groups])


def _program(part: Part) -> str:
    values = {
        "command": shlex.join((*_leaving_out(part.without), *part.command)),
        "directory": str(ROOT),
        "priority": str(part.rank),
        "numprocs": str(part.copies),
        "autorestart": "false" if part.once else "true",
        "startsecs": "0" if part.once else "1",
        "startretries": str(TRIES),
        "stopsignal": part.stop_signal,
        "stopwaitsecs": str(STOP_SECONDS),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": "/dev/fd/1",
        "stdout_logfile_maxbytes": "0",
    }
    values |= {"user": part.account} if part.account else {}
    section = _section(f"program:{part.name}", values)
    return section + ("process_name=%(program_name)s-%(process_num)d\n" if part.copies > 1 else "")


def _leaving_out(variables: Iterable[str]) -> tuple[str, ...]:
    # Supervisor can set a variable, and cannot take one away
    words = tuple(word for name in variables for word in ("-u", name))
    return ("/usr/bin/env", *words) if words else ()


def _group(rank: int, same: Iterable[Part]) -> str:
    """Stop parts of one rank together, where supervisor would wait for one after the other."""
    names = ",".join(part.name for part in same)
    return _section(f"group:rank-{rank}", {"programs": names, "priority": str(rank)})


def _section(name: str, values: dict[str, str]) -> str:
    lines = (f"{key}={value.replace('%', '%%')}\n" for key, value in values.items())
    return f"[{name}]\n" + "".join(lines)


def _pump_output() -> None:
    """Put a pipe where standard output is: supervisor cannot open a socket or another's terminal anew."""
    sys.stdout.flush()
    read_end, write_end = os.pipe()
    subprocess.Popen(["/bin/sh", "-c", PUMP], stdin=read_end, start_new_session=True)
    os.dup2(write_end, 1)
    os.dup2(write_end, 2)


def _is_marked(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(home)
    except psutil.Error:
        return False


def _signal_all(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while running := [process for process in processes if not _has_ended(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return running


def _has_ended(process: psutil.Process) -> bool:
    # In a container there may be nobody who buries the dead, so a zombie counts as ended
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def main(config: str) -> None:
    """Be the supervisor until a signal ends it."""
    from supervisor.options import ServerOptions
    from supervisor.supervisord import go

    class Options(ServerOptions):  # type: ignore[misc]
        """Supervisor's options, with its lines in our form and a closed terminal as a reason to stop."""

        def make_logger(self) -> None:
            super().make_logger()
            for handler in self.logger.handlers:
                handler.setFormat("%(asctime)s %(levelname)s supervisor signal=- %(message)s\n")

        def setsignals(self) -> None:
            super().setsignals()
            signal.signal(signal.SIGHUP, lambda *_: self.signal_receiver.receive(signal.SIGTERM, None))

    options = Options()
    options.realize(["-c", config], doc=__doc__)
    options.first = True
    options.test = False
    go(options)
    options.close_logger()


if __name__ == "__main__":
    main(sys.argv[1])
