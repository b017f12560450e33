"""Score by a plain rule: buy what RSI(14) calls oversold, sell what it calls overbought.

What the model must beat, and what users get who also want signals without a model.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from core.bar import Bar
from core.pips import market_of
from core.reversal import RULES, Score
from reversal import samples
from reversal.features import NEEDED, Rows, rows, stacked
from reversal.model import FOURTH, Model, direction_of, factors, levels, record_in_words
from reversal.samples import Integers
from reversal.sources.base import Origin

OVERSOLD, OVERBOUGHT = 30.0, 70.0
RULE = "rsi_rule"


def sides(of: Rows) -> Integers:
    """Return the side of the rule at each row: 1 long, -1 short, 0 none."""
    rsi = np.nan_to_num(of.of("rsi_14"), nan=50.0)
    return np.where(of.usable, np.select([rsi < OVERSOLD, rsi > OVERBOUGHT], [1, -1], 0), 0).astype(np.int64)


def score(
    histories: Mapping[tuple[str, str], Sequence[Bar]],
    origins: Mapping[tuple[str, str], Origin],
    model: Model,
) -> list[Score]:
    """Return what the rule makes of the newest bar of each history that is long enough.

    Its confidence is how often its trades of the pair and timeframe reached their target in the model's record,
    0 where that was never measured; so is whether it has shown an edge.
    """
    keys = [key for key, bars in histories.items() if len(bars) >= NEEDED]
    if not keys:
        return []
    newest = rows(stacked([histories[key] for key in keys]))
    side = sides(newest)[:, 0]
    return [
        _score(key, histories[key][-1], origins[key], newest, place, int(side[place]), model)
        for place, key in enumerate(keys)
        if newest.usable[place, 0]
    ]


def _score(
    key: tuple[str, str], bar: Bar, origin: Origin, newest: Rows, place: int, side: int, model: Model
) -> Score:
    market = market_of(key[0])
    direction = direction_of(side)
    stop, target = levels(market, bar.close, float(newest.atr[place, 0]), direction)
    known = model.record.get(samples.key_of(*key), {})
    hit_rate = known.get("strategies", {}).get(RULE, {}).get("hit_rate") or 0.0
    return Score(
        pair=key[0], timeframe=key[1], bar_opened_at=bar.opened_at, bar_closed_at=bar.closed_at,
        direction=None if stop is None else direction,
        confidence=Decimal(hit_rate).quantize(FOURTH) if direction else Decimal(0),
        stage1_prob=None, stage2_prob=None, version=RULES, entry=bar.close, stop=stop, target=target,
        source=origin.name, is_replay=origin.is_replay, edge_shown=bool(known.get("rule_edge_shown", False)),
        factors=factors(newest, place, market) | record_in_words(model.record, key, RULE),
    )  # fmt: skip
