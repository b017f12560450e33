"""The figures of a model's record as text and frames, for people who trade and know no statistics. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from ui.formatting import MINUS, NOTHING

MODEL = "model"
# What each way is called, and what it does, in the order in which they are shown.
WAYS = {
    MODEL: ("The model", "opens the trades that this page is about."),
    "never_trade": ("Never trade", "earns and loses nothing: what every way has to beat."),
    "random_entries": (
        "Random entries",
        "opens as many trades at random times, long or short by a coin, with the same stops, targets and costs. The"
        " range is where 95 of 100 such tries ended.",
    ),
    "same_sides_at_random_times": (
        "Same sides, random times",
        "opens as many longs and as many shorts as the model, at random times: what the market gave anyway.",
    ),
    "rsi_rule": ("Plain RSI rule", "buys when RSI says oversold and sells when it says overbought."),
    "rules": ("Plain RSI rule", "buys when RSI says oversold and sells when it says overbought."),
    "stage_1_alone": (
        "Stage 1 alone",
        "trades wherever the model's first question alone says that a reversal begins.",
    ),
}
KINDS = {
    "walk-forward": (
        "It was trained again and again, each time only on what was past then, and judged on what came next"
    ),
    "held out": "It was judged on bars that were kept from it",
}


def reports_of(metrics: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return the report of each pair and timeframe by its name, those with an edge first."""
    found = (metrics or {}).get("record", metrics) or {}
    reports = {
        name: each for name, each in found.items() if isinstance(each, Mapping) and "strategies" in each
    }
    return dict(sorted(reports.items(), key=lambda item: (not item[1].get("edge_shown"), item[0])))


def of_model(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures of the model's own trades."""
    return report["strategies"].get(MODEL) or {}


def overview(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a line for each pair and timeframe."""
    rows = [
        {
            "Pair and timeframe": name,
            "Edge": "✓ shown" if report.get("edge_shown") else "✕ none shown",
            "R a trade": in_r(of_model(report).get("expectancy")),
            "Likely between": likely(of_model(report)),
            "Trades": f"{of_model(report).get('trades') or 0:,}",
            "Judged on": _between(report),
        }
        for name, report in reports.items()
    ]
    return pd.DataFrame(rows)


def verdict(name: str, report: Mapping[str, Any]) -> str:
    """Say in a sentence what the figures of the model's trades mean for who would trade them."""
    found = of_model(report)
    if not found.get("trades"):
        return (
            f"On bars that it had not seen, the model found no {name} trade worth opening. That is the same as never"
            " trading. By default you are not told of its signals here."
        )
    earned = (
        f"On bars that it had not seen, {found['trades']:,} {name} trades {_came_to(found)} each after costs; the true"
        f" figure likely lies between {likely(found)}."
    )
    if report.get("edge_shown"):
        return (
            f"{earned} That is above nothing, and above what the market gave every trade of those sides. The past"
            " promises nothing for tomorrow."
        )
    return f"{earned} {_why_none(found)} By default you are not told of its signals here."


def explained(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Give each figure of the model's trades with its name and what it means."""
    found = of_model(report)
    yield (
        "Trades",
        f"{found.get('trades') or 0:,}",
        "how many it would have opened; below 30 nothing can be said.",
    )
    if not found.get("trades"):
        return
    yield (
        "Hit rate", share(found.get("hit_rate")),
        "how many of 100 reached their target. With a target twice as far away as the stop, 34 have to, only to come"
        " out even before costs.",
    )  # fmt: skip
    yield (
        "Earned by a trade", in_r(found.get("expectancy")),
        "the average of all of them after costs: above 0 it earned, below 0 it lost.",
    )  # fmt: skip
    yield (
        "Likely between", likely(found),
        "the same average if luck had fallen otherwise, in 95 of 100 cases. Only if both are above 0 it may be more"
        " than luck.",
    )  # fmt: skip
    yield (
        "Better than the market gave", in_r((report.get("excess") or {}).get("expectancy")),
        "how much more that is than any trade of the same sides earned in that time: a rising market gives every"
        " long something.",
    )  # fmt: skip
    yield (
        "Profit factor", number(found.get("profit_factor")),
        "what was won for each 1 that was lost: above 1 it earned.",
    )  # fmt: skip
    yield (
        "Deepest fall", _fall(found),
        "how far the sum of all results once fell from its highest.",
    )  # fmt: skip


def strategies(report: Mapping[str, Any]) -> pd.DataFrame:
    """Return how each way to trade did."""
    rows = [
        {
            "Way": name,
            "R a trade": in_r(found.get("expectancy")),
            "Likely between": likely(found),
            "Trades": f"{found.get('trades') or 0:,}",
            "Hit rate": share(found.get("hit_rate")),
            "Profit factor": number(found.get("profit_factor")),
            "Deepest fall": _fall(found),
            "In all": in_r(found.get("total"), digits=1),
        }
        for name, found in _ways(report)
    ]
    return pd.DataFrame(rows)


def compared(report: Mapping[str, Any]) -> pd.DataFrame:
    """Return the ways that traded enough for a range, for the figure: `name`, `mean`, `low`, `high`, `trades`."""
    known = ("expectancy", "low", "high")
    rows = [
        (name, *(found[each] for each in known), found["trades"])
        for name, found in _ways(report)
        if all(found.get(each) is not None for each in known)
    ]
    return pd.DataFrame(rows, columns=["name", "mean", "low", "high", "trades"])


def equity(report: Mapping[str, Any]) -> pd.DataFrame:
    """Return the sum of results over time of each way that has one: `name`, `at`, `total`."""
    curves: Mapping[str, Sequence[Sequence[Any]]] = report.get("equity") or {}
    rows = [
        {"name": WAYS.get(way, (way, ""))[0], "at": datetime.fromisoformat(str(at)), "total": total}
        for way in (*WAYS, *(set(curves) - set(WAYS)))
        for at, total in curves.get(way, ())
    ]
    return pd.DataFrame(rows, columns=["name", "at", "total"])


def brier(figures: Mapping[str, Any]) -> str:
    """Say how far the confidence is off, beside always saying the same."""
    score, usual = figures["score"], figures["of_the_base_rate"]
    better = "better" if score < usual else "no better"
    return (
        f"Brier score {score:.4f}, {better} than the {usual:.4f} of always saying how often it happens: the mean square"
        " of how far the confidence was off, so smaller is better."
    )


def span(report: Mapping[str, Any]) -> str:
    """Say on which data it was judged."""
    how = KINDS.get(str(report.get("kind")), "It was judged on bars that it had not seen")
    folds = f", in {report['folds']} parts" if (report.get("folds") or 0) > 1 else ""
    return f"Judged on {report.get('rows') or 0:,} bars, {_between(report)}. {how}{folds}."


def in_r(value: float | None, *, digits: int = 3) -> str:
    """Write a multiple of what is risked: `+0.120 R`."""
    if value is None:
        return NOTHING
    sign = "+" if value > 0 else MINUS if value < 0 else ""
    return f"{sign}{abs(value):,.{digits}f} R"


def likely(found: Mapping[str, Any]) -> str:
    """Write the range that an average likely lies in."""
    if found.get("low") is None or found.get("high") is None:
        return NOTHING
    return f"{in_r(found['low'])} and {in_r(found['high'])}"


def share(value: float | None) -> str:
    """Write a share: `35.2 %`."""
    return NOTHING if value is None else f"{value * 100:.1f} %"


def number(value: float | None) -> str:
    """Write a figure with two decimals."""
    return NOTHING if value is None else f"{value:,.2f}"


def _came_to(found: Mapping[str, Any]) -> str:
    earned = found.get("expectancy") or 0
    return f"{'lost' if earned < 0 else 'earned'} {in_r(abs(earned)).lstrip('+')}"


def _fall(found: Mapping[str, Any]) -> str:
    return in_r(-found["drawdown"], digits=1) if found.get("drawdown") else NOTHING


def _why_none(found: Mapping[str, Any]) -> str:
    if found["trades"] < 30:
        return "So few trades show nothing, whatever they earned."
    if found.get("low") is not None and found["low"] > 0:
        return "That is above nothing, but not above what the market gave every trade of those sides."
    if found.get("high") is not None and found["high"] < 0:
        return "That is a loss."
    return "That can be luck: it is not shown to be above nothing."


def _ways(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = report["strategies"]
    for way in (*WAYS, *(set(found) - set(WAYS))):
        if way in found:
            yield WAYS.get(way, (way, ""))[0], found[way]


def _between(report: Mapping[str, Any]) -> str:
    first, last = report.get("from"), report.get("until")
    if not first or not last:
        return "no bars"
    return f"{datetime.fromisoformat(first):%b %Y} to {datetime.fromisoformat(last):%b %Y}"
