"""How busy the machine is: how much longer a little work takes than the processor time it needs.

`python -m tests.chaos.machine` writes a line for each look, until it is ended: the moment and the factor.
"""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
LOOK_SECONDS = 0.5
WORK_SECONDS = 0.01
# The middle one of so many looks counts: one alone may have been interrupted by chance
LOOKS = 5
# A process that waits so much for a processor cannot keep the times that are stated
OVERLOADED = 6.0

Look = tuple[float, float]


def factor() -> float:
    """Work for a moment; return how many times longer it took than its processor time."""
    began, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < WORK_SECONDS:
        pass
    return (time.perf_counter() - began) / (time.process_time() - used)


@contextmanager
def measured(path: Path) -> Iterator[None]:
    """Look at the machine from a process of its own, into a file."""
    with open(path, "w") as lines:
        process = subprocess.Popen([sys.executable, "-m", "tests.chaos.machine"], cwd=ROOT, stdout=lines)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def looks(path: Path) -> list[Look]:
    """Return the moment of each look and the middle factor of the last few; the last line may be half."""
    complete = path.read_text().rpartition("\n")[0].splitlines()
    recent: deque[float] = deque(maxlen=LOOKS)
    found = []
    for at, value in (line.split() for line in complete):
        recent.append(float(value))
        found.append((float(at), median(recent)))
    return found


def overloaded(found: list[Look]) -> list[tuple[float, float]]:
    """Return the times in which the machine was overloaded."""
    return [(begin, end) for (begin, _), (end, value) in pairwise(found) if value > OVERLOADED]


def main() -> None:
    """Look until ended."""
    while True:
        print(f"{time.time():.2f} {factor():.2f}", flush=True)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
