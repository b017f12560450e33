"""`python -m tests`: what failed is run once more, alone; what fails twice, or never ran, fails the run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from tests.__main__ import run; sys.exit(run({parts}))"
)
PASSES = "def test_passes(): pass\n"
FAILS = "def test_fails(): assert False\n"
PASSES_THE_SECOND_TIME = """
from pathlib import Path

def test_passes_the_second_time():
    been_here = Path("been_here")
    assert been_here.exists() or been_here.touch()
"""


def outcome(folder: Path, **files: str) -> tuple[int, str]:
    """Run files of tests, each as a part of its own, and return the exit code and what was printed."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, content in files.items():
        (folder / f"test_{name}.py").write_text(content)
    parts = tuple((f"test_{name}.py",) for name in files)
    command = [sys.executable, "-c", PROGRAM.format(parts=parts), str(ROOT)]
    environ = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_passes_is_run_once(tmp_path: Path) -> None:
    code, printed = outcome(tmp_path, one=PASSES, two=PASSES)
    assert (code, printed.count("1 passed")) == (0, 2)


def test_what_failed_is_run_once_more_alone_and_said_to_be_so(tmp_path: Path) -> None:
    code, printed = outcome(tmp_path, one=PASSES_THE_SECOND_TIME + PASSES, two=PASSES)
    assert code == 0
    first, again = printed.split("each of them is run once more, alone")
    assert [part.count("1 failed, 1 passed") for part in (first, again)] == [1, 0]
    assert "rerun previous 1 failure" in again


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_what_is_run_once_more_keeps_the_order_of_the_parts(tmp_path: Path, order: tuple[str, str]) -> None:
    _, printed = outcome(tmp_path, **dict.fromkeys(order, FAILS))
    again = printed.split("each of them is run once more, alone")[1]
    shown = re.findall(r"^FAILED test_(one|two)", again, re.MULTILINE)
    assert shown == list(order)


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_what_fails_twice_fails_the_run_after_every_part_ran(tmp_path: Path, order: tuple[str, str]) -> None:
    files = {"one": FAILS, "two": PASSES_THE_SECOND_TIME}
    code, printed = outcome(tmp_path, **{name: files[name] for name in order})
    assert code == 1
    assert "1 failed, 1 passed" in printed.splitlines()[-1]


@pytest.mark.parametrize(
    ("broken", "its_code"),
    [
        ("import nothing_of_that_name", 2),
        ("import os\ndef test_dies(): os.kill(os.getpid(), 9)", 256 - 9),
        ("# no test at all", 5),
    ],
)
def test_a_part_that_broke_off_has_no_second_chance(tmp_path: Path, broken: str, its_code: int) -> None:
    code, printed = outcome(tmp_path, one=PASSES, two=broken, three=FAILS)
    assert (code, "once more" in printed) == (its_code, False)
    assert printed.count("1 failed") == 1
