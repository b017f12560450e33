"""Run the server inside a test, and drive it from any process."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from requests import Response, Session

from tests.blofin_server.app import make_app
from tests.blofin_server.errors import Envelope, OperationFailed, failure
from tests.blofin_server.state import Server
from tests.local_server import LocalServer

Json = dict[str, Any]


@dataclass(slots=True)
class Control:
    """Turn the server's screws by HTTP."""

    url: str
    session: Session = field(default_factory=Session)

    def price(
        self, instrument: str, bid: object, ask: object = None, *, last: object = None, mark: object = None
    ) -> None:
        """Set what an instrument trades at; the ask is the bid, the last their middle, the mark the last."""
        values = {"bid": bid, "ask": ask, "last": last, "mark": mark}
        given = {name: str(value) for name, value in values.items() if value is not None}
        self._post("price", instrument=instrument, **given)

    def tick(self) -> None:
        """Work every open order once more."""
        self._post("tick")

    def instrument(self, inst_id: str, **fields: object) -> None:
        """Add an instrument or change one; see `market.Instrument`."""
        self._post("instrument", inst_id=inst_id, **fields)

    def account(
        self, key: str, secret: str, passphrase: str = "", balance: object = 10_000, **fields: object
    ) -> None:
        """Open an account with futures `balance`.

        Fields: funding, permissions (of read, trade, transfer, withdraw), key_type (1 ordinary, 2 bound to
        broker_id), position_mode (net_mode, long_short_mode), margin_mode, ips, expired, extra (more fields of
        query-apikey).
        """
        self._post("account", key=key, secret=secret, passphrase=passphrase, balance=str(balance), **fields)

    def change_account(self, key: str, **fields: object) -> None:
        """Change `balance` or `permissions` of an account that is open."""
        self._post("change_account", key=key, **fields)

    def settings(self, **fields: object) -> None:
        """Change `settings.Settings`."""
        self._post("settings", **fields)

    def fault(
        self, kind: str, method: str = "POST", path: str = "/api/v1/trade/order", **fields: object
    ) -> None:
        """Queue a fault; see `tests.faults.Fault`."""
        self._post("faults", kind=kind, method=method, path=path, **fields)

    def operation_error(
        self, code: str, envelope: str = "outer_one", path: str = "/api/v1/trade/order", **fields: object
    ) -> None:
        """Let the next request to `path` fail with any of BloFin's codes, in any `errors.Envelope`.

        `fields` are those of a fault: with kind="answer_after" the operation is carried out all the same.
        """
        message = fields.pop("message", None)
        failed = OperationFailed(code, "", "", message=None if message is None else str(message))
        listed = path.endswith(("/order", "-order", "-orders", "cancel-tpsl"))
        ids = {"orderId": None, "clientOrderId": ""}
        body = json.dumps(failure(failed, Envelope(envelope), ids, listed=listed))
        kind = str(fields.pop("kind", "answer_before"))
        self.fault(kind, "*", path, status=200, body=body, **fields)

    def clear_faults(self) -> None:
        """Forget the queued faults."""
        self._answer(self.session.delete(f"{self.url}/_control/faults", timeout=10))

    def fill(self, key: str, order: str, size: object = None, price: object = None) -> None:
        """Fill an order, by its id or the client's, or so many contracts of it."""
        given = {n: str(v) for n, v in (("size", size), ("price", price)) if v is not None}
        self._post("fill", key=key, order=order, **given)

    def end(self, key: str, order: str, reason: str = "") -> None:
        """Cancel an order as the exchange."""
        self._post("end", key=key, order=order, reason=reason)

    def reset(self) -> None:
        """Forget everything."""
        self._post("reset")

    def requests(self, method: str | None = None, path: str | None = None) -> list[Json]:
        """Return what came: method, path, query, body, headers, key, at, status, code of the answer."""
        found = self._get("requests", {})
        return [r for r in found if method in (None, r["method"]) and path in (None, r["path"])]

    def orders(self, key: str | None = None) -> list[Json]:
        """Return every order that was ever accepted, in the order of arrival."""
        return list(self._get("orders", {"key": key} if key else {}))

    def protections(self, key: str | None = None) -> list[Json]:
        """Return every TP/SL order that was ever accepted."""
        return list(self._get("protections", {"key": key} if key else {}))

    def books(self, key: str) -> Json:
        """Return balance, positions and fills of an account as the server holds them."""
        return dict(self._get("account", {"key": key}))

    def cover(self) -> list[Json]:
        """Return for each open position its `key`, `instrument`, contracts `held` and contracts `covered`."""
        return list(self._get("cover", {}))

    def faults(self) -> list[Json]:
        """Return the faults still waiting."""
        return list(self._get("faults", {}))

    def _post(self, route: str, **body: object) -> None:
        self._answer(self.session.post(f"{self.url}/_control/{route}", json=body, timeout=10))

    def _get(self, route: str, query: dict[str, str]) -> Any:
        return self._answer(self.session.get(f"{self.url}/_control/{route}", params=query, timeout=60))

    def _answer(self, response: Response) -> Any:
        if not response.ok:
            raise ValueError(response.text)
        return response.json()


def running_server(mode: str = "live", seed: str = "1", port: int = 0) -> AbstractContextManager[Control]:
    """Run a server in a thread of this process and give its control."""
    return running(Server(mode, seed), port)


@contextmanager
def running(server: Server, port: int = 0) -> Iterator[Control]:
    """Run a server of any skin in a thread of this process and give its control."""
    with closing(LocalServer(make_app(server), port)) as local, Session() as session:
        yield Control(local.url, session)
