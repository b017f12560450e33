"""Read bars from files of the operator's: `EUR-USD_1h.csv`, `AAPL_1D.csv`, a file for each pair and timeframe.

The first line names the columns: time, open, high, low, close, and volume where there is one. A time with a zone
is of that zone, one without is of the setting's; at the hour that autumn repeats the first one comes first.
"""

import csv
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from core import timeframe as timeframes
from core.bar import Bar, length
from core.pips import MarketKind, market_of
from reversal.sources.base import SETTLED, Allowance, SourceRefused, SourceUnavailable, freely
from reversal.sources.numbers import number
from settings import Settings

PRICES = ("open", "high", "low", "close")
MOST_BYTES = 64 * 1024 * 1024
# A folder that changed since may change again without its time telling so.
AT_REST_NANOSECONDS = 3_000_000_000
NEVER = -1


class CsvFolder:
    """Give the bars of a folder's files; what is appended to a file is found at the next look."""

    name = "csv"
    kinds = frozenset(MarketKind)
    allowances: tuple[Allowance, ...] = ()
    # Whoever writes the file needs a moment, too
    settles = SETTLED
    is_replay = False

    def __init__(self, folder: Path, zone: ZoneInfo) -> None:
        self._folder, self._zone = folder, zone
        self._listed: tuple[int, Mapping[tuple[str, str], Path]] = (NEVER, {})

    def pairs(self) -> Sequence[str]:
        """Return the pairs that have a file."""
        return sorted({pair for pair, _ in self._files()})

    def timeframes(self, pair: str) -> Sequence[str]:
        """Return the timeframes of a pair that have a file, shortest first."""
        return sorted((each for known, each in self._files() if known == pair), key=length)

    def fetch(
        self,
        pair: str,
        timeframe: str,
        since: datetime,
        until: datetime,
        *,
        now: datetime,
        asking: Callable[[], None] = freely,
    ) -> Sequence[Bar]:
        """Return the bars that opened from `since` to before `until` and closed by `now`."""
        asking()
        path = self._files().get((pair, timeframe))
        if path is None:
            raise SourceRefused(
                f"There is no file of {pair} {timeframe} in the folder REVERSAL_CSV_FOLDER; its name would be"
                f" {pair.replace('/', '-')}_{timeframe.replace(' ', '')}.csv."
            )
        bars = self._read(path, length(timeframe), since)
        return [bar for bar in bars if since <= bar.opened_at < until and bar.closed_at <= now]

    def _files(self) -> Mapping[tuple[str, str], Path]:
        """Return the files by pair and timeframe; the folder is read through again only when it has changed."""
        try:
            changed_at = self._folder.stat().st_mtime_ns
        except OSError:
            return {}
        if self._listed[0] != changed_at:
            is_at_rest = time.time_ns() - changed_at > AT_REST_NANOSECONDS
            files = self._read_through()
            self._listed = (changed_at if is_at_rest else NEVER, files)
        return self._listed[1]

    def _read_through(self) -> Mapping[tuple[str, str], Path]:
        found = {}
        for path in sorted(self._folder.glob("*_*.csv")):
            name, _, timeframe = path.stem.rpartition("_")
            try:
                found[market_of(name.replace("-", "/")).pair, timeframes.canonical(timeframe)] = path
            except ValueError:
                # Another file than ours may lie there.
                continue
        return found

    def _read(self, path: Path, lasts: timedelta, since: datetime) -> Iterator[Bar]:
        rows = csv.reader(_whole_lines(path))
        columns = _columns(path, next(rows, []))
        before: datetime | None = None
        for line, row in enumerate(rows, start=2):
            if not row:
                continue
            if len(row) < len(columns):
                raise SourceRefused(
                    f"{path.name}, line {line}: {len(row)} values for {len(columns)} columns."
                )
            before = self._time(f"{path.name}, line {line}", row[columns["time"]], before)
            if before >= since:
                prices = {name: number(row[columns[name]].strip()) for name in columns if name != "time"}
                yield Bar(opened_at=before, closed_at=before + lasts, **prices)

    def _time(self, where: str, written: str, before: datetime | None) -> datetime:
        """Return a line's time in UTC; `before` is that of the line above."""
        try:
            moment = datetime.fromisoformat(written.strip())
        except ValueError:
            raise SourceRefused(
                f"{where}: {written.strip()[:40]!r} is no time; write 2026-01-05 13:00 or 2026-01-05T13:00:00Z."
            ) from None
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        first, second = (moment.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first > second:
            raise SourceRefused(f"{where}: {written.strip()} does not exist in {self._zone.key}.")
        return second if before is not None and before >= first else first


def csv_folder(settings: Settings) -> CsvFolder:
    """Return the source as the settings have it."""
    return CsvFolder(settings.reversal_csv_folder, ZoneInfo(settings.reversal_csv_timezone))


def _whole_lines(path: Path) -> list[str]:
    """Return a file's lines without a last one that is still being written."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceRefused(f"{path.name} has more than {MOST_BYTES // 1024 // 1024} MB.")
        content = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceRefused(f"{path.name} is no text in UTF-8.") from None
    except OSError as error:
        raise SourceUnavailable(f"{path.name} cannot be read: {error.strerror}.") from None
    return content[: content.rfind("\n") + 1].splitlines()


def _columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Return where each column is that is read."""
    there = {name.strip().lower(): place for place, name in enumerate(header)}
    lacking = [name for name in ("time", *PRICES) if name not in there]
    if lacking:
        raise SourceRefused(f"{path.name}: its first line lacks {', '.join(lacking)}.")
    return {name: there[name] for name in ("time", *PRICES, "volume") if name in there}
