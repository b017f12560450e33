from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.instrument import AssetClass
from core.order import Fill, Side
from core.performance import (
    BookedFill,
    DayPerformance,
    Trade,
    day_performance,
    exposure_by_day,
    max_drawdown,
    profit_factor,
    round_trips,
    win_rate,
)
from core.position import Position
from core.trading_day import DayFigures, day_end, day_start, trading_day

STOCK, CRYPTO = AssetClass.STOCK, AssetClass.CRYPTO
DAY = date(2025, 1, 2)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(first: str, last: str) -> st.SearchStrategy[datetime]:
    return st.timedeltas(timedelta(0), at(last) - at(first)).map(lambda span: at(first) + span)


@pytest.mark.parametrize(
    ("now", "asset_class", "day"),
    [
        ("2025-01-02T04:59", STOCK, "2025-01-01"),
        ("2025-01-02T05:00", STOCK, "2025-01-02"),
        ("2025-07-02T03:59", STOCK, "2025-07-01"),
        ("2025-07-02T04:00", STOCK, "2025-07-02"),
        ("2025-01-02T00:00", CRYPTO, "2025-01-02"),
        ("2025-01-01T23:59", CRYPTO, "2025-01-01"),
    ],
)
def test_the_day_of_stocks_is_new_yorks(now: str, asset_class: AssetClass, day: str) -> None:
    assert trading_day(at(now), asset_class) == date.fromisoformat(day)


def test_a_time_without_a_zone_has_no_day() -> None:
    with pytest.raises(ValueError, match="zone"):
        trading_day(datetime(2025, 1, 2), STOCK)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("day", "asset_class", "hours"),
    [
        ("2025-03-09", STOCK, 23),
        ("2025-11-02", STOCK, 25),
        ("2025-06-01", STOCK, 24),
        ("2025-03-09", CRYPTO, 24),
    ],
)
def test_days_are_as_long_as_they_are(day: str, asset_class: AssetClass, hours: int) -> None:
    that = date.fromisoformat(day)
    assert day_end(that, asset_class) - day_start(that, asset_class) == timedelta(hours=hours)


@given(
    moments("1990-01-01", "2060-01-01"),
    st.sampled_from(AssetClass),
)
def test_every_moment_lies_in_its_day(now: datetime, asset_class: AssetClass) -> None:
    day = trading_day(now, asset_class)
    assert day_start(day, asset_class) <= now < day_end(day, asset_class)


@pytest.mark.parametrize(
    ("realized", "unrealized", "start", "profit", "loss"),
    [
        ("-100", "0", "0", "-100", "100"),
        ("50", "-20", "10", "20", "0"),
        ("0", "300", "400", "-100", "100"),
        ("0", "-300", "-400", "100", "0"),
    ],
)
def test_todays_loss(realized: str, unrealized: str, start: str, profit: str, loss: str) -> None:
    day = DayFigures(
        realized=Decimal(realized), unrealized=Decimal(unrealized), start_unrealized=Decimal(start)
    )
    assert (day.profit, day.loss) == (Decimal(profit), Decimal(loss))


def booked(*fills: tuple[str, str, str, str, str]) -> list[BookedFill]:
    """Book (time, side, quantity, price, fee) in their order."""
    position = Position()
    done = []
    for when, side, quantity, price, fee in fills:
        fill = Fill(
            side=Side(side), quantity=Decimal(quantity), price=Decimal(price), fee=Decimal(fee), at=at(when)
        )
        booking = position.apply(fill)
        position = booking.position
        done.append(
            BookedFill(
                at=fill.at,
                realized=booking.realized,
                fees=booking.fees,
                opened=booking.opened,
                closed=booking.closed,
            )
        )
    return done


FILLS = booked(
    ("2025-01-01T22:00", "BUY", "10", "100", "1"),  # held over midnight
    ("2025-01-02T01:00", "SELL", "4", "110", "1"),
    ("2025-01-02T02:00", "SELL", "6", "105", "1"),  # won 40 + 30 - 3 = 67
    ("2025-01-02T10:00", "SELL", "5", "100", "0"),
    ("2025-01-02T10:30", "BUY", "5", "108", "2"),  # lost 42
    ("2025-01-02T12:00", "BUY", "2", "50", "0"),
    ("2025-01-02T12:10", "SELL", "2", "50", "0"),  # neither won nor lost
    ("2025-01-02T13:00", "BUY", "1", "100", "0"),
    ("2025-01-02T14:00", "SELL", "3", "90", "0"),  # lost 10, and a short of 2 begins
    ("2025-01-03T01:00", "BUY", "2", "80", "0"),  # won 20 on the day after
)
NOW = at("2025-01-03T06:00")


def test_a_day_worked_out_by_hand() -> None:
    performance = day_performance(FILLS, day=DAY, asset_class=CRYPTO, now=NOW)
    assert performance == DayPerformance(
        day=DAY,
        trades=4,
        wins=1,
        losses=2,
        pnl=Decimal(15),
        fees=Decimal(4),
        max_drawdown=Decimal(52),
        largest_win=Decimal(67),
        largest_loss=Decimal(-42),
        exposure_seconds=2 * 3600 + 30 * 60 + 10 * 60 + 11 * 3600,
    )


def test_the_days_around_it() -> None:
    before = day_performance(FILLS, day=date(2025, 1, 1), asset_class=CRYPTO, now=NOW)
    assert before == DayPerformance(day=date(2025, 1, 1), fees=Decimal(1), exposure_seconds=7200)
    after = day_performance(FILLS, day=date(2025, 1, 3), asset_class=CRYPTO, now=NOW)
    assert (after.trades, after.wins, after.pnl, after.exposure_seconds) == (1, 1, Decimal(20), 3600)


def test_stocks_count_by_new_yorks_day() -> None:
    """The fills of 01:00 and 02:00 UTC belong to the evening before."""
    performance = day_performance(FILLS, day=date(2025, 1, 1), asset_class=STOCK, now=NOW)
    assert (performance.trades, performance.pnl) == (1, Decimal(67))


def test_an_open_position_is_exposed_until_now() -> None:
    fills = booked(("2025-01-02T22:00", "BUY", "1", "100", "0"))
    now = at("2025-01-02T22:20")
    performance = day_performance(fills, day=DAY, asset_class=CRYPTO, now=now)
    assert (performance.exposure_seconds, performance.trades) == (1200, 0)
    assert list(round_trips(fills)) == [Trade(opened_at=fills[0].at, closed_at=None, realized=Decimal(0))]


def test_the_largest_of_several() -> None:
    won_twice_and_lost_twice = booked(
        *[
            fill
            for hour, exit_price in enumerate(("103", "107", "91", "96"))
            for fill in (
                (f"2025-01-02T0{hour}:00", "BUY", "1", "100", "0"),
                (f"2025-01-02T0{hour}:30", "SELL", "1", exit_price, "0"),
            )
        ]
    )
    performance = day_performance(won_twice_and_lost_twice, day=DAY, asset_class=CRYPTO, now=NOW)
    assert (performance.wins, performance.losses) == (2, 2)
    assert (performance.largest_win, performance.largest_loss) == (Decimal(7), Decimal(-9))


def test_no_fills_make_an_empty_day() -> None:
    assert day_performance([], day=DAY, asset_class=STOCK, now=NOW) == DayPerformance(day=DAY)


def test_what_is_booked_while_flat_belongs_to_no_trade() -> None:
    stray = BookedFill(
        at=at("2025-01-02T09:00"), realized=Decimal(-5), fees=Decimal(0), opened=False, closed=False
    )
    performance = day_performance([stray, *FILLS[3:5]], day=DAY, asset_class=CRYPTO, now=NOW)
    assert (performance.trades, performance.largest_loss, performance.pnl) == (1, Decimal(-42), Decimal(-47))


@pytest.mark.parametrize(
    ("changes", "deepest"),
    [
        ([], "0"),
        (["5", "5"], "0"),
        (["-3"], "3"),
        (["10", "-4", "2", "-7", "20", "-8"], "9"),
        (["-1", "-2", "9"], "3"),
    ],
)
def test_max_drawdown(changes: list[str], deepest: str) -> None:
    assert max_drawdown(Decimal(change) for change in changes) == Decimal(deepest)


@given(st.lists(st.decimals("-1000", "1000", places=2), max_size=30))
def test_max_drawdown_is_the_worst_stretch(changes: list[Decimal]) -> None:
    stretches = (sum(changes[a:b]) for a in range(len(changes) + 1) for b in range(a, len(changes) + 1))
    assert max_drawdown(changes) == -min(stretches, default=0)


def test_profit_factor_and_win_rate() -> None:
    profits = [Decimal(30), Decimal(-10), Decimal(0), Decimal(-5)]
    assert profit_factor(profits) == 2
    assert profit_factor([Decimal(30), Decimal(0)]) is None
    assert profit_factor([]) is None
    assert win_rate(3, 1) == 75
    assert win_rate(0, 0) is None


@given(
    moments("2024-01-01", "2025-12-31"),
    st.timedeltas(timedelta(0), timedelta(days=9)),
    st.sampled_from(AssetClass),
)
def test_exposure_adds_up_over_the_days(opened: datetime, span: timedelta, asset_class: AssetClass) -> None:
    days = exposure_by_day(opened, opened + span, asset_class)
    assert sum(days.values()) == span // timedelta(seconds=1)
    for day, seconds in days.items():
        whole = (day_end(day, asset_class) - day_start(day, asset_class)).total_seconds()
        assert 0 <= seconds <= whole


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Side),
            st.integers(1, 9),
            st.integers(1, 200),
            st.integers(0, 5),
            st.integers(0, 3000),
        ),
        max_size=25,
    )
)
def test_the_days_add_up_to_the_whole(some: list[tuple[Side, int, int, int, int]]) -> None:
    """Over all days: money as the position says, and each round trip counted once, by its own oracle."""
    moment = at("2025-01-02T00:00")
    fills, position, held, round_trips_ended = [], Position(), 0, 0
    for side, quantity, price, fee, minutes in some:
        moment += timedelta(minutes=minutes)
        before, held = held, held + side.sign * quantity
        round_trips_ended += before != 0 and (held == 0 or (held > 0) != (before > 0))
        booking = position.apply(
            Fill(side=side, quantity=Decimal(quantity), price=Decimal(price), fee=Decimal(fee), at=moment)
        )
        position = booking.position
        fills.append(
            BookedFill(
                at=moment,
                realized=booking.realized,
                fees=booking.fees,
                opened=booking.opened,
                closed=booking.closed,
            )
        )
    days = {trading_day(fill.at, CRYPTO) for fill in fills}
    performances = [day_performance(fills, day=day, asset_class=CRYPTO, now=moment) for day in days]
    assert sum(one.trades for one in performances) == round_trips_ended
    assert abs(sum((one.pnl for one in performances), Decimal(0)) - position.realized) < Decimal("1e-15")
    assert sum(one.fees for one in performances) == sum(fee for *_, fee, _ in some)
    assert all(one.wins + one.losses <= one.trades for one in performances)
