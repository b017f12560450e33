"""How much is borrowed for an entry, and where the broker would end it (trading.md §7)."""

from decimal import Decimal

from core.bot import Bot
from core.instrument import Instrument
from core.money import ZERO
from core.order import MarginMode, Side
from core.plan import Code, Refusal
from core.signal import Signal
from core.size import Size
from core.wording import grouped, number

NONE = 1
# More than any of our exchanges takes of a taker
CLOSING_FEE = Decimal("0.001")


def leverage_for(bot: Bot, signal: Signal | None, instrument: Instrument) -> int | Refusal:
    """Return the leverage of an entry at a broker that lends, or why it is too high.

    The signal's own counts up to the bot's maximum, else the bot's; whole numbers, rounded down.
    """
    asked = signal.leverage if signal else None
    most = bot.max_leverage or bot.leverage or NONE
    if asked is not None and asked > most:
        sentence = f"The signal asks for {number(asked)}x; this bot takes up to {most}x."
        return Refusal(code=Code.LEVERAGE_TOO_HIGH, sentence=sentence)
    leverage = int(asked) if asked is not None else bot.leverage or NONE
    if instrument.maximum_leverage is not None and leverage > instrument.maximum_leverage:
        sentence = (
            f"{instrument.symbol} is traded with up to {instrument.maximum_leverage}x, not {leverage}x."
        )
        return Refusal(code=Code.LEVERAGE_TOO_HIGH, sentence=sentence)
    return leverage


def liquidation_price(size: Size, margin_mode: MarginMode, leverage: int) -> Decimal | None:
    """Return about where the broker would liquidate a position of this size; None where never.

    Isolated margin: what the entry itself ties up stands for it. Cross: all free margin does. Either
    way the loss may eat that up to the maintenance margin and the fee of closing, both of the value at
    that price. Other positions are left out, so the stop must lie nearer than this, never at it.
    """
    request = size.request
    value = size.quantity * request.price
    if not value:
        return None
    sign, entry = request.side.sign, request.price
    backing = value / leverage if margin_mode is MarginMode.ISOLATED else max(request.buying_power, ZERO)
    kept = request.instrument.maintenance_rate + CLOSING_FEE
    price = (entry - sign * backing / size.quantity) / (1 - sign * kept)
    if (price - entry) * sign > 0:
        return entry
    return price if price > 0 else None


def liquidation_before_stop(size: Size, margin_mode: MarginMode, leverage: int) -> Refusal | None:
    """Refuse a stop that lies behind the liquidation: the broker would be there first, at a worse price."""
    stop, price = size.request.stop_price, liquidation_price(size, margin_mode, leverage)
    if stop is None or price is None or (stop - price) * size.request.side.sign > 0:
        return None
    side = "long" if size.request.side is Side.BUY else "short"
    sentence = (
        f"With {leverage}x {margin_mode} margin a {side} from {grouped(size.request.price)} would be liquidated"
        f" at about {grouped(size.request.instrument.round_price(price))}, before its stop at {grouped(stop)}."
        " Take less leverage or a nearer stop."
    )
    return Refusal(code=Code.LIQUIDATION_BEFORE_STOP, sentence=sentence)
