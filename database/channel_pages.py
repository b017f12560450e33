"""What the dashboard shows of signal channels; a user's id is part of every query."""

from datetime import datetime

from database.pool import Row, Transaction


def registrations(
    transaction: Transaction, user_id: int, since: datetime, *, only: int | None = None
) -> list[Row]:
    """Return a user's registrations that are not archived, oldest first, or the one of that number.

    Columns: id, channel_id, the connection's label, broker, mode and status, `bots` and how many of them
    `holding`, and `came`: how many messages since a moment became what, by the signal's state or the message's.
    """
    return transaction.all(
        """
        SELECT channels.id, channels.channel_id, connections.label AS connection, connections.broker,
               connections.mode, connections.status AS connection_status,
               connections.archived_at IS NOT NULL AS connection_removed,
               bots.bots, bots.holding, coalesce(came.counts, '{}'::jsonb) AS came, newest.seen_at AS last_seen_at
          FROM signal_channels AS channels
          JOIN user_api_keys AS connections ON connections.id = channels.connection_id
         CROSS JOIN LATERAL (SELECT count(*) AS bots,
                                    count(*) FILTER (WHERE quantity <> 0 AND abs(quantity) >= dust_below) AS holding
                               FROM user_bot_configs AS own JOIN lanes ON lanes.id = own.lane_id
                              WHERE own.signal_channel_id = channels.id AND own.archived_at IS NULL) AS bots
         CROSS JOIN LATERAL (
               SELECT jsonb_object_agg(name, times) AS counts
                 FROM (SELECT coalesce(signals.state, messages.state) AS name, count(*) AS times
                         FROM channel_messages AS messages
                         LEFT JOIN signals ON signals.uuid = messages.signal_uuid
                        WHERE messages.signal_channel_id = channels.id AND messages.seen_at >= %(since)s
                          AND messages.state NOT IN ('EDITED', 'DELETED') GROUP BY 1) AS each) AS came
         CROSS JOIN LATERAL (SELECT max(seen_at) AS seen_at FROM channel_messages
                              WHERE signal_channel_id = channels.id) AS newest
         WHERE channels.user_id = %(user)s AND channels.archived_at IS NULL
           AND channels.id = coalesce(%(only)s, channels.id)
         ORDER BY channels.id
        """,
        {"user": user_id, "since": since, "only": only},
    )


def messages_page(
    transaction: Transaction,
    user_id: int,
    registration: int,
    *,
    before: int | None = None,
    limit: int = 10,
) -> list[Row]:
    """Return messages of a user's registration and what became of each, newest first, below the number `before`.

    `changes` lists what happened to a message afterwards, as objects with `state`, `text` and `seen_at` (ISO).
    """
    return transaction.all(
        """
        SELECT messages.id, messages.message_id, messages.author, messages.text, messages.state, messages.sentence,
               messages.signal_uuid, messages.posted_at, messages.seen_at, channels.channel_id, channels.guild_id,
               signals.state AS signal_state, signals.code AS signal_code, signals.sentence AS signal_sentence,
               bots.name AS bot,
               (SELECT jsonb_agg(jsonb_build_object('state', changes.state, 'text', changes.text,
                                                    'seen_at', changes.seen_at) ORDER BY changes.id)
                  FROM channel_messages AS changes
                 WHERE changes.signal_channel_id = messages.signal_channel_id
                   AND changes.message_id = messages.message_id
                   AND changes.state IN ('EDITED', 'DELETED')) AS changes
          FROM channel_messages AS messages
          JOIN signal_channels AS channels ON channels.id = messages.signal_channel_id
          LEFT JOIN signals ON signals.uuid = messages.signal_uuid
          LEFT JOIN user_bot_configs AS bots ON bots.id = signals.bot_config_id
         WHERE channels.user_id = %(user)s AND channels.id = %(id)s
           AND messages.state NOT IN ('EDITED', 'DELETED')
           AND messages.id < coalesce(%(before)s, 9223372036854775807)
         ORDER BY messages.id DESC LIMIT %(limit)s
        """,
        {"user": user_id, "id": registration, "before": before, "limit": limit},
    )


def bots_of(transaction: Transaction, user_id: int, registration: int) -> list[Row]:
    """Return the bots of a user's registration that are not archived, oldest first, with what each holds."""
    return transaction.all(
        """
        SELECT bots.id, bots.name, bots.symbol, bots.order_status, bots.quantity, bots.total_pnl,
               bots.total_trades, bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below AS holds
          FROM user_bot_configs AS bots JOIN lanes ON lanes.id = bots.lane_id
         WHERE bots.user_id = %s AND bots.signal_channel_id = %s AND bots.archived_at IS NULL ORDER BY bots.id
        """,
        (user_id, registration),
    )


def names(transaction: Transaction, user_id: int) -> dict[int, Row]:
    """Return id, name and whether it is archived of every registration a user ever made, by its number."""
    rows = transaction.all(
        "SELECT id, name, archived_at IS NOT NULL AS archived FROM signal_channels WHERE user_id = %s",
        (user_id,),
    )
    return {row["id"]: row for row in rows}
