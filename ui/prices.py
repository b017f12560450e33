"""Prices between fills, for charts: from where they are known, or none at all."""

from datetime import datetime, timedelta

import pandas as pd

from brokers.base import BrokerName
from brokers.simulated_market import SimulatedMarket

POINTS = 300
SHORTEST = timedelta(minutes=10)


def price_line(broker: str, symbol: str, since: datetime, until: datetime) -> pd.DataFrame:
    """Return `at` and `price` (middle of bid and ask) between two moments; empty where nobody knows them.

    The simulated market is a pure function of time, so what the paper broker traded at can be asked
    again; where it was closed, the price is None. Of other brokers no prices are kept.
    """
    line = pd.DataFrame(columns=["at", "price"])
    if broker != BrokerName.PAPER:
        return line
    market = SimulatedMarket()
    asset_class = market.instrument(symbol).asset_class
    step = max(until - since, SHORTEST) / POINTS
    moments = [since + step * number for number in range(POINTS + 1)]
    line["at"] = moments
    line["price"] = pd.Series(
        [
            market.quote(symbol, at).middle if market.clock(asset_class, at).is_open else None
            for at in moments
        ],
        dtype=object,
    )
    return line
