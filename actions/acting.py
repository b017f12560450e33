"""Who acts on whose things, and with what."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from actions.refused import Refused
from database import audit
from database.pool import Database, Transaction
from encryption import Vault
from settings import Settings

__all__ = ("Acting", "Refused", "Tools")

if TYPE_CHECKING:
    from brokers.registry import Registry


class Tools(Protocol):
    """What actions work with; the dashboard's services and the command line's console both are that."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def vault(self) -> Vault: ...
    @property
    def registry(self) -> "Registry": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Whose things are meant, and who does it: an e-mail address or a tool, and from which address."""

    owner: int
    actor: str
    address: str | None = None

    def note(
        self,
        transaction: Transaction,
        action: str,
        subject: str,
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> None:
        """Write into the audit log what is done in this transaction; never give it a secret."""
        audit.record(
            transaction,
            actor=self.actor,
            action=action,
            subject=subject,
            user_id=self.owner,
            address=self.address,
            before=before,
            after=after,
        )
