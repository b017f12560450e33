"""Everything lost but the backup and the key: it works again elsewhere, and the key is rotated while it runs."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import psycopg2
import pytest
import requests
from pydantic import SecretStr

from actions import backups
from alerts.kinds import KINDS
from alerts.registry import transports_for
from bot_database import Database, alert_channels
from brokers.registry import Registry
from database import embedded, keys, migrate
from encryption import Vault, new_key
from settings import Settings
from tests.alpaca_server.local import Control
from tests.chaos.discord import Receiver
from tests.conftest import KEPT_FROM_OUTSIDE
from tests.end_to_end.stack import PASSWORD, ROOT, Stack, Trader, alpaca_process, stack_in, wait_for

OLD, NEW = new_key(), new_key()
PLAIN_ROLE = """
    SELECT rolname, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls AS may_more
      FROM pg_stat_activity JOIN pg_roles ON rolname = usename WHERE datname = current_database() GROUP BY 1, 2
"""
SEALED_WITH = "SELECT sealed_with FROM {} WHERE sealed_with IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A machine with a database, on which commands are run."""

    environ: dict[str, str]

    @property
    def url(self) -> str:
        return self.environ["DATABASE_URL"]

    def manage(self, *arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, with some settings changed."""
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=ROOT, env={**self.environ, **changes}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def printed(self, *arguments: object, **changes: str) -> str:
        """Run a command that must succeed and return what it printed."""
        done = self.manage(*arguments, **changes)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def settings(self) -> Settings:
        """Return settings with which things are done in this process."""
        return Settings.model_validate(
            {
                "database_url": self.url,
                "public_url": "http://localhost:8080",
                "alert_webhook_networks": "127.0.0.0/8",
            }
        )


@pytest.fixture
def elsewhere(server: embedded.Server, tmp_path: Path) -> Iterator[Place]:
    """Give an empty database of a role that may nothing but use it, and another home."""
    name = f"elsewhere_{uuid.uuid4().hex[:8]}"
    with closing(psycopg2.connect(server.url("postgres"))) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD 'its own'")
        cursor.execute(f"CREATE DATABASE {name} OWNER {name}")
        yield Place(environ={name_: os.environ[name_] for name_ in KEPT_FROM_OUTSIDE if name_ in os.environ} | {
            "DATABASE_URL": f"postgresql://{name}:its%20own@127.0.0.1:{server.port}/{name}",
            "ENCRYPTION_KEY": OLD, "DASHTRADE_HOME": str(tmp_path / "other"),
            "DASHTRADE_ENV_FILE": str(tmp_path / "absent.env"),
        })  # fmt: skip
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        cursor.execute(f"DROP ROLE {name}")


def lived_in(stack: Stack, receiver: Receiver) -> Trader:
    """Give a user who has all that there is: an open position, a tracked trade, a model, an address."""
    ann = Trader(stack, "ann@example.com")
    bot = ann.bot("NVDA", "15", ann.connect_alpaca("one", 100_000))
    assert ann.alert("buy", "NVDA", "15").outcome["code"] == "EXECUTED"
    assert ann.held(bot) > 0
    stack.manage("tracked", "open", ann.email, "BTC/USD", "long", "--entry", "60000", "--stop", "59000",
                 "--target", "62000")  # fmt: skip
    stack.manage("model", "train", "--recordings-only")
    url = (Path(stack.environ["DASHTRADE_HOME"]) / "DATABASE_URL").read_text().strip()
    with closing(Database(url)) as database, database.transaction() as transaction:
        # Private networks are allowed, since the receiver is on this machine
        transport = transports_for(Place(environ={"DATABASE_URL": url}).settings())["WEBHOOK"]
        address = transport.checked_address(f"{receiver.base}/news")
        alert_channels.keep_channel(transaction, Vault(SecretStr(OLD)), ann.id, "WEBHOOK", address, "mine")
        alert_channels.set_wishes(transaction, ann.id, {str(kind): "ON" for kind in KINDS})
    return ann


def read(stack: Stack, ann: Trader) -> dict[str, object]:
    """Return what people see of their things, by command."""
    return {
        words: stack.read(*words.split())
        for words in (f"bots {ann.email}", f"trades {ann.email}", f"signals {ann.email}",
                      f"tracked list {ann.email}", "model list")
    }  # fmt: skip


def one(url: str, sql: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.mark.slow
def test_everything_comes_back_elsewhere_and_its_key_is_rotated_while_it_runs(
    elsewhere: Place, tmp_path: Path
) -> None:
    file = tmp_path / "dashtrade.backup"
    with ExitStack() as outside, TemporaryDirectory(prefix="dashtrade-lost-") as folder:
        broker = outside.enter_context(alpaca_process(tmp_path))
        receiver = outside.enter_context(Receiver())
        with stack_in(Path(folder), broker, ENCRYPTION_KEY=OLD) as stack:
            ann = lived_in(stack, receiver)
            stack.manage("backup", file)
            before, address = read(stack, ann), stack.manage("token", "show", ann.email, 1)
        assert_refused_without_its_key(elsewhere, file)
        with closing(Stack({**elsewhere.environ, "WEBHOOK_PORT": "1"}, broker, tmp_path / "log")) as idle:
            assert "1 connections are halted" in idle.manage("restore", file, "--yes")
            assert read(idle, ann) == before
        settings = {
            "ALERT_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "RISK_INTERVAL_SECONDS": 1,
            "RECONCILE_INTERVAL_SECONDS": 2,
        }
        with stack_in(
            tmp_path, broker, **{**settings, **elsewhere.environ, "ENCRYPTION_KEY": f"{NEW},{OLD}"}
        ) as stack:
            ann.stack, heard = stack, len(receiver.asked("/news"))
            assert_works(ann, address, elsewhere.url)
            wait_for(lambda: len(receiver.asked("/news")) > heard, 60, stack.written)
            rotate_half_way(elsewhere)
            assert ann.alert("sell", "NVDA", "15").outcome["code"] == "EXECUTED"
            assert "sealed anew" in elsewhere.printed("keys", "rotate", ENCRYPTION_KEY=f"{NEW},{OLD}")
            assert {row[1] for row in one(elsewhere.url, PLAIN_ROLE)} == {False}
        assert_the_old_key_may_go(elsewhere, ann, address, broker)


def assert_refused_without_its_key(place: Place, file: Path) -> None:
    """A wrong key, or a file cut short: nothing is there afterwards, and the words say why."""
    said = place.manage("restore", file, "--yes", ENCRYPTION_KEY=NEW).stderr
    held, sealed = (Vault(SecretStr(key)).key_id for key in (NEW, OLD))
    assert f"sealed with the key {sealed}, and ENCRYPTION_KEY holds {held}" in said
    assert len(said.splitlines()) == 1
    assert "NOTICE" not in said
    short = file.with_name("short")
    short.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    assert "nothing was changed" in place.manage("restore", short, "--yes").stderr
    assert_empty(place)


def assert_empty(place: Place) -> None:
    """Nothing was half restored."""
    assert one(place.url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def assert_works(ann: Trader, address: str, url: str) -> None:
    """People sign in, see their address, and trade by it with the keys that were unsealed."""
    stack = ann.stack
    port = stack.environ["DASHBOARD_PORT"]
    form, origin = {"email": ann.email, "password": PASSWORD}, {"Origin": f"http://127.0.0.1:{port}"}
    signed_in = requests.post(
        f"http://127.0.0.1:{port}/auth/login", form, headers=origin, allow_redirects=False, timeout=30
    )
    assert signed_in.status_code == 303
    assert urlsplit(stack.manage("token", "show", ann.email, 1)).query == urlsplit(address).query
    (bot,) = ann.bots()
    compared = "SELECT trading_state FROM user_api_keys"
    wait_for(lambda: one(url, compared) == [("ACTIVE",)], 60, stack.written)
    assert ann.alert("close", "NVDA", "15").outcome["code"] == "EXECUTED"
    assert ann.held(bot) == 0
    assert "Closed by hand" in stack.manage("tracked", "close", 1, "--price", "61000")


def rotate_half_way(place: Place) -> None:
    """Kill a rotation that has sealed one column anew and not the next."""
    newest, old = (Vault(SecretStr(key)).key_id for key in (NEW, OLD))
    with closing(psycopg2.connect(place.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM alert_channels FOR UPDATE")
        rotation = subprocess.Popen(
            [sys.executable, "manage.py", "keys", "rotate"], cwd=ROOT,
            env={**place.environ, "ENCRYPTION_KEY": f"{NEW},{OLD}"},
        )  # fmt: skip
        wait_for(lambda: one(place.url, SEALED_WITH.format("user_webhook_tokens")) == [(newest,)], 60)
        rotation.send_signal(signal.SIGKILL)
        assert rotation.wait(20) == -signal.SIGKILL
    assert one(place.url, SEALED_WITH.format("alert_channels")) == [(old,)]


def assert_the_old_key_may_go(place: Place, ann: Trader, address: str, broker: Control) -> None:
    """With the new key alone everything opens: the address, the broker's keys, all of it."""
    alone = place.printed("token", "show", ann.email, 1, ENCRYPTION_KEY=NEW)
    assert urlsplit(alone).query == urlsplit(address).query
    vault = Vault(SecretStr(NEW))
    with closing(Database(place.url)) as database:
        made = place.settings().model_copy(
            update={"apca_api_base_url": broker.url, "apca_api_data_url": broker.url}
        )
        assert Registry(database, vault, made).broker(1).account().equity > 0
        assert keys.reseal(database, vault) == keys.Rotation(resealed=0, failures=())
    done = place.manage("token", "show", ann.email, 1, ENCRYPTION_KEY=OLD)
    assert "sealed with the key" in done.stderr


def test_a_backup_of_an_older_version_is_brought_up_to_date(elsewhere: Place, empty_database_url: str,
                                                            tmp_path: Path) -> None:  # fmt: skip
    older, file, vault = tmp_path / "older", tmp_path / "older.backup", Vault(SecretStr(OLD))
    older.mkdir()
    for path in sorted(migrate.OURS.glob("0*.sql"))[:3]:
        (older / path.name).write_text(path.read_text())
    assert len(migrate.apply(empty_database_url, older)) == 3
    with closing(Database(empty_database_url)) as database:
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO users (email, password_hash) VALUES ('ann@example.com', 'x')")
            transaction.execute(
                "INSERT INTO user_api_keys (user_id, broker, mode, label, credentials_sealed, sealed_with)"
                " VALUES (1, 'alpaca', 'paper', 'mine', %s, %s)", (vault.seal('{"api_key": "k"}'), vault.key_id),
            )  # fmt: skip
        backups.write(_Tools(database, empty_database_url), file)
        with database.transaction() as transaction:
            transaction.execute(
                "UPDATE _yoyo_migration SET migration_id = '999_of_tomorrow' WHERE migration_id LIKE '003%'"
            )
        backups.write(_Tools(database, empty_database_url), file.with_name("newer"))
    assert "999_of_tomorrow" in elsewhere.manage("restore", file.with_name("newer"), "--yes").stderr
    assert_empty(elsewhere)
    assert "ENCRYPTION_KEY holds" in elsewhere.manage("restore", file, "--yes", ENCRYPTION_KEY=NEW).stderr
    assert "Restored. 1 connections" in elsewhere.printed("restore", file, "--yes")
    assert migrate.outstanding(elsewhere.url) == []
    (sealed,) = one(elsewhere.url, "SELECT credentials_sealed FROM user_api_keys")[0]
    assert vault.open(sealed) == '{"api_key": "k"}'
    assert "ann@example.com" in elsewhere.printed("user", "list")


class _Tools:
    """What a backup needs of the tools that commands have."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.settings = Place(environ={"DATABASE_URL": url}).settings()
