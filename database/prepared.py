"""Statements that every connection plans once: for the few that run with each alert."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import psycopg2.extensions

from database.pool import Row, Transaction

_PLACE = re.compile(r"%\((\w+)\)s")
# psycopg2 has no prepared statements of its own; they belong to a connection and end with it.
_known: WeakKeyDictionary[psycopg2.extensions.connection, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A statement with `%(name)s` places and PostgreSQL's type of each.

    `before` are statements without a result that run first, in the same round trip.
    """

    name: str
    sql: str
    types: Mapping[str, str]
    before: str = ""

    def all(self, transaction: Transaction, parameters: Mapping[str, Any]) -> list[Row]:
        """Return every row."""
        self._prepare(transaction)
        return transaction.all(self._call(), parameters)

    def _call(self) -> str:
        places = ", ".join(f"%({name})s" for name in self.types)
        return f"{self.before} EXECUTE {self.name} ({places})"

    def _prepare(self, transaction: Transaction) -> None:
        known = _known.setdefault(transaction.connection, set())
        if self.name in known:
            return
        numbers = {name: f"${number}" for number, name in enumerate(self.types, start=1)}
        sql = _PLACE.sub(lambda match: numbers[match[1]], self.sql)
        transaction.execute(f"PREPARE {self.name} ({', '.join(self.types.values())}) AS {sql}")
        known.add(self.name)
