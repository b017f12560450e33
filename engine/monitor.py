"""Watching open positions. The monitor never sends: it inserts a risk event and rings the lane."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bot_database import Row, Session, Transaction, bells, bots, ledger, protections, risk
from brokers.base import AccountPosition, Broker
from core.errors import BrokerError
from core.instrument import AssetClass, Instrument, symbol_key
from core.protection import Protection, trailed
from core.risk import PriceFault, RiskTrigger, Watched, assess, exit_price
from core.trading_day import trading_day
from core.wording import seconds
from database.notifications import NotificationKind
from engine.desk import Desk
from engine.news import note_and_tell
from engine.rate import spend

TELL_AGAIN = timedelta(hours=1)
CALLS_OF_A_LOOK = 2
LATE_AFTER = timedelta(seconds=60)


def watch_risk(desk: Desk, session: Session, connection_id: int) -> None:
    """Look at every open position of a connection once, with one call for positions and one for money.

    Raises what the broker raises: positions that cannot be read are not watched, and say so.
    """
    with session.transaction() as transaction:
        holding = risk.watched_bots(transaction, connection_id)
        shown = risk.shows_positions(transaction, connection_id)
    if not holding and not shown:
        return
    broker = desk.broker(connection_id)
    spend(desk, session, connection_id, CALLS_OF_A_LOOK)
    positions = {symbol_key(position.symbol): position for position in broker.positions()}
    account = broker.account()
    with session.transaction() as transaction:
        risk.store_account(transaction, connection_id, account, curve=False)
        risk.store_positions(transaction, connection_id, positions.values(), desk.now())
    for row in holding:
        price, price_at = _price(desk, broker, row, positions.get(row["symbol_key"]))
        trails = _trails(broker, row)
        with session.transaction() as transaction:
            if not _is_still_held(transaction, row):
                continue
            _judge(transaction, desk, row, trails, price, price_at)
            if row["held_by"] == "BROKER" and _has_shrunk(row, positions.get(row["symbol_key"])):
                protections.ask_look(transaction, row["id"], desk.now())
                bells.ring(transaction, [row["lane_id"]])
        desk.step("risk judged")


def _has_shrunk(row: Row, position: AccountPosition | None) -> bool:
    """Tell whether the account holds less than the bot: its stop at the broker may have triggered."""
    return position is None or abs(position.quantity) < abs(row["quantity"])


def _price(
    desk: Desk, broker: Broker, row: Row, position: AccountPosition | None
) -> tuple[Decimal, datetime]:
    """Return what the position could be left at and when that was so.

    The account may net a symbol away; then a quote is asked for.
    """
    if position is not None and position.quantity * row["quantity"] > 0:
        return position.current_price, desk.now()
    try:
        quote = broker.quote(row["symbol"])
    except BrokerError:
        return Decimal(0), desk.now()
    return exit_price(quote, ledger.position_from(row).side), quote.at


def _follow(
    transaction: Transaction, desk: Desk, row: Row, instrument: Instrument | None, price: Decimal
) -> Protection:
    """Let a trailing stop follow the price; return the protection as it stands then.

    It is read anew: the lane may have moved the stop since the look began, and a stop never goes back.
    """
    record = protections.protection_of(transaction, row["id"], lock=True)
    if record is None:
        return Protection()
    protection = record.protection
    if protection.trail_distance is None or instrument is None or price <= 0:
        return protection
    side = ledger.position_from(row).side
    best, stop = trailed(protection, record.trail_best, price, side, instrument)
    if (best, stop) != (record.trail_best, protection.stop_price):
        protections.move_stop(transaction, row["id"], stop_price=stop, best=best, now=desk.now())
    return replace(protection, stop_price=stop)


def _trails(broker: Broker, row: Row) -> Instrument | None:
    """Return the instrument by which a trailing stop is rounded, None where it cannot or need not be."""
    if row["trail_distance"] is None:
        return None
    try:
        return broker.instrument(row["symbol"])
    except BrokerError:
        return None


def _is_still_held(transaction: Transaction, row: Row) -> bool:
    """Tell whether a position is still the one that the look began with."""
    now = bots.bot_row(transaction, row["id"])
    return (now["opening_fill_id"], now["quantity"]) == (row["opening_fill_id"], row["quantity"])


def _judge(
    transaction: Transaction,
    desk: Desk,
    row: Row,
    trails: Instrument | None,
    price: Decimal,
    price_at: datetime,
) -> None:
    instrument = Instrument(
        symbol=row["symbol"],
        asset_class=AssetClass(row["asset_class"]),
        minimum_quantity=row["dust_below"],
        quantity_step=row["dust_below"],
    )
    _mark_day(transaction, desk, row, instrument, price)
    _note_watched(transaction, desk, row)
    today = trading_day(desk.now(), instrument.asset_class)
    found = assess(
        Watched(
            bot=bots.bot_from(row),
            position=ledger.position_from(row),
            protection=_follow(transaction, desk, row, trails, price),
            instrument=instrument,
            price=price,
            price_at=price_at,
            realized_today=risk.realized_on(transaction, row["id"], today),
            day_start_unrealized=risk.day_mark(transaction, row["id"], today),
            close_at=row["close_at"],
        ),
        desk.now(),
    )
    if isinstance(found, RiskTrigger):
        risk.ask_exit(
            transaction,
            row["id"],
            found.kind,
            threshold=found.threshold,
            actual=found.actual,
            sentence=found.sentence,
            target_number=found.target_number,
            seen_fill_id=row["opening_fill_id"],
        )
    elif isinstance(found, PriceFault):
        _note_price_fault(transaction, desk, row, found.sentence)


def _note_price_fault(transaction: Transaction, desk: Desk, row: Row, sentence: str) -> None:
    if not risk.was_noted(transaction, row["id"], "PRICE_FAULT", desk.now() - TELL_AGAIN):
        risk.note_event(
            transaction,
            user_id=row["user_id"],
            connection_id=row["connection_id"],
            lane_id=row["lane_id"],
            bot_id=row["id"],
            kind="PRICE_FAULT",
            sentence=sentence,
            action_taken="not watched until there is a price",
        )


def _mark_day(transaction: Transaction, desk: Desk, row: Row, instrument: Instrument, price: Decimal) -> None:
    """Store the day's starting mark of a position that was open before the day began."""
    today = trading_day(desk.now(), instrument.asset_class)
    opened_at = row["opened_at"]
    if price > 0 and opened_at is not None and trading_day(opened_at, instrument.asset_class) < today:
        unrealized = ledger.position_from(row).unrealized(price)
        risk.set_day_mark(transaction, row["id"], today, unrealized, desk.now())


def _note_watched(transaction: Transaction, desk: Desk, row: Row) -> None:
    """Note that the engine holds the protection now, and how long nobody did."""
    unwatched = risk.note_watched(transaction, row["id"], desk.now())
    if unwatched is None or unwatched <= LATE_AFTER:
        return
    sentence = f"The stop or target of bot {row['name']} was not watched for {seconds(unwatched)}."
    note_and_tell(
        transaction,
        bots.bot_from(row),
        NotificationKind.PROTECTION_MISSING,
        sentence,
        actual=Decimal(int(unwatched.total_seconds())),
        action_taken="watched again",
    )
