"""Follow tracked trades that bots hold: by the fills of the engine, never by bars."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg2

from core.pips import market_of
from core.tracked_trade import CloseReason
from core.trade_wording import cancelled, closed, opened, running
from database import tracked_trades, trade_fills, trade_updates
from database.pool import Row, Transaction
from database.trade_prices import Prices, prices_for
from database.trade_rows import ending, told_of, update, worth
from database.trade_updates import TradeUpdate, UpdateKind
from log import about_signal
from reversal.judging import is_due

REASONS = {"STOP": CloseReason.STOP, "TARGET": CloseReason.TARGET, "TIME_LIMIT": CloseReason.TIME}
FINEST = Decimal("0.00000001")
NO_REASON = "the engine opened nothing, and gave no reason."

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Followed:
    """What one look at the bots' trades gave; `failures` says of each trade that cannot be followed why."""

    ended: int = 0
    updates: list[TradeUpdate] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)


def follow_bots(transaction: Transaction, now: datetime) -> Followed:
    """Bring every trade that a bot holds to where its fills are, and tell of what is new.

    A trade that fails is left as it was, and keeps no other waiting. Raises psycopg2.OperationalError where the
    database goes away.
    """
    all_of_them = Followed()
    known: dict[tuple[str, str], Prices] = {}
    for trade in trade_fills.followed(transaction):
        found = Followed()
        with about_signal(trade["signal_uuid"]):
            try:
                with transaction.apart():
                    prices = _prices(transaction, known, trade, now)
                    _follow(transaction, found, trade, prices, now)
                    trade_updates.store(transaction, found.updates, now)
            except psycopg2.OperationalError:
                raise
            except Exception as error:
                logger.exception("trade %s cannot be followed", trade["id"])
                all_of_them.failures[trade["id"]] = f"{type(error).__name__}: {error}"
                continue
        all_of_them.ended += found.ended
        all_of_them.updates += found.updates
    return all_of_them


def _prices(
    transaction: Transaction, known: dict[tuple[str, str], Prices], trade: Row, now: datetime
) -> Prices:
    key = (trade["pair"], trade["account_currency"])
    if key not in known:
        known[key] = prices_for(transaction, [trade], now)
    return known[key]


def _follow(transaction: Transaction, found: Followed, trade: Row, prices: Prices, now: datetime) -> None:
    if trade["bought"] is None:
        if trade["is_final"]:
            _cancel(transaction, found, trade, now)
        return
    was_open = trade["looked_at"] is not None
    filled = _filled(trade, now)
    trade = {**trade, **filled}
    if trade["is_over"]:
        _end(transaction, found, trade, filled, prices, now)
        return
    if not was_open:
        _tell(
            found,
            trade,
            UpdateKind.OPENED,
            opened(told_of(trade), trade["entry_price"]),
            trade["entry_price"],
            prices,
        )
    _look(transaction, found, trade, filled, prices, now)


def _filled(trade: Row, now: datetime) -> Row:
    """Return the entry as it was filled; what one lot is belongs to the market.

    The paper broker's prices are simulated: stop and target stand as far from the fill as they were asked for.
    """
    is_moved = trade["is_practice"] and trade["bought_at"] != trade["entry_price"]
    return {
        **(_moved_levels(trade, trade["bought_at"] / trade["entry_price"]) if is_moved else {}),
        "entry_price": trade["bought_at"],
        "entry_time": trade["began_at"],
        "lot_size": trade["bought"] / market_of(trade["pair"]).lot,
        "looked_until": trade["began_at"],
        "looked_at": now,
    }


def _moved_levels(trade: Row, share: Decimal) -> Row:
    return {name: (trade[name] * share).quantize(FINEST) for name in ("stop_loss", "take_profit")}


def _cancel(transaction: Transaction, found: Followed, trade: Row, now: datetime) -> None:
    trade_fills.cancel(transaction, trade["id"], now)
    message = cancelled(told_of(trade), trade["signal_sentence"] or NO_REASON)
    nothing = TradeUpdate(
        trade_id=trade["id"],
        kind=UpdateKind.CANCELLED,
        price=trade["entry_price"],
        steps=Decimal(0),
        pnl=Decimal(0),
        message=message,
        send=trade["told"],
    )
    found.updates.append(nothing)
    found.ended += 1


def _end(
    transaction: Transaction, found: Followed, trade: Row, filled: Row, prices: Prices, now: datetime
) -> None:
    reason = REASONS.get(trade["ended_by"], CloseReason.BY_HAND)
    price = trade["sold_at"] or trade["entry_price"]
    ended = worth(trade, price, prices.rates(trade))
    columns = {**filled, **ending(ended, reason, trade["ended_at"], now)}
    tracked_trades.change(transaction, trade["user_id"], trade["id"], columns)
    message = closed(told_of(trade), reason, ended, trade["ended_at"])
    kind = UpdateKind(reason.value)
    found.updates.append(update(trade["id"], kind, ended, message, send=trade["told"]))
    found.ended += 1


def _look(
    transaction: Transaction, found: Followed, trade: Row, filled: Row, prices: Prices, now: datetime
) -> None:
    columns = {**filled, "updated_at": now}
    is_priced = trade["priced_at"] is not None and trade["priced_at"] >= trade["entry_time"]
    if is_priced:
        price = trade["last_price"]
        stands = worth(trade, price, prices.rates(trade))
        columns |= {"current_price": price, "current_pips": stands.steps, "current_pnl": stands.profit}
        if is_due(trade, now):
            _tell(found, trade, UpdateKind.RUNNING, running(told_of(trade), stands, now), price, prices)
            columns["next_update_at"] = now + timedelta(minutes=trade["rhythm"])
    tracked_trades.change(transaction, trade["user_id"], trade["id"], columns)


def _tell(
    found: Followed, trade: Row, kind: UpdateKind, message: str, price: Decimal, prices: Prices
) -> None:
    at = worth(trade, price, prices.rates(trade))
    found.updates.append(update(trade["id"], kind, at, message, send=trade["told"]))
