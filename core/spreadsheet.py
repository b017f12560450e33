"""Rows as CSV that programs read exactly and spreadsheets run nothing of.

Numbers are plain (no exponent, no thousands), times ISO 8601 in UTC. A text that a spreadsheet would
take for a formula (OWASP, "CSV Injection") gets an apostrophe in front; numbers never do.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from core.wording import number

# The wide forms are what a Japanese or Chinese spreadsheet reads as the plain ones.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def csv_lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """Give a line with the names of `columns`, then one for each row, read as late as possible."""
    yield _line(columns)
    for row in rows:
        yield _line([cell(row[name]) for name in columns])


def cell(value: object) -> str:
    """Write one value; None is empty."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    text = str(value)
    is_formula = text.startswith(FORMULA) and not _NUMBER.fullmatch(text)
    return "'" + text if is_formula else text


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
