"""Follow trades that a user has opened elsewhere: open, ignore, close, move their stop and target.

Every process may call this: it needs neither keys nor brokers. What sends an order as well is
`actions.executed_trades`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from actions import trade_checks
from actions.refused import Refused
from actions.trade_checks import TradeRequest
from core.pips import Market
from core.tracked_trade import CloseReason, Result
from core.trade_outcome import reward_to_risk
from core.trade_walk import moved
from core.trade_wording import closed, duration, opened
from core.wording import moment
from database import audit, bot_list, risk, tracked_trades, trade_fills, trade_updates
from database.pool import Database, Row, Transaction
from database.trade_prices import prices_for
from database.trade_rows import ending, levels_of, moved_of, told_of, update, worth
from database.trade_updates import UpdateKind
from reversal.sources.replay import RECORDINGS, ReplaySource
from settings import Settings

__all__ = (
    "Closed",
    "NoSuchTrade",
    "Opened",
    "Refused",
    "TradeRequest",
    "close_trade",
    "ignore",
    "open_trade",
)

MOST_OPEN = 1000
NO_SOURCE = "none"
OPENED, IGNORED = "opened", "ignored"


class NoSuchTrade(Refused):
    """Name a trade of the user: this one does not exist, or is another user's."""

    def __init__(self) -> None:
        super().__init__("There is no such trade.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A trade that is followed from now; not `is_new` where the same request opened it before.

    `remark` is what its owner should know of it, such as that nothing gives prices of its pair.
    """

    trade_id: int
    is_new: bool
    remark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A trade that its owner ended; `profit_loss` is None where no rate is known.

    Where `is_pending` a bot holds it: its exit was asked for, and the figures come with its fills.
    `message` says all of it.
    """

    trade_id: int
    price: Decimal | None
    pips: Decimal | None
    profit_loss: Decimal | None
    result: Result | None
    duration: str
    message: str
    is_pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """Where stop and target of a trade stand now; `price` is the newest, None where none is known."""

    trade_id: int
    stop: Decimal
    target: Decimal
    price: Decimal | None


def open_trade(
    database: Database, settings: Settings, user_id: int, actor: str, request: TradeRequest, now: datetime
) -> Opened:
    """Follow a trade, and answer the signal it came of in the same transaction.

    Asked twice with one request key it opens once. Raises `Refused` with the field and what is allowed, and
    for a signal that has expired or was answered.
    """
    market = trade_checks.checked_market(request.pair)
    with database.transaction() as transaction:
        signal = signal_of(transaction, user_id, request.notification_id)
        before = tracked_trades.of_request(transaction, user_id, key_of(user_id, request))
        if before is not None:
            return Opened(trade_id=before, is_new=False)
        check_answerable(signal, now)
        return store_trade(transaction, settings, user_id, actor, request, market, signal, now)


def store_trade(
    transaction: Transaction,
    settings: Settings,
    user_id: int,
    actor: str,
    request: TradeRequest,
    market: Market,
    signal: Row | None,
    now: datetime,
    *,
    is_ordered: bool = False,
) -> Opened:
    """Check and store a trade in the caller's transaction; `signal` is the notification it answers, locked.

    One that `is_ordered` is opened by its order's fills, and they tell of it.
    """
    wishes = tracked_trades.wishes(transaction, user_id)
    source = source_of(settings, market, signal)
    about = {"pair": market.pair, "source": source, "account_currency": wishes["account_currency"]}
    trade_checks.check(request, market, prices_for(transaction, [about], now).own(about), now)
    timeframe = _timeframe(request, market, signal)
    if tracked_trades.count_open(transaction, user_id) >= MOST_OPEN:
        raise Refused(f"You have {MOST_OPEN} open trades; close one first.")
    entered_at = min(request.entered_at or now, now)
    hours, minutes = wishes["trade_limit_hours"], wishes["running_update_minutes"]
    columns = {
        **about,
        "user_id": user_id,
        "timeframe": timeframe,
        "direction": request.direction,
        "entry_price": request.entry,
        "entry_time": entered_at,
        "lot_size": request.lots,
        "stop_loss": request.stop,
        "take_profit": request.target,
        "reward_to_risk": reward_to_risk(request.entry, request.stop, request.target),
        "notes": request.notes.strip(),
        "looked_until": entered_at,
        "expires_at": entered_at + timedelta(hours=hours) if hours else None,
        "next_update_at": now + timedelta(minutes=minutes) if minutes else None,
        "request_key": key_of(user_id, request),
        "signal_notification_id": request.notification_id,
        "created_at": now,
        "updated_at": now,
    }
    trade_id = tracked_trades.create(transaction, columns)
    if trade_id is None:
        found = tracked_trades.of_request(transaction, user_id, key_of(user_id, request))
        return Opened(trade_id=int(found or 0), is_new=False)
    if request.notification_id is not None:
        tracked_trades.note_answer(transaction, request.notification_id, OPENED, trade_id, now)
    if not is_ordered:
        _note_opened(transaction, {"id": trade_id, **columns}, now)
    _audit(transaction, user_id, actor, "trade open", trade_id, after=_plain(request))
    return Opened(trade_id=trade_id, is_new=True, remark=_remark(market, source))


def ignore(database: Database, user_id: int, notification_id: int, now: datetime) -> None:
    """Answer a signal with no; raise `Refused` where it has expired or was answered."""
    with database.transaction() as transaction:
        check_answerable(signal_of(transaction, user_id, notification_id), now)
        tracked_trades.note_answer(transaction, notification_id, IGNORED, None, now)


def close_trade(
    database: Database,
    user_id: int,
    actor: str,
    trade_id: int,
    now: datetime,
    price: Decimal | None = None,
) -> Closed:
    """End one of the user's trades by hand, at a price or at the newest one known.

    Raises `Refused` for one that ended before or is not the user's, and where no price is known.
    """
    with database.transaction() as transaction:
        row = _open_trade(transaction, user_id, trade_id)
        if row["signal_uuid"] is not None:
            return _ask_bot(transaction, actor, row, now)
        told, prices = told_of(row), prices_for(transaction, [row], now)
        at = _closing_price(told.market, row["entry_price"], prices.own(row), price)
        ended = worth(row, at, prices.rates(row))
        message = closed(told, CloseReason.BY_HAND, ended, now)
        columns = ending(ended, CloseReason.BY_HAND, now, now)
        tracked_trades.change(transaction, user_id, trade_id, columns)
        told_by = update(trade_id, UpdateKind.BY_HAND, ended, message, send=False)
        trade_updates.store(transaction, [told_by], now)
        _audit(transaction, user_id, actor, "trade close", trade_id, after={"price": at, "pips": ended.steps})
    return Closed(
        trade_id=trade_id,
        price=at,
        pips=ended.steps,
        profit_loss=ended.profit,
        result=ended.result,
        duration=duration(now - row["entry_time"]),
        message=message,
    )


def edit_levels(
    database: Database,
    user_id: int,
    actor: str,
    trade_id: int,
    now: datetime,
    *,
    stop: Decimal | None = None,
    target: Decimal | None = None,
) -> Edited:
    """Move stop or target of one of the user's open trades; None leaves one as it is.

    They must stand on their sides of the price now, whatever the entry was: a stop may lock in a profit.
    What bars have shown before counts by the levels of their time. Raises `Refused`.
    """
    with database.transaction() as transaction:
        row = _open_trade(transaction, user_id, trade_id)
        if row["signal_uuid"] is not None:
            raise Refused("A bot holds this trade: its stop and target are at the bot and stay as they are.")
        told = told_of(row)
        price = prices_for(transaction, [row], now).own(row)
        wanted = row["stop_loss"] if stop is None else stop, row["take_profit"] if target is None else target
        trade_checks.check_moved(told.market, told.direction, *wanted, price=price, entry=row["entry_price"])
        edited = Edited(trade_id=trade_id, stop=wanted[0], target=wanted[1], price=price)
        if wanted == (row["stop_loss"], row["take_profit"]):
            return edited
        was = moved(levels_of(row), moved_of(row), row["looked_until"], now)
        columns = {"stop_loss": edited.stop, "take_profit": edited.target, "updated_at": now}
        columns |= {"levels_since": was.since, "stop_before": was.stop, "target_before": was.target}
        tracked_trades.change(transaction, user_id, trade_id, columns)
        before = {"stop": row["stop_loss"], "target": row["take_profit"]}
        after = {"stop": edited.stop, "target": edited.target}
        _audit(transaction, user_id, actor, "trade edit", trade_id, after, before)
    return edited


def signal_of(transaction: Transaction, user_id: int, notification_id: int | None) -> Row | None:
    """Return the notification that is answered, locked, or None for no notification; raise `Refused`."""
    if notification_id is None:
        return None
    signal = tracked_trades.notification_to_answer(transaction, user_id, notification_id)
    if signal is None:
        raise Refused("There is no such signal.")
    return signal


def check_answerable(signal: Row | None, now: datetime) -> None:
    """Raise `Refused` for a signal that was answered or has expired."""
    if signal is None:
        return
    if signal["acknowledged"]:
        trade_id = signal["trade_id"]
        opened_before = f"You opened trade #{trade_id} from this signal already."
        raise Refused(opened_before if trade_id else "You ignored this signal already.")
    if signal["expires_at"] <= now:
        raise Refused(f"This signal expired at {moment(signal['expires_at'])}.")


def _timeframe(request: TradeRequest, market: Market, signal: Row | None) -> str | None:
    if signal is None:
        return trade_checks.checked_timeframe(request.timeframe)
    if (signal["pair"], signal["signal_type"]) != (market.pair, request.direction.value):
        meant = f"{signal['pair']} {signal['signal_type'].upper()}"
        raise Refused(f"This signal is {meant}; open another trade without it.", "pair")
    return str(signal["timeframe"])


def source_of(settings: Settings, market: Market, signal: Row | None) -> str:
    """Return where the prices of a trade come from: the signal's source, else by the settings, or `NO_SOURCE`.

    By name alone: what asks a source has a broker's libraries behind it, and this runs in the Discord bot too.
    """
    if signal is not None:
        return str(signal["source"])
    name = str(getattr(settings, f"reversal_{market.kind.lower()}_source"))
    is_recorded = market.pair in {recording.pair for recording in RECORDINGS}
    return NO_SOURCE if name == "off" or (name == ReplaySource.name and not is_recorded) else name


def _remark(market: Market, source: str) -> str | None:
    if source != NO_SOURCE:
        return None
    return f"Nothing gives prices of {market.pair} here, so only you can close this trade, with your price."


def _open_trade(transaction: Transaction, user_id: int, trade_id: int) -> Row:
    row = tracked_trades.trade(transaction, user_id, trade_id, lock=True)
    if row is None:
        raise NoSuchTrade
    if row["status"] != "open":
        ended = f" at {moment(row['close_time'])}" if row["close_time"] else ""
        raise Refused(f"Trade #{trade_id} was {row['status']}{ended} already.")
    return row


def _ask_bot(transaction: Transaction, actor: str, row: Row, now: datetime) -> Closed:
    """Ask the bot that holds a trade for its exit; its fills end the trade."""
    if trade_fills.is_undecided(transaction, row["signal_uuid"]):
        raise Refused("Its order has not gone out yet: try again once it has, or disable its bot.")
    bot_id, trade_id = row["bot_config_id"], row["id"]
    if not bot_list.is_closing_by_hand(transaction, bot_id):
        risk.ask_exit(transaction, bot_id, "MANUAL_CLOSE", sentence=f"Trade #{trade_id} was closed by hand.")
        _audit(transaction, row["user_id"], actor, "trade close", trade_id, after={"bot": bot_id})
    return Closed(
        trade_id=trade_id,
        price=None,
        pips=None,
        profit_loss=None,
        result=None,
        duration=duration(now - row["entry_time"]),
        message=f"Trade #{trade_id} is being closed by its bot; the figures come with its fills.",
        is_pending=True,
    )


def _closing_price(market: Market, entry: Decimal, last: Decimal | None, price: Decimal | None) -> Decimal:
    at = last if price is None else price
    if at is None:
        raise Refused(f"No price of {market.pair} is known: say at which price you closed.", "price")
    trade_checks.check_closing(market, entry, last, at)
    return at


def _note_opened(transaction: Transaction, row: Row, now: datetime) -> None:
    at_entry = worth(row, row["entry_price"], {})
    message = opened(told_of(row), row["entry_price"])
    note = update(row["id"], UpdateKind.OPENED, at_entry, message, send=False)
    trade_updates.store(transaction, [note], now)


def _audit(
    transaction: Transaction,
    user_id: int,
    actor: str,
    action: str,
    trade_id: int,
    after: Row,
    before: Row | None = None,
) -> None:
    audit.record(
        transaction,
        actor=actor,
        action=action,
        subject=f"trade {trade_id}",
        user_id=user_id,
        before=before,
        after=after,
    )


def _plain(request: TradeRequest) -> Row:
    names = ("pair", "direction", "entry", "lots", "stop", "target")
    return {name: getattr(request, name) for name in names}


def key_of(user_id: int, request: TradeRequest) -> str:
    """Return what a request is stored under."""
    # Keys of two users never meet
    return f"{user_id}:{request.request_key}"
