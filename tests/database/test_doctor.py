"""Every check of `manage.py doctor`, where all is well and where it is not: a fault always says its mend."""

import json
import socket
from collections import namedtuple
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

import manage
from administration import doctor, doctor_alerts, doctor_ground, doctor_work
from administration.console import Console
from core.signal import Action
from database import bots, embedded, health, keys, mqtt_status
from encryption import new_key
from tests.alpaca_server.local import running_server
from tests.database.trading_floor import TradingFloor
from tests.end_to_end.webhook_desk import WebhookDesk, gunicorn


@pytest.fixture
def console(database_url, monkeypatch):
    """Give what the doctor looks with, on a database that all parts keep up to date."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())
    console = Console()
    yield console
    console.database.close()


@pytest.fixture
def floor(database):
    return TradingFloor(database)


def change(console, sql, values=None):
    with console.transaction() as transaction:
        transaction.execute(sql, values)


def well(found):
    """Return what is said where nothing is at fault."""
    lines = list(found)
    assert [line for line in lines if line.mend] == []
    return [line.words for line in lines]


def fault(found):
    """Return the words of the only fault, which has a mend."""
    (line,) = [line for line in found if line.mend]
    assert str(line).startswith(f"FAULT  {line.subject}: ")
    assert f". To mend it, {line.mend}." in str(line)
    return line.words


def hopeless(found):
    """Return the fault without whose mend nothing else can be looked at."""
    with pytest.raises(doctor._Hopeless) as broken:
        list(found)
    assert broken.value.finding.mend
    return broken.value.finding


def test_a_database_that_answers(console):
    (words,) = well(doctor._database(console))
    assert words.startswith("PostgreSQL ")


def test_a_database_that_does_not(console, monkeypatch, free_port):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://x:y@127.0.0.1:{free_port}/z")
    finding = hopeless(doctor._database(Console()))
    assert finding.words.startswith("no answer: ")
    assert "make run" in finding.mend


def test_migrations_that_are_applied_missing_and_unknown(console):
    assert well(doctor._migrations(console)) == ["all applied"]
    change(console, "DELETE FROM _yoyo_migration WHERE migration_id LIKE '005%%'")
    assert "1 are outstanding, the first 005_" in hopeless(doctor._migrations(console)).words
    change(
        console,
        """
        INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) VALUES ('x', '999_later', now())
        """,
    )
    newer = hopeless(doctor._migrations(console))
    assert "999_later" in newer.words
    assert newer.mend == "update this checkout"


def test_a_key_that_fits_one_that_does_not_and_none(console, monkeypatch):
    with console.transaction() as transaction:
        keys.hash_key(transaction, console.vault)
    assert well(doctor._key(console))[0].endswith("opens the stored secrets")
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())
    assert "ENCRYPTION_KEY" in hopeless(doctor._key(Console())).mend
    monkeypatch.delenv("ENCRYPTION_KEY")
    assert "ENCRYPTION_KEY" in hopeless(doctor._key(Console())).mend


def test_a_database_that_loses_answers_in_a_power_cut(console):
    # The server of the tests is made like that, to be quick.
    assert fault(doctor_ground.durability(console)).startswith("fsync and full_page_writes off")


def test_a_database_that_keeps_them(console, monkeypatch, free_port):
    with TemporaryDirectory(prefix="dashtrade-test-") as folder:
        server = embedded.Server(folder=Path(folder) / "data", port=free_port, password="a test's password")
        server.start()
        try:
            monkeypatch.setenv("DATABASE_URL", server.url("postgres"))
            durable = Console()
            assert well(doctor_ground.durability(durable)) == ["what was answered is on disk"]
            durable.database.close()
        finally:
            server.stop()


def test_clocks_that_agree_and_that_do_not(console):
    assert well(doctor_ground.clocks(console))
    # A clock of the database's own that is before or behind: what this session calls first wins.
    change(console, "CREATE SCHEMA fast")
    change(
        console,
        """
        CREATE FUNCTION fast.clock_timestamp() RETURNS timestamptz LANGUAGE sql
        AS $$ SELECT pg_catalog.clock_timestamp() + interval '90 s' $$
        """,
    )
    with console.transaction() as transaction:
        name = transaction.value("SELECT current_database()")
        transaction.execute(f"ALTER DATABASE {name} SET search_path = fast, pg_catalog, public")
    console.database.close()
    words = fault(doctor_ground.clocks(console))
    assert 85 < float(words.split()[-3]) < 95


def test_room_on_the_disk_of_the_embedded_database_alone(console, monkeypatch, tmp_path):
    assert list(doctor_ground.disk(console)) == []
    monkeypatch.delenv("DATABASE_URL")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/DATABASE_URL").write_text("postgresql://x:y@127.0.0.1/z")
    (tmp_path / "home/ENCRYPTION_KEY").write_text(new_key())
    assert "GB are free" in well(doctor_ground.disk(Console()))[0]
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage(10**12, 10**12, 10**8))
    assert fault(doctor_ground.disk(Console())) == "0.1 GB are free for the embedded database"


@pytest.mark.parametrize(
    ("url", "is_well"),
    [
        ("http://localhost:8080", True),
        ("http://192.168.1.7:8080", True),
        ("http://[::1]:8080", True),
        ("http://pi.local", True),
        ("https://trade.example.com", True),
        ("http://trade.example.com", False),
        ("http://8.8.8.8", False),
    ],
)
def test_an_address_that_is_read_along_is_a_fault(console, monkeypatch, url, is_well):
    monkeypatch.setenv("PUBLIC_URL", url)
    found = list(doctor_ground.address(Console()))
    if is_well:
        assert url in well(found)[0]
    else:
        assert "reads the tokens" in fault(found)


def test_parts_that_run_fell_silent_and_never_ran(console):
    assert [line.words for line in doctor._parts(console) if line.mend] == ["never ran"] * 2
    with console.transaction() as transaction:
        for part in doctor.PARTS:
            health.beat(transaction, part, "here:1", datetime.now(UTC))
        health.beat(transaction, "worker", "here:2", datetime.now(UTC))
    assert well(doctor._parts(console)) == ["2 running", "1 running"]
    change(console, "UPDATE heartbeats SET beat_at = now() - interval '1 hour' WHERE part = 'worker'")
    assert fault(doctor._parts(console)).startswith("silent since ")


def test_a_webhook_server_that_answers_and_one_that_does_not(console, database_url, free_port, monkeypatch):
    monkeypatch.setenv("WEBHOOK_PORT", str(free_port))
    assert "no answer at http://127.0.0.1" in fault(doctor._webhook_server(Console()))
    desk = WebhookDesk(database_url)
    try:
        with gunicorn(desk, free_port):
            # No worker runs, which has a line of its own.
            found = f"answers at http://127.0.0.1:{free_port} (health 503)"
            assert well(doctor._webhook_server(Console())) == [found]
            # In containers it is another machine, which SIGNAL_API_URL names.
            monkeypatch.setenv("WEBHOOK_PORT", "1")
            assert fault(doctor._webhook_server(Console())).startswith("no answer at ")
            monkeypatch.setenv("SIGNAL_API_URL", f"http://127.0.0.1:{free_port}")
            assert well(doctor._webhook_server(Console())) == [found]
    finally:
        desk.close()


def test_something_else_on_the_webhook_servers_port(console, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("WEBHOOK_PORT", str(other.getsockname()[1]))
        monkeypatch.setattr(doctor, "ANSWER_SECONDS", 0.3)
        assert "no answer at http://127.0.0.1" in fault(doctor._webhook_server(Console()))


def test_switches_that_stop_everything(console, floor):
    assert well(doctor._switches(console)) == []
    change(console, "UPDATE server_settings SET trading_state = 'REDUCING'")
    assert fault(doctor._switches(console)) == "the whole server is REDUCING"
    change(console, "UPDATE server_settings SET trading_state = 'ACTIVE'")
    change(console, "UPDATE user_api_keys SET state_after_reconcile = 'ACTIVE', trading_state = 'HALTED'")
    assert "1 connections wait to be reconciled" in fault(doctor._switches(console))


def test_brokers_that_answer_and_that_refuse(console, floor, monkeypatch):
    (words,) = well(doctor._brokers(console))
    assert words.startswith("equity ")
    secret = {"api_key": "PKTEST0123456789", "api_secret": "a secret of the local server"}
    with running_server() as broker:
        broker.account(*secret.values())
        monkeypatch.setenv("APCA_API_BASE_URL", broker.url)
        monkeypatch.setenv("APCA_API_DATA_URL", broker.url)
        with console.transaction() as transaction:
            connection = bots.create_connection(
                transaction, user_id=floor.user_id, broker="alpaca", mode="paper", label="Mine",
                credentials_sealed=console.vault.seal(json.dumps(secret)), sealed_with=console.vault.key_id,
            )  # fmt: skip
        with closing_console() as fresh:
            assert len(well(doctor._brokers(fresh))) == 2
        change(
            console,
            "UPDATE user_api_keys SET credentials_sealed = %s WHERE id = %s",
            (console.vault.seal(json.dumps(secret | {"api_secret": "wrong"})), connection),
        )
        with closing_console() as fresh:
            assert fault(doctor._brokers(fresh))


@contextmanager
def closing_console():
    """Give a console that knows nothing yet, and close its connections at the end."""
    console = Console()
    yield console
    console.database.close()


def test_work_that_is_done_in_time_and_that_waits(console, floor):
    floor.send(floor.bot(), Action.BUY)
    assert well(doctor_work.queue(console)) == ["0 signals wait, 0 decisions are being carried out"]
    change(
        console,
        "UPDATE signals SET state = 'STORED', finished_at = NULL, stored_at = now() - interval '5 minutes'",
    )
    assert "1 signals wait" in fault(doctor_work.queue(console))


def test_an_order_of_which_nobody_knows(console, floor):
    floor.send(floor.bot(), Action.BUY)
    assert well(doctor_work.orders(console)) == ["none is in doubt"]
    doubt = "UPDATE orders SET state = 'IN_DOUBT', finished_at = NULL, in_doubt_since = now() - interval '1 s' * %s"
    change(console, doubt, (60,))
    assert well(doctor_work.orders(console)) == ["none is in doubt"]
    change(console, doubt, (300,))
    assert "nobody has known" in fault(doctor_work.orders(console))


def test_positions_that_are_watched_and_that_are_not(console, floor):
    bot = floor.bot(stop_loss_percent="2")
    floor.send(bot, Action.BUY)
    change(console, "UPDATE protections SET checked_at = now()")
    assert well(doctor_work.positions(console)) == ["all stops and targets are watched"]
    change(console, "UPDATE protections SET checked_at = now() - interval '5 minutes'")
    assert "the stops of 1 for a minute" in fault(doctor_work.positions(console))
    change(console, "UPDATE protections SET checked_at = now()")
    change(console, "UPDATE lanes SET mismatch_since = now()")
    assert "1 symbols of an account" in fault(doctor_work.positions(console))


def test_alerts_that_go_out_wait_and_have_nowhere_to_go(console, floor, monkeypatch):
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", "https://discord.com/api/webhooks/1/token")
    assert well(doctor_alerts.alerts(Console())) == ["0 wait, 0 failed within a day"]
    monkeypatch.delenv("DISCORD_WEBHOOK_URL")
    assert "no DISCORD_WEBHOOK_URL" in well(doctor_alerts.alerts(Console()))[0]
    with console.transaction() as transaction:
        channel = transaction.value(
            "INSERT INTO alert_channels (user_id, transport, shown) VALUES (%s, 'DISCORD', '…') RETURNING id",
            (floor.user_id,),
        )
        notification = transaction.value(
            "INSERT INTO notifications (user_id, kind, content) VALUES (%s, 'TEST_ALERT', '{}') RETURNING id",
            (floor.user_id,),
        )
        transaction.execute(
            """
            INSERT INTO alert_deliveries (notification_id, channel_id, kind, not_before, created_at)
            VALUES (%s, %s, 'TEST_ALERT', now() - interval '1 hour', now() - interval '1 hour')
            """,
            (notification, channel),
        )
    assert fault(doctor_alerts.alerts(console)).startswith("1 wait, the oldest since ")


def test_an_operators_channel_that_is_off(console):
    with console.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO alert_channels (transport, shown, address_hash, is_active, switched_off_because)
            VALUES ('DISCORD', 'webhook 1', 'x', false, 'it was deleted')
            """
        )
    assert fault(doctor_alerts.alerts(console)) == "the channel webhook 1 is off: it was deleted"


def test_a_listener_that_is_connected_is_not_and_does_not_run(console):
    assert fault(doctor_alerts.mqtt(console)) == "never ran"
    with console.transaction() as transaction:
        health.beat(transaction, doctor_alerts.LISTENER, "here:1", datetime.now(UTC))
        mqtt_status.note(
            transaction, broker="here:1883", is_connected=False, words="refused", now=datetime.now(UTC)
        )
    assert "not connected to here:1883" in fault(doctor_alerts.mqtt(console))
    with console.transaction() as transaction:
        mqtt_status.note(
            transaction, broker="here:1883", is_connected=True, words=None, now=datetime.now(UTC)
        )
    assert well(doctor_alerts.mqtt(console)) == ["connected to here:1883"]


def test_failures_of_the_last_minutes_and_older_ones(console):
    with console.transaction() as transaction:
        health.note_fault(transaction, "lane 7", "KeyError: x", datetime.now(UTC) - timedelta(hours=1))
    assert well(doctor._recent_faults(console)) == []
    with console.transaction() as transaction:
        health.note_fault(transaction, "lane 7", "KeyError: x", datetime.now(UTC))
    assert fault(doctor._recent_faults(console)).startswith("KeyError: x (2 times, last at ")


def test_a_whole_look_ends_with_the_number_of_faults(console, free_port, monkeypatch):
    monkeypatch.setenv("WEBHOOK_PORT", str(free_port))
    done = CliRunner().invoke(doctor.doctor, obj=Console())
    lines = done.output.splitlines()
    assert done.exit_code == 1
    assert lines[-1] == f"{sum(line.startswith('FAULT') for line in lines)} faults."
    assert all(line.startswith(("ok     ", "FAULT  ")) for line in lines[:-1])


def test_every_setting_at_fault_is_named_and_nothing_is_looked_at(monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", "mysql://x")
    monkeypatch.setenv("WEBHOOK_PORT", "99999")
    assert manage.main(["doctor"]) == 1
    said = "".join(capsys.readouterr())
    assert "DATABASE_URL" in said
    assert "WEBHOOK_PORT" in said
    assert "Traceback" not in said
