"""What a broker's own list of executions adds up to, without any of the engine's code."""

from decimal import Decimal

from tests.end_to_end.stack import Json, Trader

CENT = Decimal("0.01")
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


def assert_flat_with(trader: Trader, connection: int, bot_id: int) -> Decimal:
    """Check that a bot is flat and earned what the broker's executions say, to the cent; return that."""
    bot, money = trader.bots()[bot_id], money_of(trader, connection, bot_id)
    trades = trader.trades(bot_id)
    assert 0 <= money.held <= (10 * FEE_STEP if "/" in bot["symbol"] else 0)
    assert Decimal(bot["quantity"]) == 0
    assert abs(Decimal(bot["total_pnl"]) - money.earned) < CENT / 2
    assert (
        abs(sum(Decimal(trade["realized_pnl"] or 0) for trade in trades) - Decimal(bot["total_pnl"]))
        < FEE_STEP
    )
    return money.earned


def in_account(trader: Trader, connection: int, symbol: str) -> Decimal:
    """Return what the broker says the account holds of a symbol, as positions spell it."""
    positions = trader.stack.broker.books(trader.keys[connection])["positions"]
    return sum((Decimal(each["qty"]) for each in positions if each["symbol"] == symbol), Decimal(0))
