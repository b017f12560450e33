"""What brokers lend; loading their libraries takes a second, so nobody else should wait for it."""

from brokers.base import BrokerName
from core.order import MarginMode


def margin_modes(broker: str) -> tuple[MarginMode, ...]:
    """Return the margin modes in which a broker lends, none where positions are not leveraged."""
    from brokers.registry import CLASSES

    return CLASSES[BrokerName(broker)].capabilities.margin_modes
