"""A slow line: two network devices, one here and one in another namespace, and a delay between them.

`python -m bench.scaling_line PID SECONDS`, for kernels without netem. Every packet is kept for so long, either way. It
ends when its maker does.
"""

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

from bench.scaling_machines import _enter

NAME = "slow"
_SET_DEVICE = 0x400454CA
_ETHERNET, _BARE = 0x0002, 0x1000
LARGEST = 65536


def device() -> int:
    """Make the network device in the namespace that the caller is in, and return its descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _SET_DEVICE, struct.pack("16sH", NAME.encode(), _ETHERNET | _BARE))
    return descriptor


def carry(ends: tuple[int, int], seconds: float) -> None:
    """Carry packets from one end to the other for ever."""
    across = {ends[0]: ends[1], ends[1]: ends[0]}
    under_way: deque[tuple[float, int, bytes]] = deque()
    while True:
        pause = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select(ends, (), (), pause)[0]:
            _take(end, across[end], seconds, under_way)
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, end, packet = under_way.popleft()
            _put(end, packet)


def _take(end: int, other: int, seconds: float, under_way: deque[tuple[float, int, bytes]]) -> None:
    while True:
        try:
            packet = os.read(end, LARGEST)
        except OSError:  # nothing more to read, or the device is down
            return
        under_way.append((time.monotonic() + seconds, other, packet))


def _put(end: int, packet: bytes) -> None:
    try:
        os.write(end, packet)
    except OSError:  # as on any line, what finds no room is lost
        return


def main(holder: str, seconds: str) -> None:
    """Lay the line and carry."""
    here = device()
    with open(f"/proc/{holder}/ns/net") as other:
        _enter(other.fileno())
    there = device()
    print("ready", flush=True)
    carry((here, there), float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
