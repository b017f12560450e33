"""Make bots, change and switch them, close what they hold, and put them away."""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg2.errors

from actions import limits as shared_limits
from actions import safety
from actions.acting import Acting, Refused, Tools
from brokers.base import Mode
from core import timeframe as timeframes
from core.bot import SizeMode, TradingState
from core.checks import Scope as CheckedScope
from core.errors import Rejected
from core.instrument import Instrument
from core.money import ZERO
from core.wording import number
from database import bot_list, bots, connections, risk
from database.kill_switch import Change, Scope, Wanted
from database.pool import Row, Transaction
from database.reversal_wants import SOURCE as REVERSAL
from database.reversal_wants import pair_of_lane
from intake import TRADINGVIEW

DEFAULT_TIMEFRAME = "15 Min"
DEFAULT_SIZE = Decimal(5000)
DEFAULT_RISK_PERCENT = Decimal(10)
DEFAULT_ZONE = "America/New_York"
LONGEST_NAME = 80

_ABOVE_ZERO = {
    "position_size": "Position size",
    "max_position_size": "Max position size",
    "risk_limit_percent": "Risk limit",
    "daily_loss_limit": "Daily loss limit",
    "stop_loss_percent": "Stop loss",
    "take_profit_percent": "Take profit",
    "max_signal_age_seconds": "Oldest signal",
    "max_price_deviation_percent": "Price may have moved",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A bot that was made; `remark` is what the user should know about its symbol."""

    id: int
    name: str
    instrument: Instrument
    remark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What a bot is closing. `already`: it was asked before. `waits_for`: the switch that keeps it."""

    name: str
    symbol: str
    quantity: Decimal
    already: bool = False
    waits_for: CheckedScope | None = None


def create(
    tools: Tools,
    acting: Acting,
    *,
    connection_id: int,
    symbol: str,
    timeframe: str | None,
    position_size: Decimal,
    source: str = TRADINGVIEW,
    name: str | None = None,
    confirmation: str = "",
    **limits: Any,
) -> Created:
    """Look the symbol up at the connection's broker and make a bot; `timeframe` None takes any.

    `limits` are columns that a user may edit. One that trades reversal signals by itself at a live connection
    wants that one's name typed as `confirmation`. Raises `Refused`, and `BrokerError` where the broker does
    not answer.
    """
    place = _place(tools, acting, connection_id)
    instrument = look_up(tools, place, symbol)
    columns = _checked(limits | {"position_size": position_size})
    shared_limits.check(columns)
    wanted = _checked_timeframe(timeframe)
    source = source.strip().lower()
    if source == REVERSAL:
        _check_reversal(tools, place, instrument, wanted, confirmation)
    try:
        with tools.database.transaction() as transaction:
            _lock_place(transaction, acting, connection_id)
            bot_id = bots.create_bot(
                transaction,
                user_id=acting.owner,
                connection_id=connection_id,
                instrument=instrument,
                timeframe=wanted,
                source=source,
                name=_checked_name(name) or _name_for(source, instrument.symbol, wanted),
                **columns,
            )
            row = bots.bot_row(transaction, bot_id)
            acting.note(
                transaction,
                "bot add",
                f"bot {bot_id}",
                after={"symbol": instrument.symbol, "timeframe": wanted or "any", "size": position_size},
            )
    except psycopg2.errors.UniqueViolation as error:
        raise _taken(error, instrument.symbol, wanted, place["label"]) from None
    return Created(id=bot_id, name=row["name"], instrument=instrument, remark=_remark(instrument, row))


def look_up(tools: Tools, place: Row, symbol: str) -> Instrument:
    """Return what a connection's broker says of a symbol; raise `Refused` where it cannot be traded."""
    # TradingView's charts name the exchange first.
    wanted = symbol.strip().rpartition(":")[2]
    if not wanted:
        raise Refused("Say which symbol, such as AAPL or BTC/USD", "symbol")
    try:
        instrument = tools.registry.broker(place["id"]).instrument(wanted)
    except Rejected as error:
        raise Refused(f"{place['label']} does not trade {wanted}: {error.message}", "symbol") from None
    if not instrument.tradable:
        raise Refused(f"{instrument.symbol} cannot be traded at {place['label']} at present", "symbol")
    return instrument


def edit(tools: Tools, acting: Acting, bot_id: int, **changes: Any) -> None:
    """Change a bot; symbol and connection stay, since its trades belong to them."""
    checked = _checked(changes)
    if "name" in checked:
        checked["name"] = _checked_name(checked["name"]) or ""
        if not checked["name"]:
            raise Refused("Give the bot a name", "name")
    if "timeframe" in checked:
        checked["timeframe"] = _checked_timeframe(checked["timeframe"])
        _check_timeframe_of(tools, acting, bot_id, checked["timeframe"])
    row: Row = {}
    try:
        with tools.database.transaction() as transaction:
            row = _bot(transaction, acting, bot_id)
            shared_limits.check({**row, **checked})
            before = {name: row[name] for name in checked if row[name] != checked[name]}
            if not before:
                return
            changed = {name: checked[name] for name in before}
            bots.edit_bot(transaction, acting.owner, bot_id, **changed)
            acting.note(transaction, "bot edit", f"bot {bot_id}", before=before, after=changed)
    except psycopg2.errors.UniqueViolation as error:
        wanted = checked.get("timeframe", row.get("timeframe"))
        raise _taken(error, str(row.get("symbol")), wanted, "this connection") from None


def switch(tools: Tools, acting: Acting, bot_id: int, *, active: bool) -> None:
    """Let a bot enter again, or no more: what it holds stays, and its exits pass."""
    with tools.database.transaction() as transaction:
        row = _bot(transaction, acting, bot_id)
        bots.switch_bot(transaction, acting.owner, bot_id, active=active)
        acting.note(
            transaction,
            "bot enable" if active else "bot disable",
            f"bot {bot_id}",
            before={"status": row["order_status"]},
        )


def close(tools: Tools, acting: Acting, bot_id: int, *, sentence: str) -> Closing:
    """Ask for the exit of what a bot holds, at the market; it goes by the bot's lane like any exit."""
    with tools.database.transaction() as transaction:
        row = _bot(transaction, acting, bot_id)
        if row["quantity"] == ZERO:
            raise Refused(f"Bot {row['name']} holds nothing.")
        return _ask_close(transaction, acting, row, sentence)


def archive(tools: Tools, acting: Acting, bot_id: int) -> None:
    """Put a bot away that holds nothing; its trades stay."""
    with tools.database.transaction() as transaction:
        why_not = bots.archive_bot(transaction, acting.owner, bot_id)
        if why_not:
            raise Refused(why_not)
        acting.note(transaction, "bot archive", f"bot {bot_id}")


def close_and_archive(tools: Tools, acting: Acting, bot_id: int, *, sentence: str) -> Closing:
    """Disable a bot, close what it holds, and have it put away as soon as it is flat."""
    with tools.database.transaction() as transaction:
        row = _bot(transaction, acting, bot_id)
        bots.archive_after_close(transaction, acting.owner, bot_id)
        acting.note(transaction, "bot archive after close", f"bot {bot_id}")
        return _ask_close(transaction, acting, row, sentence)


def set_switch(tools: Tools, acting: Acting, bot_id: int, wanted: Wanted) -> Change:
    """Set the kill switch of one bot."""
    return safety.set_switch(tools, acting, Scope.BOT, bot_id, wanted)


def pause_all(tools: Tools, acting: Acting) -> Change:
    """Let no bot of the user enter; exits pass, and each bot keeps its own state."""
    return safety.set_switch(tools, acting, Scope.USER, acting.owner, Wanted.REDUCING)


def resume_all(tools: Tools, acting: Acting) -> Change:
    """Lift the switch over all bots of the user."""
    return safety.set_switch(tools, acting, Scope.USER, acting.owner, Wanted.ACTIVE)


def _ask_close(transaction: Transaction, acting: Acting, row: Row, sentence: str) -> Closing:
    already = bot_list.is_closing_by_hand(transaction, row["id"])
    if not already:
        risk.ask_exit(transaction, row["id"], "MANUAL_CLOSE", sentence=sentence)
        acting.note(transaction, "bot close", f"bot {row['id']}", after={"quantity": row["quantity"]})
    return Closing(
        name=row["name"],
        symbol=row["symbol"],
        quantity=row["quantity"],
        already=already,
        waits_for=bots.trading_states(transaction, row["id"]).first_in(TradingState.HALTED),
    )


def _bot(transaction: Transaction, acting: Acting, bot_id: int) -> Row:
    try:
        row = bots.bot_row(transaction, bot_id, lock=True)
    except LookupError:
        row = None
    # Another's bot is answered like one that does not exist.
    if row is None or row["user_id"] != acting.owner:
        raise Refused("There is no such bot.")
    if row["archived_at"] is not None:
        raise Refused(f"Bot {row['name']} is archived.")
    return row


def _place(tools: Tools, acting: Acting, connection_id: int) -> Row:
    with tools.database.transaction() as transaction:
        return _lock_place(transaction, acting, connection_id)


def _lock_place(transaction: Transaction, acting: Acting, connection_id: int) -> Row:
    place = connections.shown_connection(transaction, acting.owner, connection_id, lock=True)
    if place is None:
        raise Refused("There is no such connection.", "connection")
    return place


def _check_reversal(
    tools: Tools, place: Row, instrument: Instrument, timeframe: str | None, confirmation: str
) -> None:
    # Only here, since the sources of prices have a broker's libraries behind them
    from actions import reversal_bots

    reversal_bots.check(tools.settings, place, instrument, timeframe)
    if place["mode"] == Mode.LIVE and confirmation.strip() != place["label"]:
        sentence = "This bot would trade real money by itself. To confirm, type the name of the connection"
        raise Refused(f"{sentence}: {place['label']}", "confirmation")


def _check_timeframe_of(tools: Tools, acting: Acting, bot_id: int, timeframe: str | None) -> None:
    with tools.database.transaction() as transaction:
        row = _bot(transaction, acting, bot_id)
        pair = pair_of_lane(transaction, row["lane_id"])
    if row["source"] != REVERSAL or row["timeframe"] == timeframe:
        return
    if row["timeframe"] is None:
        sentence = f"Bot {row['name']} carries out the trades that you open; with a timeframe it would trade by itself"
        raise Refused(f"{sentence}: make another bot for that.", "timeframe")
    from actions import reversal_bots

    reversal_bots.check_pair(tools.settings, pair or row["symbol"], timeframe)


def _name_for(source: str, symbol: str, timeframe: str | None) -> str | None:
    """Return the name of a bot beside which one for alerts has the usual one."""
    return f"{symbol} {timeframe} reversals" if source == REVERSAL else None


def _checked_name(name: str | None) -> str | None:
    wanted = " ".join((name or "").split())
    if len(wanted) > LONGEST_NAME:
        raise Refused(f"The name is longer than {LONGEST_NAME} letters.", "name")
    return wanted or None


def _checked_timeframe(timeframe: str | None) -> str | None:
    if timeframe is None:
        return None
    try:
        return timeframes.canonical(timeframe)
    except ValueError as error:
        raise Refused(f"{timeframe!r} is no timeframe; allowed: {error}", "timeframe") from None


def _checked(columns: dict[str, Any]) -> dict[str, Any]:
    """Return the columns; raise `Refused` for the first that cannot be."""
    for column, name in _ABOVE_ZERO.items():
        value = columns.get(column)
        if value is not None and not value > 0:
            raise Refused(f"{name} must be above 0.", column)
    if columns.get("position_size", ZERO) is None:
        raise Refused("Say how large a position may be.", "position_size")
    if (columns.get("stop_loss_percent") or ZERO) >= 100:
        raise Refused("Stop loss must be below 100 %.", "stop_loss_percent")
    if "size_mode" in columns:
        SizeMode(columns["size_mode"])
    _check_window(columns.get("window_start"), columns.get("window_end"), columns.get("window_zone"))
    return columns


def _check_window(start: time | None, end: time | None, zone: str | None) -> None:
    if (start is None) != (end is None) or (start is not None and start == end):
        raise Refused("The hours of entry need a start and another end.", "window_start")
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise Refused(f"{zone} is no time zone; allowed: a name such as {DEFAULT_ZONE} or UTC",
                          "window_zone") from None  # fmt: skip


def _taken(error: psycopg2.errors.UniqueViolation, symbol: str, timeframe: str | None, label: str) -> Refused:
    if error.diag.constraint_name == "user_bot_configs_name":
        return Refused("There is a bot of that name already; give another", "name")
    sentence = (
        f"There is a bot for {symbol}, {timeframe or 'any timeframe'} from that source at {label} already"
    )
    return Refused(sentence, "symbol")


def _remark(instrument: Instrument, row: Row) -> str | None:
    if instrument.shortable or not row["allow_short"]:
        return None
    return f"{instrument.symbol} cannot be sold short: a sell signal only closes."


def held_in_words(row: Row) -> str:
    """Say what a bot holds: `LONG 12.5 AAPL`."""
    side = "LONG" if row["quantity"] > ZERO else "SHORT"
    return f"{side} {number(abs(row['quantity']))} {row['symbol']}"
