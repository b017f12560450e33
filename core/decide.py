"""What to do about a signal: the decision table, pure.

| signal | FLAT | LONG | SHORT | an entry is open | an exit is open |
|---|---|---|---|---|---|
| BUY | open long | skip | close, open long | same side: skip; else cancel, await | await |
| SELL | open short | close, open short | skip | same rule | same rule |
| CLOSE | skip | close | close | cancel, book, close what filled | await |
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from core.bot import Bot
from core.order import AT_BROKER, OrderState, OrderType, Side
from core.plan import Await, Code, Decision, Leg, LegPurpose, Plan, Refusal
from core.signal import PositionSide, Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order of this bot that is not final."""

    purpose: LegPurpose
    side: Side
    state: OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the bot itself holds: `quantity` is signed; dust has the side FLAT."""

    side: PositionSide
    quantity: Decimal


def decide(
    *,
    bot: Bot,
    holding: Holding,
    open_orders: tuple[OpenOrder, ...],
    signal: Signal,
    no_shorts: Refusal | None,
) -> Decision:
    """Decide about one signal from the bot's own booked position.

    `no_shorts` says why the broker or the asset does not allow shorts, None where they do.
    """
    contradiction = signal.contradiction
    if contradiction is not None:
        return Plan(skip=Refusal(code=Code.CONTRADICTORY_SIGNAL, sentence=contradiction))
    if open_orders:
        waiting = _wait_for(open_orders, signal)
        if waiting is not None:
            return waiting
    missed = _missed_alert(bot, holding, signal)
    plan = _plan(bot, holding, signal, _shorts_refusal(bot, no_shorts))
    return replace(plan, missed_alert=missed)


def decide_exit(
    *,
    holding: Holding,
    open_orders: tuple[OpenOrder, ...],
    quantity: Decimal | None = None,
    target_number: int | None = None,
) -> Decision:
    """Decide about an exit of our own: a stop, a target, a limit, a flatten, a close by hand.

    A target that is not the last leaves only `quantity`.
    """
    if any(order.purpose is LegPurpose.CLOSE or order.state not in AT_BROKER for order in open_orders):
        return Await(cancel=False, sentence="An order of this bot has not come to its end yet.")
    if open_orders:
        return Await(cancel=True, sentence="The entry still open is cancelled first.")
    if quantity is None or holding.side is PositionSide.FLAT:
        return _close(holding)
    leg = _close_leg(holding, min(quantity, abs(holding.quantity)))
    return Plan(legs=(replace(leg, target_number=target_number),))


def _wait_for(open_orders: tuple[OpenOrder, ...], signal: Signal) -> Decision | None:
    if any(order.purpose is LegPurpose.CLOSE for order in open_orders):
        return Await(cancel=False, sentence="An exit of this bot is still open.")
    if any(order.state not in AT_BROKER for order in open_orders):
        return Await(cancel=False, sentence="The broker has not answered for an order of this bot yet.")
    if any(_side_wanted(signal) is order.side for order in open_orders):
        sentence = "An entry to the same side is already open at the broker."
        return Plan(skip=Refusal(code=Code.ENTRY_PENDING, sentence=sentence))
    return Await(cancel=True, sentence="The entry still open to the other side is cancelled first.")


def _side_wanted(signal: Signal) -> Side | None:
    if signal.is_partial_exit:
        return None
    return {PositionSide.LONG: Side.BUY, PositionSide.SHORT: Side.SELL}.get(signal.wanted)


def _shorts_refusal(bot: Bot, no_shorts: Refusal | None) -> Refusal | None:
    if bot.allow_short:
        return no_shorts
    return Refusal(code=Code.SHORT_NOT_ALLOWED, sentence=f"Bot {bot.name} does not open shorts.")


def _missed_alert(bot: Bot, holding: Holding, signal: Signal) -> str | None:
    before = signal.position_before
    if before is None or before is holding.side or bot.own_exit is not None:
        return None
    if not bot.follows_strategy:
        return None
    return (
        f"The strategy was {before} before this alert, bot {bot.name} is {holding.side}: an alert was lost."
    )


def _plan(bot: Bot, holding: Holding, signal: Signal, no_shorts: Refusal | None) -> Plan:
    if signal.is_partial_exit:
        return _partial_exit(holding, signal)
    if _closes_other_side(holding, signal):
        return _other_side(holding, signal)
    if signal.wanted is PositionSide.FLAT:
        return replace(_close(holding), forgets_own_exit=True)
    if signal.wanted is holding.side:
        return _already(holding)
    if holding.side is PositionSide.FLAT:
        return _enter_from_flat(bot, signal, no_shorts)
    return _flip(holding, signal, no_shorts)


def _closes_other_side(holding: Holding, signal: Signal) -> bool:
    """Tell whether a close names its side, and the bot holds the other: "close BTC long" leaves a short alone."""
    named = signal.position_before if signal.position_after is None else None
    is_close = signal.wanted is PositionSide.FLAT and named in (PositionSide.LONG, PositionSide.SHORT)
    return is_close and holding.side not in (PositionSide.FLAT, named)


def _other_side(holding: Holding, signal: Signal) -> Plan:
    sentence = f"The signal closes a {signal.position_before}; the bot holds a {holding.side}."
    return Plan(skip=Refusal(code=Code.ALREADY_FLAT, sentence=sentence))


def _already(holding: Holding) -> Plan:
    code = Code.ALREADY_LONG if holding.side is PositionSide.LONG else Code.ALREADY_SHORT
    sentence = f"The bot already holds {abs(holding.quantity)} {holding.side}."
    return Plan(skip=Refusal(code=code, sentence=sentence))


def _close(holding: Holding) -> Plan:
    if holding.side is PositionSide.FLAT:
        return Plan(skip=Refusal(code=Code.ALREADY_FLAT, sentence="The bot holds nothing to close."))
    return Plan(legs=(_close_leg(holding, abs(holding.quantity)),))


def _close_leg(holding: Holding, quantity: Decimal) -> Leg:
    side = Side.SELL if holding.side is PositionSide.LONG else Side.BUY
    return Leg(purpose=LegPurpose.CLOSE, side=side, quantity=quantity)


def _partial_exit(holding: Holding, signal: Signal) -> Plan:
    if holding.side is not (signal.position_after or holding.side) or holding.side is PositionSide.FLAT:
        return _close(holding)
    fraction = signal.partial_exit_fraction
    if fraction is None:
        sentence = (
            "A partial exit needs both contracts and position_size, so that the share to close is known;"
            " one of them is missing."
        )
        return Plan(skip=Refusal(code=Code.QUANTITY_REQUIRED, sentence=sentence))
    return Plan(legs=(_close_leg(holding, abs(holding.quantity) * fraction),))


def _open_leg(signal: Signal) -> Leg:
    side = Side.BUY if signal.wanted is PositionSide.LONG else Side.SELL
    limit_price = signal.limit_price if signal.order_type is OrderType.LIMIT else None
    return Leg(
        purpose=LegPurpose.OPEN,
        side=side,
        quantity=None,
        order_type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
        limit_price=limit_price,
    )


def _enter_from_flat(bot: Bot, signal: Signal, no_shorts: Refusal | None) -> Plan:
    if bot.own_exit is not None and bot.follows_strategy and not _reopens(bot.own_exit, signal):
        return _flat_by_own_exit(bot.own_exit, signal)
    if signal.wanted is PositionSide.SHORT and no_shorts is not None:
        return Plan(skip=no_shorts)
    return Plan(legs=(_open_leg(signal),), forgets_own_exit=True)


def _reopens(own_exit: PositionSide, signal: Signal) -> bool:
    """Tell whether the strategy opens a trade, rather than ends the one that we have left already."""
    if _states_both(signal):
        return signal.position_before is not signal.position_after
    return signal.wanted is own_exit


def _states_both(signal: Signal) -> bool:
    return signal.position_before is not None and signal.position_after is not None


def _flat_by_own_exit(own_exit: PositionSide, signal: Signal) -> Plan:
    sentence = (
        f"The bot left its {own_exit} position by itself (stop, target, limit or a close by hand);"
        " this signal belongs to that trade and opens nothing."
    )
    skip = Refusal(code=Code.FLAT_BY_OWN_EXIT, sentence=sentence)
    return Plan(skip=skip, forgets_own_exit=not _states_both(signal))


def _flip(holding: Holding, signal: Signal, no_shorts: Refusal | None) -> Plan:
    close = _close_leg(holding, abs(holding.quantity))
    if signal.wanted is PositionSide.SHORT and no_shorts is not None:
        return Plan(legs=(close,), note=no_shorts, forgets_own_exit=True)
    return Plan(legs=(close, _open_leg(signal)), forgets_own_exit=True)
