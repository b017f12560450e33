"""Read a message that is a JSON object, as TradersPost and TradingView alerts are when they go to a channel."""

from decimal import Decimal

from core.signal import Action, Level, LevelKind, PositionSide, Signal
from core.wording import number as shown
from signals.discord_cursor import Unread
from signals.discord_draft import Draft, Entry, Mark
from signals.discord_reading import Part
from signals.discord_symbols import split_pair
from signals.problems import InvalidJson, InvalidSignal
from signals.tradingview import understand

_FENCE = "`"
_LANGUAGE = "json\n"


def json_in(text: str) -> str | None:
    """Return the JSON object that a whole message is, in a code block or not, or None."""
    body = text.strip(_FENCE).removeprefix(_LANGUAGE).strip()
    return body if body.startswith("{") and body.endswith("}") else None


def read_json(body: str) -> Draft | None:
    """Return what a JSON message says, or None where it is none or names neither action nor symbol.

    Raises Unread where a field is wrong, unknown or means something else.
    """
    try:
        understood = understand(body.encode("utf-8", "replace"))
    except InvalidJson:
        return None
    except InvalidSignal as error:
        if {problem.name for problem in error.problems if problem.got == "nothing"} >= {"action", "symbol"}:
            return None
        raise Unread(
            "; ".join(f"{each.name}: {each.got}, but {each.allowed}" for each in error.problems)
        ) from None
    if understood.ignored:
        raise Unread(f"“{understood.ignored[0]}” is not understood; leave it out.")
    signal = understood.signal
    if signal.test or signal.contradiction:
        raise Unread(signal.contradiction or "The message says that it is a test.")
    return _draft(signal)


def _draft(signal: Signal) -> Draft:
    draft = Draft(marks={Mark.TICKER_LABEL})
    if signal.wanted is PositionSide.FLAT:
        draft.closing = True
        draft.marks = {Mark.TICKER_LABEL, Mark.CLOSING}
    else:
        draft.sides.append(Action.BUY if signal.wanted is PositionSide.LONG else Action.SELL)
    draft.symbols.append(split_pair(signal.symbol))
    entry = signal.limit_price or signal.price
    if entry is not None and not draft.closing:
        draft.entries.append(Entry(low=entry))
    draft.at_market = entry is None
    draft.stops += [_price(level, "stop") for level in (signal.stop_loss,) if level is not None]
    draft.targets += [(None, _price(level, "target")) for level in signal.take_profits]
    if signal.quantity is not None:
        draft.sizes.append((signal.quantity, signal.quantity_mode))
    _explain(draft, signal)
    return draft


def _price(level: Level, what: str) -> Decimal:
    if level.kind is not LevelKind.PRICE:
        raise Unread(f"The {what} “{level}” is a distance; write it as a price.")
    return level.value


def _explain(draft: Draft, signal: Signal) -> None:
    what = "action" if draft.closing else "side"
    draft.parts.append(Part(what=what, text=signal.action.lower(), value=signal.wanted.value))
    draft.parts.append(Part(what="symbol", text=signal.symbol, value=signal.symbol))
    draft.parts += [
        Part(what="entry", text=shown(entry.low), value=shown(entry.low)) for entry in draft.entries
    ]
    draft.parts += [Part(what="stop-loss", text=shown(stop), value=shown(stop)) for stop in draft.stops]
    draft.parts += [Part(what="target", text=shown(price), value=shown(price)) for _, price in draft.targets]
