"""Measure how quickly alerts are accepted, beside another program that takes them.

`python -m bench.peers CHECKOUT [rounds]`, where CHECKOUT is one of robswc/tradingview-webhooks-bot; nothing is
fetched. It takes some four minutes. See README.md beside this file.
"""

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import ground, load
from bench.paper_house import SYMBOLS, PaperHouse, alert, grow, paper_house, token_of_each
from bench.peers.tradingview_webhooks_bot import Running, running
from tests.end_to_end.stack import _free_ports

USERS, BOTS_EACH = 100, 10
CONNECTIONS = 16
ROUNDS, SECONDS = 4, 4.0
PARTS = ("jobs", "broker_watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How alerts are sent: at a rate or flat out, each over a connection of its own or not."""

    name: str
    per_second: float | None = None
    kept: bool = False


KINDS = (
    Kind(name="100/s", per_second=100.0),
    Kind(name="300/s", per_second=300.0),
    Kind(name="flat out"),
    Kind(name="flat out, connections kept", kept=True),
)


@dataclass(slots=True, kw_only=True)
class Contender:
    """One server with the alerts it gets, what came of them by kind, and what goes before and after."""

    name: str
    port: int
    targets: list[load.Target]
    status: int
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    sent: int = 0
    accepted: int = 0
    results: dict[str, list[load.Result]] = field(default_factory=dict)

    def run(self, kind: Kind, seconds: float = SECONDS) -> load.Result:
        """Send alerts of a kind and return what came of them."""
        plan = load.Plan(
            port=self.port, targets=self.targets, connections=CONNECTIONS, seconds=seconds,
            per_second=kind.per_second, kept=kind.kept, first_number=self.sent,
        )  # fmt: skip
        self.before()
        result = load.send(plan)
        self.after()
        self.sent += sum(result.statuses.values())
        self.accepted += result.accepted(self.status)
        return result

    def take_part(self, kind: Kind) -> None:
        """Run once and keep it."""
        self.results.setdefault(kind.name, []).append(self.run(kind))

    def row(self, kind: Kind) -> list[str]:
        """Return what the table says of a kind."""
        results = self.results[kind.name]
        latencies = [latency for result in results for latency in result.latencies]
        failed = sum(sum(result.statuses.values()) - result.accepted(self.status) for result in results)
        rates = [result.accepted(self.status) / (result.ended_at - result.began_at) for result in results]
        p50, p99 = (f"{1000 * ground.percentile(latencies, percent):.1f}" for percent in (50, 99))
        return [self.name, _spread(rates, "{:.0f}"), p50, p99, str(failed)]


def _spread(values: list[float], form: str) -> str:
    middle, least, most = (
        form.format(value) for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({least} to {most})"


def measure(contenders: list[Contender], rounds: int) -> None:
    """Run every kind with every contender in turn, round after round, and print the tables."""
    for each in contenders:
        each.run(KINDS[-1], seconds=2.0)
    for _ in range(rounds):
        for kind in KINDS:
            for each in contenders:
                each.take_part(kind)
    for kind in KINDS:
        head = (kind.name, "accepted/s", "p50 ms", "p99 ms", "failures")
        ground.table(f"{rounds} rounds of {SECONDS:.0f} s ({ground.load_words()})", head,
                     [each.row(kind) for each in contenders])  # fmt: skip
        theirs = contenders[0].results[kind.name]
        for each in contenders[1:]:
            _show_ratios(each.name, theirs, each.results[kind.name], rate=kind.per_second is None)


def _show_ratios(name: str, theirs: list[load.Result], ours: list[load.Result], *, rate: bool) -> None:
    pairs = list(zip(theirs, ours, strict=True))
    said = []
    if rate:
        said.append("alerts/s " + _spread([a.per_second / b.per_second for a, b in pairs], "{:.2f}"))
    for percent in (50, 99):
        times = [_at(b, percent) / _at(a, percent) for a, b in pairs]
        said.append(f"p{percent} {_spread(times, '{:.2f}')} times as quick")
    print(f"  theirs against {name}: {', '.join(said)}")


def _at(result: load.Result, percent: float) -> float:
    return ground.percentile(result.latencies, percent)


def ours(name: str, house: PaperHouse, key: str, *, trading: bool) -> Contender:
    """Return ourselves as a contender; where it trades, worker and watch stand still while others have their turn."""
    grow(house.database, users=USERS, bots_each=BOTS_EACH)
    tokens = token_of_each(house.database, house.vault, USERS)
    targets = [alert(token, symbol, action, key=key)
               for action in ("buy", "close") for symbol in SYMBOLS for token in tokens]  # fmt: skip
    made = Contender(name=name, port=house.port, targets=targets, status=202)
    if trading:
        house.start(*PARTS)
        house.halt()
        made.before, made.after = house.go_on, house.halt
    return made


def check(contender: Contender, house: PaperHouse) -> None:
    """Say whether every accepted alert of ours is stored, and how many were traded by then."""
    with house.database.transaction() as transaction:
        stored = transaction.one(
            "SELECT count(*) AS number, count(*) FILTER (WHERE finished_at IS NOT NULL) AS finished FROM signals"
        )
    print(f"  {contender.name}: {contender.accepted} of {contender.sent} accepted, {stored['number']} stored,"
          f" {stored['finished']} of them traded by now")  # fmt: skip
    if contender.accepted != stored["number"]:
        raise SystemExit("not every accepted alert was stored")


def check_theirs(contender: Contender, peer: Running) -> None:
    """Say for how many alerts its action printed another one's words: each is one too often, the other missing."""
    printed = peer.acted_on()
    again = printed.total() - len(printed)
    print(f"  {contender.name}: {contender.accepted} of {contender.sent} accepted,"
          f" {again} times its action was given an alert that another thread had brought")  # fmt: skip


def main(checkout: Path, rounds: int) -> None:
    """Start all, measure, and take everything away again."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dashtrade-bench-")))
        folder.chmod(0o755)
        trading, storing = (
            stack.enter_context(paper_house(folder / name)) for name in ("trading", "storing")
        )
        with running(checkout, folder, _free_ports(1)[0], trading.environ) as peer:
            contenders = [
                Contender(name="theirs: printed", port=peer.port, targets=[], status=200),
                ours("ours: stored and traded", trading, peer.key, trading=True),
                ours("ours: stored, worker off", storing, peer.key, trading=False),
            ]
            contenders[0].targets = [("/webhook", body) for _, body in contenders[1].targets]
            commit = ground.commit_milliseconds(storing.database)
            print(f"one durable commit {commit:.2f} ms; {ground.load_words()}", flush=True)
            measure(contenders, rounds)
        check_theirs(contenders[0], peer)
        check(contenders[1], trading)
        check(contenders[2], storing)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
