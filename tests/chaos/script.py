"""What is sent and what goes wrong in a run, and when: a pure function of seed and scale."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from brokers.base import BrokerName
from tests.chaos.cast import PERPETUALS, POST_SYMBOLS, Seat, User, seats, users
from tests.chaos.scale import Scale


class Trouble(StrEnum):
    """What can go wrong; the word behind the dot is what it happens to."""

    KILL_WEBHOOK = "kill.webhook"
    KILL_WEBHOOK_CHILD = "kill.webhook-child"
    KILL_WORKER = "kill.worker"
    KILL_WATCH = "kill.watch"
    KILL_LISTENER = "kill.mqtt"
    KILL_BOT = "kill.discord"
    KILL_REVERSAL = "kill.reversal"
    KILL_DASHBOARD = "kill.dashboard"
    FREEZE_WORKER = "freeze.worker"
    FREEZE_WATCH = "freeze.watch"
    STALL_WORKER = "stall.worker"
    RESTART_DATABASE = "restart.database"
    CRASH_DATABASE = "crash.database"
    DEAFEN_WORKERS = "deafen.worker"
    KILL_MQTT_BROKER = "kill.mosquitto"
    CUT_ALPACA = "cut.alpaca"
    SLOW_ALPACA = "slow.alpaca"
    SILENCE_ALPACA = "silence.alpaca"
    WRONG_ALPACA = "wrong.alpaca"
    DROP_STREAMS = "drop.alpaca"
    CUT_BLOFIN = "cut.blofin"
    SLOW_BLOFIN = "slow.blofin"
    SILENCE_BLOFIN = "silence.blofin"
    WRONG_BLOFIN = "wrong.blofin"
    CUT_DISCORD = "cut.discord"
    SLOW_DISCORD = "slow.discord"
    SILENCE_DISCORD = "silence.discord"
    WRONG_DISCORD = "wrong.discord"
    DROP_GATEWAY = "drop.gateway"
    CUT_MQTT = "cut.mosquitto"
    SLOW_MQTT = "slow.mosquitto"
    SILENCE_MQTT = "silence.mosquitto"
    STOCKS_FALL = "fall.alpaca"
    COINS_FALL = "fall.blofin"

    @property
    def deed(self) -> str:
        """Return what is done."""
        return self.value.partition(".")[0]

    @property
    def victim(self) -> str:
        """Return to what it is done."""
        return self.value.partition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One trouble: when it begins, in seconds of the storm, and how long it lasts where it lasts."""

    at: float
    trouble: Trouble
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDeed:
    """One alert of a sender.

    `skew` is how many seconds the sender's clock is off, None where no time is sent. One that is `named`
    carries an id and a time and is sent until it is answered, as services do, and `copies` says after how many
    seconds each it is sent again all the same. The others are sent once, as TradingView does: what has no id
    is meant anew where another alert came in between.
    """

    number: int
    at: float
    seat: int
    action: str
    skew: float | None
    named: bool
    copies: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDeed:
    """One message of a watched bot over MQTT; `copies` says how often it is sent again."""

    number: int
    at: float
    bot: int
    kind: str
    skew: float
    copies: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PostDeed:
    """One message in the Discord channel; `is_signal` says that it is one."""

    number: int
    at: float
    text: str
    is_signal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A whole run."""

    seed: int
    scale: Scale
    users: list[User]
    seats: list[Seat]
    strikes: list[Strike] = field(repr=False)
    alerts: list[AlertDeed] = field(repr=False)
    messages: list[MessageDeed] = field(repr=False)
    posts: list[PostDeed] = field(repr=False)


# Longer than an order may be sent, is waited for and is in doubt: by then others have concluded without it
STALL_SECONDS = 32.0
# How wrong the clock of a sender is, in seconds, and how often
SKEWS = ((0.0, 80), (None, 6), (-45.0, 5), (20.0, 4), (-900.0, 3), (900.0, 2))
WATCHED = 3
MESSAGE_KINDS = ("trade", "trade", "trade", "balance", "heartbeat")
MESSAGE_SKEWS = ((0.0, 85), (-7200.0, 5), (7200.0, 5), (-90.0, 5))
PERPETUAL_DIGITS = {name: len(price.partition(".")[2]) + 2 for name, price in PERPETUALS.items()}


def script(seed: int, scale: Scale) -> Script:
    """Return the run of a seed; each thing has chances of its own, so that one changed leaves the others."""
    everybody = users(scale)
    places = seats(scale, everybody)
    return Script(
        seed=seed, scale=scale, users=everybody, seats=places,
        strikes=list(_strikes(random.Random(f"{seed} strikes"), scale)),
        alerts=sorted(_alerts(random.Random(f"{seed} alerts"), scale, everybody, places), key=lambda each: each.at),
        messages=sorted(_messages(random.Random(f"{seed} messages"), scale), key=lambda each: each.at),
        posts=sorted(_posts(random.Random(f"{seed} posts"), scale), key=lambda each: each.at),
    )  # fmt: skip


def is_possible(trouble: Trouble, scale: Scale) -> bool:
    """Tell whether a trouble has its place in a run: a worker that stalls needs another one and its time."""
    has_room = scale.workers > 1 and scale.storm_seconds > 2 * STALL_SECONDS
    return trouble is not Trouble.STALL_WORKER or has_room


def _strikes(chances: random.Random, scale: Scale) -> Iterator[Strike]:
    """Give troubles one after the other, each kind as often as any other."""
    deck: list[Trouble] = []
    at = scale.trouble_seconds
    while at < scale.storm_seconds - scale.longest_outage:
        if not deck:
            deck = [each for each in Trouble if is_possible(each, scale)]
            chances.shuffle(deck)
        trouble, seconds = deck.pop(), chances.uniform(scale.longest_outage / 4, scale.longest_outage)
        if trouble is Trouble.STALL_WORKER:
            seconds = STALL_SECONDS
        if at + seconds < scale.storm_seconds:
            yield Strike(at=at, trouble=trouble, seconds=round(seconds, 2))
        at += chances.uniform(0.5, 1.5) * scale.trouble_seconds


def _alerts(
    chances: random.Random, scale: Scale, everybody: list[User], places: list[Seat]
) -> Iterator[AlertDeed]:
    # BloFin's limit of calls holds back whoever is told more often
    weights = [0.5 if everybody[seat.user].broker is BrokerName.BLOFIN else 1.0 for seat in places]
    for number in range(scale.alerts):
        seat = chances.choices(places, weights)[0]
        skew = _chosen(chances, SKEWS)
        is_named = skew is not None and chances.random() < 0.85
        copies = chances.choices((0, 1, 2), (70, 20, 10))[0] if is_named else 0
        yield AlertDeed(
            number=number,
            at=chances.uniform(0, scale.storm_seconds),
            seat=seat.number,
            action=_action(chances, seat),
            skew=skew,
            named=is_named,
            copies=tuple(round(chances.uniform(0, 15), 2) for _ in range(copies)),
        )


def _action(chances: random.Random, seat: Seat) -> str:
    if seat.part.limit_price is not None:
        return chances.choice(("buy", "close"))
    if seat.part.stop is not None:
        return chances.choices(("buy", "sell", "close"), (6, 2, 1))[0]
    return chances.choices(("buy", "sell", "close"), (4, 4, 2))[0]


def _messages(chances: random.Random, scale: Scale) -> Iterator[MessageDeed]:
    for number in range(scale.messages):
        yield MessageDeed(
            number=number,
            at=chances.uniform(0, scale.storm_seconds),
            bot=chances.randrange(WATCHED),
            kind=chances.choice(MESSAGE_KINDS),
            skew=_chosen(chances, MESSAGE_SKEWS) or 0.0,
            copies=chances.choices((0, 1, 3), (85, 10, 5))[0],
        )


def _posts(chances: random.Random, scale: Scale) -> Iterator[PostDeed]:
    for number in range(scale.posts):
        symbol = chances.choice(POST_SYMBOLS)
        is_signal = chances.random() < 0.85
        yield PostDeed(
            number=number,
            at=chances.uniform(0, scale.storm_seconds),
            text=_text(chances, symbol) if is_signal else f"what do you all think of number {number}?",
            is_signal=is_signal,
        )


def _text(chances: random.Random, symbol: str) -> str:
    price, digits = float(PERPETUALS[symbol]), PERPETUAL_DIGITS[symbol]
    if chances.random() < 0.3:
        return f"close {symbol.partition('-')[0]}"
    side, sign = chances.choice((("LONG", 1), ("SHORT", -1)))
    entry, stop, target = (price * (1 + sign * share) for share in (0.0, -0.05, 0.08))
    return f"{side} {symbol} {entry:.{digits}f}/{stop:.{digits}f}/{target:.{digits}f}"


def _chosen(chances: random.Random, weighted: tuple[tuple[float | None, int], ...]) -> float | None:
    values, weights = zip(*weighted, strict=True)
    return chances.choices(values, weights)[0]
