"""Closing: how much of a bot's holding is really there, and the first order to close it."""

from dataclasses import dataclass
from decimal import Decimal

from bot_database import Row, Session, Transaction, bots, lanes, ledger, trades, work
from brokers.base import Broker
from core.bot import Bot
from core.checks import check_exit
from core.errors import BrokerError
from core.instrument import Instrument
from core.money import ZERO
from core.order import Side
from core.plan import Code, LegState, Refusal
from core.position import Position
from core.size import exit_quantity, split_at_zero
from core.wording import grouped, number
from database.notifications import NotificationKind
from database.orders import OrderRecord
from database.work import LegRecord, PlanRecord
from engine.account import AccountReading, gap_stands, read_account
from engine.attempts import commit_order
from engine.desk import Desk
from engine.news import note_and_tell
from engine.rate import spend
from engine.resting import lift, settle

HALTED_LOOK_SECONDS = 5.0
CALLS_OF_AN_EXIT = 3
WAITS_FOR_STOP = "The stop at the broker has not come to its end yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitSize:
    """What to trade, and what left the account without us: both positive quantities."""

    quantity: Decimal
    missing: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitFacts:
    """What an exit is sized by. `price` is what we can expect, None where there is no quote."""

    bot: Bot
    position: Position
    instrument: Instrument
    reading: AccountReading
    price: Decimal | None
    allow_netting: bool

    @property
    def value_price(self) -> Decimal:
        """Return a price to value the holding by: the expected one, else what it cost."""
        return self.price or self.position.average_price


def size_of_exit(facts: ExitFacts, wanted: Decimal) -> ExitSize | Refusal:
    """Work out an exit from the bot's own holding and what of it the account still has.

    A gap against the bot shrinks its exit.
    """
    sign = 1 if facts.position.quantity > 0 else -1
    held = abs(facts.position.quantity)
    missing = min(max(-facts.reading.gap * sign, ZERO), held)
    left = held - missing
    if facts.instrument.is_dust(left):
        return ExitSize(quantity=ZERO, missing=missing)
    sized = exit_quantity(left * sign, facts.instrument, facts.value_price, min(wanted, left))
    if isinstance(sized, Refusal):
        return sized
    return ExitSize(quantity=sized, missing=missing)


def start_exit(desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord) -> OrderRecord | bool:
    """Size a close leg on what is really there and commit its first order.

    Return that order, else whether the leg moved on without one. What the account no longer holds
    is booked as closed from outside. Nothing is believed of an account that cannot be read: the
    exit waits and tries again, without end. What rests at the broker is lifted last, so that the position
    is not bare while the exit waits.
    """
    with session.autocommit() as transaction:
        halted = check_exit(bots.trading_states(transaction, plan.bot_id))
        row = bots.bot_row(transaction, plan.bot_id)
        lane = lanes.instrument_of_lane(transaction, plan.lane_id)
        connection = bots.connection(transaction, row["connection_id"])
    if halted is not None:
        return _sleep(desk, session, leg, HALTED_LOOK_SECONDS, halted.sentence)
    if lane.is_dust(row["quantity"]):
        return _finish_flat(desk, session, leg)
    booked = settle(desk, session, plan.bot_id, plan.created_at)
    if booked is not None:
        return booked or _sleep(desk, session, leg, desk.timing.poll, WAITS_FOR_STOP)
    try:
        facts = _read(desk, session, plan, row, connection.allow_netting)
    except BrokerError as error:
        return _sleep(desk, session, leg, desk.timing.poll, f"The broker cannot be asked: {error.message}")
    if facts is None:
        words = "Another order of this symbol has not come to its end yet."
        return _sleep(desk, session, leg, desk.timing.poll, words)
    sized = size_of_exit(facts, leg.quantity or abs(facts.position.quantity))
    if not _is_confirmed(desk, session, plan, facts, sized):
        words = "The account holds less than the bots; looking again before believing it."
        return _sleep(desk, session, leg, desk.timing.gap_confirmation, words)
    if _leaves_all(facts, sized):
        booked = lift(desk, session, plan.bot_id, plan.created_at)
        if booked is not None:
            return booked or _sleep(desk, session, leg, desk.timing.poll, WAITS_FOR_STOP)
    desk.step("exit sized")
    with session.transaction() as transaction:
        return _commit(transaction, desk, plan, leg, facts, sized)


def _leaves_all(facts: ExitFacts, sized: ExitSize | Refusal) -> bool:
    """Tell whether an exit closes the whole holding; a stop that outlives it could close the next one."""
    if isinstance(sized, Refusal):
        return False
    return facts.instrument.is_dust(abs(facts.position.quantity) - sized.missing - sized.quantity)


def write_off_missing(desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord) -> bool:
    """Book what left the account since the exit was sized; tell whether the exit may go on.

    Between two attempts the holding may be closed by hand, by a stop that rests at the broker, or by the
    very order that held it.
    """
    booked = settle(desk, session, plan.bot_id, plan.created_at)
    if booked is not None:
        return booked or _sleep(desk, session, leg, desk.timing.poll, WAITS_FOR_STOP)
    with session.autocommit() as transaction:
        row = bots.bot_row(transaction, plan.bot_id)
    try:
        facts = _read(desk, session, plan, row, allow_netting=False)
    except BrokerError as error:
        return _sleep(desk, session, leg, desk.timing.poll, f"The broker cannot be asked: {error.message}")
    if facts is None:
        words = "Another order of this symbol has not come to its end yet."
        return _sleep(desk, session, leg, desk.timing.poll, words)
    sized = size_of_exit(facts, abs(facts.position.quantity))
    if not _is_confirmed(desk, session, plan, facts, sized):
        words = "The account holds less than the bots; looking again before believing it."
        return _sleep(desk, session, leg, desk.timing.gap_confirmation, words)
    if isinstance(sized, Refusal) or not sized.missing:
        return True
    with session.transaction() as transaction:
        _book_missing(transaction, desk, plan, facts, sized.missing)
    return True


def _read(desk: Desk, session: Session, plan: PlanRecord, row: Row, allow_netting: bool) -> ExitFacts | None:
    bot, position = bots.bot_from(row), ledger.position_from(row)
    broker = desk.broker(bot.connection_id)
    spend(desk, session, bot.connection_id, CALLS_OF_AN_EXIT)
    reading = read_account(desk, session, broker, plan.lane_id, bot.symbol)
    if reading is None:
        return None
    return ExitFacts(
        bot=bot,
        position=position,
        instrument=broker.instrument(bot.symbol),
        reading=reading,
        price=_expected_price(broker, bot.symbol, Side.SELL if position.quantity > 0 else Side.BUY),
        allow_netting=allow_netting,
    )


def _expected_price(broker: Broker, symbol: str, side: Side) -> Decimal | None:
    """Ask for a price to compare the fill with; an exit never fails for want of a quote."""
    try:
        quote = broker.quote(symbol)
    except BrokerError:
        return None
    return quote.bid if side is Side.SELL else quote.ask


def _is_confirmed(
    desk: Desk, session: Session, plan: PlanRecord, facts: ExitFacts, sized: ExitSize | Refusal
) -> bool:
    """Tell whether what is missing, if anything is, has been missing long enough to be believed."""
    missing = isinstance(sized, ExitSize) and not _is_fee(facts, sized.missing)
    stands = gap_stands(desk, session, plan.lane_id, facts.reading.gap if missing else ZERO)
    return stands or not missing


def _is_fee(facts: ExitFacts, missing: Decimal) -> bool:
    """Tell a fee estimated too low from something that left the account."""
    return facts.instrument.is_dust(missing) or missing <= facts.reading.fees


def _commit(
    transaction: Transaction,
    desk: Desk,
    plan: PlanRecord,
    leg: LegRecord,
    facts: ExitFacts,
    sized: ExitSize | Refusal,
) -> OrderRecord | bool:
    now = desk.now()
    if isinstance(sized, Refusal):
        work.finish_leg(transaction, leg.id, LegState.REFUSED, sized, now)
        trades.write_trade(transaction, plan, leg, "REFUSED", sized)
        return True
    if sized.missing:
        _book_missing(transaction, desk, plan, facts, sized.missing)
    if not sized.quantity:
        work.finish_leg(transaction, leg.id, LegState.DONE, _gone(facts, sized.missing), now)
        return True
    account = facts.reading.account
    parts = split_at_zero(account, leg.side, sized.quantity) if facts.allow_netting else (sized.quantity,)
    started = work.start_leg(
        transaction,
        leg.id,
        parts=parts,
        expected_price=facts.price,
        closes_account=facts.reading.only_shrinks(leg.side, parts[0]),
        margin_mode=work.margin_mode_of_position(transaction, plan.bot_id),
        now=now,
    )
    trades.write_trade(transaction, plan, started, "SUBMITTED", None)
    return commit_order(
        transaction,
        desk,
        plan,
        started,
        connection_id=facts.bot.connection_id,
        symbol=facts.instrument.symbol,
        part=1,
        attempt=1,
        quantity=parts[0],
    )


def _book_missing(
    transaction: Transaction, desk: Desk, plan: PlanRecord, facts: ExitFacts, missing: Decimal
) -> None:
    change = -missing if facts.position.quantity > 0 else missing
    if _is_fee(facts, missing):
        ledger.book_fee_correction(transaction, plan.bot_id, change=change, activity_id=None, now=desk.now())
        return
    ledger.book_external(transaction, plan.bot_id, change=change, price=facts.value_price, now=desk.now())
    note_and_tell(
        transaction,
        facts.bot,
        NotificationKind.EXTERNAL_CLOSE,
        _gone(facts, missing).sentence,
        event=plan.event_uuid,
        actual=missing,
    )


def _gone(facts: ExitFacts, missing: Decimal) -> Refusal:
    sentence = (
        f"{number(missing)} {facts.bot.symbol} of bot {facts.bot.name} had left the account without it;"
        f" booked as closed at {grouped(facts.value_price)}."
    )
    return Refusal(code=Code.EXTERNAL_CLOSE, sentence=sentence)


def _sleep(desk: Desk, session: Session, leg: LegRecord, seconds: float, sentence: str) -> bool:
    with session.transaction() as transaction:
        work.let_leg_sleep(transaction, leg.id, desk.after(seconds), sentence)
    return False


def _finish_flat(desk: Desk, session: Session, leg: LegRecord) -> bool:
    reason = Refusal(code=Code.ALREADY_FLAT, sentence="The bot holds nothing to close.")
    with session.transaction() as transaction:
        work.finish_leg(transaction, leg.id, LegState.DONE, reason, desk.now())
    return True
