"""What gate, forms and pages share: one process, one pool."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import settings
from database.pool import Database
from encryption import Vault

if TYPE_CHECKING:
    from brokers.registry import Registry

CONNECTIONS = 8
# Longer than any page's query takes; without an end to it a slow database would hold every page for ever.
PATIENCE_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Settings, database and keys of the dashboard; nothing connects before the first use."""

    settings: settings.Settings
    database: Database
    vault: Vault

    @property
    def registry(self) -> "Registry":
        """Return the brokers, whose libraries take a second to load."""
        return _registry(self)


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the services of this process, made at the first call."""
    loaded = settings.load()
    database = Database(
        loaded.database, size=CONNECTIONS, application_name="dashtrade dashboard", patience=PATIENCE_SECONDS
    )
    return Services(settings=loaded, database=database, vault=Vault(loaded.encryption_key))


@lru_cache(maxsize=1)
def _registry(made: Services) -> "Registry":
    from brokers.registry import Registry

    return Registry(made.database, made.vault, made.settings)


def load_brokers() -> None:
    """Load the brokers' libraries, so that nobody who opens Setup waits for them."""
    services().registry  # noqa: B018


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
