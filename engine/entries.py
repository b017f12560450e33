"""Opening: every check of an entry, its size, the reservation, and its first order."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from bot_database import Row, Session, Transaction, bots, lanes, ledger, notifications, risk, trades, work
from brokers.base import Account, Broker
from core.bot import Bot, Connection
from core.checks import (
    BrokerFacts,
    EntryFacts,
    OtherHolding,
    check_before_broker,
    check_entry,
    not_tradeable,
)
from core.errors import BrokerError, Rejected, Unavailable, Unknown
from core.instrument import Instrument, MarketClock, Quote
from core.leverage import NONE, leverage_for, liquidation_before_stop
from core.money import ZERO
from core.order import OrderType, Side
from core.plan import Code, LegState, Refusal
from core.protection import Protection, fitting_targets, protection_for
from core.size import Size, SizeRequest, entry_price, proposed_size, split_at_zero
from core.trading_day import trading_day
from database.notifications import NotificationKind
from database.orders import OrderRecord
from database.work import LegRecord, PlanRecord, StoredSignal
from engine import leftovers
from engine.account import AccountReading, gap_stands, may_be_a_stop, read_account
from engine.attempts import commit_order
from engine.desk import Desk
from engine.mismatch import note_mismatch
from engine.rate import may_enter

CALLS_OF_AN_ENTRY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerReading:
    """What the broker said before an entry; quote, account and position were asked for beside each other."""

    instrument: Instrument
    clock: MarketClock
    quote: Quote | None
    account: Account
    reading: AccountReading


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyEntry:
    """An entry that passed every check. `at_broker` says that the broker is to watch its protection."""

    facts: EntryFacts
    reading: BrokerReading
    size: Size
    protection: Protection
    at_broker: bool
    lent: bool


def start_entry(desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord) -> OrderRecord | bool:
    """Check and size an open leg and commit its first order.

    Return that order, else whether the leg moved on without one. Checks that need no broker come
    first; while the broker cannot be asked the entry waits, until it is too old.
    """
    with session.autocommit() as transaction:
        row = bots.bot_row(transaction, plan.bot_id)
        lane = lanes.instrument_of_lane(transaction, plan.lane_id)
        connection = bots.connection(transaction, row["connection_id"])
        facts = _facts(transaction, desk, plan, leg, row, lane, connection)
    refusal = check_before_broker(facts) or _not_flat(facts.bot, row, lane)
    if refusal is not None:
        return _refuse(desk, session, plan, leg, refusal)
    if not may_enter(desk, session, facts.bot.connection_id, CALLS_OF_AN_ENTRY):
        return _sleep(desk, session, leg, "The broker's limit of calls per minute is reached.")
    try:
        broker = desk.broker(facts.bot.connection_id)
        if leftovers.is_in_the_way(session, plan.lane_id, broker):
            words = "What still rests at the broker of the last position is taken away first."
            return _sleep(desk, session, leg, words)
        reading = _read(desk, session, broker, plan, facts.bot)
    except (Unavailable, Unknown) as error:
        return _sleep(desk, session, leg, f"The broker cannot be asked: {error.message}")
    except BrokerError as error:
        return _refuse(desk, session, plan, leg, _problem(facts.connection, error.message))
    if isinstance(reading, Refusal):
        return _refuse(desk, session, plan, leg, reading)
    if reading is None:
        return _sleep(desk, session, leg, "Another order of this symbol has not come to its end yet.")
    gap = reading.reading.gap if _gap_to_believe(reading) else ZERO
    stands = gap_stands(desk, session, plan.lane_id, gap)
    if gap and not (stands and not may_be_a_stop(desk, session, plan.lane_id)):
        return _sleep(desk, session, leg, "The account does not hold what the bots do; looking again.")
    desk.step("entry read")
    with session.transaction() as transaction:
        return _commit(transaction, desk, plan, leg, broker, reading)


def _facts(
    transaction: Transaction,
    desk: Desk,
    plan: PlanRecord,
    leg: LegRecord,
    row: Row,
    lane: Instrument,
    connection: Connection,
) -> EntryFacts:
    bot = bots.bot_from(row)
    stored = _signal(transaction, plan)
    standing = risk.standing_of(transaction, bot.id, trading_day(desk.now(), lane.asset_class))
    return EntryFacts(
        now=desk.now(),
        bot=bot,
        connection=connection,
        states=standing.states,
        side=leg.side,
        signal=stored.signal if stored else None,
        received_at=stored.received_at if stored else None,
        newest_sent_at=row["newest_sent_at"],
        last_stop_out_at=row["last_stop_out_at"],
        mismatch_since=standing.mismatch_since,
        other_holdings=tuple(
            OtherHolding(owner=owner, quantity=quantity)
            for owner, quantity in lanes.others_in_lane(transaction, plan.lane_id, bot.id)
        ),
        open_positions=standing.open_positions,
        day=standing.day,
    )


def _signal(transaction: Transaction, plan: PlanRecord) -> StoredSignal | None:
    return None if plan.signal_id is None else work.stored_signal(transaction, plan.signal_id)


def _not_flat(bot: Bot, row: Row, instrument: Instrument) -> Refusal | None:
    if instrument.is_dust(row["quantity"]):
        return None
    side = ledger.position_from(row).side
    code = Code.ALREADY_LONG if row["quantity"] > 0 else Code.ALREADY_SHORT
    return Refusal(code=code, sentence=f"Bot {bot.name} still holds {abs(row['quantity'])} {side}.")


def _read(
    desk: Desk, session: Session, broker: Broker, plan: PlanRecord, bot: Bot
) -> BrokerReading | Refusal | None:
    try:
        instrument = broker.instrument(bot.symbol)
    except Rejected as error:
        with session.autocommit() as transaction:
            connection = bots.connection(transaction, bot.connection_id)
        return not_tradeable(bot.symbol, connection, error.message)
    clock = broker.clock(instrument.asset_class)
    quote = desk.beside.submit(_quote, broker, bot.symbol)
    account = desk.beside.submit(broker.account)
    reading = read_account(desk, session, broker, plan.lane_id, bot.symbol)
    if reading is None:
        return None
    return BrokerReading(
        instrument=instrument, clock=clock, quote=quote.result(), account=account.result(), reading=reading
    )


def _quote(broker: Broker, symbol: str) -> Quote | None:
    try:
        return broker.quote(symbol)
    except Rejected:
        return None


def _problem(connection: Connection, words: str) -> Refusal:
    sentence = f"Connection {connection.label} cannot be used: {words}"
    return Refusal(code=Code.CONNECTION_PROBLEM, sentence=sentence)


def _gap_to_believe(reading: BrokerReading) -> bool:
    return not reading.instrument.is_dust(reading.reading.unexplained)


def _commit(
    transaction: Transaction,
    desk: Desk,
    plan: PlanRecord,
    leg: LegRecord,
    broker: Broker,
    reading: BrokerReading,
) -> OrderRecord | bool:
    if work.something_newer_waits(transaction, plan.bot_id):
        return True
    row = bots.bot_row(transaction, plan.bot_id, lock=True)
    lane = lanes.instrument_of_lane(transaction, plan.lane_id)
    connection = bots.connection(transaction, row["connection_id"], lock=True)
    facts = _facts(transaction, desk, plan, leg, row, lane, connection)
    if reading.account.problem is not None:
        return _end(transaction, desk, plan, leg, _problem(facts.connection, reading.account.problem))
    no_shorts = _no_shorts(facts, leg, broker, reading)
    if no_shorts is not None:
        return _end(transaction, desk, plan, leg, no_shorts)
    leverage = _leverage(facts, broker, reading)
    protection = _protection(facts, leg, reading)
    size = _size(transaction, facts, leg, reading, protection, leverage)
    refused = (
        check_entry(_with_broker(facts, reading, size))
        or _without_size(facts, size)
        or _liquidated_first(facts, size, leverage)
    )
    if refused is not None:
        if refused.code is Code.ACCOUNT_MISMATCH:
            holding = lanes.lane_holding(transaction, plan.lane_id)
            note_mismatch(transaction, desk, facts.bot.connection_id, holding, reading.reading.account)
        return _end(transaction, desk, plan, leg, refused)
    ready = ReadyEntry(
        facts=facts,
        reading=reading,
        size=cast(Size, size),
        protection=_fitted(cast(Protection, protection), cast(Size, size)),
        at_broker=broker.capabilities.holds_protection and not facts.other_holdings,
        lent=broker.capabilities.lends,
    )
    return _fix(transaction, desk, plan, leg, ready)


def _no_shorts(facts: EntryFacts, leg: LegRecord, broker: Broker, reading: BrokerReading) -> Refusal | None:
    if leg.side is Side.BUY:
        return None
    if not reading.account.shorting_enabled:
        sentence = f"The account of connection {facts.connection.label} is not allowed to sell short."
    elif not (broker.capabilities.shorts and reading.instrument.shortable):
        sentence = f"{facts.bot.symbol} cannot be sold short at this broker."
    else:
        return None
    return Refusal(code=Code.SHORT_NOT_ALLOWED, sentence=sentence)


def _without_size(facts: EntryFacts, size: Size | Refusal | None) -> Refusal | None:
    if isinstance(size, Size):
        return None
    return size or not_tradeable(facts.bot.symbol, facts.connection, "there is no price now")


def _protection(facts: EntryFacts, leg: LegRecord, reading: BrokerReading) -> Protection | Refusal:
    if reading.quote is None:
        return Protection()
    return protection_for(
        bot=facts.bot,
        signal=facts.signal,
        side=leg.side,
        entry=entry_price(reading.quote, leg.side, leg.limit_price),
        instrument=reading.instrument,
    )


def _leverage(facts: EntryFacts, broker: Broker, reading: BrokerReading) -> int | Refusal:
    return leverage_for(facts.bot, facts.signal, reading.instrument) if broker.capabilities.lends else NONE


def _liquidated_first(
    facts: EntryFacts, size: Size | Refusal | None, leverage: int | Refusal
) -> Refusal | None:
    if not isinstance(size, Size) or not isinstance(leverage, int) or leverage == NONE:
        return None
    return liquidation_before_stop(size, facts.bot.margin_mode, leverage)


def _fitted(protection: Protection, size: Size) -> Protection:
    """Leave out targets whose share of this size is too small to be traded."""
    if not protection.targets:
        return protection
    targets = fitting_targets(protection.targets, size.quantity, size.request.instrument, size.request.side)
    if len(targets) == len(protection.targets):
        return replace(protection, targets=targets)
    words = f"{len(protection.targets)} targets are too many for this size; {len(targets)} are kept."
    return replace(
        protection,
        targets=targets if len(targets) > 1 else (),
        target_price=targets[0].price,
        notes=(*protection.notes, words),
    )


def _size(
    transaction: Transaction,
    facts: EntryFacts,
    leg: LegRecord,
    reading: BrokerReading,
    protection: Protection | Refusal,
    leverage: int | Refusal,
) -> Size | Refusal | None:
    """Return the size; a protection or leverage that cannot be is its refusal, in its place among the checks."""
    if isinstance(leverage, Refusal):
        return leverage
    if isinstance(protection, Refusal):
        return protection
    if reading.quote is None or entry_price(reading.quote, leg.side) <= 0:
        return None
    reserved = risk.reserved_since(transaction, facts.bot.connection_id, reading.account.at)
    return proposed_size(
        SizeRequest(
            bot=facts.bot,
            connection=facts.connection,
            instrument=reading.instrument,
            side=leg.side,
            price=entry_price(reading.quote, leg.side, leg.limit_price),
            equity=reading.account.equity,
            buying_power=reading.account.buying_power - reserved,
            order_type=leg.order_type,
            stop_price=protection.stop_price,
            signal=facts.signal,
            leverage=leverage,
        )
    )


def _with_broker(facts: EntryFacts, reading: BrokerReading, size: Size | Refusal | None) -> EntryFacts:
    return replace(
        facts,
        broker=BrokerFacts(
            instrument=reading.instrument,
            clock=reading.clock,
            account_gap=reading.reading.unexplained,
            quote=reading.quote,
            size=size,
        ),
    )


def _fix(
    transaction: Transaction,
    desk: Desk,
    plan: PlanRecord,
    leg: LegRecord,
    ready: ReadyEntry,
) -> OrderRecord:
    facts, reading, size = ready.facts, ready.reading, ready.size
    netting = facts.connection.allow_netting
    parts = split_at_zero(reading.reading.account, leg.side, size.quantity) if netting else (size.quantity,)
    started = work.start_leg(
        transaction,
        leg.id,
        parts=parts,
        expected_price=size.request.price,
        protection=ready.protection,
        at_broker=ready.at_broker,
        leverage=size.request.leverage if ready.lent else None,
        margin_mode=facts.bot.margin_mode if ready.lent else None,
        entry_valid_until=_valid_until(desk, facts.bot, leg),
        closes_account=reading.reading.only_shrinks(leg.side, parts[0]),
        now=desk.now(),
    )
    trades.write_trade(transaction, plan, started, "SUBMITTED", None)
    work.add_to_plan(transaction, plan.id, (*size.caps, *ready.protection.notes))
    return commit_order(
        transaction,
        desk,
        plan,
        started,
        connection_id=facts.bot.connection_id,
        symbol=reading.instrument.symbol,
        part=1,
        attempt=1,
        quantity=parts[0],
        reserved=size.reserve,
    )


def _valid_until(desk: Desk, bot: Bot, leg: LegRecord) -> datetime | None:
    """Return when a limit entry is over, None where it rests for as long as the broker keeps it."""
    if leg.order_type is not OrderType.LIMIT or bot.entry_valid_minutes is None:
        return None
    return desk.after(60.0 * bot.entry_valid_minutes)


def _refuse(desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord, refusal: Refusal) -> bool:
    with session.transaction() as transaction:
        return _end(transaction, desk, plan, leg, refusal)


def _end(transaction: Transaction, desk: Desk, plan: PlanRecord, leg: LegRecord, refusal: Refusal) -> bool:
    work.finish_leg(transaction, leg.id, LegState.REFUSED, refusal, desk.now())
    trades.write_trade(transaction, plan, leg, "REFUSED", refusal)
    name = bots.bot_row(transaction, plan.bot_id)["name"]
    notifications.notify(
        transaction,
        plan.user_id,
        NotificationKind.SIGNAL_REFUSED,
        event=str(plan.event_uuid),
        bot=name,
        code=refusal.code,
        sentence=refusal.sentence,
    )
    return True


def _sleep(desk: Desk, session: Session, leg: LegRecord, sentence: str) -> bool:
    with session.transaction() as transaction:
        work.let_leg_sleep(transaction, leg.id, desk.after(desk.timing.poll), sentence)
    return False
