"""Run every test, the cheap ones first: `python -m tests`, or those of MQTT with `python -m tests mqtt`.

These tests run real servers, processes and a browser on machines that are shared and slow by turns. What
failed is therefore run once more, alone, and said to be so: a test that needs this is to be mended, and one
that fails twice fails the run.
"""

import subprocess
import sys

TWO_AT_ONCE = ("--numprocesses=2", "--dist=loadfile")
PARTS = (
    (*TWO_AT_ONCE, "tests/unit", "tests/contract", "tests/database"),
    (*TWO_AT_ONCE, "tests/end_to_end"),
    (*TWO_AT_ONCE, "tests/browser"),
)
MQTT = (("-kmqtt or watching",),)
PASSED, FAILED = 0, 1
ONCE_MORE = ("--last-failed", "--last-failed-no-failures", "none")


def run(parts: tuple[tuple[str, ...], ...]) -> int:
    """Run parts of the tests, and once more what failed; return pytest's exit code.

    Only tests that ran and failed have a second chance: a run that broke off or found no test fails at once.
    """
    codes = [pytest(*part) for part in parts]
    if FAILED in codes and set(codes) <= {PASSED, FAILED}:
        print("Some tests failed; each of them is run once more, alone. One that passes now is to be mended.")
        return pytest(*ONCE_MORE, *folders(parts))
    return next((code for code in codes if code != PASSED), PASSED)


def folders(parts: tuple[tuple[str, ...], ...]) -> list[str]:
    """Return the folders of all parts in their order: what a browser leaves behind disturbs what comes after it."""
    return [argument for part in parts for argument in part if not argument.startswith("-")]


def pytest(*arguments: str) -> int:
    """Run pytest in a process of its own."""
    command = ["-m", "pytest", *arguments]
    print("python", *command, flush=True)
    return subprocess.run([sys.executable, *command], check=False).returncode


if __name__ == "__main__":
    sys.exit(run(MQTT if sys.argv[1:] == ["mqtt"] else PARTS))
