"""The figures hold the frames' values, nothing more and nothing less."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd
import plotly.graph_objects as go
import pytest

from ui import charts

SATURDAY = date(2026, 11, 21)
START = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


def frame(columns: str, *rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


def traces(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data}


def test_a_curve_holds_the_sums_and_the_falls_below_their_peak() -> None:
    rows = [
        (START, Decimal("10.5"), Decimal(0)),
        (START + timedelta(hours=1), Decimal("-2.25"), Decimal("-12.75")),
    ]
    drawn = traces(charts.curve(frame("at total drawdown", *rows), "P&L"))
    assert list(drawn["P&L"].x) == [START, START + timedelta(hours=1)]
    assert list(drawn["P&L"].y) == [10.5, -2.25]
    assert list(drawn["Drawdown"].y) == [0.0, -12.75]
    assert drawn["P&L"].yaxis != drawn["Drawdown"].yaxis


def test_a_curve_of_one_point_can_be_seen() -> None:
    drawn = traces(charts.curve(frame("at total drawdown", (START, Decimal(1), Decimal(0))), "Equity"))
    assert "markers" in drawn["Equity"].mode


def test_a_curve_of_one_moment_has_an_axis_of_hours() -> None:
    figure = charts.curve(frame("at total drawdown", *[(START, Decimal(1), Decimal(0))] * 2), "P&L")
    hour = timedelta(hours=1)
    assert list(figure.layout.xaxis.range) == list(figure.layout.xaxis2.range) == [START - hour, START + hour]


def test_the_calendar_puts_each_day_into_its_week_and_row() -> None:
    days = frame("day pnl", (date(2026, 11, 20), Decimal("12.5")), (SATURDAY, Decimal("-3")))
    empty, traded = charts.calendar(days, SATURDAY).data
    assert list(traded.x)[-1] == "2026-11-16"
    assert list(traded.y) == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    known = {
        (week, day): value
        for day, row in zip(traded.y, traded.z, strict=True)
        for week, value in zip(traded.x, row, strict=True)
        if value is not None
    }
    assert known == {("2026-11-16", "Fri"): 12.5, ("2026-11-16", "Sat"): -3.0}
    assert traded.text[4][-1] == "+"
    assert traded.text[5][-1] == "−"
    assert (traded.zmin, traded.zmax) == (-12.5, 12.5)
    assert len(traded.x) == charts.FEWEST_WEEKS
    # Days to come are neither traded nor idle.
    assert empty.z[6][-1] is None
    assert empty.z[0][-1] == 0


def test_days_before_the_calendar_begins_are_left_out() -> None:
    old = frame("day pnl", (date(2020, 1, 1), Decimal(5)))
    _, traded = charts.calendar(old, SATURDAY).data
    assert len(traded.x) == charts.WEEKS
    assert all(value is None for row in traded.z for value in row)


def test_a_breakdown_is_ordered_with_the_best_on_top_and_marks_losses() -> None:
    rows = frame("bot total_pnl", ("A", Decimal("-5")), ("B", Decimal("7.25")), ("C", Decimal("0")))
    (bar,) = charts.breakdown(rows, "bot").data
    assert list(bar.y) == ["A", "C", "B"]
    assert list(bar.x) == [-5.0, 0.0, 7.25]
    assert list(bar.text) == ["▼ −5.00", "0.00", "▲ +7.25"]
    assert list(bar.marker.pattern.shape) == ["/", "", ""]


def test_of_many_rows_those_furthest_from_zero_are_drawn() -> None:
    rows = frame("symbol total_pnl", *((f"S{number}", Decimal(number - 50)) for number in range(100)))
    (bar,) = charts.breakdown(rows, "symbol", most=4).data
    assert list(bar.x) == [-50.0, -49.0, -48.0, 49.0]


def test_a_distribution_draws_each_range_where_it_lies() -> None:
    rows = frame("low high trades", (Decimal(-10), Decimal(-5), 3), (Decimal(0), Decimal(5), 4))
    (bar,) = charts.distribution(rows).data
    assert list(bar.x) == [-7.5, 2.5]
    assert list(bar.y) == [3, 4]
    assert list(bar.marker.pattern.shape) == ["/", ""]
    assert [list(edges) for edges in bar.customdata] == [[-10.0, -5.0], [0.0, 5.0]]


FILLS = "at side opens quantity price realized_pnl"
BUY = (START, "BUY", True, Decimal("2"), Decimal("10.5"), Decimal("-0.1"))
SELL = (START + timedelta(minutes=5), "SELL", False, Decimal("2"), Decimal("11"), Decimal("0.9"))
SHORT = (START + timedelta(minutes=6), "SELL", True, Decimal("2"), Decimal("11"), Decimal("-0.1"))


def test_every_fill_is_marked_once_by_its_side_and_purpose() -> None:
    figure = charts.entries_and_exits(frame(FILLS, BUY, SELL, SHORT), frame("at price"))
    marked = {name: (list(trace.x), list(trace.y)) for name, trace in traces(figure).items()}
    assert marked == {
        "Buy to open": ([START], [10.5]),
        "Sell to close": ([START + timedelta(minutes=5)], [11.0]),
        "Sell to open": ([START + timedelta(minutes=6)], [11.0]),
    }
    assert "P&L +0.90" in traces(figure)["Sell to close"].customdata[0]
    assert "P&L" not in traces(figure)["Buy to open"].customdata[0]


def test_the_price_is_a_line_only_where_it_is_known_and_breaks_where_it_is_not() -> None:
    prices = frame(
        "at price", (START, Decimal("10")), (START + timedelta(minutes=1), None), (START, Decimal("11"))
    )
    line = traces(charts.entries_and_exits(frame(FILLS, BUY), prices))["Price"]
    assert line.y[0] == 10.0
    assert line.y[1] is None
    assert line.connectgaps is False
    assert "Price" not in traces(charts.entries_and_exits(frame(FILLS, BUY), frame("at price")))


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows_are_no_fault(count: int) -> None:
    charts.calendar(frame("day pnl"), SATURDAY)
    charts.breakdown(frame("bot total_pnl", *[("A", Decimal(0))] * count), "bot")
    charts.distribution(frame("low high trades", *[(Decimal(0), Decimal(1), 1)] * count))
    charts.curve(frame("at total drawdown", *[(START, Decimal(0), Decimal(0))] * count), "P&L")


def test_balance_and_equity_are_drawn_where_they_were_told_at_the_users_time() -> None:
    rows = [(START, Decimal(100), None), (START + timedelta(hours=1), Decimal("101.5"), Decimal(103))]
    drawn = traces(charts.balance_and_equity(frame("at balance equity", *rows), "Europe/Vienna"))
    assert list(drawn["Balance"].y) == [100.0, 101.5]
    assert list(drawn["Equity"].y) == [None, 103.0]
    assert [at.hour for at in drawn["Equity"].x] == [15, 16]
    assert drawn["Balance"].line.dash != drawn["Equity"].line.dash


def test_a_figure_that_was_never_told_is_not_drawn() -> None:
    drawn = traces(charts.balance_and_equity(frame("at balance equity", (START, Decimal(1), None)), "UTC"))
    assert list(drawn) == ["Balance"]
