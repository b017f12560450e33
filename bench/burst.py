"""Measure a bar's close: 1,000 alerts for 1,000 bots of 100 users within one second, two workers.

`python -m bench.burst`. Everything that `make run` starts runs, and the local broker beside it.
"""

import time

from bench import ground, load
from bench.parts import Part
from bench.running import Floor, await_watch, trading_floor

USERS, BOTS_EACH, WORKERS = 100, 10, 2
CONNECTIONS = 16
PATIENCE_SECONDS = 120


def burst(floor: Floor, action: str = "buy") -> None:
    """Send one alert to each bot within a second, wait for every outcome and print what came of it."""
    targets = floor.alerts(action)
    words = ground.load_words()
    before, parts, transactions = floor.finished(), floor.parts(), floor.transactions()
    plan = load.Plan(
        port=floor.port, targets=targets, connections=CONNECTIONS, count=len(targets),
        seconds=2 * len(targets) / 1000, per_second=1000.0, first_number=int(time.time()),
    )  # fmt: skip
    result = load.send(plan)
    floor.wait_until_done(before + len(targets), PATIENCE_SECONDS)
    arrivals = sorted(
        float(order["received_at"]) - result.began_at
        for order in floor.stack.broker.orders() if float(order["received_at"]) >= result.began_at
    )  # fmt: skip
    _show(floor, result, arrivals, len(targets), words)
    _show_cost(floor, parts, transactions, len(targets))


def _show(floor: Floor, result: load.Result, arrivals: list[float], wanted: int, words: str) -> None:
    answered = result.ended_at - result.began_at
    rows = [
        ("alerts sent within", f"{result.last_sent_at - result.began_at:.2f} s"),
        ("answered 202", f"{result.accepted()} of {wanted}"),
        ("last answer after", f"{answered:.2f} s"),
        ("answers p50 / p99", f"{1000 * ground.percentile(result.latencies, 50):.0f} /"
                              f" {1000 * ground.percentile(result.latencies, 99):.0f} ms"),
        ("orders at the broker", f"{len(arrivals)} of {wanted}"),
        *((f"{share} % of the orders after", f"{ground.percentile(arrivals, share):.2f} s") for share in (50, 90, 99)),
        ("last order at the broker after", f"{arrivals[-1]:.2f} s (aim 6 s)"),
    ]  # fmt: skip
    ground.table(f"Burst of {wanted} alerts ({words})", ("", "measured"), rows)
    with floor.database.transaction() as transaction:
        ends = transaction.all(
            "SELECT state, code, count(*) FROM signals WHERE received_at >= to_timestamp(%s) GROUP BY 1, 2 ORDER BY 3",
            (result.began_at,),
        )
    print("  outcomes: " + ", ".join(f"{end['count']} {end['state']} {end['code']}" for end in ends))
    if result.accepted() != wanted or len(arrivals) != wanted:
        print("  SOMETHING IS MISSING: " + floor.stack.written()[-2000:])


def _show_cost(floor: Floor, before: dict[str, Part], transactions: int, alerts: int) -> None:
    time.sleep(2)
    after = floor.parts()
    spent = {name: after[name].seconds - before[name].seconds for name in before.keys() & after.keys()}
    rows = [
        (name, f"{seconds:.1f} s", f"{1000 * seconds / alerts:.1f} ms") for name, seconds in spent.items()
    ]
    ground.table("Processor time from the first alert to the last outcome", ("part", "in all", "per alert"),
                 sorted(rows, key=lambda row: -spent[row[0]]))  # fmt: skip
    print(f"  transactions per alert: {(floor.transactions() - transactions) / alerts:.0f}")


def main() -> None:
    """Start everything, let a burst of entries and then one of exits go through it."""
    with trading_floor(users=USERS, bots_each=BOTS_EACH, workers=WORKERS) as floor:
        await_watch(floor)
        burst(floor)


if __name__ == "__main__":
    main()
