"""What lies in deploy/ and compose.yaml starts the parts that run.py starts, with settings that exist."""

import base64
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import run
import settings
from deploy import healthcheck, make_secrets
from encryption import Vault
from settings import NAMES, SECRETS, Settings

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy/systemd"
HARDENING = UNITS / "dashtrade-.service.d/hardening.conf"
SERVICES = sorted(UNITS.glob("*.service"))
# Services that are no part of DashTrade, and those that run.py replaces by steps of its own
OTHERS = {"database", "mosquitto", "caddy", "migrate"}
KNOWN = {*NAMES, *(f"{name}_FILE" for name in SECRETS)}
# Of compose.yaml itself: where Caddy answers, and who reaches Mosquitto
COMPOSE_ONLY = {"SITE", "MQTT_PUBLISH_ADDRESS"}
# Systemd's scale goes from 0 to 10 and calls up to 2 OK
HIGHEST_EXPOSURE = 1.5
# Younger than Debian 12's systemd 252, which says that it passes over them
YOUNG = re.compile(r".*Unknown key(?: name)? '(RestartSteps|RestartMaxDelaySec)' in section.*")

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def loaded(**values: str) -> Settings:
    given = {"DATABASE_URL": "postgresql://a:b@c/d", **values}
    return settings.build(settings.Found(values={"PUBLIC_URL": "http://localhost:8080"} | given))


def parts_of_run(**values: str) -> dict[str, list[str]]:
    """Return run.py's parts, without the line that says that all are ready.

    On a server Mosquitto is there; without its address run.py would start a broker of its own.
    """
    parts = run.parts(loaded(MQTT_BROKER_HOST="mosquitto", **values), None)
    return {
        part.name: ["python", *part.command[1:]] for part in parts if part.command[1:] != ("run.py", "ready")
    }


def read_unit(path: Path) -> dict[str, list[str]]:
    """Return the values of every key of a unit file."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def unit_command(name: str) -> list[str]:
    """Return what a part's unit starts, with the settings' defaults put in."""
    path = next(UNITS / file for file in (f"dashtrade-{name}.service", f"dashtrade-{name}@.service")
                if (UNITS / file).exists())  # fmt: skip
    unit = read_unit(path)
    (line,) = unit["ExecStart"]
    for setting in shlex.split(" ".join(unit.get("Environment", []))):
        variable, _, value = setting.partition("=")
        line = line.replace(f"${{{variable}}}", value)
    program, *arguments = shlex.split(line)
    assert program == "/opt/dashtrade/.venv/bin/python"
    return ["python", *arguments]


# --- every part, with run.py's command --------------------------------------------------------------


def test_compose_starts_every_part_as_run_does() -> None:
    services = COMPOSE["services"]
    for name, command in parts_of_run(LISTEN_ADDRESS="0.0.0.0").items():  # noqa: S104
        assert services[name]["command"] == command


def test_a_unit_starts_every_part_as_run_does() -> None:
    for name, command in parts_of_run().items():
        assert unit_command(name) == command


@pytest.mark.parametrize("name", sorted(COMPOSE["services"].keys() - {"database", "mosquitto", "caddy"}))
def test_units_and_compose_start_the_same_and_what_exists(name: str) -> None:
    command = COMPOSE["services"][name]["command"]
    assert unit_command(name) == command
    scripts = [word for word in command if word.endswith(".py")]
    assert not [script for script in scripts if not (ROOT / script).exists()]


def test_the_target_wants_every_part() -> None:
    wanted = " ".join(read_unit(UNITS / "dashtrade.target")["Wants"]).split()
    units = {path.name.replace("@.", "@1.") for path in SERVICES} - {"dashtrade.service"}
    assert set(wanted) == units


# --- settings ---------------------------------------------------------------------------------------


def test_every_variable_of_compose_is_a_setting() -> None:
    given = set(COMPOSE["x-part"]["environment"])
    assert given <= KNOWN
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))
    assert used <= {*NAMES, *COMPOSE_ONLY}


def test_the_settings_of_compose_are_allowed() -> None:
    environment = COMPOSE["x-part"]["environment"]
    plain = {name: _default(value) for name, value in environment.items() if name in NAMES and value}
    built = loaded(**plain)
    assert str(built.trusted_proxies[0]).startswith(
        COMPOSE["services"]["caddy"]["networks"]["front"]["ipv4_address"]
    )
    secrets = {name for name, value in environment.items() if name.endswith("_FILE")}
    assert {environment[name].removeprefix("/run/secrets/") for name in secrets} <= set(COMPOSE["secrets"])
    # A secret in .env must not beat the file
    assert all(environment[name.removesuffix("_FILE")] == "" for name in secrets)


def _default(value: str) -> str:
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)


def test_every_variable_of_the_units_and_their_example_is_a_setting() -> None:
    example = (ROOT / "deploy/env.example").read_text()
    assert set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE)) <= KNOWN
    own = {"HOME", "PYTHONUNBUFFERED", "DASHTRADE_ENV_FILE"}
    for path in [HARDENING, *SERVICES]:
        pairs = shlex.split(" ".join(read_unit(path).get("Environment", [])))
        given = dict(pair.split("=", 1) for pair in pairs)
        assert given.keys() <= {*NAMES, *own}, path
        for name in given.keys() & {"DASHBOARD_PORT", "LISTEN_ADDRESS"}:
            assert given[name] == str(Settings.model_fields[name.lower()].default)


def test_the_example_of_the_environment_is_read(tmp_path: Path) -> None:
    for name, value in {"database_url": "postgresql://a:b@c/d", "encryption_key": "k"}.items():
        (tmp_path / name).write_text(value)
    written = (ROOT / "deploy/env.example").read_text().replace("/etc/dashtrade", str(tmp_path))
    (tmp_path / "env").write_text(written)
    found = settings.find({"DASHTRADE_ENV_FILE": str(tmp_path / "env")})
    assert not found.faults
    assert not found.embedded
    assert found.values["ENCRYPTION_KEY"] == "k"


# --- containers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_container_may_do_little_and_comes_back(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("on-failure:5" if name == "migrate" else "unless-stopped")
    assert name in {"migrate", "caddy"} or "healthcheck" in service
    assert service["mem_limit"]
    assert service["pids_limit"]
    published = [port for port in service.get("ports", []) if name != "caddy"]
    assert all("127.0.0.1" in port for port in published)


def test_the_database_is_published_nowhere_and_reaches_nobody() -> None:
    assert "ports" not in COMPOSE["services"]["database"]
    assert COMPOSE["services"]["database"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_no_secret_is_given_to_a_container_but_as_a_file() -> None:
    for name, service in COMPOSE["services"].items():
        given = {key: str(value) for key, value in service.get("environment", {}).items()}
        secret = {key for key in given if key in SECRETS or key.endswith("PASSWORD")}
        assert not [key for key in secret if given[key]], name


def test_images_are_pinned_to_a_major_version() -> None:
    images = {service["image"] for service in COMPOSE["services"].values()} - {"dashtrade"}
    base = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert all(re.search(r":\d+", image) for image in [*images, *base])


def test_the_image_runs_as_nobody_special_and_holds_no_secret() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (user,) = (line.split()[1] for line in lines if line.startswith("USER"))
    assert user.split(":")[0] not in ("root", "0")
    assert not [line for line in lines if re.search(r"apt|gcc|build-essential|\bcurl\b", line)]
    assert {".env", ".dashtrade", "deploy/secrets", ".git"} <= set(
        (ROOT / ".dockerignore").read_text().split()
    )


def test_secrets_are_made_once_and_open_what_they_are_for(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert make_secrets.make(folder) == list(COMPOSE["secrets"])
    made = {path.name: path.read_text().strip() for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    built = loaded(DATABASE_URL=made["database_url"], ENCRYPTION_KEY=made["encryption_key"])
    assert made["database_password"] in built.database
    assert len(base64.urlsafe_b64decode(made["encryption_key"])) == 32
    Vault(built.encryption_key)
    assert made["mqtt_users"] == f"dashtrade:{made['mqtt_password']}"
    assert make_secrets.make(folder) == []
    assert made == {path.name: path.read_text().strip() for path in folder.iterdir()}


def test_every_part_has_its_health_check() -> None:
    for name in COMPOSE["services"].keys() - OTHERS:
        assert COMPOSE["services"][name]["healthcheck"]["test"][-1] == name
        assert name in {*healthcheck.NAMES, "webhook", "dashboard"}


def test_docker_compose_understands_the_file() -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    said = subprocess.run(
        [docker, "compose", "--profile", "tls", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr


# --- systemd ----------------------------------------------------------------------------------------


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """Give a root folder with the units and the program they start."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    installed = next((path for path in map(Path, ("/lib/systemd/system", "/usr/lib/systemd/system"))
                      if (path / "network-online.target").exists()), None)  # fmt: skip
    if installed is None:
        pytest.skip("systemd's own units are not installed")
    shutil.copytree(UNITS, tmp_path / "etc/systemd/system")
    shutil.copytree(installed, tmp_path / "lib/systemd/system", symlinks=True)
    program = tmp_path / "opt/dashtrade/.venv/bin/python"
    program.parent.mkdir(parents=True)
    shutil.copy(sys.executable, program)
    return tmp_path


def analyze(system: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", f"--root={system}", *words]
    return subprocess.run(command, capture_output=True, text=True)


def instance(path: Path) -> str:
    return path.name.replace("@.", "@1.")


def test_systemd_finds_no_fault_in_a_unit(system: Path) -> None:
    names = [instance(path) for path in [*SERVICES, UNITS / "dashtrade.target"]]
    said = analyze(system, "verify", "--man=no", *names)
    lines = [line for line in (said.stdout + said.stderr).splitlines() if "dashtrade" in line]
    assert [line for line in lines if not YOUNG.match(line)] == []
    assert said.returncode == 0


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_unit_is_hardly_exposed(system: Path, path: Path) -> None:
    words = ("security", "--offline=yes", f"--threshold={int(HIGHEST_EXPOSURE * 10)}", instance(path))
    said = analyze(system, *words)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    assert found is not None, said.stderr
    assert float(found[1]) <= HIGHEST_EXPOSURE


def test_the_one_unit_is_hardened_as_the_parts_are() -> None:
    shared = HARDENING.read_text().partition("[Service]\n")[2].strip()
    assert shared in (UNITS / "dashtrade.service").read_text()


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_unit_has_an_account_comes_back_and_outlives_its_neighbours(path: Path) -> None:
    unit = read_unit(path)
    assert unit["User"] == ["dashtrade"]
    assert unit["Restart"] == ["on-failure" if unit["Type"] == ["oneshot"] else "always"]
    # Without this, systemd gives a part up after five quick failures
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert "postgresql.service" in unit["After"][0]
    assert "Requires" not in unit
    assert "BindsTo" not in unit


# --- Mosquitto --------------------------------------------------------------------------------------


def options(name: str) -> dict[str, str]:
    lines = (ROOT / "deploy" / name).read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def test_both_mosquittos_are_set_up_alike() -> None:
    host, container = options("mosquitto.conf"), options("mosquitto-compose.conf")
    of_the_place = {"listener", "persistence", "persistence_location", "log_dest", "acl_file"}
    assert {k: v for k, v in host.items() if k not in of_the_place} == {
        k: v for k, v in container.items() if k not in of_the_place
    }
    assert int(host["max_queued_messages"]) >= 10_000
    assert {Path(each["acl_file"]).name for each in (host, container)} == {"dashtrade.acl"}


# --- the guide --------------------------------------------------------------------------------------


def test_the_guide_names_files_and_units_that_exist() -> None:
    guide = (ROOT / "docs/deploying.md").read_text()
    files = set(re.findall(r"\bdeploy/[\w./-]*\w", guide))
    made = {f"deploy/secrets/{name}" for name in COMPOSE["secrets"]} | {"deploy/secrets"}
    assert not [name for name in files - made if not (ROOT / name).exists()]
    units = {path.name for path in UNITS.iterdir()}
    named = {
        name.replace("@1.", "@.") for name in re.findall(r"\bdashtrade[\w@-]*\.(?:service|target)", guide)
    }
    assert named == units - {HARDENING.parent.name}


def test_the_guide_names_variables_that_exist() -> None:
    guide = (ROOT / "docs/deploying.md").read_text()
    named = set(re.findall(r"`?\b([A-Z]+(?:_[A-Z]+)+)\b", guide))
    assert (
        named - {"YOUR_COPY_OF_DASHTRADE", "THE_PASSWORD", "SIGNAL_ID", "YOUR_NAME", "CERTIFICATE_REQUIRED"}
        <= KNOWN | COMPOSE_ONLY
    )


def test_the_guide_calls_services_of_compose() -> None:
    guide = (ROOT / "docs/deploying.md").read_text()
    called = re.findall(
        r"docker compose (?:exec|run|logs|restart)(?: -\S+)* (\w+)", guide.replace("\n", " \n")
    )
    assert called
    assert set(called) <= set(COMPOSE["services"])
