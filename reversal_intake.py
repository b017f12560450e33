"""Hand what a scan found to the bots that trade it by themselves: one signal for each bot and bar, at most.

A bot of the source `reversal` takes the scores of its own pair and timeframe. Nothing that comes in over the
webhook, the API or Discord reaches it, and no score reaches a bot of another source. Where a recording is
played, its signals go to the paper broker that comes along and to no other.
"""

import json
import logging
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import psycopg2

from core.instrument import symbol_key
from core.pips import Direction
from core.reversal import RULES, Score
from core.signal import Action, Level, LevelKind, Signal
from database import health, inbox, reversal_scores, reversal_wants
from database.inbox import Arrival, Sender
from database.pool import Database
from database.reversal_wants import SOURCE, ScoreBot
from log import about_signal

FINEST_PERCENT = Decimal("0.0001")

logger = logging.getLogger(__name__)


class Untraded(StrEnum):
    """Why a bot does not trade a signal of its pair and timeframe, in the order in which it is looked at."""

    OLDER = "the bot is younger than the bar"
    RECORDING = "a recording is traded at the paper broker alone"
    RULES_ONLY = "only signals of the model are wanted"
    NO_EDGE = "no edge shown"
    UNSURE = "below the confidence wanted"


def offer(database: Database, now: datetime) -> list[UUID]:
    """Give each bot the signal of its newest bar, where it has none of that bar yet; return the new ones.

    May be called at any time and by several processes at once. What is too old by now the engine refuses. A bot
    that fails keeps no other from its signal, and is tried again the next time.
    """
    with database.transaction() as transaction:
        bots = reversal_wants.bots(transaction)
        found = reversal_scores.signals(transaction, now) if bots else []
        chosen = [(bot, score) for bot in bots if (score := best(bot, found)) is not None]
        known = inbox.sender_ids(transaction, [bot.id for bot, _ in chosen], [_key(*each) for each in chosen])
    return [
        uuid
        for bot, score in chosen
        if _key(bot, score) not in known and (uuid := _given(database, bot, score, now)) is not None
    ]


def best(bot: ScoreBot, scores: Iterable[Score]) -> Score | None:
    """Return the signal that a bot trades: of its newest bar the surest, the model's before the rule's."""
    wanted = [score for score in scores if _is_of(score, bot) and why_untraded(score, bot) is None]
    return max(wanted, key=_rank, default=None)


def why_untraded(score: Score, bot: ScoreBot) -> Untraded | None:
    """Return why a bot does not trade a signal of its pair and timeframe, None where it does."""
    reasons = (
        (score.bar_closed_at < bot.created_at, Untraded.OLDER),
        (score.is_replay and not bot.is_practice, Untraded.RECORDING),
        (bot.only_ml_enhanced and score.version == RULES, Untraded.RULES_ONLY),
        (bot.only_with_edge and not score.edge_shown, Untraded.NO_EDGE),
        (score.confidence < bot.min_confidence, Untraded.UNSURE),
    )
    return next((reason for holds, reason in reasons if holds), None)


def signal_of(score: Score, bot: ScoreBot) -> Signal:
    """Return the instruction that a score is: enter at the market, with its stop and target.

    The paper broker's prices are simulated and a recording's are past: there levels are distances in percent.
    """
    if score.stop is None or score.target is None:
        raise ValueError(f"{score.pair} {score.timeframe}: a signal has a stop and a target")
    return Signal(
        action=Action.BUY if score.direction is Direction.LONG else Action.SELL,
        symbol=bot.symbol,
        timeframe=score.timeframe,
        price=None if bot.is_practice else score.entry,
        stop_loss=_level(score, bot, score.stop),
        take_profits=(_level(score, bot, score.target),),
        sender_id=_key(bot, score),
        sent_at=score.bar_closed_at,
        bar_time=score.bar_opened_at,
        extras={
            "model": score.version,
            "confidence": str(score.confidence),
            "prices": score.source,
        },
    )


def _given(database: Database, bot: ScoreBot, score: Score, now: datetime) -> UUID | None:
    try:
        return _stored(database, bot, score, now)
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        raise
    except Exception as error:
        logger.exception("bot %s cannot be given %s %s", bot.id, score.pair, score.timeframe)
        with database.transaction() as transaction:
            words = f"{type(error).__name__}: {error}"
            health.note_fault(transaction, f"reversal bot {bot.id}", words, now)
        return None


def _stored(database: Database, bot: ScoreBot, score: Score, now: datetime) -> UUID | None:
    sender = Sender(user_id=bot.user_id, source=SOURCE)
    arrival = Arrival(body=_body(bot, score), received_at=now)
    with database.transaction() as transaction:
        candidates = inbox.bots_open_to(transaction, sender, symbol_key(bot.symbol))
        candidate = next((each for each in candidates if each.id == bot.id), None)
        if candidate is None:
            return None
        stored = inbox.store(transaction, sender, arrival, signal_of(score, bot), candidate)
    if stored.is_copy:
        return None
    with about_signal(stored.uuid):
        logger.info("bot %s of user %s is given %s %s", bot.id, bot.user_id, score.pair, score.timeframe)
    return stored.uuid


def _is_of(score: Score, bot: ScoreBot) -> bool:
    return (score.pair, score.timeframe) == (bot.pair, bot.timeframe)


def _rank(score: Score) -> tuple[object, ...]:
    return (score.bar_closed_at, score.confidence, score.version != RULES)


def _level(score: Score, bot: ScoreBot, price: Decimal) -> Level:
    if not bot.is_practice:
        return Level(kind=LevelKind.PRICE, value=price)
    distance = (abs(price - score.entry) / score.entry * 100).quantize(FINEST_PERCENT)
    return Level(kind=LevelKind.PERCENT, value=max(distance, FINEST_PERCENT))


def _key(bot: ScoreBot, score: Score) -> str:
    return f"{score.pair} {score.timeframe} {score.bar_opened_at:%Y-%m-%dT%H:%MZ} bot {bot.id}"


def _body(bot: ScoreBot, score: Score) -> bytes:
    """Return what names the bar and the bot, and no more: a second score of the bar is a copy of the first."""
    return json.dumps({"reversal": _key(bot, score)}).encode()
