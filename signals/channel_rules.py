"""What a channel's registration makes of a signal: which it refuses, and how it enters. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from core.order import OrderType
from core.plan import Code, Refusal
from core.signal import PositionSide, Signal
from core.wording import grouped, number, seconds
from database.signal_channels import EntryMode, SignalChannel
from signals.levels import price_of


def entry_refusal(
    channel: SignalChannel, signal: Signal | None, form: str | None, now: datetime
) -> Refusal | None:
    """Refuse an entry in a format that is not taken, too old, without its stop, or with too much leverage.

    `signal` is None where the message was not understood. `form` is the name of its format. Exits always pass.
    """
    if signal is None:
        return _format(channel, form)
    if is_exit(signal):
        return None
    checks = (
        _format(channel, form),
        _too_old(channel, signal, now),
        _beside_range(signal),
        _no_stop(channel, signal),
        _leverage(channel, signal),
    )
    return next((refusal for refusal in checks if refusal), None)


def is_exit(signal: Signal) -> bool:
    """Tell whether a signal only closes."""
    return signal.wanted is PositionSide.FLAT or signal.is_partial_exit


def entered(channel: SignalChannel, signal: Signal, *, market_meant: bool = False) -> Signal:
    """Return the signal as the channel enters it: by a limit order at the entry, or at the market.

    Of a range the entry is the nearer edge: the upper one for a long, the lower one for a short. At the
    market the entry is the price that was seen, from which the market may have moved only so far.
    `market_meant`: the message itself says so, beside a price.
    """
    entry = entry_of(signal)
    plain = replace(signal, bot=None, timeframe=None)
    if is_exit(signal) or entry is None:
        return plain
    if channel.entry_mode is EntryMode.MARKET or market_meant:
        return replace(plain, order_type=OrderType.MARKET, limit_price=None, price=entry)
    return replace(plain, order_type=OrderType.LIMIT, limit_price=entry, price=None)


def entry_of(signal: Signal) -> Decimal | None:
    """Return the price at which the sender would enter, None where none was named."""
    if signal.entry_range is not None:
        low, high = signal.entry_range
        return high if signal.wanted is PositionSide.LONG else low
    return signal.limit_price or signal.price


def _format(channel: SignalChannel, form: str | None) -> Refusal | None:
    if channel.takes_format(form):
        return None
    allowed = ", ".join(sorted(channel.formats))
    came = f"is written in the format {form}" if form else "does not say in which format it is written"
    sentence = f"The message {came}; this channel takes: {allowed}."
    return Refusal(code=Code.FORMAT_NOT_ALLOWED, sentence=sentence)


def _too_old(channel: SignalChannel, signal: Signal, now: datetime) -> Refusal | None:
    limit = channel.max_signal_age_seconds
    age = now - signal.sent_at if signal.sent_at else timedelta(0)
    if age <= timedelta(seconds=limit):
        return None
    sentence = f"The message is {seconds(age)} old; this channel takes entries up to {limit} s old."
    return Refusal(code=Code.SIGNAL_TOO_OLD, sentence=sentence)


def _no_stop(channel: SignalChannel, signal: Signal) -> Refusal | None:
    if signal.stop_loss is not None or not channel.stop_required:
        return None
    sentence = "The message names no stop-loss, and this channel enters only with one."
    return Refusal(code=Code.STOP_REQUIRED, sentence=sentence)


def _leverage(channel: SignalChannel, signal: Signal) -> Refusal | None:
    if signal.leverage is None or signal.leverage <= channel.max_leverage:
        return None
    wanted, most = number(signal.leverage), channel.max_leverage
    sentence = f"The message asks for leverage {wanted}x; this channel takes up to {most}x."
    return Refusal(code=Code.LEVERAGE_TOO_HIGH, sentence=sentence)


def _beside_range(signal: Signal) -> Refusal | None:
    """Refuse a stop or target that lies inside the range of entries, or on its wrong side."""
    if signal.entry_range is None:
        return None
    low, high = signal.entry_range
    for name, price, sign in _prices(signal):
        far = high if sign > 0 else low
        if (price - far) * sign <= 0:
            side = "above" if sign > 0 else "below"
            entries = f"the entries from {grouped(low)} to {grouped(high)}"
            sentence = f"The {name} at {grouped(price)} is not {side} {entries}."
            return Refusal(code=Code.INVALID_SIGNAL, sentence=sentence)
    return None


def _prices(signal: Signal) -> Iterator[tuple[str, Decimal, int]]:
    """Give each level that is a price, with the direction from the entry in which it must lie."""
    sign = signal.wanted.sign
    if (stop := price_of(signal.stop_loss)) is not None:
        yield "stop-loss", stop, -sign
    for level in signal.take_profits:
        if (target := price_of(level)) is not None:
            yield "take-profit", target, sign
