"""BloFin's JSON for what an account and the market hold; numbers are strings."""

from decimal import ROUND_DOWN, Context, Decimal
from typing import Any

from tests.blofin_server import margin
from tests.blofin_server.account import Account
from tests.blofin_server.market import Instrument, Price
from tests.blofin_server.orders import ZERO, Exits, Fill, Order, Position, Protection, TriggerOrder

Json = dict[str, Any]

EIGHTEEN = Decimal(10) ** -18
WIDE = Context(prec=60)


def long(value: Decimal) -> str:
    """Write a number with the eighteen decimals of orders and balances, cut off as BloFin's examples are."""
    return f"{value.quantize(EIGHTEEN, ROUND_DOWN, WIDE):f}"


def short(value: Decimal) -> str:
    """Write a number without idle zeros."""
    return long(value).rstrip("0").rstrip(".")


def optional(value: Decimal | None) -> str | None:
    """Write a number that may be missing; -1, which means by market, is written as it is."""
    return None if value is None else "-1" if value == -1 else long(value)


def flag(value: bool) -> str:
    """Write a truth value as BloFin does, as a string."""
    return "true" if value else "false"


def instrument_json(instrument: Instrument) -> Json:
    """Return an instrument."""
    return {
        "instId": instrument.inst_id,
        "baseCurrency": instrument.base,
        "quoteCurrency": instrument.quote,
        "contractValue": short(instrument.contract_value),
        "listTime": "1638333031000",
        "expireTime": "4102444800000",
        "maxLeverage": str(instrument.max_leverage),
        "minSize": short(instrument.minimum),
        "lotSize": short(instrument.lot),
        "tickSize": short(instrument.tick),
        "instType": "SWAP",
        "contractType": "linear",
        "maxLimitSize": short(instrument.max_limit),
        "maxMarketSize": short(instrument.max_market),
        "state": instrument.state,
        "settleCurrency": instrument.quote,
    }


def tier_json(instrument: Instrument, margin_mode: str) -> Json:
    """Return an instrument's position tier."""
    return {
        "symbol": instrument.inst_id,
        "marginMode": margin_mode,
        "minSize": short(instrument.minimum),
        "maxSize": short(instrument.max_limit),
        "maintenanceMarginRate": short(instrument.maintenance_rate),
        "maxLeverage": str(instrument.max_leverage),
    }


def ticker_json(inst_id: str, price: Price) -> Json:
    """Return a ticker."""
    last = short(price.last)
    return {
        "instId": inst_id,
        "last": last,
        "lastSize": "1",
        "askPrice": short(price.ask),
        "askSize": "20",
        "bidPrice": short(price.bid),
        "bidSize": "20",
        "high24h": last,
        "open24h": last,
        "low24h": last,
        "volCurrency24h": "3224.82",
        "vol24h": "3224820",
        "ts": str(price.at),
    }


def book_json(instrument: Instrument, price: Price, depth: int) -> Json:
    """Return an order book of so many equal levels, a tick apart."""
    steps = [instrument.tick * n for n in range(depth)]
    return {
        "asks": [[short(price.ask + step), "20"] for step in steps],
        "bids": [[short(price.bid - step), "20"] for step in steps if price.bid > step],
        "ts": str(price.at),
    }


def mark_json(inst_id: str, price: Price) -> Json:
    """Return index and mark price."""
    mark = short(price.mark)
    return {"instId": inst_id, "indexPrice": mark, "markPrice": mark, "ts": str(price.at)}


def balance_json(account: Account) -> Json:
    """Return the futures balance."""
    equity = account.balance + account.profit()
    isolated = account.isolated_margin() + account.profit(cross=False)
    available = long(max(account.available(), ZERO))
    now = str(account.now())
    details = {
        "currency": "USDT",
        "equity": long(equity),
        "balance": long(account.balance),
        "ts": now,
        "isolatedEquity": long(isolated),
        "available": available,
        "availableEquity": available,
        "frozen": long(account.order_margin() + account.cross_margin() + account.isolated_margin()),
        "orderFrozen": long(account.order_margin()),
        "equityUsd": long(equity),
        "isolatedUnrealizedPnl": long(account.profit(cross=False)),
        "bonus": "0",
    }
    return {
        "ts": now,
        "totalEquity": long(equity),
        "isolatedEquity": long(isolated),
        "details": [details],
    }


def asset_json(account: Account, kind: str) -> Json:
    """Return the balance of one of the accounts of a user."""
    total = {"futures": account.balance, "funding": account.funding}.get(kind, ZERO)
    free = max(account.available(), ZERO) if kind == "futures" else total
    return {
        "currency": "USDT",
        "balance": long(total),
        "available": long(free),
        "frozen": long(total - free),
        "bonus": "0",
    }


def currency_json(currency: str, chain: str) -> Json:
    """Return a currency on one chain."""
    return {
        "currency": currency,
        "chain": chain,
        "depositMinAmount": "1",
        "depositUnsafeConfirmation": 1,
        "depositConfirmation": 20,
        "withdrawMinAmount": "10",
        "withdrawFee": "1",
        "withdrawPrecision": 8,
        "supportMemo": 0,
        "isDepositAvailable": 1,
        "isWithdrawAvailable": 1,
        "recoveryEtaDeposit": 0,
        "recoveryEtaWithdraw": 0,
        "logo": "",
    }


def position_json(account: Account, position: Position) -> Json:
    """Return a position; only in net mode has a short a negative size."""
    instrument = account.market.instrument(position.inst_id)
    mark = account.market.price(position.inst_id).mark
    gain = margin.profit(position, instrument, mark)
    size = short(position.size if position.side == "net" else abs(position.size))
    needed = margin.initial_margin(position, instrument, mark)
    tied = needed if position.is_cross else position.margin
    must_keep = margin.liquidation_margin(position, instrument, mark, account.settings.taker_fee)
    at = account.liquidation_price(position)
    return {
        "positionId": position.id,
        "instId": position.inst_id,
        "instType": "SWAP",
        "marginMode": position.margin_mode,
        "positionSide": position.side,
        "adl": "1",
        "positions": size,
        "availablePositions": size,
        "averagePrice": long(position.average),
        "markPrice": short(mark),
        "marginRatio": long((account.backing(position) + gain) / must_keep),
        "liquidationPrice": "" if at is None else long(at),
        "unrealizedPnl": short(gain),
        "unrealizedPnlRatio": long(gain / tied if tied else ZERO),
        **({"initialMargin": long(needed)} if position.is_cross else {"margin": long(position.margin)}),
        "maintenanceMargin": short(margin.maintenance_margin(position, instrument, mark)),
        "realizedPnl": short(position.realized),
        "createTime": str(position.created),
        "updateTime": str(position.updated),
        "leverage": str(position.leverage),
    }


def order_json(order: Order) -> Json:
    """Return an order; a market order has the price zero."""
    return {
        "orderId": order.id,
        "clientOrderId": order.client_id,
        "instId": order.inst_id,
        "marginMode": order.margin_mode,
        "positionSide": order.position_side,
        "side": order.side,
        "orderType": order.kind,
        "price": long(order.price or ZERO),
        "size": long(order.size),
        "reduceOnly": flag(order.reduce_only),
        "leverage": str(order.leverage),
        "state": order.state,
        "filledSize": long(order.filled),
        "filled_amount": long(order.filled),
        "averagePrice": long(order.average),
        "fee": long(order.fee),
        "pnl": long(order.pnl),
        "createTime": str(order.created),
        "updateTime": str(order.updated),
        "orderCategory": order.category,
        **exits_json(order.exits),
        "cancelSource": order.cancel_source,
        "cancelSourceReason": order.cancel_reason,
        "algoClientOrderId": order.algo_client_id,
        "algoId": order.algo_id,
        "brokerId": order.broker_id,
    }


def exits_json(exits: Exits) -> Json:
    """Return stop and target as their four fields."""
    return {
        "tpTriggerPrice": optional(exits.tp_trigger),
        "tpOrderPrice": optional(exits.tp_price),
        "slTriggerPrice": optional(exits.sl_trigger),
        "slOrderPrice": optional(exits.sl_price),
    }


def protection_json(protection: Protection) -> Json:
    """Return a TP/SL order; -1 is the whole position."""
    actual = protection.actual_size
    return {
        "tpslId": protection.id,
        "clientOrderId": protection.client_id,
        "instId": protection.inst_id,
        "marginMode": protection.margin_mode,
        "positionSide": protection.position_side,
        "side": protection.side,
        "orderType": None,
        "size": "-1" if protection.size is None else short(protection.size),
        "reduceOnly": flag(protection.reduce_only),
        "leverage": str(protection.leverage),
        "state": protection.state,
        "actualSize": None if actual is None else short(actual),
        "triggerType": protection.actual_side,
        "orderCategory": protection.actual_side or "normal",
        **exits_json(protection.exits),
        "createTime": str(protection.created),
        "brokerId": protection.broker_id,
    }


def trigger_json(trigger: TriggerOrder) -> Json:
    """Return an algo order."""
    return {
        "algoId": trigger.id,
        "clientOrderId": trigger.client_id,
        "instId": trigger.inst_id,
        "marginMode": trigger.margin_mode,
        "positionSide": trigger.position_side,
        "side": trigger.side,
        "orderType": "trigger",
        "size": "-1" if trigger.size is None else short(trigger.size),
        "actualSize": None if trigger.actual_size is None else short(trigger.actual_size),
        "reduceOnly": flag(trigger.reduce_only),
        "leverage": str(trigger.leverage),
        "state": trigger.state,
        "createTime": str(trigger.created),
        "triggerPrice": long(trigger.trigger),
        "triggerPriceType": "last",
        "orderPrice": optional(trigger.price),
        "brokerId": trigger.broker_id,
        "attachAlgoOrders": [exits_json(trigger.exits)] if trigger.exits else [],
    }


def fill_json(fill: Fill) -> Json:
    """Return an execution; a fee that was paid is positive."""
    return {
        "instId": fill.inst_id,
        "tradeId": fill.id,
        "orderId": fill.order_id,
        "fillPrice": long(fill.price),
        "fillSize": long(fill.size),
        "fillPnl": long(fill.pnl),
        "positionSide": fill.position_side,
        "side": fill.side,
        "fee": long(fill.fee),
        "ts": str(fill.at),
        "brokerId": fill.broker_id,
    }


def key_json(account: Account) -> Json:
    """Return what a key may do; BloFin's documents show no field for withdrawals, so `extra` may add one."""
    return {
        "uid": f"10{sum(account.key.encode()):07d}",
        "apiName": "dashtrade",
        "apiKey": account.key,
        "readOnly": int("trade" not in account.permissions),
        "ips": list(account.ips),
        "type": account.key_type,
        "expireTime": str(account.created + 90 * 86_400_000),
        "createTime": str(account.created),
        "referralCode": "",
        "parentUid": "0",
        **account.extra,
    }
