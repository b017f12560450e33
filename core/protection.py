"""Where a position's stop and target lie (trading.md §7); the signal's own beat the bot's defaults."""

from dataclasses import dataclass
from decimal import Decimal

from core.bot import Bot
from core.instrument import Instrument
from core.money import ZERO
from core.order import Side
from core.plan import Code, Refusal
from core.signal import Level, LevelKind, PositionSide, Signal
from core.wording import grouped, number


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """A stop and a target as prices, rounded by the instrument; None where there is none.

    `notes` tells the user what was asked for and is not done as asked.
    """

    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    notes: tuple[str, ...] = ()


def protection_for(
    *, bot: Bot, signal: Signal | None, side: Side, entry: Decimal, instrument: Instrument
) -> Protection | Refusal:
    """Return the stop and target of a position entered with `side` at the price `entry`.

    Distances count from `entry`: the expected price before the order, the average price after the
    fill. Refused when a level does not lie on its own side of the entry: PRICE_MOVED when it did
    at the signal's price, so that the market has passed it since, else INVALID_SIGNAL.
    """
    stop_level, target_level = _levels(bot, signal)
    held = PositionSide.LONG if side is Side.BUY else PositionSide.SHORT
    stop = None if stop_level is None else _rounded(stop_level.stop_price(entry, held), instrument)
    target = None if target_level is None else _rounded(target_level.target_price(entry, held), instrument)
    notes = _notes(signal, stop_level)
    if target is not None and target <= 0:
        notes += (f"A target that far below {number(entry)} cannot be reached; none is set.",)
        target = None
    refusal = _misplaced("stop", stop, -held.sign, entry, signal) or _misplaced(
        "target", target, held.sign, entry, signal
    )
    return refusal or Protection(stop_price=stop, target_price=target, notes=notes)


def _levels(bot: Bot, signal: Signal | None) -> tuple[Level | None, Level | None]:
    stop = signal.stop_loss if signal else None
    targets = signal.take_profits if signal else ()
    target = targets[0] if targets else _percent_level(bot.take_profit_percent)
    return stop or _percent_level(bot.stop_loss_percent), target


def _percent_level(value: Decimal | None) -> Level | None:
    return None if value is None else Level(kind=LevelKind.PERCENT, value=value)


def _rounded(price: Decimal, instrument: Instrument) -> Decimal:
    # A distance may reach below zero, where no tick is defined.
    return instrument.round_price(price) if price > 0 else ZERO


def _notes(signal: Signal | None, stop: Level | None) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if stop is not None and stop.trailing:
        notes += ("The trailing stop stays at its first distance; it does not follow the price.",)
    if signal is not None and len(signal.take_profits) > 1:
        notes += (f"The first of {len(signal.take_profits)} targets closes the whole position.",)
    return notes


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
