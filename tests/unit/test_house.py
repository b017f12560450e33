"""The house keeps its shape: imports point one way, SQL and broad excepts stand where they belong."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# From the inside out: a room may import its own floor and the floors before it.
FLOORS = (
    {"core"},
    {"settings", "encryption", "log", "database", "signals", "brokers", "bot_database"},
    {"alerts", "watching", "reversal"},
    {"engine", "bot_engine", "intake", "channel_intake", "reversal_intake", "actions", "notifier"},
    {
        "gunicorn.conf",
        "webhook",
        "webhook_server",
        "jobs",
        "broker_watch",
        "mqtt_listener",
        "reversal_watch",
        "discord_bot",
        "administration",
        "manage",
        "ui",
        "pages",
        "app",
    },
    {"supervision", "run", "migrate_bot_tables"},
)
STANDARD_LIBRARY_ONLY = {"core"}
OURS = set().union(*FLOORS)
SQL = re.compile(r"\b(SELECT\s.+\sFROM|INSERT INTO|UPDATE\s+\w+\s+SET|DELETE FROM)\b", re.DOTALL)
# The tops of the loops, where a failure is recorded.
LOOPS = {
    "jobs.py",
    "notifier.py",
    "mqtt_listener.py",
    "watching",
    "discord_bot",
    "broker_watch.py",
    "reversal_watch.py",
    "reversal",
    "webhook",
    "app.py",
    "ui",
    "run.py",
    "supervision.py",
    "intake.py",
    "channel_intake.py",
    "reversal_intake.py",
}
LONGEST = 500


def modules() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if parts[0] not in {"tests", "bench", "deploy"} and not parts[0].startswith("."):
            yield path


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


MODULES = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in modules()]


@pytest.mark.parametrize("path", MODULES)
def test_imports_point_inwards(path: Path) -> None:
    outwards = {name for name in imported(path) & OURS if floor(name) > floor(room(path))}
    assert not outwards


def test_the_core_imports_the_standard_library_and_itself_alone() -> None:
    for path in modules():
        if room(path) == "core":
            assert imported(path) <= {*sys.stdlib_module_names, "core"}, path


def test_the_discord_bot_reaches_neither_brokers_nor_the_engine_nor_sealed_secrets() -> None:
    """Follow every import of ours from the package on: what it must not know is nowhere behind it."""
    reached: set[Path] = set()
    waiting = [path for path in modules() if room(path) == "discord_bot"]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += files_imported(path)
    assert {room(path) for path in reached} & {
        "brokers",
        "engine",
        "bot_engine",
        "encryption",
        "intake",
    } == set()
    assert {"database", "signals", "discord_bot"} <= {room(path) for path in reached}


def files_imported(path: Path) -> Iterator[Path]:
    """Give our files that a file imports, at its top or inside."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            places = (ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__init__.py")
            yield from (place for place in places if name.split(".")[0] in OURS and place.exists())


@pytest.mark.parametrize("path", MODULES)
def test_sql_stands_in_the_database_modules(path: Path) -> None:
    if room(path) == "database":
        return
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [text for text in texts if SQL.search(text)]


@pytest.mark.parametrize("path", MODULES)
def test_broad_excepts_stand_at_the_tops_of_loops(path: Path) -> None:
    broad = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    ]
    assert not broad or path.relative_to(ROOT).parts[0] in LOOPS


@pytest.mark.parametrize("path", MODULES)
def test_no_file_outgrows_its_reader(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_nothing_beside_the_dashboards_script_hides_another_room() -> None:
    beside = {path.stem for path in (ROOT / "ui").iterdir()}
    assert beside & OURS <= imported(ROOT / "app.py")
