"""ccxt's BloFin, put right where it sends or reads something else than BloFin's documents say.

Loading this module loads ccxt's exchange: `brokers.blofin` does so when a connection is opened.
"""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from brokers.ccxt_client import Client, exchange_class

_base: Any = exchange_class("blofin")
FAILED = "order_failed"


class BlofinClient(Client, _base):  # type: ignore[misc]
    """Sign with a random nonce, send no broker id, keep the sign of fees and the failure of orders."""

    def sign(
        self,
        path: str,
        api: Any = ("public",),
        method: str = "GET",
        params: Any = (),
        *more: object,
    ) -> dict[str, Any]:
        """Sign exactly what is sent; ccxt's nonce is the time, on which two processes of one key collide."""
        if api[0] != "private":
            return dict(super().sign(path, api, method, params or {}))
        request = f"/api/{self.version}/{path}"
        if method == "GET" and params:
            request += "?" + self.urlencode(params)
        body = self.json(params) if method != "GET" and params else None
        moment, nonce = str(self.milliseconds()), uuid.uuid4().hex
        signed = self.encode(f"{request}{method}{moment}{nonce}{body or ''}")
        signature = self.hmac(signed, self.encode(self.secret), hashlib.sha256)
        headers = {
            "ACCESS-KEY": self.apiKey,
            "ACCESS-PASSPHRASE": self.password,
            "ACCESS-TIMESTAMP": moment,
            "ACCESS-NONCE": nonce,
            "ACCESS-SIGN": self.string_to_base64(signature),
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        return {"url": self.urls["api"]["rest"] + request, "method": method, "body": body, "headers": headers}

    def create_order_request(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Leave out ccxt's broker id, which BloFin refuses of ordinary keys (152011)."""
        request: dict[str, Any] = super().create_order_request(*arguments, **named)
        request.pop("brokerId", None)
        return request

    def parse_order(self, order: Mapping[str, Any], market: Any = None) -> dict[str, Any]:
        """Keep what ccxt drops: a rebate is a negative fee, a failed order was not cancelled by anybody."""
        parsed: dict[str, Any] = super().parse_order(order, market)
        if order.get("fee") not in {None, ""}:
            parsed["fee"] = {"cost": str(order["fee"]), "currency": order.get("feeCcy") or "USDT"}
        if order.get("state") == FAILED:
            parsed["status"] = "rejected"
        return parsed
