"""A whole DashTrade as `make run` starts it, with people trading at a local Alpaca-like server."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from bench import ground, load
from bench.parts import Part, parts_of
from bot_database import Database
from encryption import Vault
from tests.end_to_end.stack import Stack, running_stack

PLENTY = 10_000_000
WATCHED_WITHIN_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A running DashTrade, its database, and its people."""

    stack: Stack
    database: Database
    people: list[ground.Person]

    @property
    def port(self) -> int:
        """Return the port of the webhook server."""
        return int(urlsplit(self.stack.url).port or 0)

    def alerts(self, action: str) -> list[load.Target]:
        """Return an alert for each bot."""
        return ground.interleaved(self.people, action)

    def parts(self) -> dict[str, Part]:
        """Return what every part takes."""
        assert self.stack.process is not None
        return parts_of(self.stack.process.pid)

    def transactions(self) -> int:
        """Return how many transactions the database has committed; it counts them a second late."""
        with self.database.transaction() as transaction:
            return int(
                transaction.value(
                    "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
                )
            )

    def finished(self) -> int:
        """Return how many signals have their outcome."""
        with self.database.transaction() as transaction:
            return int(transaction.value("SELECT count(*) FROM signals WHERE finished_at IS NOT NULL"))

    def wait_until_done(self, count: int, seconds: float) -> None:
        """Return when `count` signals have their outcome, or the time is up."""
        deadline = time.monotonic() + seconds
        while self.finished() < count and time.monotonic() < deadline:
            time.sleep(0.25)


@contextmanager
def trading_floor(*, users: int, bots_each: int, workers: int) -> Iterator[Floor]:
    """Start everything, make the people, and give them when the watch has a stream for each of them."""
    limits = {"WEBHOOK_ALERTS_PER_MINUTE": PLENTY, "WEBHOOK_REQUESTS_PER_MINUTE": PLENTY}
    with running_stack(WORKERS=workers, **limits) as stack:
        home = Path(stack.environ["DASHTRADE_HOME"])
        vault = Vault(SecretStr((home / "ENCRYPTION_KEY").read_text().strip()))
        with closing(
            Database((home / "DATABASE_URL").read_text().strip(), application_name="bench")
        ) as database:
            people = ground.people(database, vault, users, bots_each=bots_each)
            ground.open_accounts(stack.broker.url, people)
            yield Floor(stack=stack, database=database, people=people)


def await_watch(floor: Floor) -> None:
    """Wait until the broker watch listens to every account and has reconciled each."""
    deadline = time.monotonic() + WATCHED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        with floor.database.transaction() as transaction:
            waiting = transaction.value("SELECT count(*) FROM user_api_keys WHERE reconciled_at IS NULL")
        if len(floor.stack.broker.listeners()) == len(floor.people) and not waiting:
            time.sleep(2)
            return
        time.sleep(0.5)
    raise RuntimeError(f"the broker watch did not come to every account: {floor.stack.written()}")
