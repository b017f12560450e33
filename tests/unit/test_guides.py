"""The guides can be followed: their commands parse, and what they name and show is there."""

import ast
import json
import re
import subprocess
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from core.bot import BotStatus, ConnectionStatus, TradingState
from core.order import OrderState
from core.plan import Code
from settings import NAMES, SECRETS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WALKS = [*sorted(ROOT.glob("docs/guides/*.md")), ROOT / "docs/faq.md", ROOT / "README.md"]
ADDING = sorted(ROOT.glob("docs/adding-*.md"))
PICTURES = ROOT / "docs/pictures"
OUTSIDE = {"tests", "bench", "deploy"}
LARGEST_PICTURE = 150_000
LONGEST_GUIDE = 130

SETTINGS = {*NAMES, *(f"{name}_FILE" for name in SECRETS)}
# Of compose.yaml itself, of the shell, of risk events, and of systemd's and make's own
OTHER_WORDS = {"SITE", "MQTT_PUBLISH_ADDRESS", "URL", "PYTHON", "MISSED_ALERT"}
WORDS = {*map(str, chain(Code, BotStatus, ConnectionStatus, TradingState, OrderState))} | OTHER_WORDS

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_IDENTIFIER = re.compile(r"`(_?[A-Za-z][\w.]*[A-Za-z])`")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=named)
each_walk = pytest.mark.parametrize("page", WALKS, ids=named)


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the blocks of code of a page in these languages, without their indentation."""
    found = _BLOCK.findall(page.read_text())
    return [
        re.sub(f"^{indent}", "", code, flags=re.MULTILINE)
        for indent, kind, code in found
        if kind in languages
    ]


def prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())


@each_page
def test_every_command_is_one_that_a_shell_reads(page: Path) -> None:
    for code in blocks(page, "bash"):
        read = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, timeout=10)
        assert (read.returncode, read.stderr) == (0, ""), code


@each_page
def test_python_compiles_and_json_parses(page: Path) -> None:
    for code in blocks(page, "python"):
        ast.parse(code)
    for code in blocks(page, "json"):
        if "…" not in code:
            json.loads(code)


@each_page
def test_every_python_inside_a_shell_compiles(page: Path) -> None:
    for code in blocks(page, "bash"):
        for inside in re.findall(r"python - <<'END'\n(.*?)^END", code, re.MULTILINE | re.DOTALL):
            ast.parse(inside)


@each_page
def test_every_file_that_a_command_takes_exists(page: Path) -> None:
    for code in blocks(page, "bash"):
        for path in re.findall(r"(?<![\w/.-])((?:deploy|bench|tests|docs)/[\w./-]*\w)", code):
            if not path.startswith("deploy/secrets"):
                assert (ROOT / path).exists(), path


@each_page
def test_every_variable_that_is_set_is_a_setting(page: Path) -> None:
    for code in blocks(page, "bash"):
        assigned = set(re.findall(r"^([A-Z][A-Z_]+)=", code, re.MULTILINE))
        assert assigned <= SETTINGS | OTHER_WORDS


@each_walk
def test_every_word_in_capitals_is_a_setting_or_a_word_that_users_read(page: Path) -> None:
    words = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", prose(page)))
    assert words <= SETTINGS | WORDS


@each_walk
def test_commands_under_other_names_exist(page: Path) -> None:
    parts = set(re.findall(r"^name: |^  ([a-z]+):$", (ROOT / "compose.yaml").read_text(), re.MULTILINE))
    for code in blocks(page, "bash"):
        assert set(re.findall(r"docker compose (?:run --rm|exec) ([a-z]+)", code)) <= parts
        units = set(re.findall(r"systemctl [a-z-]+ (?:--now )?(dash[\w@.-]+)", code))
        assert all((ROOT / "deploy/systemd" / unit).exists() for unit in units)


@pytest.mark.parametrize("page", WALKS[:-2], ids=named)
def test_a_guide_says_what_should_be_seen_and_stays_short(page: Path) -> None:
    text = page.read_text()
    assert len(text.splitlines()) <= LONGEST_GUIDE
    if page.name != "README.md":
        assert "you should now see" in text.lower()
        assert f"({page.name})" in (page.parent / "README.md").read_text()


@each_page
def test_every_picture_exists_and_is_told_in_words(page: Path) -> None:
    for words, link in _PICTURE.findall(page.read_text()):
        assert (page.parent / link).resolve().is_file(), link
        assert len(words) > 10, link


def test_every_picture_is_shown_somewhere_and_is_small() -> None:
    shown = {
        (page.parent / link).resolve() for page in PAGES for _, link in _PICTURE.findall(page.read_text())
    }
    pictures = set(PICTURES.glob("*"))
    assert pictures == {path for path in shown if path.parent == PICTURES}
    assert not [path.name for path in pictures if path.stat().st_size > LARGEST_PICTURE]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "lessons.md"], ids=named)
def test_every_test_that_is_named_exists(page: Path) -> None:
    for path, name in _TEST.findall(page.read_text()):
        functions = {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path}::{name}"


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


@pytest.mark.parametrize("page", ADDING, ids=named)
def test_what_one_is_told_to_change_is_there(page: Path) -> None:
    """Names in a row about one file are defined in that file, or somewhere that it could take them from."""
    for row in re.findall(r"^\| (.+) \| (.+) \|$", page.read_text(), re.MULTILINE):
        for names, path in re.findall(r"((?:`\w+`, )*`\w+`) in `([\w/]+\.py)`", " ".join(row)):
            assert set(re.findall(r"`(\w+)`", names)) <= defined(path), row
        for path, name in re.findall(r"^`([\w/]+\.py)` .*?a line in `(\w+)`", " ".join(row)):
            assert name in defined(path), row


def defined(path: str) -> set[str]:
    """Return the classes, functions and names that a module defines at its top."""
    found = set()
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
            }
    return found


def test_whatever_file_knows_an_exchange_by_name_is_one_that_a_new_broker_changes() -> None:
    """Bybit is nothing but an entry of a table: where else its name stands, the next one's must stand too."""
    page = (ROOT / "docs/adding-a-broker.md").read_text()
    knowing = {path for path in product_files() if "bybit" in path.read_text().lower()}
    assert len(knowing) >= 5
    assert not [named(path) for path in knowing if f"`{named(path)}`" not in page]


def product_files() -> list[Path]:
    """Return our Python files but those of tests, measurements and deployment."""
    rooms = [room for room in ROOT.iterdir() if room.is_dir() and not room.name.startswith(".")]
    inside = [path for room in rooms if room.name not in OUTSIDE for path in room.rglob("*.py")]
    return sorted([*ROOT.glob("*.py"), *inside])


@pytest.mark.parametrize("page", ADDING, ids=named)
def test_every_name_in_them_is_known_to_the_code(page: Path) -> None:
    names = {part for name in _IDENTIFIER.findall(page.read_text()) for part in name.split(".")}
    assert names - words_of_code() == set()


@cache
def words_of_code() -> frozenset[str]:
    files = [*product_files(), *(path for room in OUTSIDE for path in (ROOT / room).rglob("*.py"))]
    texts = [path.read_text() for path in [*files, *ROOT.glob("migrations/*.sql"), *ROOT.glob("*.toml")]]
    places = {part for path in [*files, *PAGES] for part in re.findall(r"\w+", named(path))}
    return frozenset(places.union(*(re.findall(r"\w+", text) for text in texts)))
