"""Check the fields of a message against each other; problems bear the sender's own names."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from core.order import OrderType
from core.signal import Action, PositionSide, QuantityMode
from signals.fields import ACTION_WORDS, Verb
from signals.levels import price_of
from signals.message import LONGEST_NAME, NAMES, Matched, Message, shown
from signals.problems import FieldProblem

_ADDING_TO = {
    PositionSide.LONG: Action.BUY,
    PositionSide.SHORT: Action.SELL,
    PositionSide.FLAT: Action.CLOSE,
}
_REFUSED = {
    Verb.ADD: "add together with a sentiment (bullish or bearish) that says which side to add to",
    Verb.CANCEL: (
        f"{ACTION_WORDS}. There is no cancel that leaves a position alone: exit takes back an entry order "
        "that still waits and closes what it filled, and so does the next signal of the other side"
    ),
}


def action_of(values: Message) -> Action | None:
    """Return the action the message asks for, or None where the word alone does not say."""
    if values.action is None or values.action is Verb.CANCEL:
        return None
    if values.action is Verb.ADD:
        return None if values.position_after is None else _ADDING_TO[values.position_after]
    return Action(values.action.value)


def limit_price_of(values: Message) -> Decimal | None:
    """Return the price to enter at by a limit order, or None for a market order.

    A limit order without limit_price takes the message's price, as in older TradersPost messages.
    """
    if values.order_type is OrderType.LIMIT:
        return values.limit_price or values.price
    return values.limit_price


def problems_between(matched: Matched) -> Iterator[FieldProblem]:
    """Yield every problem that only several fields together show, and the required fields not sent."""
    yield from _missing(matched)
    yield from _unclear_action(matched)
    yield from _order_type(matched)
    yield from _quantity(matched)
    yield from _wrong_sides(matched)


def _missing(matched: Matched) -> Iterator[FieldProblem]:
    for field, allowed in (("action", ACTION_WORDS), ("symbol", "a symbol such as AAPL or BTCUSDT")):
        if field not in matched.entries and field not in matched.wrong:
            names = ", ".join(NAMES[field])
            yield FieldProblem(name=field, got="nothing", allowed=f"{allowed} (in one of: {names})")


def _unclear_action(matched: Matched) -> Iterator[FieldProblem]:
    verb = matched.values.action
    if verb is not None and action_of(matched.values) is None:
        yield _problem(matched, "action", _REFUSED[verb])


def _order_type(matched: Matched) -> Iterator[FieldProblem]:
    values = matched.values
    if values.order_type is OrderType.MARKET and values.limit_price is not None:
        yield _problem(matched, "limit_price", "no limit price with a market order, or order_type limit")
    came = "limit_price" in matched.wrong
    if values.order_type is OrderType.LIMIT and limit_price_of(values) is None and not came:
        yield _problem(matched, "order_type", "limit together with a limit_price")


def _quantity(matched: Matched) -> Iterator[FieldProblem]:
    values = matched.values
    if values.quantity_type is not QuantityMode.PERCENT_OF_POSITION or values.quantity is None:
        return
    if values.quantity > 100:
        yield _problem(matched, "quantity", "a percentage of the position, above 0 and at most 100")
    # Taken for a plain sell it would close all and go short; with the position stated it sells a part.
    if values.action in (Verb.BUY, Verb.SELL) and values.position_after is None:
        allowed = (
            "percent_of_position with action exit, or with a sentiment that says which position is meant"
        )
        yield _problem(matched, "quantity_type", allowed)


def _wrong_sides(matched: Matched) -> Iterator[FieldProblem]:
    values, action = matched.values, action_of(matched.values)
    if action is None:
        return
    wanted = values.position_after or action.wanted
    entry = limit_price_of(values) or values.price
    if wanted is PositionSide.FLAT:
        return
    if entry is None:
        yield from _crossed(matched, wanted)
        return
    yield from _wrong_stop(matched, wanted, entry)
    yield from _wrong_targets(matched, wanted, entry)


def _wrong_stop(matched: Matched, wanted: PositionSide, entry: Decimal) -> Iterator[FieldProblem]:
    stop = matched.values.stop_loss
    if stop is None:
        return
    price = stop.stop_price(entry, wanted)
    if price <= 0 or wanted.sign * (entry - price) <= 0:
        yield _side_problem(matched, "stop_loss", wanted, entry, below=wanted is PositionSide.LONG)


def _wrong_targets(matched: Matched, wanted: PositionSide, entry: Decimal) -> Iterator[FieldProblem]:
    for number, target in enumerate(matched.values.take_profit):
        price = target.target_price(entry, wanted)
        if price <= 0 or wanted.sign * (price - entry) <= 0:
            problem = _side_problem(matched, "take_profit", wanted, entry, below=wanted is PositionSide.SHORT)
            yield _of_one_target(matched, problem, number)


def _crossed(matched: Matched, wanted: PositionSide) -> Iterator[FieldProblem]:
    stop = price_of(matched.values.stop_loss)
    targets = [price_of(target) for target in matched.values.take_profit]
    if stop is None:
        return
    if any(target is not None and wanted.sign * (target - stop) <= 0 for target in targets):
        side = "below" if wanted is PositionSide.LONG else "above"
        allowed = f"a stop {side} every take-profit, for a {wanted.lower()} position"
        yield _problem(matched, "stop_loss", allowed)


def _side_problem(
    matched: Matched, field: str, wanted: PositionSide, entry: Decimal, *, below: bool
) -> FieldProblem:
    side = "below" if below else "above"
    return _problem(matched, field, f"a price above 0 and {side} {entry}, for a {wanted.lower()} position")


def _of_one_target(matched: Matched, problem: FieldProblem, number: int) -> FieldProblem:
    sent = matched.entries["take_profit"].raw
    if not isinstance(sent, list):
        return problem
    return replace(problem, name=f"{problem.name}[{number}]", got=shown(sent[number]))


def _problem(matched: Matched, field: str, allowed: str) -> FieldProblem:
    entry = matched.entries[field]
    return FieldProblem(name=entry.name[:LONGEST_NAME], got=shown(entry.raw), allowed=allowed)
