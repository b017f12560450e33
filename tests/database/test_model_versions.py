"""Which model scores: the default one made once, files that do not fit refused, none replaced in silence."""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import manage
import settings
from core.bar import Bar
from database import market_bars, model_versions
from database.model_versions import ModelState
from database.pool import Database
from encryption import new_key
from reversal import registry, training
from reversal.fitting import FEWEST_ROWS
from reversal.model import Model, ModelRefused
from reversal.training import Made
from tests.unit.price_series import real

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def store(
    database: Database, made: Made, state: ModelState = ModelState.CHALLENGER, now: datetime = NOW
) -> bool:
    with database.transaction() as transaction:
        return model_versions.store(transaction, made.row, state, now)


def states(database: Database) -> dict[str, str]:
    with database.transaction() as transaction:
        return {row["version"]: row["state"] for row in model_versions.versions(transaction)}


def spoil(database: Database, **changes: object) -> None:
    with database.transaction() as transaction:
        for column, value in changes.items():
            transaction.execute(f"UPDATE model_versions SET {column} = %s", (value,))


@pytest.fixture(scope="module")
def other() -> Made:
    """Give a model that learned from a part of what the default one did."""
    series = training.recordings()
    return training.train([replace(one, learned=one.learned[200:]) for one in series])


@pytest.fixture(scope="module")
def trained() -> Made:
    return training.train(training.recordings())


@pytest.fixture
def default(database: Database, trained: Made) -> Model:
    """Give the default model, which scores already."""
    store(database, trained, ModelState.CHAMPION)
    return trained.model


def test_the_first_who_asks_makes_the_default_model(database: Database) -> None:
    first = registry.champion(database, NOW)
    assert states(database) == {first.version: "CHAMPION"}
    assert registry.champion(database, NOW + timedelta(days=1)).content() == first.content()
    with database.transaction() as transaction:
        record = model_versions.record(transaction)
    assert record is not None
    assert "file" not in record
    assert set(record["metrics"]["record"]) == {"EUR/USD 1 Hour", "SP500 1 Day", "NASDAQ 1 Day"}
    assert record["champion_since"] == NOW
    assert record["features"] == json.loads(first.content())["features"]


def test_two_who_ask_at_once_make_one_model(database_url: str, database: Database) -> None:
    pools = [Database(database_url), Database(database_url), Database(database_url)]
    with ThreadPoolExecutor(len(pools)) as threads:
        found = list(threads.map(lambda pool: registry.champion(pool, NOW).content(), pools))
    for pool in pools:
        pool.close()
    assert len(set(found)) == 1
    assert list(states(database).values()) == ["CHAMPION"]


def test_d7_7_a_file_that_is_not_what_was_stored_is_refused(database: Database, other: Made) -> None:
    store(database, other, ModelState.CHAMPION)
    changed = other.row.file.replace(b'"until":"2', b'"until":"1')
    assert changed != other.row.file
    spoil(database, file=changed)
    with pytest.raises(ModelRefused, match="hash"):
        registry.champion(database, NOW)


def test_d7_7_a_file_of_another_version_is_refused(database: Database, other: Made) -> None:
    store(database, other, ModelState.CHAMPION)
    spoil(database, version="2001-01-01-00000000")
    with pytest.raises(ModelRefused, match=other.model.version):
        registry.champion(database, NOW)


def test_d7_8_a_file_without_its_scaler_is_refused_though_its_hash_is_right(
    database: Database, other: Made
) -> None:
    store(database, other, ModelState.CHAMPION)
    found = json.loads(other.row.file)
    del found["families"]["daily"]["scaler"]
    content = json.dumps(found).encode()
    spoil(database, file=content, file_hash=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelRefused, match="scaler"):
        registry.champion(database, NOW)


def test_training_makes_a_challenger_and_replaces_nothing(database: Database, default: Model) -> None:
    series = training.recordings()
    series[0] = replace(series[0], learned=series[0].learned[100:])
    made, is_new = training.train_challenger(database, series, NOW)
    assert is_new
    assert states(database) == {default.version: "CHAMPION", made.model.version: "CHALLENGER"}
    assert registry.champion(database, NOW).version == default.version
    assert made.row.metrics["against"]["version"] == default.version
    assert set(made.row.metrics["against"]["series"]) == set(default.record)
    again, is_new = training.train_challenger(database, series, NOW)
    assert (again.row.file_hash, is_new) == (made.row.file_hash, False)


def test_training_with_the_same_bars_leaves_the_champion(database: Database, default: Model) -> None:
    _, is_new = training.train_challenger(database, training.recordings(), NOW)
    assert not is_new
    assert states(database) == {default.version: "CHAMPION"}


def test_use_promotes_and_previous_goes_back(database: Database, other: Made, default: Model) -> None:
    store(database, other)
    with database.transaction() as transaction:
        before, after = registry.use(transaction, other.model.version, NOW + timedelta(hours=1))
    assert before is not None
    assert (before["version"], after["version"]) == (default.version, other.model.version)
    assert states(database) == {other.model.version: "CHAMPION", default.version: "RETIRED"}
    with database.transaction() as transaction:
        registry.use(transaction, None, NOW + timedelta(hours=2))
    assert registry.champion(database, NOW).version == default.version
    with database.transaction() as transaction:
        registry.use(transaction, None, NOW + timedelta(hours=3))
    assert registry.champion(database, NOW).version == other.model.version


def test_use_refuses_what_cannot_score_and_changes_nothing(
    database: Database, other: Made, default: Model
) -> None:
    store(database, replace(other, row=replace(other.row, file_hash="0" * 64)))
    with pytest.raises(ModelRefused), database.transaction() as transaction:
        registry.use(transaction, other.model.version, NOW)
    with pytest.raises(registry.Unknown, match=default.version), database.transaction() as transaction:
        registry.use(transaction, "nonsense", NOW)
    with pytest.raises(registry.Unknown, match="before"), database.transaction() as transaction:
        registry.use(transaction, None, NOW)
    assert registry.champion(database, NOW).version == default.version


def test_use_refuses_a_collapsed_model(database: Database, other: Made, default: Model) -> None:
    record = {key: {**each, "collapsed": True} for key, each in other.model.record.items()}
    store(database, replace(other, row=replace(other.row, metrics={"record": record})))
    with pytest.raises(ModelRefused, match="same confidence"), database.transaction() as transaction:
        registry.use(transaction, other.model.version, NOW)


def test_promoting_what_is_the_champion_keeps_it(database: Database, default: Model) -> None:
    with database.transaction() as transaction:
        registry.use(transaction, default.version, NOW + timedelta(hours=1))
    assert states(database) == {default.version: "CHAMPION"}


def test_a_challenger_is_trained_by_schedule_only_where_it_is_due(
    database: Database, database_url: str, trained: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())
    off = settings.load()
    monkeypatch.setenv("REVERSAL_RETRAIN_DAYS", "7")
    weekly = settings.load()
    assert off.reversal_retrain_days == 0
    assert training.retrain_if_due(database, weekly, NOW) is None
    store(database, trained, ModelState.CHAMPION)
    default = trained.model
    bring_bars(database, "AAPL", "1 Day", 700)
    later = NOW + timedelta(days=8)
    assert training.retrain_if_due(database, off, later) is None
    assert training.retrain_if_due(database, weekly, NOW + timedelta(days=6)) is None
    made = training.retrain_if_due(database, weekly, later)
    assert made is not None
    assert states(database) == {default.version: "CHAMPION", made: "CHALLENGER"}
    assert training.retrain_if_due(database, weekly, later + timedelta(days=1)) is None


def bring_bars(database: Database, pair: str, timeframe: str, count: int, source: str = "csv") -> list[Bar]:
    """Store daily bars as a source brought them, the last closed before now; weekdays as they were recorded."""
    weeks = (NOW - real(1)[-1].closed_at) // timedelta(weeks=1) * timedelta(weeks=1)
    bars = [
        replace(
            each, opened_at=each.opened_at + weeks, closed_at=each.closed_at + weeks, volume=Decimal(1000)
        )
        for each in real(1)[-count:]
    ]
    with database.transaction() as transaction:
        market_bars.store(transaction, pair, timeframe, source, bars, NOW)
    return bars


def test_bars_of_real_sources_are_learned_from_and_replayed_ones_never(database: Database) -> None:
    bring_bars(database, "AAPL", "1 Day", 700)
    bring_bars(database, "SP500", "1 Day", 700, source="replay")
    bring_bars(database, "MSFT", "1 Day", FEWEST_ROWS - 50)
    found = training.stored(database, NOW)
    assert [(one.pair, one.timeframe, one.source) for one in found] == [("AAPL", "1 Day", "stored")]
    made = training.train(found)
    assert made.model.record["AAPL 1 Day"]["kind"] == "walk-forward"
    assert made.row.trained_from == found[0].learned[0].opened_at
    assert made.row.trained_until == found[0].learned[-1].closed_at


def test_of_a_pair_that_was_replayed_once_only_what_came_later_is_learned(database: Database) -> None:
    bars = bring_bars(database, "SP500", "1 Day", 900)
    with database.transaction() as transaction:
        transaction.execute(
            "UPDATE market_bars SET source = 'replay' WHERE opened_at < %s", (bars[300].opened_at,)
        )
    (found,) = training.stored(database, NOW)
    assert found.learned[0].opened_at == bars[300].opened_at


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())

    def run_it(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = manage.main(["model", *arguments])
        return (code, *capsys.readouterr())

    return run_it


def test_the_command_line_trains_reports_uses_and_goes_back(run, database: Database) -> None:
    assert "No model yet" in run("list")[1]
    assert "no champion yet" in run("report")[2]
    code, out, _ = run("train", "--recordings-only")
    (version,) = states(database)
    assert code == 0
    assert f"Challenger {version}" in out
    assert out.count("no edge shown") == 3
    assert states(database) == {version: "CHALLENGER"}
    assert "is there already" in run("train", "--recordings-only")[1]
    code, out, _ = run("use", version)
    assert code == 0
    assert f"From now on: {version}" in out
    bring_bars(database, "AAPL", "1 Day", 700)
    code, out, _ = run("train")
    (second,) = set(states(database)) - {version}
    assert f"neither it nor {version} had learned from" in out
    assert "challenger" in out
    assert "champion" in out
    code, out, _ = run("use", second)
    assert f"Until now: {version}" in out
    assert f"From now on: {second}" in out
    assert "manage.py model use --previous" in out
    code, out, _ = run("use", "--previous")
    assert states(database) == {version: "CHAMPION", second: "RETIRED"}
    listed = json.loads(run("list", "--json")[1])
    assert [row["version"] for row in listed] == [version, second]
    report = json.loads(run("report", second, "--json")[1])
    assert set(report["metrics"]["record"]) == {"EUR/USD 1 Hour", "SP500 1 Day", "NASDAQ 1 Day", "AAPL 1 Day"}
    assert "random_entries" in run("report")[1]
    with database.transaction() as transaction:
        noted = transaction.all("SELECT action FROM audit_log WHERE action LIKE 'model.%%' ORDER BY id")
    assert [row["action"] for row in noted] == [
        "model.train",
        "model.use",
        "model.train",
        "model.use",
        "model.use",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("use",), "either a VERSION or --previous"),
        (("use", "x", "--previous"), "either a VERSION or --previous"),
        (("use", "x"), "There is no model x; there are: none yet"),
        (("use", "--previous"), "No model was in use before"),
        (("report", "x"), "There is no model x"),
        (("train", "--stored-only"), "from a real source"),
        (("train", "--stored-only", "--recordings-only"), "not both"),
    ],
)
def test_the_command_line_says_what_is_wrong(arguments: tuple[str, ...], words: str, run) -> None:
    code, _, err = run(*arguments)
    assert code != 0
    assert words in err
    assert err.count("\n") == 1


def test_scoring_needs_no_scikit_learn_once_there_is_a_model(default: Model, database_url: str) -> None:
    """A scan is a process of its own: what it loads is what it costs."""
    script = (
        "import sys; from datetime import UTC, datetime; from database.pool import Database;"
        "from reversal import registry, rules;"
        f"registry.champion(Database({database_url!r}), datetime(2026, 1, 1, tzinfo=UTC));"
        "print(sorted(name for name in ('sklearn', 'scipy', 'pandas') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=settings.ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_row_holds_what_the_file_holds(database: Database, other: Made) -> None:
    store(database, other)
    with database.transaction() as transaction:
        row = model_versions.of_version(transaction, other.model.version)
    assert row is not None
    assert Model.load(row["file"]).content() == other.row.file
    assert row["series"] == other.row.series
