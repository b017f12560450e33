"""CSV: numbers exactly, times in UTC, and nothing that a spreadsheet would run."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.spreadsheet import FORMULA, cell, csv_lines

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (Decimal("-12.30"), "-12.3"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.000000001"), "0.000000001"),
        (Decimal("-0.5"), "-0.5"),
        (7, "7"),
        (-7, "-7"),
        (datetime(2026, 11, 20, 9, 30, 5, tzinfo=NEW_YORK), "2026-11-20T14:30:05Z"),
        (datetime(2026, 11, 20, 9, 30, 5, 120000, tzinfo=UTC), "2026-11-20T09:30:05.120000Z"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("AAPL", "AAPL"),
        ("-5", "-5"),
        ("+5.25", "+5.25"),
    ],
)
def test_values_are_written_plainly(value: object, written: str) -> None:
    assert cell(value) == written


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "--5"]
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert cell(text) == "'" + text


def test_a_quote_or_a_new_line_in_a_cell_breaks_nothing() -> None:
    nasty = 'say "no",\nthen =go'
    lines = "".join(csv_lines([{"a": nasty, "b": Decimal("-1.5")}], ["a", "b"]))
    assert list(csv.reader(io.StringIO(lines))) == [["a", "b"], [nasty, "-1.5"]]


def test_rows_are_read_as_late_as_possible() -> None:
    read = []

    def rows():
        for number in range(3):
            read.append(number)
            yield {"a": number}

    lines = csv_lines(rows(), ["a"])
    assert next(lines) == "a\n"
    assert read == []
    assert next(lines) == "0\n"
    assert read == [0]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=9))
def test_a_number_comes_back_exactly(number: Decimal) -> None:
    assert Decimal(cell(number)) == number


@given(st.text(max_size=40))
def test_no_text_begins_like_a_formula_and_is_none_the_less_kept(text: str) -> None:
    written = cell(text)
    assert written.removeprefix("'") == text.removeprefix("'") or written == text
    assert not written.startswith(FORMULA) or Decimal(written) == Decimal(text)
