"""How things stand now, as /metrics gives it: each figure is one cheap query, none of which reads a history.

`HISTORIES` are the tables that grow for ever; a test asks PostgreSQL that none of these queries walks one. To
add a figure: a line here. docs/observability.md lists them.
"""

from dataclasses import dataclass

from database.pool import Row, Transaction

HISTORIES = frozenset(
    {
        *("signals", "plans", "legs", "orders", "fills", "bot_trades", "bot_performance", "bot_risk_events"),
        *("notifications", "alert_deliveries", "watched_events", "watched_trades", "watched_balances"),
        *("channel_messages", "equity_snapshots", "audit_log", "paper_orders", "paper_fills"),
        *("scans", "market_bars", "bar_faults", "signal_notifications", "user_trades", "trade_updates"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A metric, what it says, and the query that gives a `value` for each of its labels."""

    name: str
    words: str
    sql: str
    labels: tuple[str, ...] = ()


def read(transaction: Transaction) -> dict[str, list[Row]]:
    """Return the rows of every gauge by its name."""
    return {gauge.name: transaction.all(gauge.sql) for gauge in GAUGES}


def _age(column: str) -> str:
    return f"coalesce(extract(epoch FROM now() - min({column}))::float8, 0)"


_UNFINISHED = """
    FROM (VALUES ('STORED'), ('WAITING_FOR_OPEN'), ('PLANNED')) AS states (state)
    LEFT JOIN (SELECT state, stored_at FROM signals WHERE state IN ('STORED', 'WAITING_FOR_OPEN', 'PLANNED'))
           AS signals USING (state) GROUP BY state
"""
_OPEN_ORDERS = """
    FROM orders JOIN user_api_keys AS connections ON connections.id = orders.connection_id
   WHERE orders.finished_at IS NULL
"""
_WATCHED = """
    FROM (VALUES ('ENGINE'), ('BROKER')) AS holders (held_by)
    LEFT JOIN (SELECT held_by, coalesce(checked_at, created_at) AS looked_at FROM protections)
           AS protections USING (held_by) GROUP BY held_by
"""
_CONNECTED = "WHERE archived_at IS NULL AND (broker = 'paper' OR credentials_sealed IS NOT NULL)"
_WAITING_ALERTS = """
    FROM (SELECT DISTINCT transport FROM alert_channels) AS transports
    LEFT JOIN (SELECT transport, deliveries.created_at FROM alert_channels AS channels
                 JOIN alert_deliveries AS deliveries ON deliveries.channel_id = channels.id
                WHERE deliveries.state = 'WAITING' AND deliveries.not_before <= now()) AS due USING (transport)
   GROUP BY transport
"""
# Nobody wants what was asked for longer ago.
_WANTED_FEEDS = "FROM market_feeds AS feeds WHERE asked_at > now() - interval '1 day'"

GAUGES = (
    Gauge(
        name="dashtrade_signals_waiting",
        words="Signals not at their end: STORED not decided, PLANNED being carried out",
        labels=("state",),
        sql=f"SELECT state, count(stored_at) AS value {_UNFINISHED}",
    ),
    Gauge(
        name="dashtrade_signal_oldest_seconds",
        words="Age of the oldest of these",
        labels=("state",),
        sql=f"SELECT state, {_age('stored_at')} AS value {_UNFINISHED}",
    ),
    Gauge(
        name="dashtrade_plans_unfinished",
        words="Decisions being carried out, exits of our own too",
        sql="SELECT count(*) AS value FROM plans WHERE finished_at IS NULL",
    ),
    Gauge(
        name="dashtrade_plan_oldest_seconds",
        words="Age of the oldest of these",
        sql=f"SELECT {_age('created_at')} AS value FROM plans WHERE finished_at IS NULL",
    ),
    Gauge(
        name="dashtrade_orders_open",
        words="Orders not at their end",
        labels=("broker", "state"),
        sql=f"SELECT broker, state, count(*) AS value {_OPEN_ORDERS} GROUP BY broker, state",
    ),
    Gauge(
        name="dashtrade_order_doubt_oldest_seconds",
        words="For how long nobody has known whether the broker has an order",
        sql=f"SELECT {_age('in_doubt_since')} AS value {_OPEN_ORDERS} AND in_doubt_since IS NOT NULL",
    ),
    Gauge(
        name="dashtrade_positions_open",
        words="Bots that hold something",
        labels=("broker",),
        sql="""
            SELECT broker, count(*) AS value FROM user_bot_configs AS bots
              JOIN user_api_keys AS connections ON connections.id = bots.connection_id
             WHERE bots.quantity <> 0 GROUP BY broker
        """,
    ),
    Gauge(
        name="dashtrade_positions_unwatched",
        words="Positions with a stop or target at which nobody has looked for a minute",
        labels=("held_by",),
        sql=f"SELECT held_by, count(*) FILTER (WHERE looked_at < now() - interval '60 s') AS value {_WATCHED}",
    ),
    Gauge(
        name="dashtrade_position_look_oldest_seconds",
        words="How long ago the one of these was looked at that waits longest",
        labels=("held_by",),
        sql=f"SELECT held_by, {_age('looked_at')} AS value {_WATCHED}",
    ),
    Gauge(
        name="dashtrade_risk_events_open",
        words="Exits of our own that are not at their end",
        labels=("kind",),
        sql="""
            SELECT kind, count(*) AS value FROM bot_risk_events WHERE state IN ('OPEN', 'PLANNED') GROUP BY kind
        """,
    ),
    Gauge(
        name="dashtrade_account_mismatches",
        words="Symbols of an account where the broker and the bots do not agree",
        sql="SELECT count(*) AS value FROM lanes WHERE mismatch_since IS NOT NULL",
    ),
    Gauge(
        name="dashtrade_bots",
        words="Bots that are not archived",
        sql="SELECT count(*) AS value FROM user_bot_configs WHERE archived_at IS NULL",
    ),
    Gauge(
        name="dashtrade_connections",
        words="Connected accounts",
        labels=("broker", "mode", "status"),
        sql=f"""
            SELECT broker, mode, status, count(*) AS value FROM user_api_keys {_CONNECTED}
             GROUP BY broker, mode, status
        """,
    ),
    Gauge(
        name="dashtrade_reconcile_oldest_seconds",
        words="How long ago the account that waits longest was compared with its broker",
        labels=("broker",),
        sql=f"""
            SELECT broker, extract(epoch FROM now() - min(coalesce(reconciled_at, created_at)))::float8 AS value
              FROM user_api_keys {_CONNECTED} GROUP BY broker
        """,
    ),
    Gauge(
        name="dashtrade_processes_alive",
        words="Processes of a part that were heard in the last 15 seconds",
        labels=("part",),
        sql="""
            SELECT part, count(beat_at) FILTER (WHERE beat_at > now() - interval '15 s') AS value
              FROM (VALUES ('worker'), ('broker watch')) AS needed (part) FULL JOIN heartbeats USING (part)
             GROUP BY part
        """,
    ),
    Gauge(
        name="dashtrade_alerts_waiting",
        words="Alerts that could be sent now and were not yet",
        labels=("transport",),
        sql=f"SELECT transport, count(created_at) AS value {_WAITING_ALERTS}",
    ),
    Gauge(
        name="dashtrade_alert_oldest_seconds",
        words="Age of the oldest of these",
        labels=("transport",),
        sql=f"SELECT transport, {_age('created_at')} AS value {_WAITING_ALERTS}",
    ),
    Gauge(
        name="dashtrade_notifications_unrouted",
        words="News that nobody has given to its channels yet",
        sql="SELECT count(*) AS value FROM notifications WHERE routed_at IS NULL",
    ),
    Gauge(
        name="dashtrade_alert_channels_off",
        words="Channels switched off because their service takes nothing any more",
        labels=("transport",),
        sql="""
            SELECT transport, count(*) FILTER (WHERE NOT is_active) AS value FROM alert_channels GROUP BY transport
        """,
    ),
    Gauge(
        name="dashtrade_channel_messages_unanswered",
        words="Discord signals whose outcome was not told in their channel yet",
        sql="SELECT count(*) AS value FROM channel_messages WHERE answered_at IS NULL",
    ),
    Gauge(
        name="dashtrade_server_trading_state",
        words="1 for the state of the whole server's kill switch, 0 for the others",
        labels=("state",),
        sql="""
            SELECT states.state, count(trading_state) AS value FROM server_settings
             RIGHT JOIN (VALUES ('ACTIVE'), ('REDUCING'), ('HALTED')) AS states (state)
                ON states.state = trading_state GROUP BY states.state
        """,
    ),
    Gauge(
        name="dashtrade_mqtt_connected",
        words="1 while the MQTT listener has its broker",
        sql="SELECT is_connected::int AS value FROM mqtt_status",
    ),
    Gauge(
        name="dashtrade_watched_bots",
        words="Bots that run elsewhere, by how they stand",
        labels=("state",),
        sql="SELECT state, count(*) AS value FROM watched_bots GROUP BY state",
    ),
    Gauge(
        name="dashtrade_discord_connected",
        words="1 while the Discord bot is connected",
        sql="SELECT is_connected::int AS value FROM discord_bot_status",
    ),
    Gauge(
        name="dashtrade_reversal_scan_age_seconds",
        words="How long ago the bars closed that were looked at last, and without a failure",
        sql="""
            SELECT extract(epoch FROM now() - due_at)::float8 AS value FROM scans
             WHERE finished_at IS NOT NULL AND failure IS NULL AND due_at <= now() ORDER BY due_at DESC LIMIT 1
        """,
    ),
    Gauge(
        name="dashtrade_reversal_bar_age_seconds",
        words="How long ago the newest bar closed that a source gave, of those that were asked within a day",
        labels=("source",),
        sql=f"""
            SELECT feeds.source, extract(epoch FROM now() - max(newest.closed_at))::float8 AS value
              FROM (SELECT * {_WANTED_FEEDS}) AS feeds
             CROSS JOIN LATERAL (
                   SELECT opened_at + timeframe::interval AS closed_at FROM market_bars AS bars
                    WHERE bars.pair = feeds.pair AND bars.timeframe = feeds.timeframe
                    ORDER BY opened_at DESC LIMIT 1) AS newest
             GROUP BY feeds.source
        """,
    ),
    Gauge(
        name="dashtrade_reversal_feeds_failing",
        words="Pairs and timeframes whose bars do not come, of those that were asked for within a day",
        labels=("source",),
        sql=f"SELECT source, count(failure) AS value {_WANTED_FEEDS} GROUP BY source",
    ),
    Gauge(
        name="dashtrade_reversal_message_oldest_seconds",
        words="Age of the oldest signal, and of the oldest news of a tracked trade, that Discord was not given",
        labels=("kind",),
        sql=f"""
            SELECT 'SIGNAL' AS kind, {_age("created_at")} AS value
              FROM signal_notifications WHERE next_attempt_at IS NOT NULL
             UNION ALL
            SELECT 'UPDATE', {_age("created_at")} FROM trade_updates WHERE next_attempt_at IS NOT NULL
        """,
    ),
    Gauge(
        name="dashtrade_tracked_trades_open",
        words="Tracked trades that are open",
        sql="SELECT count(*) AS value FROM user_trades WHERE status = 'open'",
    ),
    Gauge(
        name="dashtrade_tallies_waiting",
        words="Counted events that were not added up yet: thousands mean that no worker runs",
        sql="SELECT count(*) AS value FROM tallies",
    ),
    Gauge(
        name="dashtrade_database_bytes",
        words="Size of the database",
        sql="SELECT pg_database_size(current_database()) AS value",
    ),
)
