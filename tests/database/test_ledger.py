"""The ledger's invariants, with random fills brought by several messengers in any order."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot_database import Database, ledger, orders, trades, work
from core.identity import client_order_id
from core.order import Order, OrderIntent, OrderState, OrderType, Side
from core.performance import BookedFill, day_performance
from core.plan import Leg, LegPurpose
from database.lanes import instrument_of_lane
from tests.database.trading_floor import TradingFloor

D = Decimal
CENT = Fraction(1, 100)


@dataclass(frozen=True)
class Report:
    """What a messenger says of an order: how much has filled for how much money, and the fee."""

    filled: int
    money: Decimal
    fee: Decimal
    after_hours: int


@dataclass(frozen=True)
class Planned:
    """An order of a bot with the reports that come of it, as (report, messenger) in their order."""

    bot: int
    side: Side
    quantity: int
    fee_in_base: bool
    reports: tuple[tuple[Report, str], ...]


@st.composite
def planned_orders(draw: st.DrawFn) -> Planned:
    steps = sorted(set(draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))))
    fee_in_base = draw(st.booleans())
    side = draw(st.sampled_from(Side))
    money, fee, before, reports = D(0), D(0), 0, []
    for filled in steps:
        price = draw(st.decimals(D("0.5"), D("500"), places=2))
        money += (filled - before) * price
        fee += (filled - before) * draw(st.sampled_from([D(0), D("0.0025"), D("0.01")]))
        reports.append(Report(filled=filled, money=money, fee=fee, after_hours=draw(st.integers(0, 30))))
        before = filled
    messengers = ("stream", "poll", "reconcile")
    heard = [
        (draw(st.sampled_from(reports)), draw(st.sampled_from(messengers)))
        for _ in range(draw(st.integers(0, 5)))
    ]
    heard.append((reports[-1], draw(st.sampled_from(messengers))))
    return Planned(
        bot=draw(st.integers(0, 1)),
        side=side,
        quantity=steps[-1],
        fee_in_base=fee_in_base and side is Side.BUY,
        reports=tuple(heard),
    )


@pytest.fixture
def floor(database: Database) -> TradingFloor:
    return TradingFloor(database)


def put_order(floor: TradingFloor, bot_id: int, planned: Planned) -> OrderIntent:
    """Write a plan with one order, as the engine does before it sends."""
    with floor.database.transaction() as transaction:
        row = floor.bot_row(bot_id)
        event_id = transaction.value(
            """
            INSERT INTO bot_risk_events (user_id, connection_id, lane_id, bot_config_id, kind, state)
            VALUES (%s, %s, %s, %s, 'MANUAL_CLOSE', 'PLANNED') RETURNING id
            """,
            (floor.user_id, floor.connection_id, row["lane_id"], bot_id),
        )
        uuid = uuid4()
        work.create_plan(
            transaction,
            lane_id=row["lane_id"],
            bot_id=bot_id,
            event_uuid=uuid,
            signal_id=None,
            risk_event_id=event_id,
            own_exit=False,
            position_before=row["quantity"],
            legs=[Leg(purpose=LegPurpose.OPEN, side=planned.side, quantity=D(planned.quantity))],
            note=None,
        )
        plan = next(
            plan for plan in work.unfinished_plans(transaction, row["lane_id"]) if plan.event_uuid == uuid
        )
        (leg,) = work.legs_of(transaction, plan.id)
        leg = work.start_leg(
            transaction, leg.id, parts=(D(planned.quantity),), expected_price=D(100), now=floor.now
        )
        trades.write_trade(transaction, plan, leg, "SUBMITTED", None)
        intent = OrderIntent(
            client_order_id=client_order_id(uuid, 1, 1, 1),
            symbol=row["symbol"],
            side=planned.side,
            quantity=D(planned.quantity),
        )
        orders.create_order(
            transaction,
            intent=intent,
            leg=leg,
            part=1,
            attempt=1,
            plan=plan,
            connection_id=floor.connection_id,
            reserved=D(0),
            send_by=floor.now,
        )
    return intent


def hear(floor: TradingFloor, intent: OrderIntent, planned: Planned, report: Report, messenger: str) -> None:
    state = OrderState.FILLED if report.filled == planned.quantity else OrderState.PARTIALLY_FILLED
    at = floor.now + timedelta(hours=report.after_hours)
    known = Order(
        broker_order_id=intent.client_order_id[:8],
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        order_type=OrderType.MARKET,
        state=state,
        filled_quantity=D(report.filled),
        average_price=report.money / report.filled,
        fee=report.fee,
        fee_asset="BTC" if planned.fee_in_base else "USD",
        submitted_at=floor.now,
        updated_at=at,
    )
    with floor.database.transaction() as transaction:
        ledger.book_order(transaction, known, source=messenger, now=at)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(planned_orders(), min_size=1, max_size=6))
def test_the_books_equal_the_cash_whoever_brings_the_fills(floor: TradingFloor, plan: list[Planned]) -> None:
    number = floor.one("SELECT count(*) AS bots FROM user_bot_configs")["bots"]
    bots = [floor.bot("BTC/USD", timeframe=f"{number + index} Min") for index in range(2)]
    quantity, cash = [Fraction(0), Fraction(0)], [Fraction(0), Fraction(0)]
    for planned in plan:
        floor.now += timedelta(days=2)
        intent = put_order(floor, bots[planned.bot], planned)
        for report, messenger in planned.reports:
            hear(floor, intent, planned, report, messenger)
        last = planned.reports[-1][0]
        sign = planned.side.sign
        cash[planned.bot] -= sign * Fraction(last.money)
        quantity[planned.bot] += sign * planned.quantity
        if planned.fee_in_base:
            quantity[planned.bot] -= Fraction(last.fee)
        else:
            cash[planned.bot] -= Fraction(last.fee)
    price = Fraction(123)
    for index, bot_id in enumerate(bots):
        position = ledger.position_from(floor.bot_row(bot_id))
        assert Fraction(position.quantity) == quantity[index]
        worth = Fraction(position.realized) + Fraction(position.unrealized(D(123)))
        assert abs(worth - (cash[index] + quantity[index] * price)) < CENT
    check_fills(floor, bots)
    check_days(floor, bots)


def check_fills(floor: TradingFloor, bots: list[int]) -> None:
    """Fills add up to their orders, trades and bots."""
    for bot_id in bots:
        sums = floor.one(
            """
            SELECT coalesce(sum(fills.quantity), 0) AS booked, coalesce(sum(realized_pnl), 0) AS realized
              FROM fills WHERE bot_config_id = %s
            """,
            (bot_id,),
        )
        known = floor.one(
            """
            SELECT (SELECT coalesce(sum(filled_quantity), 0) FROM orders WHERE bot_config_id = bots.id) AS filled,
                   (SELECT coalesce(sum(filled_qty), 0) FROM bot_trades WHERE bot_config_id = bots.id) AS traded,
                   (SELECT coalesce(sum(pnl), 0) FROM bot_performance WHERE bot_config_id = bots.id) AS days, total_pnl
              FROM user_bot_configs AS bots WHERE id = %s
            """,
            (bot_id,),
        )
        assert sums["booked"] == known["filled"] == known["traded"]
        assert abs(sums["realized"] - known["total_pnl"]) < D("0.000001")
        assert abs(sums["realized"] - known["days"]) < D("0.000001")


def check_days(floor: TradingFloor, bots: list[int]) -> None:
    """The daily rows, kept fill by fill, equal what the whole history gives at once."""
    for bot_id in bots:
        fills = booked_fills(floor, bot_id)
        with floor.database.transaction() as transaction:
            asset_class = instrument_of_lane(transaction, floor.bot_row(bot_id)["lane_id"]).asset_class
        for row in floor.all("SELECT * FROM bot_performance WHERE bot_config_id = %s", (bot_id,)):
            closed = max((fill.at for fill in fills if fill.closed), default=datetime(2026, 1, 1, tzinfo=UTC))
            whole = day_performance(fills, day=row["day"], asset_class=asset_class, now=closed)
            assert (row["trades"], row["wins"], row["losses"]) == (whole.trades, whole.wins, whole.losses)
            assert abs(row["pnl"] - whole.pnl) < D("0.000001")
            assert abs(row["max_drawdown"] - whole.max_drawdown) < D("0.000001")
            assert abs(row["largest_win"] - whole.largest_win) < D("0.000001")
            assert abs(row["largest_loss"] - whole.largest_loss) < D("0.000001")


def booked_fills(floor: TradingFloor, bot_id: int) -> list[BookedFill]:
    rows = floor.all("SELECT * FROM fills WHERE bot_config_id = %s ORDER BY id", (bot_id,))
    before, fills = D(0), []
    for row in rows:
        after = row["position_after"]
        fills.append(
            BookedFill(
                at=row["filled_at"],
                realized=row["realized_pnl"],
                fees=row["fee"],
                opened=after != 0 and after * before <= 0,
                closed=before != 0 and after * before <= 0,
            )
        )
        before = after
    return fills
