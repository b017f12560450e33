"""Each invariant of the chaos run holds for a clean run and notices a planted violation."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.chaos import invariants
from tests.chaos.cover import Gap
from tests.chaos.evidence import Delivery, Evidence, Holding, KnownOrder, Money
from tests.chaos.invariants import INVARIANTS, LONGEST_GAP_SECONDS
from tests.chaos.senders import Answer
from tests.chaos.written import slips, tracebacks
from tests.secret_search import leaks

D = Decimal
ORDER = KnownOrder(
    account="PK1",
    id="b1",
    client_id="c1",
    symbol="AAPL",
    side="BUY",
    quantity=D(5),
    filled=D(5),
    state="FILLED",
)
SENT = Delivery(
    id=1,
    place="DISCORD PK1",
    transport="DISCORD",
    state="SENT",
    error=None,
    attempts=1,
    is_carried=False,
    arrived=1,
)


OURS = "098a6fdb9a1462fcfe924f9fd06d0fbf"
LINE_OF_S1 = f"2026-11-21T22:54:52.977Z INFO broker watch signal=s1 order {OURS} is FILLED"
LINE_OF_NONE = LINE_OF_S1.replace("s1", "-")
LINE_THAT_FAILED = (
    LINE_OF_S1.partition("order")[0] + "lane 5 failed\\nTraceback (most recent call last):\\nKeyError"
)


def clean() -> Evidence:
    """Return the evidence of a small run in which everything went well."""
    return Evidence(
        named={1, 2},
        answers=[answer(1, "s1"), answer(1, "s1", 200), answer(2, "s2"), Answer(number=2, status=503, word=None,
                                                                              signal_id=None)],
        signals=[signal("s1", "alert 1"), signal("s2", "alert 2")],
        plans=[{"signal_id": 1, "risk_event_id": None, "count": 1}],
        orders=[ORDER], their_orders=[ORDER],
        parts=[part(1, 5, 3), part(2, 2, 2)],
        holdings=[Holding(account="PK1", symbol="AAPL", broker=D(5), bots=D(5), fills=D(5), dust=D(0))],
        money=[Money(account="PK1", broker=D("-1000.001"), ledger=D(-1000))],
        notifications=[told("BOT_FILLED"), told("WATCHED_TRADE_COMPLETED", trade_id="trade 7")],
        deliveries=[SENT, replace(SENT, id=2, state="FAILED", error="the webhook was deleted", arrived=0)],
        extra_messages={"DISCORD PK1": 0},
        gaps=[gap(LONGEST_GAP_SECONDS - 1), gap(60)], excused={"alpaca": [(5, 100)]},
        messages={7: "trade", 8: "heartbeat"}, watched_events=[{"mark": 7}, {"mark": 8}],
        posts={"100"}, registrations=2,
        noted_posts=[post("STORED", 1), post("BACKLOG", 0, "nobody listened")],
        metrics={"signal_received tradingview": 2.0}, counted_rows={"signal_received tradingview": 2.0},
    )  # fmt: skip


def answer(number: int, signal_id: str, status: int = 202) -> Answer:
    return Answer(number=number, status=status, word="accepted", signal_id=signal_id)


def signal(uuid: str, mark: str) -> dict[str, object]:
    return {
        "uuid": uuid,
        "mark": mark,
        "number": 1,
        "state": "EXECUTED",
        "code": "EXECUTED",
        "is_finished": True,
    }


def part(attempt: int, quantity: int, filled: int) -> dict[str, object]:
    return {"leg_id": 1, "part": 1, "attempt": attempt, "planned": 5, "quantity": quantity, "filled": filled}


def told(kind: str, **content: str) -> dict[str, object]:
    return {"id": 1, "user_id": 1, "kind": kind, "content": content, "is_routed": True, "deliveries": 2}


def gap(seconds: float) -> Gap:
    return Gap(bot=1, broker="alpaca", began_at=0.0, ended_at=seconds, held_by="ENGINE")


def post(state: str, signals: int, sentence: str | None = None) -> dict[str, object]:
    return {"message_id": "100", "state": state, "sentence": sentence, "signals": signals}


Plant = Callable[[Evidence], object]
PLANTED: list[tuple[str, Plant]] = [
    ("no_secret_was_written", lambda e: e.leaks.extend(leaks("the log", "usr_0123456789", {"a": "usr_0123456789"}))),
    ("everything_came_to_its_end", lambda e: e.under_way.append(dict.fromkeys(("what", "id", "state", "more"), "x"))),
    ("no_signal_is_lost", lambda e: e.signals.pop()),
    ("no_signal_is_lost", lambda e: e.signals[0].update(is_finished=False)),
    ("no_signal_is_lost", lambda e: e.signals[0].update(state="PLANNED")),
    ("no_signal_is_lost", lambda e: e.signals[0].update(code=None)),
    ("no_signal_is_lost", lambda e: e.named.add(3)),
    ("no_signal_is_doubled", lambda e: e.signals.append(signal("s3", "alert 1"))),
    ("no_signal_is_doubled", lambda e: e.answers.append(answer(1, "s2"))),
    ("no_signal_is_doubled", lambda e: e.plans[0].update(count=2)),
    ("orders_at_the_broker_are_the_planned_ones", lambda e: e.orders.clear()),
    ("orders_at_the_broker_are_the_planned_ones", lambda e: e.their_orders.clear()),
    ("orders_at_the_broker_are_the_planned_ones", lambda e: e.their_orders.append(replace(ORDER, id="b2"))),
    ("orders_at_the_broker_are_the_planned_ones", lambda e: change_order(e, filled=D(4))),
    ("orders_at_the_broker_are_the_planned_ones", lambda e: change_order(e, quantity=D(6))),
    ("orders_at_the_broker_are_the_planned_ones", lambda e: change_order(e, state="CANCELED")),
    ("no_leg_trades_more_than_planned", lambda e: e.parts[1].update(quantity=3)),
    ("bots_hold_what_the_account_holds", lambda e: change_holding(e, broker=D(4))),
    ("bots_hold_what_the_account_holds", lambda e: change_holding(e, fills=D(4))),
    ("the_ledger_is_the_account_to_the_cent", lambda e: change_money(e, D("-1000.01"))),
    ("every_notification_is_sent_once_or_failed_with_a_reason", lambda e: change_delivery(e, arrived=0)),
    ("every_notification_is_sent_once_or_failed_with_a_reason", lambda e: change_delivery(e, arrived=2)),
    ("every_notification_is_sent_once_or_failed_with_a_reason", lambda e: change_delivery(e, state="FAILED")),
    ("every_notification_is_sent_once_or_failed_with_a_reason", lambda e: e.notifications[0].update(deliveries=1)),
    ("every_notification_is_sent_once_or_failed_with_a_reason", lambda e: e.notifications[0].update(is_routed=False)),
    ("every_notification_is_sent_once_or_failed_with_a_reason", lambda e: e.extra_messages.update({"DISCORD PK1": 1})),
    ("no_position_is_long_without_protection", lambda e: e.gaps.append(gap(LONGEST_GAP_SECONDS + 100))),
    ("no_position_is_long_without_protection", lambda e: e.excused.clear()),
    ("every_message_of_a_watched_bot_is_stored_once", lambda e: e.watched_events.pop()),
    ("every_message_of_a_watched_bot_is_stored_once", lambda e: e.watched_events.append({"mark": 8})),
    ("every_message_of_a_watched_bot_is_stored_once", lambda e: e.notifications.pop()),
    ("every_message_of_a_watched_bot_is_stored_once", lambda e: e.notifications.append(deepcopy(e.notifications[1]))),
    ("every_post_is_one_signal_or_says_why_not", lambda e: e.noted_posts.pop()),
    ("every_post_is_one_signal_or_says_why_not", lambda e: e.noted_posts[0].update(signals=2)),
    ("every_post_is_one_signal_or_says_why_not", lambda e: e.noted_posts[1].update(signals=1)),
    ("every_post_is_one_signal_or_says_why_not", lambda e: e.noted_posts[1].update(sentence=None)),
    ("every_post_is_one_signal_or_says_why_not", lambda e: e.noted_posts[1].update(state="SENDING")),
    ("nothing_was_suspected", lambda e: e.suspicions.append({"kind": "EXTERNAL_CLOSE", "sentence": "gone"})),
    ("nothing_was_suspected", lambda e: e.faults.append({"subject": "lane 1", "times": 1, "words": "KeyError: 1"})),
    ("the_metrics_count_the_rows", lambda e: e.metrics.update({"signal_received tradingview": 3.0})),
    ("the_metrics_count_the_rows", lambda e: e.metrics.clear()),
    ("the_metrics_count_the_rows", lambda e: e.counted_rows.update({"order_planned paper OPEN": 1.0})),
    ("every_line_about_an_order_names_its_signal", lambda e: e.slips.extend(slips([LINE_OF_NONE], {OURS: "s1"}))),
    ("every_line_about_an_order_names_its_signal", lambda e: e.slips.extend(slips([LINE_OF_S1], {OURS: "s2"}))),
    ("nothing_failed_unforeseen", lambda e: e.tracebacks.extend(tracebacks([LINE_THAT_FAILED]))),
]  # fmt: skip


def change_order(evidence: Evidence, **fields: object) -> None:
    evidence.their_orders[0] = replace(ORDER, **fields)


def change_holding(evidence: Evidence, **fields: object) -> None:
    evidence.holdings[0] = replace(evidence.holdings[0], **fields)


def change_money(evidence: Evidence, broker: Decimal) -> None:
    evidence.money[0] = replace(evidence.money[0], broker=broker)


def change_delivery(evidence: Evidence, **fields: object) -> None:
    evidence.deliveries[0] = replace(SENT, **fields)


def test_a_clean_run_breaks_nothing() -> None:
    assert {check.__name__: check(clean()) for check in INVARIANTS if check(clean())} == {}


@pytest.mark.parametrize(("name", "plant"), PLANTED)
def test_an_invariant_notices_what_is_planted_and_no_other_does(name: str, plant: Plant) -> None:
    evidence = clean()
    plant(evidence)
    assert [check.__name__ for check in INVARIANTS if check(evidence)] == [name]


def test_every_invariant_has_a_violation_that_it_notices() -> None:
    assert {name for name, _ in PLANTED} == {check.__name__ for check in INVARIANTS}


@pytest.mark.parametrize(
    ("excused", "counted"),
    [
        ([], 10.0),
        ([(2, 4)], 8.0),
        ([(2, 6), (4, 8)], 4.0),
        ([(-5, 3), (8, 20)], 5.0),
        ([(-1, 11)], 0.0),
        ([(20, 30)], 10.0),
    ],
)
def test_only_what_lies_outside_of_trouble_counts(excused: list[tuple[float, float]], counted: float) -> None:
    assert gap(10).counted(excused) == counted


def test_a_message_that_came_again_is_forgiven_only_where_an_answer_was_lost() -> None:
    evidence = clean()
    evidence.deliveries[0] = replace(SENT, attempts=2, arrived=1)
    evidence.extra_messages["DISCORD PK1"] = 1
    assert invariants.every_notification_is_sent_once_or_failed_with_a_reason(evidence) == []
    evidence.extra_messages["DISCORD PK1"] = 2
    assert invariants.every_notification_is_sent_once_or_failed_with_a_reason(evidence) != []


def test_a_line_is_under_its_own_signal_or_tells_of_no_order_of_ours() -> None:
    others = LINE_OF_NONE.replace(OURS, "f" * 32)
    together = LINE_OF_S1.replace("signal=s1", "signal=s0,s1")
    lines = [LINE_OF_S1, together, others, f"order {OURS}", LINE_THAT_FAILED]
    assert list(slips(lines, {OURS: "s1"})) == []
