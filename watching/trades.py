"""Which trade a message is about: pure.

A bot tells one trade in up to three messages: opened, closed, completed. Some leave one out, and they
may come in another order. Each completed trade is one row, whatever came before it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

from database.watched_trades import TradeState, WatchedTrade
from watching.messages import Event, Kind

ABOUT_TRADES = frozenset({Kind.POSITION_OPENED, Kind.POSITION_CLOSED, Kind.TRADE_COMPLETED})
JUST_NOW = timedelta(minutes=1)
FROM_MESSAGE = (
    "name",
    "side",
    "quantity",
    "quantity_unit",
    "entry_price",
    "exit_price",
    "stop_loss",
    "take_profit",
    "pnl",
    "pnl_fraction",
    "duration_seconds",
)


class TradeBook:
    """The trades that a batch of messages may be about; `changed` are those to store."""

    def __init__(self, trades: Iterable[WatchedTrade] = ()) -> None:
        self._trades = list(trades)
        self._stored = list(self._trades)

    @property
    def changed(self) -> list[WatchedTrade]:
        """Return the trades that are new or not as they were."""
        old = self._stored
        return [each for at, each in enumerate(self._trades) if at >= len(old) or each is not old[at]]

    def book(self, bot_id: int, event: Event) -> None:
        """Open, close or complete the trade that a message is about."""
        match event.kind:
            case Kind.POSITION_OPENED:
                self._open(bot_id, event)
            case Kind.POSITION_CLOSED:
                self._close(bot_id, event)
            case Kind.TRADE_COMPLETED:
                self._complete(bot_id, event)

    def _open(self, bot_id: int, event: Event) -> None:
        at = self._by_trade_id(bot_id, event)
        trade = _new(bot_id, event, TradeState.OPEN) if at is None else _filled(self._trades[at], event)
        # The moment of an opening that is told after its end is nobody's knowledge
        opened_at = trade.opened_at if trade.state is TradeState.CLOSED else event.received_at
        reason = trade.entry_reason or event.understood.get("reason")
        self._put(at, replace(trade, opened_at=trade.opened_at or opened_at, entry_reason=reason))

    def _close(self, bot_id: int, event: Event) -> None:
        at = self._by_trade_id(bot_id, event)
        if at is not None and self._trades[at].is_completed:
            return
        if at is None:
            at = self._find(bot_id, event, lambda trade: trade.state is TradeState.OPEN)
        if (
            at is None
            and self._find(bot_id, event, lambda trade: _is_this_completed(trade, event)) is not None
        ):
            return
        self._end(at, bot_id, event)

    def _complete(self, bot_id: int, event: Event) -> None:
        at = self._by_trade_id(bot_id, event)
        if at is None:
            at = self._find(bot_id, event, lambda trade: not trade.is_completed)
        self._end(at, bot_id, event, is_completed=True)

    def _end(self, at: int | None, bot_id: int, event: Event, *, is_completed: bool = False) -> None:
        trade = _new(bot_id, event, TradeState.CLOSED) if at is None else _filled(self._trades[at], event)
        self._put(
            at,
            replace(
                trade,
                state=TradeState.CLOSED,
                closed_at=trade.closed_at or event.received_at,
                exit_reason=event.understood.get("reason") or trade.exit_reason,
                is_completed=is_completed or trade.is_completed,
            ),
        )

    def _by_trade_id(self, bot_id: int, event: Event) -> int | None:
        trade_id = event.understood.get("trade_id")
        if trade_id is None:
            return None
        mine = (bot_id, trade_id)
        found = (at for at, each in enumerate(self._trades) if (each.watched_bot_id, each.trade_id) == mine)
        return next(found, None)

    def _find(self, bot_id: int, event: Event, suits: Callable[[WatchedTrade], bool]) -> int | None:
        """Return the likeliest trade: side and entry price agree, closed before open, oldest first."""
        mine = (bot_id, event.understood["market"])
        candidates = [
            (_unlikeness(trade, event), at)
            for at, trade in enumerate(self._trades)
            if (trade.watched_bot_id, trade.market) == mine and suits(trade) and not _is_another(trade, event)
        ]
        return min(candidates)[1] if candidates else None

    def _put(self, at: int | None, trade: WatchedTrade) -> None:
        if at is None:
            self._trades.append(trade)
        else:
            self._trades[at] = trade


def _new(bot_id: int, event: Event, state: TradeState) -> WatchedTrade:
    understood = event.understood
    return WatchedTrade(
        watched_bot_id=bot_id,
        market=understood["market"],
        trade_id=understood.get("trade_id"),
        state=state,
        **{"name": "", **{name: understood[name] for name in FROM_MESSAGE if name in understood}},
    )


def _filled(trade: WatchedTrade, event: Event) -> WatchedTrade:
    """Add what a later message says; the opening's own size and name stay."""
    understood = event.understood
    kept = {
        name for name in ("name", "side", "quantity", "quantity_unit", "entry_price") if getattr(trade, name)
    }
    news = {name: understood[name] for name in FROM_MESSAGE if name in understood and name not in kept}
    return replace(trade, trade_id=trade.trade_id or understood.get("trade_id"), **news)


def _is_another(trade: WatchedTrade, event: Event) -> bool:
    given = event.understood.get("trade_id")
    return given is not None and trade.trade_id is not None and given != trade.trade_id


def _is_this_completed(trade: WatchedTrade, event: Event) -> bool:
    """Tell whether a closing only repeats a trade that was completed a moment ago."""
    same_price = trade.exit_price == event.understood.get("exit_price")
    recent = trade.closed_at is not None and abs(event.received_at - trade.closed_at) <= JUST_NOW
    return trade.is_completed and same_price and recent


def _unlikeness(trade: WatchedTrade, event: Event) -> tuple[bool, bool, bool]:
    said = event.understood.get("side")
    other_side = bool(said and trade.side) and str(said).lower() != str(trade.side).lower()
    entry = event.understood.get("entry_price")
    other_price = None not in (entry, trade.entry_price) and entry != trade.entry_price
    return other_side, other_price, trade.state is TradeState.OPEN
