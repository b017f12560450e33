"""The ledger: fills become positions, trades and daily figures, each exactly once.

A fill is unique by (order, cumulative filled quantity). Stream, poll and reconcile may all bring
the same one: the difference to what is booked is booked under the order row's lock, anything not
above it is ignored.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from core.bot import BotStatus
from core.instrument import Instrument
from core.money import ZERO
from core.order import Fill, Order, OrderState, Side
from core.performance import exposure_by_day
from core.plan import LegPurpose
from core.position import Booking, Position
from core.trading_day import trading_day
from database import bots, orders, protections, trades
from database.bells import ring
from database.lanes import instrument_of_lane
from database.orders import OrderRecord
from database.pool import Row, Transaction
from database.prepared import prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """What is new in a broker's report of an order."""

    cumulative: Decimal
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_in_base: bool


def position_from(row: Row) -> Position:
    """Make a bot's `Position` of its row."""
    return Position(
        quantity=row["quantity"],
        average_price=row["average_price"],
        realized=row["total_pnl"],
        opened_at=row["opened_at"],
    )


def book_order(transaction: Transaction, known: Order, *, source: str, now: datetime) -> OrderRecord | None:
    """Store what a broker says of one of our orders and book what is new in it; ring its lane.

    Return the order as it stands afterwards, or None where the order is not ours: nobody's, or
    another one under our id. `source` names who brought the news: submit, stream, poll, reconcile.
    """
    order = orders.order_by_client_id(transaction, known.client_order_id, lock=True)
    if order is None or not order.is_same(known):
        return None
    if known.filled_quantity >= order.filled_quantity:
        if known.filled_quantity > order.filled_quantity:
            _book_piece(transaction, order, known, source, now)
            _show_partial_fill(transaction, order, known)
        after = orders.update_order(transaction, order.id, known, now)
        if _tells_something(order, known):
            ring(transaction, [order.lane_id])
        return after
    return order


def _show_partial_fill(transaction: Transaction, order: OrderRecord, known: Order) -> None:
    partial = known.state is OrderState.PARTIALLY_FILLED
    if partial and trades.note_partial_fill(transaction, order.leg_id):
        bots.set_status(transaction, order.bot_id, BotStatus.PARTIALLY_FILLED)


def _tells_something(order: OrderRecord, known: Order) -> bool:
    return known.filled_quantity > order.filled_quantity or (known.state.is_final and not order.is_final)


def _book_piece(
    transaction: Transaction, order: OrderRecord, known: Order, source: str, now: datetime
) -> None:
    instrument = instrument_of_lane(transaction, order.lane_id)
    piece = _new_piece(transaction, order, known, instrument)
    fill = Fill(
        side=order.intent.side,
        quantity=piece.quantity,
        price=piece.price,
        at=known.updated_at,
        fee=piece.fee,
        fee_in_base=piece.fee_in_base,
    )
    row = _locked_bot(transaction, order.bot_id)
    booking = position_from(row).apply(fill, instrument)
    fill_id = _insert_fill(transaction, order, fill, piece.cumulative, known.fee_asset, booking, source)
    _move_position(transaction, row, booking, fill_id, instrument, known.updated_at)
    _add_to_trade(transaction, order, fill, booking)
    if order.purpose is LegPurpose.OPEN:
        protections.begin(transaction, order, now)


def _new_piece(transaction: Transaction, order: OrderRecord, known: Order, instrument: Instrument) -> _Piece:
    """Work out price and fee of the difference between two cumulative reports."""
    booked = transaction.one(
        prepared(
            "SELECT coalesce(sum(quantity * price), 0) AS money, coalesce(sum(fee), 0) AS fee"
            "  FROM fills WHERE order_id = %s",
            "bigint",
        ),
        (order.id,),
    )
    if known.average_price is None:
        raise ValueError(f"order {known.client_order_id} has filled {known.filled_quantity} without a price")
    quantity = known.filled_quantity - order.filled_quantity
    price = (known.filled_quantity * known.average_price - booked["money"]) / quantity
    return _Piece(
        cumulative=known.filled_quantity,
        quantity=quantity,
        price=price,
        fee=max(known.fee - booked["fee"], ZERO),
        fee_in_base=known.fee_asset is not None and known.fee_asset == instrument.base_asset,
    )


def _locked_bot(transaction: Transaction, bot_id: int) -> Row:
    return transaction.one(
        prepared("SELECT * FROM user_bot_configs WHERE id = %s FOR NO KEY UPDATE", "bigint"), (bot_id,)
    )


def _insert_fill(
    transaction: Transaction,
    order: OrderRecord,
    fill: Fill,
    cumulative: Decimal,
    fee_asset: str | None,
    booking: Booking,
    source: str,
) -> int:
    return int(
        transaction.value(
            prepared(
                """
                INSERT INTO fills (order_id, user_id, bot_config_id, cumulative_quantity, side, quantity, price, fee,
                                   fee_asset, fee_in_base, realized_pnl, position_after, average_price_after,
                                   source, filled_at)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
                """,
                "bigint, bigint, bigint, numeric, text, numeric, numeric, numeric, text, boolean, numeric,"
                " numeric, numeric, text, timestamptz",
            ),
            (
                order.id,
                order.user_id,
                order.bot_id,
                cumulative,
                fill.side,
                fill.quantity,
                fill.price,
                fill.fee,
                fee_asset,
                fill.fee_in_base,
                booking.realized,
                booking.position.quantity,
                booking.position.average_price,
                source,
                fill.at,
            ),
        )
    )


def _move_position(
    transaction: Transaction,
    row: Row,
    booking: Booking,
    fill_id: int,
    instrument: Instrument,
    at: datetime,
) -> None:
    position = booking.position
    ended_pnl = row["position_pnl"] + booking.realized
    transaction.execute(
        prepared(
            """
            UPDATE user_bot_configs
               SET quantity = %s, average_price = %s, opened_at = %s, total_pnl = %s, position_pnl = %s,
                   opening_fill_id = CASE WHEN %s THEN %s ELSE opening_fill_id END, updated_at = now()
             WHERE id = %s
            """,
            "numeric, numeric, timestamptz, numeric, numeric, boolean, bigint, bigint",
        ),
        (
            position.quantity,
            position.average_price,
            position.opened_at,
            position.realized,
            ZERO if booking.opened else ended_pnl,
            booking.opened,
            fill_id,
            row["id"],
        ),
    )
    day = trading_day(at, instrument.asset_class)
    _add_to_day(transaction, row, day, booking.realized, booking.fees)
    if booking.closed:
        _end_round_trip(transaction, row, day, ended_pnl, instrument, at)


def _add_to_day(transaction: Transaction, row: Row, day: date, pnl: Decimal, fees: Decimal) -> None:
    transaction.execute(
        prepared(
            """
            INSERT INTO bot_performance AS today (bot_config_id, user_id, day, pnl, fees, peak_pnl, max_drawdown)
            VALUES (%(bot)s, %(user)s, %(day)s, %(pnl)s, %(fees)s, greatest(%(pnl)s, 0), greatest(-%(pnl)s, 0))
            ON CONFLICT (bot_config_id, day) DO UPDATE
               SET pnl = today.pnl + %(pnl)s, fees = today.fees + %(fees)s,
                   peak_pnl = greatest(today.peak_pnl, today.pnl + %(pnl)s),
                   max_drawdown = greatest(today.max_drawdown, today.peak_pnl - today.pnl - %(pnl)s)
            """,
            bot="bigint",
            user="bigint",
            day="date",
            pnl="numeric",
            fees="numeric",
        ),
        {"bot": row["id"], "user": row["user_id"], "day": day, "pnl": pnl, "fees": fees},
    )


def _end_round_trip(
    transaction: Transaction,
    row: Row,
    day: date,
    pnl: Decimal,
    instrument: Instrument,
    at: datetime,
) -> None:
    """Count one trade, won or lost by all that was realized since the position opened."""
    transaction.execute(
        prepared(
            """
            UPDATE bot_performance
               SET trades = trades + 1, wins = wins + (%(pnl)s > 0)::int, losses = losses + (%(pnl)s < 0)::int,
                   largest_win = greatest(largest_win, %(pnl)s), largest_loss = least(largest_loss, %(pnl)s)
             WHERE bot_config_id = %(bot)s AND day = %(day)s
            """,
            pnl="numeric",
            bot="bigint",
            day="date",
        ),
        {"pnl": pnl, "bot": row["id"], "day": day},
    )
    transaction.execute(
        prepared("UPDATE user_bot_configs SET total_trades = total_trades + 1 WHERE id = %s", "bigint"),
        (row["id"],),
    )
    protections.end(transaction, row["id"], at)
    if row["opened_at"] is not None:
        for exposed_day, seconds in exposure_by_day(row["opened_at"], at, instrument.asset_class).items():
            _add_exposure(transaction, row, exposed_day, seconds)


def _add_exposure(transaction: Transaction, row: Row, day: date, seconds: int) -> None:
    transaction.execute(
        prepared(
            """
            INSERT INTO bot_performance AS today (bot_config_id, user_id, day, exposure_seconds)
            VALUES (%s, %s, %s, %s) ON CONFLICT (bot_config_id, day) DO UPDATE
               SET exposure_seconds = today.exposure_seconds + excluded.exposure_seconds
            """,
            "bigint, bigint, date, integer",
        ),
        (row["id"], row["user_id"], day, seconds),
    )


def _add_to_trade(transaction: Transaction, order: OrderRecord, fill: Fill, booking: Booking) -> None:
    transaction.execute(
        prepared(
            """
            UPDATE bot_trades
               SET filled_price = (coalesce(filled_price, 0) * filled_qty + %(price)s * %(quantity)s)
                                  / (filled_qty + %(quantity)s),
                   filled_qty = filled_qty + %(quantity)s, fees = fees + %(fees)s,
                   realized_pnl = CASE WHEN %(closes)s THEN coalesce(realized_pnl, 0) + %(realized)s
                                       ELSE realized_pnl END,
                   status = CASE WHEN status IN ('FAILED', 'REJECTED', 'CANCELED') THEN 'PARTIALLY_FILLED'
                                 ELSE status END,
                   updated_at = now()
             WHERE leg_id = %(leg)s
            """,
            price="numeric",
            quantity="numeric",
            fees="numeric",
            closes="boolean",
            realized="numeric",
            leg="bigint",
        ),
        {
            "price": fill.price,
            "quantity": fill.quantity,
            "fees": booking.fees,
            "closes": order.purpose is LegPurpose.CLOSE,
            "realized": booking.realized,
            "leg": order.leg_id,
        },
    )
    transaction.execute(
        prepared(
            "UPDATE bot_trades SET slippage = (filled_price - expected_price) * %s WHERE leg_id = %s",
            "integer, bigint",
        ),
        (fill.side.sign, order.leg_id),
    )


def book_external(
    transaction: Transaction,
    bot_id: int,
    *,
    change: Decimal,
    price: Decimal,
    now: datetime,
) -> Booking:
    """Book what left a bot's position without an order of ours, at a stated price (EXTERNAL_CLOSE)."""
    row = _locked_bot(transaction, bot_id)
    instrument = instrument_of_lane(transaction, row["lane_id"])
    booking = position_from(row).adjust_quantity(change, price=price, at=now, instrument=instrument)
    _book_correction(transaction, row, booking, "EXTERNAL_CLOSE", change, price, None, now, instrument)
    return booking


def book_fee_correction(
    transaction: Transaction,
    bot_id: int,
    *,
    change: Decimal,
    activity_id: str | None,
    now: datetime,
) -> Booking:
    """Book the difference between a base-asset fee as estimated and as the broker took it."""
    row = _locked_bot(transaction, bot_id)
    instrument = instrument_of_lane(transaction, row["lane_id"])
    booking = position_from(row).adjust_quantity(change, at=now, instrument=instrument)
    _book_correction(
        transaction,
        row,
        booking,
        "FEE_CORRECTION",
        change,
        row["average_price"],
        activity_id,
        now,
        instrument,
    )
    return booking


def _book_correction(
    transaction: Transaction,
    row: Row,
    booking: Booking,
    kind: str,
    change: Decimal,
    price: Decimal,
    activity_id: str | None,
    now: datetime,
    instrument: Instrument,
) -> None:
    fill_id = transaction.value(
        """
        INSERT INTO fills (user_id, bot_config_id, kind, side, quantity, price, realized_pnl, position_after,
                           average_price_after, source, activity_id, filled_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'reconcile', %s, %s) RETURNING id
        """,
        (
            row["user_id"],
            row["id"],
            kind,
            Side.BUY if change > 0 else Side.SELL,
            abs(change),
            price,
            booking.realized,
            booking.position.quantity,
            booking.position.average_price,
            activity_id,
            now,
        ),
    )
    _move_position(transaction, row, booking, int(fill_id), instrument, now)
