"""Translate between ccxt's unified structures and our types. Pure: no network, no clock.

ccxt counts in contracts, we in coins: sizes are multiplied by the market's contract size on the way in
and divided on the way out. Numbers are texts all the way (`number = str`), so that none is rounded.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from brokers.answers import Json, number, optional_number, positive, text
from brokers.base import Account, AccountPosition
from brokers.ccxt_venues import Codes, Envelope, Money, Venue
from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected, Unavailable, Unknown
from core.instrument import AssetClass, Instrument, Quote, symbol_key
from core.money import ZERO
from core.order import MarginMode, Order, OrderIntent, OrderState, OrderType, Side

SETTLED_IN = "USDT"
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
# "partially_canceled" is a state of BloFin's that ccxt hands on as it is
STATES = {
    "closed": OrderState.FILLED,
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "canceling": OrderState.SUBMITTED,
    "partially_canceled": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
    "open": OrderState.SUBMITTED,
}
# What the address of a firewall answers has not reached the exchange behind it.
NOT_LET_IN = frozenset({403, 418, 429})
# Final without a code of the exchange's; another status, such as a gateway's 404 or 302, is no word of its own.
REFUSED_IN_EARNEST = frozenset({400, 401, 422})
CLOCK = "The clock of this machine is wrong: let it be set by the network (NTP)."
# Errors that ccxt raises of itself about what we asked for.
REFUSED_BEFOREHAND = frozenset(
    {"ArgumentsRequired", "AuthenticationError", "BadRequest", "BadSymbol", "InvalidOrder", "NotSupported"}
)


# Symbols


def by_key(markets: Iterable[Json]) -> dict[str, Json]:
    """Return markets by the spellings under which they are found: BTC-USDT and BTC/USDT:USDT give BTCUSDT.

    The exchange's own name of a market is never another one's; what two others share names neither.
    """
    own: dict[str, Json] = {}
    pairs: dict[str, list[Json]] = {}
    for market in markets:
        own[symbol_key(market["id"])] = market
        pairs.setdefault(symbol_key(f"{market['base']}{market['quote']}"), []).append(market)
    return {pair: sharing[0] for pair, sharing in pairs.items() if len(sharing) == 1} | own


def spellings(symbol: str) -> tuple[str, ...]:
    """Return what a user's symbol may mean, the likeliest first: `BLOFIN:BTCUSDT.P` gives `BTCUSDT`."""
    word = symbol.strip().upper()
    parts = (word, word.partition(":")[0], word.rpartition(":")[2], word.removesuffix("PERP"))
    return tuple(dict.fromkeys(symbol_key(part) for part in parts))


def is_listed(market: Json) -> bool:
    """Tell whether a market is a linear perpetual settled in USDT, the only kind that is traded."""
    return bool(market.get("swap") and market.get("linear") and market.get("settle") == SETTLED_IN)


def contract_size(market: Json) -> Decimal:
    """Return how many coins a contract is; raise `Rejected` where that is not known, since 1 would be a guess."""
    size = optional_number(market.get("contractSize"))
    if size is None or size <= 0:
        raise Rejected(f"How much one contract of {market.get('id')} is, is not known.")
    return size


def to_contracts(quantity: Decimal, market: Json) -> Decimal:
    """Return coins as contracts; raise `Rejected` for what is no whole number of the market's steps."""
    contracts = quantity / contract_size(market)
    step = number(market["precision"]["amount"])
    if contracts * contract_size(market) != quantity or contracts % step:
        raise Rejected(
            f"{plain(quantity)} {market['base']} is no multiple of {market['id']}'s step"
            f" of {plain(step * contract_size(market))}."
        )
    return contracts


def to_coins(contracts: object, market: Json) -> Decimal:
    """Return contracts as coins."""
    return tidy(number(contracts) * contract_size(market))


def check_price(price: Decimal, market: Json) -> str:
    """Return a price as text; raise `Rejected` for one between ticks, which ccxt would round by itself."""
    tick = number(market["precision"]["price"])
    if price % tick:
        raise Rejected(f"{plain(price)} is no multiple of {market['id']}'s tick of {plain(tick)}.")
    return plain(price)


# Requests


def is_closing(intent: OrderIntent) -> bool:
    """Tell whether an order only reduces what the account holds."""
    return intent.reduce_only or intent.closes_account_position is True


def position_side(side: Side, *, closing: bool) -> str:
    """Return which side of a hedged account an order belongs to: a sell that closes works on the long one."""
    return "long" if (side is Side.BUY) is not closing else "short"


def order_type(intent: OrderIntent, title: str) -> str:
    """Return ccxt's name of an order's type; raise `Rejected` for stop orders."""
    if intent.order_type is OrderType.STOP:
        raise Rejected(f"DashTrade sends no stop orders to {title}; stops rest there as protection.")
    return intent.order_type.value.lower()


# Answers


def read_instrument(market: Json, title: str, tiers: Sequence[Json] = ()) -> Instrument:
    """Read the rules of a market; raise `Rejected` where its contract size is missing.

    `tiers` are ccxt's leverage tiers: the first is for the smallest positions.
    """
    size = contract_size(market)
    step = tidy(positive(market["precision"]["amount"]) * size)
    limits = market["limits"]
    smallest = tiers[0] if tiers else {}
    leverage = optional_number(limits["leverage"].get("max") or smallest.get("maxLeverage"))
    rate = optional_number(smallest.get("maintenanceMarginRate"))
    return Instrument(
        symbol=market["id"],
        asset_class=AssetClass.CRYPTO,
        tradable=market.get("active") is not False,
        shortable=True,
        price_steps=((ZERO, tidy(positive(market["precision"]["price"]))),),
        quantity_step=step,
        short_quantity_step=step,
        minimum_quantity=tidy((optional_number(limits["amount"].get("min")) or ZERO) * size),
        minimum_notional=optional_number(limits["cost"].get("min")) or ZERO,
        base_asset=market["base"],
        quote_asset=market["quote"],
        exchange=title,
        maximum_leverage=None if leverage is None else int(leverage),
        **({} if rate is None else {"maintenance_rate": tidy(rate)}),
    )


def read_account(balance: Json, money: Money, moment: datetime) -> Account:
    """Read the money in USDT out of an exchange's own balance; an account that has none does not list it."""
    rows = at(balance, money.rows)
    if not isinstance(rows, list):
        raise ValueError("no list of balances")
    row = next((each for each in rows if each[money.currency] == SETTLED_IN), None)
    free = at(balance, money.free_of_all) if money.free_of_all else (row or {}).get(money.free)
    return Account(
        equity=tidy(number(row[money.equity])) if row else ZERO,
        cash=tidy(number(row[money.cash])) if row else ZERO,
        buying_power=max(tidy(number(free)), ZERO) if row else ZERO,
        currency=SETTLED_IN,
        shorting_enabled=True,
        at=moment,
    )


def read_positions(found: Iterable[Json], markets: Mapping[str, Json]) -> tuple[AccountPosition, ...]:
    """Read what is held, one position for each symbol; `markets` are those listed, by ccxt's symbol.

    In hedged mode a long and a short of one symbol may stand side by side, and so may an isolated and a cross
    position; the account then holds their sum, shorts negative. What is held in markets that we do not trade is
    left out.
    """
    sides: dict[str, list[AccountPosition]] = {}
    for raw in found:
        market = markets.get(text(raw["symbol"]))
        if market is not None and number(raw["contracts"]):
            position = _read_side(raw, market)
            sides.setdefault(position.symbol, []).append(position)
    return tuple(held for each in sides.values() if (held := _net(each)).quantity)


def unknown_markets(found: Iterable[Json], markets: Mapping[str, Json]) -> tuple[str, ...]:
    """Return the markets among positions that ccxt does not know: new ones, perhaps."""
    return tuple(name for each in found if (name := text(each["symbol"])) not in markets)


def read_order(raw: Json, market: Json) -> Order:
    """Read an order; raise ValueError for a side or a state that is not known."""
    filled = to_coins(raw.get("filled") or "0", market)
    average = optional_number(raw.get("average"))
    fee, fee_asset = _fee(raw)
    return Order(
        broker_order_id=text(raw["id"]),
        client_order_id=raw.get("clientOrderId") or "",
        symbol=market["id"],
        side=SIDES[raw["side"]],
        quantity=to_coins(raw["amount"], market),
        order_type=OrderType.MARKET if raw.get("type") == "market" else OrderType.LIMIT,
        state=_state(raw["status"], filled),
        filled_quantity=filled,
        average_price=tidy(average) if average else None,
        fee=fee,
        fee_asset=fee_asset,
        message=_bad_end(raw),
        submitted_at=read_time(raw["timestamp"]),
        updated_at=read_time(raw.get("lastUpdateTimestamp") or raw["timestamp"]),
    )


def first_known(intent: OrderIntent, market: Json, order_id: str, at: datetime) -> Order:
    """Return an order as its acceptance tells of it: two ids, and nothing of what it filled."""
    return Order(
        broker_order_id=order_id,
        client_order_id=intent.client_order_id,
        symbol=market["id"],
        side=intent.side,
        quantity=intent.quantity,
        order_type=intent.order_type,
        state=OrderState.SUBMITTED,
        submitted_at=at,
        updated_at=at,
    )


def read_quote(symbol: str, book: Json, at: datetime) -> Quote:
    """Read the best bid and ask of a book; raise `Rejected` when a side is empty.

    The best is searched for: ccxt sorts numbers that are texts as texts.
    """
    bids = [number(level[0]) for level in book["bids"]]
    asks = [number(level[0]) for level in book["asks"]]
    if not bids or not asks:
        raise Rejected(f"No usable quote for {symbol}: {len(bids)} bids, {len(asks)} asks")
    moment = read_time(book["timestamp"]) if book.get("timestamp") else at
    return Quote(symbol=symbol, bid=tidy(max(bids)), ask=tidy(min(asks)), at=moment)


def read_time(milliseconds: object) -> datetime:
    """Read a moment in milliseconds as aware UTC."""
    return datetime.fromtimestamp(float(number(milliseconds)) / 1000, UTC)


def _read_side(raw: Json, market: Json) -> AccountPosition:
    sign = {"long": 1, "short": -1}[raw["side"]]
    mode = raw.get("marginMode")
    return AccountPosition(
        symbol=market["id"],
        quantity=sign * abs(to_coins(raw["contracts"], market)),
        average_price=tidy(number(raw["entryPrice"])),
        current_price=tidy(optional_number(raw.get("markPrice")) or ZERO),
        unrealized=tidy(optional_number(raw.get("unrealizedPnl")) or ZERO),
        leverage=optional_number(raw.get("leverage")),
        margin_mode=MarginMode(mode) if mode else None,
        margin=optional_number(raw.get("initialMargin")),
        liquidation_price=optional_number(raw.get("liquidationPrice")) or None,
    )


def _net(sides: Sequence[AccountPosition]) -> AccountPosition:
    if len(sides) == 1:
        return sides[0]
    quantity = sum((side.quantity for side in sides), ZERO)
    larger = max(sides, key=lambda side: abs(side.quantity))
    # what was opened against it has no part in the price of the rest
    same = [side for side in sides if side.quantity * larger.quantity > 0]
    worth = sum((side.quantity * side.average_price for side in same), ZERO)
    margins = [side.margin for side in sides if side.margin is not None]
    return AccountPosition(
        symbol=larger.symbol,
        quantity=quantity,
        average_price=tidy(worth / sum((side.quantity for side in same), ZERO)),
        current_price=larger.current_price,
        unrealized=sum((side.unrealized for side in sides), ZERO),
        leverage=larger.leverage,
        margin_mode=larger.margin_mode,
        margin=sum(margins, ZERO) if margins else None,
    )


def _state(status: object, filled: Decimal) -> OrderState:
    if status not in STATES:
        raise ValueError(f"order status {status!r}")
    state = STATES[str(status)]
    return OrderState.PARTIALLY_FILLED if state is OrderState.SUBMITTED and filled else state


def _fee(raw: Json) -> tuple[Decimal, str | None]:
    fee = raw.get("fee") or {}
    cost = optional_number(fee.get("cost"))
    return (ZERO, None) if cost is None else (tidy(cost), fee.get("currency") or SETTLED_IN)


def _bad_end(raw: Json) -> str | None:
    info = raw.get("info") or {}
    if STATES.get(str(raw["status"])) not in {OrderState.CANCELED, OrderState.REJECTED}:
        return None
    return info.get("cancelSourceReason") or info.get("rejectReason") or None


def at(answer: object, path: Sequence[str | int]) -> object:
    """Return what lies at the end of a path of names and places, None where there is nothing."""
    for step in path:
        if isinstance(answer, Mapping):
            answer = answer.get(step)
        elif isinstance(answer, list) and isinstance(step, int) and step < len(answer):
            answer = answer[step]
        else:
            return None
    return answer


# Errors


def check_answer(venue: Venue, status: int, path: str, body: str, retry_after: float | None = None) -> None:
    """Raise the error of `core.errors` that an answer means, or return where it is a success.

    By the failure's own code first (of the single operation, where the exchange wraps it in a success or in
    "all failed"); then by the HTTP status. 429 and a firewall's 403 have not reached the exchange, whatever
    code they carry: `Unavailable`. 5xx, what somebody else than the exchange answers, and what cannot be read,
    may have been carried out: `Unknown`.
    """
    raw = _json(body)
    failure = None if raw is None else _failure(venue, raw)
    if failure is not None:
        raise _by_code(venue, *failure, status, retry_after)
    if status >= 300:
        raise _by_status(venue, status, retry_after)
    if raw is None or not _is_whole(venue, raw):
        raise Unknown(f"{venue.title}'s answer is not understood", status=status)
    _check_list(venue, path, raw)


def _json(body: str) -> object:
    try:
        return json.loads(body, parse_float=str)
    except ValueError:
        return None


def _is_whole(venue: Venue, raw: object) -> bool:
    if venue.envelope.strict:
        return isinstance(raw, Mapping) and venue.envelope.code in raw
    return isinstance(raw, Mapping | list)


def _failure(venue: Venue, raw: object) -> tuple[str, str] | None:
    """Return code and words of a failure, the single operation's before those around it."""
    envelope = venue.envelope
    if not isinstance(raw, Mapping) or raw.get(envelope.code) is None:
        return None
    inner = _inner_failure(envelope, raw)
    if inner is not None:
        return inner
    code = str(raw[envelope.code])
    if code in envelope.success:
        return None
    return code, str(raw.get(envelope.message) or f"{venue.title} refused with code {code}")


def _inner_failure(envelope: Envelope, raw: Json) -> tuple[str, str] | None:
    found = raw.get(envelope.items) if envelope.items else None
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, Mapping) and item.get(envelope.code) not in {None, "", "0", 0}:
            code = str(item[envelope.code])
            words = item.get(envelope.message) or raw.get(envelope.message)
            return code, str(words or f"refused with code {code}")
    return None


def _check_list(venue: Venue, path: str, raw: object) -> None:
    for ending, place in venue.envelope.lists.items():
        if not path.endswith(ending):
            continue
        found = at(raw, place)
        if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
            raise Unknown(f"{venue.title}'s answer to {ending} holds no list")


def _by_code(venue: Venue, code: str, message: str, status: int, retry_after: float | None) -> BrokerError:
    codes = venue.codes
    words = without_secrets(message)
    if code in codes.clock:
        words = f"{words} {CLOCK}"
    if code in codes.unavailable | codes.clock or status in NOT_LET_IN:
        return Unavailable(words, code=code, status=status, retry_after=retry_after)
    if code in codes.ended or is_ended_in_words(message):
        return Rejected(words, code=code, status=status)
    if code in codes.unknown or status >= 500:
        return Unknown(words, code=code, status=status)
    if code in codes.conflict | codes.mode:
        return Conflict(words, code=code, status=status)
    refused = DuplicateOrder if code in codes.duplicate else Rejected
    return refused(words, code=code, status=status)


def _by_status(venue: Venue, status: int, retry_after: float | None) -> BrokerError:
    words = f"{venue.title} answered HTTP {status}"
    if status in NOT_LET_IN:
        return Unavailable(words, status=status, retry_after=retry_after)
    refused = Rejected if status in REFUSED_IN_EARNEST else Unknown
    return refused(words, status=status)


def is_ended(error: BrokerError, codes: Codes) -> bool:
    """Tell whether a cancel was refused because the order is over."""
    return error.code in codes.ended or is_ended_in_words(error.message)


def is_ended_in_words(message: str) -> bool:
    """Tell it from the words: BloFin gives the same sentence under several codes, 500 among them."""
    return "has been filled, triggered, canceled or does not exist" in message


def without_secrets(words: str) -> str:
    """Return words without the signatures and keys that an address in them may carry."""
    return re.sub(r"(?i)((?:signature|sign|api_?key|listenkey|apikey)=)[^&\s]+", r"\1…", words)


# Numbers


def plain(value: Decimal) -> str:
    """Write a number without an exponent and without idle zeros."""
    return format(tidy(value), "f")


def tidy(value: Decimal) -> Decimal:
    """Return a number without idle zeros, and never as 1E+3."""
    shorter = value.normalize()
    return shorter.quantize(Decimal(1)) if shorter.as_tuple().exponent > 0 else shorter  # type: ignore[operator]
