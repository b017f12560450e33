"""Which reversal signals users and their bots want, and at which pairs and timeframes a scan has to look."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core import timeframe as timeframes
from core.instrument import AssetClass, symbol_key
from core.pips import market_of
from core.reversal import Wants
from database.pool import Row, Transaction

SOURCE = "reversal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """One user who may be told, and in which time zone their days are counted."""

    wants: Wants
    zone: tzinfo

    def day(self, now: datetime) -> date:
        """Return the user's day at a time."""
        return now.astimezone(self.zone).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBot:
    """A bot that trades scores of one pair and timeframe, and what its user wants of them.

    `is_practice` says that it trades at the paper broker that comes along: there alone a recording may go.
    """

    id: int
    user_id: int
    pair: str
    symbol: str
    timeframe: str
    created_at: datetime
    is_practice: bool
    min_confidence: Decimal
    only_ml_enhanced: bool
    only_with_edge: bool


def union(transaction: Transaction, due: Collection[str]) -> list[tuple[str, str]]:
    """Return the pairs and timeframes that active users with notifications on and bots want, each once.

    What is no pair or no timeframe is left out; timeframes are canonical.
    """
    rows = transaction.all(
        """
        SELECT DISTINCT preferred_pairs AS pairs, enabled_timeframes AS timeframes
          FROM user_discord_settings AS settings JOIN users ON users.id = settings.user_id
         WHERE users.is_active AND settings.notifications_enabled
        """
    )
    wanted = {
        (pair, timeframe)
        for row in rows
        for timeframe in _timeframes(row["timeframes"]) & set(due)
        for pair in _pairs(row["pairs"])
    }
    wanted |= {(bot.pair, bot.timeframe) for bot in bots(transaction) if bot.timeframe in due}
    return sorted(wanted)


def told_about(transaction: Transaction, pairs: Sequence[str]) -> list[int]:
    """Return the users who may be told of signals of some pairs, however they spell them, in the order of ids."""
    rows = transaction.all(
        """
        SELECT users.id FROM user_discord_settings AS settings JOIN users ON users.id = settings.user_id
         WHERE users.is_active AND settings.notifications_enabled AND settings.discord_user_id IS NOT NULL
           AND settings.preferred_pairs ?| %s::text[] ORDER BY users.id
        """,
        (_spellings(transaction, pairs),),
    )
    return [row["id"] for row in rows]


def lock(transaction: Transaction, user_ids: Sequence[int]) -> list[Subscriber]:
    """Return what users want now, and let nobody else choose for them until the transaction ends.

    Locked in the order of ids, so that two scans wait for each other and never in a circle.
    """
    rows = transaction.all(
        """
        SELECT settings.*, users.time_zone
          FROM user_discord_settings AS settings JOIN users ON users.id = settings.user_id
         WHERE settings.user_id = ANY(%s) AND users.is_active AND settings.notifications_enabled
           AND settings.discord_user_id IS NOT NULL
         ORDER BY settings.user_id FOR NO KEY UPDATE OF settings
        """,
        (list(user_ids),),
    )
    return [Subscriber(wants=wants_of(row), zone=_zone(row["time_zone"])) for row in rows]


def bots(transaction: Transaction) -> list[ScoreBot]:
    """Return the bots that trade scores by themselves: those of the source with a timeframe, in use.

    A bot that is switched off but holds something is among them: its exits pass.
    """
    rows = transaction.all(
        """
        SELECT bots.id, bots.user_id, bots.symbol, bots.timeframe, bots.created_at, lanes.asset_class,
               lanes.base_asset, connections.broker = 'paper' AS is_practice,
               coalesce(settings.min_confidence, 0.60) AS min_confidence,
               coalesce(settings.only_ml_enhanced, true) AS only_ml_enhanced,
               coalesce(settings.only_with_edge, true) AS only_with_edge
          FROM user_bot_configs AS bots
          JOIN lanes ON lanes.id = bots.lane_id
          JOIN user_api_keys AS connections ON connections.id = bots.connection_id
          JOIN users ON users.id = bots.user_id AND users.is_active
          LEFT JOIN user_discord_settings AS settings ON settings.user_id = bots.user_id
         WHERE bots.source = %s AND bots.timeframe IS NOT NULL AND bots.archived_at IS NULL
           AND (bots.is_active OR bots.quantity <> 0)
         ORDER BY bots.id
        """,
        (SOURCE,),
    )
    return [bot for row in rows if (bot := _bot(row)) is not None]


def pair_of(symbol: str, asset_class: AssetClass, base_asset: str | None) -> str | None:
    """Return the pair whose bars a broker's symbol trades: `BTC/USDT` of `BTC-USDT`; None where it has none."""
    if asset_class is AssetClass.STOCK:
        return _pair(symbol)
    key, base = symbol_key(symbol), (base_asset or "").upper()
    quote = key.removeprefix(base)
    return _pair(f"{base}/{quote}") if base and quote and quote != key else None


def pair_of_lane(transaction: Transaction, lane_id: int) -> str | None:
    """Return the pair that a lane trades; None where it has none."""
    row = transaction.one("SELECT symbol, asset_class, base_asset FROM lanes WHERE id = %s", (lane_id,))
    return pair_of(row["symbol"], AssetClass(row["asset_class"]), row["base_asset"])


def _spellings(transaction: Transaction, pairs: Collection[str]) -> list[str]:
    """Return every way in which users write some pairs."""
    rows = transaction.all(
        """
        SELECT DISTINCT text FROM user_discord_settings AS settings,
               jsonb_array_elements_text(
                   CASE jsonb_typeof(preferred_pairs) WHEN 'array' THEN preferred_pairs ELSE '[]' END) AS text
         WHERE settings.notifications_enabled AND settings.discord_user_id IS NOT NULL
        """
    )
    return [row["text"] for row in rows if _pair(row["text"]) in pairs]


def _bot(row: Row) -> ScoreBot | None:
    pair = pair_of(row["symbol"], AssetClass(row.pop("asset_class")), row.pop("base_asset"))
    return None if pair is None else ScoreBot(**row, pair=pair)


def wants_of(row: Row) -> Wants:
    """Return what a user wants, of a row of user_discord_settings; what is no pair or timeframe is left out."""
    minutes = row["notification_cooldown_minutes"]
    return Wants(
        user_id=row["user_id"],
        pairs=frozenset(_pairs(row["preferred_pairs"])),
        timeframes=frozenset(_timeframes(row["enabled_timeframes"])),
        min_confidence=row["min_confidence"],
        only_ml_enhanced=row["only_ml_enhanced"],
        only_with_edge=row["only_with_edge"],
        cooldown=timedelta(minutes=minutes),
        daily_maximum=row["max_notifications_per_day"],
    )


def _pairs(texts: Iterable[object]) -> set[str]:
    return {pair for text in texts if (pair := _pair(str(text))) is not None}


def _timeframes(texts: Iterable[object]) -> set[str]:
    return {timeframe for text in texts if (timeframe := _timeframe(str(text))) is not None}


@lru_cache(maxsize=4096)
def _pair(text: str) -> str | None:
    try:
        return market_of(text).pair
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _timeframe(text: str) -> str | None:
    try:
        return timeframes.canonical(text)
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC
