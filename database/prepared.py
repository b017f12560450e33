"""Statements that every connection plans once: for those that run with each alert.

psycopg2 has no prepared statements of its own. To read and to plan one of ours again takes PostgreSQL
longer than to carry it out.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

import psycopg2.extensions

_PLACE = re.compile(r"%(?:\((\w+)\))?s")
# What is prepared belongs to its connection and ends with it.
_known: WeakKeyDictionary[psycopg2.extensions.connection, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement under its name: `making` is what PostgreSQL is told once, `call` each time."""

    name: str
    making: str
    call: str

    def on(self, connection: psycopg2.extensions.connection) -> str:
        """Return what to run on a connection, which knows the statement afterwards."""
        known = _known.setdefault(connection, set())
        if self.name not in known:
            with connection.cursor() as cursor:
                cursor.execute(self.making)
            known.add(self.name)
        return self.call


@cache
def prepared(sql: str, types: str = "", *, before: str = "", **named_types: str) -> Prepared:
    """Return a statement with PostgreSQL's type of each of its places: of `%s` in order, of `%(name)s` by name.

    The types are stated, never guessed: a place that PostgreSQL took for an integer would round money.
    `before` are statements without a result that run first, in the same round trip. Raises ValueError
    where places and types do not belong together.
    """
    places, in_order = _PLACE.findall(sql), types.split(", ") if types else []
    if not set(places) - {""} <= set(named_types) or places.count("") != len(in_order):
        raise ValueError(f"{places} need a type each, not {types} {named_types}: {sql}")
    numbers = {name: number for number, name in enumerate(named_types, start=1)}
    counted = iter(range(1, len(in_order) + 1))
    text = _PLACE.sub(lambda match: f"${numbers[match[1]] if match[1] else next(counted)}", sql)
    wanted = types or ", ".join(named_types.values())
    name = "p" + hashlib.sha256(f"{wanted}: {sql}".encode()).hexdigest()[:16]
    given = ", ".join(f"%({each})s" for each in named_types) or ", ".join(["%s"] * len(in_order))
    return Prepared(
        name=name,
        making=f"PREPARE {name}{f' ({wanted})' if wanted else ''} AS {text}",
        call=f"{before} EXECUTE {name}{f' ({given})' if given else ''}",
    )
