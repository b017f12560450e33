"""Look for known secrets in what was written: as they are, encoded, and in parts."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from database.pool import Row, Transaction

# A part of this length is a leak: prefixes that people are shown are shorter
PART = 12
TEXT_TYPES = ("text", "character varying", "json", "jsonb", "bytea", "ARRAY", "uuid")
COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
     JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type = ANY(%s) ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A secret that stands where it must not: its name, its form, where, and what is around it."""

    secret: str
    form: str
    place: str
    around: str


def leaks(place: str, text: str, secrets: Mapping[str, str]) -> list[Leak]:
    """Return the first leak of each secret in each form; what is around it is without the secret."""
    return [
        Leak(secret=name, form=form, place=place, around=_around(text, text.index(part), part))
        for name, secret in secrets.items()
        for form, written in forms(secret).items()
        if (part := next((part for part in _parts(written) if part in text), None)) is not None
    ]


def forms(secret: str) -> dict[str, str]:
    """Return the ways to write a secret that programs use, without those that are alike."""
    written = {
        "plain": secret,
        "escaped": json.dumps(secret)[1:-1],
        "in a URL": quote(secret, safe=""),
        "in a form": quote_plus(secret),
        "hexadecimal": secret.encode().hex(),
    }
    for shift in range(3):
        written[f"base64 at {shift}"] = _base64(secret, shift)
        written[f"base64 for URLs at {shift}"] = _base64(secret, shift).translate(str.maketrans("+/", "-_"))
    return {form: text for text, form in {text: form for form, text in reversed(written.items())}.items()}


def texts_of(transaction: Transaction) -> Iterator[tuple[str, str]]:
    """Give the whole of every column that may hold text, by its name."""
    for column in transaction.all(COLUMNS, (list(TEXT_TYPES),)):
        name = f"{column['table_name']}.{column['column_name']}"
        yield name, "\n".join(str(row["text"]) for row in _values(transaction, column))


def _values(transaction: Transaction, column: Row) -> Iterable[Row]:
    value = f'"{column["column_name"]}"'
    text = f"encode({value}, 'escape')" if column["data_type"] == "bytea" else f"{value}::text"
    return transaction.all(
        f'SELECT DISTINCT {text} AS text FROM "{column["table_name"]}" WHERE {value} IS NOT NULL'
    )


def _base64(secret: str, shift: int) -> str:
    """Return what of a secret's base64 does not depend on its neighbours, `shift` bytes into a group."""
    encoded = base64.b64encode(b"\0" * shift + secret.encode()).decode()
    return encoded[4 if shift else 0 : len(encoded) - 4]


def _parts(written: str) -> Iterator[str]:
    if len(written) <= PART:
        return iter([written] if written else [])
    return (written[start : start + PART] for start in range(len(written) - PART + 1))


def _around(text: str, at: int, part: str) -> str:
    line = re.split(r"\n", text[max(0, at - 300) : at])[-1]
    after = text[at + len(part) : at + len(part) + 80].partition("\n")[0]
    return f"{line[-160:]}<…>{after[40:]}"
