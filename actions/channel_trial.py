"""What a message would come to in a signal channel; nothing is stored, sent or asked of a broker."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import intake
from core.bot import SizeMode
from core.order import OrderType
from core.plan import Code, Refusal
from core.signal import PositionSide, Signal
from database.signal_channels import SignalChannel
from intake import Unreadable
from signals import channel_rules, discord_text
from signals.discord_reading import Reading, TextSignal
from signals.levels import price_of
from signals.service import read_service_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a message is read, and what a channel would make of it.

    `signal` is as the channel enters it, None where it was not read or no channel was asked.
    `refusal` is the first that would be given; the broker and the account may give another.
    """

    reading: Reading
    signal: Signal | None = None
    refusal: Refusal | None = None

    @property
    def is_exit(self) -> bool:
        """Tell whether it only closes."""
        return self.signal is not None and channel_rules.is_exit(self.signal)

    @property
    def entry(self) -> Decimal | None:
        """Return the price of entry that it names, None for the market's."""
        return None if self.signal is None else channel_rules.entry_of(self.signal)

    @property
    def stop(self) -> Decimal | None:
        """Return the stop's price."""
        return None if self.signal is None else price_of(self.signal.stop_loss)

    @property
    def targets(self) -> tuple[Decimal, ...]:
        """Return the targets' prices, the nearest first."""
        levels = () if self.signal is None else self.signal.take_profits
        return tuple(price for level in levels if (price := price_of(level)) is not None)

    @property
    def is_limit(self) -> bool:
        """Tell whether it would wait at its price."""
        return self.signal is not None and self.signal.order_type is OrderType.LIMIT


def attempt(text: str, channel: SignalChannel | None, now: datetime) -> Trial:
    """Read a message as the Discord bot does and take it as the webhook server would, posted just now.

    Without a channel it is read alone.
    """
    reading = discord_text.read(text)
    if channel is None or not isinstance(reading, TextSignal):
        return Trial(reading=reading)
    return _taken(reading, channel, now)


def _taken(reading: TextSignal, channel: SignalChannel, now: datetime) -> Trial:
    fields = {**discord_text.fields_of(reading), "posted_at": now.isoformat(), "format": reading.format}
    body = json.dumps(fields).encode()
    beside = read_service_fields(body)
    understood = intake.read(body, "application/json", beside=beside)
    if isinstance(understood, Unreadable):
        return Trial(reading=reading, refusal=understood.refusal)
    plain = understood.signal
    refusal = channel_rules.entry_refusal(channel, plain, reading.format, now)
    signal = channel_rules.entered(channel, plain)
    return Trial(reading=reading, signal=signal, refusal=refusal or _later(channel, signal))


def _later(channel: SignalChannel, signal: Signal) -> Refusal | None:
    """Return what the channel's bot would refuse for certain."""
    if channel_rules.is_exit(signal):
        return None
    if signal.wanted is PositionSide.SHORT and not channel.allow_short:
        sentence = "This channel does not sell short: it would only close a long position."
        return Refusal(code=Code.SHORT_NOT_ALLOWED, sentence=sentence)
    if channel.size_mode is SizeMode.RISK_PERCENT and signal.stop_loss is None:
        sentence = "The size comes from the distance to the stop, and the message names none."
        return Refusal(code=Code.STOP_REQUIRED, sentence=sentence)
    return None
