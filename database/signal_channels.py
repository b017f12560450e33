"""Registrations of Discord channels: whose messages become whose signals, and with which limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from core.bot import SizeMode
from core.order import MarginMode
from database.bots import require_connection
from database.pool import Row, Transaction

SOURCE = "discord"
# What a coin is quoted in where a message names the coin alone.
USUAL_QUOTE = "USDT"
# What a bot of a channel takes over from it, under the same names.
COPIED = (
    *("size_mode", "position_size", "max_position_size", "leverage", "max_leverage", "margin_mode"),
    *("entry_valid_minutes", "max_price_deviation_percent", "max_signal_age_seconds", "allow_short"),
    *("target_shares", "break_even_after", "trailing_stop_percent", "trailing_activation_percent"),
    "time_limit_minutes",
)
EDITABLE = frozenset(
    {
        *COPIED,
        *("name", "guild_id", "author_ids", "role_ids", "formats", "entry_mode", "stop_required"),
    }
)


class EntryMode(StrEnum):
    """LIMIT waits at the entry the message names, MARKET enters at once; without an entry both do."""

    LIMIT = "limit"
    MARKET = "market"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalChannel:
    """One user's registration of one Discord channel, with the settings that its bots get.

    `channel_id`, `guild_id`, `author_ids`, `role_ids` and `owner_discord_id` are Discord's own numbers;
    `owner_discord_id` is the owner's linked account, None without one. Money is in the connection's currency.
    """

    id: int
    user_id: int
    connection_id: int
    guild_id: int | None
    channel_id: int
    name: str
    is_active: bool
    author_ids: frozenset[int]
    role_ids: frozenset[int]
    formats: frozenset[str]
    owner_discord_id: int | None
    size_mode: SizeMode
    position_size: Decimal
    max_position_size: Decimal
    leverage: int
    max_leverage: int
    margin_mode: MarginMode
    entry_mode: EntryMode
    entry_valid_minutes: int
    max_price_deviation_percent: Decimal
    max_signal_age_seconds: int
    stop_required: bool
    allow_short: bool
    target_shares: tuple[Decimal, ...]
    break_even_after: int | None
    trailing_stop_percent: Decimal | None
    trailing_activation_percent: Decimal | None
    time_limit_minutes: int | None
    archived_at: datetime | None
    created_at: datetime

    @property
    def source(self) -> str:
        """Return the source of its signals and bots: no other registration's are the same."""
        return f"{SOURCE}:{self.id}"

    @property
    def title(self) -> str:
        """Return its name with one # before it."""
        return titled(self.name)

    def takes_author(self, author_id: int | None, role_ids: Sequence[int] = ()) -> bool:
        """Tell whether messages of this author count: a named one, one with a named role, else the owner only."""
        if author_id is None:
            return False
        if not self.author_ids and not self.role_ids:
            return author_id == self.owner_discord_id
        return author_id in self.author_ids or not self.role_ids.isdisjoint(role_ids)

    def takes_format(self, name: str | None) -> bool:
        """Tell whether messages in this format count; capitals make no difference."""
        return not self.formats or (name or "").upper() in {each.upper() for each in self.formats}

    @property
    def for_bots(self) -> dict[str, Any]:
        """Return what its bots take over, by the columns of user_bot_configs."""
        shares = list(self.target_shares) or None
        return {name: getattr(self, name) for name in COPIED} | {"target_shares": shares}


def titled(name: str) -> str:
    """Return a channel's name with one # before it, however it was typed."""
    return f"#{name.lstrip('#')}"


_CHANNELS = """
    SELECT channels.*, linked.discord_user_id AS owner_discord_id
      FROM signal_channels AS channels
      JOIN users ON users.id = channels.user_id
      LEFT JOIN user_discord_settings AS linked ON linked.user_id = channels.user_id
"""


def watched_channel_ids(transaction: Transaction) -> set[int]:
    """Return every Discord channel that somebody wants watched."""
    rows = transaction.all(
        """
        SELECT DISTINCT channel_id FROM signal_channels JOIN users ON users.id = signal_channels.user_id
         WHERE signal_channels.is_active AND archived_at IS NULL AND users.is_active
        """
    )
    return {row["channel_id"] for row in rows}


def of_discord_channel(transaction: Transaction, channel_id: int) -> list[SignalChannel]:
    """Return the registrations of a Discord channel, oldest first, switched-off ones too; no archived ones."""
    rows = transaction.all(
        f"""{_CHANNELS} WHERE channels.channel_id = %s AND channels.archived_at IS NULL AND users.is_active
            ORDER BY channels.id""",
        (channel_id,),
    )
    return [channel_from(row) for row in rows]


def of_user(transaction: Transaction, user_id: int) -> list[SignalChannel]:
    """Return a user's registrations that are not archived, oldest first."""
    rows = transaction.all(
        f"{_CHANNELS} WHERE channels.user_id = %s AND channels.archived_at IS NULL ORDER BY channels.id",
        (user_id,),
    )
    return [channel_from(row) for row in rows]


def find(
    transaction: Transaction, channel_id: int, *, user_id: int | None = None, lock: bool = False
) -> SignalChannel | None:
    """Return the registration of that number, archived ones too; None where there is none, or not this user's.

    With `lock` nobody else changes it until the transaction ends.
    """
    row = transaction.maybe(
        f"""{_CHANNELS} WHERE channels.id = %(id)s AND channels.user_id = coalesce(%(user)s, channels.user_id)
            {"FOR NO KEY UPDATE OF channels" if lock else ""}""",
        {"id": channel_id, "user": user_id},
    )
    return None if row is None else channel_from(row)


def create(
    transaction: Transaction,
    *,
    user_id: int,
    connection_id: int,
    channel_id: int,
    columns: Mapping[str, Any],
) -> int:
    """Register a Discord channel and return the registration's number; `columns` are EDITABLE ones.

    Raises ValueError for another column, LookupError where the connection is not the user's, psycopg2's
    UniqueViolation where the user has registered it already.
    """
    _refuse_unknown(columns)
    require_connection(transaction, user_id, connection_id)
    values = {**columns, "user_id": user_id, "connection_id": connection_id, "channel_id": channel_id}
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    sql = f"INSERT INTO signal_channels ({names}) VALUES ({places}) RETURNING id"
    return int(transaction.value(sql, values))


def edit(transaction: Transaction, channel_id: int, changes: Mapping[str, Any]) -> None:
    """Change a registration, and in its bots what they copied; what protects a position already stays."""
    _refuse_unknown(changes)
    _update(transaction, "signal_channels", changes, "id = %(id)s", channel_id)
    copied = {name: changes[name] for name in COPIED if name in changes}
    if copied:
        whose = "signal_channel_id = %(id)s AND archived_at IS NULL"
        _update(transaction, "user_bot_configs", copied, whose, channel_id)


def switch(transaction: Transaction, channel_id: int, *, active: bool) -> None:
    """Let a registration take signals, or none until it is switched on again."""
    sql = "UPDATE signal_channels SET is_active = %s, updated_at = now() WHERE id = %s"
    transaction.execute(sql, (active, channel_id))


def archive(transaction: Transaction, channel_id: int) -> None:
    """Take a registration out of use for good; its bots and their trades stay."""
    sql = "UPDATE signal_channels SET archived_at = now(), updated_at = now() WHERE id = %s AND archived_at IS NULL"
    transaction.execute(sql, (channel_id,))


def bots_of(transaction: Transaction, channel_id: int) -> list[Row]:
    """Return id, name, symbol and held quantity of a registration's bots that are not archived, oldest first."""
    return transaction.all(
        """
        SELECT id, name, symbol, quantity FROM user_bot_configs
         WHERE signal_channel_id = %s AND archived_at IS NULL ORDER BY id
        """,
        (channel_id,),
    )


def symbol_of_coin(transaction: Transaction, channel_id: int, coin: str) -> str | None:
    """Return the symbol of the bot of a registration that trades a coin.

    Of several it is the one in the usual quote; None where there is none or it cannot be told.
    """
    rows = transaction.all(
        """
        SELECT bots.symbol, bots.symbol_key FROM user_bot_configs AS bots JOIN lanes ON lanes.id = bots.lane_id
         WHERE bots.signal_channel_id = %s AND bots.archived_at IS NULL AND upper(lanes.base_asset) = %s
        """,
        (channel_id, coin),
    )
    usual = [row for row in rows if row["symbol_key"] == coin + USUAL_QUOTE]
    meant = rows if len(rows) == 1 else usual
    return meant[0]["symbol"] if meant else None


def symbols_after(transaction: Transaction, channel_id: int, sent_at: datetime) -> list[str]:
    """Return the symbols of what a registration took in that was written after a moment."""
    rows = transaction.all(
        """
        SELECT DISTINCT understood ->> 'symbol' AS symbol FROM signals
         WHERE signal_channel_id = %s AND sent_at > %s AND understood IS NOT NULL
        """,
        (channel_id, sent_at),
    )
    return [row["symbol"] for row in rows]


def names_of_bots(transaction: Transaction, user_id: int) -> set[str]:
    """Return the names of a user's bots in small letters; archived ones have given theirs up."""
    rows = transaction.all(
        "SELECT lower(name) AS name FROM user_bot_configs WHERE user_id = %s AND archived_at IS NULL",
        (user_id,),
    )
    return {row["name"] for row in rows}


def channel_from(row: Mapping[str, Any]) -> SignalChannel:
    """Make a `SignalChannel` of a row of signal_channels with its owner's Discord account."""
    kinds: dict[str, Any] = {
        "author_ids": frozenset,
        "role_ids": frozenset,
        "formats": frozenset,
        "size_mode": SizeMode,
        "margin_mode": MarginMode,
        "entry_mode": EntryMode,
        "target_shares": lambda shares: tuple(shares or ()),
    }
    names = SignalChannel.__dataclass_fields__
    return SignalChannel(**{name: kinds[name](row[name]) if name in kinds else row[name] for name in names})


def _update(
    transaction: Transaction, table: str, changes: Mapping[str, Any], whose: str, channel_id: int
) -> None:
    assignments = ", ".join(f"{name} = %({name})s" for name in changes)
    sql = f"UPDATE {table} SET {assignments}, updated_at = now() WHERE {whose}"
    transaction.execute(sql, {**changes, "id": channel_id})


def _refuse_unknown(columns: Mapping[str, Any]) -> None:
    unknown = set(columns) - EDITABLE
    if unknown:
        raise ValueError(f"not to be set: {sorted(unknown)}; allowed: {sorted(EDITABLE)}")
