"""What a scan looks at: the pairs and timeframes that somebody wants and that a source gives."""

from collections.abc import Collection

from core.bar import length
from database import reversal_wants
from database.pool import Transaction
from reversal import feeding
from reversal.sources.base import SourceRefused, SourceUnavailable
from settings import Settings

# Of a pair whose source does not say
SHORTEST = "1 Min"

Wanted = tuple[str, str]


def wanted(transaction: Transaction, settings: Settings, timeframes: Collection[str]) -> list[Wanted]:
    """Return each pair and timeframe once, however many users and bots want it.

    Left out is what no source gives: a market that is switched off, a pair that it does not have, bars that
    are shorter than its own. A source that fails stays in: its failure is to be said.
    """
    asked = reversal_wants.union(transaction, timeframes)
    shortest = {pair: _finest(pair, settings) for pair in {pair for pair, _ in asked}}
    return [
        (pair, timeframe)
        for pair, timeframe in asked
        if (finest := shortest[pair]) is not None and length(finest) <= length(timeframe)
    ]


def _finest(pair: str, settings: Settings) -> str | None:
    try:
        return feeding.finest(pair, settings)
    except (SourceUnavailable, SourceRefused):
        return SHORTEST
