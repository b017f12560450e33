"""Fill a database with a long history that adds up: bots that flipped from long to short and back, for months.

Written in bulk, since the ledger would take an hour; each row is what the ledger would have booked.
"""

from database.pool import Transaction

QUANTITY, FEE = 10, "0.05"
SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "META", "GOOG", "NFLX", "AMD", "SPY")
TIMEFRAMES = ("5 Min", "15 Min", "30 Min", "45 Min", "1 Hour", "4 Hour", "1 Day")

_STEPS = (
    # One lane per symbol; bots of one symbol share it.
    """
    INSERT INTO lanes (connection_id, symbol, asset_class, dust_below, last_number)
    SELECT %(connection)s, coalesce((%(symbols)s::text[])[number],
           'B' || chr(65 + number / 26) || chr(65 + number %% 26)), 'STOCK', 0.000000001, 1000000
      FROM generate_series(1, %(lanes)s) AS number
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO user_bot_configs (user_id, connection_id, lane_id, name, symbol, symbol_key, timeframe, source,
                                  position_size, risk_limit_percent, order_status)
    SELECT %(user)s, %(connection)s, lanes.id, lanes.symbol || ' ' || timeframe || ' no. ' || number, lanes.symbol,
           lanes.symbol, timeframe, 'bulk' || number, 5000, 10, 'FILLED'
      FROM generate_series(1, %(bots)s) AS number
      JOIN (SELECT id, symbol, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS places FROM lanes
             WHERE connection_id = %(connection)s) AS lanes ON lanes.place = number %% lanes.places
     CROSS JOIN LATERAL (SELECT (%(timeframes)s::text[])[1 + number %% 7] AS timeframe) AS named
    """,
    # Every signal of a bot, with the price it traded at; the sides alternate, the first one only opens.
    """
    CREATE TEMP TABLE turns ON COMMIT DROP AS
    SELECT bots.id AS bot, bots.lane_id AS lane, bots.symbol, bots.timeframe, turn,
           CASE turn %% 2 WHEN 0 THEN 'BUY' ELSE 'SELL' END AS side, CASE turn %% 2 WHEN 0 THEN 1 ELSE -1 END AS sign,
           round((100 + 20 * sin(bots.id) + 8 * sin(turn * 0.9 + bots.id) + 3 * sin(turn * bots.id)
                  + turn * 0.02 * sin(bots.id * 7))::numeric, 2) AS price,
           now() - (%(turns)s - turn) * interval '3 days' - (bots.id %% 3600) * interval '7 seconds' AS at
      FROM user_bot_configs AS bots CROSS JOIN generate_series(0, %(turns)s) AS turn
     WHERE bots.connection_id = %(connection)s AND bots.source LIKE 'bulk%%'
    """,
    """
    INSERT INTO signals (user_id, lane_id, number, source, body_hash, body, understood, bot_config_id, state,
                         sent_at, received_at, stored_at, decided_at, finished_at)
    SELECT %(user)s, lane, row_number() OVER (PARTITION BY lane ORDER BY at, bot), 'tradingview',
           sha256((bot || '/' || turn)::bytea), '{}', jsonb_build_object('action', side, 'symbol', symbol), bot,
           'EXECUTED', at, at, at, at, at + interval '1 second'
      FROM turns ORDER BY at
    """,
    # What nobody traded is rare and stands between the others.
    """
    INSERT INTO signals (user_id, source, body_hash, body, understood, bot_config_id, state, code, sentence,
                         received_at, stored_at, decided_at, finished_at)
    SELECT %(user)s, 'tradingview', sha256(('skipped' || bot || '/' || turn)::bytea), '{"skipped": 1}',
           jsonb_build_object('action', side, 'symbol', symbol), bot, 'SKIPPED',
           (ARRAY['COOLDOWN', 'OUTSIDE_TRADING_WINDOW'])[1 + turn / 25], 'The bot was not to trade then.',
           at, at, at, at
      FROM turns WHERE turn IN (20, 40)
    """,
    """
    INSERT INTO plans (lane_id, bot_config_id, signal_id, event_uuid, position_before, created_at, finished_at)
    SELECT lane_id, bot_config_id, id, uuid, 0, received_at, finished_at FROM signals
     WHERE user_id = %(user)s AND body = '{}' ORDER BY id
    """,
    """
    CREATE TEMP TABLE traded ON COMMIT DROP AS
    SELECT turns.*, plans.id AS plan, plans.signal_id AS signal, purpose, number,
           lag(price) OVER (PARTITION BY bot ORDER BY turn, number) AS price_before
      FROM (SELECT *, row_number() OVER (PARTITION BY bot_config_id ORDER BY created_at) - 1 AS place
              FROM plans WHERE finished_at IS NOT NULL) AS plans
      JOIN turns ON turns.bot = plans.bot_config_id AND turns.turn = plans.place
      JOIN (VALUES ('CLOSE', 1), ('OPEN', 2)) AS legs (purpose, number) ON turns.turn > 0 OR purpose = 'OPEN'
    """,
    """
    INSERT INTO legs (plan_id, number, purpose, side, quantity, state, expected_price, started_at, finished_at)
    SELECT plan, number, purpose, side, %(quantity)s, 'DONE', price, at, at FROM traded ORDER BY at, bot, number
    """,
    """
    INSERT INTO orders (client_order_id, leg_id, part, attempt, user_id, connection_id, lane_id, bot_config_id, purpose,
                        symbol, side, quantity, order_type, send_by, state, broker_order_id, filled_quantity,
                        average_price, fee, created_at, sent_at, acknowledged_at, finished_at)
    SELECT md5(legs.id::text), legs.id, 1, 1, %(user)s, %(connection)s, lane, bot, traded.purpose,
           traded.symbol, traded.side, %(quantity)s, 'MARKET', at, 'FILLED', md5('broker' || legs.id), %(quantity)s,
           price, %(fee)s, at, at, at, at
      FROM traded JOIN legs ON legs.plan_id = plan AND legs.number = traded.number ORDER BY legs.id
    """,
    """
    INSERT INTO fills (order_id, user_id, bot_config_id, cumulative_quantity, side, quantity, price, fee, realized_pnl,
                       position_after, average_price_after, source, filled_at)
    SELECT orders.id, %(user)s, bot, %(quantity)s, traded.side, %(quantity)s, price, %(fee)s,
           CASE traded.purpose WHEN 'CLOSE' THEN -sign * %(quantity)s * (price - price_before) ELSE 0 END - %(fee)s,
           CASE traded.purpose WHEN 'CLOSE' THEN 0 ELSE sign * %(quantity)s END,
           CASE traded.purpose WHEN 'CLOSE' THEN 0 ELSE price END, 'stream', at
      FROM traded JOIN legs ON legs.plan_id = plan AND legs.number = traded.number
      JOIN orders ON orders.leg_id = legs.id ORDER BY at, bot, traded.number
    """,
    """
    INSERT INTO bot_trades (user_id, bot_config_id, signal_id, leg_id, symbol, timeframe, action, side, order_id,
                            status, quantity, filled_qty, filled_price, expected_price, slippage, realized_pnl, fees,
                            created_at, updated_at)
    SELECT %(user)s, bot, signal, legs.id, traded.symbol, traded.timeframe,
           CASE traded.purpose WHEN 'CLOSE' THEN 'CLOSE' ELSE traded.side END, traded.side, orders.broker_order_id,
           'FILLED', %(quantity)s, %(quantity)s, traded.price, traded.price, 0,
           CASE traded.purpose WHEN 'CLOSE' THEN fills.realized_pnl END, %(fee)s, at, at
      FROM traded JOIN legs ON legs.plan_id = plan AND legs.number = traded.number
      JOIN orders ON orders.leg_id = legs.id JOIN fills ON fills.order_id = orders.id ORDER BY at, bot, traded.number
    """,
    """
    UPDATE user_bot_configs AS bots
       SET quantity = last.position_after, average_price = last.average_price_after, opened_at = last.filled_at,
           opening_fill_id = last.id, total_pnl = sums.pnl,
           total_trades = %(turns)s, position_pnl = last.realized_pnl
      FROM (SELECT DISTINCT ON (bot_config_id) * FROM fills WHERE user_id = %(user)s
             ORDER BY bot_config_id, id DESC) AS last,
           (SELECT bot_config_id, sum(realized_pnl) AS pnl FROM fills WHERE user_id = %(user)s GROUP BY 1) AS sums
     WHERE last.bot_config_id = bots.id AND sums.bot_config_id = bots.id
    """,
    """
    INSERT INTO bot_performance (bot_config_id, user_id, day, trades, wins, losses, pnl, fees)
    SELECT bot, %(user)s, (at AT TIME ZONE 'America/New_York')::date, count(*) FILTER (WHERE purpose = 'CLOSE'),
           count(*) FILTER (WHERE gain > 0), count(*) FILTER (WHERE gain < 0),
           coalesce(sum(gain), 0) - count(*) * %(fee)s::numeric, count(*) * %(fee)s::numeric
      FROM (SELECT *, CASE purpose WHEN 'CLOSE' THEN -sign * %(quantity)s * (price - price_before) END AS gain
              FROM traded) AS each_leg GROUP BY 1, 2, 3
    """,
    # The account holds what its bots add up to, priced a little off their entries.
    """
    INSERT INTO position_snapshots (connection_id, symbol, quantity, average_price, current_price, unrealized, taken_at)
    SELECT %(connection)s, symbol, sum(quantity), avg(average_price), round(avg(average_price) * 1.01, 2), 0, now()
      FROM user_bot_configs WHERE connection_id = %(connection)s GROUP BY symbol
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO equity_snapshots (connection_id, taken_at, equity, cash, buying_power)
    SELECT %(connection)s, now() - minutes * interval '1 minute', round((100000 + 3000 * sin(minutes / 4000.0)
           - minutes * 0.05)::numeric, 2), 50000, 50000 FROM generate_series(1, %(minutes)s) AS minutes
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO bot_risk_events (user_id, connection_id, lane_id, bot_config_id, kind, threshold, actual, action_taken,
                                 state, sentence, created_at, finished_at)
    SELECT %(user)s, %(connection)s, lane, bot, (ARRAY['STOP', 'TARGET', 'RISK_LIMIT'])[1 + turn %% 3], 10, 11.2,
           'position closed', 'DONE', 'The loss reached its limit.', at, at FROM turns WHERE turn %% 10 = 5
    """,
    """
    INSERT INTO notifications (user_id, kind, content, routed_at, created_at)
    SELECT user_id, 'BOT_FILLED', jsonb_build_object('event', uuid, 'sentence', 'Bought as asked.'),
           received_at, received_at
      FROM signals WHERE user_id = %(user)s
    """,
    """
    INSERT INTO audit_log (user_id, actor, action, subject, before, after, at)
    SELECT %(user)s, 'the owner', 'bots edit', 'bot ' || bot, '{"position_size": "4000"}',
           '{"position_size": "5000"}', at
      FROM turns WHERE turn %% 5 = 0 ORDER BY at
    """,
    """
    INSERT INTO account_snapshots (connection_id, equity, cash, buying_power, currency, taken_at)
    SELECT connection_id, equity, cash, buying_power, 'USD', now() FROM equity_snapshots
     WHERE connection_id = %(connection)s ORDER BY taken_at DESC LIMIT 1
    ON CONFLICT DO NOTHING
    """,
    # Some bots are in trouble, and some may only close.
    """
    UPDATE user_bot_configs SET order_status = CASE WHEN id %% 80 = 0 THEN 'ERROR' ELSE order_status END,
           trading_state = CASE WHEN id %% 250 = 1 THEN 'REDUCING' ELSE trading_state END
     WHERE connection_id = %(connection)s
    """,
    "UPDATE user_api_keys SET status = 'OK', last_checked_at = now() WHERE id = %(connection)s",
)


def fill(
    transaction: Transaction, user_id: int, connection_id: int, *, bots: int = 1000, signals_per_bot: int = 50
) -> None:
    """Give a user `bots` bots with 2 × `signals_per_bot` + 1 trades each, through a connection without any."""
    values = {
        "user": user_id,
        "connection": connection_id,
        "bots": bots,
        "turns": signals_per_bot,
        "lanes": min(bots, 200),
        "symbols": list(SYMBOLS),
        "timeframes": list(TIMEFRAMES),
        "quantity": QUANTITY,
        "fee": FEE,
        "minutes": 100_000,
    }
    for step in _STEPS:
        transaction.execute(step, values)
