"""Look at everything DashTrade needs and say of each fault how it is mended."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import click
import psycopg2
import requests

from administration import doctor_alerts, doctor_discord, doctor_ground, doctor_reversal, doctor_work
from administration.console import Console, pass_console
from administration.finding import Finding, moment
from core.bot import Connection, TradingState
from core.errors import BrokerError
from database import bots, health, keys, kill_switch, migrate, pooler
from encryption import KeyMissing, WrongKey

PARTS = ("worker", "broker watch")
START = "start DashTrade: make run"
RECENT_SECONDS = 600
ANSWER_SECONDS = 5.0


class _Hopeless(Exception):
    """Stop looking: without this nothing else can be looked at."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding


@click.command("doctor")
@pass_console
@click.pass_context
def doctor(context: click.Context, console: Console) -> None:
    """Look at everything that DashTrade needs, from the disk to Discord; each fault comes with its mend."""
    faults = 0
    for finding in _findings(console):
        click.echo(finding)
        faults += finding.mend is not None
    if faults:
        click.echo(f"{faults} faults." if faults > 1 else "1 fault.")
    context.exit(1 if faults else 0)


def _findings(console: Console) -> Iterator[Finding]:
    looks: tuple[Callable[[Console], Iterator[Finding]], ...] = (
        _database,
        _migrations,
        _key,
        doctor_ground.durability,
        doctor_ground.clocks,
        doctor_ground.disk,
        _parts,
        doctor_reversal.reversal_watch,
        _webhook_server,
        doctor_ground.address,
        _switches,
        _brokers,
        doctor_work.queue,
        doctor_work.orders,
        doctor_work.positions,
        doctor_alerts.alerts,
        doctor_alerts.mqtt,
        doctor_discord.discord_bot,
        _recent_faults,
    )
    try:
        for look in looks:
            yield from look(console)
    except _Hopeless as end:
        yield end.finding


def _database(console: Console) -> Iterator[Finding]:
    try:
        with console.transaction() as transaction:
            version = transaction.value("SHOW server_version")
        pooler.refuse_transaction_pooler(console.settings.database)
    except psycopg2.OperationalError as error:
        mend = "start DashTrade (make run), or put right what DATABASE_URL names"
        raise _Hopeless(Finding(subject="database", words=f"no answer: {error}", mend=mend)) from error
    except pooler.PoolerError as error:
        mend = "name PostgreSQL itself in DATABASE_URL"
        raise _Hopeless(Finding(subject="database", words=str(error), mend=mend)) from error
    yield Finding(subject="database", words=f"PostgreSQL {version}")


def _migrations(console: Console) -> Iterator[Finding]:
    try:
        missing = migrate.outstanding(console.settings.database)
    except migrate.SchemaError as error:
        mend = "update this checkout"
        raise _Hopeless(Finding(subject="migrations", words=str(error), mend=mend)) from error
    if missing:
        words = f"{len(missing)} are outstanding, the first {missing[0]}"
        mend = "run: python migrate_bot_tables.py"
        raise _Hopeless(Finding(subject="migrations", words=words, mend=mend))
    yield Finding(subject="migrations", words="all applied")


def _key(console: Console) -> Iterator[Finding]:
    try:
        with console.transaction() as transaction:
            keys.hash_key(transaction, console.vault)
    except (KeyMissing, WrongKey) as error:
        mend = "set ENCRYPTION_KEY to the key this database was used with"
        raise _Hopeless(Finding(subject="key", words=str(error), mend=mend)) from error
    yield Finding(subject="key", words=f"{console.vault.key_id} opens the stored secrets")


def _parts(console: Console) -> Iterator[Finding]:
    with console.transaction() as transaction:
        beats = {row["part"]: row for row in health.heartbeats(transaction)}
    for part in PARTS:
        row = beats.get(part)
        if row is not None and row["alive"]:
            yield Finding(subject=part, words=f"{row['alive']} running")
        else:
            words = "never ran" if row is None else f"silent since {moment(row['beat_at'])}"
            yield Finding(subject=part, words=words, mend=START)


def _webhook_server(console: Console) -> Iterator[Finding]:
    address = console.settings.webhook_url
    try:
        answer = requests.get(f"{address}/health", timeout=ANSWER_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        words = f"no answer at {address}: {type(error).__name__}"
        yield Finding(subject="webhook server", words=words, mend=START)
        return
    # 503 says that another part is at fault, which has a line of its own here.
    yield Finding(subject="webhook server", words=f"answers at {address} (health {answer.status_code})")


def _switches(console: Console) -> Iterator[Finding]:
    with console.transaction() as transaction:
        server = kill_switch.server_state(transaction)
        restored = kill_switch.waiting_for_reconcile(transaction)
    if server is not TradingState.ACTIVE:
        mend = "set it when you are ready: manage.py kill-switch server active"
        yield Finding(subject="kill switch", words=f"the whole server is {server}", mend=mend)
    if restored:
        words = f"{restored} connections wait to be reconciled after a restore"
        yield Finding(subject="restore", words=words, mend="let the broker watch run: make run")


def _brokers(console: Console) -> Iterator[Finding]:
    with console.transaction() as transaction:
        connections = bots.all_connections(transaction)
    for connection in connections:
        yield _broker(console, connection)


def _broker(console: Console, connection: Connection) -> Finding:
    subject = f"connection {connection.id} ({connection.label})"
    try:
        account = console.registry.broker(connection.id).account()
    except BrokerError as error:
        mend = "check the broker's status page, and enter the keys anew if it refuses them"
        return Finding(subject=subject, words=error.message, mend=mend)
    if account.problem:
        return Finding(subject=subject, words=account.problem, mend="settle it with the broker")
    return Finding(subject=subject, words=f"equity {account.equity:,.2f} {account.currency}")


def _recent_faults(console: Console) -> Iterator[Finding]:
    now = datetime.now(UTC)
    with console.transaction() as transaction:
        rows = health.faults(transaction)
    for row in rows:
        if (now - row["last_at"]).total_seconds() < RECENT_SECONDS:
            words = f"{row['words']} ({row['times']} times, last at {moment(row['last_at'])})"
            yield Finding(subject=row["subject"], words=words, mend="read the log at that time")
