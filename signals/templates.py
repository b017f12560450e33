"""Hold the alert messages that Setup shows for pasting into TradingView."""

# Both positions are always sent: they tell an exit from a flip, and show that an earlier alert was lost.
STRATEGY_TEMPLATE = """{
  "action": "{{strategy.order.action}}",
  "symbol": "{{ticker}}",
  "timeframe": "{{interval}}",
  "price": "{{strategy.order.price}}",
  "contracts": "{{strategy.order.contracts}}",
  "market_position": "{{strategy.market_position}}",
  "prev_market_position": "{{strategy.prev_market_position}}",
  "position_size": "{{strategy.position_size}}",
  "order_id": "{{strategy.order.id}}",
  "timenow": "{{timenow}}"
}"""

INDICATOR_TEMPLATE = """{
  "action": "BUY",
  "symbol": "{{ticker}}",
  "timeframe": "{{interval}}",
  "price": "{{close}}",
  "timenow": "{{timenow}}"
}"""
