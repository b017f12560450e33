"""What gate, forms and pages share: one process, one pool."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import settings
from database.pool import Database
from encryption import Vault

CONNECTIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Settings, database and keys of the dashboard; nothing connects before the first use."""

    settings: settings.Settings
    database: Database
    vault: Vault


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the services of this process, made at the first call."""
    loaded = settings.load()
    database = Database(loaded.database, size=CONNECTIONS, application_name="dashtrade dashboard")
    return Services(settings=loaded, database=database, vault=Vault(loaded.encryption_key))


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
