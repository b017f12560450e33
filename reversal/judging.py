"""Judge all open trades of one pair by the bars since the last look, in one transaction.

What is decided is written with how far was looked, so that a death at any point changes nothing or all of
it. Whoever edits or closes a trade meanwhile holds its row or waits for it: the second sees the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.tracked_trade import Ending
from core.trade_walk import walk
from core.trade_wording import closed, running
from database import trade_updates, trade_watch
from database.pool import Row, Transaction
from database.trade_prices import Prices
from database.trade_rows import ending, levels_of, moved_of, told_of, update, worth
from database.trade_updates import TradeUpdate, UpdateKind
from database.trade_watch import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The bars that judge a pair; with `is_replay` they are of a recording."""

    pair: str
    timeframe: str
    is_replay: bool


@dataclass(slots=True, kw_only=True)
class Verdicts:
    """What one look at a pair's trades gave, as it is to be written."""

    ended: list[Row] = field(default_factory=list)
    looked: list[Row] = field(default_factory=list)
    updates: list[TradeUpdate] = field(default_factory=list)


def judge(transaction: Transaction, feed: Feed, prices: Prices, now: datetime) -> Verdicts | None:
    """Judge a pair's open trades and write what came of it; None where another process does it now."""
    if not trade_watch.is_mine(transaction, feed.pair):
        return None
    trades = trade_watch.open_trades(transaction, feed.pair, is_replay=feed.is_replay)
    verdicts = Verdicts()
    if not trades:
        return verdicts
    seen = trade_watch.bars(transaction, feed.pair, feed.timeframe, trades, now)
    for trade in trades:
        _judge_one(verdicts, trade, [each for each in seen if trade_watch.is_new(each, trade)], prices, now)
    trade_watch.end(transaction, verdicts.ended)
    trade_watch.note_looked(transaction, verdicts.looked)
    trade_updates.store(transaction, verdicts.updates, now)
    return verdicts


def _judge_one(verdicts: Verdicts, trade: Row, seen: Sequence[Seen], prices: Prices, now: datetime) -> None:
    if not seen:
        return
    found = walk(levels_of(trade), moved_of(trade), (each.bar for each in seen))
    if found is None:
        _look(verdicts, trade, seen, prices, now)
    else:
        _end(verdicts, trade, found, prices, now)


def _end(verdicts: Verdicts, trade: Row, found: Ending, prices: Prices, now: datetime) -> None:
    ended = worth(trade, found.price, prices.rates(trade))
    message = closed(told_of(trade), found.reason, ended, found.at)
    verdicts.ended.append({"id": trade["id"], **ending(ended, found.reason, found.at, now)})
    kind = UpdateKind(found.reason.value)
    verdicts.updates.append(update(trade["id"], kind, ended, message, send=trade["told"]))


def _look(verdicts: Verdicts, trade: Row, seen: Sequence[Seen], prices: Prices, now: datetime) -> None:
    newest = seen[-1].bar
    is_fresh = newest.closed_at > trade["looked_until"]
    price = newest.close if is_fresh else trade["current_price"]
    row = {
        "id": trade["id"],
        "looked_until": max(newest.closed_at, trade["looked_until"]),
        "looked_at": now,
        "next_update_at": trade["next_update_at"],
        "current_price": price,
        "current_pips": trade["current_pips"],
        "current_pnl": trade["current_pnl"],
        "updated_at": now,
    }
    if price is not None:
        stands = worth(trade, price, prices.rates(trade))
        row |= {"current_pips": stands.steps, "current_pnl": stands.profit}
        if is_fresh and is_due(trade, now):
            message = running(told_of(trade), stands, now)
            verdicts.updates.append(update(trade["id"], UpdateKind.RUNNING, stands, message, send=True))
            row["next_update_at"] = now + timedelta(minutes=trade["rhythm"])
    verdicts.looked.append(row)


def is_due(trade: Row, now: datetime) -> bool:
    """Tell whether the user is told how a trade stands; a clock that was set back does not silence it."""
    if not trade["told"] or trade["rhythm"] == 0:
        return False
    due, rhythm = trade["next_update_at"], timedelta(minutes=trade["rhythm"])
    return due is None or due <= now or due > now + rhythm
