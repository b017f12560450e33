"""Drive manage.py as an operator does, against a real database, the paper broker and the engine."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest

import manage
from core.signal import Action
from database import bots, health
from database.pool import Database
from encryption import new_key
from tests.alpaca_server.local import running_server
from tests.database.trading_floor import TradingFloor

ROOT = Path(__file__).resolve().parents[2]
ANN, PASSWORD = "ann@example.com", "correct horse battery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """Return the one line of a command that succeeded."""
        assert self.code == 0, self.err
        (line,) = self.out.splitlines()
        return line

    @property
    def refusal(self) -> str:
        """Return the one line that an error must be."""
        assert self.code != 0
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("Error: ")
        return line


Run = Callable[..., Done]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs a command in this process."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())

    def run_it(*arguments: object, given: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        capsys.readouterr()
        code = manage.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Done(code=code, out=out, err=err)

    return run_it


@pytest.fixture
def ann(run: Run) -> str:
    """Give the address of a user with a paper connection."""
    assert run("user", "add", ANN, "--password-stdin", given=PASSWORD).line == "1"
    assert run("connect", ANN, "paper").line == "1"
    return ANN


@pytest.fixture
def floor(database: Database) -> TradingFloor:
    return TradingFloor(database)


def test_a_process_of_its_own_from_nothing_to_a_bot(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())

    def out(*arguments: str, given: str = "") -> str:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, env=os.environ.copy())
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.strip()

    user_id = out("user", "add", ANN, "--password-stdin", given=PASSWORD + "\n")
    url = out("user", "token", "ANN@example.com")
    connection_id = out("connect", ANN, "paper")
    bot_id = out("bot", "add", ANN, "aapl", "15m", "--size", "5000", "--risk", "10")
    assert url.startswith("http://localhost:8080/webhook?token=usr_")
    (bot,) = json.loads(out("bots", ANN, "--json"))
    assert [str(bot[name]) for name in ("id", "user_id", "connection_id")] == [bot_id, user_id, connection_id]
    assert (bot["symbol"], bot["timeframe"], bot["position_size"]) == ("AAPL", "15 Min", "5000")
    assert bot["risk_limit_percent"] == "10"


def test_an_error_of_a_process_is_one_line_without_traceback(database_url: str) -> None:
    environ = {**os.environ, "DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/none"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "bots", ANN], capture_output=True, text=True, env=environ
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "The database does not answer" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


# One database for all of them: each is a refusal, none changes anything.
REFUSALS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("bots", "eve@example.com"), "no account eve@example.com"),
    (("bot", "add", ANN, "AAPL", "soon"), "minutes as a number"),
    (("bot", "add", ANN, "AAPL", "15m", "--size", "-5"), "a number above 0"),
    (("bot", "add", ANN, "AAPL", "15m", "--size", "NaN"), "a number above 0"),
    (("bot", "add", ANN, "AAPL", "15m", "--stop-loss-percent", "100"), "below 100"),
    (("bot", "add", ANN, "AAPL", "15m", "--window", "9-10"), "09:30-16:00"),
    (("bot", "add", ANN, "AAPL", "15m", "--window-zone", "Mars/Olympus"), "America/New_York"),
    (("bot", "add", ANN, "AAPL", "15m", "--connection", "other"), "allowed: paper (1)"),
    (("bot", "add", ANN, "NO SUCH SYMBOL", "15m"), "NO SUCH SYMBOL"),
    (("bot", "close", "99"), "no bot 99"),
    (("bot", "close", "x"), "not a valid integer"),
    (("connect", ANN, "paper"), "another --label"),
    (("connect", ANN, "paper", "--mode", "live"), "allowed: paper"),
    (("connect", ANN, "moon"), "paper"),
    (("user", "add", ANN), "--password-stdin"),
    (("user", "add", "eve", "--password-stdin"), "name@example.com"),
    (("user", "sign-up", "sometimes"), "invitation"),
    (("token", "revoke", ANN, "7"), "no such token 7"),
    (("signal", "nonsense"), "not a valid UUID"),
    (("signal", str(uuid4())), "There is no signal"),
    (("kill-switch", "user", ANN, "asleep"), "active, reducing, halted, flatten"),
    (("kill-switch", "bot", "halted"), "Say which bot"),
    (("kill-switch", "bot", "12", "halted"), "no bot 12"),
    (("kill-switch", "galaxy", "1", "halted"), "server"),
    (("nonsense",), "No such command"),
)


def test_every_refusal_is_one_line_that_says_what_is_allowed(run: Run, ann: str) -> None:
    for arguments, said in REFUSALS:
        assert said in run(*arguments).refusal, arguments


def test_a_second_bot_for_the_same_is_refused_in_words(run: Run, ann: str) -> None:
    run("bot", "add", ann, "AAPL", "15")
    assert "already" in run("bot", "add", ann, "aapl", "15 Min", "--name", "other").refusal
    assert "--name" in run("bot", "add", ann, "MSFT", "15", "--name", "AAPL 15 Min").refusal


def test_every_limit_of_a_bot_is_kept_as_typed(run: Run, ann: str) -> None:
    run(
        "bot", "add", ann, "btcusd", "any", "--size", "0.25", "--size-mode", "units", "--risk", "2.5",
        "--daily-loss", "300", "--max-size", "9000", "--stop-loss-percent", "1.5", "--take-profit-percent", "3",
        "--no-short", "--use-signal-quantity", "--max-age", "45", "--max-deviation", "0.7", "--cooldown", "20",
        "--window", "22:00-04:30", "--window-zone", "UTC", "--source", "Discord", "--name", "Night",
    )  # fmt: skip
    (bot,) = run("bots", ann, "--json").json
    assert bot["symbol"] == "BTC/USD"
    wanted = {
        "timeframe": None, "position_size": "0.25", "size_mode": "units", "risk_limit_percent": "2.5",
        "daily_loss_limit": "300", "max_position_size": "9000", "stop_loss_percent": "1.5",
        "take_profit_percent": "3", "allow_short": False, "use_signal_quantity": True,
        "max_signal_age_seconds": 45, "max_price_deviation_percent": "0.7", "cooldown_minutes": 20,
        "window_start": "22:00:00", "window_end": "04:30:00", "window_zone": "UTC", "source": "discord",
        "name": "Night",
    }  # fmt: skip
    assert {name: bot[name] for name in wanted} == wanted


def test_alpaca_credentials_are_tried_sealed_and_never_shown(
    run: Run, ann: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = "PKTEST0123456789", "a secret of the local server"
    with running_server() as broker:
        broker.account(key, secret)
        monkeypatch.setenv("APCA_API_BASE_URL", broker.url)
        monkeypatch.setenv("APCA_API_DATA_URL", broker.url)
        keys = {"api_key": key, "api_secret": secret}
        wrong = run("connect", ann, "alpaca", given=json.dumps({**keys, "api_secret": "wrong"}))
        assert wrong.refusal.startswith("Error: The broker says:")
        done = run("connect", ann, "alpaca", "--label", "My Alpaca", "--netting", given=json.dumps(keys))
        assert done.line == "2"
        assert (
            "already" in run("connect", ann, "alpaca", "--label", "My Alpaca", given=json.dumps(keys)).refusal
        )
        assert run("bot", "add", ann, "AAPL", "15", "--connection", "my alpaca").line == "1"
    with database.transaction() as transaction:
        row = transaction.one("SELECT * FROM user_api_keys WHERE id = 2")
    assert (row["mode"], row["status"], row["allow_netting"]) == ("paper", "OK", True)
    assert row["credentials_prefix"] == "PKTE…"
    assert secret.encode() not in bytes(row["credentials_sealed"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "as JSON on standard input"),
        ("[1]", "as JSON on standard input"),
        ('{"api_key": "k"}', "missing, empty or unknown: api_secret"),
        ('{"api_key": "k", "api_secret": " "}', "missing, empty or unknown: api_secret"),
        ('{"api_key": "k", "api_secret": "s", "pin": "1"}', "missing, empty or unknown: pin"),
    ],
)
def test_credentials_in_another_form_are_refused(run: Run, ann: str, given: str, said: str) -> None:
    refusal = run("connect", ann, "alpaca", given=given).refusal
    assert said in refusal
    assert '"api_key": "…", "api_secret": "…"' in refusal


def test_real_money_wants_the_label_typed_again(run: Run, ann: str) -> None:
    keys = '{"api_key": "k", "api_secret": "s"}'
    for confirmation in ((), ("--confirm-live", "alpaca")):
        refusal = run("connect", ann, "alpaca", "--mode", "live", *confirmation, given=keys).refusal
        assert '--confirm-live "alpaca live"' in refusal


def test_tokens_are_listed_by_prefix_shown_rotated_and_revoked(run: Run, ann: str) -> None:
    url = run("user", "token", ann, "--name", "my script", "--connection", "paper").line
    (token,) = run("token", "list", ann, "--json").json
    assert (token["name"], token["connection"], token["active"]) == ("my script", 1, "yes")
    assert url.split("token=")[1].startswith(token["prefix"])
    assert url not in run("token", "list", ann).out
    assert run("token", "show", ann, token["id"]).line == url
    new = run("token", "rotate", ann, token["id"]).line
    assert new != url
    run("token", "revoke", ann, token["id"])
    assert "no such token" in run("token", "show", ann, token["id"]).refusal


def test_links_lead_to_the_dashboard(run: Run, ann: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("user", "reset", ann).line.startswith("http://localhost:5000/auth/reset?code=")
    assert run("user", "invite").line.startswith("http://localhost:5000/auth/signup?code=")
    monkeypatch.setenv("PUBLIC_URL", "https://trade.example.com")
    assert run("user", "reset", ann).line.startswith("https://trade.example.com/auth/reset?code=")


def test_what_happened_can_be_read_back(run: Run, floor: TradingFloor) -> None:
    email, bot = "ann@example.org", floor.bot()
    bought = floor.send(bot, Action.BUY)
    floor.send(bot, Action.BUY)
    held = floor.bot_row(bot)["quantity"]
    (position,) = run("positions", email, "--json").json["bots"]
    assert (position["side"], Decimal(position["quantity"])) == ("LONG", held)
    floor.market.pin("AAPL", "1000", "1001")
    floor.send(bot, Action.CLOSE)
    signals = run("signals", email, "--json").json
    assert [(each["action"], each["state"], each["code"]) for each in signals] == [
        ("CLOSE", "EXECUTED", "EXECUTED"), ("BUY", "SKIPPED", "ALREADY_LONG"), ("BUY", "EXECUTED", "EXECUTED"),
    ]  # fmt: skip
    closed, opened = run("trades", email, "--json").json
    assert (opened["action"], closed["action"]) == ("BUY", "CLOSE")
    assert opened["signal_id"] == str(bought["uuid"])
    assert Decimal(closed["filled_qty"]) == Decimal(opened["filled_qty"]) == held
    total = floor.bot_row(bot)["total_pnl"]
    performance = run("performance", email, "--json").json
    assert Decimal(performance["total"]["total_pnl"]) == Decimal(performance["bots"][0]["total_pnl"]) == total
    assert performance["total"]["trades"] == 1
    assert (performance["total"]["wins"], performance["total"]["win_rate"]) == (1, "100")
    assert Decimal(performance["total"]["best"]) == total > 0
    trace = run("signal", bought["uuid"], "--json").json
    assert trace["plan"]["legs"][0]["orders"][0]["client_order_id"]
    assert "EXECUTED" in run("signal", bought["uuid"]).out
    for command in ("signals", "trades", "orders", "positions", "performance", "risk-events", "bots"):
        assert run(command, email).code == 0


def test_the_csv_of_trades_is_plain_and_harmless_in_a_spreadsheet(run: Run, floor: TradingFloor) -> None:
    bot = floor.bot(name="=1+1")
    floor.send(bot, Action.BUY)
    (row,) = csv.DictReader(io.StringIO(run("trades", "ann@example.org", "--csv").out))
    assert row["bot"] == "'=1+1"
    assert Decimal(row["filled_qty"]) == floor.bot_row(bot)["quantity"]
    assert datetime.fromisoformat(row["created_at"]).tzinfo is not None


def test_a_bot_is_closed_disabled_and_archived(run: Run, floor: TradingFloor) -> None:
    bot = floor.bot()
    assert "holds nothing" in run("bot", "close", bot).refusal
    floor.send(bot, Action.BUY)
    assert "close it first" in run("bot", "archive", bot).refusal
    assert "is closing" in run("bot", "close", bot).line
    assert "already" in run("bot", "close", bot).line
    floor.work(bot)
    assert floor.bot_row(bot)["quantity"] == 0
    (event,) = run("risk-events", "ann@example.org", "--json").json
    assert (event["kind"], event["state"]) == ("MANUAL_CLOSE", "DONE")
    run("bot", "disable", bot)
    assert floor.send(bot, Action.BUY)["code"] == "BOT_DISABLED"
    run("bot", "enable", bot)
    assert floor.send(bot, Action.BUY)["state"] == "EXECUTED"
    floor.send(bot, Action.CLOSE)
    assert "archived" in run("bot", "archive", bot).line
    assert "archived" in run("bot", "enable", bot).refusal
    trades = run("trades", "ann@example.org", "--json").json
    assert [each["status"] for each in reversed(trades)] == [
        "FILLED",
        "FILLED",
        "REFUSED",
        "FILLED",
        "FILLED",
    ]


def test_a_holding_of_the_users_own_is_acknowledged(run: Run, ann: str, database: Database) -> None:
    done = run("positions", "acknowledge", ann, "paper", "aapl", "-12.5")
    assert "-12.5 AAPL" in done.line
    with database.transaction() as transaction:
        (lane,) = transaction.all("SELECT symbol, foreign_quantity FROM lanes")
    assert (lane["symbol"], lane["foreign_quantity"]) == ("AAPL", Decimal("-12.5"))


def test_the_kill_switch_is_set_at_every_level(run: Run, floor: TradingFloor) -> None:
    bot = floor.bot()
    floor.send(bot, Action.BUY)
    assert run("kill-switch", "bot", bot, "flatten").out.splitlines() == [
        "bot 1: active before, flatten now.", "Closing bots 1; halted when all closes are final.",
    ]  # fmt: skip
    for scope in (("server",), ("user", "ann@example.org"), ("user", "1"), ("connection", "1")):
        assert "halted now" in run("kill-switch", *scope, "halted").out
        assert "active now" in run("kill-switch", *scope, "active").out


def test_keys_are_rotated(run: Run, ann: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = run("user", "token", ann).line
    old, new = os.environ["ENCRYPTION_KEY"], new_key()
    monkeypatch.setenv("ENCRYPTION_KEY", f"{new},{old}")
    assert run("keys", "rotate").line.startswith("2 secrets were sealed anew")
    assert run("keys", "rotate").line.startswith("0 secrets were sealed anew")
    monkeypatch.setenv("ENCRYPTION_KEY", new)
    assert run("token", "show", ann, 1).line == url
    monkeypatch.setenv("ENCRYPTION_KEY", old)
    assert "do not open" in run("keys", "rotate").refusal
    assert "sealed with the key" in run("token", "show", ann, 1).refusal


def test_a_backup_comes_back_with_every_connection_halted(
    run: Run, floor: TradingFloor, database: Database, tmp_path: Path
) -> None:
    email, bot, file = "ann@example.org", floor.bot(), tmp_path / "dashtrade.backup"
    floor.send(bot, Action.BUY)
    run("kill-switch", "bot", bot, "reducing")
    before = [run(command, email, "--json").json for command in ("signals", "trades", "bots")]
    assert "ENCRYPTION_KEY" in run("backup", file).line
    assert file.stat().st_mode & 0o777 == 0o600
    floor.send(bot, Action.CLOSE)
    with database.transaction() as transaction:
        transaction.execute("CREATE TABLE of_a_newer_version (id int)")
    database.close()
    assert run("restore", file, given="y\n").err == "Error: Nothing was changed.\n"
    assert "1 connections are halted" in run("restore", file, "--yes").line
    assert [run(command, email, "--json").json for command in ("signals", "trades", "bots")] == before
    with database.transaction() as transaction:
        place = transaction.one("SELECT * FROM user_api_keys")
        assert transaction.value("SELECT to_regclass('of_a_newer_version')") is None
        assert bots.bot_row(transaction, bot)["trading_state"] == "REDUCING"
    assert (place["trading_state"], place["state_after_reconcile"]) == ("HALTED", "ACTIVE")


def test_a_backup_moves_to_another_server(
    run: Run, floor: TradingFloor, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, file = floor.bot(), tmp_path / "dashtrade.backup"
    floor.send(bot, Action.BUY)
    before = run("trades", "ann@example.org", "--json").json
    run("backup", file)
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert run("restore", file, "--yes").code == 0
    assert run("trades", "ann@example.org", "--json").json == before


def test_nothing_is_restored_over_a_running_dashtrade(
    run: Run, ann: str, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "dashtrade.backup"
    run("backup", file)
    with database.transaction() as transaction:
        health.beat(transaction, "worker", "here:1", datetime.now(UTC))
    assert "running (worker)" in run("restore", file, "--yes").refusal


def test_what_is_no_backup_changes_nothing(run: Run, ann: str, tmp_path: Path) -> None:
    file = tmp_path / "nonsense"
    file.write_bytes(b"this is no backup")
    assert "nothing was changed" in run("restore", file, "--yes").refusal
    assert ann in run("user", "list").out


def test_the_doctor_names_each_fault_with_its_mend(run: Run, ann: str, database: Database, free_port: int,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("WEBHOOK_PORT", str(free_port))
    done = run("doctor")
    lines = {line[7:].split(":")[0]: line for line in done.out.splitlines()}
    assert done.code == 1
    assert lines["database"].startswith("ok")
    assert lines["connection 1 (paper)"].startswith("ok")
    assert "make run" in lines["worker"]
    assert "make run" in lines["webhook server"]
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM _yoyo_migration WHERE migration_id LIKE '005%'")
    assert "python migrate_bot_tables.py" in run("doctor").out


def test_the_doctor_says_that_the_key_does_not_fit(
    run: Run, ann: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("user", "token", ann)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())
    done = run("doctor")
    assert done.code == 1
    assert "FAULT  key" in done.out


def test_the_database_url_is_for_psql(run: Run, database_url: str) -> None:
    address = run("database-url").line
    assert address == database_url
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM users")


def test_a_channel_is_registered_listed_switched_and_archived(run: Run, ann: str) -> None:
    room = "900000000000000001"
    made = run(
        "channel", "add", ann, room, "--authors", "700000000000000001", "--formats", "standard,compact"
    )
    assert made.line == "1"
    (row,) = run("channels", ann, "--json").json  # type: ignore[misc]
    assert (row["channel"], row["formats"], row["size"]) == (int(room), "COMPACT STANDARD", "1 risk_percent")
    assert row["leverage"] == "10x, up to 10x"
    assert "700000000000000001" in run("channels", ann).out
    assert "registered this channel already" in run("channel", "add", ann, room).refusal
    assert "is no id of Discord's" in run("channel", "add", ann, "general").refusal
    assert run("channel", "disable", 1).code == 0
    assert run("channels", ann, "--json").json[0]["active"] is False  # type: ignore[index]
    assert run("channel", "enable", 1).code == 0
    assert run("channel", "archive", 1).line == "Archived."
    assert "no such signal channel" in run("channel", "enable", 1).refusal
    assert run("channels", ann).line.startswith("No channels yet")
