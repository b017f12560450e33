"""Open a tracked trade and send its order through the engine: the trade follows the bot's own fills.

The trade, its bot and the bot's signal are stored in one transaction, so that a death leaves all or nothing,
and asking twice with one request key trades once.
"""

import json
import logging
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import psycopg2.errors

import intake
from actions import bots as bot_actions
from actions import tracked_trades, trade_checks
from actions.acting import Acting, Refused, Tools
from actions.bots import LONGEST_NAME
from actions.trade_checks import TradeRequest
from brokers.base import BrokerName, Mode
from core.bot import SizeMode
from core.instrument import Instrument, symbol_key
from core.matching import Candidate
from core.pips import Direction, Market
from core.signal import Action, Level, LevelKind, Signal
from core.signal_json import to_json
from core.trade_wording import REPLAY
from database import bots, connections, inbox, trade_fills
from database import tracked_trades as records
from database.inbox import Arrival, Sender
from database.pool import Row, Transaction
from database.reversal_wants import SOURCE
from intake import Status
from log import about_signal
from signals.tradingview import Understood

# An order that is sent after the price went further than this is another trade.
MOST_DEVIATION_PERCENT = 1
FINEST_PERCENT = Decimal("0.0001")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A trade whose order was handed to the engine; not `is_new` where the same request did so before."""

    trade_id: int
    is_new: bool
    signal_id: UUID | None
    bot: str | None = None


def open_and_execute(
    tools: Tools,
    acting: Acting,
    request: TradeRequest,
    connection_id: int,
    now: datetime,
    *,
    confirmation: str = "",
) -> Executed:
    """Open a trade at a connection by an order at the market, with the user's size, stop and target.

    A live connection wants its name typed as `confirmation`; what comes of a recording trades at paper
    connections only. What the engine refuses later cancels the trade, with its reason. Raises `Refused`, and
    `BrokerError` where the broker does not say whether it trades the symbol.
    """
    market = trade_checks.checked_market(request.pair)
    with tools.database.transaction() as transaction:
        before = _before(transaction, acting, request)
        if before is not None:
            return before
        place = _place(transaction, acting, connection_id)
        signal = tracked_trades.signal_of(transaction, acting.owner, request.notification_id)
        tracked_trades.check_answerable(signal, now)
        _check_place(place, tracked_trades.source_of(tools.settings, market, signal), confirmation)
    instrument = bot_actions.look_up(tools, place, market.pair)
    try:
        with tools.database.transaction() as transaction:
            executed = _open(tools, transaction, acting, request, market, place["id"], instrument, now)
    except psycopg2.errors.UniqueViolation:
        raise Refused("A bot of yours was made or renamed at this moment: try again.") from None
    if executed.is_new:
        with about_signal(executed.signal_id):
            logger.info("the order of tracked trade %s goes to the engine", executed.trade_id)
    return executed


def _open(
    tools: Tools,
    transaction: Transaction,
    acting: Acting,
    request: TradeRequest,
    market: Market,
    connection_id: int,
    instrument: Instrument,
    now: datetime,
) -> Executed:
    place = _place(transaction, acting, connection_id)
    signal = tracked_trades.signal_of(transaction, acting.owner, request.notification_id)
    before = _before(transaction, acting, request)
    if before is not None:
        return before
    tracked_trades.check_answerable(signal, now)
    made = tracked_trades.store_trade(
        transaction, tools.settings, acting.owner, acting.actor, replace(request, entered_at=None), market,
        signal, now, is_ordered=True,
    )  # fmt: skip
    bot = _bot(transaction, acting, connection_id, instrument, request, market)
    sent = _send(
        transaction, acting, connection_id, bot, _signal(request, market, instrument, place, now), now
    )
    columns = {"connection_id": connection_id, "bot_config_id": bot.id, "signal_uuid": sent}
    trade_fills.link(transaction, acting.owner, made.trade_id, columns)
    acting.note(transaction, "trade execute", f"trade {made.trade_id}", after={"bot": bot.id, "signal": sent})
    return Executed(trade_id=made.trade_id, is_new=True, signal_id=sent, bot=bot.name)


def _before(transaction: Transaction, acting: Acting, request: TradeRequest) -> Executed | None:
    trade_id = records.of_request(transaction, acting.owner, tracked_trades.key_of(acting.owner, request))
    if trade_id is None:
        return None
    row = records.trade(transaction, acting.owner, trade_id)
    return Executed(trade_id=trade_id, is_new=False, signal_id=row["signal_uuid"] if row else None)


def _place(transaction: Transaction, acting: Acting, connection_id: int) -> Row:
    place = connections.shown_connection(transaction, acting.owner, connection_id, lock=True)
    if place is None:
        raise Refused("There is no such connection.", "connection")
    return place


def _check_place(place: Row, source: str, confirmation: str) -> None:
    if source == REPLAY and place["broker"] != BrokerName.PAPER:
        raise Refused(
            f"Its prices are a REPLAY of a recording, which trades on paper alone: {place['label']} is at"
            f" {place['broker']}. Allowed: a connection of the paper broker.",
            "connection",
        )
    if place["mode"] == Mode.LIVE and confirmation.strip() != place["label"]:
        raise Refused(
            f"This trades real money. To confirm, type the name of the connection: {place['label']}",
            "confirmation",
        )


def _bot(
    transaction: Transaction,
    acting: Acting,
    connection_id: int,
    instrument: Instrument,
    request: TradeRequest,
    market: Market,
) -> Candidate:
    """Return the bot that carries out the user's trades in a symbol, one after the other; make it at the first."""
    known = trade_fills.bot_for(transaction, connection_id, symbol_key(instrument.symbol), SOURCE)
    if known is not None and (known["open_trade"] is not None or known["quantity"] != 0):
        held = f"trade #{known['open_trade']}" if known["open_trade"] else "a position"
        raise Refused(f"Bot {known['name']} holds {held} in {instrument.symbol}: close it first.", "pair")
    bot_id = known["id"] if known else _make(transaction, acting, connection_id, instrument, request, market)
    sender = Sender(user_id=acting.owner, source=SOURCE, connection_id=connection_id)
    found = inbox.bots_open_to(transaction, sender, symbol_key(instrument.symbol))
    return next(each for each in found if each.id == bot_id)


def _make(
    transaction: Transaction,
    acting: Acting,
    connection_id: int,
    instrument: Instrument,
    request: TradeRequest,
    market: Market,
) -> int:
    hours = records.wishes(transaction, acting.owner)["trade_limit_hours"]
    units = request.lots * market.lot
    bot_id = bots.create_bot(
        transaction,
        user_id=acting.owner,
        connection_id=connection_id,
        instrument=instrument,
        # A bot with a timeframe would trade scores by itself
        timeframe=None,
        source=SOURCE,
        name=_free_name(transaction, acting, instrument.symbol),
        size_mode=SizeMode.UNITS,
        position_size=units,
        use_signal_quantity=True,
        max_price_deviation_percent=MOST_DEVIATION_PERCENT,
        time_limit_minutes=hours * 60 if hours else None,
    )
    after = {"symbol": instrument.symbol, "size": units}
    acting.note(transaction, "bot add", f"bot {bot_id}", after=after)
    return bot_id


def _free_name(transaction: Transaction, acting: Acting, symbol: str) -> str:
    taken = trade_fills.free_names(transaction, acting.owner)
    whole = f"{symbol} tracked trades"
    names = [whole[:LONGEST_NAME], *(f"{whole[: LONGEST_NAME - 6]} {number}" for number in range(2, 10_000))]
    return next(name for name in names if name.lower() not in taken)


def _signal(
    request: TradeRequest, market: Market, instrument: Instrument, place: Row, now: datetime
) -> Signal:
    """Return the order's signal; the paper broker's prices are simulated, so levels are distances there."""
    is_practice = place["broker"] == BrokerName.PAPER
    return Signal(
        action=Action.BUY if request.direction is Direction.LONG else Action.SELL,
        symbol=instrument.symbol,
        price=None if is_practice else request.entry,
        quantity=request.lots * market.lot,
        stop_loss=_level(request, request.stop, is_practice=is_practice),
        take_profits=(_level(request, request.target, is_practice=is_practice),),
        sender_id=request.request_key,
        sent_at=now,
    )


def _level(request: TradeRequest, price: Decimal, *, is_practice: bool) -> Level:
    if not is_practice:
        return Level(kind=LevelKind.PRICE, value=price)
    distance = abs(price - request.entry) / request.entry * 100
    return Level(kind=LevelKind.PERCENT, value=max(distance.quantize(FINEST_PERCENT), FINEST_PERCENT))


def _send(
    transaction: Transaction,
    acting: Acting,
    connection_id: int,
    bot: Candidate,
    signal: Signal,
    now: datetime,
) -> UUID:
    body = json.dumps({"tracked_trade": signal.sender_id, **to_json(signal)}, sort_keys=True).encode()
    sender = Sender(user_id=acting.owner, source=SOURCE, connection_id=connection_id)
    reading = Understood(signal=signal, sources={}, ignored=())
    receipt = intake.take(transaction, sender, Arrival(body=body, received_at=now), reading, [bot])
    if receipt.status is not Status.ACCEPTED:
        sentence = receipt.refusal.sentence if receipt.refusal else "This order was sent already."
        raise Refused(sentence)
    return receipt.signal_id
