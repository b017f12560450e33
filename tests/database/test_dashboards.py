"""The Grafana dashboard and the rules ask for what /metrics gives, and docs/observability.md names all of it."""

import json
import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from core.tallies import BY_TRIGGER, FIGURES, IN_MEMORY
from database import standing, tallies
from database.standing import GAUGES
from webhook.metrics import Snapshot

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashtrade.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy/prometheus/dashtrade-alerts.yml").read_text())["groups"][0]["rules"]
GUIDE = (ROOT / "docs/observability.md").read_text()
# What Prometheus itself adds.
OF_PROMETHEUS = {"job", "instance"}
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@pytest.fixture(scope="module")
def known():
    """Return the labels of every name that can be asked for."""
    labels = {gauge.name: set(gauge.labels) for gauge in GAUGES} | {
        "dashtrade_info": {"version"},
        "up": set(),
    }
    for figure in FIGURES.values():
        if figure.total is not None:
            labels[f"{figure.total[0]}_total"] = set(figure.labels)
        if figure.seconds is not None:
            labels |= {f"{figure.seconds[0]}{end}": set(figure.labels) for end in ("_sum", "_count")}
            labels[f"{figure.seconds[0]}_bucket"] = {*figure.labels, "le"}
    return labels


PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    (panel["title"], target["expr"], target["legendFormat"])
    for panel in PANELS
    for target in panel["targets"]
]


def parsed(query):
    """Return a query as Prometheus reads it, with what Grafana puts in."""
    return promql_parser.parse(query.replace("$__rate_interval", "1m").replace("$job", "dashtrade"))


def parts(expression):
    """Give an expression and everything inside it."""
    found = []

    def note(node):
        found.append(node)
        return True

    promql_parser.walk(expression, note)
    return found


def asked(query):
    """Return the labels that a query names for each metric: in its selectors, and in what it groups by."""
    nodes = parts(parsed(query))
    names = {}
    for node in nodes:
        selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(selector, promql_parser.VectorSelector):
            names.setdefault(selector.name, set()).update(
                matcher.name for matcher in selector.matchers.matchers
            )
    grouped = {
        label
        for node in nodes
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None
        for label in node.modifier.labels
    }
    return names, grouped


@pytest.mark.parametrize(
    ("title", "query", "legend"), QUERIES, ids=[f"{title}: {query}" for title, query, _ in QUERIES]
)
def test_a_panel_asks_for_metrics_and_labels_that_there_are(known, title, query, legend):
    names, grouped = asked(query)
    assert names, title
    assert set(names) <= set(known)
    for name, labels in names.items():
        assert labels <= known[name] | OF_PROMETHEUS, name
        assert grouped <= known[name], name
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped


def test_every_metric_is_on_the_dashboard(known):
    shown = set().union(*(asked(query)[0] for _, query, _ in QUERIES))
    figures = {name.removesuffix("_bucket") for name in shown}
    missing = {name for name in known if not name.endswith(("_sum", "_count", "_bucket"))} - shown
    # Beside these a panel shows the same of a finer figure.
    beside = {"dashtrade_info", "up", "dashtrade_bots", "dashtrade_plan_oldest_seconds",
              "dashtrade_orders_planned_total", "dashtrade_orders_acknowledged_total"}  # fmt: skip
    assert missing == beside
    timed = {figure.seconds[0] for figure in FIGURES.values() if figure.seconds is not None}
    assert timed - figures == {"dashtrade_order_seconds"}


def test_the_panels_stand_beside_and_below_each_other():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        fields = {
            (place["x"] + across, place["y"] + down)
            for across in range(place["w"])
            for down in range(place["h"])
        }
        assert not fields & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= fields


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_metrics_and_labels_that_there_are(known, rule):
    names, grouped = asked(rule["expr"])
    assert names
    assert set(names) <= set(known)
    for name, labels in names.items():
        assert labels <= known[name] | OF_PROMETHEUS, name
        assert grouped <= known[name], name
    assert set(rule["annotations"]) == {"summary", "mend"}
    named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert named <= grouped | set().union(*(known[name] for name in names))
    assert f"`{rule['alert']}`" in GUIDE


def test_the_guide_names_no_rule_that_there_is_not():
    assert set(re.findall(r"`(DashTrade[A-Z]\w+)`", GUIDE)) == {rule["alert"] for rule in RULES}


def test_the_guide_names_every_metric_with_its_labels_and_no_other():
    rows = re.findall(r"^\| `(dashtrade_\w+)` \| (\w+) \| (.*?) \| (.+?) \|$", GUIDE, re.MULTILINE)
    listed = {
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)), words) for name, kind, labels, words in rows
    }
    assert listed == {
        ("dashtrade_info", "gauge", ("version",), "1, with the version that runs"),
        *((each.name, "gauge", each.labels, each.words) for each in GAUGES),
        *(
            (f"{each.total[0]}_total", "counter", each.labels, each.total[1])
            for each in FIGURES.values()
            if each.total
        ),
        *(
            (each.seconds[0], "histogram", each.labels, each.seconds[1])
            for each in FIGURES.values()
            if each.seconds
        ),
    }


def test_metrics_gives_every_one_of_them(database, known):
    with database.transaction() as transaction:
        families = list(Snapshot(tallies.read(transaction), standing.read(transaction)).collect())
    given = {f"{family.name}{end}" for family in families for end in ENDINGS[family.type]}
    assert given == set(known) - {"up"}


def test_no_two_figures_have_one_name_and_every_figure_is_given_as_something():
    totals = [each.total[0] for each in FIGURES.values() if each.total]
    times = [each.seconds[0] for each in FIGURES.values() if each.seconds]
    names = [*totals, *times, *(gauge.name for gauge in GAUGES)]
    assert len(set(names)) == len(names)
    assert not set(BY_TRIGGER) & set(IN_MEMORY)
    assert all(each.total or each.seconds for each in FIGURES.values())
    assert all(name.endswith("_seconds") for name in times)
