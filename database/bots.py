"""Bots and connections: rows become `Bot` and `Connection` here and nowhere else."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.bot import Bot, BotStatus, Connection, ConnectionStatus, SizeMode, TradingState
from core.checks import TradingStates
from core.instrument import Instrument, symbol_key
from core.order import MarginMode
from core.signal import PositionSide
from core.wording import number
from database.lanes import lane_for
from database.pool import Row, Transaction
from database.prepared import prepared

EDITABLE = frozenset(
    {
        "name",
        "timeframe",
        "size_mode",
        "position_size",
        "max_position_size",
        "risk_limit_percent",
        "daily_loss_limit",
        "stop_loss_percent",
        "take_profit_percent",
        "allow_short",
        "use_signal_quantity",
        "max_signal_age_seconds",
        "max_price_deviation_percent",
        "cooldown_minutes",
        "window_start",
        "window_end",
        "window_zone",
        "leverage",
        "max_leverage",
        "margin_mode",
        "entry_valid_minutes",
        "target_shares",
        "break_even_after",
        "trailing_stop_percent",
        "trailing_activation_percent",
        "time_limit_minutes",
        "signal_channel_id",
    }
)


def bot_from(row: Mapping[str, Any]) -> Bot:
    """Make a `Bot` of a row of user_bot_configs."""
    return Bot(
        id=row["id"],
        user_id=row["user_id"],
        connection_id=row["connection_id"],
        lane_id=row["lane_id"],
        name=row["name"],
        symbol=row["symbol"],
        timeframe=row["timeframe"],
        source=row["source"],
        size_mode=SizeMode(row["size_mode"]),
        position_size=row["position_size"],
        max_position_size=row["max_position_size"],
        risk_limit_percent=row["risk_limit_percent"],
        daily_loss_limit=row["daily_loss_limit"],
        stop_loss_percent=row["stop_loss_percent"],
        take_profit_percent=row["take_profit_percent"],
        allow_short=row["allow_short"],
        use_signal_quantity=row["use_signal_quantity"],
        is_active=row["is_active"],
        trading_state=TradingState(row["trading_state"]),
        status=BotStatus(row["order_status"]),
        max_signal_age_seconds=row["max_signal_age_seconds"],
        max_price_deviation_percent=row["max_price_deviation_percent"],
        cooldown_minutes=row["cooldown_minutes"],
        window_start=row["window_start"],
        window_end=row["window_end"],
        window_zone=row["window_zone"],
        own_exit=PositionSide(row["own_exit"]) if row["own_exit"] else None,
        leverage=row["leverage"],
        max_leverage=row["max_leverage"],
        margin_mode=MarginMode(row["margin_mode"]),
        entry_valid_minutes=row["entry_valid_minutes"],
        target_shares=tuple(row["target_shares"] or ()),
        break_even_after=row["break_even_after"],
        trailing_stop_percent=row["trailing_stop_percent"],
        trailing_activation_percent=row["trailing_activation_percent"],
        time_limit_minutes=row["time_limit_minutes"],
    )


def connection_from(row: Mapping[str, Any]) -> Connection:
    """Make a `Connection` of a row of user_api_keys; the credentials stay behind."""
    return Connection(
        id=row["id"],
        user_id=row["user_id"],
        broker=row["broker"],
        mode=row["mode"],
        label=row["label"],
        status=ConnectionStatus(row["status"]),
        last_error=row["last_error"],
        has_credentials=row["broker"] == "paper" or row["credentials_sealed"] is not None,
        trading_state=TradingState(row["trading_state"]),
        allow_netting=row["allow_netting"],
        max_open_positions=row["max_open_positions"],
        max_position_size=row["max_position_size"],
    )


def create_connection(
    transaction: Transaction,
    *,
    user_id: int,
    broker: str,
    mode: str,
    label: str,
    credentials_sealed: bytes | None = None,
    credentials_prefix: str | None = None,
    sealed_with: str | None = None,
) -> int:
    """Store a user's account at a broker; the paper broker needs no credentials."""
    return int(
        transaction.value(
            """
            INSERT INTO user_api_keys
                (user_id, broker, mode, label, credentials_sealed, credentials_prefix, sealed_with)
            VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id
            """,
            (user_id, broker, mode, label, credentials_sealed, credentials_prefix, sealed_with),
        )
    )


def connection(transaction: Transaction, connection_id: int, *, lock: bool = False) -> Connection:
    """Return a connection; with `lock`, hold its row until the transaction ends."""
    sql = prepared(
        "SELECT * FROM user_api_keys WHERE id = %s" + (" FOR NO KEY UPDATE" if lock else ""), "bigint"
    )
    return connection_from(transaction.one(sql, (connection_id,)))


def connections_of(transaction: Transaction, user_id: int) -> list[Connection]:
    """Return a user's connections that are in use, oldest first."""
    rows = transaction.all(
        "SELECT * FROM user_api_keys WHERE user_id = %s AND archived_at IS NULL ORDER BY id", (user_id,)
    )
    return [connection_from(row) for row in rows]


def all_connections(transaction: Transaction) -> list[Connection]:
    """Return every connection that can be asked for anything."""
    rows = transaction.all(
        """
        SELECT * FROM user_api_keys
         WHERE archived_at IS NULL AND (broker = 'paper' OR credentials_sealed IS NOT NULL) ORDER BY id
        """
    )
    return [connection_from(row) for row in rows]


def sealed_credentials(transaction: Transaction, connection_id: int) -> bytes | None:
    """Return the sealed credentials of a connection, None where it has none."""
    sealed = transaction.value(
        prepared("SELECT credentials_sealed FROM user_api_keys WHERE id = %s", "bigint"), (connection_id,)
    )
    return None if sealed is None else bytes(sealed)


def store_credentials(
    transaction: Transaction, connection_id: int, sealed: bytes, prefix: str, sealed_with: str
) -> None:
    """Replace a connection's sealed credentials."""
    transaction.execute(
        """
        UPDATE user_api_keys
           SET credentials_sealed = %s, credentials_prefix = %s, sealed_with = %s, updated_at = now()
         WHERE id = %s
        """,
        (sealed, prefix, sealed_with, connection_id),
    )


def note_connection(
    transaction: Transaction,
    connection_id: int,
    status: ConnectionStatus,
    error: str | None,
    now: datetime,
) -> ConnectionStatus:
    """Record what the last look at a connection gave; return the status it had before."""
    before = transaction.one(
        "SELECT status FROM user_api_keys WHERE id = %s FOR NO KEY UPDATE", (connection_id,)
    )
    transaction.execute(
        "UPDATE user_api_keys SET status = %s, last_error = %s, last_checked_at = %s WHERE id = %s",
        (status, error, now, connection_id),
    )
    return ConnectionStatus(before["status"])


def note_warning(transaction: Transaction, connection_id: int, warning: str | None) -> None:
    """Keep what the user must know of a connection although it can trade; None where there is nothing."""
    transaction.execute(
        "UPDATE user_api_keys SET warning = %(words)s WHERE id = %(id)s AND warning IS DISTINCT FROM %(words)s",
        {"words": warning, "id": connection_id},
    )


def note_reconciled(transaction: Transaction, connection_id: int, now: datetime) -> None:
    """Note that a connection has been compared with its broker."""
    transaction.execute("UPDATE user_api_keys SET reconciled_at = %s WHERE id = %s", (now, connection_id))


def create_bot(
    transaction: Transaction,
    *,
    user_id: int,
    connection_id: int,
    instrument: Instrument,
    timeframe: str | None,
    position_size: Decimal,
    source: str = "tradingview",
    name: str | None = None,
    **limits: Any,
) -> int:
    """Make a bot; `instrument` comes from its broker, `limits` are columns that a user may edit.

    Raise ValueError for a column that is not editable, LookupError where the connection is not the
    user's, psycopg2's UniqueViolation for a second bot on the same connection, symbol, timeframe and source.
    """
    _refuse_unknown(limits)
    require_connection(transaction, user_id, connection_id)
    columns: dict[str, Any] = {
        "user_id": user_id,
        "connection_id": connection_id,
        "lane_id": lane_for(transaction, connection_id, instrument),
        "name": name or f"{instrument.symbol} {timeframe or 'any timeframe'}",
        "symbol": instrument.symbol,
        "symbol_key": symbol_key(instrument.symbol),
        "timeframe": timeframe,
        "source": source,
        "position_size": position_size,
        **limits,
    }
    names = ", ".join(columns)
    places = ", ".join(f"%({name})s" for name in columns)
    return int(
        transaction.value(f"INSERT INTO user_bot_configs ({names}) VALUES ({places}) RETURNING id", columns)
    )


def require_connection(transaction: Transaction, user_id: int, connection_id: int) -> None:
    """Raise LookupError unless a connection is the user's: nothing of theirs may trade on another's account."""
    sql = "SELECT EXISTS (SELECT FROM user_api_keys WHERE id = %s AND user_id = %s)"
    if not transaction.value(sql, (connection_id, user_id)):
        raise LookupError(f"connection {connection_id} is not one of this user's")


def edit_bot(transaction: Transaction, user_id: int, bot_id: int, **changes: Any) -> bool:
    """Change a user's bot; tell whether the user has such a bot. Raise ValueError for other columns."""
    _refuse_unknown(changes)
    assignments = ", ".join(f"{name} = %({name})s" for name in changes)
    sql = f"""
        UPDATE user_bot_configs SET {assignments}, updated_at = now()
         WHERE id = %(bot_id)s AND user_id = %(user_id)s AND archived_at IS NULL
    """
    return transaction.execute(sql, {**changes, "bot_id": bot_id, "user_id": user_id}) == 1


def _refuse_unknown(columns: Mapping[str, Any]) -> None:
    unknown = set(columns) - EDITABLE
    if unknown:
        raise ValueError(f"not to be set: {sorted(unknown)}; allowed: {sorted(EDITABLE)}")


def bot_row(transaction: Transaction, bot_id: int, *, lock: bool = False) -> Row:
    """Return a bot's whole row; with `lock`, hold it until the transaction ends."""
    sql = "SELECT * FROM user_bot_configs WHERE id = %s" + (" FOR NO KEY UPDATE" if lock else "")
    return transaction.one(prepared(sql, "bigint"), (bot_id,))


def bots_of(transaction: Transaction, user_id: int) -> list[Row]:
    """Return a user's bots that are not archived, with their connection's label, oldest first."""
    return transaction.all(
        """
        SELECT bots.*, user_api_keys.label AS connection, user_api_keys.broker, user_api_keys.mode
          FROM user_bot_configs AS bots JOIN user_api_keys ON user_api_keys.id = bots.connection_id
         WHERE bots.user_id = %s AND bots.archived_at IS NULL ORDER BY bots.id
        """,
        (user_id,),
    )


def set_status(transaction: Transaction, bot_id: int, status: BotStatus) -> None:
    """Show a bot's status; a disabled or stopped bot keeps saying so."""
    transaction.execute(
        prepared(
            """
            UPDATE user_bot_configs SET order_status = %s, updated_at = now()
             WHERE id = %s AND order_status NOT IN ('DISABLED', 'RISK LIMIT HIT')
            """,
            "text, bigint",
        ),
        (status, bot_id),
    )


def switch_bot(transaction: Transaction, user_id: int, bot_id: int, *, active: bool) -> bool:
    """Enable or disable a user's bot; tell whether the user has such a bot.

    A bot that was to be archived after its close stays, once it is enabled.
    """
    status = BotStatus.READY if active else BotStatus.DISABLED
    return (
        transaction.execute(
            """
            UPDATE user_bot_configs
               SET is_active = %(active)s, order_status = %(status)s, updated_at = now(),
                   archive_when_closed = archive_when_closed AND NOT %(active)s
             WHERE id = %(bot)s AND user_id = %(user)s AND archived_at IS NULL
            """,
            {"active": active, "status": status, "bot": bot_id, "user": user_id},
        )
        == 1
    )


def stop_bot(transaction: Transaction, bot_id: int) -> None:
    """Disable a bot because it hit its risk limit."""
    transaction.execute(
        """
        UPDATE user_bot_configs SET is_active = false, order_status = 'RISK LIMIT HIT', updated_at = now()
         WHERE id = %s
        """,
        (bot_id,),
    )


def archive_bot(transaction: Transaction, user_id: int, bot_id: int) -> str | None:
    """Archive a user's bot, its trades stay; return why not, None when it is done.

    A bot that holds something or has an order open must be closed first; dust counts as nothing.
    """
    row = transaction.maybe(
        """
        SELECT bots.*, abs(bots.quantity) >= lanes.dust_below AND bots.quantity <> 0 AS holds
          FROM user_bot_configs AS bots JOIN lanes ON lanes.id = bots.lane_id
         WHERE bots.id = %s AND bots.user_id = %s AND bots.archived_at IS NULL FOR NO KEY UPDATE OF bots
        """,
        (bot_id, user_id),
    )
    if row is None:
        return "There is no such bot."
    if row["holds"]:
        return f"Bot {row['name']} holds {number(row['quantity'])} {row['symbol']}: close it first."
    if transaction.value(
        "SELECT 1 FROM plans WHERE bot_config_id = %s AND finished_at IS NULL LIMIT 1", (bot_id,)
    ):
        return f"Bot {row['name']} has an order open: wait for its end first."
    transaction.execute(
        "UPDATE user_bot_configs SET archived_at = now(), is_active = false WHERE id = %s", (bot_id,)
    )
    return None


def archive_after_close(transaction: Transaction, user_id: int, bot_id: int) -> bool:
    """Disable a user's bot and have it archived once it is flat; tell whether the user has such a bot."""
    return (
        transaction.execute(
            """
            UPDATE user_bot_configs
               SET archive_when_closed = true, is_active = false, order_status = 'DISABLED', updated_at = now()
             WHERE id = %s AND user_id = %s AND archived_at IS NULL
            """,
            (bot_id, user_id),
        )
        == 1
    )


def archive_closed(transaction: Transaction) -> list[Row]:
    """Archive the bots that were waiting for their close and are flat; return their ids, users and names."""
    return transaction.all(
        """
        UPDATE user_bot_configs AS bots SET archived_at = now() FROM lanes
         WHERE lanes.id = bots.lane_id AND bots.archive_when_closed AND bots.archived_at IS NULL
           AND (bots.quantity = 0 OR abs(bots.quantity) < lanes.dust_below)
           AND NOT EXISTS (SELECT FROM plans WHERE bot_config_id = bots.id AND finished_at IS NULL)
           AND NOT EXISTS (SELECT FROM orders WHERE bot_config_id = bots.id AND finished_at IS NULL)
           AND NOT EXISTS (SELECT FROM bot_risk_events
                            WHERE bot_config_id = bots.id AND state IN ('OPEN', 'PLANNED'))
        RETURNING bots.id, bots.user_id, bots.name
        """
    )


def remember_own_exit(
    transaction: Transaction, bot_id: int, side: PositionSide | None, stopped_out_at: datetime | None = None
) -> None:
    """Remember which side we left by ourselves (None: agreed again) and when a stop did it."""
    transaction.execute(
        prepared(
            """
            UPDATE user_bot_configs
               SET own_exit = %s, last_stop_out_at = coalesce(%s, last_stop_out_at) WHERE id = %s
            """,
            "text, timestamptz, bigint",
        ),
        (side, stopped_out_at, bot_id),
    )


def note_sent_at(
    transaction: Transaction, bot_id: int, sent_at: datetime | None, received_at: datetime
) -> None:
    """Remember the newest sending time of the bot's signals; a sender's clock may not run ahead of ours."""
    if sent_at is not None:
        transaction.execute(
            prepared(
                "UPDATE user_bot_configs SET newest_sent_at = greatest(newest_sent_at, %s) WHERE id = %s",
                "timestamptz, bigint",
            ),
            (min(sent_at, received_at), bot_id),
        )


def trading_states(transaction: Transaction, bot_id: int) -> TradingStates:
    """Return the kill switches that stand over a bot."""
    row = transaction.one(
        prepared(
            """
            SELECT server_settings.trading_state AS server, users.trading_state AS "user",
                   user_api_keys.trading_state AS connection, bots.trading_state AS bot
              FROM user_bot_configs AS bots
              JOIN users ON users.id = bots.user_id
              JOIN user_api_keys ON user_api_keys.id = bots.connection_id, server_settings
             WHERE bots.id = %s
            """,
            "bigint",
        ),
        (bot_id,),
    )
    return TradingStates(**{scope: TradingState(state) for scope, state in row.items()})
