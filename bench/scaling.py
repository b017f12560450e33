"""Measure two webhook servers and four workers against one of each, all against one PostgreSQL.

`python -m bench.scaling`, some minutes; `--short` measures less of everything. Every process has a machine of its
own as far as one machine can play that: a network namespace (as root; else processes on the loopback, which can
neither be cut off nor be far away). What is compared runs in turns, in one run.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench import ground
from bench.scaling_books import judge, order_seconds, signals_of
from bench.scaling_client import Alert, Answer, Errand, send
from bench.scaling_faults import Faults
from bench.scaling_machines import NoNamespaces
from bench.scaling_stage import Seat, Side, Stage, staged
from bench.scaling_waits import Waits, commits, connections, watching_waits

USERS, BOTS_EACH = 40, 5
CONNECTIONS = 16
ONE, MANY = "1 + 1", "2 + 4"
SETTLE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    warm: int = 2
    rounds: int = 3
    accept_seconds: float = 2.5
    burst: int = 160
    steady_seconds: float = 4.0
    per_second: float = 8.0
    slow_rounds: int = 2
    one_way_seconds: tuple[float, ...] = (0.0005, 0.0025)


SHORT = Size(
    warm=1,
    rounds=1,
    accept_seconds=1.0,
    burst=40,
    steady_seconds=2.0,
    slow_rounds=2,
    one_way_seconds=(0.0005, 0.0025),
)


@dataclass(slots=True, kw_only=True)
class Figures:
    """What one side showed over its rounds: of each burst the orders a second, of each alert the seconds."""

    name: str
    rates: list[float] = field(default_factory=list)
    burst: list[float] = field(default_factory=list)
    steady: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    orders: int = 0
    spent: dict[str, float] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    waits: Waits = field(default_factory=Waits)


def accept(stage: Stage, size: Size) -> None:
    """Let one server and two take alerts as fast as they can; nobody carries these out."""
    side = stage.side("taking", webs=2, workers=0)
    shown = {"1 server": side.servers[:1], "2 servers": side.servers}
    rates: dict[str, list[float]] = {name: [] for name in shown}
    seconds: dict[str, list[float]] = {name: [] for name in shown}
    waits = Waits()
    taken = 0
    for turn in range(size.rounds + 1):
        for name, servers in shown.items():
            with watching_waits(stage.url(side.name), waits):
                answers = _flat_out(stage, side, servers, size.accept_seconds)
            taken += sum(answer.status == 202 for answer in answers)
            if turn:
                rates[name].append(len(answers) / size.accept_seconds)
                seconds[name] += [answer.seconds for answer in answers]
    head = ("", "taken/s, median", "rounds", "p50 ms", "p95", "p99", "max")
    rows = [
        (name, f"{statistics.median(rates[name]):.0f}", " ".join(f"{rate:.0f}" for rate in rates[name]),
         *ground.spread(seconds[name]))
        for name in shown
    ]  # fmt: skip
    ground.table(f"Alerts taken, flat out ({ground.load_words()})", head, rows)
    with side.database.transaction() as transaction:
        stored = transaction.value("SELECT count(*) FROM signals WHERE number IS NOT NULL")
    print(f"  answered 202: {taken}; stored: {stored}")
    ground.table("PostgreSQL's sessions meanwhile", ("", "sessions"), waits.rows())
    stage.stop(side)


def _flat_out(stage: Stage, side: Side, servers: list[tuple[str, int]], seconds: float) -> list[Answer]:
    errand = Errand(
        servers=servers, series=[[seat.alert("buy")] for seat in stage.seats], connections=CONNECTIONS,
        seconds=seconds, first_number=side.next_number, again=True,
    )  # fmt: skip
    answers = send(errand)
    side.next_number += 1_000_000
    return answers


def trade(stage: Stage, title: str, sides: dict[str, Side], rounds: int, size: Size) -> list[Figures]:
    """Let each side carry out bursts and a steady stream of alerts in turns, and show how it went."""
    figures = {name: Figures(name=name) for name in sides}
    for turn in range(size.warm + rounds):
        for name, side in sides.items():
            if turn < size.warm:
                # Not counted: connections are opened, statements planned
                figures[name].answers += _sent(side, _series(turn, stage.seats[: size.burst]), None)
            else:
                _burst(stage, side, figures[name], size, turn)
                _steady(stage, side, figures[name], size, turn)
    _show_trades(title, list(figures.values()))
    for name, side in sides.items():
        ground.table(f"Connections of {name} to PostgreSQL", ("", "open"), connections(side))
        print(f"  books of {name}: {judge(side.database, figures[name].answers)}")
    return list(figures.values())


def _burst(stage: Stage, side: Side, figures: Figures, size: Size, turn: int) -> None:
    before = stage.processor_seconds()
    with watching_waits(stage.url(side.name), figures.waits):
        answers = _sent(side, _series(turn, stage.seats[: size.burst]), None)
    after = stage.processor_seconds()
    for part, seconds in after.items():
        figures.spent[part] = figures.spent.get(part, 0.0) + seconds - before[part]
    seconds_each, rate = order_seconds(signals_of(side.database), answers)
    figures.orders += len(seconds_each)
    figures.rates.append(rate)
    figures.burst += seconds_each
    figures.answers += answers


def _steady(stage: Stage, side: Side, figures: Figures, size: Size, turn: int) -> None:
    # Bots that have no part in the bursts
    count = int(size.steady_seconds * size.per_second)
    series = _series(turn - size.warm, stage.seats[-count:])
    answers = _sent(side, series, size.per_second)
    figures.steady += order_seconds(signals_of(side.database), answers)[0]
    figures.answered += [answer.seconds for answer in answers]
    figures.answers += answers


def _series(turn: int, seats: Sequence[Seat]) -> list[list[Alert]]:
    """Return an alert for each of some bots: to buy and to close in turns."""
    action = "close" if turn % 2 else "buy"
    return [[seat.alert(action)] for seat in seats]


def _sent(side: Side, series: list[list[Alert]], per_second: float | None) -> list[Answer]:
    before = side.finished()
    answers = send(
        Errand(servers=side.servers, series=series, connections=CONNECTIONS, per_second=per_second,
               first_number=side.next_number)
    )  # fmt: skip
    side.next_number += len(answers)
    side.wait_until_finished(before + len(answers), SETTLE_SECONDS)
    return answers


def _show_trades(title: str, figures: Sequence[Figures]) -> None:
    head = ("", *(each.name for each in figures))
    rows = [
        ("orders/s in a burst, median", *(f"{statistics.median(each.rates):.1f}" for each in figures)),
        ("the rounds", *(" ".join(f"{rate:.1f}" for rate in each.rates) for each in figures)),
        ("burst: alert → order p50 / p99 s", *(_two(each.burst, 1.0, 2) for each in figures)),
        ("steady: alert → answer p50 / p99 ms", *(_two(each.answered, 1000.0, 0) for each in figures)),
        ("steady: alert → order p50 / p99 ms", *(_two(each.steady, 1000.0, 0) for each in figures)),
    ]
    for part in figures[0].spent:
        rows.append(
            (
                f"processor ms per alert: {part}",
                *(f"{1000 * each.spent[part] / each.orders:.1f}" for each in figures),
            )
        )
    ground.table(f"{title} ({ground.load_words()})", head, rows)
    for each in figures:
        ground.table(
            f"PostgreSQL's sessions during the bursts of {each.name}", ("", "sessions"), each.waits.rows()
        )


def _two(values: Sequence[float], times: float, digits: int) -> str:
    if not values:
        return "–"
    return " / ".join(f"{times * ground.percentile(values, share):.{digits}f}" for share in (50, 99))


def _both(stage: Stage, suffix: str = "", *, slowly: bool = False) -> dict[str, Side]:
    return {
        ONE: stage.side(f"one{suffix}", webs=1, workers=1, slowly=slowly),
        MANY: stage.side(f"many{suffix}", webs=2, workers=4, slowly=slowly),
    }


def far(stage: Stage, size: Size) -> None:
    """Measure both with a database that is far away, where waiting limits and not the processors."""
    if not stage.machines.separate:
        return
    for number, one_way in enumerate(size.one_way_seconds):
        line = stage.machines.slow_line(stage.server_machine, one_way)
        sides = _both(stage, f"_far{number}", slowly=True)
        trade(
            stage,
            f"A round trip to PostgreSQL made {2000 * one_way:.0f} ms longer",
            sides,
            size.slow_rounds,
            size,
        )
        for side in sides.values():
            stage.stop(side)
        line.kill()
        line.wait(10)


def show_commits(stage: Stage, _size: Size) -> None:
    """Show how many commits a second PostgreSQL makes here, plain and with a bell."""
    rows = [(name, alone, together, f"{together / alone:.1f}") for name, alone, together in commits(stage)]
    ground.table(
        f"Commits a second by pgbench ({ground.load_words()})",
        ("each commits", "1 session", "16 sessions", "times"),
        rows,
    )


def near(stage: Stage, size: Size) -> None:
    """Measure both sides with PostgreSQL beside them."""
    sides = _both(stage)
    trade(stage, "PostgreSQL beside them", sides, size.rounds, size)
    for side in sides.values():
        stage.stop(side)


def faults(stage: Stage, _size: Size) -> None:
    """Let things die on a side of two servers, four workers and two broker watches."""
    side = stage.side("dying", webs=2, workers=4)
    stage.add_watches(side, 2)
    Faults(stage, side).run()
    stage.stop(side)


PARTS = {"accept": accept, "near": near, "faults": faults, "far": far, "commits": show_commits}


def measure(stage: Stage, size: Size, parts: Sequence[str]) -> None:
    """Measure what is asked for."""
    print(ground.load_words(), flush=True)
    for name in parts:
        PARTS[name](stage, size)
    print(ground.load_words())


def main() -> None:
    """Prepare, measure, and take everything away again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="measure a little of everything")
    parser.add_argument("--processes", action="store_true", help="make no network namespaces")
    parser.add_argument("parts", nargs="*", help="of " + ", ".join(PARTS) + "; all if none is named")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no {', '.join(unknown)}")
    # So that PostgreSQL is stopped then, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    size = SHORT if options.short else Size()
    began = time.monotonic()
    try:
        with staged(users=USERS, bots_each=BOTS_EACH, separate=not options.processes) as stage:
            measure(stage, size, options.parts or list(PARTS))
    except NoNamespaces as error:
        raise SystemExit(
            f"No network namespaces can be made here ({error}): be root, or use --processes, which measures on the"
            " loopback and leaves out cutting off and distance."
        ) from error
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
