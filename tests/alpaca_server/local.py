"""Run the server inside a test, and drive it from any process."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from requests import Response, Session

from tests.alpaca_server.app import make_app
from tests.alpaca_server.state import Server
from tests.local_server import LocalServer

Json = dict[str, Any]


@dataclass(slots=True)
class Control:
    """Turn the server's screws by HTTP; the methods are named after the control routes."""

    url: str
    session: Session = field(default_factory=Session)

    def price(self, symbol: str, bid: object, ask: object) -> None:
        """Set the price that orders trade at and the market data shows."""
        self._post("price", symbol=symbol, bid=str(bid), ask=str(ask))

    def shown_quote(self, symbol: str, bid: object, ask: object, at: str | None = None) -> None:
        """Show another quote than the one orders trade at."""
        self._post("shown_quote", symbol=symbol, bid=str(bid), ask=str(ask), at=at)

    def clock(self, *, is_open: bool) -> None:
        """Open or close the stock market."""
        self._post("clock", is_open=is_open)

    def asset(self, symbol: str, **fields: object) -> None:
        """Add an asset or change one; see `market.Asset`."""
        self._post("asset", symbol=symbol, **fields)

    def account(self, key: str, secret: str, cash: object = 100_000, **flags: object) -> None:
        """Open an account; flags show in its Account object."""
        self._post("account", key=key, secret=secret, cash=str(cash), flags=flags)

    def settings(self, **fields: object) -> None:
        """Change `account.Settings`."""
        self._post("settings", **fields)

    def fault(self, kind: str, method: str = "POST", path: str = "/v2/orders", **fields: object) -> None:
        """Queue a fault; see `faults.Fault`."""
        self._post("faults", kind=kind, method=method, path=path, **fields)

    def clear_faults(self) -> None:
        """Forget the queued faults."""
        self._answer(self.session.delete(f"{self.url}/_control/faults", timeout=10))

    def holding(self, key: str, symbol: str, quantity: object, price: object = None) -> None:
        """Change what an account holds, as by a hand at the broker's own page."""
        at = None if price is None else str(price)
        self._post("holding", key=key, symbol=symbol, quantity=str(quantity), price=at)

    def fill(self, key: str, client_order_id: str, quantity: object = None, price: object = None) -> None:
        """Fill an order or a piece of it now."""
        numbers = {n: str(v) for n, v in (("quantity", quantity), ("price", price)) if v is not None}
        self._post("fill", key=key, client_order_id=client_order_id, **numbers)

    def end(self, key: str, client_order_id: str, how: str, message: str = "") -> None:
        """End an order as the broker: reject, expire or cancel."""
        self._post("end", key=key, client_order_id=client_order_id, how=how, message=message)

    def status(self, key: str, client_order_id: str, status: str) -> None:
        """Let an order show any status."""
        self._post("status", key=key, client_order_id=client_order_id, status=status)

    def fees(self, key: str) -> int:
        """Post the fees of everything traded so far."""
        return int(self._post("fees", key=key)["posted"])

    def drop_streams(self, key: str | None = None) -> int:
        """Close the stream of a key, or all."""
        return int(self._post("streams/drop", key=key)["dropped"])

    def settle(self, patience: float = 30.0) -> None:
        """Return when everything that happens by itself at the present prices has happened."""
        deadline = time.monotonic() + patience
        while self._get("pending", {})["pending"]:
            if time.monotonic() > deadline:
                raise TimeoutError("the local Alpaca server did not settle")
            time.sleep(0.002)

    def reset(self) -> None:
        """Forget everything."""
        self._post("reset")

    def orders(self, key: str | None = None) -> list[Json]:
        """Return every order ever accepted, in the order of arrival."""
        return list(self._get("orders", {"key": key} if key else {}))

    def executions(self, key: str) -> list[Json]:
        """Return every piece that traded in an account, in the order of trading."""
        return list(self._get("executions", {"key": key}))

    def requests(self, method: str | None = None, path: str | None = None) -> list[list[Any]]:
        """Return the requests that arrived as [method, path, key, status]."""
        found = self._get("requests", {})
        return [r for r in found if method in (None, r[0]) and path in (None, r[1])]

    def sign_ins(self) -> list[list[Any]]:
        """Return the sign-ins to the stream as [key, succeeded]."""
        return list(self._get("sign_ins", {}))

    def listeners(self) -> list[str]:
        """Return the keys with a stream."""
        return list(self._get("listeners", {}))

    def faults(self) -> list[Json]:
        """Return the faults still waiting."""
        return list(self._get("faults", {}))

    def books(self, key: str) -> Json:
        """Return Account and positions of a key as the server holds them."""
        return dict(self._get("account", {"key": key}))

    def _post(self, route: str, **body: object) -> Json:
        return dict(self._answer(self.session.post(f"{self.url}/_control/{route}", json=body, timeout=10)))

    def _get(self, route: str, query: dict[str, str]) -> Any:
        return self._answer(self.session.get(f"{self.url}/_control/{route}", params=query, timeout=60))

    def _answer(self, response: Response) -> Any:
        response.raise_for_status()
        return response.json()


@contextmanager
def running_server(seed: str = "1", port: int = 0) -> Iterator[Control]:
    """Run a server in a thread of this process and give its control."""
    with closing(LocalServer(make_app(Server(seed)), port)) as local, Session() as session:
        yield Control(local.url, session)
