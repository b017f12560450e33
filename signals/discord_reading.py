"""Say what a Discord message was read as: nothing, a refusal with its reason, or a signal."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.order import MarginMode
from core.plan import Code
from core.signal import Action, PositionSide, QuantityMode


class SignalFormat(StrEnum):
    """How a signal was written; a channel takes all of them or a choice."""

    STANDARD = "STANDARD"
    COMPACT = "COMPACT"
    EMOJI = "EMOJI"
    ALERT_CARD = "ALERT_CARD"
    TARGET_LIST = "TARGET_LIST"
    TRADERSPOST = "TRADERSPOST"
    CLOSE = "CLOSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that was understood: what it is, the text it was read from, the value it gave.

    `value` is empty where the text was known and has no meaning for the trade.
    """

    what: str
    text: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSignal:
    """The message asks for no trade: nothing is stored and nobody is told. `why` is a sentence."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedSignal:
    """The message looks like a signal and must not trade. `sentence` tells the author what to write.

    `format` is None where the message was not understood far enough to have one.
    """

    code: Code
    sentence: str
    format: SignalFormat | None = None
    explanation: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSignal:
    """A signal that was read whole and agrees with itself.

    `symbol` is `BTC-USDT`. `entry` None means at market. With an `entry_range` (lower, upper) it is the
    edge that a price coming from outside the trade reaches first: the upper of a long, the lower of a
    short. `stop_loss` None means that none was written; whether that is enough is the channel's choice.
    `take_profits` go away from the entry. `closes` is the side a CLOSE named, `coin` what it named without
    its other half, so that it means whichever pair of it is held; `quantity` what the author wrote of the
    size.
    """

    format: SignalFormat
    action: Action
    symbol: str
    entry: Decimal | None = None
    entry_range: tuple[Decimal, Decimal] | None = None
    stop_loss: Decimal | None = None
    take_profits: tuple[Decimal, ...] = ()
    leverage: Decimal | None = None
    margin_mode: MarginMode | None = None
    quantity: Decimal | None = None
    quantity_mode: QuantityMode = QuantityMode.UNITS
    closes: PositionSide | None = None
    coin: str | None = None
    explanation: tuple[Part, ...] = ()

    @property
    def summary(self) -> str:
        """Return the signal in one line: `BUY BTC-USDT entry 60000 stop 58000 targets 65000 66000`."""
        words = [self.action.value, self.symbol, *self._entry_words()]
        if self.stop_loss is not None:
            words += ["stop", str(self.stop_loss)]
        if self.take_profits:
            words += ["targets", *map(str, self.take_profits)]
        if self.leverage is not None:
            words += ["leverage", str(self.leverage)]
        if self.quantity is not None:
            words += ["size", str(self.quantity), self.quantity_mode.lower()]
        return " ".join(words)

    def _entry_words(self) -> list[str]:
        if self.action is Action.CLOSE:
            return [] if self.closes is None else [self.closes.lower()]
        if self.entry_range is not None:
            return ["entry", "-".join(map(str, self.entry_range))]
        return ["market"] if self.entry is None else ["entry", str(self.entry)]


Reading = NoSignal | RefusedSignal | TextSignal
