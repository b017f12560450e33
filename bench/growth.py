"""Measure what grows with the bots and with the trades that are stored.

`python -m bench.growth bots` compares 10, 1,000 and 10,000 bots, `python -m bench.growth trades` 10,000 and
1,000,000 trades of 1,000 bots. Each size has a house of its own (bench/paper_house.py); they take turns, and
while one is measured the others stand still, so that the ratios are of one run.
"""

import http.client
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import ground, growth_queries, load
from bench.paper_house import SYMBOLS, PaperHouse, alert, grow, paper_house, token_of_each
from bench.trade_history import trade

BOTS = {"10 bots": (10, 1), "1,000 bots": (100, 10), "10,000 bots": (1000, 10)}
TRADES = {"10,000 trades": 10, "1,000,000 trades": 1000}
ROUNDS = 2
MEASURED, ALERTS, TURNS, BAR = 10, 80, 16, 300
PAUSE_SECONDS, SETTLING_SECONDS, IDLE_SECONDS = 0.08, 2, 12
WATCHED_WITHIN_SECONDS, DONE_WITHIN_SECONDS = 240, 60
CONNECTIONS = 8
PARTS = ("jobs", "broker_watch")
_TIMES = """
    SELECT signals.uuid::text AS uuid, signals.state, signals.code,
           extract(epoch FROM paper_orders.submitted_at)::float AS at_broker
      FROM signals LEFT JOIN plans ON plans.signal_id = signals.id LEFT JOIN legs ON legs.plan_id = plans.id
      LEFT JOIN orders ON orders.leg_id = legs.id LEFT JOIN paper_orders USING (connection_id, client_order_id)
     WHERE signals.uuid::text = ANY(%s)
"""
_DONE = """
    SELECT count(*) FILTER (WHERE state = 'EXECUTED') AS executed, count(finished_at) AS finished,
           extract(epoch FROM max(finished_at))::float AS last
      FROM signals WHERE received_at >= to_timestamp(%s)
"""
_ENDS = """
    SELECT state, code, min(sentence) AS sentence, count(*) FROM signals
     WHERE received_at >= to_timestamp(%s) GROUP BY 1, 2 ORDER BY 4
"""
_NOT_LOOKED_AT = """
    SELECT count(*) FROM user_bot_configs AS bots
      LEFT JOIN position_snapshots AS shown
        ON shown.connection_id = bots.connection_id AND shown.symbol = bots.symbol
     WHERE bots.quantity <> 0 AND coalesce(shown.taken_at, '-infinity') < to_timestamp(%s)
"""
_UNSEEN = "SELECT count(*) FROM user_api_keys WHERE reconciled_at IS NULL"
_FLAT = """
    SELECT bots.symbol, bots.user_id FROM user_bot_configs AS bots
     WHERE quantity = 0 AND id <> ALL(%s) ORDER BY md5(id::text) LIMIT %s
"""


@dataclass(slots=True, kw_only=True)
class Size:
    """A house of some size, its measured bots, and what each visit found."""

    name: str
    house: PaperHouse
    ten: list[tuple[str, str]] = field(default_factory=list)
    bar: list[tuple[str, str]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    tens: list[float] = field(default_factory=list)
    bars: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    idle: list[dict[str, float]] = field(default_factory=list)
    each_alert: list[dict[str, float]] = field(default_factory=list)
    queries: dict[str, list[float]] = field(default_factory=dict)
    visits: int = 0
    sent: int = 0


def prepare(size: Size, *, users: int, bots_each: int, trades_each: int = 0) -> None:
    """Make the bots, half of them holding something, with their past, and wait until each account was seen."""
    database = size.house.database
    grow(database, users=users, bots_each=bots_each)
    with database.transaction() as transaction:
        rows = transaction.all("SELECT id, user_id, symbol FROM user_bot_configs ORDER BY user_id, id")
    first = {row["user_id"]: row for row in reversed(rows)}
    measured = [first[user] for user in sorted(first)[:MEASURED]]
    ids = {row["id"] for row in measured}
    if trades_each:
        trade(database, [row["id"] for row in rows], turns=trades_each)
    crowd = [row["id"] for row in rows if row["id"] not in ids]
    if crowd:
        trade(database, crowd[::2], turns=1)
    tokens = dict(zip(sorted(first), token_of_each(database, size.house.vault, users), strict=True))
    size.ten = [(tokens[row["user_id"]], row["symbol"]) for row in measured]
    with database.transaction() as transaction:
        size.bar = [
            (tokens[row["user_id"]], row["symbol"]) for row in transaction.all(_FLAT, (list(ids), BAR))
        ]
    size.house.start(*PARTS)
    print(f"{size.name}: every account was looked at within {_await_watch(size.house):.0f} s", flush=True)
    size.house.halt()


def _await_watch(house: PaperHouse) -> float:
    began = time.monotonic()
    while time.monotonic() - began < WATCHED_WITHIN_SECONDS:
        with house.database.transaction() as transaction:
            if not transaction.value(_UNSEEN):
                return time.monotonic() - began
        time.sleep(0.5)
    raise SystemExit("the broker watch did not come to every account")


def visit(size: Size) -> None:
    """Let a house go on, measure everything once, and let it stand still again."""
    size.house.go_on()
    size.looks.append(_round_of_looks(size.house))
    time.sleep(SETTLING_SECONDS)
    _idle(size)
    _one_at_a_time(size)
    before = size.house.processor_seconds()
    _ten_at_once(size)
    after, alerts = size.house.processor_seconds(), TURNS * MEASURED
    size.each_alert.append({name: (after[name] - before[name]) / alerts for name in before})
    if size.bar:
        action = "buy" if size.visits % 2 == 0 else "close"
        size.bars.append(_bar(size, [alert(*each, action) for each in size.bar]))
    growth_queries.time_pages(size.house.database, size.queries)
    size.visits += 1
    size.house.halt()


def _idle(size: Size) -> None:
    before, began = size.house.processor_seconds(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    after, seconds = size.house.processor_seconds(), time.monotonic() - began
    size.idle.append({name: (after[name] - before[name]) / seconds for name in before})


def _round_of_looks(house: PaperHouse) -> float:
    """Return how long the watch takes to look at every position once: all are due, it stood still before."""
    began, since = time.monotonic(), time.time()
    while time.monotonic() - began < DONE_WITHIN_SECONDS:
        with house.database.transaction() as transaction:
            if not transaction.value(_NOT_LOOKED_AT, (since,)):
                break
        time.sleep(0.2)
    return time.monotonic() - began


def _in_turn(bots: Sequence[tuple[str, str]], count: int) -> list[load.Target]:
    """Return alerts for the bots in turn; each enters and leaves again, and is flat at the end."""
    actions = ("buy", "close")
    return [alert(*bots[number % len(bots)], actions[number // len(bots) % 2]) for number in range(count)]


def _one_at_a_time(size: Size) -> None:
    sent: dict[str, float] = {}
    with closing(_Sender(size)) as sender:
        for target in _in_turn(size.ten, ALERTS):
            uuid, before = sender.send(target)
            sent[uuid] = before
            time.sleep(PAUSE_SECONDS)
    time.sleep(2)
    with size.house.database.transaction() as transaction:
        rows = transaction.all(_TIMES, (list(sent),))
    lost = [row for row in rows if row["at_broker"] is None]
    if lost or len(rows) != len(sent):
        raise SystemExit(f"{size.name}: {len(rows)} of {len(sent)} signals, without an order: {lost[:3]}")
    size.latencies += [row["at_broker"] - sent[row["uuid"]] for row in rows]


def _ten_at_once(size: Size) -> None:
    """Send each of the ten bots an alert, wait until all are traded, and again."""
    targets = _in_turn(size.ten, TURNS * MEASURED)
    with closing(_Sender(size)) as sender:
        for turn in range(TURNS):
            began = time.time()
            for target in targets[turn * MEASURED : (turn + 1) * MEASURED]:
                sender.send(target)
            size.tens.append(_traded_per_second(size, began, MEASURED))


class _Sender:
    """One kept connection to the webhook server, and a number for each message so that none is a copy."""

    def __init__(self, size: Size) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", size.house.port, timeout=20)
        self._size = size

    def send(self, target: load.Target) -> tuple[str, float]:
        """Send an alert; return its signal's id and when it was sent."""
        path, body = target
        self._size.sent += 1
        words = json.dumps(body | {"comment": f"number {self._size.sent}"})
        before = time.time()
        self._connection.request("POST", path, words, {"Content-Type": "application/json; charset=utf-8"})
        return json.loads(self._connection.getresponse().read())["signal_id"], before

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _bar(size: Size, targets: list[load.Target]) -> float:
    """Send alerts as fast as they are taken and return how many a second were traded to their end."""
    plan = load.Plan(port=size.house.port, targets=targets, connections=CONNECTIONS, count=len(targets),
                     first_number=int(time.time()))  # fmt: skip
    return _traded_per_second(size, load.send(plan).began_at, len(targets))


def _traded_per_second(size: Size, began: float, count: int) -> float:
    """Wait until so many signals have their outcome; return how many a second were executed."""
    deadline = time.monotonic() + DONE_WITHIN_SECONDS
    while True:
        with size.house.database.transaction() as transaction:
            done = transaction.one(_DONE, (began,))
        if done["finished"] >= count or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    if done["executed"] != count:
        _say_ends(size, began)
    return float(done["executed"] / (done["last"] - began))


def _say_ends(size: Size, since: float) -> None:
    with size.house.database.transaction() as transaction:
        ends = transaction.all(_ENDS, (since,))
    said = ", ".join(f"{end['count']} {end['state']} {end['code']}: {end['sentence']}" for end in ends)
    print(f"  {size.name}, not all executed: {said}", flush=True)


def show(sizes: Sequence[Size]) -> None:
    """Print what each size took, and the largest against the smallest."""
    rows = list(_rows(sizes))
    head = ("", *(size.name for size in sizes), "last : first")
    ground.table(f"Growth, {sizes[0].visits} visits each ({ground.load_words()})", head, rows)


def _rows(sizes: Sequence[Size]) -> Iterator[list[str]]:
    for percent in (50, 99):
        yield _row(f"alert → order at the paper broker, p{percent}, ms",
                   [1000 * ground.percentile(size.latencies, percent) for size in sizes])  # fmt: skip
    yield _row("alerts traded per second, ten at once", [statistics.median(size.tens) for size in sizes])
    full = [size for size in sizes if len(size.bar) == BAR]
    if len(full) > 1:
        cells = [statistics.median(size.bars) if size in full else None for size in sizes]
        yield _row(f"alerts traded per second, {BAR} at once", cells)
    yield _row("every position looked at once, s", [max(size.looks) for size in sizes])
    for part in sizes[0].idle[0]:
        yield _row(f"processor while nothing comes, {part}, % of a core",
                   [100 * statistics.median(each[part] for each in size.idle) for size in sizes])  # fmt: skip
    for part in sizes[0].each_alert[0]:
        yield _row(f"processor for each alert, {part}, ms",
                   [1000 * statistics.median(each[part] for each in size.each_alert) for size in sizes])  # fmt: skip
    for name in sizes[0].queries:
        yield _row(f"{name}, ms", [1000 * statistics.median(size.queries[name]) for size in sizes])


def _row(name: str, values: Sequence[float | None]) -> list[str]:
    known = [value for value in values if value is not None]
    ratio = f"{known[-1] / known[0]:.2f}" if known[0] else ""
    return [name, *("" if value is None else f"{value:.1f}" for value in values), ratio]


@contextmanager
def houses(names: Sequence[str]) -> Iterator[list[Size]]:
    """Start a house for each size; at the end nothing of them is left."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dashtrade-bench-")))
        folder.chmod(0o755)
        yield [
            Size(name=name, house=stack.enter_context(paper_house(folder / str(number))))
            for number, name in enumerate(names)
        ]


def main(what: str) -> None:
    """Measure one kind of growth."""
    with houses(list(BOTS if what == "bots" else TRADES)) as sizes:
        for size in sizes:
            users, bots_each = BOTS.get(size.name, (100, len(SYMBOLS)))
            prepare(size, users=users, bots_each=bots_each, trades_each=TRADES.get(size.name, 0))
        print(
            f"one durable commit {ground.commit_milliseconds(sizes[0].house.database):.2f} ms; {ground.load_words()}"
        )
        for _ in range(ROUNDS):
            for size in sizes:
                visit(size)
        show(sizes)


if __name__ == "__main__":
    if sys.argv[1:] not in (["bots"], ["trades"]):
        raise SystemExit(__doc__)
    main(sys.argv[1])
