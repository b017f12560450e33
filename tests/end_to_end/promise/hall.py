"""A trading hall of several users, bots and Alpaca accounts, and everything that is held against it at the end."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bot_database import Database, bells
from core.instrument import AssetClass, Instrument, symbol_key
from database import bots, tokens
from tests.alpaca_server.local import Control
from tests.end_to_end.webhook_desk import WebhookDesk

ROOT = Path(__file__).resolve().parents[3]
TIMES = {
    "ORDER_SEND_WINDOW_SECONDS": 2,
    "ORDER_DOUBT_SECONDS": 3,
    "BROKER_READ_TIMEOUT_SECONDS": 2,
    "RECONCILE_INTERVAL_SECONDS": 3,
    "RISK_INTERVAL_SECONDS": 1,
}
FINAL = ("EXECUTED", "SKIPPED", "REFUSED", "FAILED")
STEP = Decimal("0.000000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One bot and how to alert it."""

    bot_id: int
    lane_id: int
    key: str
    symbol: str
    interval: str
    token: str
    limit_price: str | None


# Interval, symbol, and the price of its entries where they rest: below or far above the market.
SEATS = (
    ("5", "AAPL", None),
    ("15", "AAPL", None),
    ("60", "AAPL", "180.00"),
    ("15", "MSFT", None),
    ("15", "NVDA", None),
    ("15", "TSLA", "260.00"),
)


class Hall:
    """Users with one Alpaca account each, six bots at each account, and the webhook that takes their alerts."""

    def __init__(self, database_url: str, broker: Control, folder: Path, users: int) -> None:
        self.desk = WebhookDesk(database_url)
        self.database: Database = self.desk.database
        self.broker = broker
        self.folder = folder
        self.keys = [f"PKHALL{number}" for number in range(users)]
        self.seats = [seat for key in self.keys for seat in self._user(key)]
        self.answered: list[str] = []
        self.refused = 0
        self._numbers = itertools.count(1)
        self._falls = itertools.count()

    def close(self) -> None:
        """Give the connections back."""
        self.desk.close()

    def _user(self, key: str) -> Iterator[Seat]:
        self.broker.account(key, "secret", 1_000_000)
        sealed = self.desk.vault.seal(json.dumps({"api_key": key, "api_secret": "secret"}))
        with self.database.transaction() as transaction:
            user_id = transaction.value(
                "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id",
                (f"{key}@example.org",),
            )
            connection_id = bots.create_connection(
                transaction,
                user_id=user_id,
                broker="alpaca",
                mode="paper",
                label=key,
                credentials_sealed=sealed,
                credentials_prefix=key[:4],
                sealed_with=self.desk.vault.key_id,
            )
            token = tokens.create_token(transaction, self.desk.vault, user_id)
            for interval, symbol, limit_price in SEATS:
                bot_id = bots.create_bot(
                    transaction,
                    user_id=user_id,
                    connection_id=connection_id,
                    instrument=Instrument(symbol=symbol, asset_class=AssetClass.STOCK, quantity_step=STEP),
                    timeframe={"60": "1 Hour"}.get(interval, f"{interval} Min"),
                    position_size=Decimal(5000),
                    stop_loss_percent=Decimal(5) if symbol == "NVDA" else None,
                )
                lane_id = bots.bot_row(transaction, bot_id)["lane_id"]
                yield Seat(
                    bot_id=bot_id,
                    lane_id=lane_id,
                    key=key,
                    symbol=symbol,
                    interval=interval,
                    token=token,
                    limit_price=limit_price,
                )

    def alert(self, seat: Seat, action: str) -> None:
        """Send an alert over HTTP; only what is answered with 2xx is promised anything."""
        body = {"action": action, "ticker": seat.symbol, "interval": seat.interval, "id": next(self._numbers)}
        if seat.limit_price is not None and action == "buy":
            body |= {"order_type": "limit", "limit_price": seat.limit_price}
        answer = self.desk.post(f"/webhook?token={seat.token}", body)
        if answer.status_code == 202:
            self.answered.append(answer.json["signal_id"])
        else:
            assert answer.status_code == 503, answer.json
            self.refused += 1

    def let_fall(self, symbol: str) -> None:
        """Let a price fall through the stops of all who are long, those who bought after the last fall as well."""
        bid = Decimal(100) * Decimal("0.93") ** next(self._falls)
        self.broker.price(symbol, f"{bid:.2f}", f"{bid + Decimal('0.02'):.2f}")

    @contextmanager
    def parts(self, *roles: str, repeats: int) -> Iterator[list[subprocess.Popen]]:
        """Run parts that die `repeats` times at each of their steps and come back; stop them at the end."""
        started = [self._start(role, number, repeats) for number, role in enumerate(roles)]
        try:
            yield started
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(20)

    @property
    def deaths(self) -> Path:
        """Return the file with a line for every death."""
        return self.folder / "deaths"

    def died_after(self) -> set[str]:
        """Return the steps after which a part has died, each as `role step`."""
        return set(self.deaths.read_text().splitlines())

    def _start(self, role: str, number: int, repeats: int) -> subprocess.Popen:
        self.deaths.touch()
        command = [
            sys.executable,
            "-m",
            "tests.end_to_end.promise.mortal",
            role,
            str(self.deaths),
            str(repeats),
        ]
        environ = {name: str(value) for name, value in TIMES.items()} | {
            "PATH": "/usr/bin:/bin",
            "TZ": "UTC",
            "DASHTRADE_ENV_FILE": str(self.folder / "absent.env"),
            "DASHTRADE_HOME": str(self.folder / "home"),
            "DATABASE_URL": self.desk.settings.database,
            "ENCRYPTION_KEY": self.desk.settings.encryption_key.get_secret_value(),
            "PUBLIC_URL": "http://localhost:8080",
            "APCA_API_BASE_URL": self.broker.url,
            "APCA_API_DATA_URL": self.broker.url,
        }
        with (self.folder / f"{role}{number}.log").open("a") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)

    def deafen(self) -> int:
        """Cut every worker's line of bells, so that what rings until it listens again is lost; return how many."""
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        with self.database.transaction() as transaction:
            return len(transaction.all(sql, (bells.LISTENER,)))

    def ring_twice(self, seat: Seat) -> None:
        """Ring a lane twice for nothing."""
        for _ in range(2):
            with self.database.transaction() as transaction:
                bells.ring(transaction, [seat.lane_id])

    def unfinished(self) -> list[dict]:
        """Return what is not at its end."""
        return self.desk.all(
            """
            SELECT 'signal' AS what, id, state, sentence FROM signals WHERE finished_at IS NULL
            UNION ALL SELECT 'order', id, state, broker_message FROM orders WHERE finished_at IS NULL
            UNION ALL SELECT 'leg', legs.id, legs.state, legs.sentence FROM legs
                        JOIN plans ON plans.id = plan_id WHERE plans.finished_at IS NULL
            UNION ALL SELECT 'event', id, state, kind FROM bot_risk_events WHERE state IN ('OPEN', 'PLANNED')
            """
        )

    def wait_until(self, look: Callable[[], bool], seconds: float, explain: Callable[[], object]) -> None:
        """Wait for something; fail with an explanation where it does not come."""
        deadline = time.monotonic() + seconds
        while not look():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain: {explain()}"
            time.sleep(0.1)

    def settle(self, seconds: float = 60) -> None:
        """Wait until nothing is under way."""
        self.wait_until(lambda: not self.unfinished(), seconds, self.unfinished)
        self.broker.settle()

    # What the promise says

    def assert_one_outcome_each(self) -> None:
        """Every signal that was answered with 2xx is there once, and came to one end.

        One that was not may be there all the same: its answer was lost after the commit.
        """
        rows = self.desk.all("SELECT uuid::text, state, code, finished_at FROM signals")
        stored = {row["uuid"] for row in rows}
        assert set(self.answered) <= stored
        assert len(set(self.answered)) == len(self.answered)
        assert len(stored) - len(self.answered) <= self.refused
        bad = [row for row in rows if row["state"] not in FINAL or row["code"] is None]
        assert bad == []
        assert (
            self.desk.all(
                "SELECT signal_id FROM plans WHERE signal_id IS NOT NULL GROUP BY signal_id HAVING count(*) > 1"
            )
            == []
        )

    def assert_orders_are_the_planned_ones(self) -> None:
        """The broker took exactly the orders that our rows say it took, as they were asked for."""
        theirs = {order["client_order_id"]: order for order in self.broker.orders()}
        assert len(theirs) == len(self.broker.orders())
        rows = self.desk.all("SELECT * FROM orders")
        ours = {row["client_order_id"]: row for row in rows if row["broker_order_id"] is not None}
        assert set(theirs) == set(ours)
        assert [row for row in rows if row["state"] in {"NEW", "IN_DOUBT"}] == []
        for name, order in theirs.items():
            row = ours[name]
            asked = (row["side"].lower(), row["quantity"], row["symbol"])
            assert (order["side"], Decimal(order["qty"]), order["symbol"]) == asked
            assert (order["status"], Decimal(order["filled_qty"])) == (
                row["state"].lower(),
                row["filled_quantity"],
            )

    def assert_no_leg_traded_more_than_planned(self) -> None:
        """Each attempt asks for what the attempts before it left over, and no more."""
        rows = self.desk.all(
            """
            SELECT orders.leg_id, orders.part, attempt, orders.quantity, filled_quantity, legs.parts
              FROM orders JOIN legs ON legs.id = leg_id ORDER BY leg_id, part, attempt
            """
        )
        for (_leg, part), attempts in itertools.groupby(rows, key=lambda row: (row["leg_id"], row["part"])):
            left = None
            for row in attempts:
                left = row["parts"][part - 1] if left is None else left
                assert row["quantity"] <= left, row
                left -= row["filled_quantity"]

    def assert_ledger_is_the_account(self) -> None:
        """For each account and symbol: the sum of the bots, the sum of the fills, and what the broker holds."""
        for key in self.keys:
            held = {
                symbol_key(position["symbol"]): Decimal(position["qty"])
                for position in self.broker.books(key)["positions"]
            }
            rows = self.desk.all(
                """
                SELECT symbol_key, sum(quantity) AS quantity,
                       sum((SELECT coalesce(sum(CASE side WHEN 'BUY' THEN fills.quantity ELSE -fills.quantity END), 0)
                              FROM fills WHERE bot_config_id = bots.id)) AS filled
                  FROM user_bot_configs AS bots JOIN user_api_keys ON user_api_keys.id = connection_id
                 WHERE label = %s GROUP BY symbol_key
                """,
                (key,),
            )
            for row in rows:
                assert row["quantity"] == row["filled"] == held.get(row["symbol_key"], 0), (key, row)
        wrong = self.desk.all(
            """
            SELECT orders.id FROM orders LEFT JOIN fills ON fills.order_id = orders.id
             GROUP BY orders.id HAVING coalesce(sum(fills.quantity), 0) <> orders.filled_quantity
            """
        )
        assert wrong == []

    def assert_nothing_was_suspected(self) -> None:
        """Nobody traded past the bots here, so nobody may have been suspected of it."""
        kinds = "('ACCOUNT_MISMATCH', 'EXTERNAL_CLOSE', 'PROTECTION_MISSING')"
        assert self.desk.all(f"SELECT kind, sentence FROM bot_risk_events WHERE kind IN {kinds}") == []
        assert self.desk.all("SELECT * FROM fills WHERE kind <> 'TRADE'") == []

    def assert_promise_kept(self) -> None:
        """Hold everything against everything."""
        self.assert_one_outcome_each()
        self.assert_orders_are_the_planned_ones()
        self.assert_no_leg_traded_more_than_planned()
        self.assert_ledger_is_the_account()
        self.assert_nothing_was_suspected()
