"""Trades of watched bots: those that a batch of messages may be about, and what it makes of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from database.pool import Transaction
from database.prepared import prepared

RECENT = "1 h"
JUST_COMPLETED = "1 min"
MOST_OF_MARKET = 200


class TradeState(StrEnum):
    """Whether a watched bot still holds what it opened."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedTrade:
    """One trade of a watched bot; `id` is None before it is stored, `is_completed` after its final report."""

    id: int | None = None
    watched_bot_id: int
    trade_id: str | None = None
    market: str
    name: str
    side: str | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None
    entry_price: Decimal | None = None
    exit_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    pnl: Decimal | None = None
    pnl_fraction: Decimal | None = None
    duration_seconds: int | None = None
    entry_reason: str | None = None
    exit_reason: str | None = None
    state: TradeState
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    is_completed: bool = False


_NAMES = tuple(field.name for field in fields(WatchedTrade))
_NEW = tuple(name for name in _NAMES if name != "id")
_TEXTS = {"trade_id", "market", "name", "side", "quantity_unit", "entry_reason", "exit_reason", "state"}
_OTHERS = {
    "id": "bigint",
    "watched_bot_id": "bigint",
    "duration_seconds": "bigint",
    "opened_at": "timestamptz",
    "closed_at": "timestamptz",
    "is_completed": "boolean",
}
_TYPES = {name: "text" if name in _TEXTS else _OTHERS.get(name, "numeric") for name in _NAMES}
_ALL = ", ".join(_NAMES)


def trades_around(
    transaction: Transaction,
    markets: Iterable[tuple[int, str]],
    closed_markets: Iterable[tuple[int, str]],
    trade_ids: Iterable[tuple[int, str]],
) -> list[WatchedTrade]:
    """Return the trades that messages about these markets and trades may mean, in the order of opening.

    Those are what is open, what was closed within the hour and not completed, and of
    `closed_markets` what was completed within the last minute.
    """
    about = sorted(set(markets))
    places = (about, about, sorted(set(closed_markets)), sorted(set(trade_ids)))
    rows = transaction.all(_AROUND, [column for pairs in places for column in _unzipped(pairs)])
    return [WatchedTrade(**{**row, "state": TradeState(row["state"])}) for row in rows]


def _unzipped(pairs: Sequence[tuple[int, str]]) -> tuple[list[int], list[str]]:
    return [bot_id for bot_id, _ in pairs], [each for _, each in pairs]


def _of_markets(where: str, order: str) -> str:
    return f"""
        SELECT each.* FROM unnest(%s, %s) AS asked (watched_bot_id, market), LATERAL (
            SELECT * FROM watched_trades
             WHERE watched_trades.watched_bot_id = asked.watched_bot_id
               AND watched_trades.market = asked.market AND {where}
             ORDER BY {order} LIMIT {MOST_OF_MARKET}
        ) AS each
    """


_CLOSED = "state = 'CLOSED' AND {} AND closed_at > now() - interval '{}'"
_AROUND = prepared(
    f"""
    SELECT DISTINCT {_ALL} FROM (
        {_of_markets("state = 'OPEN'", "id")}
        UNION ALL
        {_of_markets(_CLOSED.format("NOT is_completed", RECENT), "id DESC")}
        UNION ALL
        {_of_markets(_CLOSED.format("is_completed", JUST_COMPLETED), "closed_at DESC")}
        UNION ALL
        SELECT watched_trades.* FROM unnest(%s, %s) AS asked (watched_bot_id, trade_id)
          JOIN watched_trades USING (watched_bot_id, trade_id)
    ) AS found ORDER BY id
    """,
    "bigint[], text[], bigint[], text[], bigint[], text[], bigint[], text[]",
)


def save_trades(transaction: Transaction, trades: Sequence[WatchedTrade]) -> None:
    """Write trades that are new and trades that changed."""
    new = [trade for trade in trades if trade.id is None]
    changed = [trade for trade in trades if trade.id is not None]
    if new:
        transaction.execute(_INSERT, _columns(new, _NEW))
    if changed:
        transaction.execute(_UPDATE, _columns(changed, _NAMES))


def _columns(trades: Sequence[WatchedTrade], names: Sequence[str]) -> tuple[list[object], ...]:
    return tuple([getattr(trade, name) for trade in trades] for name in names)


def _types(names: Sequence[str]) -> str:
    return ", ".join(f"{_TYPES[name]}[]" for name in names)


def _places(names: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(names))


_INSERT = prepared(
    f"INSERT INTO watched_trades ({', '.join(_NEW)}) SELECT * FROM unnest({_places(_NEW)})", _types(_NEW)
)
_UPDATE = prepared(
    f"""
    UPDATE watched_trades SET {", ".join(f"{name} = given.{name}" for name in _NEW)}
      FROM unnest({_places(_NAMES)}) AS given ({_ALL}) WHERE watched_trades.id = given.id
    """,
    _types(_NAMES),
)
