"""The crew works every lane that is rung, and shares its threads among the connections."""

import threading
import time
from collections import Counter

from engine.crew import Crew


class Hall:
    """Lanes that are worked until they are let go, and a count of what was worked when."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside: Counter[int] = Counter()
        self.most = 0
        self.worked: list[int] = []
        self.gates: dict[int, threading.Event] = {}

    def work(self, lane_id: int) -> None:
        with self.lock:
            self.inside[lane_id // 100] += 1
            self.most = max(self.most, self.inside[1])
        if lane_id in self.gates:
            assert self.gates[lane_id].wait(10)
        with self.lock:
            self.inside[lane_id // 100] -= 1
            self.worked.append(lane_id)

    def wait_until(self, count: int) -> None:
        for _ in range(1000):
            if len(self.worked) >= count:
                return
            time.sleep(0.01)
        raise AssertionError(f"only {self.worked} were worked")


def test_a_connection_that_hangs_leaves_threads_for_the_others() -> None:
    hall = Hall()
    hall.gates = {lane: threading.Event() for lane in range(100, 110)}
    crew = Crew(hall.work, threads=4, per_connection=2)
    for lane in range(100, 110):
        crew.ring(lane, 1)
    for lane in range(200, 220):
        crew.ring(lane, 2)
    hall.wait_until(20)
    assert sorted(hall.worked) == list(range(200, 220))
    assert hall.most == 2
    for gate in hall.gates.values():
        gate.set()
    hall.wait_until(30)
    crew.close()
    assert sorted(hall.worked) == [*range(100, 110), *range(200, 220)]


def test_a_lane_rung_while_it_waits_is_worked_once_and_while_it_is_worked_once_more() -> None:
    hall = Hall()
    hall.gates = {100: threading.Event(), 101: threading.Event()}
    crew = Crew(hall.work, threads=1, per_connection=1)
    crew.ring(100, 1)
    for _ in range(3):
        crew.ring(101, 1)
    while not hall.inside[1]:
        time.sleep(0.01)
    crew.ring(100, 1)
    crew.ring(100, 1)
    for gate in hall.gates.values():
        gate.set()
    hall.wait_until(3)
    crew.close()
    assert hall.worked == [100, 101, 100]


def test_a_closed_crew_ends_what_it_works_and_takes_nothing_more() -> None:
    hall = Hall()
    hall.gates = {100: threading.Event()}
    crew = Crew(hall.work, threads=1, per_connection=1)
    crew.ring(100, 1)
    crew.ring(101, 1)
    while not hall.inside[1]:
        time.sleep(0.01)
    threading.Timer(0.1, hall.gates[100].set).start()
    crew.close()
    crew.ring(102, 1)
    assert hall.worked == [100]


def test_bells_from_many_threads_are_all_answered() -> None:
    hall = Hall()
    crew = Crew(hall.work, threads=8, per_connection=3)
    ringers = [
        threading.Thread(
            target=lambda start=start: [crew.ring(lane, lane % 7) for lane in range(start, start + 500)]
        )
        for start in range(0, 4000, 500)
    ]
    for ringer in ringers:
        ringer.start()
    for ringer in ringers:
        ringer.join()
    hall.wait_until(4000)
    crew.close()
    assert sorted(hall.worked) == list(range(4000))
