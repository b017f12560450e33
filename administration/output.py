"""Print rows: plain JSON and CSV for programs, columns for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import click

from core.spreadsheet import csv_lines
from core.wording import number

WIDEST = 60
# Enough to tell the finest coin; JSON and CSV have every digit
PLACES = 9


def print_json(value: object) -> None:
    """Print numbers as strings and times in ISO 8601, UTC."""
    click.echo(json.dumps(value, default=plain, indent=2, ensure_ascii=False))


def print_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print plain numbers and UTC times; a text that a spreadsheet would run as a formula is quoted."""
    sys.stdout.writelines(csv_lines(rows, columns))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], nothing: str) -> None:
    """Print aligned columns, or `nothing` where there are no rows."""
    if not rows:
        click.echo(nothing)
        return
    table = [list(columns), *([_short(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def plain(value: object) -> Any:
    """Return the JSON form of a value that json does not know; raise TypeError for any other."""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _short(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Decimal):
        return number(round(value, PLACES))
    text = str(value) if isinstance(value, str | int) else str(plain(value))
    # A terminal would do what a stranger's control characters say
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
