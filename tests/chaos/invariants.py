"""What must hold when a run is over: each function returns what is wrong, a sentence for each, or nothing."""

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from tests.chaos.evidence import Evidence, KnownOrder
from tests.chaos.stage import RISK_SECONDS

HALF_A_CENT = Decimal("0.005")
FINAL = ("EXECUTED", "SKIPPED", "REFUSED", "FAILED")
FINAL_ORDERS = ("FILLED", "CANCELED", "EXPIRED", "REJECTED")
NOTED = ("STORED", "REFUSED", "LATE", "BACKLOG", "FAILED")
# What the server refuses it may keep as a refused signal; what was not sent on is none.
SIGNALS_OF = {"STORED": (1,), "REFUSED": (0, 1)}
ACCEPTED = (200, 202)
# A look that is due waits for a thread, at worst for one that waits for a broker in vain, then asks twice and writes.
LONGEST_GAP_SECONDS = RISK_SECONDS + 17.0
CHANNELS = 2


def everything_came_to_its_end(evidence: Evidence) -> list[str]:
    """Nothing is under way any more."""
    return [f"{row['what']} {row['id']} is still {row['state']}: {row['more']}" for row in evidence.under_way]


def no_signal_is_lost(evidence: Evidence) -> list[str]:
    """Every alert that was answered with 2xx is stored, and has an outcome; one that insists is taken at last."""
    stored = {row["uuid"]: row for row in evidence.signals}
    taken = {answer.number for answer in evidence.answers if answer.status in ACCEPTED}
    lost = [
        f"alert {answer.number} was answered {answer.status} as {answer.signal_id}, which is not stored"
        for answer in evidence.answers
        if answer.status in ACCEPTED and answer.signal_id not in stored
    ]
    never = [
        f"alert {number} was never taken, however often it was sent" for number in evidence.named - taken
    ]
    without = [
        f"signal {row['uuid']} has no outcome: {row['state']} {row['code']}"
        for row in evidence.signals
        if row["state"] not in FINAL or row["code"] is None or not row["is_finished"]
    ]
    return lost + sorted(never) + without


def no_signal_is_doubled(evidence: Evidence) -> list[str]:
    """No alert is two signals, however often it was sent, and no signal has two plans."""
    marks = Counter(row["mark"] for row in evidence.signals if row["mark"] and row["number"] is not None)
    doubled = [f"{mark} is {count} signals" for mark, count in marks.items() if count > 1]
    names: dict[int, set[str | None]] = {}
    for answer in evidence.answers:
        if answer.status in ACCEPTED:
            names.setdefault(answer.number, set()).add(answer.signal_id)
    told = [f"alert {number} was told {len(ids)} signals" for number, ids in names.items() if len(ids) > 1]
    plans = [f"{row} has two plans" for row in evidence.plans if row["count"] > 1]
    return doubled + told + plans


def orders_at_the_broker_are_the_planned_ones(evidence: Evidence) -> list[str]:
    """Both sides know the same orders, each as it was asked for and as it ended."""
    ours = {(order.account, order.id): order for order in evidence.orders}
    theirs = {(order.account, order.id): order for order in evidence.their_orders}
    wrong = [f"the broker has {_words(theirs[name])}, we do not" for name in theirs.keys() - ours.keys()]
    wrong += [f"we have {_words(ours[name])}, the broker does not" for name in ours.keys() - theirs.keys()]
    twice = Counter((order.account, order.client_id) for order in evidence.their_orders if order.client_id)
    wrong += [f"the broker has {count} orders {name}" for name, count in twice.items() if count > 1]
    for name in ours.keys() & theirs.keys():
        if _terms(ours[name]) != _terms(theirs[name]) or theirs[name].state not in FINAL_ORDERS:
            wrong.append(f"we know {_words(ours[name])}, the broker {_words(theirs[name])}")
    return wrong


def no_leg_trades_more_than_planned(evidence: Evidence) -> list[str]:
    """Each attempt at a part asks for no more than the attempts before it left over."""
    wrong = []
    for (leg, part), attempts in itertools.groupby(
        evidence.parts, key=lambda row: (row["leg_id"], row["part"])
    ):
        left = None
        for row in attempts:
            left = row["planned"] if left is None else left
            if row["quantity"] > left:
                wrong.append(f"leg {leg} part {part}: {row['quantity']} of {left} that were left")
            left -= row["filled"]
    return wrong


def bots_hold_what_the_account_holds(evidence: Evidence) -> list[str]:
    """For each account and symbol: the sum of the bots, the sum of their fills, and what the broker holds."""
    return [
        f"{each.account} {each.symbol}: bots {each.bots}, fills {each.fills}, broker {each.broker}"
        for each in evidence.holdings
        if each.bots != each.fills or abs(each.bots - each.broker) > each.dust / 2
    ]


def the_ledger_is_the_account_to_the_cent(evidence: Evidence) -> list[str]:
    """For each account: what its bots earned is what its money changed by."""
    return [
        f"{each.account}: the ledger says {each.ledger}, the account {each.broker}"
        for each in evidence.money
        if abs(each.ledger - each.broker) >= HALF_A_CENT
    ]


def every_notification_is_sent_once_or_failed_with_a_reason(evidence: Evidence) -> list[str]:
    """Each goes to every channel of its user; a message comes again only where an attempt's answer was lost."""
    wrong = [
        f"notification {row['id']} ({row['kind']}) has {row['deliveries']} deliveries"
        for row in evidence.notifications
        if not row["is_routed"] or (row["user_id"] is not None and row["deliveries"] != CHANNELS)
    ]
    spare: Counter[str] = Counter()
    for each in evidence.deliveries:
        if each.state == "FAILED" and not each.error:
            wrong.append(f"delivery {each.id} failed without a reason")
        if each.is_carried or each.state != "SENT":
            continue
        spare[each.place] += each.attempts - 1
        if not 1 <= each.arrived <= each.attempts:
            wrong.append(
                f"delivery {each.id} came {each.arrived} times to {each.place}, {each.attempts} attempts"
            )
    for place, count in evidence.extra_messages.items():
        if count > spare[place]:
            wrong.append(
                f"{place} took {count} messages that nobody booked, {spare[place]} answers were lost"
            )
    return wrong


def no_position_is_long_without_protection(evidence: Evidence) -> list[str]:
    """Outside of the time of trouble no position with a stop is longer without protection than is stated."""
    counted = [(gap.counted(evidence.excused.get(gap.broker, [])), gap) for gap in evidence.gaps]
    return [
        f"bot {gap.bot} at {gap.broker} was without protection for {gap.seconds:.1f} s ({seconds:.1f} counted),"
        f" held by {gap.held_by}, until {datetime.fromtimestamp(gap.ended_at, UTC):%H:%M:%S} UTC"
        for seconds, gap in counted
        if seconds > LONGEST_GAP_SECONDS
    ]


def every_message_of_a_watched_bot_is_stored_once(evidence: Evidence) -> list[str]:
    """Each message over MQTT is one event, and each completed trade is told once."""
    found = Counter(row["mark"] for row in evidence.watched_events)
    wrong = [
        f"message {number} was stored {found[number]} times"
        for number in evidence.messages
        if found[number] != 1
    ]
    told = Counter(
        row["content"].get("trade_id")
        for row in evidence.notifications
        if row["kind"] == "WATCHED_TRADE_COMPLETED"
    )
    return wrong + [
        f"trade {number} was told {told[f'trade {number}']} times"
        for number, kind in evidence.messages.items()
        if kind == "trade" and told[f"trade {number}"] != 1
    ]


def every_post_is_one_signal_or_says_why_not(evidence: Evidence) -> list[str]:
    """A signal in the Discord channel is noted for each registration; what is stored is one signal, else none."""
    noted = Counter(row["message_id"] for row in evidence.noted_posts)
    wrong = [
        f"post {post} was noted for {noted[post]} of {evidence.registrations} registrations"
        for post in sorted(evidence.posts)
        if noted[post] != evidence.registrations
    ]
    for row in evidence.noted_posts:
        if row["signals"] not in SIGNALS_OF.get(row["state"], (0,)):
            wrong.append(f"post {row['message_id']} is {row['state']} and {row['signals']} signals")
        if row["state"] not in NOTED or (row["state"] != "STORED" and not row["sentence"]):
            wrong.append(f"post {row['message_id']} is {row['state']} without a reason")
    return wrong


def nothing_was_suspected(evidence: Evidence) -> list[str]:
    """Nobody traded past the bots, so nobody may have been suspected of it; and no loop failed by itself."""
    suspected = [f"{row['kind']}: {row['sentence']}" for row in evidence.suspicions]
    return suspected + [
        f"{row['subject']} failed {row['times']} times: {row['words']}" for row in evidence.faults
    ]


def no_secret_was_written(evidence: Evidence) -> list[str]:
    """No secret stands in the log of the run or in a column, neither encoded nor in parts."""
    return [f"{leak.secret}, {leak.form}, is in {leak.place}: {leak.around}" for leak in evidence.leaks]


def the_metrics_count_the_rows(evidence: Evidence) -> list[str]:
    """What `/metrics` counts exactly is what the tables hold: received, finished by code, orders, fills, alerts."""
    names = sorted(evidence.metrics.keys() | evidence.counted_rows.keys())
    return [
        f"{name}: counted {evidence.metrics.get(name, 0):g}, rows {evidence.counted_rows.get(name, 0):g}"
        for name in names
        if evidence.metrics.get(name, 0) != evidence.counted_rows.get(name, 0)
    ]


def every_line_about_an_order_names_its_signal(evidence: Evidence) -> list[str]:
    """Whatever the log says of an order stands under the id of the signal or risk event that it is for."""
    return list(evidence.slips)


def nothing_failed_unforeseen(evidence: Evidence) -> list[str]:
    """No line of the log has a traceback: what was done to us all has words of its own."""
    return list(evidence.tracebacks)


INVARIANTS: tuple[Callable[[Evidence], list[str]], ...] = (
    everything_came_to_its_end,
    no_signal_is_lost,
    no_signal_is_doubled,
    orders_at_the_broker_are_the_planned_ones,
    no_leg_trades_more_than_planned,
    bots_hold_what_the_account_holds,
    the_ledger_is_the_account_to_the_cent,
    every_notification_is_sent_once_or_failed_with_a_reason,
    no_position_is_long_without_protection,
    every_message_of_a_watched_bot_is_stored_once,
    every_post_is_one_signal_or_says_why_not,
    nothing_was_suspected,
    no_secret_was_written,
    the_metrics_count_the_rows,
    every_line_about_an_order_names_its_signal,
    nothing_failed_unforeseen,
)


def _terms(order: KnownOrder) -> tuple[object, ...]:
    return (order.symbol, order.side, order.quantity, order.filled, order.state)


def _words(order: KnownOrder) -> str:
    return (
        f"{order.client_id or order.id} of {order.account}: {order.side} {order.quantity.normalize():f} {order.symbol},"
        f" {order.filled.normalize():f} filled, {order.state}"
    )
