"""Trade leveraged perpetuals at an exchange that ccxt knows, by its entry in `brokers.ccxt_venues`.

ccxt is used for addresses, signatures, markets and the unified form of answers; `brokers.ccxt_client`
says what is done about the rest. One class for all exchanges: what differs stands in the table.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, cast

from brokers import ccxt_mapping as mapping
from brokers.answers import Json
from brokers.base import Account, AccountPosition, BrokerName, Capabilities, CredentialField, Mode
from brokers.ccxt_client import Client, exchange_class, host, open_client, understood
from brokers.ccxt_listing import Listing
from brokers.ccxt_venues import (
    CONNECT_TIMEOUT,
    PREPARE_SECONDS,
    READ_TIMEOUT,
    LookUp,
    MarginPlace,
    Venue,
)
from core.errors import Conflict, Rejected, Unavailable, Unknown
from core.instrument import AssetClass, Instrument, MarketClock, Quote
from core.order import MarginMode, Order, OrderIntent

LEVERAGE_SECONDS = 30.0
REMEMBERED_ORDERS = 10_000
BOOK_DEPTH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The leverage and the margin mode that a symbol is set to."""

    leverage: int
    mode: MarginMode

    def beside(self, other: "Standing") -> str:
        """Return both in words, or the leverage alone where the mode is the same."""
        return f"{self.leverage}" if self.mode is other.mode else f"{self.leverage} {self.mode}"


class CcxtBroker:
    """Carry out `brokers.base.Broker` at one exchange; `broker_class` gives the class of each.

    Safe to use from several threads; make one object per connection and keep it, since it keeps its
    TCP connections. Time-outs are in seconds: to connect, and between two pieces of an answer.
    `submit` sends exactly one order, and within `PREPARE_SECONDS` or not at all. It may ask for the
    markets, the position mode and the leverage before; when that fails, nothing was sent.
    """

    venue: ClassVar[Venue]
    name: ClassVar[BrokerName]
    capabilities: Capabilities
    credential_fields: ClassVar[tuple[CredentialField, ...]]

    def __init__(
        self,
        credentials: Mapping[str, str],
        *,
        mode: Mode = Mode.DEMO,
        base_url: str | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        listing: Listing | None = None,
    ) -> None:
        keys = {each.name: _key(each, credentials[each.name]) for each in self.credential_fields}
        timeout = (connect_timeout, read_timeout)
        self.capabilities = replace(self.capabilities, read_timeout_seconds=PREPARE_SECONDS + sum(timeout))
        self._client = open_client(self.venue, self._kind(), keys, mode, base_url, timeout)
        self._mode = mode
        self._listing = listing or Listing()
        self._hedged: bool | None = None
        self._standings: dict[tuple[str, MarginMode | None, str], tuple[Standing, float]] = {}
        self._margin_modes: dict[str, MarginMode] = {}
        self._symbols: dict[str, str] = {}
        self._remembering = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({host(self._client)})"

    # Reading

    def account(self) -> Account:
        """Return the account's money and whatever keeps it from trading."""
        self._markets()
        with self._understood():
            balance = self._client.fetch_balance()["info"]
            return mapping.read_account(balance, self.venue.money, datetime.now(UTC))

    def positions(self) -> tuple[AccountPosition, ...]:
        """Return every holding that is not zero; long and short of one symbol as their difference."""
        return self._held()

    def position(self, symbol: str) -> AccountPosition:
        """Return one holding; zero only when the exchange listed the others without it."""
        market = self._market(symbol)
        held = [each for each in self._held(market) if each.symbol == market["id"]]
        return held[0] if held else AccountPosition.flat(market["id"])

    def instrument(self, symbol: str) -> Instrument:
        """Return the rules of a symbol in any spelling, kept with the markets; raise `Rejected` if unknown."""
        market = self._market(symbol)
        # those of before are another dictionary, and with them goes what is read of their markets
        kept = self._listing.instruments
        if market["id"] not in kept:
            kept[market["id"]] = self._read_instrument(market)
        return kept[market["id"]]

    def quote(self, symbol: str) -> Quote:
        """Return the best bid and ask of the book; raise `Rejected` when a side is empty."""
        market = self._market(symbol)
        with self._understood():
            book = self._client.fetch_order_book(market["symbol"], BOOK_DEPTH)
            return mapping.read_quote(market["id"], book, datetime.now(UTC))

    def clock(self, asset_class: AssetClass) -> MarketClock:
        """Return that the market is open: perpetuals trade at every hour."""
        return MarketClock(is_open=True)

    def find_order(self, client_order_id: str, symbol: str | None = None) -> Order | None:
        """Return the order with our id; None only when the exchange itself says that there is none.

        Where the exchange wants the symbol as well and neither the caller nor this object knows it, an
        order that is not found raises `Unknown`: nobody has said that it does not exist.
        """
        self._markets()
        symbol = self._symbol_of(client_order_id, symbol)
        skipped = False
        for look_up in self.venue.look_ups:
            if look_up.symbol_name is not None and symbol is None:
                skipped = True
                continue
            found = self._look_up(look_up, client_order_id, symbol)
            if found is not None:
                return found
        if skipped:
            raise Unknown(
                f"{self.venue.title} finds an order that is over only by its symbol, which is not known."
            )
        return None

    def open_orders(self) -> tuple[Order, ...]:
        """Return every order that is not final, ours or not."""
        self._markets()
        with self._understood():
            return self._read_orders(self._all_open())

    # Orders

    def submit(self, intent: OrderIntent) -> Order:
        """Send the order once and return it as first known, without its fills.

        Raises the classes of `core.errors`. `DuplicateOrder` means that our id is taken: an earlier
        attempt may have arrived, so look it up.
        """
        begun = time.monotonic()
        with self._before_sending():
            market, kind, parameters = self._prepared(intent)
        if time.monotonic() - begun > PREPARE_SECONDS:
            raise Unavailable(f"{self.venue.title} took too long before the order could be sent.")
        self._remember(intent.client_order_id, market["id"])
        with self._client.session.one_order(), self._forgetting(market["id"]), self._understood():
            answer = self._client.create_order(
                market["symbol"],
                kind,
                intent.side.value.lower(),
                mapping.plain(mapping.to_contracts(intent.quantity, market)),
                None if intent.limit_price is None else mapping.check_price(intent.limit_price, market),
                parameters,
            )
            return self._accepted(intent, market, answer)

    def cancel(self, broker_order_id: str) -> None:
        """Ask for the order's end; an order that has ended already is no error."""
        self._markets()
        try:
            self._send_cancel(broker_order_id)
        except (Rejected, Unknown) as error:
            if not mapping.is_ended(error, self.venue.codes):
                raise

    # What a subclass may do otherwise

    @classmethod
    def _kind(cls) -> type:
        base = exchange_class(cls.venue.ccxt_id)
        return type(f"Our{base.__name__}", (Client, base), {})

    def _read_instrument(self, market: Json) -> Instrument:
        with self._understood():
            tiers = self._client.fetch_leverage_tiers([market["symbol"]]) if self.venue.tiers else {}
            return mapping.read_instrument(market, self.venue.title, tiers.get(market["symbol"], ()))

    def _send_cancel(self, broker_order_id: str) -> None:
        symbol = self._symbols.get(broker_order_id) or self._symbol_of_open(broker_order_id)
        if symbol is not None:
            with self._understood():
                self._client.cancel_order(broker_order_id, self._market(symbol)["symbol"])

    def _standing(self, market: Json, mode: MarginMode, side: str) -> Standing:
        with self._understood():
            raw = self._client.fetch_leverage(market["symbol"], {"marginMode": mode.value})
            leverage = int(raw["shortLeverage" if side == "short" else "longLeverage"])
            by_symbol = self.venue.margin_place is MarginPlace.SYMBOL
            return Standing(leverage=leverage, mode=MarginMode(raw["marginMode"]) if by_symbol else mode)

    def _set_leverage(self, market: Json, leverage: int, mode: MarginMode, side: str) -> None:
        with self._understood(), self._unchanged_is_fine():
            if self.venue.margin_place is MarginPlace.SYMBOL:
                self._client.set_margin_mode(mode.value, market["symbol"])
        with self._understood(), self._unchanged_is_fine():
            self._client.set_leverage(leverage, market["symbol"])

    def _own_parameters(
        self, intent: OrderIntent, market: Json, mode: MarginMode, side: str | None
    ) -> dict[str, object]:
        if intent.stop_loss is not None or intent.take_profit is not None:
            raise Rejected(f"DashTrade leaves no stops and targets at {self.venue.title}.")
        if self.venue.margin_place is MarginPlace.ACCOUNT and mode not in self.capabilities.margin_modes:
            raise Rejected(
                f"The margin mode of {self.venue.title} is set for the whole account, on its page."
            )
        return {**self.venue.order_parameters} if side is None else {"positionSide": side.upper()}

    # Steps of an order

    def _prepared(self, intent: OrderIntent) -> tuple[Json, str, dict[str, object]]:
        market = self._market(intent.symbol)
        kind = mapping.order_type(intent, self.venue.title)
        mapping.to_contracts(intent.quantity, market)
        closing = mapping.is_closing(intent)
        mode = self._margin_mode(market, intent.margin_mode, closing=closing)
        side = mapping.position_side(intent.side, closing=closing) if self._is_hedged() else None
        parameters = self._own_parameters(intent, market, mode, side)
        parameters |= {"clientOrderId": intent.client_order_id}
        if closing and (side is None or self.venue.margin_place is MarginPlace.ORDER):
            parameters["reduceOnly"] = True
        if intent.leverage is not None and not closing:
            self._see_to_leverage(market, Standing(leverage=intent.leverage, mode=mode), side or "net")
        return market, kind, parameters

    def _accepted(self, intent: OrderIntent, market: Json, answer: Json) -> Order:
        order_id = answer.get("id")
        ours = answer.get("clientOrderId")
        if not order_id:
            raise Unknown(f"{self.venue.title} answered without an order's id.")
        if ours and ours != intent.client_order_id:
            raise Unknown(f"{self.venue.title} answered with another order: {ours}")
        self._remember(str(order_id), market["id"])
        return mapping.first_known(intent, market, str(order_id), datetime.now(UTC))

    def _see_to_leverage(self, market: Json, wanted: Standing, side: str) -> None:
        """Set leverage and margin mode where they are others; only while flat, for they move the liquidation."""
        by_order = self.venue.margin_place is MarginPlace.ORDER
        key = (market["id"], wanted.mode if by_order else None, side)
        kept = self._standings.get(key)
        now = kept[0] if kept is not None and kept[1] > time.monotonic() else None
        if now != wanted:
            now = self._standing(market, wanted.mode, side)
        if now != wanted:
            self._check_is_flat(market, now, wanted)
            self._set_leverage(market, wanted.leverage, wanted.mode, side)
        self._standings[key] = (wanted, time.monotonic() + LEVERAGE_SECONDS)

    def _check_is_flat(self, market: Json, now: Standing, wanted: Standing) -> None:
        symbol, title = market["id"], self.venue.title
        words = f"leverage {now.beside(wanted)}, this entry asks for {wanted.beside(now)}"
        if self.position(symbol).quantity:
            raise Rejected(
                f"{symbol} is held at {title} with {words}; it can be changed only while nothing is held."
            )
        if any(order.symbol == symbol for order in self.open_orders()):
            raise Rejected(
                f"{symbol} has open orders at {title} with {words}; it can be changed only without open orders."
            )

    def _margin_mode(self, market: Json, wanted: MarginMode | None, *, closing: bool) -> MarginMode:
        """Return the margin mode of an order: an exit's is that of what is held."""
        if not closing:
            # what is held may be in the other mode, and stay so when this entry is refused
            self._margin_modes.pop(market["id"], None)
            return wanted or MarginMode.CROSS
        if wanted is None and market["id"] not in self._margin_modes:
            self.position(market["id"])
        return wanted or self._margin_modes.get(market["id"], MarginMode.CROSS)

    def _is_hedged(self) -> bool:
        if not self.venue.hedges:
            return False
        if self._hedged is None:
            with self._understood():
                self._hedged = self._read_hedged()
        return self._hedged

    def _read_hedged(self) -> bool:
        return bool(self._client.fetch_position_mode()["hedged"])

    @contextmanager
    def _before_sending(self) -> Iterator[None]:
        """Say of a question without an answer that the order has not been sent."""
        try:
            yield
        except Unknown as error:
            raise Unavailable(f"Before the order was sent: {error.message}", code=error.code) from error

    @contextmanager
    def _forgetting(self, symbol: str) -> Iterator[None]:
        """Forget what is known of the account where the exchange contradicts it, so that it is read again."""
        try:
            yield
        except Conflict as error:
            if error.code in self.venue.codes.mode:
                self._hedged = None
            self._margin_modes.pop(symbol, None)
            raise

    @contextmanager
    def _unchanged_is_fine(self) -> Iterator[None]:
        try:
            yield
        except Rejected as error:
            if error.code not in self.venue.codes.unchanged:
                raise

    # Looking up

    def _symbol_of(self, client_order_id: str, symbol: str | None) -> str | None:
        """Return the symbol to look an order up by; None for one that is not known, or not listed any more."""
        if symbol is None:
            return self._symbols.get(client_order_id)
        try:
            return str(self._market(symbol)["id"])
        except Rejected:
            return None

    def _look_up(self, look_up: LookUp, client_order_id: str, symbol: str | None) -> Order | None:
        parameters: dict[str, str] = dict(look_up.fixed)
        if look_up.id_name is not None:
            parameters[look_up.id_name] = client_order_id
        if look_up.symbol_name is not None and symbol is not None:
            parameters[look_up.symbol_name] = symbol
        try:
            with self._understood():
                answer = getattr(self._client, look_up.method)(parameters)
        except Rejected as error:
            if error.code in self.venue.codes.absent:
                return None
            raise
        with self._understood():
            return self._chosen(mapping.at(answer, look_up.path), client_order_id)

    def _chosen(self, found: object, client_order_id: str) -> Order | None:
        raws = found if isinstance(found, list) else [found] if found else []
        parsed = [self._client.parse_order(raw) for raw in raws]
        ours = [each for each in parsed if each.get("clientOrderId") == client_order_id]
        orders = self._read_orders(ours)
        if ours and not orders:
            raise Unknown(f"{self.venue.title} has the order, but does not list {ours[0]['symbol']}.")
        return next(iter(orders), None)

    def _read_orders(self, found: Sequence[Json]) -> tuple[Order, ...]:
        markets = self._listing.by_symbol
        orders = tuple(
            mapping.read_order(raw, markets[raw["symbol"]]) for raw in found if raw["symbol"] in markets
        )
        for order in orders:
            self._remember(order.broker_order_id, order.symbol)
            self._remember(order.client_order_id, order.symbol)
        return orders

    def _held(self, only: Json | None = None) -> tuple[AccountPosition, ...]:
        """Return what is held, or what of it concerns `only`, to which a market that is not known is nothing."""
        for fresh in (False, True):
            self._markets(fresh=fresh)
            with self._understood():
                found = self._client.fetch_positions()
                strange = mapping.unknown_markets(found, self._client.markets)
            if only is not None:
                return self._read_positions([each for each in found if each["symbol"] == only["symbol"]])
            if not strange:
                return self._read_positions(found)
        raise Unknown(f"{self.venue.title} does not say how much a contract of {strange[0]} is.")

    def _read_positions(self, found: Sequence[Json]) -> tuple[AccountPosition, ...]:
        with self._understood():
            held = mapping.read_positions(found, self._listing.by_symbol)
        for position in held:
            if position.margin_mode is not None:
                self._margin_modes[position.symbol] = position.margin_mode
        return held

    def _all_open(self) -> list[Json]:
        """Return ccxt's open orders of every page; its own paging wants a moment to begin at."""
        pages = self.venue.pages
        if pages is None:
            return list(self._client.fetch_open_orders())
        found: dict[str, Json] = {}
        query: dict[str, object] = {}
        while True:
            page = self._client.fetch_open_orders(None, None, pages.size, query)
            new = {each["id"]: each for each in page if each["id"] not in found}
            found |= new
            cursor = next(
                (each["info"][pages.received] for each in page if each["info"].get(pages.received)), None
            )
            if not new or not cursor:
                return list(found.values())
            query = {pages.sent: cursor}

    def _symbol_of_open(self, broker_order_id: str) -> str | None:
        return next(
            (order.symbol for order in self.open_orders() if order.broker_order_id == broker_order_id), None
        )

    def _remember(self, order_id: str, symbol: str) -> None:
        with self._remembering:
            if order_id:
                self._symbols[order_id] = symbol
            while len(self._symbols) > REMEMBERED_ORDERS:
                del self._symbols[next(iter(self._symbols))]

    # Markets

    def _market(self, symbol: str) -> Json:
        """Return the market that a symbol in any spelling means; raise `Rejected` where there is none."""
        for again in (False, True):
            by_key = self._markets(fresh=again)
            for spelling in mapping.spellings(symbol):
                if spelling in by_key:
                    return by_key[spelling]
        raise Rejected(f"{self.venue.title} has no perpetual {symbol} that is settled in USDT.")

    def _markets(self, *, fresh: bool = False) -> Mapping[str, Json]:
        """Return the markets by their keys, ten minutes old at most; a minute with `fresh`."""
        return self._listing.shown_to(self._client, fresh=fresh)

    @contextmanager
    def _understood(self) -> Iterator[None]:
        with understood(self.venue, self._client.session):
            yield


def broker_class(venue: Venue) -> type[CcxtBroker]:
    """Return the class of brokers at one exchange of the table that needs no code of its own."""
    fields = {
        "venue": venue,
        "name": venue.name,
        "capabilities": venue.capabilities,
        "credential_fields": venue.credential_fields,
    }
    return cast(type[CcxtBroker], type(f"{venue.name.capitalize()}Broker", (CcxtBroker,), fields))


def _key(wanted: CredentialField, text: str) -> str:
    word = text.strip()
    if not word or not word.isascii() or not word.isprintable():
        raise Rejected(f"{wanted.label} is empty or holds characters that keys do not have.")
    return word
