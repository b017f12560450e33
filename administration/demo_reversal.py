"""The demo's reversal signals: what the model would have found in the recordings, and the trades made of it.

Everything is done by the parts that do it for everybody: the model and the rule score each closed bar, the wishes
choose, trades are opened by the action and followed bar by bar. Only when it happened is made up, and the answers.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import click

from actions import tracked_trades as actions
from actions.acting import Tools
from actions.tracked_trades import TradeRequest
from administration.console import ACTOR
from core.bar import Bar, length
from core.reversal import RULES, Score, SentBefore, Wants
from core.tracked_trade import Ending, follow
from core.trade_wording import closed, running
from database import (
    demo_reversal,
    discord_accounts,
    signal_notifications,
    tracked_trades,
    trade_updates,
    trade_watch,
)
from database.pool import Row, Transaction
from database.signal_notifications import NewNotification
from database.trade_rows import ending, levels_of, told_of, update, worth
from database.trade_updates import UpdateKind
from reversal import choosing, registry, rules
from reversal.features import NEEDED
from reversal.sources.base import Origin
from reversal.sources.replay import RECORDINGS, Recording, ReplaySource

# Models rarely show an edge, and a demo without signals shows nothing: it is marked on each
WISHES: dict[str, Any] = {
    "preferred_pairs": ["EUR/USD", "SP500", "NASDAQ"],
    "enabled_timeframes": ["1 Hour", "1 Day"],
    "min_confidence": Decimal("0.28"),
    "only_ml_enhanced": False,
    "only_with_edge": False,
    "notification_cooldown_minutes": 240,
    "max_notifications_per_day": 20,
    "running_update_minutes": 60,
}
LOOKS, DELIVERY = timedelta(seconds=4), timedelta(milliseconds=700)
NO_MESSAGES = "The Discord account takes no direct messages from this bot (50007), and no channel is chosen."
# The one that was not delivered, counted from the newest
FAILED = 3
OPENED, IGNORED, BY_HAND = 0.6, 0.25, 0.15
LOTS = (Decimal("0.1"), Decimal("0.2"), Decimal("0.5"))
SHARES = (Decimal(2), Decimal(5), Decimal(10))
NOTES = ("", "", "", "with the trend of the day", "small, before the news", "second try")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One recording as it was played: its key and its bars, oldest first."""

    key: tuple[str, str]
    bars: Sequence[Bar]


def make_signals(tools: Tools, user_id: int, since: datetime, now: datetime) -> int:
    """Let a user be told of what was found since a time, and trade some of it; return how many signals."""
    # Where a real bot runs it would write to the demo's Discord account, which is nobody's
    wishes = {**WISHES, "notifications_enabled": tools.settings.discord_bot_token is None}
    with tools.database.transaction() as transaction:
        discord_accounts.change_settings(transaction, user_id, wishes)
    markets = [_played(recording, since, now) for recording in RECORDINGS]
    told = list(_told(_found(tools, markets, since, now), _wants(user_id)))
    bars = {market.key[0]: market.bars for market in markets}
    random = Random(11)  # noqa: S311  the same demo each time
    with click.progressbar(told, label="Finding reversals") as shown:
        for number, score in enumerate(shown):
            signal_id = _send(tools, user_id, score, failed=len(told) - number == FAILED)
            trade_id = _answer(tools, user_id, signal_id, score, random, now)
            if trade_id is not None:
                _follow(tools, user_id, trade_id, bars[score.pair], random, now)
    return len(told)


def _played(recording: Recording, since: datetime, now: datetime) -> Market:
    # Weekends and holidays have no bars, so that more time is asked for than bars are needed
    back = since - 2 * NEEDED * length(recording.timeframe)
    bars = ReplaySource().fetch(recording.pair, recording.timeframe, back, now, now=now)
    return Market(key=(recording.pair, recording.timeframe), bars=bars)


def _found(tools: Tools, markets: Sequence[Market], since: datetime, now: datetime) -> list[Score]:
    """Return what model and rule find in each bar that closed since a time, in the order of time."""
    model = registry.champion(tools.database, now)
    scores: list[Score] = []
    for market in markets:
        origins = {market.key: Origin(name=ReplaySource.name, is_replay=True)}
        for end in range(NEEDED, len(market.bars) + 1):
            if market.bars[end - 1].closed_at >= since:
                histories = {market.key: market.bars[end - NEEDED : end]}
                scores += model.score(histories, origins) + rules.score(histories, origins, model)
    return sorted(scores, key=lambda score: (score.bar_closed_at, score.version == RULES))


def _told(found: Sequence[Score], wants: Wants) -> Iterator[Score]:
    """Give what the user is told of, chosen as the scan chooses it."""
    newest: dict[str, datetime] = {}
    counts: Counter[date] = Counter()
    for score in found:
        day = score.bar_closed_at.date()
        before = SentBefore(newest=newest, day=day, count=counts[day])
        for chosen in choosing.choose(choosing.found_in([score]), wants, before):
            yield chosen
            newest[chosen.pair] = chosen.bar_closed_at
            counts[day] += 1


def _wants(user_id: int) -> Wants:
    return Wants(
        user_id=user_id,
        pairs=frozenset(WISHES["preferred_pairs"]),
        timeframes=frozenset(WISHES["enabled_timeframes"]),
        min_confidence=Decimal(WISHES["min_confidence"]),
        only_ml_enhanced=False,
        only_with_edge=False,
        cooldown=timedelta(minutes=WISHES["notification_cooldown_minutes"]),
        daily_maximum=WISHES["max_notifications_per_day"],
    )


def _send(tools: Tools, user_id: int, score: Score, *, failed: bool) -> int:
    at = score.bar_closed_at + LOOKS
    new = NewNotification(user_id=user_id, day=at.date(), score=score)
    with tools.database.transaction() as transaction:
        signal_notifications.store_new(transaction, [new], at)
        signal_id = demo_reversal.newest_signal(transaction, user_id)
        if failed:
            demo_reversal.note_failed(transaction, signal_id, at + DELIVERY, NO_MESSAGES)
        else:
            demo_reversal.note_sent(transaction, signal_id, at + DELIVERY)
    return signal_id


def _answer(
    tools: Tools, user_id: int, signal_id: int, score: Score, random: Random, now: datetime
) -> int | None:
    """Open, ignore or leave a signal; return the trade that was opened."""
    kind, share = random.random(), random.uniform(0.02, 0.6)
    at = score.bar_closed_at + (score.bar_closed_at - score.bar_opened_at) * share
    if kind > OPENED + IGNORED or at >= now or score.direction is None:
        return None
    if kind > OPENED:
        actions.ignore(tools.database, user_id, signal_id, at)
        return None
    request = TradeRequest(
        pair=score.pair,
        direction=score.direction,
        entry=score.entry,
        lots=random.choice(LOTS if "/" in score.pair else SHARES),
        stop=score.stop or score.entry,
        target=score.target or score.entry,
        notes=random.choice(NOTES),
        request_key=f"demo-{signal_id}",
        notification_id=signal_id,
    )
    opened = actions.open_trade(tools.database, tools.settings, user_id, ACTOR, request, at)
    return opened.trade_id


def _follow(
    tools: Tools, user_id: int, trade_id: int, bars: Sequence[Bar], random: Random, now: datetime
) -> None:
    """Let a trade run through the bars after its entry, to its end or until now; some are closed by hand."""
    with tools.database.transaction() as transaction:
        row = tracked_trades.trade(transaction, user_id, trade_id)
    if row is None:
        raise LookupError(f"trade {trade_id} is gone")
    later = [bar for bar in bars if bar.closed_at > row["entry_time"]]
    impatient = random.random() < BY_HAND
    until = later[: random.randint(2, 9)] if impatient else later
    found = follow(levels_of(row), until)
    if found is not None:
        with tools.database.transaction() as transaction:
            _end(transaction, row, found)
    elif impatient and until:
        last = until[-1]
        actions.close_trade(tools.database, user_id, ACTOR, trade_id, last.closed_at, last.close)
    elif until:
        with tools.database.transaction() as transaction:
            _look(transaction, row, until[-1], now)


def _end(transaction: Transaction, row: Row, found: Ending) -> None:
    came_to = worth(row, found.price, {})
    trade_watch.end(transaction, [{"id": row["id"], **ending(came_to, found.reason, found.at, found.at)}])
    message = closed(told_of(row), found.reason, came_to, found.at)
    told = update(row["id"], UpdateKind(found.reason.value), came_to, message, send=False)
    trade_updates.store(transaction, [told], found.at)


def _look(transaction: Transaction, row: Row, bar: Bar, now: datetime) -> None:
    stands = worth(row, bar.close, {})
    columns = {
        "id": row["id"],
        "looked_until": bar.closed_at,
        "looked_at": now,
        "next_update_at": now + timedelta(minutes=WISHES["running_update_minutes"]),
        "current_price": bar.close,
        "current_pips": stands.steps,
        "current_pnl": stands.profit,
        "updated_at": now,
    }
    trade_watch.note_looked(transaction, [columns])
    message = running(told_of(row), stands, bar.closed_at)
    told = update(row["id"], UpdateKind.RUNNING, stands, message, send=False)
    trade_updates.store(transaction, [told], bar.closed_at)
