"""Whether an order may go: the checks before an entry, and the one before an exit (trading.md §4).

A check is a function of the facts that returns nothing, or a coded reason with a sentence that
names the numbers. `ENTRY_CHECKS` is the order in which a user reads them; the first refusal wins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from core.bot import Bot, BotStatus, Connection, ConnectionStatus, TradingState
from core.instrument import Instrument, MarketClock, Quote
from core.money import ZERO
from core.order import Side
from core.plan import Code, Refusal
from core.signal import HUNDRED, Signal
from core.size import Size, entry_price, is_tradable, minimum_in_words
from core.trading_day import DayFigures
from core.wording import grouped, moment, money, number, percent, seconds


class Scope(StrEnum):
    """Where a kill switch can stand, as the sentence names it."""

    SERVER = "the whole server"
    USER = "your account"
    CONNECTION = "this connection"
    BOT = "this bot"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStates:
    """The four kill switches that stand over an order."""

    server: TradingState = TradingState.ACTIVE
    user: TradingState = TradingState.ACTIVE
    connection: TradingState = TradingState.ACTIVE
    bot: TradingState = TradingState.ACTIVE

    def first_in(self, state: TradingState) -> Scope | None:
        """Return the widest scope that is in `state`, None if there is none."""
        scopes = (
            (Scope.SERVER, self.server),
            (Scope.USER, self.user),
            (Scope.CONNECTION, self.connection),
            (Scope.BOT, self.bot),
        )
        return next((scope for scope, its_state in scopes if its_state is state), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherHolding:
    """What someone else holds in the same symbol of the same account: `quantity` is signed.

    `owner` is a bot's name, or words for a foreign holding. Entries of other bots that are still
    open belong here too.
    """

    owner: str
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """What the broker says. `quote` and `size` are None where it has no price to give.

    `account_gap` is the account position less the sum of the bots and the foreign holdings that
    the user acknowledged, signed.
    """

    instrument: Instrument
    clock: MarketClock
    account_gap: Decimal
    quote: Quote | None
    size: Size | Refusal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFacts:
    """Everything the checks before an entry look at. Money is in the connection's currency.

    `signal` is None for an entry that no signal asked for; `received_at` is when a signal arrived.
    `newest_sent_at` is the newest sending time among the bot's signals, `last_stop_out_at` the
    bot's last exit by stop or limit. `mismatch_since` stands while an unexplained gap waits for
    the user's decision. `open_positions` counts the connection's other bots that hold something or
    have an entry open. `broker` is None until the broker has been asked.
    """

    now: datetime
    bot: Bot
    connection: Connection
    states: TradingStates
    side: Side
    signal: Signal | None
    received_at: datetime | None
    newest_sent_at: datetime | None
    last_stop_out_at: datetime | None
    mismatch_since: datetime | None
    other_holdings: tuple[OtherHolding, ...]
    open_positions: int
    day: DayFigures
    broker: BrokerFacts | None = None


Check = Callable[[EntryFacts], Refusal | None]


def check_entry(facts: EntryFacts) -> Refusal | None:
    """Return the first refusal in the order of `ENTRY_CHECKS`, None when the entry may go.

    Raises ValueError without the broker's facts: half a check must not pass for a whole one.
    """
    if facts.broker is None:
        raise ValueError("an entry is checked with the broker's facts")
    return _first_refusal(ENTRY_CHECKS, facts)


def check_before_broker(facts: EntryFacts) -> Refusal | None:
    """Return the first refusal that needs no call to the broker; `check_entry` must still follow."""
    return _first_refusal(BEFORE_BROKER, facts)


def check_exit(states: TradingStates) -> Refusal | None:
    """Return the refusal of an exit: HALTED is the only thing that stops one."""
    return _kill_switch(states, TradingState.HALTED)


def check_switches(states: TradingStates) -> Refusal | None:
    """Return the refusal of an entry by the kill switch alone: HALTED and REDUCING both stop one."""
    return _kill_switch(states, TradingState.HALTED) or _kill_switch(states, TradingState.REDUCING)


def kill_switch(facts: EntryFacts) -> Refusal | None:
    """Refuse while a scope is HALTED or REDUCING."""
    return check_switches(facts.states)


def bot_disabled(facts: EntryFacts) -> Refusal | None:
    """Refuse for a bot that is switched off."""
    if facts.bot.is_active:
        return None
    why = " after it hit its risk limit" if facts.bot.status is BotStatus.RISK_LIMIT_HIT else ""
    return Refusal(
        code=Code.BOT_DISABLED,
        sentence=f"Bot {facts.bot.name} is disabled{why}; enable it to take entries.",
    )


def no_credentials(facts: EntryFacts) -> Refusal | None:
    """Refuse while the connection has no credentials; one that needs none counts as having them."""
    connection = facts.connection
    if connection.has_credentials:
        return None
    names = {"alpaca": "Alpaca", "blofin": "BloFin", "bybit": "Bybit", "binanceusdm": "Binance"}
    broker = names.get(connection.broker, connection.broker)
    return Refusal(
        code=Code.NO_CREDENTIALS,
        sentence=f"No {broker} API keys found for connection {connection.label}; enter them in Setup.",
    )


def connection_problem(facts: EntryFacts) -> Refusal | None:
    """Refuse while the connection cannot be used or reconciled."""
    connection = facts.connection
    if connection.status is not ConnectionStatus.PROBLEM:
        return None
    why = connection.last_error or "it could not be checked"
    return Refusal(
        code=Code.CONNECTION_PROBLEM,
        sentence=f"Connection {connection.label} takes no entries: {why}",
    )


def account_mismatch(facts: EntryFacts) -> Refusal | None:
    """Refuse while the account holds more or less of the symbol than the bots explain."""
    if facts.mismatch_since is not None:
        sentence = (
            f"Since {moment(facts.mismatch_since)} the account's {facts.bot.symbol} has not been what the"
            " bots hold; decide what belongs to whom before new entries."
        )
        return Refusal(code=Code.ACCOUNT_MISMATCH, sentence=sentence)
    broker = facts.broker
    if broker is None or broker.account_gap == 0 or broker.instrument.is_dust(broker.account_gap):
        return None
    more_or_less = "more" if broker.account_gap > 0 else "less"
    sentence = (
        f"The account holds {number(abs(broker.account_gap))} {facts.bot.symbol} {more_or_less} than the bots"
        " and the holdings you acknowledged add up to."
    )
    return Refusal(code=Code.ACCOUNT_MISMATCH, sentence=sentence)


def symbol_not_tradeable(facts: EntryFacts) -> Refusal | None:
    """Refuse what the broker does not trade."""
    if facts.broker is None or facts.broker.instrument.tradable:
        return None
    return not_tradeable(facts.bot.symbol, facts.connection, "it is not open for trading there")


def not_tradeable(symbol: str, connection: Connection, why: str) -> Refusal:
    """Make the refusal for a symbol that the broker does not know or does not trade, in its words."""
    return Refusal(
        code=Code.SYMBOL_NOT_TRADEABLE,
        sentence=f"{symbol} cannot be traded through connection {connection.label}: {why}.",
    )


def out_of_order(facts: EntryFacts) -> Refusal | None:
    """Refuse a signal that was sent before one the bot already has."""
    sent_at = facts.signal.sent_at if facts.signal else None
    if sent_at is None or facts.newest_sent_at is None or sent_at >= facts.newest_sent_at:
        return None
    behind = seconds(facts.newest_sent_at - sent_at)
    return Refusal(
        code=Code.OUT_OF_ORDER,
        sentence=f"Signal was sent {behind} before a newer one that this bot already has.",
    )


def signal_too_old(facts: EntryFacts) -> Refusal | None:
    """Refuse a signal past the bot's limit, by its arrival or its sending, whichever is earlier."""
    sent_at = facts.signal.sent_at if facts.signal else None
    known = [at for at in (facts.received_at, sent_at) if at is not None]
    limit = facts.bot.max_signal_age_seconds
    if not known:
        return None
    age = facts.now - min(known)
    if age <= timedelta(seconds=limit):
        return None
    return Refusal(
        code=Code.SIGNAL_TOO_OLD,
        sentence=f"Signal is {seconds(age)} old; this bot takes signals up to {limit} s old.",
    )


def outside_trading_window(facts: EntryFacts) -> Refusal | None:
    """Refuse outside the bot's hours, from the start to just before the end; they may cross midnight."""
    start, end = facts.bot.window_start, facts.bot.window_end
    if start is None or end is None or start == end:
        return None
    local = facts.now.astimezone(ZoneInfo(facts.bot.window_zone)).time()
    inside = start <= local < end if start < end else local >= start or local < end
    if inside:
        return None
    sentence = (
        f"It is {local:%H:%M} in {facts.bot.window_zone}; this bot enters from {start:%H:%M} to {end:%H:%M}."
    )
    return Refusal(code=Code.OUTSIDE_TRADING_WINDOW, sentence=sentence)


def market_closed(facts: EntryFacts) -> Refusal | None:
    """Refuse while the market is closed."""
    if facts.broker is None or facts.broker.clock.is_open:
        return None
    opens = facts.broker.clock.next_open
    when = f"; it opens at {moment(opens)}" if opens else ""
    return Refusal(code=Code.MARKET_CLOSED, sentence=f"The market for {facts.bot.symbol} is closed{when}.")


def no_price(facts: EntryFacts) -> Refusal | None:
    """Refuse while there is nothing to size by: no quote, or a side of it that stands at zero."""
    if facts.broker is None or _price(facts, facts.broker) > 0:
        return None
    wanted = "ask" if facts.side is Side.BUY else "bid"
    return not_tradeable(facts.bot.symbol, facts.connection, f"there is no {wanted} price now")


def cooldown(facts: EntryFacts) -> Refusal | None:
    """Refuse for some minutes after the bot was stopped out."""
    minutes, stopped_at = facts.bot.cooldown_minutes, facts.last_stop_out_at
    if not minutes or stopped_at is None:
        return None
    left = stopped_at + timedelta(minutes=minutes) - facts.now
    if left <= timedelta(0):
        return None
    sentence = (
        f"The bot was stopped out at {moment(stopped_at)} and waits {minutes} minutes before it enters again;"
        f" {seconds(left)} are left."
    )
    return Refusal(code=Code.COOLDOWN, sentence=sentence)


def opposite_position(facts: EntryFacts) -> Refusal | None:
    """Refuse an entry against what another bot or someone else holds in the account."""
    if facts.broker is None or facts.connection.allow_netting:
        return None
    for other in facts.other_holdings:
        if other.quantity * facts.side.sign < 0 and not facts.broker.instrument.is_dust(other.quantity):
            return _opposite(facts, other)
    return None


def max_open_positions(facts: EntryFacts) -> Refusal | None:
    """Refuse when the connection has as many positions and open entries as it may."""
    most = facts.connection.max_open_positions
    if most is None or facts.open_positions < most:
        return None
    sentence = f"{facts.open_positions} positions and entries are open; this connection takes at most {most}."
    return Refusal(code=Code.MAX_OPEN_POSITIONS, sentence=sentence)


def max_position_size(facts: EntryFacts) -> Refusal | None:
    """Refuse when a maximum leaves nothing tradable of a size that was tradable."""
    size = _size(facts)
    if size is None or not _tradable(size, size.wanted) or _tradable(size, size.allowed):
        return None
    return Refusal(code=Code.MAX_POSITION_SIZE, sentence=_nothing_left(size))


def daily_loss_limit(facts: EntryFacts) -> Refusal | None:
    """Refuse when today's loss has reached the bot's limit."""
    limit = facts.bot.daily_loss_limit
    if limit is None or facts.day.loss < limit:
        return None
    sentence = (
        f"The bot has lost {money(facts.day.loss)} today; its daily loss limit is {money(limit)}."
        " It enters again when the day turns."
    )
    return Refusal(code=Code.DAILY_LOSS_LIMIT, sentence=sentence)


def price_moved(facts: EntryFacts) -> Refusal | None:
    """Refuse when the market is further from the signal's price, or its range, than the bot allows, either way."""
    limit = facts.bot.max_price_deviation_percent
    seen = facts.signal.price if facts.signal else None
    if facts.broker is None or limit is None or not seen:
        return None
    price = _price(facts, facts.broker)
    low, high = facts.signal.entry_range if facts.signal and facts.signal.entry_range else (seen, seen)
    seen = min(max(price, low), high)
    moved = abs(price - seen) * HUNDRED / seen
    if moved <= limit:
        return None
    sentence = (
        f"The price is {grouped(price)}, {percent(moved)} from the signal's {grouped(seen)};"
        f" this bot takes up to {percent(limit)}."
    )
    return Refusal(code=Code.PRICE_MOVED, sentence=sentence)


def size_too_small(facts: EntryFacts) -> Refusal | None:
    """Refuse a size below what the broker takes, or one that cannot be told."""
    if facts.broker is None:
        return None
    if isinstance(facts.broker.size, Refusal):
        return facts.broker.size
    size = _size(facts)
    if size is None or _tradable(size, size.wanted):
        return None
    sentence = (
        f"The size comes to {number(_shown(size.asked))} at {grouped(size.request.price)};"
        f" {minimum_in_words(size.request.instrument)}."
    )
    return Refusal(code=Code.SIZE_TOO_SMALL, sentence=sentence)


def insufficient_buying_power(facts: EntryFacts) -> Refusal | None:
    """Refuse when the buying power leaves nothing tradable."""
    size = _size(facts)
    if size is None or not _tradable(size, size.allowed) or _tradable(size, size.quantity):
        return None
    return Refusal(code=Code.INSUFFICIENT_BUYING_POWER, sentence=_nothing_left(size))


ENTRY_CHECKS: tuple[Check, ...] = (
    kill_switch,
    bot_disabled,
    no_credentials,
    connection_problem,
    account_mismatch,
    symbol_not_tradeable,
    out_of_order,
    signal_too_old,
    outside_trading_window,
    market_closed,
    no_price,
    cooldown,
    opposite_position,
    max_open_positions,
    max_position_size,
    daily_loss_limit,
    price_moved,
    size_too_small,
    insufficient_buying_power,
)
NEEDS_BROKER: frozenset[Check] = frozenset(
    {
        symbol_not_tradeable,
        market_closed,
        no_price,
        opposite_position,
        max_position_size,
        price_moved,
        size_too_small,
        insufficient_buying_power,
    }
)
BEFORE_BROKER = tuple(check for check in ENTRY_CHECKS if check not in NEEDS_BROKER)


def _first_refusal(checks: tuple[Check, ...], facts: EntryFacts) -> Refusal | None:
    refusals = (check(facts) for check in checks)
    return next((refusal for refusal in refusals if refusal is not None), None)


def _kill_switch(states: TradingStates, state: TradingState) -> Refusal | None:
    scope = states.first_in(state)
    if scope is None:
        return None
    effect = "nothing at all is sent" if state is TradingState.HALTED else "only exits go through"
    who = "An administrator sets it" if scope is Scope.SERVER else "Set it"
    sentence = f"Trading is {state} for {scope}: {effect}. {who} back to ACTIVE to trade again."
    return Refusal(code=Code.KILL_SWITCH, sentence=sentence)


def _opposite(facts: EntryFacts, other: OtherHolding) -> Refusal:
    held = "long" if other.quantity > 0 else "short"
    sentence = (
        f"{other.owner} holds {number(abs(other.quantity))} {facts.bot.symbol} {held} in the same account;"
        f" a {facts.side} would work against it. The connection can allow netting in Setup."
    )
    return Refusal(code=Code.OPPOSITE_POSITION, sentence=sentence)


def _price(facts: EntryFacts, broker: BrokerFacts) -> Decimal:
    return ZERO if broker.quote is None else entry_price(broker.quote, facts.side)


def _size(facts: EntryFacts) -> Size | None:
    """Return the size, None where it is refused already; without one no entry may pass."""
    if facts.broker is None or isinstance(facts.broker.size, Refusal):
        return None
    if facts.broker.size is None:
        raise ValueError("an entry with a price is checked with its size")
    return facts.broker.size


def _tradable(size: Size, quantity: Decimal) -> bool:
    return is_tradable(size.request.instrument, quantity, size.request.price)


def _nothing_left(size: Size) -> str:
    return f"{' '.join(size.caps)} {minimum_in_words(size.request.instrument)}."


def _shown(quantity: Decimal) -> Decimal:
    return quantity.quantize(Decimal("0.00000001")) if quantity else quantity
