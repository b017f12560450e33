"""Give the bots of bench/paper_house.py trades of the past, as ledger and paper broker would have them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from bench.house import run_alone
from bench.paper_house import SYMBOLS
from bot_database import Database
from brokers.simulated_market import SimulatedMarket

DAYS, FEE = 180, "0.05"

_STEPS = (
    # One row for each trade: entries and exits in turn, where `turns` is odd the last one is left open.
    """
    CREATE TEMP TABLE turns ON COMMIT DROP AS
    SELECT bots.id AS bot, bots.user_id, bots.connection_id, bots.lane_id AS lane, bots.symbol, turn,
           gen_random_uuid() AS uuid, gen_random_uuid() AS paper, lanes.last_number + turn AS number,
           CASE turn %% 2 WHEN 1 THEN 'BUY' ELSE 'SELL' END AS side,
           CASE turn %% 2 WHEN 1 THEN 'OPEN' ELSE 'CLOSE' END AS purpose,
           round(1000 / middle, 6) AS quantity,
           round(middle * (1 + 0.01 * sin(bots.id * 7 + turn)::numeric), 4) AS price,
           round(middle * (1 + 0.01 * sin(bots.id * 7 + turn - 1)::numeric), 4) AS price_before,
           now() - interval '1 hour' - (%(turns)s - turn) * %(apart)s::interval
           - (bots.id %% 3600) * interval '0.5 s' AS at
      FROM user_bot_configs AS bots JOIN lanes ON lanes.id = bots.lane_id
      JOIN unnest(%(symbols)s::text[], %(prices)s::numeric[]) AS market (coin, middle) ON coin = bots.symbol
     CROSS JOIN generate_series(1, %(turns)s) AS turn
     WHERE bots.id = ANY(%(bots)s)
    """,
    "ANALYZE turns",
    """
    INSERT INTO signals (uuid, user_id, lane_id, number, source, body_hash, body, understood, bot_config_id, state,
                         code, sentence, sent_at, received_at, stored_at, decided_at, finished_at)
    SELECT uuid, user_id, lane, number, 'tradingview', sha256(uuid::text::bytea),
           convert_to('{"action": "' || lower(side) || '", "comment": "' || uuid || '"}', 'UTF8'),
           jsonb_build_object('action', lower(side), 'symbol', symbol), bot, 'EXECUTED', 'EXECUTED',
           'Traded ' || quantity || ' ' || symbol || ' at ' || price || '.', at, at, at, at, at + interval '1 second'
      FROM turns ORDER BY at
    """,
    """
    INSERT INTO plans (lane_id, bot_config_id, signal_id, event_uuid, position_before, created_at, finished_at)
    SELECT lane, bot, signals.id, uuid, 0, at, at FROM turns JOIN signals USING (uuid) ORDER BY at
    """,
    """
    INSERT INTO legs (plan_id, number, purpose, side, quantity, state, expected_price, started_at, finished_at)
    SELECT plans.id, 1, purpose, side, quantity, 'DONE', price, at, at
      FROM turns JOIN plans ON plans.event_uuid = turns.uuid ORDER BY at
    """,
    """
    CREATE TEMP TABLE traded ON COMMIT DROP AS
    SELECT turns.*, plans.signal_id AS signal, legs.id AS leg
      FROM turns JOIN plans ON plans.event_uuid = turns.uuid JOIN legs ON legs.plan_id = plans.id
    """,
    """
    INSERT INTO orders (client_order_id, leg_id, part, attempt, user_id, connection_id, lane_id, bot_config_id, purpose,
                        symbol, side, quantity, order_type, send_by, state, broker_order_id, filled_quantity,
                        average_price, fee, created_at, sent_at, acknowledged_at, finished_at)
    SELECT md5(leg::text), leg, 1, 1, user_id, connection_id, lane, bot, purpose, symbol, side, quantity, 'MARKET', at,
           'FILLED', paper, quantity, price, %(fee)s, at, at, at, at FROM traded ORDER BY at
    """,
    """
    INSERT INTO fills (order_id, user_id, bot_config_id, cumulative_quantity, side, quantity, price, fee, realized_pnl,
                       position_after, average_price_after, source, filled_at)
    SELECT orders.id, traded.user_id, bot, traded.quantity, traded.side, traded.quantity, price, %(fee)s,
           CASE traded.purpose WHEN 'CLOSE' THEN traded.quantity * (price - price_before) ELSE 0 END - %(fee)s,
           CASE traded.purpose WHEN 'CLOSE' THEN 0 ELSE traded.quantity END,
           CASE traded.purpose WHEN 'CLOSE' THEN 0 ELSE price END, 'answer', at
      FROM traded JOIN orders ON orders.leg_id = leg ORDER BY at
    """,
    """
    INSERT INTO bot_trades (user_id, bot_config_id, signal_id, leg_id, symbol, timeframe, action, side, order_id,
                            status, quantity, filled_qty, filled_price, expected_price, slippage, realized_pnl, fees,
                            created_at, updated_at)
    SELECT user_id, bot, signal, leg, symbol, '15 Min', CASE purpose WHEN 'CLOSE' THEN 'CLOSE' ELSE side END, side,
           paper, 'FILLED', quantity, quantity, price, price, 0,
           CASE purpose WHEN 'CLOSE' THEN quantity * (price - price_before) - %(fee)s END, %(fee)s, at, at
      FROM traded ORDER BY at
    """,
    """
    INSERT INTO notifications (user_id, kind, content, routed_at, created_at)
    SELECT user_id, 'BOT_FILLED', jsonb_build_object('event', uuid, 'sentence', 'Filled as asked.'), at, at
      FROM turns ORDER BY at
    """,
    """
    INSERT INTO bot_performance AS kept (bot_config_id, user_id, day, trades, wins, losses, pnl, fees)
    SELECT bot, user_id, at::date, count(*) FILTER (WHERE purpose = 'CLOSE'),
           count(*) FILTER (WHERE purpose = 'CLOSE' AND price > price_before),
           count(*) FILTER (WHERE purpose = 'CLOSE' AND price <= price_before),
           coalesce(sum(quantity * (price - price_before)) FILTER (WHERE purpose = 'CLOSE'), 0)
           - count(*) * %(fee)s::numeric, count(*) * %(fee)s::numeric
      FROM turns GROUP BY 1, 2, 3
    ON CONFLICT (bot_config_id, day) DO UPDATE
       SET trades = kept.trades + excluded.trades, wins = kept.wins + excluded.wins, pnl = kept.pnl + excluded.pnl,
           losses = kept.losses + excluded.losses, fees = kept.fees + excluded.fees
    """,
    """
    INSERT INTO paper_accounts (connection_id, starting_cash, cash)
    SELECT DISTINCT connection_id, 100000, 100000 FROM turns ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO paper_orders (id, connection_id, client_order_id, symbol, asset_class, side, quantity, order_type,
                              time_in_force, state, filled_quantity, average_price, fee, fee_asset, triggered,
                              submitted_at, updated_at, active_from, filled_at, ended_at)
    SELECT paper, connection_id, md5(leg::text), symbol, 'CRYPTO', side, quantity, 'MARKET', 'GTC', 'FILLED', quantity,
           price, %(fee)s, 'USD', false, at, at, at, at, at FROM traded ORDER BY at
    """,
    """
    INSERT INTO paper_fills (order_id, cumulative_quantity, symbol, side, quantity, price, fee, fee_asset, fee_in_base,
                             position_quantity, filled_at)
    SELECT paper, quantity, symbol, side, quantity, price, %(fee)s, 'USD', false,
           CASE purpose WHEN 'OPEN' THEN quantity ELSE 0 END, at FROM traded ORDER BY at
    """,
    """
    INSERT INTO paper_positions (connection_id, symbol, quantity, average_price, realized)
    SELECT connection_id, symbol, sum(quantity), avg(price), 0 FROM turns
     WHERE turn = %(turns)s AND purpose = 'OPEN' GROUP BY 1, 2
    """,
    """
    UPDATE user_bot_configs AS bots
       SET quantity = last.position_after, average_price = last.average_price_after, opened_at = last.filled_at,
           opening_fill_id = last.id, order_status = 'FILLED'
      FROM (SELECT DISTINCT ON (bot_config_id) * FROM fills WHERE bot_config_id = ANY(%(bots)s)
             ORDER BY bot_config_id, id DESC) AS last
     WHERE last.bot_config_id = bots.id AND last.position_after <> 0
    """,
    """
    UPDATE user_bot_configs AS bots SET total_pnl = sums.pnl, total_trades = total_trades + %(turns)s
      FROM (SELECT bot_config_id, sum(pnl) AS pnl FROM bot_performance GROUP BY 1) AS sums
     WHERE sums.bot_config_id = bots.id AND bots.id = ANY(%(bots)s)
    """,
    """
    UPDATE lanes SET last_number = last_number + %(turns)s
      FROM user_bot_configs AS bots WHERE bots.lane_id = lanes.id AND bots.id = ANY(%(bots)s)
    """,
)


def trade(database: Database, bots: Iterable[int], *, turns: int) -> None:
    """Give each bot so many trades spread over the last months; with an odd number it holds a position."""
    market, now = SimulatedMarket(), datetime.now(UTC)
    values = {
        "bots": list(bots),
        "turns": turns,
        "apart": f"{DAYS * 86_400 / turns:.0f} seconds",
        "fee": Decimal(FEE),
        "symbols": list(SYMBOLS),
        "prices": [market.quote(symbol, now).ask for symbol in SYMBOLS],
    }
    with database.transaction() as transaction:
        # Neither triggers nor foreign keys: what is counted and referred to is made here.
        transaction.execute("SET LOCAL session_replication_role = replica")
        transaction.execute("SET LOCAL work_mem = '256MB'")
        for step in _STEPS:
            transaction.execute(step, values)
    run_alone(database, "VACUUM ANALYZE")
