"""The refusals of a simulated broker: Alpaca's codes, words and extra fields."""

from decimal import Decimal

from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected

DUPLICATE_WORDS = "client_order_id must be unique"


class Refusal(BrokerError):
    """Mark the two refusals of the simulator.

    `details` are the extra fields of the broker's answer (`existing_qty`, `buying_power` …) as
    they go over the wire; a server answers `status` with `{"code", "message", **details}`.
    """

    details: dict[str, str | list[str]]

    @property
    def body(self) -> dict[str, object]:
        """Return the JSON body of the refusal."""
        return {"code": int(self.code or 0), "message": self.message, **self.details}


class OrderRejected(Refusal, Rejected):
    """Refuse an order for good."""

    def __init__(
        self, message: str, *, code: int, status: int, details: dict[str, str | list[str]] | None = None
    ) -> None:
        super().__init__(message, code=str(code), status=status)
        self.details = details or {}


class OrderKnown(OrderRejected, DuplicateOrder):
    """Refuse an order because an order with its id was taken before, whatever became of that."""


class OrderConflict(Refusal, Conflict):
    """Refuse an order because of another order, named where it is known."""

    def __init__(
        self,
        message: str,
        *,
        blocking_order_id: str | None,
        code: int = 40310000,
        status: int = 403,
        details: dict[str, str | list[str]] | None = None,
    ) -> None:
        Conflict.__init__(self, message, code=str(code), status=status, blocking_order_id=blocking_order_id)
        self.details = details or {}


def plain(value: Decimal) -> str:
    """Write a decimal without exponent and without trailing zeros, as brokers do."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def forbidden(message: str, **details: str | list[str]) -> OrderRejected:
    """Refuse what the account may not do (403, 40310000)."""
    return OrderRejected(message, code=40310000, status=403, details=details)


def malformed(message: str) -> OrderRejected:
    """Refuse a request that is not a valid order (422, 40010001)."""
    return OrderRejected(message, code=40010001, status=422)


def duplicate() -> OrderKnown:
    """Refuse a client order id that was used before (422, 40010001)."""
    return OrderKnown(DUPLICATE_WORDS, code=40010001, status=422)


def unprocessable(message: str, **details: str | list[str]) -> OrderRejected:
    """Refuse an order that breaks a rule of the market (422, 42210000)."""
    return OrderRejected(message, code=42210000, status=422, details=details)
