"""BloFin's error codes and the envelopes in which they come."""

from enum import StrEnum
from typing import Any

Json = dict[str, Any]

ACCOUNT_PAGE = "Please go to the API Management page and check if it exists and is in an active state."
GONE = "Cancel failed as the order has been filled, triggered, canceled or does not exist."

# https://docs.blofin.com, section Errors; {} is filled in
MESSAGES = {
    "404": "not found",
    "429": "Too Many Requests",
    "500": GONE,
    "542": "Exceeded the maximum order size limit",
    "1000": GONE,
    "102002": "Duplicate customized order ID",
    "102005": "Position had been closed",
    "102014": "Limit order exceeds maximum order size limit",
    "102015": "Market order exceeds maximum order size limit",
    "102022": "Failed to place order. You don't have any positions of this contract. "
    "Turn off Reduce-only to continue.",
    "102037": "TP trigger price should be higher than the latest trading price",
    "102038": "SL trigger price should be lower than the latest trading price",
    "102039": "TP trigger price should be lower than the latest trading price",
    "102040": "SL trigger price should be higher than the latest trading price",
    "102047": "Stop loss trigger price should be higher than the order price",
    "102048": "stop loss trigger price must be higher than the best bid price",
    "102049": "Take profit trigger price should be lower than the order price",
    "102050": "stop loss trigger price must be lower than the best ask price",
    "102051": "stop loss trigger price should be lower than the order price",
    "102052": "take profit trigger price should be higher than the order price",
    "102053": "take profit trigger price should be lower than the best bid price",
    "102054": "take profit trigger price should be higher than the best ask price",
    "102064": "Buy price is not within the price limit (Minimum: {}; Maximum: {})",
    "102065": "Sell price is not within the price limit (Minimum: {}; Maximum: {})",
    "102068": GONE,
    "102089": "Position mode mismatch",
    "103003": "Order failed. Insufficient USDT margin in account",
    "103013": "Internal error; unable to process your request. Please try again.",
    "110006": "You have pending cross orders. Please cancel them before adjusting your leverage.",
    "110019": "Setting failed. Cancel any open orders, and close positions first.",
    "150003": "clientId already exist",
    "150004": "Insufficient balance. please adjust the amount and try again.",
    "152001": "Parameter {} cannot be empty.",
    "152002": "Parameter {} error.",
    "152003": "Either parameter {} or {} is required.",
    "152004": "JSON syntax error, Please check if the parameter should be an array or an object.",
    "152005": "Parameter error: wrong or empty",
    "152006": "Batch orders can be placed for up to 20 at once.",
    "152007": "Batch orders can only be placed with the same instId and marginMode.",
    "152009": "{} must be a combination of numbers, letters, or underscores, "
    "and the maximum length of characters is 32.",
    "152011": "Transaction API Key does not support brokerId",
    "152012": "BrokerId is required",
    "152013": "Unmatched brokerId, please check your API key's bound broker",
    "152014": "Instrument ID does not exist",
    "152015": "Number of instId values exceeds the maximum limit of 20",
    "152401": f"Access key does not exist, {ACCOUNT_PAGE}",
    "152402": f"Access key has expired, {ACCOUNT_PAGE}",
    "152404": "This operation is not supported, Please check the requestPath or API key permissions.",
    "152405": "Timestamp in header or signature has expired, need to be within 60s",
    "152406": "Your IP is not included in your API key's IP whitelist",
    "152407": "Repeated nonce, Reusing within 60 seconds is not allowed.",
    "152408": "Passphrase error",
    "152409": "Signature verification failed, Please refer to Signature Verification Failed",
    "152410": "The value of ACCESS-TIMESTAMP needs to be a millisecond timestamp, e.g: 1704038400000.",
}


class Envelope(StrEnum):
    """How the failure of one operation is wrapped.

    OUTER_ONE is code 1 "All operations failed" around the item, OUTER_ZERO is success around it, and FLAT is
    the failure's own code outside and no data.
    """

    OUTER_ONE = "outer_one"
    OUTER_ZERO = "outer_zero"
    FLAT = "flat"


class Refused(Exception):
    """A request that is refused as a whole, such as one with a wrong signature or a parameter missing."""

    def __init__(self, code: str, *names: object, message: str | None = None) -> None:
        self.code = code
        self.message = MESSAGES.get(code, "").format(*names) if message is None else message
        super().__init__(code, self.message)


class OperationFailed(Refused):
    """An order, cancel or protection that was understood and failed; the failure is an item of the answer."""


def success(data: object, message: str = "success") -> Json:
    """Return the envelope of what went well."""
    return {"code": "0", "msg": message, "data": data}


def refusal(refused: Refused) -> Json:
    """Return the envelope of a request that is refused as a whole."""
    return {"code": refused.code, "msg": refused.message, "data": None}


def failure(failed: OperationFailed, envelope: Envelope, ids: Json, *, listed: bool) -> Json:
    """Return the envelope of an operation that failed; `ids` name it, `listed` puts it in an array."""
    if envelope is Envelope.FLAT:
        return refusal(failed)
    item = {**ids, "msg": failed.message, "code": failed.code}
    outer = ("1", "All operations failed") if envelope is Envelope.OUTER_ONE else ("0", "")
    return {"code": outer[0], "msg": outer[1], "data": [item] if listed else item}
