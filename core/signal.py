"""What a sender asked for, in our own words: the one type that every source is turned into."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.instrument import symbol_key
from core.money import ZERO
from core.order import OrderType

HUNDRED = Decimal(100)


class Action(StrEnum):
    BUY = "BUY"
    SELL = "SELL"
    CLOSE = "CLOSE"

    @property
    def wanted(self) -> "PositionSide":
        """Return the position side this action asks for when no position is stated."""
        return _WANTED[self]


class PositionSide(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    FLAT = "FLAT"

    @property
    def sign(self) -> int:
        return {PositionSide.LONG: 1, PositionSide.SHORT: -1, PositionSide.FLAT: 0}[self]


class QuantityMode(StrEnum):
    """What the number in `Signal.quantity` counts.

    UNITS: shares, coins or contracts. NOTIONAL and RISK_AMOUNT: quote currency, traded or lost
    at the stop. The percents are 0 to 100 of equity, of equity lost at the stop, of what is held.
    """

    UNITS = "UNITS"
    NOTIONAL = "NOTIONAL"
    RISK_AMOUNT = "RISK_AMOUNT"
    RISK_PERCENT = "RISK_PERCENT"
    PERCENT_OF_EQUITY = "PERCENT_OF_EQUITY"
    PERCENT_OF_POSITION = "PERCENT_OF_POSITION"


class LevelKind(StrEnum):
    PRICE = "PRICE"
    PERCENT = "PERCENT"
    AMOUNT = "AMOUNT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A stop or a target: a price, or a distance from the entry in percent (0 to 100) or price units.

    A trailing level follows the price at its distance; it is always a distance. `value` is positive.
    """

    kind: LevelKind
    value: Decimal
    trailing: bool = False

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise ValueError(f"a level must be above zero, got {self.value}")
        if self.trailing and self.kind is LevelKind.PRICE:
            raise ValueError("a trailing level is a distance, not a price")

    def __str__(self) -> str:
        """Return the level as a trader writes it: `150`, `5%`, `2 trailing`."""
        unit = {LevelKind.PRICE: "", LevelKind.PERCENT: "%", LevelKind.AMOUNT: " away"}[self.kind]
        return f"{self.value}{unit}{' trailing' if self.trailing else ''}"

    def stop_price(self, entry: Decimal, side: PositionSide) -> Decimal:
        """Return where this stop lies for a position of `side` entered at `entry`; may be below zero."""
        return self._price(entry, -side.sign)

    def target_price(self, entry: Decimal, side: PositionSide) -> Decimal:
        """Return where this target lies for a position of `side` entered at `entry`; may be below zero."""
        return self._price(entry, side.sign)

    def _price(self, entry: Decimal, direction: int) -> Decimal:
        if self.kind is LevelKind.PRICE:
            return self.value
        distance = self.value if self.kind is LevelKind.AMOUNT else entry * self.value / HUNDRED
        return entry + direction * distance


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One instruction as understood, before any bot or account is looked at.

    `symbol` is upper case without exchange prefix and `.P`; compare symbols by `symbol_key` only.
    `exchange` is the prefix (`NASDAQ`) where one came. `timeframe` is in the form of `core.timeframe`.
    `price` is what the sender saw. `position_after` and `position_before` are what the sender's strategy
    holds after and before this signal, `position_size` how much after it, signed if the sender signs it.
    `sent_at` is when it was sent, `bar_time` the bar's time, which never decides about age.
    `bot` is a name or an id. `leverage` is the sender's wish, `entry_range` the lower and the upper price
    between which the entry is meant. `extras` holds the fields nobody understood, as JSON values.
    """

    action: Action
    symbol: str
    exchange: str | None = None
    timeframe: str | None = None
    price: Decimal | None = None
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_loss: Level | None = None
    take_profits: tuple[Level, ...] = ()
    quantity: Decimal | None = None
    quantity_mode: QuantityMode = QuantityMode.UNITS
    position_after: PositionSide | None = None
    position_before: PositionSide | None = None
    position_size: Decimal | None = None
    sender_id: str | None = None
    sent_at: datetime | None = None
    bar_time: datetime | None = None
    bot: str | None = None
    test: bool = False
    leverage: Decimal | None = None
    entry_range: tuple[Decimal, Decimal] | None = None
    extras: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.order_type is OrderType.LIMIT) != (self.limit_price is not None):
            raise ValueError("limit_price belongs to limit signals and only to them")
        if self.order_type not in (OrderType.MARKET, OrderType.LIMIT):
            raise ValueError(f"a signal enters by market or limit, got {self.order_type}")
        if self.quantity is not None and self.quantity <= 0:
            raise ValueError(f"quantity must be above zero, got {self.quantity}")
        if self.quantity_mode is QuantityMode.PERCENT_OF_POSITION and (self.quantity or ZERO) > HUNDRED:
            raise ValueError(f"no more than the whole position can be meant, got {self.quantity} %")
        if self.leverage is not None and self.leverage < 1:
            raise ValueError(f"leverage must be at least 1, got {self.leverage}")
        if self.entry_range is not None and not ZERO < self.entry_range[0] <= self.entry_range[1]:
            raise ValueError(f"an entry range is a lower and an upper price, got {self.entry_range}")
        for moment in (self.sent_at, self.bar_time):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("a time must carry its zone")

    @property
    def symbol_key(self) -> str:
        return symbol_key(self.symbol)

    @property
    def wanted(self) -> PositionSide:
        """Return the side the sender wants to hold after this signal; ask `is_partial_exit` first.

        A stated position beats the action: `flat` closes whatever the action is.
        """
        return self.position_after or self.action.wanted

    @property
    def is_partial_exit(self) -> bool:
        """Tell whether this signal reduces a position and keeps its side.

        So reads an action against the stated position with a quantity (long + sell + contracts),
        and a share below 100 % of the position on a close.
        """
        return self.quantity is not None and (self._reduces_stated_position or self._closes_a_share)

    @property
    def partial_exit_fraction(self) -> Decimal | None:
        """Return the share of the bot's own quantity that a partial exit trades, above 0 and at most 1.

        It is contracts ÷ (contracts + |position size|), position size being what is left afterwards.
        None: this is no partial exit, or the share cannot be known, and then `contradiction` says why.
        """
        if self.quantity is None or not self.is_partial_exit:
            return None
        if self.quantity_mode is QuantityMode.PERCENT_OF_POSITION:
            return self.quantity / HUNDRED
        if self.quantity_mode is not QuantityMode.UNITS or not self.position_size:
            return None
        return self.quantity / (self.quantity + abs(self.position_size))

    @property
    def contradiction(self) -> str | None:
        """Return the sentence for CONTRADICTORY_SIGNAL, or None when the fields agree with each other."""
        return self._size_against_position() or self._action_against_position()

    @property
    def _acts_against_position(self) -> bool:
        stated = self.position_after
        return stated not in (None, PositionSide.FLAT) and stated is not self.action.wanted

    @property
    def _reduces_stated_position(self) -> bool:
        return self._acts_against_position and self.position_before in (None, self.position_after)

    @property
    def _closes_a_share(self) -> bool:
        share = self.quantity if self.quantity_mode is QuantityMode.PERCENT_OF_POSITION else None
        flat_meant = self.action is Action.CLOSE and self.position_after is None
        return flat_meant and share is not None and share < HUNDRED

    def _size_against_position(self) -> str | None:
        if self.position_after is None or self.position_size is None or self._size_fits_position:
            return None
        after = self.position_after.lower()
        return f"The message says the position is {after} but its size is {self.position_size}."

    @property
    def _size_fits_position(self) -> bool:
        size = self.position_size or ZERO
        if self.position_after is PositionSide.FLAT:
            return size == ZERO
        # A short's size comes as -5 or as 5, depending on which of TradingView's two placeholders is used.
        return size > ZERO if self.position_after is PositionSide.LONG else size != ZERO

    def _action_against_position(self) -> str | None:
        if not self._acts_against_position or self.partial_exit_fraction is not None:
            return None
        after = str(self.position_after).lower()
        clash = f"The action is {self.action} but the position wanted afterwards is {after}."
        if self.is_partial_exit:
            return f"{clash} To sell part of a position, send its position_size too."
        return f"{clash} Only a quantity could explain that, as part of the position being closed."


_WANTED = {
    Action.BUY: PositionSide.LONG,
    Action.SELL: PositionSide.SHORT,
    Action.CLOSE: PositionSide.FLAT,
}
