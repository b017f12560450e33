"""Settings: every fault at once and by name, secrets hidden, and `.env.example` tells the truth."""

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from dotenv import dotenv_values

import settings
from encryption import new_key
from settings import NAMES, SECRETS, Found, Settings, SettingsError

ROOT = Path(__file__).resolve().parents[2]
URL = "postgresql://ann:hidden-word@db.example.org/dashtrade"


@pytest.fixture
def environ(tmp_path):
    return {
        "DASHTRADE_ENV_FILE": str(tmp_path / ".env"),
        "DASHTRADE_HOME": str(tmp_path / "home"),
        "DATABASE_URL": URL,
    }


def faults(environ):
    with pytest.raises(SettingsError) as caught:
        settings.load(environ)
    return str(caught.value).splitlines()[1:]


def test_the_defaults_are_those_of_the_documentation(environ):
    loaded = settings.load(environ)
    assert (loaded.dashboard_port, loaded.webhook_port) == (5000, 8080)
    assert loaded.public_url == "http://localhost:8080"
    assert loaded.risk_interval_seconds == 10
    assert loaded.max_position_size_usd == Decimal(1000)
    assert loaded.risk_per_trade_percent == Decimal(1)
    assert loaded.default_leverage == 10
    assert (loaded.mqtt_topic_prefix, loaded.mqtt_publish_prefix) == ("polyspike/", "dashtrade/")
    assert (loaded.heartbeat_timeout_seconds, loaded.heartbeat_check_interval) == (90, 30)
    assert loaded.database == URL


WRONG = {
    "DASHBOARD_PORT": "0",
    "WEBHOOK_PORT": "eighty",
    "LOG_LEVEL": "loud",
    "DATABASE_URL": "mysql://ann:hidden-word@db/x",
    "ENCRYPTION_KEY": "hidden-word",
    "SIGNAL_API_KEY": "hidden-word",
    "PUBLIC_URL": "localhost:8080",
    "APCA_API_BASE_URL": "ftp://example.org",
    "BLOFIN_BASE_URL": "https://",
    "MAX_POSITION_SIZE_USD": "NaN",
    "RISK_PER_TRADE_PERCENT": "101",
    "DEFAULT_LEVERAGE": "1.5",
    "RISK_INTERVAL_SECONDS": "-1",
    "DISCORD_WEBHOOK_URL": "hidden-word",
    "DISCORD_GUILD_ID": "my guild",
    "MQTT_TLS": "yes",
    "MQTT_TOPIC_PREFIX": "all/#",
    "TRUSTED_PROXIES": "10.0.0.0/40",
    "LISTEN_ADDRESS": "everywhere",
}


def test_every_fault_is_reported_at_once_with_its_name_and_what_is_allowed(environ):
    lines = faults(environ | WRONG)
    assert {line.split(":")[0].removeprefix("- ") for line in lines} == set(WRONG)
    assert all("allowed: " in line for line in lines)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_each_fault_stands_alone_too(environ, name):
    (line,) = faults(environ | {name: WRONG[name]})
    assert line.startswith(f"- {name}: ")


def test_a_fault_does_not_show_a_secret(environ):
    assert "hidden-word" not in "".join(faults(environ | WRONG))


def test_secrets_hide_wherever_the_settings_are_shown(environ):
    values = dict.fromkeys(SECRETS, "hidden-word-hidden-word-hidden")
    values |= {"DATABASE_URL": URL, "ENCRYPTION_KEY": new_key()}
    values["DISCORD_WEBHOOK_URL"] = "https://discord.com/api/webhooks/1/hidden-word"
    shown = settings.load(environ | values)
    for text in (repr(shown), str(shown), shown.model_dump_json()):
        assert "hidden-word" not in text
        assert values["ENCRYPTION_KEY"] not in text


def test_settings_do_not_change(environ):
    with pytest.raises(ValueError, match="frozen"):
        settings.load(environ).dashboard_port = 1


def test_an_empty_variable_counts_as_not_set(environ):
    assert settings.load(environ | {"DASHBOARD_PORT": "", "DISCORD_BOT_TOKEN": ""}).discord_bot_token is None


def test_the_environment_beats_the_env_file(environ, tmp_path):
    (tmp_path / ".env").write_text("DASHBOARD_PORT=6000\nWEBHOOK_PORT=6001\nMQTT_PASSWORD='a${HOME}#b'\n")
    loaded = settings.load(environ | {"DASHBOARD_PORT": "7000"})
    assert (loaded.dashboard_port, loaded.webhook_port) == (7000, 6001)
    assert loaded.mqtt_password.get_secret_value() == "a${HOME}#b"


def test_a_misspelt_name_in_the_env_file_is_pointed_out(environ, tmp_path):
    (tmp_path / ".env").write_text("MAX_POSITON_SIZE_USD=5\nSOMETHING_ELSE=1\n")
    (line,) = faults(environ)
    assert "MAX_POSITON_SIZE_USD in .env is unknown; did you mean MAX_POSITION_SIZE_USD?" in line


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_come_from_a_file(environ, tmp_path, name):
    value = {"DATABASE_URL": "postgresql://x/y", "ENCRYPTION_KEY": new_key()}.get(
        name, "https://example.org/secret"
    )
    (tmp_path / "secret").write_text(value + "\n")
    by_file = environ | {f"{name}_FILE": str(tmp_path / "secret")}
    by_file.pop(name, None)
    loaded = settings.load(by_file)
    assert getattr(loaded, name.lower()).get_secret_value() == value


def test_a_file_that_cannot_be_read_is_one_of_the_faults(environ, tmp_path):
    lines = faults(environ | {"MQTT_PASSWORD_FILE": str(tmp_path / "absent"), "DASHBOARD_PORT": "x"})
    assert len(lines) == 2
    assert "MQTT_PASSWORD" in lines[0]


def test_what_was_kept_is_found_again_and_only_its_owner_may_read_it(environ, tmp_path):
    del environ["DATABASE_URL"]
    key = new_key()
    for name, value in {"DATABASE_URL": URL, "ENCRYPTION_KEY": key, "SIGNAL_API_KEY": "k" * 40}.items():
        settings.keep(tmp_path / "home", name, "first")
        settings.keep(tmp_path / "home", name, value)
        assert (tmp_path / "home" / name).stat().st_mode & 0o777 == 0o600
    loaded = settings.load(environ)
    assert loaded.database == URL
    assert loaded.encryption_key.get_secret_value() == key
    assert loaded.signal_api_key.get_secret_value() == "k" * 40


def test_a_kept_encryption_key_does_not_serve_a_database_of_ones_own(environ, tmp_path):
    settings.keep(tmp_path / "home", "ENCRYPTION_KEY", new_key())
    assert settings.load(environ).encryption_key is None


def test_no_database_is_said_so(environ):
    del environ["DATABASE_URL"]
    (line,) = faults(environ)
    assert "DATABASE_URL is not set, and DashTrade was never started with DASHTRADE_HOME /" in line
    assert "run.py starts" in line


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"WEBHOOK_PORT": "9000"}, "http://localhost:9000"),
        ({"REPLIT_DOMAINS": "a.replit.dev,b.replit.app"}, "https://a.replit.dev"),
        (
            {"REPLIT_DOMAINS": "a.replit.dev", "PUBLIC_URL": "https://trade.example.org/"},
            "https://trade.example.org",
        ),
    ],
)
def test_the_public_address_follows_where_it_runs(environ, extra, expected):
    assert settings.load(environ | extra).public_url == expected


def test_importing_reads_and_connects_to_nothing():
    program = "import socket; socket.socket = None; import settings"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, env={"DASHBOARD_PORT": "wrong"})


def example() -> str:
    return (ROOT / ".env.example").read_text()


def test_the_example_lists_every_setting_and_nothing_else():
    listed = re.findall(r"^#?\s?([A-Z][A-Z_]+)=", example(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(NAMES)


def test_the_example_shows_the_defaults(tmp_path):
    path = tmp_path / "example"
    path.write_text(re.sub(r"^# ?(?=[A-Z][A-Z_]+=)", "", example(), flags=re.MULTILINE))
    shown = {name: value for name, value in dotenv_values(path).items() if value}
    least = {"DATABASE_URL": URL, "PUBLIC_URL": "http://localhost:8080"}
    assert settings.build(Found(values=least | shown)) == settings.build(Found(values=least))


def test_every_setting_says_what_is_allowed():
    assert all(field.description for field in Settings.model_fields.values())
