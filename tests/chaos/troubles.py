"""Make the trouble of a script, each at its time; what lasts is ended in time, whatever else happens."""

import contextlib
import json
import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg2

from tests.chaos import parts
from tests.chaos.cast import PERPETUALS
from tests.chaos.line import Wire
from tests.chaos.script import Strike
from tests.chaos.stage import Stage, set_perpetual
from tests.discord_server.answers import Answer, Cut

LONGEST_RETURN_SECONDS = 60.0
EACH_AT_MOST = 6
FALL = Decimal("0.93")
STOCKS = {"NVDA": Decimal(120), "META": Decimal(500), "AMD": Decimal(150)}
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
HALF_JSON = '{"code": "0", "data": [{"orderId": "1000'
HELD = '{"code": 40310000, "message": "insufficient qty available for order", "held_for_orders": "1"}'
ORDERS, BY_ID = "/v2/orders", "/v2/orders:by_client_order_id"
# Each strikes at chance while the trouble lasts.
WRONG_ALPACA: tuple[dict[str, object], ...] = (
    {"kind": "answer_after", "status": 504},
    {"kind": "drop_after"},
    {"kind": "drop_before"},
    {"kind": "delay_after", "delay": 4.0},
    {"kind": "answer_after", "status": 200, "body": BAD_GATEWAY},
    {"kind": "answer_after", "status": 200, "body": "{}"},
    {"kind": "answer_after", "status": 200, "body": HALF_JSON},
    {"kind": "half_after"},
    {"kind": "half_after", "method": "GET", "path": "*"},
    {"kind": "answer_before", "status": 429, "headers": {"Retry-After": "1"}},
    {"kind": "answer_before", "status": 403, "body": HELD},
    {"kind": "answer_before", "method": "GET", "path": BY_ID, "status": 500},
    {"kind": "answer_before", "method": "GET", "path": "/v2/positions*", "status": 502},
    {"kind": "answer_before", "method": "GET", "path": "/v2/positions*", "status": 200, "body": "{}"},
    {"kind": "answer_before", "method": "GET", "path": "/v2/account", "status": 200, "body": "[]"},
    {"kind": "drop_before", "method": "GET", "path": "/v2/stocks/*"},
)
ORDER, TRADE = "/api/v1/trade/order", "/api/v1/trade/*"
BUSY = json.dumps({"code": "429", "msg": "Too Many Requests", "data": None})
WRONG_BLOFIN: tuple[dict[str, object], ...] = (
    {"kind": "answer_after", "method": "POST", "path": ORDER, "status": 504},
    {"kind": "drop_after", "method": "POST", "path": ORDER},
    {"kind": "drop_before", "method": "POST", "path": ORDER},
    {"kind": "delay_after", "method": "POST", "path": ORDER, "delay": 4.0},
    {"kind": "answer_after", "method": "POST", "path": ORDER, "status": 200, "body": BAD_GATEWAY},
    {"kind": "answer_after", "method": "POST", "path": ORDER, "status": 200, "body": HALF_JSON},
    {"kind": "half_after", "method": "POST", "path": ORDER},
    {"kind": "half_after", "method": "GET", "path": "*"},
    {"kind": "drop_after", "method": "POST", "path": "/api/v1/trade/*tpsl"},
    {"kind": "answer_before", "method": "GET", "path": TRADE, "status": 502},
    {"kind": "answer_before", "method": "GET", "path": "/api/v1/account/positions", "status": 502},
    {"kind": "drop_before", "method": "GET", "path": "/api/v1/account/*"},
    {"kind": "answer_before", "method": "GET", "path": TRADE, "status": 429, "body": BUSY},
)
WRONG_DISCORD = (
    Answer.page(502),
    Answer.too_many(0.5),
    Answer(status=200, body=b'{"id": "1', takes=True),
    Answer(takes=True, cut=Cut.AFTER_READING),
    Answer(cut=Cut.BEFORE_READING),
    Answer(takes=True, delay=3.0),
)

logger = logging.getLogger("chaos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A trouble that was made: when it began and ended (`time.time()`), and to how many it was done."""

    name: str
    began_at: float
    ended_at: float
    hit: int


@dataclass(slots=True)
class Troubles:
    """Make trouble on a stage; `struck` tells what was made.

    `repeat` is set when the MQTT broker was killed, for bots to send again what it may have forgotten.
    """

    stage: Stage
    chances: random.Random
    repeat: threading.Event
    struck: list[Struck] = field(default_factory=list)
    _under_way: list[threading.Thread] = field(default_factory=list)

    def run(self, began: float) -> None:
        """Make every trouble of the script, beginning at a moment of `time.monotonic()`."""
        for strike in self.stage.script.strikes:
            time.sleep(max(0.0, began + strike.at - time.monotonic()))
            thread = threading.Thread(target=self._make, args=(strike,), name=strike.trouble)
            thread.start()
            self._under_way.append(thread)
        for thread in self._under_way:
            thread.join(120)

    def calm(self) -> None:
        """End whatever may still be wrong."""
        for line in self.stage.lines.values():
            line.set(Wire.OPEN)
        self.stage.alpaca.clear_faults()
        self.stage.blofin.clear_faults()
        for part in parts.WORDS:
            for process in parts.processes(self.stage.supervisor, part):
                parts.send(process, signal.SIGCONT)
        self._prices(STOCKS, Decimal(1))

    def _make(self, strike: Strike) -> None:
        makers: dict[str, Callable[[Strike], int]] = {
            "kill": self._kill, "freeze": self._freeze, "stall": self._stall,
            "restart": self._end_database, "crash": self._end_database,
            "deafen": self._deafen, "cut": self._wire, "slow": self._wire, "silence": self._wire,
            "wrong": self._answer_wrongly, "drop": self._drop, "fall": self._fall,
        }  # fmt: skip
        began = time.time()
        hit = makers[strike.trouble.deed](strike)
        name = strike.trouble.value
        self.struck.append(Struck(name=name, began_at=began, ended_at=time.time(), hit=hit))
        logger.info("%s hit %s, for %.1f s", name, hit, time.time() - began)

    def _kill(self, strike: Strike) -> int:
        if strike.trouble.victim == "mosquitto":
            self.stage.mosquitto.kill()
            time.sleep(strike.seconds / 2)
            self.stage.mosquitto.start()
            self.repeat.set()
            return 1
        living = parts.processes(self.stage.supervisor, strike.trouble.victim)
        if not living:
            return 0
        hit = int(parts.send(self.chances.choice(living), signal.SIGKILL))
        self._await_part(strike.trouble.victim, len(living))
        return hit

    def _await_part(self, part: str, count: int) -> None:
        """Return when as many processes of a part run as before; they have still to load."""
        deadline = time.monotonic() + LONGEST_RETURN_SECONDS
        time.sleep(0.2)
        while len(parts.processes(self.stage.supervisor, part)) < count and time.monotonic() < deadline:
            time.sleep(0.2)

    def _freeze(self, strike: Strike) -> int:
        living = parts.processes(self.stage.supervisor, strike.trouble.victim)
        frozen = [each for each in living if parts.send(each, signal.SIGSTOP)]
        time.sleep(strike.seconds)
        for each in frozen:
            parts.send(each, signal.SIGCONT)
        return len(frozen)

    def _stall(self, strike: Strike) -> int:
        """Let one worker stand still while the database lets go of its lanes, and go on when others had them."""
        living = parts.processes(self.stage.supervisor, strike.trouble.victim)
        if len(living) < 2 or not parts.send(stalled := self.chances.choice(living), signal.SIGSTOP):
            return 0
        try:
            time.sleep(0.5)
            self._cut_off(parts.local_ports(stalled))
            time.sleep(strike.seconds)
        finally:
            parts.send(stalled, signal.SIGCONT)
        return 1

    def _cut_off(self, ports: list[int]) -> None:
        """End the database connections that come from these ports, as a server does that gives one up."""
        sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE client_port = ANY(%s)"
        with contextlib.suppress(psycopg2.Error), self.stage.database.transaction() as transaction:
            transaction.value(sql, (ports,))

    def _end_database(self, strike: Strike) -> int:
        """End PostgreSQL: in order, or without a checkpoint as a crash does."""
        how = signal.SIGINT if strike.trouble.deed == "restart" else signal.SIGQUIT
        living = parts.processes(self.stage.supervisor, "database")
        hit = sum(parts.send(each, how) for each in living)
        self._await_database()
        return hit

    def _await_database(self) -> None:
        deadline = time.monotonic() + LONGEST_RETURN_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.2)
            with contextlib.suppress(psycopg2.Error), self.stage.database.transaction() as transaction:
                transaction.value("SELECT 1")
                return

    def _deafen(self, strike: Strike) -> int:
        """Cut every worker's database connections, so that bells are lost and what is under way ends."""
        sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
        try:
            with self.stage.database.transaction() as transaction:
                return int(transaction.value(sql, ("dashtrade worker",)))
        except psycopg2.Error:
            return 0

    def _wire(self, strike: Strike) -> int:
        wire = {"cut": Wire.CUT, "slow": Wire.SLOW, "silence": Wire.SILENT}[strike.trouble.deed]
        line = self.stage.lines[strike.trouble.victim]
        line.set(wire)
        time.sleep(strike.seconds)
        line.set(Wire.OPEN)
        return 1

    def _answer_wrongly(self, strike: Strike) -> int:
        victim = strike.trouble.victim
        if victim == "discord":
            hooks = [user.hook for user in self.stage.script.users]
            self.stage.discord.fail(hooks, [self.chances.choice(WRONG_DISCORD)])
            return len(hooks)
        control = self.stage.alpaca if victim == "alpaca" else self.stage.blofin
        faults = WRONG_ALPACA if victim == "alpaca" else WRONG_BLOFIN
        for fault in faults:
            control.fault(
                **{"method": "POST", "path": ORDERS, "count": EACH_AT_MOST, "chance": 0.25, **fault}
            )  # type: ignore[arg-type]
        time.sleep(strike.seconds * 2)
        left = sum(int(each["count"]) for each in control.faults())
        control.clear_faults()
        return EACH_AT_MOST * len(faults) - left

    def _drop(self, strike: Strike) -> int:
        if strike.trouble.victim == "alpaca":
            return self.stage.alpaca.drop_streams()
        self.stage.discord.gateway.drop()
        return 1

    def _fall(self, strike: Strike) -> int:
        """Let prices fall through the stops of all who are long, and rise again."""
        prices = (
            STOCKS if strike.trouble.victim == "alpaca" else {k: Decimal(v) for k, v in PERPETUALS.items()}
        )
        self._prices(prices, FALL)
        time.sleep(strike.seconds)
        self._prices(prices, Decimal(1))
        return len(prices)

    def _prices(self, prices: dict[str, Decimal], factor: Decimal) -> None:
        for symbol, price in prices.items():
            bid = price * factor
            if symbol in PERPETUALS:
                set_perpetual(self.stage.blofin, symbol, bid)
            else:
                self.stage.alpaca.price(symbol, f"{bid:.2f}", f"{bid + Decimal('0.02'):.2f}")
