"""The figures of a user's trading day, told once when it is over."""

from datetime import date, datetime

from database.pool import Row, Transaction


def users_to_sum_up(
    transaction: Transaction, day: date, since: datetime, until: datetime, now: datetime
) -> list[int]:
    """Return whom to tell about a day that is over, and keep that they were told.

    Whoever neither traded nor was sent a signal nor held anything has nothing to be told.
    """
    rows = transaction.all(
        """
        INSERT INTO daily_summaries (user_id, day, written_at)
        SELECT users.id, %(day)s, %(now)s FROM users
         WHERE users.is_active
           AND (EXISTS (SELECT FROM bot_performance AS booked
                         WHERE booked.user_id = users.id AND booked.day = %(day)s)
                OR EXISTS (SELECT FROM user_bot_configs AS bots
                             JOIN fills AS opening ON opening.id = bots.opening_fill_id
                            WHERE bots.user_id = users.id AND bots.quantity <> 0
                              AND opening.filled_at < %(until)s)
                OR EXISTS (SELECT FROM signals WHERE signals.user_id = users.id
                            AND received_at >= %(since)s AND received_at < %(until)s))
        ON CONFLICT DO NOTHING RETURNING user_id
        """,
        {"day": day, "since": since, "until": until, "now": now},
    )
    return [row["user_id"] for row in rows]


def figures_of(transaction: Transaction, user_id: int, day: date, since: datetime, until: datetime) -> Row:
    """Return a user's trading day as Performance shows it, replays left out.

    Signals are those received from `since` to `until`. `equity` holds what each account was last worth.
    """
    return transaction.one(
        """
        WITH real AS (
            SELECT bots.id, bots.quantity, lanes.dust_below FROM user_bot_configs AS bots
              JOIN user_api_keys AS connections ON connections.id = bots.connection_id
              JOIN lanes ON lanes.id = bots.lane_id
             WHERE bots.user_id = %(user)s AND NOT connections.is_replay),
        booked AS (
            SELECT coalesce(sum(pnl), 0) AS pnl, coalesce(sum(fees), 0) AS fees,
                   coalesce(sum(trades), 0)::bigint AS trades, coalesce(sum(wins), 0)::bigint AS wins,
                   coalesce(sum(losses), 0)::bigint AS losses
              FROM bot_performance WHERE day = %(day)s AND bot_config_id IN (SELECT id FROM real)),
        received AS (
            SELECT count(*) AS signals, count(*) FILTER (WHERE state = 'REFUSED') AS refused FROM signals
             WHERE user_id = %(user)s AND source <> 'replay'
               AND received_at >= %(since)s AND received_at < %(until)s)
        SELECT booked.*, received.*,
               (SELECT count(*) FROM real WHERE abs(quantity) > greatest(dust_below, 0)) AS open_positions,
               (SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'account', connections.label, 'equity', accounts.equity::text,
                           'currency', accounts.currency) ORDER BY connections.id), '[]')
                  FROM user_api_keys AS connections
                  JOIN account_snapshots AS accounts ON accounts.connection_id = connections.id
                 WHERE connections.user_id = %(user)s AND NOT connections.is_replay
                   AND connections.archived_at IS NULL) AS equity
          FROM booked, received
        """,
        {"user": user_id, "day": day, "since": since, "until": until},
    )
