"""Figures as pure functions: a frame of rows in, a plotly figure out. Gain and loss differ in more than colour."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ui.formatting import gain

# A green with blue in it and a red with yellow in it: told apart by those who do not see red and green alike.
GAIN, LOSS, LINE, MUTED = "#0b9e78", "#d5492b", "#4b78e3", "#8a97a6"
# From loss to gain; zero shows the page through.
DIVERGING = ((0.0, LOSS), (0.5, "rgba(138, 151, 166, 0.18)"), (1.0, GAIN))
NO_TRADES = "rgba(138, 151, 166, 0.12)"
MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEK = timedelta(days=7)
NARROWEST = timedelta(hours=2)
WEEKS, FEWEST_WEEKS = 26, 13
FEW = 8
MONEY, TICKS = ",.2f", ",~f"


def curve(frame: pd.DataFrame, name: str) -> go.Figure:
    """Draw a sum of money over time with its fall from its highest point below it.

    `frame` has `at`, `total` and `drawdown` (zero or less), oldest first.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06)
    at = list(frame["at"])
    hover = f"%{{x|%d %b %Y %H:%M}}<br>%{{y:{MONEY}}}"
    figure.add_trace(
        go.Scatter(
            x=at,
            y=_floats(frame["total"]),
            name=name,
            mode=_mode(frame),
            line={"color": LINE, "width": 2, "shape": "hv"},
            hovertemplate=hover,
        ),
        row=1,
        col=1,
    )
    figure.add_trace(
        go.Scatter(
            x=at,
            y=_floats(frame["drawdown"]),
            name="Drawdown",
            mode=_mode(frame),
            fill="tozeroy",
            line={"color": LOSS, "width": 1, "shape": "hv"},
            hovertemplate=hover,
        ),
        row=2,
        col=1,
    )
    figure.update_xaxes(range=_hours_wide(at) if at else None)
    figure.update_yaxes(title_text=name, tickformat=TICKS, row=1, col=1)
    figure.update_yaxes(title_text="Drawdown", tickformat=TICKS, row=2, col=1, nticks=4)
    return _plain(figure, height=380)


def equity(frame: pd.DataFrame) -> go.Figure:
    """Draw what an account was worth over time, without its drawdown; `frame` has `at` and `total`, oldest first."""
    worth = _floats(frame["total"])
    figure = go.Figure(
        go.Scatter(
            x=list(frame["at"]),
            y=worth,
            name="Equity",
            mode=_mode(frame),
            line={"color": LINE, "width": 2},
            fill="tozeroy",
            fillcolor="rgba(75, 120, 227, 0.12)",
            hovertemplate=f"%{{x|%d %b %Y %H:%M}}<br>%{{y:{MONEY}}}",
        )
    )
    low, high = min(worth), max(worth)
    room = max((high - low) * 0.15, abs(high) * 0.0005, 0.01)
    figure.update_yaxes(tickformat=TICKS, nticks=5, range=(low - room, high + room))
    return _plain(figure, height=240)


def balance_and_equity(frame: pd.DataFrame, zone: str) -> go.Figure:
    """Draw cash and worth of an account over time; `frame` has `at`, `balance` and `equity`, oldest first.

    Where one of them was not told there is no point of it; a line that was never told is not drawn.
    """
    at = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in frame["at"]]
    figure = go.Figure()
    for name, colour, dash in (("balance", MUTED, "dot"), ("equity", LINE, "solid")):
        values = [None if pd.isna(value) else float(value) for value in frame[name]]
        if any(value is not None for value in values):
            figure.add_trace(
                go.Scatter(
                    x=at,
                    y=values,
                    name=name.capitalize(),
                    mode=_mode(frame),
                    connectgaps=True,
                    line={"color": colour, "width": 2, "dash": dash, "shape": "hv"},
                    hovertemplate=f"{name.capitalize()}<br>%{{x|%d %b %Y %H:%M}}<br>%{{y:{MONEY}}}",
                )
            )
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(range=_hours_wide(at))
    figure.update_yaxes(tickformat=TICKS, nticks=6)
    return _plain(figure, height=300, legend=True)


def calendar(frame: pd.DataFrame, today: date) -> go.Figure:
    """Draw each day's P&L as a cell, a column for each week; `frame` has `day` and `pnl`.

    The last 26 weeks are drawn, or fewer where the first day is nearer. The sign stands in the cell, so that
    nobody needs the colours.
    """
    pnl: dict[Hashable, Decimal] = dict(zip(frame["day"], frame["pnl"], strict=True))
    weeks = _weeks(today, min(frame["day"], default=today))
    days = [[week + timedelta(days=weekday) for week in weeks] for weekday in range(7)]
    values = [[float(pnl[day]) if day in pnl else None for day in row] for row in days]
    largest = max((abs(value) for row in values for value in row if value is not None), default=1.0) or 1.0
    names = [week.isoformat() for week in weeks]
    figure = go.Figure(
        _days_without(names, [[day <= today and day not in pnl for day in row] for row in days])
    )
    figure.add_trace(
        go.Heatmap(
            x=names,
            y=WEEKDAYS,
            z=values,
            text=[[_sign(pnl.get(day)) for day in row] for row in days],
            texttemplate="%{text}",
            customdata=[[day.strftime("%a %d %b %Y") for day in row] for row in days],
            hovertemplate=f"%{{customdata}}<br>%{{z:+{MONEY}}}<extra></extra>",
            hoverongaps=False,
            colorscale=DIVERGING,
            zmin=-largest,
            zmax=largest,
            xgap=3,
            ygap=3,
            showscale=False,
        )
    )
    firsts = [week for week, before in zip(weeks[1:], weeks, strict=False) if week.month != before.month]
    figure.update_xaxes(
        type="category",
        tickmode="array",
        tickvals=[week.isoformat() for week in firsts],
        ticktext=[week.strftime("%b") for week in firsts],
        showgrid=False,
        tickangle=0,
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return _plain(figure, height=250)


def breakdown(frame: pd.DataFrame, label: str, most: int = 12) -> go.Figure:
    """Draw the P&L of each row as a bar, the best on top; `frame` has the column `label` and `total_pnl`.

    Of more than `most` rows, the ones furthest from zero are drawn.
    """
    furthest = frame.reindex(frame["total_pnl"].abs().sort_values(ascending=False).index[:most])
    shown = furthest.sort_values("total_pnl", kind="stable")
    values = _floats(shown["total_pnl"])
    figure = go.Figure(
        go.Bar(
            x=values,
            # Plotly reads tags and links in labels, and a name is its user's words
            y=[escape(str(each), quote=False) for each in shown[label]],
            orientation="h",
            marker=_marker(values),
            text=[gain(value) for value in shown["total_pnl"]],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{y}}<br>%{{x:+{MONEY}}}<extra></extra>",
        )
    )
    figure.update_xaxes(tickformat=TICKS, nticks=6, range=_with_room_for_labels(values))
    figure.update_yaxes(type="category", automargin=True)
    return _plain(figure, height=80 + 30 * max(len(shown), 1))


def distribution(frame: pd.DataFrame) -> go.Figure:
    """Draw how many trades ended in which range of P&L; `frame` has `low`, `high` and `trades`."""
    lows, highs = _floats(frame["low"]), _floats(frame["high"])
    middles = [(low + high) / 2 for low, high in zip(lows, highs, strict=True)]
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=[int(count) for count in frame["trades"]],
            width=[(high - low) * 0.94 for low, high in zip(lows, highs, strict=True)],
            marker=_marker(middles),
            customdata=list(zip(lows, highs, strict=True)),
            hovertemplate="%{customdata[0]:,.2f} to %{customdata[1]:,.2f}<br>%{y} trades<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text="P&L of a trade", tickformat=TICKS)
    whole = {"dtick": 1} if max(frame["trades"], default=0) < FEW else {}
    figure.update_yaxes(title_text="Trades", tickformat=TICKS, rangemode="tozero", **whole)
    return _plain(figure, height=300)


def entries_and_exits(fills: pd.DataFrame, prices: pd.DataFrame) -> go.Figure:
    """Draw a bot's fills, buys up and sells down, entries full and exits hollow, over the price if known.

    `fills` has `at`, `side`, `opens`, `quantity`, `price` and `realized_pnl`; `prices` has `at` and `price`
    and may be empty, then no line is drawn: nothing is made up between two fills.
    """
    figure = go.Figure()
    if not prices.empty:
        figure.add_trace(
            go.Scatter(
                x=list(prices["at"]),
                y=[None if pd.isna(value) else float(value) for value in prices["price"]],
                name="Price",
                mode="lines",
                line={"color": MUTED, "width": 1.5},
                connectgaps=False,
                hovertemplate="%{x|%d %b %H:%M}<br>%{y:,.6~f}",
            )
        )
    for side, opens, name, symbol, colour in MARKS:
        part = fills[(fills["side"] == side) & (fills["opens"] == opens)]
        if not part.empty:
            figure.add_trace(_marks(part, name, symbol, colour, opens=opens))
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_yaxes(title_text="Price", tickformat=TICKS)
    return _plain(figure, height=360, legend=True)


MARKS: Sequence[tuple[str, bool, str, str, str]] = (
    ("BUY", True, "Buy to open", "triangle-up", GAIN),
    ("SELL", True, "Sell to open", "triangle-down", LOSS),
    ("SELL", False, "Sell to close", "triangle-down-open", LINE),
    ("BUY", False, "Buy to close", "triangle-up-open", LINE),
)


def _days_without(weeks: Sequence[str], empty: Sequence[Sequence[bool]]) -> go.Heatmap:
    """Draw the days on which nothing was realized, so that the calendar keeps its shape."""
    return go.Heatmap(
        x=weeks,
        y=WEEKDAYS,
        z=[[0 if is_empty else None for is_empty in row] for row in empty],
        colorscale=((0, NO_TRADES), (1, NO_TRADES)),
        hoverinfo="skip",
        hoverongaps=False,
        xgap=3,
        ygap=3,
        showscale=False,
    )


def _marks(part: pd.DataFrame, name: str, symbol: str, colour: str, *, opens: bool) -> go.Scatter:
    figures = zip(part["quantity"], part["realized_pnl"], strict=True)
    # A fee is paid on an entry too: its P&L would only puzzle there.
    texts = [f"{size:f}" + ("" if opens else f" · P&L {pnl:+,.2f}") for size, pnl in figures]
    return go.Scatter(
        x=list(part["at"]),
        y=_floats(part["price"]),
        name=name,
        mode="markers",
        marker={"symbol": symbol, "size": 12, "color": colour, "line": {"width": 2, "color": colour}},
        customdata=texts,
        hovertemplate="%{x|%d %b %H:%M:%S}<br>%{customdata}<br>at %{y:,.6~f}",
    )


def _weeks(today: date, first: date) -> list[date]:
    """Return the Mondays of the weeks to draw, the oldest first."""
    last = today - timedelta(days=today.weekday())
    count = min(max((last - first) // WEEK + 2, FEWEST_WEEKS), WEEKS)
    return [last - WEEK * back for back in reversed(range(count))]


def _sign(pnl: Decimal | None) -> str:
    if pnl is None:
        return ""
    return "+" if pnl > 0 else "−" if pnl < 0 else "0"


def _marker(values: Sequence[float]) -> Mapping[str, Any]:
    """Paint gains and losses, and hatch the losses."""
    return {
        "color": [GAIN if value >= 0 else LOSS for value in values],
        "pattern": {
            "shape": ["" if value >= 0 else "/" for value in values],
            "fillmode": "overlay",
            "fgcolor": "rgba(255, 255, 255, 0.35)",
            "solidity": 0.2,
        },
    }


def _with_room_for_labels(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    low, high = min(low, 0.0), max(high, 0.0)
    room = ((high - low) or 1.0) * 0.4
    return (low - room if low else 0.0, high + room if high else 0.0)


def _hours_wide(at: Sequence[datetime]) -> tuple[datetime, datetime] | None:
    """Return the ends of an axis of time where the points alone would make it too short to read."""
    first, last = at[0], at[-1]
    room = (NARROWEST - (last - first)) / 2
    return (first - room, last + room) if room > timedelta() else None


def _mode(frame: pd.DataFrame) -> str:
    # A line through a single point cannot be seen.
    return "lines+markers" if len(frame) < 12 else "lines"


def _floats(column: "pd.Series[Any]") -> list[float]:
    return [float(value) for value in column]


def _plain(figure: go.Figure, *, height: int, legend: bool = False) -> go.Figure:
    figure.update_layout(
        height=height, margin=MARGIN, showlegend=legend, hoverlabel={"namelength": 0}, bargap=0.2
    )
    return figure
