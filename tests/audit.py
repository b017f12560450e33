"""Look for known vulnerabilities in what DashTrade installs: `python -m tests.audit`, or `make audit`.

The exit code is 1 where there is one, and 2 where nobody could be asked. pip-audit itself answers 0 where it
was told nothing of any package, and 1 also where it broke off, so what it wrote is read.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
# OSV first: it holds what PyPI knows too
SERVICES = (("--vulnerability-service", "osv"), ("--vulnerability-service", "pypi"))
SECONDS_FOR_ALL, SECONDS_FOR_ONE = 120, 5
FINE, VULNERABLE, NOT_REACHED = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one service said: how many packages it knew, which it did not, and a sentence for each vulnerability."""

    known: int
    unknown: tuple[str, ...]
    vulnerable: tuple[str, ...]


def audit(requirements: Path, services: Sequence[Sequence[str]] = SERVICES) -> int:
    """Ask the services one after the other until one knows the packages; say what came of it."""
    for service in services:
        found = _asked(requirements, service)
        if found is not None and found.known:
            return _tell(found)
    print(
        "Nobody could be asked about known vulnerabilities (api.osv.dev, pypi.org): the requirements are NOT audited."
    )
    return NOT_REACHED


def _tell(found: Found) -> int:
    for sentence in found.vulnerable:
        print(sentence)
    if found.unknown:
        print(f"Not known there, and so not audited: {', '.join(found.unknown)}.")
    print(f"{found.known} packages were audited, {len(found.vulnerable)} known vulnerabilities found.")
    return VULNERABLE if found.vulnerable else FINE


def _asked(requirements: Path, service: Sequence[str]) -> Found | None:
    command = [
        *(
            sys.executable,
            "-m",
            "pip_audit",
            "--requirement",
            str(requirements),
            "--disable-pip",
            "--require-hashes",
        ),
        *("--format", "json", "--progress-spinner", "off", "--timeout", str(SECONDS_FOR_ONE), *service),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_FOR_ALL)
        return _read(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None


def _read(report: dict[str, Any]) -> Found:
    rows = report["dependencies"]
    return Found(
        known=sum("vulns" in row for row in rows),
        unknown=tuple(row["name"] for row in rows if "vulns" not in row),
        vulnerable=tuple(_sentence(row, each) for row in rows for each in row.get("vulns", [])),
    )


def _sentence(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    names = ", ".join([vulnerability["id"], *vulnerability["aliases"]])
    mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
    return f"{package['name']} {package['version']}: {names}, mended in {mended}. {vulnerability['description'][:200]}"


if __name__ == "__main__":
    sys.exit(audit(REQUIREMENTS))
