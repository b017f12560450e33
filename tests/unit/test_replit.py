"""`.replit` starts what `make run` starts, and shows the one port that a deployment may show."""

import re
import tomllib
from pathlib import Path

from settings import Settings

ROOT = Path(__file__).parents[2]
REPLIT = tomllib.loads((ROOT / ".replit").read_text())
PORTS = {port["localPort"]: port.get("externalPort") for port in REPLIT["ports"]}


def test_it_runs_and_builds_with_targets_of_make() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    deployment = REPLIT["deployment"]
    commands = [REPLIT["run"].split(), deployment["run"], deployment["build"]]
    assert commands == [["make", "run"], ["make", "run"], ["make", "setup"]]
    assert {target for _, target in commands} <= targets


def test_it_shows_the_dashboard_alone_which_passes_webhook_requests_on() -> None:
    dashboard, webhook = (Settings.model_fields[name].default for name in ("dashboard_port", "webhook_port"))
    assert {dashboard: 80, webhook: None} == PORTS


def test_it_runs_on_a_machine_that_never_sleeps() -> None:
    assert REPLIT["deployment"]["deploymentTarget"] == "vm"
