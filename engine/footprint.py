"""What of a position's protection may rest at the broker, and how ours is told from what others left there."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from brokers.base import ProtectingBroker, ProtectionOutcome, ProtectionState, RestingProtection
from core.identity import protection_client_id
from core.order import Side
from database.protections import Leftover, ProtectionRecord

CLOCK_TOLERANCE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """How a position's protection is known: by the broker's ids, ours, or the prices an entry carried along.

    `side` is the closing side. What an entry carried along rests since `since`.
    """

    side: Side
    broker_ids: tuple[str, ...]
    client_ids: frozenset[str]
    attached: tuple[Decimal | None, Decimal | None]
    since: datetime

    def has(self, each: RestingProtection) -> bool:
        """Tell whether something that rests belongs to this position."""
        if each.id in self.broker_ids:
            return True
        if each.side is not self.side:
            return False
        if each.client_id in self.client_ids:
            return True
        came_with_entry = (each.stop_price, each.target_price) == self.attached
        return came_with_entry and each.created_at >= self.since - CLOCK_TOLERANCE

    def among(self, broker: ProtectingBroker, symbol: str) -> tuple[RestingProtection, ...]:
        """Ask the broker what of this position rests there."""
        return tuple(each for each in broker.protections(symbol) if self.has(each))


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """What the broker did by the protection that had this `id`."""

    id: str
    outcome: ProtectionOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of a bot's protection rests at the broker, and what the broker did by it already."""

    resting: tuple[RestingProtection, ...]
    triggered: Triggered | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(each.id for each in self.resting)


def footprint(held: ProtectionRecord | Leftover, side: Side) -> Footprint:
    """Return the footprint of a position that is closed by `side`."""
    return Footprint(
        side=side,
        broker_ids=held.broker_ids,
        client_ids=frozenset(
            protection_client_id(held.event_uuid, held.leg_number, version + 1)
            for version in range(held.version)
        ),
        attached=(held.attached_stop, held.attached_target),
        since=held.created_at,
    )


def standing(broker: ProtectingBroker, symbol: str, ours: Footprint) -> Standing:
    """Read what of ours rests, and what became of what rested before."""
    resting = ours.among(broker, symbol)
    seen = {each.id for each in resting}
    for gone in ours.broker_ids:
        if gone not in seen:
            outcome = broker.protection_outcome(symbol, gone)
            if outcome.state is ProtectionState.TRIGGERED:
                return Standing(resting=resting, triggered=Triggered(id=gone, outcome=outcome))
    return Standing(resting=resting)


def unseen_exit(
    broker: ProtectingBroker, symbol: str, ours: Footprint, is_booked: Callable[[str], bool]
) -> Triggered | None:
    """Return what triggered before its id was known here: by our id, or by the prices that came with the entry.

    The position before may have had the same prices, so only an exit that is not booked counts, and only once
    it has come to its end.
    """
    for each in broker.triggered_protections(symbol):
        if each.id in ours.broker_ids or not ours.has(each):
            continue
        outcome = broker.protection_outcome(symbol, each.id)
        sent = outcome.order
        if outcome.state is not ProtectionState.TRIGGERED or sent is None or not sent.state.is_final:
            continue
        if not is_booked(sent.broker_order_id):
            return Triggered(id=each.id, outcome=outcome)
    return None
