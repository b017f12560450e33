"""Judge what was read of a message: a signal, a refusal with its reason, or too little to be either."""

from dataclasses import replace

from core.plan import Code
from core.signal import Action, PositionSide, QuantityMode
from core.wording import number as shown
from signals.discord_draft import Draft, Named, nearer_edge
from signals.discord_formats import format_of
from signals.discord_reading import NoSignal, Part, Reading, RefusedSignal, SignalFormat, TextSignal
from signals.discord_symbols import symbol_of

_CLOSED = {Action.BUY: PositionSide.LONG, Action.SELL: PositionSide.SHORT}


def judge(draft: Draft) -> Reading:
    """Return the reading of a message that was understood word for word."""
    talk = _says_too_little(draft)
    if talk is not None:
        return talk
    written = format_of(draft)
    parts = tuple(draft.parts)
    missing = _missing(draft)
    if missing is not None:
        return refused(Code.INVALID_SIGNAL, missing, written, parts)
    clash = draft.contradiction()
    if clash is not None:
        return refused(Code.CONTRADICTORY_SIGNAL, clash, written, parts)
    named = _fullest(draft)
    coin = named.base if draft.closing and named.quote is None else None
    return replace(_signal(draft, draft.action or Action.CLOSE, written, symbol_of(named)), coin=coin)


def _says_too_little(draft: Draft) -> NoSignal | None:
    """Return why a message that is understood word for word asks for nothing: it may be a price or a chart."""
    if draft.closing:
        return None
    if not draft.sides and not draft.circles and not (draft.symbols and draft.has_levels):
        return NoSignal(why="It names no side.")
    if not draft.symbols and not draft.has_levels:
        return NoSignal(why="It names no symbol.")
    if draft.has_levels or (draft.at_market and draft.sides):
        return None
    first = next(part.what for part in draft.parts if part.what in ("side", "symbol"))
    if first == "symbol" or all(each.quote is None for each in draft.symbols) or not _side_in_words(draft):
        return NoSignal(
            why="A coin and a side alone are talk; write prices, or the whole pair after the side."
        )
    return None


def _missing(draft: Draft) -> str | None:
    if not draft.symbols:
        return "The message names no symbol; write one such as BTC-USDT."
    if draft.closing:
        absolute = any(mode is not QuantityMode.PERCENT_OF_POSITION for _, mode in draft.sizes)
        too_much = draft.has_levels or draft.leverages or draft.limit_wanted or absolute
        return (
            "An order to close takes no prices or amounts; write only what to close, or a share such as 50%."
            if too_much
            else None
        )
    if draft.action is None:
        return "The message names no side; write LONG or SHORT."
    if draft.stops or draft.targets:
        return None
    guessed = any(not entry.labelled for entry in draft.entries)
    if guessed and (not _side_in_words(draft) or all(each.quote is None for each in draft.symbols)):
        price = shown(draft.entries[0].low)
        return f"“{price}” may be an entry, a target or the price of the moment; write Entry, SL and TP."
    if draft.entries and not _side_in_words(draft):
        return "A side in emojis and an entry alone may just tell a price; write the stop-loss."
    return None


def _side_in_words(draft: Draft) -> bool:
    return any(part.what == "side" and part.text.isascii() for part in draft.parts)


def _fullest(draft: Draft) -> Named:
    return next((each for each in draft.symbols if each.quote is not None), draft.symbols[0])


def _signal(draft: Draft, action: Action, written: SignalFormat, symbol: str) -> TextSignal:
    entry = draft.entries[0] if draft.entries else None
    quantity, mode = draft.sizes[0] if draft.sizes else (None, QuantityMode.UNITS)
    return TextSignal(
        format=written,
        action=action,
        symbol=symbol,
        entry=None if entry is None else nearer_edge(action, entry),
        entry_range=None if entry is None or entry.high is None else (entry.low, entry.high),
        stop_loss=next(iter(draft.stops), None),
        take_profits=draft.ordered_targets,
        leverage=next(iter(draft.leverages), None),
        margin_mode=next(iter(draft.margins), None),
        quantity=quantity,
        quantity_mode=mode,
        closes=_CLOSED[draft.sides[0]] if draft.closing and draft.sides else None,
        explanation=tuple(draft.parts),
    )


def refused(
    code: Code, sentence: str, written: SignalFormat | None = None, parts: tuple[Part, ...] = ()
) -> RefusedSignal:
    """Return a refusal."""
    return RefusedSignal(code=code, sentence=sentence, format=written, explanation=parts)
