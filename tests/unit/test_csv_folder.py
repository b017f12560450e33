"""Files of bars: names, columns, zones, the days on which clocks are set, and what is wrong in words."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bar import Bar
from reversal.sources.base import SourceRefused, SourceUnavailable
from reversal.sources.csv_folder import CsvFolder

NEW_YORK, SYDNEY = ZoneInfo("America/New_York"), ZoneInfo("Australia/Sydney")
EVER, NOW = datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
HEADER = "time,open,high,low,close,volume\n"
GUIDE = Path(__file__).parents[2] / "docs/market-data.md"


def read(
    folder: Path, text: str, zone: str = "UTC", name: str = "EUR-USD_1h.csv", now: datetime = NOW
) -> list[Bar]:
    (folder / name).write_text(text)
    source = CsvFolder(folder, ZoneInfo(zone))
    (pair,) = source.pairs()
    (timeframe,) = source.timeframes(pair)
    return list(source.fetch(pair, timeframe, EVER, NOW, now=now))


def line(time: str) -> str:
    return f"{time},1.1,1.2,1.0,1.15,10\n"


def times(bars: list[Bar]) -> list[str]:
    return [f"{bar.opened_at:%Y-%m-%d %H:%M}" for bar in bars]


def test_the_guides_example_is_read_as_the_guide_says(tmp_path: Path) -> None:
    name, text = re.search(r"`([\w-]+\.csv)`:\n\n```csv\n(.+?)```", GUIDE.read_text(), re.DOTALL).groups()
    bars = read(tmp_path, text, "America/New_York", name)
    assert times(bars) == ["2026-01-05 14:00", "2026-01-05 15:00", "2026-01-05 16:00"]
    assert (bars[0].open, bars[0].close, bars[0].volume) == (
        Decimal("1.1701"),
        Decimal("1.1709"),
        Decimal(5120),
    )


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("2026-07-06 09:00", "2026-07-06 13:00"),
        ("2026-07-06T09:00:00", "2026-07-06 13:00"),
        ("2026-01-06 09:00", "2026-01-06 14:00"),
        ("2026-07-06T09:00:00Z", "2026-07-06 09:00"),
        ("2026-07-06 09:00+02:00", "2026-07-06 07:00"),
        ("2026-07-06", "2026-07-06 04:00"),
    ],
)
def test_times_of_many_forms(tmp_path: Path, written: str, read_as: str) -> None:
    assert times(read(tmp_path, HEADER + line(written), "America/New_York")) == [read_as]


def test_the_hour_that_autumn_repeats_is_two_hours(tmp_path: Path) -> None:
    text = HEADER + "".join(
        map(line, ["2026-11-01 00:00", "2026-11-01 01:00", "2026-11-01 01:00", "2026-11-01 02:00"])
    )
    assert times(read(tmp_path, text, "America/New_York")) == [
        *("2026-11-01 04:00", "2026-11-01 05:00", "2026-11-01 06:00", "2026-11-01 07:00")
    ]


def test_the_hour_that_spring_leaves_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused) as refused:
        read(tmp_path, HEADER + line("2026-03-08 01:00") + line("2026-03-08 02:30"), "America/New_York")
    assert (
        str(refused.value) == "EUR-USD_1h.csv, line 3: 2026-03-08 02:30 does not exist in America/New_York."
    )


@settings(deadline=None)
@given(
    st.integers(0, 24 * 365 * 3),
    st.sampled_from((NEW_YORK, SYDNEY, ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata"))),
)
def test_hours_written_by_any_clock_come_back_as_they_were(
    tmp_path_factory, number: int, zone: ZoneInfo
) -> None:
    """Also over the days on which the zone's clock is set."""
    first = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    hours = [first + timedelta(hours=each) for each in range(6)]
    # one that begins in the repeated hour cannot tell which of the two it is
    if hours[0].astimezone(zone).fold:
        hours = hours[1:]
    text = HEADER + "".join(line(f"{each.astimezone(zone):%Y-%m-%d %H:%M}") for each in hours)
    bars = read(tmp_path_factory.mktemp("bars"), text, zone.key)
    assert [bar.opened_at for bar in bars] == hours


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "EUR-USD_1h.csv: its first line lacks time, open, high, low, close."),
        ("date,open,high,low,close\n", "EUR-USD_1h.csv: its first line lacks time."),
        (
            HEADER + "yesterday,1,1,1,1,1\n",
            "EUR-USD_1h.csv, line 2: 'yesterday' is no time; write 2026-01-05 13:00",
        ),
        (HEADER + "2026-07-06 09:00,1,1\n", "EUR-USD_1h.csv, line 2: 3 values for 6 columns."),
        (HEADER + line("2026-13-06 09:00"), "EUR-USD_1h.csv, line 2: '2026-13-06 09:00' is no time"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SourceRefused) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(words)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "EUR-USD_1h.csv").write_bytes(b"\xff\xfe\x00time")
    with pytest.raises(SourceRefused, match="no text in UTF-8"):
        CsvFolder(tmp_path, NEW_YORK).fetch("EUR/USD", "1 Hour", EVER, NOW, now=NOW)


def test_a_file_that_cannot_be_read_may_be_there_later(tmp_path: Path) -> None:
    (tmp_path / "EUR-USD_1h.csv").mkdir()
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        CsvFolder(tmp_path, NEW_YORK).fetch("EUR/USD", "1 Hour", EVER, NOW, now=NOW)


def test_a_price_that_is_none_is_left_to_the_judge(tmp_path: Path) -> None:
    (bar,) = read(tmp_path, HEADER + "2026-07-06 09:00,1.1,n/a,1.0,1.05,\n")
    assert bar.high.is_nan()
    assert bar.volume is not None
    assert bar.volume.is_nan()


def test_a_last_line_that_is_still_being_written_waits(tmp_path: Path) -> None:
    text = HEADER + line("2026-07-06 09:00") + line("2026-07-06 10:00")
    for cut in range(1, len(line("2026-07-06 10:00"))):
        assert times(read(tmp_path, text[:-cut])) == ["2026-07-06 09:00"]


def test_a_byte_order_mark_capitals_spaces_and_more_columns_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeffTime, OPEN ,High,Low,Close,Source\r\n2026-07-06 09:00, 1.1 ,1.2,1.0,1.15,mine\r\n\r\n"
    (bar,) = read(tmp_path, text)
    assert (bar.open, bar.volume) == (Decimal("1.1"), None)


def test_names_of_files_say_the_pair_and_the_timeframe(tmp_path: Path) -> None:
    for name in ("EUR-USD_1h", "EUR-USD_15m", "BTC-USDT_4 Hour", "AAPL_1D", "notes", "AAPL_soon", "..._1h"):
        (tmp_path / f"{name}.csv").write_text(HEADER)
    source = CsvFolder(tmp_path, NEW_YORK)
    assert source.pairs() == ["AAPL", "BTC/USDT", "EUR/USD"]
    assert source.timeframes("EUR/USD") == ["15 Min", "1 Hour"]
    assert source.timeframes("AAPL") == ["1 Day"]
    with pytest.raises(SourceRefused, match=r"its name would be AAPL_1Hour\.csv"):
        source.fetch("AAPL", "1 Hour", EVER, NOW, now=NOW)
    assert CsvFolder(tmp_path / "absent", NEW_YORK).pairs() == []


def test_a_pair_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret_1h.csv").write_text(HEADER + line("2026-07-06 09:00"))
    folder = tmp_path / "bars"
    folder.mkdir()
    with pytest.raises(SourceRefused):
        CsvFolder(folder, NEW_YORK).fetch("../SECRET", "1 Hour", EVER, NOW, now=NOW)


def test_a_folder_at_rest_is_read_through_once_and_a_changed_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refresh asks several times for every pair: a hundred pairs are a hundred files to look at each time."""
    looks: list[Path] = []
    glob = Path.glob

    def counted(folder: Path, pattern: str) -> Iterator[Path]:
        looks.append(folder)
        return glob(folder, pattern)

    monkeypatch.setattr(Path, "glob", counted)
    (tmp_path / "EUR-USD_1h.csv").write_text(HEADER + line("2026-01-05 09:00"))
    source = CsvFolder(tmp_path, ZoneInfo("UTC"))
    os.utime(tmp_path, (1_700_000_000, 1_700_000_000))
    for _ in range(5):
        assert source.pairs() == ["EUR/USD"]
        assert len(source.fetch("EUR/USD", "1 Hour", EVER, NOW, now=NOW)) == 1
    assert len(looks) == 1
    (tmp_path / "AAPL_1d.csv").write_text(HEADER)
    assert source.pairs() == ["AAPL", "EUR/USD"]
    (tmp_path / "MSFT_1d.csv").write_text(HEADER)
    assert source.pairs() == ["AAPL", "EUR/USD", "MSFT"]
    (tmp_path / "AAPL_1d.csv").unlink()
    assert source.pairs() == ["EUR/USD", "MSFT"]


def test_a_folder_that_is_not_there_has_no_pairs_until_it_is(tmp_path: Path) -> None:
    source = CsvFolder(tmp_path / "bars", ZoneInfo("UTC"))
    assert source.pairs() == []
    (tmp_path / "bars").mkdir()
    (tmp_path / "bars" / "EUR-USD_1h.csv").write_text(HEADER)
    assert source.pairs() == ["EUR/USD"]
