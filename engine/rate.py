"""One bucket of calls per connection, shared by every process, so that the broker's rate is kept."""

from bot_database import Session, risk
from engine.desk import Desk


def may_enter(desk: Desk, session: Session, connection_id: int, calls: int) -> bool:
    """Take the calls of an entry; False where that would touch the third kept for exits and look-ups."""
    return _take(desk, session, connection_id, calls, for_entry=True)


def spend(desk: Desk, session: Session, connection_id: int, calls: int) -> None:
    """Count calls that are made in any case: exits, look-ups and watching never wait for the bucket."""
    _take(desk, session, connection_id, calls, for_entry=False)


def _take(desk: Desk, session: Session, connection_id: int, calls: int, *, for_entry: bool) -> bool:
    per_minute = desk.calls_per_minute(connection_id)
    if per_minute is None:
        return True
    with session.autocommit() as transaction:
        return risk.take_tokens(
            transaction,
            connection_id,
            calls=calls,
            per_minute=per_minute,
            for_entry=for_entry,
            now=desk.now(),
        )
