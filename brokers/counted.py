"""Count what is asked of a broker, how long it took, and what its failures meant."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from brokers.base import Broker
from core.errors import BrokerError
from core.tallies import Tallies

CALLS = frozenset(
    {
        *("account", "positions", "position", "instrument", "quote", "clock", "submit", "find_order"),
        *("open_orders", "cancel", "protect", "protections", "triggered_protections", "protection_outcome"),
        "cancel_protection",
    }
)


class CountedBroker:
    """Pass everything on to a broker; what `CALLS` names is counted on the way.

    An error stays what it is. A call that is answered from what the broker's code remembers counts too.
    """

    def __init__(self, broker: Broker, tallies: Tallies) -> None:
        self._broker = broker
        self._tallies = tallies

    def __getattr__(self, name: str) -> Any:
        """Return what the broker has under a name."""
        found = getattr(self._broker, name)
        return self._counted(name, found) if name in CALLS else found

    def _counted(self, call: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        broker = str(self._broker.name)

        @wraps(ask)
        def asked(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return ask(*args, **kwargs)
            except BrokerError as error:
                self._tallies.count("broker_error", broker, call, type(error).__name__)
                raise
            finally:
                self._tallies.count("broker_call", broker, call, seconds=time.perf_counter() - began)

        return asked


def counted(broker: Broker, tallies: Tallies) -> Broker:
    """Return the same broker, whose calls are counted."""
    return cast(Broker, CountedBroker(broker, tallies))
