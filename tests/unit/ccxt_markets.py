"""Two of BloFin's markets as ccxt tells them."""

from typing import Any

BTC: dict[str, Any] = {
    "id": "BTC-USDT",
    "symbol": "BTC/USDT:USDT",
    "base": "BTC",
    "quote": "USDT",
    "settle": "USDT",
    "swap": True,
    "linear": True,
    "active": True,
    "contractSize": "0.001",
    "precision": {"amount": "0.1", "price": "0.1"},
    "limits": {
        "leverage": {"min": "1", "max": "125"},
        "amount": {"min": "0.1", "max": "1000"},
        "cost": {"min": None},
    },
}
BONK = {
    **BTC,
    "id": "1000BONK-USDT",
    "symbol": "1000BONK/USDT:USDT",
    "base": "1000BONK",
    "contractSize": "1000",
    "precision": {"amount": "1", "price": "0.000001"},
}
