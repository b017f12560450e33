"""Figures of reversal signals as pure functions: a frame of rows in, a plotly figure out."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from ui.charts import GAIN, LINE, LOSS, MARGIN, MUTED

DASHES = ("dot", "dash", "dashdot", "longdash")
OF_OTHERS = (MUTED, "#b26a00", "#8a5cd1", "#0b9e78")
COUNTED_FROM = 100


def expectancy(frame: pd.DataFrame) -> go.Figure:
    """Draw what a trade earned on average in R, with the range it is likely to lie in, one row for each way.

    `frame` has `name`, `mean`, `low`, `high` and `trades`; the first row is drawn on top.
    """
    shown = frame.iloc[::-1]
    mean, low, high = (_floats(shown[name]) for name in ("mean", "low", "high"))
    colours = [_colour(one, other) for one, other in zip(low, high, strict=True)]
    figure = go.Figure(
        go.Scatter(
            x=mean,
            y=list(shown["name"]),
            mode="markers",
            marker={"size": 11, "color": colours},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [top - middle for top, middle in zip(high, mean, strict=True)],
                "arrayminus": [middle - bottom for middle, bottom in zip(mean, low, strict=True)],
                "color": MUTED,
                "thickness": 2,
                "width": 5,
            },
            customdata=list(zip(low, high, shown["trades"], strict=True)),
            hovertemplate=(
                "%{y}<br>%{x:+.3f} R a trade<br>likely %{customdata[0]:+.3f} to %{customdata[1]:+.3f} R"
                "<br>%{customdata[2]:,} trades<extra></extra>"
            ),
        )
    )
    figure.add_vline(x=0, line={"color": MUTED, "width": 1.5})
    figure.update_xaxes(
        title_text="R earned by a trade on average", tickformat=".2~f", nticks=6, zeroline=False
    )
    figure.update_yaxes(type="category", automargin=True)
    return _plain(figure, height=90 + 34 * len(frame))


def reliability(frame: pd.DataFrame) -> go.Figure:
    """Draw how often the target was reached for each confidence that was said; on the line both are the same.

    `frame` has `said`, `happened` (shares between 0 and 1) and `trades`, in the order of `said`.
    """
    said, happened = ([100 * value for value in _floats(frame[name])] for name in ("said", "happened"))
    counts = [int(count) for count in frame["trades"]]
    most = min(10 * (int(max((*said, *happened), default=90)) // 10 + 2), 100)
    figure = go.Figure(
        go.Scatter(
            x=[0, most], y=[0, most], mode="lines", name="as said", hoverinfo="skip",
            line={"color": MUTED, "dash": "dot", "width": 1.5},
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=said,
            y=happened,
            mode="lines+markers",
            name="as it came",
            line={"color": LINE, "width": 2},
            marker={"size": _sizes(counts), "color": LINE},
            customdata=counts,
            hovertemplate="said %{x:.0f} %<br>came true %{y:.0f} %<br>%{customdata:,} bars<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="Confidence that was said, %", range=(0, most))
    figure.update_yaxes(title_text="Came true, %", range=(0, most))
    return _plain(figure, height=320, legend=True)


def equity_in_r(frame: pd.DataFrame) -> go.Figure:
    """Draw how the sum of all trades grew in R, a line for each way; `frame` has `name`, `at` and `total`.

    The first name is drawn full, the others dashed.
    """
    figure = go.Figure()
    for number, name in enumerate(dict.fromkeys(frame["name"])):
        part = frame[frame["name"] == name]
        look: dict[str, Any] = (
            {"color": LINE, "width": 2.5}
            if number == 0
            else {
                "color": OF_OTHERS[number % len(OF_OTHERS)],
                "width": 1.5,
                "dash": DASHES[number % len(DASHES)],
            }
        )
        figure.add_trace(
            go.Scatter(
                x=list(part["at"]),
                y=_floats(part["total"]),
                name=str(name),
                mode="lines",
                line={**look, "shape": "hv"},
                hovertemplate=f"{name}<br>%{{x|%d %b %Y}}<br>%{{y:+.1f}} R",
            )
        )
    figure.add_hline(y=0, line={"color": MUTED, "width": 1})
    figure.update_yaxes(title_text="Sum of all trades, R", tickformat="+~f", nticks=6)
    return _plain(figure, height=320, legend=True)


def per_day(frame: pd.DataFrame, names: dict[str, str]) -> go.Figure:
    """Draw counts of days as lines; `frame` has `day` and the columns of `names`, which says what each is called."""
    figure = go.Figure()
    for number, (column, name) in enumerate(names.items()):
        figure.add_trace(
            go.Scatter(
                x=list(frame["day"]),
                y=[None if pd.isna(value) else float(value) for value in frame[column]],
                name=name,
                mode="lines+markers" if len(frame) < COUNTED_FROM else "lines",
                line={
                    "color": (LINE, GAIN, LOSS, MUTED)[number % 4],
                    "width": 2,
                    "dash": ("solid", *DASHES)[number % 5],
                },
                hovertemplate=f"{name}<br>%{{x|%d %b %Y}}<br>%{{y:,.6~g}}<extra></extra>",
            )
        )
    figure.update_yaxes(rangemode="tozero", tickformat=",~f", nticks=5)
    return _plain(figure, height=230, legend=True)


def _colour(low: float, high: float) -> str:
    """Return the colour of a range: green wholly above nothing, red wholly below, grey where both can be."""
    return GAIN if low > 0 else LOSS if high < 0 else MUTED


def _sizes(counts: Sequence[int]) -> list[float]:
    most = max(counts, default=1) or 1
    return [6 + 10 * (count / most) ** 0.5 for count in counts]


def _floats(column: "pd.Series[Any]") -> list[float]:
    return [float(value) for value in column]


def _plain(figure: go.Figure, *, height: int, legend: bool = False) -> go.Figure:
    figure.update_layout(height=height, margin=MARGIN, showlegend=legend, hoverlabel={"namelength": 0})
    if legend:
        figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return figure
