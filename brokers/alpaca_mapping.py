"""Translate between Alpaca's JSON and our types; pure, without network or clock.

Sources: Alpaca's OpenAPI file (in the wheel `alpaca-mcp-server`) and the probes listed in
the project's notes on the real service. Every reader raises ValueError, KeyError or
TypeError on an answer it does not understand; the client turns that into `Unknown`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_UP, Decimal

from brokers.answers import Json, flag, number, optional_number, positive, text
from brokers.base import Account, AccountPosition
from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected, Unavailable, Unknown
from core.instrument import AssetClass, Instrument, MarketClock, Quote, symbol_key
from core.money import ZERO
from core.order import Order, OrderIntent, OrderState, OrderType, Side

NOT_FOUND = "40410000"
MALFORMED = "40010001"

# Tier 1 taker, taken from what is received: docs "Crypto Fees". An estimate until the account is compared.
CRYPTO_TAKER_FEE = Decimal("0.0025")
FINEST_QUANTITY = Decimal("0.000000001")

QUOTE_ASSETS = ("USDT", "USDC", "USD", "BTC")
LONGEST_STOCK_TICKER = 5

SIDES = {"buy": Side.BUY, "sell": Side.SELL}

# We send only the first three; the others are met in orders that the user placed elsewhere.
ORDER_TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP,
    "trailing_stop": OrderType.STOP,
}

# `done_for_day`, `suspended` and `calculated` can still change on a later day, `held` waits for
# its entry order: none of them is an end. A replaced order is over; another id goes on.
RESTING_STATUSES = frozenset(
    {
        "accepted",
        "accepted_for_bidding",
        "calculated",
        "done_for_day",
        "held",
        "new",
        "partially_filled",
        "pending_cancel",
        "pending_new",
        "pending_replace",
        "stopped",
        "suspended",
    }
)
ENDED_STATUSES = {
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "replaced": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
}


# Symbols


def spellings(symbol: str) -> tuple[str, ...]:
    """Return how Alpaca may spell a symbol for orders, the likeliest first.

    `btcusd`, `BTC-USD` and `BTC/USD` give `BTC/USD`; `BRK/B` and `BRK.B` give `BRK.B`. A word
    that could be a ticker or a pair gives both.
    """
    word = symbol.strip().upper().rpartition(":")[2]
    for separator in "/-":
        if separator in word:
            base, _, quote = word.partition(separator)
            return (f"{base}/{quote}",) if quote in QUOTE_ASSETS else (f"{base}.{quote}",)
    pair = _pair(symbol_key(word))
    if pair is None:
        return (word,)
    return (pair, word) if len(symbol_key(word)) > LONGEST_STOCK_TICKER else (word, pair)


def asset_class_of(order_symbol: str) -> AssetClass:
    """Tell the asset class from the spelling used for orders: pairs have a slash."""
    return AssetClass.CRYPTO if "/" in order_symbol else AssetClass.STOCK


def path_symbol(order_symbol: str) -> str:
    """Return the spelling used in the path of a position: `BTCUSD`, not `BTC/USD`."""
    return order_symbol.replace("/", "")


def _pair(word: str) -> str | None:
    for quote in QUOTE_ASSETS:
        if word.endswith(quote) and len(word) > len(quote) + 1:
            return f"{word.removesuffix(quote)}/{quote}"
    return None


def _order_symbol(symbol: str, asset_class: str) -> str:
    if asset_class == "crypto" and "/" not in symbol:
        return _pair(symbol) or symbol
    return symbol


# Requests


def order_body(intent: OrderIntent) -> dict[str, str]:
    """Return the body of POST /v2/orders, all numbers as strings so that none is rounded.

    Stocks go as day orders (fractions must), crypto as gtc (day is refused there). Raises
    `Rejected` for a stop order on crypto, which Alpaca does not have.
    """
    asset_class = asset_class_of(intent.symbol)
    if asset_class is AssetClass.CRYPTO and intent.order_type is OrderType.STOP:
        raise Rejected("Alpaca has no stop orders for crypto")
    body = {
        "symbol": intent.symbol,
        "qty": _plain(intent.quantity),
        "side": intent.side.value.lower(),
        "type": intent.order_type.value.lower(),
        "time_in_force": "day" if asset_class is AssetClass.STOCK else "gtc",
        "client_order_id": intent.client_order_id,
    }
    if intent.limit_price is not None:
        body["limit_price"] = _plain(intent.limit_price)
    if intent.stop_price is not None:
        body["stop_price"] = _plain(intent.stop_price)
    if asset_class is AssetClass.STOCK and intent.closes_account_position is not None:
        # The account must end up where the engine meant it to: Alpaca refuses a mismatch with 422
        effect = "close" if intent.closes_account_position else "open"
        body["position_intent"] = f"{intent.side.value.lower()}_to_{effect}"
    return body


def _plain(value: Decimal) -> str:
    return format(value, "f")


# Answers


def read_time(stamp: str) -> datetime:
    """Read a timestamp with nanoseconds and any offset as aware UTC; raise ValueError without offset."""
    moment = datetime.fromisoformat(stamp)
    if moment.tzinfo is None:
        raise ValueError(f"timestamp without offset: {stamp!r}")
    return moment.astimezone(UTC)


def read_order(raw: Json) -> Order:
    """Read an Order object of the REST answers and of the stream."""
    filled = number(raw["filled_qty"])
    average = optional_number(raw.get("filled_avg_price"))
    side = SIDES[raw["side"]]
    symbol = _order_symbol(text(raw["symbol"]), raw.get("asset_class", ""))
    quantity = optional_number(raw.get("qty"))
    fee, fee_asset = estimated_fee(symbol, side, filled, average)
    return Order(
        broker_order_id=text(raw["id"]),
        client_order_id=text(raw["client_order_id"]),
        symbol=symbol,
        side=side,
        quantity=filled if quantity is None else quantity,
        order_type=ORDER_TYPES[raw["type"]],
        state=_state(raw["status"], quantity, filled),
        filled_quantity=filled,
        average_price=average,
        fee=fee,
        fee_asset=fee_asset,
        message=_bad_end(raw),
        submitted_at=read_time(raw.get("submitted_at") or raw["created_at"]),
        updated_at=read_time(raw.get("updated_at") or raw["created_at"]),
    )


def is_ours_to_read(raw: Json) -> bool:
    """Tell whether an order is of a kind we have types for (options and multi-leg orders are not)."""
    return raw.get("asset_class") in {"us_equity", "crypto"} and bool(raw.get("symbol"))


def estimated_fee(
    symbol: str, side: Side, filled: Decimal, average: Decimal | None
) -> tuple[Decimal, str | None]:
    """Return fee and fee asset of what has filled: stocks are free, crypto pays from what it receives."""
    if asset_class_of(symbol) is AssetClass.STOCK:
        return ZERO, None
    base, _, quote = symbol.partition("/")
    if side is Side.BUY:
        return _to_nine_places(filled * CRYPTO_TAKER_FEE), base
    return _to_nine_places(filled * (average or ZERO) * CRYPTO_TAKER_FEE), quote


def read_account(raw: Json, at: datetime) -> Account:
    """Read the account; the day-trading fields that Alpaca removed in 2026 are not needed."""
    return Account(
        equity=number(raw["equity"]),
        cash=number(raw["cash"]),
        buying_power=number(raw["buying_power"]),
        currency=text(raw.get("currency") or "USD"),
        shorting_enabled=bool(raw.get("shorting_enabled", False)),
        at=at,
        problem=_account_problem(raw),
    )


def read_position(raw: Json) -> AccountPosition:
    """Read one position; the side decides the sign, whatever sign the quantity carries."""
    sign = {"long": 1, "short": -1}[raw["side"]]
    return AccountPosition(
        symbol=_order_symbol(text(raw["symbol"]), raw["asset_class"]),
        quantity=sign * abs(number(raw["qty"])),
        average_price=number(raw["avg_entry_price"]),
        current_price=optional_number(raw.get("current_price")) or ZERO,
        unrealized=optional_number(raw.get("unrealized_pl")) or ZERO,
    )


def read_instrument(raw: Json) -> Instrument:
    """Read an asset and give it the trading rules of its class.

    Stocks: ticks of 0.01, below one dollar 0.0001; at least $1; whole shares unless
    fractionable, always whole when short. Crypto: the asset's own steps, at least $10.
    """
    kind = raw["class"]
    if kind == "crypto":
        return _crypto_instrument(raw)
    if kind == "us_equity":
        return _stock_instrument(raw)
    raise ValueError(f"asset class {kind!r}")


def read_clock(raw: Json) -> tuple[MarketClock, datetime]:
    """Read the stock market's clock and the moment the broker says it is."""
    clock = MarketClock(
        is_open=flag(raw["is_open"]),
        next_open=read_time(raw["next_open"]),
        next_close=read_time(raw["next_close"]),
    )
    return clock, read_time(raw["timestamp"])


def read_quote(symbol: str, raw: Json) -> Quote:
    """Read the latest quote of the market data API; raise `Rejected` when a side is empty.

    Alpaca gives 0 for bid or ask while nobody quotes (a closed market): not a price.
    """
    bid, ask = number(raw["bp"]), number(raw["ap"])
    if bid <= 0 or ask <= 0:
        raise Rejected(f"No usable quote for {symbol}: bid {bid}, ask {ask}")
    return Quote(symbol=symbol, bid=bid, ask=ask, at=read_time(raw["t"]))


def _state(status: str, quantity: Decimal | None, filled: Decimal) -> OrderState:
    if status in ENDED_STATUSES:
        return ENDED_STATUSES[status]
    if status not in RESTING_STATUSES:
        raise ValueError(f"order status {status!r}")
    if status == "calculated" and filled == quantity:
        return OrderState.FILLED
    return OrderState.PARTIALLY_FILLED if filled else OrderState.SUBMITTED


def _bad_end(raw: Json) -> str | None:
    if raw["status"] == "rejected":
        return raw.get("reject_reason") or "Alpaca rejected the order after accepting it, without a reason"
    if raw["status"] == "replaced":
        return f"Replaced by order {raw.get('replaced_by')}"
    return None


def _account_problem(raw: Json) -> str | None:
    problems = []
    if raw["status"] != "ACTIVE":
        problems.append(f"The account is {raw['status']}.")
    if raw.get("account_blocked"):
        problems.append("The account is blocked.")
    if raw.get("trading_blocked"):
        problems.append("Trading is blocked.")
    if raw.get("trade_suspended_by_user"):
        problems.append("Trading is suspended in the account's settings.")
    return " ".join(problems) or None


def _stock_instrument(raw: Json) -> Instrument:
    return Instrument(
        symbol=text(raw["symbol"]),
        asset_class=AssetClass.STOCK,
        tradable=_is_tradable(raw),
        shortable=flag(raw["shortable"]) and _is_easy_to_borrow(raw),
        quantity_step=FINEST_QUANTITY if flag(raw["fractionable"]) else Decimal(1),
        minimum_notional=Decimal(1),
        exchange=text(raw["exchange"]),
    )


def _crypto_instrument(raw: Json) -> Instrument:
    symbol = _order_symbol(text(raw["symbol"]), "crypto")
    base, _, quote = symbol.partition("/")
    return Instrument(
        symbol=symbol,
        asset_class=AssetClass.CRYPTO,
        tradable=_is_tradable(raw),
        price_steps=((ZERO, positive(raw["price_increment"])),),
        quantity_step=positive(raw["min_trade_increment"]),
        minimum_quantity=number(raw["min_order_size"]),
        minimum_notional=Decimal(10),
        base_asset=base,
        quote_asset=quote,
        exchange=text(raw["exchange"]),
    )


def _is_tradable(raw: Json) -> bool:
    return raw["status"] == "active" and flag(raw["tradable"])


def _is_easy_to_borrow(raw: Json) -> bool:
    # `borrow_status` takes the place of the older flag; either may be missing
    if "borrow_status" in raw:
        return bool(raw["borrow_status"] == "easy_to_borrow")
    return bool(raw.get("easy_to_borrow", False))


def _to_nine_places(quantity: Decimal) -> Decimal:
    # up, so that the ledger never holds more than the account
    return quantity.quantize(FINEST_QUANTITY, ROUND_UP)


# Errors


def broker_error(status: int, body: object, retry_after: float | None = None) -> BrokerError:
    """Return the error that tells the caller what to do about an HTTP answer of 300 or more.

    429 was not carried out: `Unavailable`. 5xx and 408 may have been carried out: `Unknown`.
    403 and 422 for held shares or a wash trade: `Conflict` with the blocking order's id
    where Alpaca names it. An id used before: `DuplicateOrder`. Everything else is final: `Rejected`.
    """
    details: Json = body if isinstance(body, Mapping) else {}
    message = str(details.get("message") or f"Alpaca answered HTTP {status}")
    code = str(details["code"]) if "code" in details else None
    if status == 429:
        return Unavailable(message, code=code, status=status, retry_after=retry_after)
    if status >= 500 or status == 408:
        return Unknown(message, code=code, status=status)
    if status in {403, 422} and _is_conflict(message, details):
        blocking = _blocking_order(details)
        return Conflict(message, code=code, status=status, blocking_order_id=blocking)
    refused = DuplicateOrder if _is_duplicate(message, code) else Rejected
    return refused(message, code=code, status=status)


def _is_duplicate(message: str, code: str | None) -> bool:
    # "client_order_id must be unique": the code alone says only that some field is wrong
    words = message.lower()
    return code == MALFORMED and "client_order_id" in words and "unique" in words


def _is_conflict(message: str, details: Json) -> bool:
    words = message.lower()
    return bool(
        "wash trade" in words
        or ("cannot open a" in words and "order is open" in words)
        # an opening order that Alpaca takes for a closing one: the close before it is not settled yet
        or re.search(r"position intent mismatch.*inferred:? \w+ to close", words.replace("_", " "))
        or _holds_something(details)
    )


def _holds_something(details: Json) -> bool:
    try:
        return number(details.get("held_for_orders", "0")) > 0
    except ValueError:
        return False


def _blocking_order(details: Json) -> str | None:
    related = details.get("related_orders")
    first = related[0] if isinstance(related, list) and related else None
    named = details.get("existing_order_id") or first
    return named if isinstance(named, str) else None
