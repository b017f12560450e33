"""Give every figure to Prometheus: `GET /metrics`, the same whichever process answers."""

import hmac
from collections.abc import Iterator

from flask import Response, request
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from core.addresses import is_in
from core.tallies import BOUNDS, FIGURES, UNBOUNDED, Figure, Tally
from database import standing, tallies
from database.pool import Row
from database.standing import GAUGES
from settings import version
from webhook.access import INVALID_KEY
from webhook.errors import ApiError
from webhook.services import client_address, services

# Whoever passes a request on tells so by one of these; then it comes from further than the next address.
FORWARDING = ("X-Forwarded-For", "X-Real-Ip", "Forwarded", "Via", "Cf-Connecting-Ip")


def metrics() -> Response:
    """Answer with every figure, to who has METRICS_KEY or asks from METRICS_NETWORKS by the straight way."""
    _check_access()
    with services().database.transaction() as transaction:
        counted = tallies.read(transaction)
        standing_now = standing.read(transaction)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    answer = Response(encode(Snapshot(counted, standing_now)), content_type=content_type)
    answer.headers["Cache-Control"] = "no-store"
    return answer


class Snapshot(Collector):
    """What the tables said in one moment, in the form that Prometheus' library writes."""

    def __init__(self, counted: list[Tally], standing_now: dict[str, list[Row]]) -> None:
        self._counted = counted
        self._standing = standing_now

    def collect(self) -> Iterator[Metric]:
        """Give every metric, those without a sample too."""
        info = GaugeMetricFamily("dashtrade_info", "1, with the version that runs", labels=["version"])
        info.add_metric([version()], 1)
        yield info
        for gauge in GAUGES:
            family = GaugeMetricFamily(gauge.name, gauge.words, labels=gauge.labels)
            for row in self._standing[gauge.name]:
                family.add_metric([row[label] for label in gauge.labels], float(row["value"]))
            yield family
        for name, figure in FIGURES.items():
            yield from _families(figure, [each for each in self._counted if each.figure == name])


def _families(figure: Figure, counted: list[Tally]) -> Iterator[Metric]:
    by_labels: dict[tuple[str, ...], list[Tally]] = {}
    for each in counted:
        by_labels.setdefault(each.labels, []).append(each)
    if figure.total is not None:
        total = CounterMetricFamily(*figure.total, labels=figure.labels)
        for labels, found in by_labels.items():
            total.add_metric(labels, sum(each.times for each in found))
        yield total
    if figure.seconds is not None:
        histogram = HistogramMetricFamily(*figure.seconds, labels=figure.labels)
        for labels, found in by_labels.items():
            histogram.add_metric(labels, _buckets(found), sum(each.seconds for each in found))
        yield histogram


def _buckets(found: list[Tally]) -> list[tuple[str, float]]:
    """Return how many were at most so long. An older version's bounds count under the next of ours."""
    return [
        ("+Inf" if bound == UNBOUNDED else str(bound), sum(each.times for each in found if each.le <= bound))
        for bound in (*BOUNDS, UNBOUNDED)
    ]


def _check_access() -> None:
    settings = services().settings
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    key = settings.metrics_key.get_secret_value() if settings.metrics_key else None
    if key is not None and hmac.compare_digest(given.encode(), key.encode()):
        return
    straight = not any(name in request.headers for name in FORWARDING)
    if straight and is_in(client_address(), services().metrics_from):
        return
    words = "Send METRICS_KEY as Authorization: Bearer …, or ask from an address in METRICS_NETWORKS."
    raise ApiError(401, INVALID_KEY, words, headers={"WWW-Authenticate": "Bearer"})
