"""Start everything on this machine: database, migrations, keys, and every part; Ctrl-C stops it.

`python run.py` is what `make run` calls. With `DATABASE_URL` the database is yours, and
`ENCRYPTION_KEY` must be too; without it an embedded PostgreSQL and the keys are made and kept below
`DASHTRADE_HOME`, and found again at the next start.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg2

import discord_bot
import settings
from database import embedded, keys, migrate, pooler
from database.pool import Database
from encryption import KeyMissing, Vault, WrongKey, new_key, new_token
from settings import Found, Settings, SettingsError
from supervision import AlreadyRunning, Part, become_supervisor, lock, stop_leftovers

READY_SECONDS = 120
LOOPBACK = "127.0.0.1"
DISCORD_SERVICE = "Discord bot"


class CannotStart(Exception):
    """Do what the message says, then start again."""


def parts(loaded: Settings, server: embedded.Server | None) -> list[Part]:
    """Return every process of this machine; a new part is one more row."""
    python = sys.executable
    streamlit = (python, "-m", "streamlit", "run", "app.py", "--server.headless=true")
    at = (f"--server.port={loaded.dashboard_port}", f"--server.address={loaded.listen_address}")
    rows = [
        Part(name="webhook", command=(python, "-m", "gunicorn")),
        Part(name="worker", command=(python, "jobs.py"), copies=loaded.workers),
        Part(name="watch", command=(python, "broker_watch.py")),
        Part(name="mqtt", command=(python, "mqtt_listener.py")),
        Part(name="reversal", command=(python, "reversal_watch.py"), copies=loaded.reversal_watches),
        Part(name="dashboard", command=(*streamlit, *at, "--browser.gatherUsageStats=false")),
        Part(name="ready", command=(python, "run.py", "ready"), rank=20, once=True),
    ]
    if loaded.discord_bot_token is not None:
        bot = (python, "-m", "discord_bot")
        rows.append(Part(name="discord", command=bot, without=discord_bot.hidden(os.environ)))
    if needs_mqtt_broker(loaded):
        broker = (python, "-m", "watching.embedded_broker", str(loaded.mqtt_broker_port))
        rows.insert(0, Part(name="mqtt-broker", command=broker, rank=5))
    if server is not None:
        command, account = tuple(server.command()), embedded.account()
        # INT is PostgreSQL's fast stop: TERM would wait for every client to leave
        rows.insert(0, Part(name="database", command=command, rank=1, account=account, stop_signal="INT"))
    return [row for row in rows if row.copies]


def needs_mqtt_broker(loaded: Settings) -> bool:
    """Tell whether to bring a broker along: none is named, and none listens on this machine."""
    return loaded.mqtt_broker_host is None and embedded.is_free(loaded.mqtt_broker_port, LOOPBACK)


def start() -> None:
    """Prepare what the parts need, then become their supervisor."""
    os.environ.pop(settings.BELIEVED, None)
    found = settings.find()
    home = settings.home_of(found.values)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock(home)
    left = stop_leftovers(home)
    if left:
        print(f"Ended {left} processes that an earlier run left behind.")
    server = None
    if found.embedded:
        server, found = _embedded_server(found, home)
    loaded = settings.build(found)
    _require_free(loaded)
    with _running(server):
        _prepare(loaded)
    become_supervisor(parts(loaded, server), home)


def prepare() -> None:
    """Bring a database of one's own up to date and keep the keys in it, without starting anything."""
    _prepare(settings.load())


def announce() -> None:
    """Wait until the dashboard and the webhook server answer, then say where they are."""
    loaded = settings.load()
    ports = {"dashboard": loaded.dashboard_port, "webhook server": loaded.webhook_port}
    for name, port in ports.items():
        if not _answers(port, time.monotonic() + READY_SECONDS):
            print(f"The {name} does not answer on port {port}; its lines above may say why.")
    print(f"Dashboard  http://localhost:{loaded.dashboard_port}")
    print(f"Webhook    {loaded.public_url}/webhook?token=… (manage.py user token EMAIL makes yours)")
    broker = f"{loaded.mqtt_broker_host or LOOPBACK}:{loaded.mqtt_broker_port}"
    print(f"MQTT       {broker}, where bots below {loaded.mqtt_topic_prefix} are watched")
    with closing(Database(loaded.database, size=1)) as database, database.transaction() as transaction:
        code = keys.new_sign_up_code(transaction, Vault(loaded.encryption_key))
    if code:
        print(f"There is no account yet. Sign-up code for the first one, the admin's: {code}")


def _embedded_server(found: Found, home: Path) -> tuple[embedded.Server, Found]:
    """Return the embedded database's server, and `found` with the address and keys that were made."""
    folder = home / "database"
    embedded.Server(folder=folder, port=0, password="").stop()
    if folder.exists() and "ENCRYPTION_KEY" not in found.values:
        raise CannotStart(
            f"The database in {folder} exists, but the key of its secrets, {home / 'ENCRYPTION_KEY'}, is"
            " gone. Put the file back, or set ENCRYPTION_KEY. If the key is lost for good, set a new one"
            " (python encryption.py) and run: manage.py keys forget"
        )
    server = embedded.kept_server(home, found.values.get("DATABASE_URL"))
    made = {"ENCRYPTION_KEY": new_key(), "SIGNAL_API_KEY": new_token("svc_")}
    found = replace(found, values=made | found.values | {"DATABASE_URL": server.url()})
    settings.build(found)
    for name in settings.KEPT:
        settings.keep(home, name, found.values[name])
    return server, found


def _prepare(loaded: Settings) -> None:
    vault = Vault(loaded.encryption_key)
    try:
        pooler.refuse_transaction_pooler(loaded.database)
    except psycopg2.OperationalError as error:
        raise CannotStart(f"The database of DATABASE_URL does not answer: {error}") from error
    applied = migrate.apply(loaded.database)
    if applied:
        print(f"Applied {len(applied)} migrations, the last {applied[-1]}.")
    with closing(Database(loaded.database, size=1)) as database, database.transaction() as transaction:
        keys.hash_key(transaction, vault)
        if loaded.signal_api_key:
            key = loaded.signal_api_key.get_secret_value()
            keys.keep_service_key(transaction, vault, DISCORD_SERVICE, key)


@contextmanager
def _running(server: embedded.Server | None) -> Iterator[None]:
    if server is None:
        yield
        return
    try:
        server.start()
        yield
    finally:
        server.stop()


def _require_free(loaded: Settings) -> None:
    for name in ("dashboard_port", "webhook_port"):
        port = getattr(loaded, name)
        if not embedded.is_free(port, loaded.listen_address):
            raise CannotStart(f"Port {port} is taken by another program: end it, or set {name.upper()}")


def _answers(port: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.2)
    return False


def main() -> None:
    """Start everything; with the word `prepare` only prepare, with `ready` say when everything answers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        {"prepare": prepare, "ready": announce}.get(" ".join(sys.argv[1:]), start)()
    except KeyboardInterrupt:
        sys.exit(130)
    except (
        CannotStart,
        SettingsError,
        AlreadyRunning,
        KeyMissing,
        WrongKey,
        embedded.EmbeddedError,
        migrate.SchemaError,
        pooler.PoolerError,
    ) as error:
        sys.exit(f"DashTrade does not start. {error}")


if __name__ == "__main__":
    main()
