"""When a limit entry is over: its time is, or its trade is, for its stop or target has traded first."""

from decimal import Decimal

from core.errors import BrokerError
from core.instrument import Quote
from core.order import Side
from core.plan import Code, LegPurpose, Refusal
from core.wording import grouped
from database.orders import OrderRecord
from database.work import LegRecord
from engine.desk import Desk


def reason_to_cancel(desk: Desk, leg: LegRecord, order: OrderRecord) -> Refusal | None:
    """Return why an entry that rests must not fill any more, None where it may.

    Only entries with a time limit are looked at; without a quote nothing is concluded but the time.
    """
    until = leg.entry_valid_until
    if until is None or order.purpose is not LegPurpose.OPEN or order.cancel_asked_at is not None:
        return None
    at = f"The entry at {grouped(order.intent.limit_price or Decimal(0))}"
    if desk.now() >= until:
        minutes = round((until - order.created_at).total_seconds() / 60)
        return _expired(f"{at} did not fill within {minutes} minutes and was cancelled.")
    try:
        quote = desk.broker(order.connection_id).quote(order.intent.symbol)
    except BrokerError:
        return None
    traded = traded_first(leg, quote)
    return None if traded is None else _expired(f"{at} was cancelled: {traded} before it filled.")


def traded_first(leg: LegRecord, quote: Quote) -> str | None:
    """Say which of an entry's stop and target the market has reached, None where neither."""
    sign, price = leg.side.sign, quote.bid if leg.side is Side.BUY else quote.ask
    if price <= 0:
        return None
    if leg.stop_price is not None and (price - leg.stop_price) * sign <= 0:
        return f"its stop at {grouped(leg.stop_price)} traded"
    if leg.target_price is not None and (price - leg.target_price) * sign >= 0:
        return f"its target at {grouped(leg.target_price)} traded"
    return None


def _expired(sentence: str) -> Refusal:
    return Refusal(code=Code.ENTRY_EXPIRED, sentence=sentence)
