"""Measure how long an alert takes to become an order at the broker while nothing else is to do.

`python -m bench.latency`. One alert at a time through everything that `make run` starts, with one worker;
the local broker, a process of its own, notes by the same clock when an order has reached it.
"""

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench import ground
from bench.running import Floor, await_watch, trading_floor
from bot_database import Row

USERS, BOTS_EACH = 20, 5
PAUSE_SECONDS = 0.15
STEPS = (
    ("HTTP sent → received", "sent", "received_at"),
    ("received → stored", "received_at", "stored_at"),
    ("stored → decided", "stored_at", "decided_at"),
    ("decided → leg sized", "decided_at", "started_at"),
    ("leg sized → at the broker", "started_at", "at_broker"),
    ("received → at the broker", "received_at", "at_broker"),
    ("at the broker → answer recorded", "at_broker", "acknowledged_at"),
    ("received → outcome recorded", "received_at", "finished_at"),
)
_TIMES = """
    SELECT signals.uuid, signals.state, client_order_id,
           extract(epoch FROM signals.received_at)::float AS received_at,
           extract(epoch FROM signals.stored_at)::float AS stored_at,
           extract(epoch FROM signals.decided_at)::float AS decided_at,
           extract(epoch FROM legs.started_at)::float AS started_at,
           extract(epoch FROM orders.acknowledged_at)::float AS acknowledged_at,
           extract(epoch FROM signals.finished_at)::float AS finished_at
      FROM signals LEFT JOIN plans ON plans.signal_id = signals.id LEFT JOIN legs ON legs.plan_id = plans.id
      LEFT JOIN orders ON orders.leg_id = legs.id WHERE signals.uuid::text = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Passed:
    """What one pass over all bots took: per signal, seconds since 1970 by the name of the moment."""

    name: str
    signals: list[Row]


def run_pass(floor: Floor, name: str, action: str) -> Passed:
    """Send an alert to each bot, one at a time, and gather when each step was taken."""
    connection = http.client.HTTPConnection("127.0.0.1", floor.port, timeout=10)
    sent: dict[str, float] = {}
    for number, (path, body) in enumerate(floor.alerts(action)):
        before, uuid = _post(connection, path, body | {"comment": f"{name} {number}"})
        sent[uuid] = before
        time.sleep(PAUSE_SECONDS)
    connection.close()
    time.sleep(3)
    arrived = {order["client_order_id"]: float(order["received_at"]) for order in floor.stack.broker.orders()}
    with floor.database.transaction() as transaction:
        rows = transaction.all(_TIMES, (list(sent),))
    for row in rows:
        row |= {"sent": sent[str(row["uuid"])], "at_broker": arrived.get(row["client_order_id"])}
    bad = [row for row in rows if row["state"] != "EXECUTED" or row["at_broker"] is None]
    if bad or len(rows) != len(sent):
        raise SystemExit(
            f"{name}: {len(rows)} of {len(sent)} signals, {len(bad)} of them not executed: {bad[:2]}"
        )
    return Passed(name, rows)


def _post(connection: http.client.HTTPConnection, path: str, body: dict[str, Any]) -> tuple[float, str]:
    before = time.time()
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json; charset=utf-8"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    if answer.status != 202:
        raise SystemExit(f"an alert was not accepted: {answer.status} {said}")
    return before, said["signal_id"]


def show(passes: Sequence[Passed]) -> None:
    """Print how long each step took."""
    head = ("step", "p50 ms", "p95 ms", "p99 ms", "max ms")
    for each in passes:
        rows = [(step, *ground.spread([row[end] - row[begin] for row in each.signals]))
                for step, begin, end in STEPS]  # fmt: skip
        ground.table(
            f"{each.name}: {len(each.signals)} alerts, one at a time ({ground.load_words()})", head, rows
        )


def main() -> None:
    """Run the passes and print them."""
    with trading_floor(users=USERS, bots_each=BOTS_EACH, workers=1) as floor:
        await_watch(floor)
        show([run_pass(floor, "First entry of each bot (nothing known of the symbol yet)", "buy")])
        show([run_pass(floor, "Exit", "close")])
        show([run_pass(floor, "Entry", "buy")])
        print("  aim: received → at the broker, p50 below 25 ms")


if __name__ == "__main__":
    main()
