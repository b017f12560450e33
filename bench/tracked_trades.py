"""Measure one look of the monitor: fetch, judge, write, for 1,000 trades of 10 pairs and 10,000 of 100.

`python -m bench.tracked_trades`. The embedded PostgreSQL with durable commits; bars of one minute from a folder of
CSV files, to which each round appends a bar of every pair. Trades are spread evenly over pairs and 100 users with
Discord linked, a tenth of them short. Rounds: nothing happens; everybody is due to be told; a tenth ends; nothing
is new; the judging alone, without asking the source.
"""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import ground
from core.pips import CURRENCIES
from core.trade_outcome import quoted_pair
from database import embedded, migrate, trade_watch
from database.pool import Database
from database.trade_prices import prices_for
from encryption import new_key
from reversal.judging import Feed, judge
from reversal.monitor import look
from settings import Settings
from tests.conftest import _execute, _free_port

# A Wednesday, when currencies are traded
BEGIN = datetime(2026, 11, 18, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
# A bar is asked for that long after it closed
SETTLED = timedelta(seconds=5)
USERS = 100
TIMES = 5
PRICE = Decimal("100")


def pairs(count: int) -> list[str]:
    """Return pairs of currencies: first those with the dollar, by which the others are converted."""
    others = sorted(CURRENCIES - {"USD"})
    crosses = sorted({quoted_pair(one, other) for one in others for other in others if one != other})
    return [*(quoted_pair("USD", other) for other in others), *crosses][:count]


class Bench:
    """A database with open trades, and files that give their bars."""

    def __init__(self, database: Database, folder: Path, symbols: list[str], trades: int) -> None:
        self.database, self.folder, self.symbols = database, folder, symbols
        self.now = BEGIN
        self.settings = Settings(
            database_url=database.url,
            public_url="http://127.0.0.1",
            reversal_forex_source="csv",
            reversal_csv_folder=str(folder),
        )
        for symbol in symbols:
            self.file(symbol).write_text("time,open,high,low,close\n")
        self.bar(PRICE)
        self.make(trades)

    def file(self, symbol: str) -> Path:
        return self.folder / f"{symbol.replace('/', '-')}_1m.csv"

    def bar(self, low: Decimal) -> None:
        """Append the bar of the minute that ends now to every file."""
        opened = (self.now - MINUTE).isoformat()
        for symbol in self.symbols:
            with self.file(symbol).open("a") as file:
                file.write(f"{opened},{PRICE},{PRICE + 1},{low},{PRICE}\n")

    def make(self, trades: int) -> None:
        with self.database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO users (email, password_hash) SELECT 'user' || n || '@example.org', 'x'"
                "  FROM generate_series(1, %s) AS n",
                (USERS,),
            )
            transaction.execute(
                "INSERT INTO user_discord_settings (user_id, discord_user_id) SELECT id, id + 1000000 FROM users"
            )
            transaction.execute(
                """
                INSERT INTO user_trades (user_id, pair, direction, entry_price, entry_time, lot_size, stop_loss,
                                         take_profit, account_currency, source, looked_until, next_update_at,
                                         request_key, created_at, updated_at)
                SELECT 1 + n %% %(users)s, (%(pairs)s::text[])[1 + n %% %(count)s],
                       CASE WHEN n %% 10 = 9 THEN 'short' ELSE 'long' END, 100, %(now)s, 0.1,
                       CASE WHEN n %% 10 = 9 THEN 200 WHEN n %% 10 = 0 THEN 95 ELSE 50 END,
                       CASE WHEN n %% 10 = 9 THEN 50 ELSE 200 END, 'USD', 'csv', %(now)s,
                       %(now)s + interval '1 hour', 'trade ' || n, %(now)s, %(now)s
                  FROM generate_series(0, %(trades)s - 1) AS n
                """,
                {
                    "users": USERS,
                    "pairs": self.symbols,
                    "count": len(self.symbols),
                    "now": self.now,
                    "trades": trades,
                },
            )
            transaction.execute("ANALYZE")

    def minute(self, low: Decimal = PRICE - 1, after: timedelta = MINUTE) -> None:
        self.now += after
        self.bar(low)

    def look(self) -> str:
        looked = look(self.database, self.settings, self.now + SETTLED)
        if looked.failures:
            sys.exit(f"failed: {looked.failures}")
        return f"{looked.closed} closed, {looked.updates} updates"

    def judge_all(self) -> str:
        """Judge every pair without asking the source: the bars are there."""
        closed = 0
        with self.database.transaction() as transaction:
            found = trade_watch.pairs(transaction)
            prices = prices_for(transaction, found, self.now)
        for symbol in self.symbols:
            with self.database.transaction() as transaction:
                feed = Feed(pair=symbol, timeframe="1 Min", is_replay=False)
                verdicts = judge(transaction, feed, prices, self.now)
                closed += len(verdicts.ended) if verdicts else 0
        return f"{closed} closed"


def timed(work: Callable[[], str]) -> tuple[float, float, str]:
    """Return the seconds that passed, those of the processor that the monitor itself took, and what it said."""
    begin, used = time.perf_counter(), time.process_time()
    said = work()
    return time.perf_counter() - begin, time.process_time() - used, said


def measure(url: str, symbols: list[str], trades: int) -> list[list[str]]:
    """Return a row for each kind of round: the median and longest time, and that of the processor."""
    with TemporaryDirectory(prefix="dashtrade-bench-bars-") as folder, closing(Database(url)) as database:
        bench = Bench(database, Path(folder), symbols, trades)
        bench.minute()
        bench.look()
        rounds: list[list[str]] = []

        def note(name: str, prepare: Callable[[], None], times: int, work: Callable[[], str]) -> None:
            taken, used = [], []
            for _ in range(times):
                prepare()
                seconds, processor, said = timed(work)
                taken.append(seconds)
                used.append(processor)
            spread = (median(taken), max(taken), median(used))
            rounds.append([name, *(f"{each:.2f} s" for each in spread), said])

        note("a bar each, nothing happens", bench.minute, TIMES, bench.look)
        note("nothing is new", lambda: None, TIMES, bench.look)
        note("everybody is due to be told", lambda: due(bench), TIMES, bench.look)
        note("a tenth ends", lambda: bench.minute(PRICE - 6), 1, bench.look)
        note("judging alone, the bars are there", lambda: fetched(bench), TIMES, bench.judge_all)
        return rounds


def due(bench: Bench) -> None:
    bench.minute()
    with bench.database.transaction() as transaction:
        transaction.execute("UPDATE user_trades SET next_update_at = %s WHERE status = 'open'", (bench.now,))


def fetched(bench: Bench) -> None:
    """Let a look bring the bars, then have every trade as if it had not looked."""
    bench.minute()
    bench.look()
    with bench.database.transaction() as transaction:
        transaction.execute(
            "UPDATE user_trades SET looked_until = looked_until - interval '1 min' WHERE status = 'open'"
        )


def main() -> None:
    """Measure both sizes, each in a database of its own, and print them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dashtrade-bench-")))
        server = embedded.Server(folder=folder / "data", port=_free_port(), password=new_key())
        server.start()
        stack.callback(server.stop)
        print(ground.load_words())
        for number, (symbols, trades) in enumerate(((10, 1000), (100, 10_000))):
            url = server.url("dashtrade") if number == 0 else other_database(server)
            migrate.apply(url)
            with closing(Database(url)) as database:
                commit = ground.commit_milliseconds(database)
            rows = measure(url, pairs(symbols), trades)
            title = f"{trades:,} open trades on {symbols} pairs; a durable commit takes {commit:.2f} ms"
            ground.table(title, ("one look", "median", "longest", "processor", "the last one"), rows)


def other_database(server: embedded.Server) -> str:
    _execute(server, "CREATE DATABASE larger")
    return server.url("larger")


if __name__ == "__main__":
    main()
