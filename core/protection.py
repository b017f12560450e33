"""Where a position's stop and targets lie (trading.md §7); the signal's own beat the bot's defaults."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from core.bot import Bot
from core.instrument import Instrument
from core.money import ZERO
from core.order import Side
from core.plan import Code, Refusal
from core.signal import HUNDRED, Level, LevelKind, PositionSide, Signal
from core.wording import grouped, number


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A price at which to leave `share` percent of what was first filled; the last target takes the rest."""

    number: int
    price: Decimal
    share: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """A stop and targets as prices, rounded by the instrument; None where there is none.

    `target_price` is the next target; `targets` are those still to come where there are several.
    The stop goes to the entry once target `break_even_after` is reached. It follows the best price at
    `trail_distance`, from the moment the price has been at `trail_from`, at once without one.
    After `time_limit_minutes` the position is closed. `notes` tells the user what was asked for and is
    not done as asked.
    """

    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    targets: tuple[Target, ...] = ()
    break_even_after: int | None = None
    trail_distance: Decimal | None = None
    trail_from: Decimal | None = None
    time_limit_minutes: int | None = None
    notes: tuple[str, ...] = ()


def protection_for(
    *, bot: Bot, signal: Signal | None, side: Side, entry: Decimal, instrument: Instrument
) -> Protection | Refusal:
    """Return the stop and targets of a position entered with `side` at the price `entry`.

    Distances count from `entry`: the expected price before the order, the average price after the
    fill. Refused when a level does not lie on its own side of the entry: PRICE_MOVED when it did
    at the signal's price, so that the market has passed it since, else INVALID_SIGNAL.
    """
    held = PositionSide.LONG if side is Side.BUY else PositionSide.SHORT
    stop_level = _stop_level(bot, signal)
    stop = None if stop_level is None else _rounded(stop_level.stop_price(entry, held), instrument)
    prices, notes = _target_prices(bot, signal, held, entry, instrument)
    refusal = _misplaced("stop", stop, -held.sign, entry, signal)
    for price in prices:
        refusal = refusal or _misplaced("target", price, held.sign, entry, signal)
    if refusal is not None:
        return refusal
    targets = _shared(prices, bot.target_shares) if len(prices) > 1 else ()
    return replace(
        _trailing(bot, stop_level, entry, held, instrument),
        stop_price=stop,
        target_price=prices[0] if prices else None,
        targets=targets,
        break_even_after=bot.break_even_after if targets else None,
        time_limit_minutes=bot.time_limit_minutes,
        notes=notes,
    )


def fitting_targets(
    targets: Sequence[Target], quantity: Decimal, instrument: Instrument, side: Side
) -> tuple[Target, ...]:
    """Return targets whose shares of a quantity, entered with `side`, can all be traded.

    A share below what the broker takes goes to the next target, the last one's to the one before.
    """
    fitting: list[Target] = []
    carried = ZERO
    for target in targets:
        share = target.share + carried
        carried = ZERO
        if _is_too_small(quantity * share / HUNDRED, instrument, side):
            carried = share
        else:
            fitting.append(replace(target, share=share))
    if carried and fitting:
        fitting[-1] = replace(fitting[-1], share=fitting[-1].share + carried)
    return tuple(fitting) or tuple(replace(target, share=HUNDRED) for target in targets[-1:])


def quantity_at_target(
    targets: Iterable[Target], reached: int, *, opened: Decimal, held: Decimal
) -> Decimal | None:
    """Return what to leave when target `reached` is reached: its share and those of targets passed over.

    `targets` are those still to come, `opened` what was first filled, `held` what is left of it. None
    where it is the last one: then everything goes.
    """
    left = tuple(targets)
    passed = [target for target in left if target.number <= reached]
    if len(passed) == len(left):
        return None
    return min(opened * sum(target.share for target in passed) / HUNDRED, held)


def trailed(
    protection: Protection, best: Decimal | None, price: Decimal, side: PositionSide, instrument: Instrument
) -> tuple[Decimal | None, Decimal | None]:
    """Return the best price so far and where the stop lies then; a stop never goes back.

    `best` is None until the price has been at `trail_from`.
    """
    if protection.trail_distance is None:
        return best, protection.stop_price
    started = best is not None or protection.trail_from is None
    if not started and protection.trail_from is not None and (price - protection.trail_from) * side.sign < 0:
        return None, protection.stop_price
    best = price if best is None or (price - best) * side.sign > 0 else best
    follows = _rounded(best - side.sign * protection.trail_distance, instrument)
    stop = protection.stop_price
    return best, follows if follows > 0 and _is_nearer(follows, stop, side) else stop


def terms_of(protection: Protection) -> dict[str, object] | None:
    """Return what of a protection is more than one stop and one target, as a leg keeps it; None where nothing is."""
    terms: dict[str, object] = {
        "break_even_after": protection.break_even_after,
        "trail_distance": _text(protection.trail_distance),
        "trail_from": _text(protection.trail_from),
        "time_limit_minutes": protection.time_limit_minutes,
    }
    terms = {name: value for name, value in terms.items() if value is not None}
    if protection.targets:
        terms["targets"] = [
            {"number": each.number, "price": str(each.price), "share": str(each.share)}
            for each in protection.targets
        ]
    return terms or None


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def break_even(protection: Protection, reached: int, average: Decimal, side: PositionSide) -> Decimal | None:
    """Return where the stop lies once target `reached` is reached: at the entry, where that was wished for."""
    after, stop = protection.break_even_after, protection.stop_price
    if after is None or reached < after or not _is_nearer(average, stop, side):
        return stop
    return average


def _is_nearer(price: Decimal, stop: Decimal | None, side: PositionSide) -> bool:
    return stop is None or (price - stop) * side.sign > 0


def _is_too_small(quantity: Decimal, instrument: Instrument, side: Side) -> bool:
    short = side is Side.SELL
    step = instrument.short_quantity_step if short else instrument.quantity_step
    return instrument.round_quantity(quantity, short=short) < max(instrument.minimum_quantity, step)


def _stop_level(bot: Bot, signal: Signal | None) -> Level | None:
    asked = signal.stop_loss if signal else None
    return asked or _percent_level(bot.stop_loss_percent)


def _target_prices(
    bot: Bot, signal: Signal | None, held: PositionSide, entry: Decimal, instrument: Instrument
) -> tuple[list[Decimal], tuple[str, ...]]:
    default = _percent_level(bot.take_profit_percent)
    levels = (signal.take_profits if signal else ()) or (() if default is None else (default,))
    prices = [_rounded(level.target_price(entry, held), instrument) for level in levels]
    reachable = sorted({price for price in prices if price > 0}, key=lambda price: price * held.sign)
    if len(reachable) == len(set(prices)):
        return reachable, ()
    return reachable, (f"A target that far below {number(entry)} cannot be reached; none is set.",)


def _shared(prices: Sequence[Decimal], shares: Sequence[Decimal]) -> tuple[Target, ...]:
    """Give each price its share of the position; the last one has what is left of 100 %."""
    equal = HUNDRED / len(prices)
    wanted = [shares[index] if index < len(shares) else equal for index in range(len(prices) - 1)]
    if sum(wanted, ZERO) >= HUNDRED:
        wanted = [equal] * (len(prices) - 1)
    wanted.append(HUNDRED - sum(wanted, ZERO))
    numbered = enumerate(zip(prices, wanted, strict=True), start=1)
    return tuple(Target(number=count, price=price, share=share) for count, (price, share) in numbered)


def _trailing(
    bot: Bot, stop: Level | None, entry: Decimal, held: PositionSide, instrument: Instrument
) -> Protection:
    if stop is not None and stop.trailing:
        distance = abs(entry - stop.stop_price(entry, held))
        return Protection(trail_distance=_at_least_a_tick(distance, entry, instrument))
    if bot.trailing_stop_percent is None:
        return Protection()
    distance = entry * bot.trailing_stop_percent / HUNDRED
    start = bot.trailing_activation_percent
    begins = None if start is None else entry + held.sign * entry * start / HUNDRED
    return Protection(
        trail_distance=_at_least_a_tick(distance, entry, instrument),
        trail_from=None if begins is None else _rounded(begins, instrument),
    )


def _at_least_a_tick(distance: Decimal, entry: Decimal, instrument: Instrument) -> Decimal:
    return max(distance, instrument.tick(entry))


def _percent_level(value: Decimal | None) -> Level | None:
    return None if value is None else Level(kind=LevelKind.PERCENT, value=value)


def _rounded(price: Decimal, instrument: Instrument) -> Decimal:
    # A distance may reach below zero, where no tick is defined.
    return instrument.round_price(price) if price > 0 else ZERO


def _misplaced(
    name: str, level: Decimal | None, direction: int, entry: Decimal, signal: Signal | None
) -> Refusal | None:
    if level is None or (level > 0 and (level - entry) * direction > 0):
        return None
    wanted = "above" if direction > 0 else "below"
    sentence = f"The {name} at {grouped(level)} is not {wanted} the price of {grouped(entry)}."
    seen = signal.price if signal else None
    if seen is not None and level > 0 and (level - seen) * direction > 0:
        return Refusal(
            code=Code.PRICE_MOVED,
            sentence=f"{sentence} The market has passed it since the signal's price of {number(seen)}.",
        )
    return Refusal(code=Code.INVALID_SIGNAL, sentence=sentence)
