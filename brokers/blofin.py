"""Trade perpetuals at BloFin: what it does in no other exchange's way, and protection that rests there."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import ClassVar

from brokers import blofin_mapping as own
from brokers import ccxt_mapping as mapping
from brokers.answers import Json
from brokers.base import (
    Account,
    BrokerName,
    Capabilities,
    CredentialField,
    Mode,
    ProtectionIntent,
    ProtectionOutcome,
    ProtectionState,
    RestingProtection,
)
from brokers.ccxt_exchange import CcxtBroker, Standing
from brokers.ccxt_venues import BLOFIN, Venue
from core.errors import BrokerError, Rejected, Unavailable, Unknown
from core.instrument import Instrument
from core.order import MarginMode, Order, OrderIntent

PAGE = 100
MOST_PAGES = 20
# How far back orders are looked for of which only our id is known: so long, or so many newer orders.
LOOK_BACK = timedelta(days=30)
HISTORY_PAGES = 10
POSITION_MODES = {"net_mode": False, "long_short_mode": True}
KEY_SECONDS = 86_400.0
KEY_AGAIN_SECONDS = 60.0


class BlofinBroker(CcxtBroker):
    """Carry out `brokers.base.ProtectingBroker` at BloFin.

    Sizes travel in contracts, everything here is in coins. In hedged mode every order names its side.
    """

    venue: ClassVar[Venue] = BLOFIN
    name: ClassVar[BrokerName] = BLOFIN.name
    capabilities: Capabilities = BLOFIN.capabilities
    credential_fields: ClassVar[tuple[CredentialField, ...]] = BLOFIN.credential_fields

    _key: tuple[own.KeyRights, float] | None = None

    def account(self) -> Account:
        """Return the account's money, what keeps the key from trading, and what is unsafe about it."""
        account, rights = super().account(), self._rights()
        return replace(account, problem=rights.problem, warning=rights.warning)

    def open_orders(self) -> tuple[Order, ...]:
        """Return every order that is not final, ours or not, the newest first."""
        self._markets()
        return self._orders(self._whole("private_get_trade_orders_pending", {}))

    def find_order(self, client_order_id: str, symbol: str | None = None) -> Order | None:
        """Return the order with our id; None only when neither the detail nor both lists have it.

        BloFin wants the symbol for the detail. Where it is not known, as after a restart, and where the
        detail refuses, the open orders and the history are searched: `LOOK_BACK`, or `HISTORY_PAGES`.
        """
        self._markets()
        symbol = self._symbol_of(client_order_id, symbol)
        found = None if symbol is None else self._detail(client_order_id, symbol)
        if found is not None:
            return found
        return self._in_lists(client_order_id, {} if symbol is None else {"instId": symbol})

    # Protection

    def protect(self, intent: ProtectionIntent) -> str:
        """Let a stop, a target or both rest, and return BloFin's id of it; sends once."""
        begun = time.monotonic()
        with self._before_sending():
            market = self._market(intent.symbol)
            body = self._protection_body(intent, market)
        if time.monotonic() - begun > self.capabilities.read_timeout_seconds:
            raise Unavailable("BloFin took too long before the protection could be sent.")
        with self._client.session.one_order(), self._forgetting(market["id"]), self._understood():
            answer = self._client.private_post_trade_order_tpsl(body)
            return own.protection_id(answer, intent.client_id)

    def protections(self, symbol: str) -> tuple[RestingProtection, ...]:
        """Return every stop and target of a symbol that rests, ours or not."""
        market = self._market(symbol)
        raws = self._whole("private_get_trade_orders_tpsl_pending", {"instId": market["id"]}, "tpslId")
        with self._understood():
            return tuple(own.read_protection(raw, market) for raw in raws)

    def triggered_protections(self, symbol: str) -> tuple[RestingProtection, ...]:
        """Return the latest stops and targets of a symbol that have triggered, ours or not."""
        market = self._market(symbol)
        with self._understood():
            query = {"instId": market["id"], "state": own.TRIGGERED}
            rows = self._client.private_get_trade_orders_tpsl_history(query)["data"]
            return tuple(own.read_protection(raw, market) for raw in rows if raw["state"] == own.TRIGGERED)

    def protection_outcome(self, symbol: str, protection_id: str) -> ProtectionOutcome:
        """Return what became of a protection, with the order that it sent once BloFin shows one."""
        market = self._market(symbol)
        query = {"instId": market["id"], "tpslId": protection_id}
        for method in ("private_get_trade_orders_tpsl_pending", "private_get_trade_orders_tpsl_history"):
            with self._understood():
                answer = getattr(self._client, method)(query)["data"]
                found = next((raw for raw in answer if str(raw["tpslId"]) == protection_id), None)
            if found is not None:
                return self._outcome(found, market)
        raise Unknown(f"BloFin shows no protection {protection_id} of {market['id']}.")

    def cancel_protection(self, symbol: str, protection_id: str) -> None:
        """Take a protection away; one that is gone or has triggered is no error."""
        body = [{"instId": self._market(symbol)["id"], "tpslId": protection_id}]
        try:
            with self._understood():
                self._client.private_post_trade_cancel_tpsl(body)
        except (Rejected, Unknown) as error:
            if not mapping.is_ended(error, self.venue.codes):
                raise

    # What the table cannot say

    @classmethod
    def _kind(cls) -> type:
        # loads ccxt, for which nobody waits who has no account at BloFin
        from brokers.blofin_client import BlofinClient

        return BlofinClient

    def _own_parameters(
        self, intent: OrderIntent, market: Json, mode: MarginMode, side: str | None
    ) -> dict[str, object]:
        exits = own.exits(market, stop=intent.stop_loss, target=intent.take_profit)
        return {"marginMode": mode.value, "positionSide": side or "net", **exits}

    def _send_cancel(self, broker_order_id: str) -> None:
        with self._understood():
            self._client.private_post_trade_cancel_order({"orderId": broker_order_id})

    def _standing(self, market: Json, mode: MarginMode, side: str) -> Standing:
        with self._understood():
            query = {"instId": market["id"], "marginMode": mode.value}
            rows = self._client.private_get_account_batch_leverage_info(query)["data"]
            return Standing(leverage=own.leverage_of(rows, market["id"], side), mode=mode)

    def _set_leverage(self, market: Json, leverage: int, mode: MarginMode, side: str) -> None:
        body = {"instId": market["id"], "leverage": str(leverage), "marginMode": mode.value}
        if side != "net" and mode is MarginMode.ISOLATED:
            body["positionSide"] = side
        with self._understood():
            now = self._client.private_post_account_set_leverage(body)["data"].get("leverage", leverage)
            if Decimal(now) != leverage:
                raise Rejected(f"BloFin set the leverage of {market['id']} to {now} instead of {leverage}.")

    def _read_hedged(self) -> bool:
        mode = self._client.private_get_account_position_mode()["data"]["positionMode"]
        if mode not in POSITION_MODES:
            raise Rejected(f"The account's position mode is {mode}: set it to one-way or hedge at BloFin.")
        return POSITION_MODES[mode]

    def _read_instrument(self, market: Json) -> Instrument:
        with self._understood():
            return mapping.read_instrument(market, self.venue.title, self._tiers(market))

    def _tiers(self, market: Json) -> Sequence[Json]:
        """Return the tiers of a market; none, for the usual maintenance rate, where BloFin does not tell."""
        query = {"instId": market["id"], "marginMode": MarginMode.CROSS.value}
        try:
            with self._understood():
                return own.tiers(self._client.public_get_market_position_tiers(query)["data"])
        except BrokerError:
            return ()

    # Steps

    def _rights(self) -> own.KeyRights:
        kept = self._key
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        try:
            with self._understood():
                raw = self._client.private_get_user_query_apikey()["data"]
            withdraws = self._may_withdraw()
            with self._understood():
                rights = own.read_rights(raw, datetime.now(UTC), withdraws=withdraws)
        except (Rejected, Unknown):
            # the account itself was read: that BloFin does not tell of the key keeps nobody from trading
            self._key = (own.KeyRights(), time.monotonic() + KEY_AGAIN_SECONDS)
            return self._key[0]
        self._key = (rights, time.monotonic() + KEY_SECONDS)
        return rights

    def _may_withdraw(self) -> bool:
        """Put a live key to the test: BloFin's page about a key does not say whether it may withdraw.

        The request names neither amount nor address, so it can only be refused: for the missing right
        (152404), or else for what it lacks.
        """
        if self._mode is not Mode.LIVE:
            return False
        try:
            with self._understood():
                self._client.private_post_asset_withdrawal_apply({"currency": mapping.SETTLED_IN})
        except Rejected as error:
            return error.code in own.LACKS_SOMETHING
        return True

    def _protection_body(self, intent: ProtectionIntent, market: Json) -> dict[str, str]:
        if intent.stop_price is None and intent.target_price is None:
            raise Rejected("A protection needs a stop or a target.")
        side = mapping.position_side(intent.side, closing=True) if self._is_hedged() else "net"
        return {
            "instId": market["id"],
            "marginMode": self._margin_mode(market, intent.margin_mode, closing=True).value,
            "positionSide": side,
            "side": intent.side.value.lower(),
            "size": mapping.plain(mapping.to_contracts(intent.quantity, market)),
            "reduceOnly": "true",
            "clientOrderId": intent.client_id,
            **own.exits(market, stop=intent.stop_price, target=intent.target_price),
        }

    def _outcome(self, raw: Json, market: Json) -> ProtectionOutcome:
        with self._understood():
            state = own.protection_state(raw)
        if state is not ProtectionState.TRIGGERED:
            return ProtectionOutcome(state=state)
        sent = self._exit_of(raw, market)
        orders = () if sent is None else self._orders([sent])
        return ProtectionOutcome(state=state, order=next(iter(orders), None), is_stop=own.is_stop(raw, sent))

    def _detail(self, client_order_id: str, symbol: str) -> Order | None:
        try:
            return self._look_up(self.venue.look_ups[0], client_order_id, symbol)
        except Rejected:
            # The code of "no such order" is in none of BloFin's documents: the lists decide.
            return None

    def _in_lists(self, client_order_id: str, query: Mapping[str, str]) -> Order | None:
        since = {"begin": str(int((datetime.now(UTC) - LOOK_BACK).timestamp() * 1000))}
        for page in self._recent(query, since):
            with self._understood():
                order = self._chosen(page, client_order_id)
            if order is not None:
                return order
        return None

    def _exit_of(self, raw: Json, market: Json) -> Json | None:
        """Return the order that a triggered protection sent, of those since it was placed."""
        since = {"begin": str(raw["createTime"])} if raw.get("createTime") else {}
        seen: list[Json] = []
        for page in self._recent({"instId": market["id"]}, since):
            seen += page
            with self._understood():
                if (named := own.named_exit(raw, page)) is not None:
                    return named
        with self._understood():
            return own.nameless_exit(raw, seen)

    def _recent(self, query: Mapping[str, str], since: Mapping[str, str]) -> Iterator[list[Json]]:
        """Go through the open orders, then the newest `HISTORY_PAGES` pages of those that are over."""
        yield from self._pages("private_get_trade_orders_pending", query)
        history = self._pages("private_get_trade_orders_history", {**query, **since})
        yield from islice(history, HISTORY_PAGES)

    def _orders(self, raws: Sequence[Json]) -> tuple[Order, ...]:
        with self._understood():
            return self._read_orders([self._client.parse_order(raw) for raw in raws])

    def _whole(self, method: str, query: Mapping[str, str], id_name: str = "orderId") -> list[Json]:
        return [raw for page in self._pages(method, query, id_name) for raw in page]

    def _pages(self, method: str, query: Mapping[str, str], id_name: str = "orderId") -> Iterator[list[Json]]:
        """Go through a list, the newest first, a page at a time; raise `Unknown` where it has no end."""
        seen: set[str] = set()
        after: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            with self._understood():
                answer = getattr(self._client, method)({**query, **after, "limit": str(PAGE)})["data"]
                page = {str(raw[id_name]): raw for raw in answer}
            if page and page.keys() <= seen:
                raise Unknown("BloFin shows the same page of a list twice.")
            yield [raw for each, raw in page.items() if each not in seen]
            if len(answer) < PAGE:
                return
            seen |= page.keys()
            after = {"after": list(page)[-1]}
        raise Unknown(f"BloFin lists more than {MOST_PAGES * PAGE} orders.")
