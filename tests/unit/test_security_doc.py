"""docs/security.md names tests that exist, and what no other test shows of it holds."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.unit.test_house import modules

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PAGE = (ROOT / "docs" / "security.md").read_text()
DEFENCES = sorted(set(NAMED.findall(PAGE)))
# Names of what must be compared in constant time, or be looked up by a hash.
SECRET = re.compile(r"(token|secret|password|digest|signature|api_key|code_hash|hashed)(['\"]\])?$")
# Compared with a word on the screen, and within what was sealed here: neither tells anybody anything.
HARMLESS = {
    "ui/trading_bot/trial.py: token == YOUR_TOKEN",
    "database/sign_in.py: given['password'] != _mark_of(row)",
}


def test_every_line_names_a_test() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    without = [line for line in lines if not NAMED.search(line) and not line.startswith("| attack |")]
    assert without == []
    assert len(DEFENCES) >= 70


@pytest.mark.parametrize(("path", "name"), DEFENCES)
def test_the_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_streamlit_is_told_what_the_defences_need() -> None:
    told = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    client, server = told["client"], told["server"]
    assert client["showErrorDetails"] == "none"
    assert client["allowedOrigins"] == []
    assert client["disableDataExport"] is True
    # These are safe as Streamlit has them; nobody may have switched them.
    assert {"enableXsrfProtection", "enableCORS", "enableAgentApi", "enableStaticServing"} & set(
        server
    ) == set()


def test_no_secret_is_compared_with_an_equals_sign() -> None:
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                if any(SECRET.search(side) for side in sides) and not any(side[0] in "'\"" for side in sides):
                    found.add(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    assert found == HARMLESS
