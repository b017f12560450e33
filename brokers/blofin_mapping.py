"""BloFin's own JSON to our types: keys, protection, leverage, maintenance. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from brokers.answers import Json, number, optional_number
from brokers.base import ProtectionState, RestingProtection
from brokers.ccxt_mapping import SIDES, check_price, read_time, tidy, to_coins
from core.errors import Unknown

BY_MARKET = "-1"
WHOLE = Decimal(-1)
EXIT_CATEGORIES = {"sl": True, "tp": False}
TRIGGERED = "effective"
STATES = {
    "live": ProtectionState.RESTING,
    TRIGGERED: ProtectionState.TRIGGERED,
    "canceled": ProtectionState.GONE,
    "order_failed": ProtectionState.GONE,
}
# What BloFin answers to a withdrawal that lacks its amount and address, of a key that may withdraw.
LACKS_SOMETHING = frozenset({"152001", "152002", "152003", "152005"})
EXPIRES_SOON = timedelta(days=7)
MAY_WITHDRAW = (
    "THIS KEY MAY WITHDRAW MONEY. Whoever gets hold of it can empty the account: delete it at BloFin and"
    " make one that may only read and trade."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRights:
    """What keeps a key from trading, and what is unsafe about it."""

    problem: str | None = None
    warning: str | None = None


def read_rights(raw: Json, now: datetime, *, withdraws: bool = False) -> KeyRights:
    """Read what a key may do; `withdraws` says what a test of its right to withdraw gave."""
    warnings = []
    if withdraws or may_withdraw(raw):
        warnings.append(MAY_WITHDRAW)
    if not raw.get("ips"):
        warnings.append(
            "The key is bound to no IP address: it works from anywhere, and BloFin lets it expire after 90 days."
        )
    if raw.get("expireTime"):
        end = read_time(raw["expireTime"])
        if now < end < now + EXPIRES_SOON:
            warnings.append(f"The key expires on {end:%Y-%m-%d}.")
    read_only = str(raw.get("readOnly", 0)) == "1"
    problem = "The key may only read: allow it to trade on BloFin's API page." if read_only else None
    return KeyRights(problem=problem, warning=" ".join(warnings) or None)


def may_withdraw(raw: Json) -> bool:
    """Tell whether any field of a key speaks of withdrawals and does not deny them.

    BloFin's documents name no such field; where it sends one, it counts.
    """
    for name, value in raw.items():
        if "withdraw" in name.lower() and str(value).lower() not in {"0", "false", "none", ""}:
            return True
        if "perm" in name.lower() and "withdraw" in str(value).lower():
            return True
    return False


def exits(market: Json, *, stop: Decimal | None, target: Decimal | None) -> dict[str, str]:
    """Return the fields of a stop and a target that are executed by market."""
    fields: dict[str, str] = {}
    if stop is not None:
        fields |= {"slTriggerPrice": check_price(stop, market), "slOrderPrice": BY_MARKET}
    if target is not None:
        fields |= {"tpTriggerPrice": check_price(target, market), "tpOrderPrice": BY_MARKET}
    return fields


def protection_id(answer: Json, client_id: str) -> str:
    """Return the id of a protection that was placed; raise `Unknown` for an answer without it or for another."""
    data = answer["data"]
    placed = data[0] if isinstance(data, list) else data
    if not placed.get("tpslId"):
        raise Unknown("BloFin answered without the id of the protection.")
    if placed.get("clientOrderId") not in {None, "", client_id}:
        raise Unknown(f"BloFin answered with another protection: {placed['clientOrderId']}")
    return str(placed["tpslId"])


def read_protection(raw: Json, market: Json) -> RestingProtection:
    """Read a stop and target that rest; a size of -1 is the whole position."""
    whole = number(raw["size"]) == WHOLE
    return RestingProtection(
        id=str(raw["tpslId"]),
        symbol=market["id"],
        side=SIDES[raw["side"]],
        quantity=None if whole else to_coins(raw["size"], market),
        stop_price=_price(raw.get("slTriggerPrice")),
        target_price=_price(raw.get("tpTriggerPrice")),
        created_at=read_time(raw["createTime"]),
        client_id=raw.get("clientOrderId") or None,
    )


def protection_state(raw: Json) -> ProtectionState:
    """Return the state of a protection; raise `Unknown` for one that is not known."""
    if raw["state"] not in STATES:
        raise Unknown(f"BloFin's answer is not understood: protection state {raw['state']!r}")
    return STATES[raw["state"]]


def named_exit(raw: Json, orders: Iterable[Json]) -> Json | None:
    """Return the order that a triggered protection sent, by its id in `algoId` or ours in `algoClientOrderId`."""
    kinds = list(EXIT_CATEGORIES)
    return next((each for each in orders if _is_exit_of(each, raw, kinds) and _names(each, raw)), None)


def nameless_exit(raw: Json, orders: Iterable[Json]) -> Json | None:
    """Return the order that a triggered protection sent where BloFin does not fill in whose it is.

    That is the one exit of its kind, side and margin mode since; None while there is none, or more than one.
    """
    known = is_stop(raw, None)
    kinds = [kind for kind, stops in EXIT_CATEGORIES.items() if known is None or stops is known]
    nameless = {
        str(each["orderId"]): each
        for each in orders
        if _is_exit_of(each, raw, kinds)
        and each.get("marginMode") == raw.get("marginMode")
        and not each.get("algoId")
        and not each.get("algoClientOrderId")
    }
    return next(iter(nameless.values())) if len(nameless) == 1 else None


def is_stop(raw: Json, sent: Json | None) -> bool | None:
    """Tell whether the stop triggered, or the target; None where BloFin shows neither."""
    for source in (sent or {}, raw):
        if source.get("orderCategory") in EXIT_CATEGORIES:
            return EXIT_CATEGORIES[source["orderCategory"]]
    stop, target = _price(raw.get("slTriggerPrice")), _price(raw.get("tpTriggerPrice"))
    return None if (stop is None) == (target is None) else stop is not None


def leverage_of(rows: Sequence[Json], symbol: str, side: str) -> int:
    """Return the leverage of a symbol, of one side where each has its own."""
    mine = [row for row in rows if row["instId"] == symbol]
    fitting = [row for row in mine if row.get("positionSide") in {None, "", side}] or mine
    return int(number(fitting[0]["leverage"]))


def tiers(rows: Sequence[Json]) -> tuple[Json, ...]:
    """Return BloFin's position tiers in ccxt's words, those of the smallest positions first."""
    ordered = sorted(rows, key=lambda row: number(row["minSize"]))
    return tuple({"maintenanceMarginRate": row["maintenanceMarginRate"]} for row in ordered)


def _is_exit_of(order: Json, raw: Json, kinds: Sequence[str]) -> bool:
    return (
        order.get("orderCategory") in kinds
        and order["side"] == raw["side"]
        and order["positionSide"] == raw["positionSide"]
    )


def _names(order: Json, raw: Json) -> bool:
    ours = raw.get("clientOrderId")
    return str(order.get("algoId") or "") == str(raw["tpslId"]) or bool(
        ours and order.get("algoClientOrderId") == ours
    )


def _price(value: object) -> Decimal | None:
    price = optional_number(value)
    return tidy(price) if price is not None and price > 0 else None
