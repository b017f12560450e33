"""What was written beside the books: the metrics against the rows they count, and the log's lines by signal."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

from core.tallies import BY_TRIGGER
from tests.chaos.stage import Stage

LOOKS = 3
# Every exact count, from the rows themselves. What may be counted again, as orders that came to life
# after their end, is left out.
ROWS = """
    SELECT 'signal_received' AS figure, ARRAY[source_counted(source)] AS labels, count(*) AS count
      FROM signals GROUP BY 2
    UNION ALL SELECT 'signal_duplicate', ARRAY[source_counted(source)], sum(duplicates)
      FROM signals WHERE duplicates > 0 GROUP BY 2
    UNION ALL SELECT 'signal_finished', ARRAY[source_counted(source), state, coalesce(code, state)], count(*)
      FROM signals WHERE finished_at IS NOT NULL GROUP BY 2
    UNION ALL SELECT 'order_planned', ARRAY[keys.broker, purpose], count(*)
      FROM orders JOIN user_api_keys AS keys ON keys.id = connection_id GROUP BY 2
    UNION ALL SELECT 'fill_booked', ARRAY[keys.broker, fills.source], count(*)
      FROM fills JOIN user_bot_configs AS bots ON bots.id = bot_config_id
      JOIN user_api_keys AS keys ON keys.id = bots.connection_id GROUP BY 2
    UNION ALL SELECT 'risk_event', ARRAY[kind], count(*) FROM bot_risk_events GROUP BY 2
    UNION ALL SELECT 'notification', ARRAY[kind], count(*) FROM notifications GROUP BY 2
    UNION ALL SELECT 'alert_attempt', ARRAY[transport], sum(attempts)
      FROM alert_deliveries JOIN alert_channels AS channels ON channels.id = channel_id
     WHERE attempts > 0 GROUP BY 2
    UNION ALL SELECT 'alert_finished', ARRAY[transport, state], count(*)
      FROM alert_deliveries JOIN alert_channels AS channels ON channels.id = channel_id
     WHERE state <> 'WAITING' GROUP BY 2
    UNION ALL SELECT 'watched_message', ARRAY[kind, CASE WHEN problem IS NULL THEN 'no' ELSE 'yes' END], count(*)
      FROM watched_events GROUP BY 2
    UNION ALL SELECT 'channel_message', ARRAY[state], count(*)
      FROM channel_messages WHERE state <> 'SENDING' GROUP BY 2
"""
COUNTED = frozenset(re.findall(r"SELECT '(\w+)'", ROWS))
EVENTS = """
    SELECT client_order_id, plans.event_uuid::text AS event FROM orders
      JOIN legs ON legs.id = leg_id JOIN plans ON plans.id = plan_id
"""
LINE = re.compile(r"^\S+ [A-Z]+ .*? signal=(?P<named>\S+) (?P<words>.*)$")
ORDER = re.compile(r"\b[0-9a-f]{32}\b")

Counts = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`metrics` and `rows` are the same counts from both sides; `slips` are lines under a wrong signal or none."""

    metrics: Counts
    rows: Counts
    slips: list[str]
    tracebacks: list[str]


def written(stage: Stage) -> Written:
    """Read the metrics, the rows they count, and the log."""
    metrics, rows = _counts(stage)
    with stage.database.transaction() as transaction:
        events = {row["client_order_id"]: row["event"] for row in transaction.all(EVENTS)}
    lines = stage.stack.log.read_text(errors="replace").splitlines()
    return Written(
        metrics=metrics, rows=rows, slips=list(slips(lines, events)), tracebacks=list(tracebacks(lines))
    )


def _counts(stage: Stage) -> tuple[Counts, Counts]:
    """Return both sides; a count that moves between the two looks is looked at again."""
    metrics: Counts = {}
    rows: Counts = {}
    for _ in range(LOOKS):
        metrics = metrics_in(requests.get(f"{stage.stack.url}/metrics", timeout=30).text)
        with stage.database.transaction() as transaction:
            rows = {_name(row["figure"], row["labels"]): float(row["count"]) for row in transaction.all(ROWS)}
        if metrics == rows:
            break
    return metrics, rows


def metrics_in(text: str) -> Counts:
    """Return the exact counts of an answer of `/metrics`, by figure and labels."""
    figures = {
        f"{figure.total[0]}_total": (name, figure.labels)
        for name, figure in BY_TRIGGER.items()
        if name in COUNTED and figure.total is not None
    }
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    return {
        _name(figure, [sample.labels[label] for label in labels]): sample.value
        for sample in samples
        for figure, labels in [figures.get(sample.name, ("", ()))]
        if figure
    }


def _name(figure: str, labels: Iterable[str]) -> str:
    return " ".join([figure, *labels])


def slips(lines: Iterable[str], events: Mapping[str, str]) -> Iterator[str]:
    """Give every line that tells of an order of ours and does not name the signal, or event, it is for."""
    for line in lines:
        found = LINE.match(line)
        if found is None:
            continue
        meant = {events[each] for each in ORDER.findall(found["words"]) if each in events}
        if not meant <= set(found["named"].split(",")):
            yield line[:200]


def tracebacks(lines: Iterable[str]) -> Iterator[str]:
    """Give what failed in a way nobody foresaw: the words of each line with a traceback, and its last ones."""
    for line in lines:
        found = LINE.match(line)
        if "Traceback (most recent call last)" in line:
            words = found["words"] if found is not None else line
            yield f"{words.partition('Traceback')[0][:120]} … {words[-120:]}"
