"""The ids that we give to orders before anyone else sees them."""

from hashlib import blake2b
from uuid import UUID


def client_order_id(event_uuid: UUID, leg: int, part: int, attempt: int) -> str:
    """Return our id for one attempt at one part of a leg: 32 letters and digits.

    The same arguments give the same id in every process and after every restart. `event_uuid`
    is random per signal or risk event, so ids of a rebuilt database never meet old ones.
    BloFin takes at most 32 letters and digits and refuses hyphens (trading.md §1).
    """
    return _digest(f"{event_uuid}/{leg}/{part}/{attempt}")


def protection_client_id(event_uuid: UUID, leg: int, version: int) -> str:
    """Return our id for the `version`th stop and target placed at the broker for what a leg has filled."""
    return _digest(f"{event_uuid}/{leg}/protection/{version}")


def _digest(name: str) -> str:
    return blake2b(name.encode("ascii"), digest_size=16).hexdigest()
