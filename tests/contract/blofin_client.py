"""Clients of the local BloFin: ccxt's own, and requests written from BloFin's documents without ccxt."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any
from urllib.parse import urlencode

import ccxt
import requests

from tests.blofin_server.local import Control

Json = dict[str, Any]
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
CCXT_BROKER = "ec6dd3a7dd982d0b"
ORDER = "/api/v1/trade/order"


class Client(ccxt.blofin):
    """ccxt's own client, but no two of its requests share a millisecond, which is their nonce."""

    def milliseconds(self) -> int:
        self.clock = max(getattr(self, "clock", 0) + 1, super().milliseconds())
        return self.clock


def client(control: Control, key: str = "key", **options: object) -> Any:
    """Return ccxt's client for the account `key`."""
    settings = {"apiKey": key, "secret": "secret", "password": "phrase", "enableRateLimit": False}
    return Client({**settings, "urls": {"api": {"rest": control.url}}, **options})


def fresh(control: Control) -> Any:
    """Return ccxt's client for the only account of an emptied server, its key bound to ccxt's broker id."""
    control.reset()
    control.account("key", "secret", "phrase", key_type=2, broker_id=CCXT_BROKER)
    return client(control)


class Raw:
    """Signed requests written from BloFin's documents, without ccxt."""

    def __init__(self, control: Control) -> None:
        self.url, self.key, self.secret, self.phrase = control.url, "key", "secret", "phrase"

    def get(self, path: str, query: Json | None = None) -> Json:
        return self.send("GET", path + (f"?{urlencode(query)}" if query else ""), "")

    def post(self, path: str, body: object) -> Json:
        return self.send("POST", path, json.dumps(body))

    def send(self, method: str, target: str, body: str) -> Json:
        headers = self.headers(method, target, body)
        return dict(
            requests.request(method, self.url + target, data=body, headers=headers, timeout=30).json()
        )

    def headers(
        self, method: str, target: str, body: str, stamp: str | None = None, nonce: str | None = None
    ) -> dict[str, str]:
        stamp = str(time.time_ns() // 1_000_000) if stamp is None else stamp
        nonce = str(uuid.uuid4()) if nonce is None else nonce
        text = f"{target}{method}{stamp}{nonce}{body}".encode()
        digest = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        return {
            "ACCESS-KEY": self.key,
            "ACCESS-SIGN": base64.b64encode(digest.encode()).decode(),
            "ACCESS-TIMESTAMP": stamp,
            "ACCESS-NONCE": nonce,
            "ACCESS-PASSPHRASE": self.phrase,
            "Content-Type": "application/json",
        }


def order_body(**changes: object) -> Json:
    body: Json = {
        "instId": "BTC-USDT",
        "marginMode": "cross",
        "positionSide": "net",
        "side": "buy",
        "orderType": "market",
        "size": "1",
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def detail(exchange: Any, client_order_id: str, inst_id: str = "BTC-USDT") -> Any:
    found = exchange.private_get_trade_order_detail({"instId": inst_id, "clientOrderId": client_order_id})
    return exchange.parse_order(found["data"])
