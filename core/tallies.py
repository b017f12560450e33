"""What is counted: every figure that only grows, what its labels mean, and a count of them in memory.

Most are written by the database in the transaction in which the thing happened (migrations/016_tallies.sql);
those of `IN_MEMORY` by the processes, every few seconds. To add one: a line here, and either a trigger or a
call of `Tallies.count`. docs/observability.md lists what comes of them.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# The upper bounds, in seconds, between which times are counted; a histogram's last one has no bound.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
UNBOUNDED = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is given of one kind of event: how often it happened, how long it took, or both.

    `total` and `seconds` are the metrics' names with what they say; `labels` go with each.
    """

    labels: tuple[str, ...]
    total: tuple[str, str] | None = None
    seconds: tuple[str, str] | None = None


BY_TRIGGER: Mapping[str, Figure] = {
    "signal_received": Figure(
        labels=("source",),
        total=("dashtrade_signals_received", "Messages stored as signals, refused ones too"),
        seconds=("dashtrade_signal_store_seconds", "From a message's arrival to its row"),
    ),
    "signal_duplicate": Figure(
        labels=("source",),
        total=("dashtrade_signals_duplicate", "Copies of signals, answered and not carried out"),
    ),
    "signal_decided": Figure(
        labels=("source",),
        seconds=("dashtrade_signal_decision_seconds", "From a message's arrival to the decision about it"),
    ),
    "signal_finished": Figure(
        labels=("source", "state", "code"),
        total=("dashtrade_signals_finished", "Signals that came to their end, by how and why"),
        seconds=("dashtrade_signal_seconds", "From a message's arrival to the end of what it brought about"),
    ),
    "order_planned": Figure(
        labels=("broker", "purpose"),
        total=("dashtrade_orders_planned", "Orders written down, to be sent"),
    ),
    "order_acknowledged": Figure(
        labels=("broker", "purpose"),
        total=("dashtrade_orders_acknowledged", "Orders that the broker was seen to have"),
        seconds=("dashtrade_order_acknowledge_seconds", "From an order's row to the broker's answer"),
    ),
    "order_in_doubt": Figure(
        labels=("broker", "purpose"),
        total=("dashtrade_orders_in_doubt", "Times nobody knew whether the broker had an order"),
    ),
    "order_finished": Figure(
        labels=("broker", "purpose", "state"),
        total=("dashtrade_orders_finished", "Orders that came to their end, by how"),
        seconds=("dashtrade_order_seconds", "From an order's row to its end"),
    ),
    "fill_booked": Figure(
        labels=("broker", "source"),
        total=("dashtrade_fills_booked", "Fills booked, by what brought the news"),
        seconds=("dashtrade_fill_book_seconds", "From a fill at the broker to its row"),
    ),
    "risk_event": Figure(
        labels=("kind",),
        total=("dashtrade_risk_events", "Stops, targets, limits and faults that were noted"),
    ),
    "notification": Figure(
        labels=("kind",),
        total=("dashtrade_notifications", "What people should know, noted before it is sent"),
    ),
    "alert_attempt": Figure(
        labels=("transport",),
        total=("dashtrade_alert_attempts", "Attempts to send a message to a channel"),
    ),
    "alert_finished": Figure(
        labels=("transport", "state"),
        total=("dashtrade_alerts_finished", "Alerts that were sent, or given up"),
        seconds=("dashtrade_alert_seconds", "From an alert's row to its end"),
    ),
    "fault": Figure(
        labels=("subject",),
        total=("dashtrade_faults", "Failures at the top of a loop, by what failed"),
    ),
    "watched_message": Figure(
        labels=("kind", "problem"),
        total=("dashtrade_watched_messages", "Messages of watched bots, by what they tell"),
    ),
    "channel_message": Figure(
        labels=("state",),
        total=(
            "dashtrade_channel_messages",
            "Messages in signal channels that were signals, by what became of them",
        ),
        seconds=(
            "dashtrade_channel_message_seconds",
            "From a message's posting to the webhook server's answer",
        ),
    ),
    "scan_ended": Figure(
        labels=("result",),
        total=("dashtrade_reversal_scans", "Looks at bars that closed, by what came of them"),
        seconds=("dashtrade_reversal_scan_seconds", "How long such a look took"),
    ),
    "reversal_message_ended": Figure(
        labels=("kind", "state"),
        total=("dashtrade_reversal_messages", "Signals and news of tracked trades that Discord took, or not"),
        seconds=("dashtrade_reversal_message_seconds", "From such a message's row to its end"),
    ),
    "tracked_trade_ended": Figure(
        labels=("reason",),
        total=("dashtrade_tracked_trades_ended", "Tracked trades that came to their end, by why"),
    ),
}
IN_MEMORY: Mapping[str, Figure] = {
    "http_request": Figure(
        labels=("route", "method", "status"),
        total=("dashtrade_http_requests", "Requests that the webhook server answered"),
        seconds=("dashtrade_http_request_seconds", "From a request's head to its answer"),
    ),
    "http_refusal": Figure(
        labels=("route", "code"),
        total=("dashtrade_http_refusals", "Answers that were an error, by its code"),
    ),
    "broker_call": Figure(
        labels=("broker", "call"),
        total=("dashtrade_broker_calls", "Calls of brokers by the engine and the broker watch"),
        seconds=("dashtrade_broker_call_seconds", "How long a broker took to answer, or to fail"),
    ),
    "broker_error": Figure(
        labels=("broker", "call", "error"),
        total=("dashtrade_broker_errors", "Calls of brokers that failed, by what the failure means"),
    ),
}
FIGURES: Mapping[str, Figure] = {**BY_TRIGGER, **IN_MEMORY}

Key = tuple[str, tuple[str, ...], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often something happened and how many seconds it took in all, between two bounds."""

    figure: str
    labels: tuple[str, ...]
    le: float
    times: int
    seconds: float


class Tallies:
    """Count in memory what is soon written down; safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: dict[Key, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def count(self, figure: str, *labels: str, seconds: float = 0.0) -> None:
        """Count one event of a figure of `IN_MEMORY`."""
        if len(labels) != len(IN_MEMORY[figure].labels):
            raise ValueError(f"{figure} has the labels {IN_MEMORY[figure].labels}, not {labels}")
        self._add(figure, labels, bound_of(seconds), 1, seconds)

    def take(self) -> tuple[Tally, ...]:
        """Return what was counted and begin anew."""
        with self._lock:
            kept, self._kept = self._kept, {}
        return tuple(
            Tally(figure=figure, labels=labels, le=le, times=times, seconds=seconds)
            for (figure, labels, le), (times, seconds) in kept.items()
        )

    def put_back(self, tallies: Sequence[Tally]) -> None:
        """Keep what could not be written down for the next time."""
        for each in tallies:
            self._add(each.figure, each.labels, each.le, each.times, each.seconds)

    def _add(self, figure: str, labels: tuple[str, ...], le: float, times: int, seconds: float) -> None:
        with self._lock:
            before, took = self._kept.get((figure, labels, le), (0, 0.0))
            self._kept[figure, labels, le] = (before + times, took + seconds)


def bound_of(seconds: float) -> float:
    """Return the bound under which a time is counted."""
    return next((bound for bound in BOUNDS if seconds <= bound), UNBOUNDED)
