"""Every lesson of docs/lessons.md names a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
LESSONS = NAMED.findall((ROOT / "docs" / "lessons.md").read_text())


def test_there_are_lessons() -> None:
    assert len(LESSONS) >= 21


@pytest.mark.parametrize(("path", "name"), LESSONS)
def test_the_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
