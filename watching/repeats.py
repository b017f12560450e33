"""Whether a message is one that came before, delivered again: pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from watching.messages import Event, Kind

REDELIVERED_WITHIN = timedelta(seconds=60)


def is_repeat(
    event: Event, connected_at: datetime, *, is_stored: bool, earlier: Sequence[Event], again: bool = False
) -> bool:
    """Tell whether a message that is not unique by itself is a known one again.

    A broker repeats, on connecting anew, what was stored but not acknowledged by then. A person may
    well send a line without a time twice on purpose, and then means it twice. So a message is a
    repetition if it arrives within 60 s of its connection's beginning, and an identical one arrived
    before that connection began, within the last hour. Where the broker itself says that it sends it
    `again`, it may do so later, and after hours in which nobody listened. A retained message is a
    repetition wherever an identical one was ever stored. A heartbeat that came live never is: to count
    one twice does no harm, to miss one does.

    `is_stored` says this of what is in the database, `earlier` are identical ones on their way there.
    """
    if event.is_retained:
        return is_stored or bool(earlier)
    is_late = event.received_at - connected_at > REDELIVERED_WITHIN
    if event.kind is Kind.HEARTBEAT or (is_late and not again):
        return False
    return is_stored or any(
        not before.is_retained and before.received_at < connected_at for before in earlier
    )


def may_repeat(event: Event, connected_at: datetime, *, again: bool) -> bool:
    """Tell whether the database must be asked about a message."""
    return not event.is_unique and is_repeat(event, connected_at, is_stored=True, earlier=(), again=again)
