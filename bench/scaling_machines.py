"""Machines on one network, as far as one machine can play them: a network namespace each, on a bridge.

All namespaces belong to processes that die with their maker, so nothing is left behind, however it ends. Needs
root; `Machines(separate=False)` gives processes on the loopback in their place.
"""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
LONGEST_SECONDS = 1800
DIRECT, SLOW = "10.77.0", "10.78.0"
LOOPBACK = "127.0.0.1"
_NEW_NETWORK = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class NoNamespaces(Exception):
    """This system lets us make no network namespaces; the message says why."""


@dataclass(slots=True, kw_only=True)
class Machine:
    """One machine: what runs in it sees its own network alone. `holder` keeps the namespace."""

    number: int
    holder: "subprocess.Popen[bytes] | None"
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def address(self) -> str:
        """Return where it is reached from the others."""
        return LOOPBACK if self.holder is None else f"{DIRECT}.{self.number}"

    @property
    def slow_address(self) -> str:
        """Return where it is reached over the slow line, if it has one."""
        return f"{SLOW}.{self.number}"

    @property
    def port(self) -> str:
        """Return the name of its plug on the bridge."""
        return f"port{self.number}"

    def run(
        self, command: Sequence[str], environ: Mapping[str, str], log: "IO[bytes]"
    ) -> "subprocess.Popen[bytes]":
        """Start a program in it that dies with us."""
        words = ["setpriv", "--pdeathsig", "KILL", *self._within(), *command]
        process = subprocess.Popen(words, cwd=ROOT, env=dict(environ), stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def _within(self) -> list[str]:
        return [] if self.holder is None else ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]


class Machines:
    """A bridge with machines on it; while this is open, the calling thread is at the bridge."""

    def __init__(self, *, separate: bool = True) -> None:
        self.separate = separate
        self._stack = ExitStack()
        self._made: list[Machine] = []
        self._bridge: Machine | None = None

    def __enter__(self) -> "Machines":
        self._stack.callback(self._end)
        if self.separate:
            self._bridge = Machine(number=1, holder=_new_network())
            self._stack.enter_context(inside(self._bridge))
            ip("link", "set", "lo", "up")
            ip("link", "add", "bridge0", "type", "bridge")
            _address("bridge0", 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def machine(self) -> Machine:
        """Add a machine to the network."""
        number = len(self._made) + 2
        made = Machine(number=number, holder=_new_network() if self.separate else None)
        self._made.append(made)
        if made.holder is not None:
            plug = ("type", "veth", "peer", "name", "eth0", "netns", str(made.holder.pid))
            ip("link", "add", made.port, *plug)
            ip("link", "set", made.port, "master", "bridge0", "up")
            with inside(made):
                ip("link", "set", "lo", "up")
                _address("eth0", number)
        return made

    def slow_line(self, machine: Machine, seconds: float) -> "subprocess.Popen[bytes]":
        """Give a machine a second line, on which each packet takes so long, either way."""
        assert machine.holder is not None
        command = [sys.executable, "-m", "bench.scaling_line", str(machine.holder.pid), str(seconds)]
        line = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], cwd=ROOT, stdout=subprocess.PIPE
        )
        machine.processes.append(line)
        assert line.stdout is not None
        with line.stdout as said:
            if not said.readline():
                raise NoNamespaces("no slow line: /dev/net/tun cannot be used")
        ip("link", "set", "slow", "master", "bridge0", "up")
        with inside(machine):
            # Each address answers on its own line, else the quick one would answer for both
            Path("/proc/sys/net/ipv4/conf/all/arp_ignore").write_text("1")
            with suppress(NoNamespaces):  # gone already where an earlier line was laid
                ip("address", "delete", f"{machine.slow_address}/24", "dev", "eth0")
            ip("address", "add", f"{machine.slow_address}/24", "dev", "slow")
            ip("link", "set", "slow", "up")
        return line

    def cut(self, machine: Machine) -> None:
        """Pull a machine's plug: nobody hears of it, and it hears of nobody."""
        ip("link", "set", machine.port, "down")

    def mend(self, machine: Machine) -> None:
        """Put the plug back."""
        ip("link", "set", machine.port, "up")

    def _end(self) -> None:
        for process in (process for machine in self._made for process in machine.processes):
            process.kill()
            process.wait(10)
        everything: list[Machine | None] = [*self._made, self._bridge]
        for machine in everything:
            if machine is not None and machine.holder is not None:
                machine.holder.kill()
                machine.holder.wait(10)


@contextmanager
def inside(machine: Machine) -> Iterator[None]:
    """Let the calling thread, and what it starts, be in a machine's network."""
    if machine.holder is None:
        yield
        return
    with open("/proc/thread-self/ns/net") as ours, open(f"/proc/{machine.holder.pid}/ns/net") as theirs:
        _enter(theirs.fileno())
        try:
            yield
        finally:
            _enter(ours.fileno())


def ip(*words: str) -> None:
    """Run `ip`; raise `NoNamespaces` with its words where it refuses."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise NoNamespaces(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _address(device: str, number: int) -> None:
    for net in (DIRECT, SLOW):
        ip("address", "add", f"{net}.{number}/24", "dev", device)
    ip("link", "set", device, "up")


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _NEW_NETWORK):
        number = ctypes.get_errno()
        raise NoNamespaces(f"setns: {os.strerror(number)}")


def _new_network() -> "subprocess.Popen[bytes]":
    """Start a process that sleeps in a network namespace of its own."""
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", str(LONGEST_SECONDS)]
    try:
        holder = subprocess.Popen(command, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise NoNamespaces(f"{error.filename} is not installed") from error
    ours = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if holder.poll() is not None:
            assert holder.stderr is not None
            raise NoNamespaces(holder.stderr.read().decode().strip())
        if Path(f"/proc/{holder.pid}/comm").read_text().strip() == "sleep":
            break
        time.sleep(0.005)
    assert holder.stderr is not None
    holder.stderr.close()
    if os.readlink(f"/proc/{holder.pid}/ns/net") == ours:
        raise NoNamespaces("unshare made no network of its own")
    return holder
