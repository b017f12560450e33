"""Everything of a run in its place: local servers, each behind a line, DashTrade as `make run` starts it, people."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from alerts.kinds import KINDS
from alerts.registry import transports_for
from bot_database import Database, Transaction, bots, tokens
from brokers.base import BrokerName
from brokers.blofin import BlofinBroker
from brokers.simulated_market import SimulatedMarket
from core.bot import ConnectionStatus
from core.instrument import AssetClass, Instrument
from database import alert_channels, embedded, signal_channels
from encryption import Vault, new_token
from settings import Settings, keep
from tests.alpaca_server.local import Control as Alpaca
from tests.blofin_server.local import Control as Blofin
from tests.chaos import machine
from tests.chaos.cast import PERPETUALS, START_MONEY, Seat, User
from tests.chaos.discord import TOKEN, Discord, Receiver
from tests.chaos.line import Line
from tests.chaos.script import WATCHED, Script
from tests.discord_gateway import CHANNEL, GUILD
from tests.discord_gateway.server import ANN
from tests.end_to_end.stack import ROOT, Stack, alpaca_process, stack_in
from tests.mqtt_broker import Broker as MqttBroker
from tests.mqtt_broker import mosquitto

SECRET, PHRASE = "secret-of-an-account-in-chaos", "phrase of an account in chaos"
STEP = Decimal("0.000000001")
MACHINE = "machine"
WATCHED_WITHIN_SECONDS = 120
PREFIXES = tuple(f"chaos{number}/" if number else "polyspike/" for number in range(WATCHED))
RISK_SECONDS = 3
# Shorter than those of a real installation, so that every way back is walked within the run.
TIMES = {
    "RISK_INTERVAL_SECONDS": RISK_SECONDS,
    "RECONCILE_INTERVAL_SECONDS": 10,
    "BROKER_READ_TIMEOUT_SECONDS": 3,
    "ORDER_SEND_WINDOW_SECONDS": 5,
    "ORDER_DOUBT_SECONDS": 15,
    "ALPACA_CALLS_PER_MINUTE": 100_000,
    "WEBHOOK_ALERTS_PER_MINUTE": 10_000_000,
    "WEBHOOK_REQUESTS_PER_MINUTE": 10_000_000,
}


@dataclass(slots=True, kw_only=True)
class Stage:
    """One run under way. `bots` are the ids of the seats' bots, `tokens` and `connections` those of the users."""

    script: Script
    folder: Path
    stack: Stack
    database: Database
    vault: Vault
    alpaca: Alpaca
    blofin: Blofin
    discord: Discord
    receiver: Receiver
    mosquitto: MqttBroker
    lines: dict[str, Line]
    tokens: list[str] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    user_ids: list[int] = field(default_factory=list)
    bots: list[int] = field(default_factory=list)

    @property
    def machine(self) -> list[machine.Look]:
        """Return how busy the machine was, look by look."""
        return machine.looks(self.folder / MACHINE)

    @property
    def supervisor(self) -> int:
        """Return the process whose children the parts are."""
        assert self.stack.process is not None
        return self.stack.process.pid

    def secrets(self) -> dict[str, str]:
        """Return every secret of the run by its name."""
        home = Path(self.stack.environ["DASHTRADE_HOME"])
        found = {name: (home / name).read_text().strip() for name in ("ENCRYPTION_KEY", "SIGNAL_API_KEY")}
        found |= {f"token {number}": token for number, token in enumerate(self.tokens)}
        found |= {f"webhook {user.hook}": _last(self.discord.url_of(user.hook)) for user in self.script.users}
        password = str(urlsplit(self.database.url).password)
        return found | {"bot": TOKEN, "database": password, "account": SECRET, "phrase": PHRASE}


@contextmanager
def staged(script: Script, folder: Path) -> Iterator[Stage]:
    """Start everything and make the people; give them when every account is watched, end all afterwards."""
    with ExitStack() as stack:
        alpaca = stack.enter_context(alpaca_process(folder))
        blofin = stack.enter_context(_blofin_process(folder))
        discord = stack.enter_context(closing(Discord()))
        stack.enter_context(discord.webhooks)
        receiver = stack.enter_context(Receiver())
        broker = stack.enter_context(_mqtt_broker(folder))
        lines = {
            name: stack.enter_context(closing(Line("127.0.0.1", port)))
            for name, port in (
                ("alpaca", _port(alpaca.url)), ("blofin", _port(blofin.url)), ("mosquitto", broker.port),
            )
        } | {"discord": discord.line}  # fmt: skip
        _open_accounts(script, alpaca, blofin)
        home = folder / "home"
        address = embedded.Server(folder=home / "database", port=own_port(), password=new_token("pw_")).url()
        keep(home, "DATABASE_URL", address)
        running = stack.enter_context(stack_in(folder, alpaca, **_settings(script, lines)))
        stack.enter_context(machine.measured(folder / MACHINE))
        stage = Stage(
            script=script, folder=folder, stack=running, alpaca=alpaca, blofin=blofin, discord=discord,
            receiver=receiver, mosquitto=broker, lines=lines,
            vault=Vault(SecretStr((home / "ENCRYPTION_KEY").read_text().strip())),
            database=stack.enter_context(closing(Database(address, size=6, application_name="chaos"))),
        )  # fmt: skip
        _people(stage)
        _wait_until_watched(stage)
        yield stage


def _settings(script: Script, lines: dict[str, Line]) -> dict[str, object]:
    return {
        **TIMES,
        "WORKERS": script.scale.workers,
        "APCA_API_BASE_URL": lines["alpaca"].url,
        "APCA_API_DATA_URL": lines["alpaca"].url,
        "BLOFIN_BASE_URL": lines["blofin"].url,
        "DISCORD_BASE_URL": lines["discord"].url,
        "DISCORD_BOT_TOKEN": TOKEN,
        "DISCORD_GUILD_ID": GUILD,
        "ALERT_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "MQTT_BROKER_HOST": "127.0.0.1",
        "MQTT_BROKER_PORT": lines["mosquitto"].port,
    }


@contextmanager
def _blofin_process(folder: Path) -> Iterator[Blofin]:
    command = [sys.executable, "-m", "tests.blofin_server", "--port", "0", "--mode", "demo", "--seed", "7"]
    with open(folder / "blofin-log", "w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        control = Blofin(process.stdout.readline().strip())
        with control.session:
            yield control
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextmanager
def _mqtt_broker(folder: Path) -> Iterator[MqttBroker]:
    """Run Mosquitto where it is installed, else the embedded broker, which a kill makes forget."""
    kind = "mosquitto" if mosquitto() else "iotcore"
    broker = MqttBroker(folder=folder / "mqtt", port=own_port(), kind=kind)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def own_port() -> int:
    """Return a free port for a server that is ended and started again.

    It is none of those that the system lends to clients, nor the next one that another DashTrade would take.
    """
    tried = (random.randrange(17_000, 32_000) for _ in range(1000))
    return next(port for port in tried if embedded.is_free(port))


def _open_accounts(script: Script, alpaca: Alpaca, blofin: Blofin) -> None:
    alpaca.settings(partial_fill_share="0.2", fill_delay=0.03, cancel_delay=0.03)
    for symbol, price in PERPETUALS.items():
        digits = Decimal(price).as_tuple().exponent
        tick = Decimal(1).scaleb(int(digits) - 2)
        blofin.instrument(
            symbol,
            contract_value="0.001" if symbol == "BTC-USDT" else "0.01",
            lot="0.1",
            minimum="0.1",
            tick=str(tick),
        )
        set_perpetual(blofin, symbol, Decimal(price))
    for user in script.users:
        if user.broker is BrokerName.ALPACA:
            alpaca.account(user.key, SECRET, START_MONEY)
        elif user.broker is BrokerName.BLOFIN:
            blofin.account(user.key, SECRET, PHRASE, balance=START_MONEY)


def set_perpetual(blofin: Blofin, symbol: str, price: Decimal) -> None:
    """Put a perpetual's price, with a small spread."""
    blofin.price(symbol, price, price * Decimal("1.0001"))


def _people(stage: Stage) -> None:
    transports = transports_for(_local_settings(stage))
    for user in stage.script.users:
        with stage.database.transaction() as transaction:
            _person(transaction, stage, user)
        with stage.database.transaction() as transaction:
            for name, address in _addresses(stage, user).items():
                checked = transports[name].checked_address(address)
                shown = transports[name].shown(checked)
                alert_channels.keep_channel(
                    transaction, stage.vault, stage.user_ids[-1], name, checked, shown
                )
            wishes = {str(kind): "ON" for kind in KINDS}
            alert_channels.set_wishes(transaction, stage.user_ids[-1], wishes)
    instruments = _Instruments(stage)
    for seat in stage.script.seats:
        with stage.database.transaction() as transaction:
            stage.bots.append(_bot(transaction, stage, seat, instruments))
    with stage.database.transaction() as transaction:
        for prefix in PREFIXES[1:]:
            sql = "INSERT INTO watched_bots (user_id, prefix, name) VALUES (%s, %s, %s)"
            transaction.execute(sql, (stage.user_ids[0], prefix, prefix.strip("/")))


def _local_settings(stage: Stage) -> Settings:
    return Settings.model_validate(
        {
            "database_url": stage.database.url,
            "public_url": "http://localhost:8080",
            "discord_base_url": stage.lines["discord"].url,
            "alert_webhook_networks": "127.0.0.0/8",
        }
    )


def _addresses(stage: Stage, user: User) -> dict[str, str]:
    return {
        "DISCORD": stage.discord.url_of(user.hook),
        "WEBHOOK": f"{stage.receiver.base}/{user.key}",
    }


def _person(transaction: Transaction, stage: Stage, user: User) -> None:
    email = f"user{user.number}@example.org"
    user_id = transaction.value(
        "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id", (email,)
    )
    stage.user_ids.append(int(user_id))
    stage.tokens.append(tokens.create_token(transaction, stage.vault, user_id))
    keys = _keys(user)
    connection_id = bots.create_connection(
        transaction, user_id=user_id, broker=user.broker, mode="demo" if "passphrase" in keys else "paper",
        label=user.key, sealed_with=stage.vault.key_id if keys else None,
        credentials_sealed=stage.vault.seal(json.dumps(keys)) if keys else None,
        credentials_prefix=user.key[:4] if keys else None,
    )  # fmt: skip
    stage.connections.append(connection_id)
    bots.note_connection(transaction, connection_id, ConnectionStatus.OK, None, datetime.now(UTC))
    if user.listens:
        signal_channels.create(
            transaction, user_id=user_id, connection_id=connection_id, channel_id=CHANNEL,
            columns={
                "name": "signals", "author_ids": [ANN], "size_mode": "notional", "position_size": Decimal(400),
                "max_position_size": Decimal(800), "leverage": 2, "max_leverage": 5, "entry_mode": "market",
                "max_price_deviation_percent": Decimal(50),
            },
        )  # fmt: skip


def _keys(user: User) -> dict[str, str]:
    if user.broker is BrokerName.PAPER:
        return {}
    keys = {"api_key": user.key, "api_secret": SECRET}
    return keys | ({"passphrase": PHRASE} if user.broker is BrokerName.BLOFIN else {})


class _Instruments:
    """What each broker says of its symbols, asked once for each."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._known: dict[tuple[BrokerName, str], Instrument] = {}

    def of(self, user: User, symbol: str) -> Instrument:
        """Return the instrument of a symbol at a user's broker."""
        if (user.broker, symbol) not in self._known:
            self._known[user.broker, symbol] = self._asked(user, symbol)
        return self._known[user.broker, symbol]

    def _asked(self, user: User, symbol: str) -> Instrument:
        if user.broker is BrokerName.ALPACA:
            return Instrument(symbol=symbol, asset_class=AssetClass.STOCK, quantity_step=STEP)
        if user.broker is BrokerName.PAPER:
            return SimulatedMarket().instrument(symbol)
        return BlofinBroker(_keys(user), base_url=self._stage.blofin.url).instrument(symbol)


def _bot(transaction: Transaction, stage: Stage, seat: Seat, instruments: _Instruments) -> int:
    user = stage.script.users[seat.user]
    limits: dict[str, object] = {
        "stop_loss_percent": Decimal(seat.part.stop) if seat.part.stop else None,
        "take_profit_percent": Decimal(seat.part.target) if seat.part.target else None,
    }
    if user.broker is BrokerName.BLOFIN:
        limits["leverage"] = 3
    return bots.create_bot(
        transaction,
        user_id=stage.user_ids[user.number],
        connection_id=stage.connections[user.number],
        instrument=instruments.of(user, seat.part.symbol),
        timeframe=seat.timeframe,
        position_size=Decimal(900),
        name=f"bot {seat.number}",
        **limits,
    )


def _wait_until_watched(stage: Stage) -> None:
    at_alpaca = sum(user.broker is BrokerName.ALPACA for user in stage.script.users)
    deadline = time.monotonic() + WATCHED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        with stage.database.transaction() as transaction:
            waiting = transaction.value("SELECT count(*) FROM user_api_keys WHERE reconciled_at IS NULL")
            heard = transaction.value("SELECT count(*) FROM mqtt_status WHERE is_connected")
            joined = transaction.value("SELECT count(*) FROM discord_bot_status WHERE is_connected")
        if not waiting and heard and joined and len(stage.alpaca.listeners()) == at_alpaca:
            return
        time.sleep(0.5)
    raise RuntimeError(f"not everything came up: {stage.stack.written()}")


def _last(url: str) -> str:
    return url.rpartition("/")[2]


def _port(url: str) -> int:
    return int(urlsplit(url).port or 0)
