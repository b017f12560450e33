"""Bring a database to the schema of this checkout: the files of `migrations/`, in their order."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import yoyo

OURS = Path(__file__).resolve().parent.parent / "migrations"
LOCK = 5_271_009_847


_REFUSAL = """
DO $$
DECLARE unknown text;
BEGIN
    IF to_regclass('public._yoyo_migration') IS NOT NULL THEN
        SELECT string_agg(migration_id, ', ') INTO unknown FROM public._yoyo_migration
         WHERE migration_id <> ALL (ARRAY[{known}]);
        IF unknown IS NOT NULL THEN
            RAISE EXCEPTION 'it is of a newer version than this checkout: it holds %. Update the code first', unknown;
        END IF;
    END IF;
END $$
"""


class SchemaError(Exception):
    """Read the message: the database and this checkout do not fit each other."""


def outstanding(url: str, source: Path = OURS) -> list[str]:
    """Return the names of the migrations not yet applied, in their order.

    Raises `SchemaError` where the database holds migrations that this checkout does not know.
    """
    applied = _applied(url)
    known = [migration.id for migration in _migrations(source)]
    unknown = sorted(applied - set(known))
    if unknown:
        raise SchemaError(
            "The database is newer than this checkout: it holds " + ", ".join(unknown) + "."
            " Update the code and its requirements (make setup), or restore the backup of the older database."
        )
    return [name for name in known if name not in applied]


def apply(url: str, source: Path = OURS) -> list[str]:
    """Apply what is outstanding and return the names; a second caller waits and finds nothing to do.

    Each migration is one transaction: one that fails leaves those before it applied and nothing of
    its own.
    """
    with _alone(url):
        names = outstanding(url, source)
        if names:
            backend = yoyo.get_backend(url)
            with closing(backend.connection):
                backend.apply_migrations(backend.to_apply(_migrations(source)))
        return names


def refusal_of_newer(source: Path = OURS) -> str:
    """Return a statement that fails where the database holds migrations that this checkout does not know."""
    return _REFUSAL.format(known=", ".join(f"'{migration.id}'" for migration in _migrations(source)))


def _migrations(source: Path) -> yoyo.migrations.MigrationList:
    return yoyo.read_migrations(str(source)).filter(lambda migration: migration.path.endswith(".sql"))


def _applied(url: str) -> set[str]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('_yoyo_migration')")
        if cursor.fetchone() == (None,):
            return set()
        cursor.execute("SELECT migration_id FROM _yoyo_migration")
        return {name for (name,) in cursor.fetchall()}


@contextmanager
def _alone(url: str) -> Iterator[None]:
    # yoyo's own lock is a row, which a killed process leaves behind for ever
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        yield
