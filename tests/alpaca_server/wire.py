"""Alpaca's JSON for what the simulator knows: orders, positions, accounts, assets, clock, quotes, fees."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_DNS, uuid5
from zoneinfo import ZoneInfo

from brokers.simulator import Balances, Execution, Holding, SimulatedOrder
from brokers.simulator.refusals import plain
from core.instrument import AssetClass, MarketClock, Quote
from core.money import ZERO
from core.order import OrderState
from tests.alpaca_server.market import Asset

Json = dict[str, Any]

NEW_YORK = ZoneInfo("America/New_York")
CLASSES = {AssetClass.STOCK: "us_equity", AssetClass.CRYPTO: "crypto"}
STATUSES = {
    OrderState.PARTIALLY_FILLED: "partially_filled",
    OrderState.FILLED: "filled",
    OrderState.CANCELED: "canceled",
    OrderState.EXPIRED: "expired",
    OrderState.REJECTED: "rejected",
}


def timestamp(moment: datetime | None) -> str | None:
    """Write a time as the REST answers do: UTC, nanoseconds, Z."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f417Z")


def local_time(moment: datetime | None) -> str | None:
    """Write a time as the clock does: New York with its offset."""
    return None if moment is None else moment.astimezone(NEW_YORK).isoformat(timespec="seconds")


def number(value: Decimal, places: str = "0.000000001") -> str:
    """Write a number as a string, at most nine decimals."""
    return plain(value.quantize(Decimal(places))) if value % 1 else plain(value)


def order_json(order: SimulatedOrder, asset: Asset, status: str) -> Json:
    """Return the Order object; `status` is Alpaca's word, finer than the simulator's state."""
    kind = order.order_type.value.lower()
    by_money = order.notional is not None
    average = order.average_price
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": timestamp(order.submitted_at),
        "updated_at": timestamp(order.updated_at),
        "submitted_at": timestamp(order.submitted_at),
        "filled_at": timestamp(order.filled_at) if order.state is OrderState.FILLED else None,
        "expired_at": _ended(order, OrderState.EXPIRED),
        "canceled_at": _ended(order, OrderState.CANCELED),
        "failed_at": _ended(order, OrderState.REJECTED),
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": asset.id,
        "symbol": order.symbol,
        "asset_class": CLASSES[order.asset_class],
        "notional": number(order.notional) if order.notional is not None else None,
        "qty": None if by_money else number(order.quantity),
        "filled_qty": number(order.filled_quantity),
        "filled_avg_price": None if average is None else number(average),
        "order_class": "",
        "order_type": kind,
        "type": kind,
        "side": order.side.value.lower(),
        "time_in_force": order.time_in_force.value.lower(),
        "limit_price": _optional(order.limit_price),
        "stop_price": _optional(order.stop_price),
        "status": status,
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
        **_intent(order),
    }


def position_json(holding: Holding, asset: Asset, quote: Quote, available: Decimal) -> Json:
    """Return the Position object; a short has a negative quantity and market value."""
    price = quote.bid if holding.quantity > 0 else quote.ask
    value = holding.quantity * price
    cost = holding.quantity * holding.average_price
    gain = value - cost
    share = gain / abs(cost) if cost else ZERO
    return {
        "asset_id": asset.id,
        # orders say BTC/USD, positions BTCUSD
        "symbol": asset.symbol.replace("/", ""),
        "exchange": asset.exchange,
        "asset_class": CLASSES[asset.asset_class],
        "asset_marginable": asset.asset_class is AssetClass.STOCK,
        "avg_entry_price": number(holding.average_price),
        "qty": number(holding.quantity),
        "qty_available": number(available),
        "side": "long" if holding.quantity > 0 else "short",
        "market_value": number(value),
        "cost_basis": number(cost),
        "unrealized_pl": number(gain),
        "unrealized_plpc": number(share),
        "unrealized_intraday_pl": number(gain),
        "unrealized_intraday_plpc": number(share),
        "current_price": number(price),
        "lastday_price": number(price),
        "change_today": "0",
    }


def account_json(key: str, balances: Balances, flags: Json, created: datetime) -> Json:
    """Return the Account object; the day-trading fields are gone, as from the 2026 API."""
    return {
        "id": str(uuid5(NAMESPACE_DNS, key)),
        "account_number": f"PA{uuid5(NAMESPACE_DNS, key).hex[:10].upper()}",
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "cash": number(balances.cash),
        "equity": number(balances.equity),
        "last_equity": number(balances.equity),
        "portfolio_value": number(balances.equity),
        "buying_power": number(balances.buying_power),
        "regt_buying_power": number(balances.buying_power),
        "non_marginable_buying_power": number(balances.non_marginable_buying_power),
        "long_market_value": number(balances.long_value),
        "short_market_value": number(balances.short_value),
        "initial_margin": number(balances.initial_margin),
        "maintenance_margin": number(balances.initial_margin),
        "last_maintenance_margin": "0",
        "multiplier": "2",
        "accrued_fees": "0",
        "sma": "0",
        "shorting_enabled": True,
        "trading_blocked": False,
        "account_blocked": False,
        "transfers_blocked": False,
        "trade_suspended_by_user": False,
        "created_at": timestamp(created),
        "balance_asof": created.date().isoformat(),
        **flags,
    }


def asset_json(asset: Asset) -> Json:
    """Return the Asset object."""
    crypto = asset.asset_class is AssetClass.CRYPTO
    common: Json = {
        "id": asset.id,
        "class": CLASSES[asset.asset_class],
        "exchange": asset.exchange,
        "symbol": asset.symbol,
        "name": f"{asset.symbol} {'coin pair' if crypto else 'Common Stock'}",
        "status": asset.status,
        "tradable": asset.tradable,
        "marginable": not crypto,
        "shortable": asset.shortable,
        "easy_to_borrow": asset.easy_to_borrow,
        "fractionable": asset.fractionable,
        "attributes": [],
    }
    if not crypto:
        return {**common, "borrow_status": "easy_to_borrow" if asset.easy_to_borrow else "hard_to_borrow"}
    steps = ("min_order_size", "min_trade_increment", "price_increment")
    return {**common, **{name: getattr(asset, name) for name in steps}}


def clock_json(clock: MarketClock, now: datetime) -> Json:
    """Return the Clock object."""
    return {
        "timestamp": local_time(now),
        "is_open": clock.is_open,
        "next_open": local_time(clock.next_open),
        "next_close": local_time(clock.next_close),
    }


def quote_json(quote: Quote, *, crypto: bool) -> Json:
    """Return a quote of the market data API; its prices are JSON numbers."""
    common: Json = {
        "t": timestamp(quote.at),
        "bp": float(quote.bid),
        "bs": 1,
        "ap": float(quote.ask),
        "as": 1,
    }
    return common if crypto else {**common, "bx": "V", "ax": "V", "c": ["R"], "z": "C"}


def trade_update(event: str, order: Json, execution: Execution | None, at: datetime, number_: int) -> Json:
    """Return a frame of the trade_updates stream."""
    data: Json = {
        "event": event,
        "execution_id": str(uuid5(NAMESPACE_DNS, f"{order['id']}|{event}|{number_}")),
        "order": order,
        "timestamp": timestamp(execution.at if execution else at),
    }
    if execution is not None:
        data["price"] = number(execution.price)
        data["qty"] = number(execution.quantity)
        data["position_qty"] = number(execution.position_quantity)
    return {"stream": "trade_updates", "data": data}


def fee_json(execution: Execution, activity_id: str, created: datetime) -> Json:
    """Return the CFEE activity of an execution; a fee in the base asset has a quantity."""
    common: Json = {
        "id": activity_id,
        "activity_type": "CFEE",
        "date": created.date().isoformat(),
        "created_at": timestamp(created),
        "price": number(execution.price),
        "status": "executed",
    }
    if execution.fee_in_base:
        words = "Coin Pair Transaction Fee (Non USD)"
        symbol = execution.symbol.replace("/", "")
        return {
            **common,
            "symbol": symbol,
            "qty": f"-{number(execution.fee)}",
            "net_amount": "0",
            "description": words,
        }
    words = "Coin Pair Transaction Fee (USD)"
    return {
        **common,
        "symbol": "USD",
        "qty": "0",
        "net_amount": f"-{number(execution.fee)}",
        "description": words,
    }


def _ended(order: SimulatedOrder, state: OrderState) -> str | None:
    return timestamp(order.ended_at) if order.state is state else None


def _intent(order: SimulatedOrder) -> Json:
    if order.position_intent is None:
        return {}
    return {"position_intent": f"{order.side.value.lower()}_to_{order.position_intent.value}"}


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
