"""The `mosquitto_pub` lines of the bot's original description, in their order: topic and message."""

SEED_SESSION = (
    ("polyspike/status/bot/heartbeat", '{"timestamp": 1234567890}'),
    (
        "polyspike/status/bot/started",
        """{
  "timestamp": 1234567890,
  "version": "1.0.0",
  "initial_balance": 1000.00
}""",
    ),
    (
        "polyspike/trading/position/opened",
        """{
  "timestamp": 1234567890,
  "symbol": "BTC/USD",
  "side": "long",
  "entry_price": 50000.00,
  "size": 0.01,
  "stop_loss": 49000.00,
  "take_profit": 52000.00
}""",
    ),
    (
        "polyspike/trading/trade/completed",
        """{
  "timestamp": 1234567890,
  "symbol": "BTC/USD",
  "side": "long",
  "entry_price": 50000.00,
  "exit_price": 51000.00,
  "pnl": 10.00,
  "pnl_pct": 0.02,
  "duration_seconds": 3600
}""",
    ),
    (
        "polyspike/balance/update",
        """{
  "timestamp": 1234567890,
  "balance": 1010.00,
  "equity": 1010.00,
  "available_balance": 1010.00,
  "locked_in_positions": 0.00,
  "unrealized_pnl": 0.00,
  "total_pnl": 10.00,
  "update_reason": "trade_closed"
}""",
    ),
    (
        "polyspike/status/bot/heartbeat",
        """{
  "timestamp": 1234567890,
  "uptime_seconds": 3600
}""",
    ),
    ("polyspike/test", "hello"),
)
