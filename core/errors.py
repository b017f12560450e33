"""What a broker's error tells us to do; the class of the error is the instruction."""


class BrokerError(Exception):
    """Stand for every failed broker call; raise one of its subclasses, never this.

    `code` is the broker's own code, `status` the HTTP status, both where there are any.
    """

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


class Rejected(BrokerError):
    """Record it and show the broker's words: the order is refused for good."""


class DuplicateOrder(Rejected):
    """Look the order up: the broker knows an order with our id already."""


class Conflict(BrokerError):
    """Cancel or await the blocking order, then try anew: the shares are held, or a wash trade looms."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        blocking_order_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.blocking_order_id = blocking_order_id


class Unavailable(BrokerError):
    """Send the same again later with the same id: the broker certainly received nothing.

    `retry_after` is the wait the broker asked for, in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.retry_after = retry_after


class Unknown(BrokerError):
    """Never resend, look the order up by our id: the broker may or may not have received it."""
