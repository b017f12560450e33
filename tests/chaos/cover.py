"""How long positions with a stop were without protection: looked at twice a second, during the whole run.

A position is protected at a moment when its stop rests at the exchange for all of it, when the engine
looks at its price, or while its exit is under way.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import requests

from tests.chaos.stage import Stage

LOOK_SECONDS = 0.5
# What it takes to come back after a trouble: to be started again, to load, to take the leases, to look
RECOVERY_SECONDS = 12.0
# Whatever keeps the engine from looking; `{}` is the broker of the position.
KEEPS_FROM_LOOKING = (
    "kill.watch", "freeze.watch", "restart.database", "crash.database",
    "cut.{}", "slow.{}", "silence.{}", "wrong.{}",
)  # fmt: skip
_OPEN = """
    SELECT bots.id, bots.symbol, bots.opened_at, keys.broker, keys.label AS key, held.held_by, held.checked_at,
           EXISTS (SELECT FROM plans JOIN legs ON legs.plan_id = plans.id
                    WHERE plans.bot_config_id = bots.id AND plans.finished_at IS NULL
                      AND legs.purpose = 'CLOSE' AND legs.state = 'WORKING') AS is_leaving
      FROM user_bot_configs AS bots
      JOIN user_api_keys AS keys ON keys.id = bots.connection_id
      JOIN lanes ON lanes.id = bots.lane_id
      LEFT JOIN protections AS held ON held.bot_config_id = bots.id
     WHERE abs(bots.quantity) > coalesce(lanes.dust_below, 0)
       AND (bots.stop_loss_percent IS NOT NULL OR bots.signal_channel_id IS NOT NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which a position was not protected; times as of `time.time()`."""

    bot: int
    broker: str
    began_at: float
    ended_at: float
    held_by: str

    @property
    def seconds(self) -> float:
        """Return how long it was."""
        return self.ended_at - self.began_at

    def counted(self, excused: Iterable[tuple[float, float]]) -> float:
        """Return how much of it lies outside all of these times."""
        return outside(self.began_at, self.ended_at, excused)


def outside(began_at: float, ended_at: float, excused: Iterable[tuple[float, float]]) -> float:
    """Return how many seconds between two moments lie outside all of these times."""
    left, at = 0.0, began_at
    for begin, end in sorted(excused):
        if end <= at:
            continue
        if begin >= ended_at:
            break
        left += max(0.0, begin - at)
        at = min(max(at, end), ended_at)
    return left + max(0.0, ended_at - at)


@dataclass(slots=True)
class _Held:
    opened_at: datetime
    protected_at: float
    last_seen: float
    broker: str
    held_by: str


@dataclass(slots=True)
class Cover:
    """Look at what is open and keep every gap, from `began_at` on; `looks` counts how often that was possible."""

    stage: Stage
    gaps: list[Gap] = field(default_factory=list)
    looks: int = 0
    positions: int = 0
    began_at: float = field(default_factory=time.time)
    ended_at: float = 0.0
    _held: dict[int, _Held] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look until `stop`; while the database is away nothing is known, and what is open goes on being so."""
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                covered = self._covered()
                with self.stage.database.transaction() as transaction:
                    rows = transaction.all(_OPEN)
            except (psycopg2.Error, requests.RequestException):
                continue
            self.note(rows, covered, time.time())
        self.ended_at = time.time()
        self.note([], set(), self.ended_at)

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def _covered(self) -> set[tuple[str, str]]:
        return {
            (each["key"], each["instrument"])
            for each in self.stage.blofin.cover()
            if Decimal(each["covered"]) >= Decimal(each["held"])
        }

    def note(self, rows: Sequence[dict[str, Any]], covered: set[tuple[str, str]], now: float) -> None:
        """Take in what is open at a moment."""
        self.looks += 1
        for gone in self._held.keys() - {row["id"] for row in rows}:
            self._end(gone, self._held.pop(gone))
        for row in rows:
            self._note_one(row, (row["key"], row["symbol"]) in covered, now)

    def _note_one(self, row: dict[str, Any], is_covered: bool, now: float) -> None:
        held = self._held.get(row["id"])
        if held is None or held.opened_at != row["opened_at"]:
            if held is not None:
                self._end(row["id"], held)
            opened = row["opened_at"] or datetime.now(UTC)
            self.positions += 1
            held = _Held(opened, opened.timestamp(), now, row["broker"], "nobody")
            self._held[row["id"]] = held
        held.last_seen, held.held_by = now, row["held_by"] or "nobody"
        at_broker = is_covered and row["held_by"] == "BROKER"
        moment = now if at_broker or row["is_leaving"] else _seconds(row["checked_at"])
        if moment > held.protected_at:
            self._keep(row["id"], held, moment)
            held.protected_at = moment

    def _end(self, bot: int, held: _Held) -> None:
        if held.last_seen > held.protected_at:
            self._keep(bot, held, held.last_seen)

    def _keep(self, bot: int, held: _Held, until: float) -> None:
        self.gaps.append(
            Gap(bot=bot, broker=held.broker, began_at=held.protected_at, ended_at=until, held_by=held.held_by)
        )


def _seconds(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()
