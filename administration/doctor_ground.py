"""Look at what everything stands on: whether the database keeps what it says, the clocks, the disk, the address."""

import ipaddress
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from administration.console import Console
from administration.finding import Finding
from database import health
from settings import find

DURABLE = ("fsync", "full_page_writes")
CLOCKS_APART = timedelta(seconds=2)
LEAST_FREE_BYTES = 1_000_000_000


def durability(console: Console) -> Iterator[Finding]:
    """Say whether what the database has answered survives a power cut: a signal answered with 2xx must."""
    with console.transaction() as transaction:
        off = [name for name in DURABLE if transaction.value(f"SHOW {name}") != "on"]
    if off:
        words = f"{' and '.join(off)} off: after a power cut answered signals can be missing"
        yield Finding(subject="durability", words=words, mend="switch them on in PostgreSQL's configuration")
    else:
        yield Finding(subject="durability", words="what was answered is on disk")


def clocks(console: Console) -> Iterator[Finding]:
    """Say whether this machine and the database agree on the time, by which signals are too old or not."""
    with console.transaction() as transaction:
        before = datetime.now(UTC)
        apart = abs(health.clock(transaction) - before)
    taken = datetime.now(UTC) - before
    if apart > CLOCKS_APART + taken:
        words = f"this machine and the database are {apart.total_seconds():.1f} s apart"
        yield Finding(subject="clock", words=words, mend="let both follow the same NTP servers")
    else:
        yield Finding(subject="clock", words="this machine and the database agree")


def disk(console: Console) -> Iterator[Finding]:
    """Say whether there is room for the embedded database; one of your own is not on this machine."""
    if not find().embedded:
        return
    place = console.settings.dashtrade_home
    free = shutil.disk_usage(place if place.exists() else place.parent).free
    words = f"{free / 1e9:.1f} GB are free for the embedded database"
    if free < LEAST_FREE_BYTES:
        yield Finding(subject="disk", words=words, mend=f"make room where {place} is, or move it")
    else:
        yield Finding(subject="disk", words=words)


def address(console: Console) -> Iterator[Finding]:
    """Say whether webhook addresses lead here from outside, and by a way that nobody reads along."""
    shown = console.settings.public_url
    parts = urlsplit(shown)
    if _is_private(parts.hostname or ""):
        words = f"PUBLIC_URL is {shown}, which TradingView cannot reach"
        yield Finding(subject="address", words=f"{words}; fine while nothing is sent from outside")
    elif parts.scheme != "https":
        words = f"PUBLIC_URL is {shown}: whoever stands on the way reads the tokens, and can trade with them"
        yield Finding(
            subject="address", words=words, mend="put a proxy with TLS in front (docs/deploying.md)"
        )
    else:
        yield Finding(subject="address", words=f"webhook addresses begin with {shown}")


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
