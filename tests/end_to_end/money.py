"""What a broker's own list of executions adds up to, without any of the engine's code."""

from decimal import Decimal

from tests.end_to_end.stack import Json, Trader

# The broker rounds a fee in coins to the nearest, we up: the account may hold that much more per buy.
FEE_STEP = Decimal("0.000000001")


class Money:
    """What executions add up to: `earned` is the money they brought, `held` the quantity they left."""

    def __init__(self, executions: list[Json]) -> None:
        self.earned = self.held = Decimal(0)
        for each in executions:
            quantity, price, fee = (Decimal(each[name]) for name in ("quantity", "price", "fee"))
            sign = 1 if each["side"] == "BUY" else -1
            self.held += sign * quantity - (fee if each["fee_in_base"] else 0)
            self.earned -= sign * quantity * price + (0 if each["fee_in_base"] else fee)


def money_of(trader: Trader, connection: int, bot_id: int) -> Money:
    """Add up what the broker executed of the orders that one bot sent."""
    orders = trader.stack.read("orders", trader.email, "--limit", 1000)
    ours = {order["client_order_id"] for order in orders if order["bot_id"] == bot_id}
    executions = trader.stack.broker.executions(trader.keys[connection])
    return Money([each for each in executions if each["client_order_id"] in ours])


def in_account(trader: Trader, connection: int, symbol: str) -> Decimal:
    """Return what the broker says the account holds of a symbol, as positions spell it."""
    positions = trader.stack.broker.books(trader.keys[connection])["positions"]
    return sum((Decimal(each["qty"]) for each in positions if each["symbol"] == symbol), Decimal(0))
