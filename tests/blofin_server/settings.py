"""The switches of the local BloFin, each with what is known of the real one."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tests.blofin_server.errors import Envelope


class ClosedProtection(StrEnum):
    """What becomes of TP/SL orders when their position is closed otherwise."""

    ALL = "all"
    WHOLE = "whole"
    NONE = "none"


@dataclass(slots=True)
class Settings:
    """Hold the switches of one server.

    Matching: `hold_fills` lets orders rest until `fill` of the control; `fill_size` contracts of an order fill
    at each touch (arrival, price, tick), None for all; `fill_delay` seconds pass before an order is worked.

    Known ways of BloFin: fees (taker 0.0006, maker 0.0002), the limits of 500 requests a minute for one address
    and 30 trading requests in 10 seconds for one user (0 turns a limit off, which is the default here),
    `refuse_broker_ids` of ordinary keys (152011; whether it is always enforced is not known), and
    `partly_filled_end`: the state "partially_canceled" that its documents list for history, and ccxt does not
    know.

    Not known, so switches: `envelope` of an order that failed and `cancel_envelope` of a cancel that did (its
    documents show success around the failures of cancels); `cancel_listed`: cancel-order answers with an
    array, as ccxt reads it, or with an object, as its documents show; `unknown_order_code`: order-detail of an
    order that is not there answers this code, or success without data where it is empty; `closed_protection`:
    whether a closed position's TP/SL orders are cancelled by the exchange; `attach_at_first_fill`: the attached
    stop and target become a TP/SL order at the first fill and grow with each, or when the order ends;
    `attached_client_id`: that TP/SL order bears the entry's client id, or none; `amend_reduce_only`: a
    reduce-only order larger than the position is cut to its size, or ends partly filled;
    `leverage_beside_position`: leverage may be changed while a position is open; `price_band`: limit prices
    further than this share from the last price are refused (102064, 102065), None for no such bound.
    """

    hold_fills: bool = False
    fill_size: Decimal | None = None
    fill_delay: float = 0.0
    maker_fee: Decimal = Decimal("0.0002")
    taker_fee: Decimal = Decimal("0.0006")
    requests_per_minute: int = 0
    trades_per_10_seconds: int = 0
    refuse_broker_ids: bool = True
    partly_filled_end: str = "partially_canceled"
    envelope: Envelope = Envelope.OUTER_ONE
    cancel_envelope: Envelope = Envelope.OUTER_ZERO
    cancel_listed: bool = True
    unknown_order_code: str = ""
    closed_protection: ClosedProtection = ClosedProtection.ALL
    attach_at_first_fill: bool = False
    attached_client_id: bool = False
    amend_reduce_only: bool = False
    leverage_beside_position: bool = False
    price_band: Decimal | None = None
    clock_offset_ms: int = 0


def change(settings: Settings, fields: dict[str, object]) -> None:
    """Set fields by their JSON values; an unknown name is a KeyError that says so."""
    kinds = {"envelope": Envelope, "cancel_envelope": Envelope, "closed_protection": ClosedProtection}
    for name, value in fields.items():
        if not hasattr(settings, name):
            raise KeyError(f"no setting is called {name}")
        if name in ("fill_size", "maker_fee", "taker_fee", "price_band"):
            value = None if value is None else Decimal(str(value))
        setattr(settings, name, kinds[name](str(value)) if name in kinds else value)
