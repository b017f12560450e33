"""Threads that work lanes beside each other, so that one whose broker hangs keeps no other waiting."""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Crew:
    """Work each lane that is rung, oldest bell first, with at most `per_connection` threads for one connection.

    `work` gets the lane and raises nothing. A lane that waits already is not queued again; one that
    is being worked is, since the bell may have rung after its last look.
    """

    def __init__(self, work: Callable[[int], None], *, threads: int, per_connection: int) -> None:
        self._work = work
        self._per_connection = per_connection
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lane")
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self._lanes: defaultdict[int, deque[int]] = defaultdict(deque)
        self._turns: Counter[int] = Counter()
        self._closed = False

    def ring(self, lane_id: int, connection_id: int) -> None:
        """Have a lane worked as soon as its turn comes."""
        with self._lock:
            if lane_id in self._waiting or self._closed:
                return
            self._waiting.add(lane_id)
            self._lanes[connection_id].append(lane_id)
            if self._turns[connection_id] < self._per_connection:
                self._turns[connection_id] += 1
                self._pool.submit(self._take_turn, connection_id)

    def close(self) -> None:
        """Take no more lanes and return when those under work are left."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take_turn(self, connection_id: int) -> None:
        with self._lock:
            lane_id = self._next_lane(connection_id)
        if lane_id is not None:
            self._work(lane_id)
        with self._lock:
            if self._lanes[connection_id] and not self._closed:
                # At the end of the line, behind the other connections
                self._pool.submit(self._take_turn, connection_id)
            else:
                self._leave(connection_id)

    def _next_lane(self, connection_id: int) -> int | None:
        lanes = self._lanes[connection_id]
        if not lanes:
            return None
        lane_id = lanes.popleft()
        self._waiting.discard(lane_id)
        return lane_id

    def _leave(self, connection_id: int) -> None:
        self._turns[connection_id] -= 1
        if not self._turns[connection_id]:
            del self._turns[connection_id], self._lanes[connection_id]
