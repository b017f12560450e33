"""Read the environment once into a frozen object; nothing else in DashTrade reads it.

A value comes from the first of these that is set and not empty: the variable, the file that
`<NAME>_FILE` names, `.env`, and for what `run.py` made itself the file `<NAME>` below
`DASHTRADE_HOME`. Those count only for the embedded database: beside a `DATABASE_URL` of one's own a
key that got lost would make every stored broker key unreadable.
"""

import base64
import binascii
import difflib
import importlib.util
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

ROOT = Path(__file__).resolve().parent
KEPT = ("DATABASE_URL", "ENCRYPTION_KEY", "SIGNAL_API_KEY")


# Some hosts set it for the program that they run: whose word uvicorn takes for where a request came from
BELIEVED = "FORWARDED_ALLOW_IPS"


class SettingsError(Exception):
    """Fix every line of the message, then start again: each names a variable and what it may be."""


class LogLevel(StrEnum):
    """How much the log says."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(StrEnum):
    """How the log says it."""

    TEXT = "text"
    JSON = "json"


class CertificateCheck(StrEnum):
    """Whether alerts must come with TradingView's certificate."""

    OFF = "off"
    REQUIRE = "require"


def _folder(value: str) -> Path:
    return ROOT / Path(value).expanduser()


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError
    return value.rstrip("/")


def _database_address(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in ("postgresql", "postgres"):
        raise ValueError
    return value


def _secret_address(value: SecretStr) -> SecretStr:
    _web_address(value.get_secret_value())
    return value


def _fernet_keys(value: SecretStr) -> SecretStr:
    for key in value.get_secret_value().split(","):
        try:
            decoded = base64.urlsafe_b64decode(key.strip())
        except (binascii.Error, ValueError):
            raise ValueError from None
        if len(decoded) != 32:
            raise ValueError
    return value


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 24:
        raise ValueError
    return value


def _networks(value: str) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_network(part.strip(), strict=False)) for part in value.split(",") if part)


def _one_of(*names: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError
        return value

    return check


def _coin_source(value: str) -> str:
    """Take the name of an exchange that the installed ccxt has, without importing it."""
    if value in ("off", "alpaca", "csv"):
        return value
    package = importlib.util.find_spec("ccxt")
    folder = Path(package.origin).parent if package and package.origin else None
    if folder is None or not re.fullmatch(r"[a-z0-9]+", value) or not (folder / f"{value}.py").is_file():
        raise ValueError
    return value


def _time_zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError from None


def _switch(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError
    return value.lower() == "true"


def _topic_prefix(value: str) -> str:
    if any(character in value for character in "+#\0") or not value.endswith("/"):
        raise ValueError
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]
SecretAddress = Annotated[SecretStr, AfterValidator(_secret_address)]
Folder = Annotated[Path, BeforeValidator(_folder)]
Networks = Annotated[tuple[str, ...], BeforeValidator(_networks)]
ForexSource = Annotated[str, AfterValidator(_one_of("replay", "alpha_vantage", "csv", "off"))]
CoinSource = Annotated[str, AfterValidator(_coin_source)]
StockSource = Annotated[str, AfterValidator(_one_of("replay", "alpaca", "csv", "off"))]
ShortestTimeframe = Annotated[
    str, AfterValidator(_one_of("1 Min", "5 Min", "15 Min", "30 Min", "1 Hour", "1 Day"))
]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
TopicPrefix = Annotated[str, AfterValidator(_topic_prefix)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=86400)]
PerMinute = Annotated[int, Field(ge=1, le=10_000_000)]
Percent = Annotated[Decimal, Field(gt=0, le=100, allow_inf_nan=False)]

PORT = "a port, 1 to 65535"
PER_MINUTE = "a number from 1 to 10000000"
SECONDS = "whole seconds, 1 to 86400"
ADDRESS = "an address that begins with http:// or https://, without a query"
SNOWFLAKE = "the number that Discord shows under Copy ID"
TEXT = "any text"
PREFIX = "a topic prefix that ends in / and has no + or #"
NETWORKS = "addresses or networks separated by commas, such as 127.0.0.1,10.0.0.0/8"


class Settings(BaseModel):
    """Hold what the operator decided; a field's name in capitals is its variable.

    A secret shows as asterisks; `get_secret_value()` gives it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dashtrade_home: Folder = Field(ROOT / ".dashtrade", description="a folder")
    log_level: LogLevel = Field(LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR")
    log_format: LogFormat = Field(LogFormat.TEXT, description="text or json")

    database_url: Annotated[SecretStr, AfterValidator(_database_address)] = Field(
        description="postgresql://user:password@host:port/name; leave it out to use the embedded"
        " database, which run.py starts"
    )
    encryption_key: Annotated[SecretStr, AfterValidator(_fernet_keys)] | None = Field(
        None, description="keys that `python encryption.py` prints, separated by commas, newest first"
    )
    signal_api_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        None, description="at least 24 random characters"
    )

    signal_api_url: WebAddress | None = Field(None, description=ADDRESS)

    dashboard_port: Port = Field(5000, description=PORT)
    webhook_port: Port = Field(8080, description=PORT)
    public_url: WebAddress = Field(description=ADDRESS)
    listen_address: Annotated[str, AfterValidator(lambda value: str(ipaddress.ip_address(value)))] = Field(
        "0.0.0.0",  # noqa: S104  TradingView's alerts come from outside
        description="an IP address of this machine: 127.0.0.1 for this machine only, 0.0.0.0 for all",
    )
    trusted_proxies: Networks = Field(("127.0.0.1/32", "::1/128"), description=NETWORKS)
    webhook_allowed_addresses: Networks = Field((), description=NETWORKS)
    tradingview_certificate: CertificateCheck = Field(CertificateCheck.OFF, description="off or require")
    webhook_alerts_per_minute: PerMinute = Field(600, description=PER_MINUTE)
    webhook_requests_per_minute: PerMinute = Field(6000, description=PER_MINUTE)
    webhook_processes: Annotated[int, Field(ge=1, le=64)] = Field(2, description="a number from 1 to 64")
    metrics_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        None, description="at least 24 random characters"
    )
    metrics_networks: Networks = Field(("127.0.0.1/32", "::1/128"), description=NETWORKS)
    workers: Annotated[int, Field(ge=0, le=64)] = Field(1, description="a number from 0 to 64")

    apca_api_base_url: WebAddress | None = Field(None, description=ADDRESS)
    apca_api_data_url: WebAddress | None = Field(None, description=ADDRESS)
    alpaca_calls_per_minute: Annotated[int, Field(ge=10, le=100_000)] = Field(
        200, description="a number from 10 to 100000"
    )
    blofin_base_url: WebAddress | None = Field(None, description=ADDRESS)

    reversal_forex_source: ForexSource = Field("replay", description="replay, alpha_vantage, csv or off")
    reversal_crypto_source: CoinSource = Field(
        "off", description="off, alpaca, csv or the name that ccxt gives an exchange, such as kraken"
    )
    reversal_stock_source: StockSource = Field("replay", description="replay, alpaca, csv or off")
    alpha_vantage_api_key: SecretStr | None = Field(None, description=TEXT)
    alpha_vantage_calls_per_minute: Annotated[int, Field(ge=1, le=1000)] = Field(
        5, description="a number from 1 to 1000"
    )
    alpha_vantage_calls_per_day: Annotated[int, Field(ge=0, le=10_000)] = Field(
        25, description="a number from 0 to 10000; 0 is without a limit"
    )
    alpha_vantage_shortest_timeframe: ShortestTimeframe = Field(
        "1 Day", description="1 Min, 5 Min, 15 Min, 30 Min, 1 Hour or 1 Day"
    )
    alpha_vantage_base_url: WebAddress | None = Field(None, description=ADDRESS)
    alpaca_data_key_id: SecretStr | None = Field(None, description=TEXT)
    alpaca_data_secret_key: SecretStr | None = Field(None, description=TEXT)
    alpaca_data_feed: Annotated[str, AfterValidator(_one_of("iex", "sip"))] = Field(
        "iex", description="iex or sip"
    )
    reversal_ccxt_base_url: WebAddress | None = Field(None, description=ADDRESS)
    reversal_csv_folder: Folder = Field(ROOT / ".dashtrade/bars", description="a folder")
    reversal_csv_timezone: TimeZone = Field(
        "UTC", description="the name of a time zone, such as America/New_York"
    )

    order_send_window_seconds: Seconds = Field(10, description=SECONDS)
    order_doubt_seconds: Seconds = Field(30, description=SECONDS)
    broker_read_timeout_seconds: Seconds = Field(10, description=SECONDS)
    reconcile_interval_seconds: Seconds = Field(60, description=SECONDS)
    risk_interval_seconds: Seconds = Field(10, description=SECONDS)
    max_position_size_usd: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] = Field(
        Decimal(1000), description="an amount above 0"
    )
    risk_per_trade_percent: Percent = Field(Decimal(1), description="a number above 0, at most 100")
    default_leverage: Annotated[int, Field(ge=1, le=125)] = Field(10, description="a number from 1 to 125")

    discord_webhook_url: SecretAddress | None = Field(
        None, description="the address Discord shows, https://…"
    )
    discord_base_url: WebAddress | None = Field(None, description=ADDRESS)
    alert_webhook_networks: Networks = Field((), description=NETWORKS)
    discord_bot_token: SecretStr | None = Field(None, description=TEXT)
    discord_guild_id: Annotated[int, Field(gt=0)] | None = Field(None, description=SNOWFLAKE)
    discord_channel_id: Annotated[int, Field(gt=0)] | None = Field(None, description=SNOWFLAKE)
    discord_client_id: Annotated[int, Field(gt=0)] | None = Field(None, description=SNOWFLAKE)
    discord_client_secret: SecretStr | None = Field(None, description=TEXT)

    mqtt_broker_host: str | None = Field(None, description="a host name or an IP address")
    mqtt_broker_port: Port = Field(1883, description=PORT)
    mqtt_username: str | None = Field(None, description=TEXT)
    mqtt_password: SecretStr | None = Field(None, description=TEXT)
    mqtt_tls: Switch = Field(False, description="true or false")
    mqtt_topic_prefix: TopicPrefix = Field("polyspike/", description=PREFIX)
    mqtt_publish_prefix: TopicPrefix = Field("dashtrade/", description=PREFIX)
    heartbeat_timeout_seconds: Seconds = Field(90, description=SECONDS)
    heartbeat_check_interval: Seconds = Field(30, description=SECONDS)

    reversal_watches: Annotated[int, Field(ge=0, le=16)] = Field(1, description="a number from 0 to 16")
    reversal_scan_delay_seconds: Annotated[int, Field(ge=0, le=240)] = Field(
        5, description="whole seconds, 0 to 240"
    )
    reversal_retrain_days: Annotated[int, Field(ge=0, le=365)] = Field(0, description="whole days, 0 to 365")
    trades_archived_after_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        90, description="whole days, 1 to 3650"
    )

    @property
    def database(self) -> str:
        """Return the database's address, with its password."""
        return self.database_url.get_secret_value()

    @property
    def webhook_url(self) -> str:
        """Return where the webhook server is reached from other parts."""
        return self.signal_api_url or f"http://127.0.0.1:{self.webhook_port}"


NAMES = tuple(name.upper() for name in Settings.model_fields)
SECRETS = tuple(
    name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Carry what was found before it is checked: values by variable name, and faults in finding them.

    `embedded` says that no database of one's own was named.
    """

    values: dict[str, str]
    faults: tuple[str, ...] = ()
    embedded: bool = False


@cache
def version() -> str:
    """Return the version of this DashTrade."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def load(environ: Mapping[str, str] = os.environ, *, without: Collection[str] = ()) -> Settings:
    """Return the settings of this machine; raise `SettingsError` that lists every fault.

    Those named in `without` stay unread wherever they are, for a part that must not know them.
    """
    return build(find(environ, without=without))


def refuse_to_believe_senders(environ: Mapping[str, str] = os.environ) -> None:
    """Raise `SettingsError` where the dashboard's HTTP server would believe senders about who they are."""
    if environ.get(BELIEVED) not in (None, "", "127.0.0.1", "127.0.0.1,::1"):
        raise SettingsError(
            f"{BELIEVED} lets senders say that they are others; allowed: none. Name proxies in TRUSTED_PROXIES"
        )


def find(environ: Mapping[str, str] = os.environ, *, without: Collection[str] = ()) -> Found:
    """Return what is set, not yet checked, and nothing of what is named in `without`.

    `DASHTRADE_ENV_FILE` names another file in place of `.env`.
    """
    env_file = environ.get("DASHTRADE_ENV_FILE") or str(ROOT / ".env")
    written = {name: value for name, value in dotenv_values(env_file, interpolate=False).items() if value}
    given = written | {name: value for name, value in environ.items() if value}
    values = {name: given[name] for name in NAMES if name in given and name not in without}
    secrets = [name for name in SECRETS if name not in without]
    files = {name: Path(given[f"{name}_FILE"]) for name in secrets if _by_file(name, given, environ)}
    faults = _misspelt(written) + _read_into(values, files)
    embedded = not {"DATABASE_URL", "DATABASE_URL_FILE"} & given.keys()
    kept = {name: path for name, path in _kept(values).items() if name not in without}
    faults += _read_into(values, kept if embedded else {})
    values.setdefault("PUBLIC_URL", _public_url(values, environ))
    return Found(values=values, faults=tuple(faults), embedded=embedded)


def build(found: Found) -> Settings:
    """Return the settings that were found; raise `SettingsError` that lists every fault."""
    faults = list(found.faults)
    try:
        settings = Settings.model_validate({name.lower(): value for name, value in found.values.items()})
    except ValidationError as error:
        faults += dict.fromkeys(_fault(fault, found.values) for fault in error.errors())
    if faults:
        raise SettingsError("These settings cannot be used:\n" + "\n".join(f"- {fault}" for fault in faults))
    return settings


def home_of(values: Mapping[str, str]) -> Path:
    """Return the folder of the embedded database and the keys that were made."""
    return _folder(values.get("DASHTRADE_HOME", ".dashtrade"))


def keep(home: Path, name: str, value: str) -> None:
    """Write a value that `run.py` made below `home`, readable by its owner alone."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = home / f".{name}.new"
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(value + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(home / name)


def _by_file(name: str, given: Mapping[str, str], environ: Mapping[str, str]) -> bool:
    return f"{name}_FILE" in given and not environ.get(name)


def _kept(values: Mapping[str, str]) -> dict[str, Path]:
    paths = {name: home_of(values) / name for name in KEPT if name not in values}
    return {name: path for name, path in paths.items() if path.exists()}


def _read_into(values: dict[str, str], files: Mapping[str, Path]) -> list[str]:
    faults = []
    for name, path in files.items():
        try:
            values[name] = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{name}: its file {path} cannot be read: {error}")
    return faults


def _misspelt(written: Mapping[str, str]) -> list[str]:
    known = [*NAMES, *(f"{name}_FILE" for name in SECRETS)]
    unknown = [name for name in written if name not in known]
    meant = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.85) for name in unknown}
    return [f"{name} in .env is unknown; did you mean {near[0]}?" for name, near in meant.items() if near]


def _public_url(values: Mapping[str, str], environ: Mapping[str, str]) -> str:
    replit = environ.get("REPLIT_DOMAINS", "").split(",")[0]
    return f"https://{replit}" if replit else f"http://localhost:{values.get('WEBHOOK_PORT', '8080')}"


def _fault(fault: Any, values: Mapping[str, str]) -> str:
    field = str(fault["loc"][0])
    name = field.upper()
    allowed = Settings.model_fields[field].description
    if name == "DATABASE_URL" and fault["type"] == "missing":
        home = home_of(values)
        return f"{name} is not set, and DashTrade was never started with DASHTRADE_HOME {home}; allowed: {allowed}"
    if fault["type"] == "missing":
        return f"{name} is not set; allowed: {allowed}"
    shown = "the value given" if name in SECRETS else repr(values[name])
    return f"{name}: {shown} is not allowed; allowed: {allowed}"
