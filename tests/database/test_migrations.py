"""Migrations: in order, once, by one at a time, and never backwards."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pytest

from database import migrate

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def cursor_on(url: str) -> Iterator[psycopg2.extensions.cursor]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        yield cursor


def tables(url: str) -> set[str]:
    with cursor_on(url) as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in cursor.fetchall()}


def run(url: str, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "migrate_bot_tables.py", *arguments],
        input=answer,
        text=True,
        capture_output=True,
        cwd=ROOT,
        env={"DATABASE_URL": url},
        timeout=60,
    )


def test_an_empty_database_gets_every_table(empty_database_url):
    applied = migrate.apply(empty_database_url)
    assert {"users", "user_bot_configs", "signals"} <= tables(empty_database_url)
    assert [name for name in applied if name.startswith("0")] == applied
    assert applied[-1] == sorted(file.stem for file in migrate.OURS.glob("*.sql"))[-1]


def test_a_second_run_does_nothing(database_url):
    before = tables(database_url)
    assert migrate.apply(database_url) == []
    assert tables(database_url) == before


def test_two_at_once_apply_each_migration_once(empty_database_url):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(migrate.apply, [empty_database_url] * 2)
    assert sorted([len(first), len(second)]) == [0, len(first) + len(second)]
    assert migrate.outstanding(empty_database_url) == []


def test_a_failing_migration_leaves_nothing_of_itself_and_can_be_repeated(empty_database_url, tmp_path):
    (tmp_path / "001_good.sql").write_text("CREATE TABLE good (id INTEGER);")
    (tmp_path / "002_bad.sql").write_text("CREATE TABLE half (id INTEGER); SELECT 1 / 0;")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        migrate.apply(empty_database_url, tmp_path)
    assert "good" in tables(empty_database_url)
    assert "half" not in tables(empty_database_url)
    (tmp_path / "002_bad.sql").write_text("CREATE TABLE whole (id INTEGER);")
    assert migrate.apply(empty_database_url, tmp_path) == ["002_bad"]


def test_a_database_newer_than_the_code_is_refused_by_name(database_url, tmp_path):
    with pytest.raises(migrate.SchemaError, match="newer than this checkout: it holds 001_create_bot_tables"):
        migrate.apply(database_url, tmp_path)


def test_the_script_asks_and_takes_only_yes(empty_database_url):
    refused = run(empty_database_url, answer="y\n")
    assert refused.returncode == 1
    assert "Nothing was changed" in refused.stderr
    assert tables(empty_database_url) == set()
    accepted = run(empty_database_url, answer="yes\n")
    assert accepted.returncode == 0, accepted.stderr
    assert "users" in tables(empty_database_url)


def test_the_script_without_a_terminal_or_yes_changes_nothing(empty_database_url):
    assert run(empty_database_url).returncode == 1
    assert tables(empty_database_url) == set()


def test_the_script_checks_and_goes_on_without_asking(empty_database_url):
    checked = run(empty_database_url, "--check")
    assert checked.returncode == 1
    assert "outstanding: 001_create_bot_tables" in checked.stdout
    assert run(empty_database_url, "--yes").returncode == 0
    assert run(empty_database_url, "--check").returncode == 0


def test_each_test_has_a_database_of_its_own(database):
    with database.transaction() as transaction:
        assert transaction.value("SELECT count(*) FROM users") == 0
        transaction.execute("INSERT INTO users (email, password_hash) VALUES ('a@example.org', 'x')")


def test_each_test_has_a_database_of_its_own_again(database):
    test_each_test_has_a_database_of_its_own(database)
