"""Read the prices of a signal: entries and ranges, stops, targets, and three prices in a row."""

from decimal import Decimal

from core.wording import number as shown
from signals.discord_cursor import NUMBERS, Cursor, Unread
from signals.discord_draft import Entry, Mark
from signals.discord_numbers import BadNumber, read_number
from signals.discord_scanner import Lexeme
from signals.discord_vocabulary import Role

LARGEST_INDEX = 20
_LISTING = frozenset((Role.SLASH, Role.COMMA, Role.AND))
_LISTING_MARKS = frozenset("|;")
# After these a number without a label is the entry, or the first of three prices
_BEFORE_BARE = frozenset(
    (
        Role.SYMBOL,
        Role.WORD,
        Role.SIDE,
        Role.MARKET,
        Role.AT,
        Role.LIMIT,
        Role.COLON,
        Role.LADDER,
        Role.TIMES,
        Role.TIMEFRAME,
        Role.FILLER,
        Role.MARGIN,
        Role.CURRENCY,
        Role.REFERENCE,
    )
)


AT_MARKET = frozenset({"market", "now", "at market", "market order", "market entry"})


def price(cursor: Cursor, what: str) -> Decimal:
    """Take the price that comes next. Raises Unread where there is none, or it cannot be read."""
    lexeme = cursor.take()
    if lexeme.role is Role.PERCENT:
        raise Unread(f"The {what} “{lexeme.text}” is a percentage; write it as a price.")
    if lexeme.role not in NUMBERS:
        raise Unread(f"The {what} has no price after its name.")
    try:
        number = read_number(lexeme.text.removeprefix("$"))
    except BadNumber as fault:
        raise Unread(f"The {what} “{lexeme.text}” {fault}.") from None
    if cursor.peek().role is Role.CURRENCY and not cursor.peek().line:
        cursor.take()
    return number


def read_entry(cursor: Cursor, label: Lexeme) -> None:
    """Read `Entry: 60000`, `Entry 60000-60500`, `Entry: market`, `Buy zone …`."""
    if cursor.draft.closing:
        raise cursor.leave(label)
    if _only_decorates(cursor, label):
        return
    if not _is_word(label):
        cursor.draft.marks.add(Mark.EMOJI_LABEL)
    elif label.value is not None:
        cursor.draft.sides.append(label.value)  # type: ignore[arg-type]
    cursor.to_value(label)
    if cursor.peek().role is Role.MARKET:
        read_market(cursor, cursor.take())
    else:
        _pass_index(cursor)
        _add_entry(cursor, label.text, price(cursor, "entry"), _other_end(cursor))


def read_market(cursor: Cursor, lexeme: Lexeme) -> None:
    """Read `market`, `now`, `CMP`, and `CMP 60000`, which names the price at the moment.

    `now 60000` says two things, and the draft refuses it.
    """
    ahead = 0
    while cursor.peek(ahead).role in (Role.COLON, Role.AT, Role.OPEN, Role.CURRENCY):
        ahead += 1
    if cursor.peek(ahead).role is not Role.PRICE or cursor.peek(ahead + 1).role is Role.SLASH:
        cursor.draft.at_market = True
        cursor.note("entry", lexeme.text, "market")
        return
    cursor.draft.at_market |= lexeme.text.casefold() in AT_MARKET
    cursor.to_value(lexeme)
    _add_entry(cursor, lexeme.text, price(cursor, "entry"), _other_end(cursor))


def read_limit(cursor: Cursor, lexeme: Lexeme) -> None:
    """Read `limit 60000`, or `limit` with the price elsewhere."""
    cursor.draft.limit_wanted = True
    cursor.note("entry", lexeme.text, "by a limit order")


def _add_entry(
    cursor: Cursor, text: str, first: Decimal, second: Decimal | None, *, labelled: bool = True
) -> None:
    low, high = (first, None) if second is None else (min(first, second), max(first, second))
    cursor.draft.entries.append(Entry(low=low, high=high, labelled=labelled))
    written = shown(first) if second is None else f"{shown(first)}-{shown(second)}"
    value = shown(low) if high is None else f"{shown(low)} to {shown(high)}"
    cursor.note("entry", f"{text} {written}".strip(), value)


def _other_end(cursor: Cursor) -> Decimal | None:
    sign, following = cursor.peek(), cursor.peek(1)
    if sign.role not in (Role.DASH, Role.TO) or sign.line:
        return None
    if following.role is Role.CURRENCY:
        following = cursor.peek(2)
    if following.role not in NUMBERS:
        return None
    if sign.role is Role.DASH and sign.spaced != cursor.peek(1).spaced:
        raise Unread(f"“-{following.text}” may be negative or the end of a range; write 60000-60500.")
    cursor.take()
    if cursor.peek().role is Role.CURRENCY:
        cursor.take()
    return price(cursor, "end of the entry range")


def read_stop(cursor: Cursor, label: Lexeme) -> None:
    """Read `SL: 58000`."""
    if _only_decorates(cursor, label):
        return
    if not _is_word(label):
        cursor.draft.marks.add(Mark.EMOJI_LABEL)
    cursor.to_value(label)
    _pass_index(cursor)
    stop = price(cursor, "stop-loss")
    cursor.draft.stops.append(stop)
    cursor.note("stop-loss", f"{label.text} {shown(stop)}", shown(stop))
    _pass_distance(cursor)


def read_target(cursor: Cursor, label: Lexeme) -> None:
    """Read `TP1: 65000`, `TP: 65000 / 66000`, `Targets:` with a list below, or a heading over TP1, TP2…"""
    if _only_decorates(cursor, label):
        return
    if not _is_word(label):
        cursor.draft.marks.add(Mark.EMOJI_LABEL)
    below = cursor.to_value(label)
    if cursor.peek().role is Role.TARGET:
        return
    if isinstance(label.value, int):
        _add_target(cursor, label.text, label.value)
        return
    _read_targets(cursor, label, below=below)


def _read_targets(cursor: Cursor, label: Lexeme, *, below: bool) -> None:
    number = _pass_index(cursor) or _loose_index(cursor)
    _add_target(cursor, label.text, number)
    while _another_target(cursor, below=below or number is not None):
        number = _pass_index(cursor)
        _add_target(cursor, label.text, number)


def _loose_index(cursor: Cursor) -> int | None:
    """Go past the 1 of `TP 1 65000`, where it cannot be a price beside the other; return it."""
    here, after = cursor.peek(), cursor.peek(1)
    index = _small(here)
    if index is None or after.role is not Role.PRICE or after.line:
        return None
    cursor.take()
    other = price(cursor, "target")
    cursor.back()
    if other / index <= LARGEST_INDEX and index / other <= LARGEST_INDEX:
        raise Unread(f"“{here.text} {after.text}” after a target may be two prices; write “TP{index}: …”.")
    return index


def _add_target(cursor: Cursor, text: str, number: int | None) -> None:
    target = price(cursor, "target")
    cursor.draft.targets.append((number, target))
    cursor.note("target" if number is None else f"target {number}", f"{text} {shown(target)}", shown(target))
    _pass_distance(cursor)


def _another_target(cursor: Cursor, *, below: bool) -> bool:
    """Tell whether the list goes on, and go to its next number or index."""
    here = cursor.peek()
    if here.role in _LISTING or here.text in _LISTING_MARKS:
        return _goes_on(cursor, 1)
    if here.role is Role.DASH:
        return _dash_goes_on(cursor)
    if here.role in (Role.OPEN, Role.DECORATION):
        ahead = 1 if here.role is Role.DECORATION else 0
        return _index_at(cursor, ahead) is not None and _goes_on(cursor, ahead)
    if here.role not in (Role.PRICE, Role.INDEX, Role.BAD_NUMBER):
        return False
    if here.line:
        return below
    return _index_at(cursor, 0) is not None or _is_another_price(cursor, here)


def _goes_on(cursor: Cursor, ahead: int) -> bool:
    following = cursor.peek(ahead)
    if following.role not in (Role.PRICE, Role.INDEX, Role.BAD_NUMBER, Role.OPEN, Role.CURRENCY):
        return False
    for _ in range(ahead):
        cursor.take()
    return True


def _dash_goes_on(cursor: Cursor) -> bool:
    dash, following = cursor.peek(), cursor.peek(1)
    if dash.line and following.spaced and following.role is Role.PRICE:
        cursor.take()
        return True
    if following.role in NUMBERS:
        raise Unread(
            f"“-{following.text}” after a target may be a list, a range, a share or a negative price; "
            "part several targets by “/”."
        )
    return False


def _is_another_price(cursor: Cursor, here: Lexeme) -> bool:
    last = cursor.last.text.removeprefix("$")
    digits = here.text.removeprefix("$")
    if len(digits) == 3 and digits.isdigit() and len(last) <= 3:
        raise Unread(f"“{last} {digits}” may be one number or two; write 60000, or part targets by “/”.")
    return True


def _index_at(cursor: Cursor, ahead: int) -> int | None:
    """Return the number of a list's line that stands there: `1)`, `(1)`, `1.`, `1:`, `#1` or a keycap."""
    here, after = cursor.peek(ahead), cursor.peek(ahead + 1)
    if here.role is Role.INDEX:
        return int(str(here.value))
    if here.role is Role.REFERENCE and after.role not in NUMBERS:
        return int(str(here.value)) if after.role is Role.COLON else None
    if here.role is Role.OPEN and cursor.peek(ahead + 2).role is Role.SHUT:
        return _small(after) if cursor.peek(ahead + 3).role in NUMBERS else None
    closes = after.role in (Role.SHUT, Role.COLON) or (after.role is Role.STOP_MARK and here.line)
    return _small(here) if closes and not after.spaced else None


def _small(lexeme: Lexeme) -> int | None:
    text = lexeme.text
    return (
        int(text)
        if text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= LARGEST_INDEX
        else None
    )


def _pass_index(cursor: Cursor) -> int | None:
    """Go past the number of a list's line and return it, or None where none stands."""
    index = _index_at(cursor, 0)
    if index is None:
        return None
    cursor.draft.marks.add(Mark.NUMBERED_LIST)
    if cursor.peek().role is Role.OPEN:
        cursor.take()
    cursor.take()
    while cursor.peek().role in (Role.SHUT, Role.COLON, Role.STOP_MARK, Role.CURRENCY):
        cursor.take()
    return index


def read_bare(cursor: Cursor, first: Lexeme) -> None:
    """Read a number without a label: the entry behind the symbol, or entry/stop/target in a row."""
    before = cursor.before
    if before.role not in _BEFORE_BARE:
        raise Unread(f"“{first.text}” has no label; write Entry, SL or TP before it.")
    cursor.back()
    entry = price(cursor, "entry")
    ranged = _other_end(cursor)
    if cursor.peek().role is not Role.SLASH:
        _add_entry(cursor, "", entry, ranged, labelled=before.role is Role.AT)
        return
    _add_entry(cursor, "", entry, ranged)
    _read_ladder(cursor, first)


def _read_ladder(cursor: Cursor, first: Lexeme) -> None:
    levels: list[Decimal] = []
    while cursor.peek().role is Role.SLASH:
        cursor.take()
        levels.append(price(cursor, "target" if levels else "stop-loss"))
    if len(levels) < 2:
        raise Unread(
            f"“{first.text}/{shown(levels[0])}” is two prices; write entry/stop/target, or label them."
        )
    stop, *targets = levels
    cursor.draft.marks.add(Mark.LADDER)
    cursor.draft.stops.append(stop)
    cursor.note("stop-loss", f"second price {shown(stop)}", shown(stop))
    for target in targets:
        cursor.draft.targets.append((None, target))
        cursor.note("target", f"price {shown(target)}", shown(target))


def _pass_distance(cursor: Cursor) -> None:
    """Go past a distance in brackets: `SL: 58000 (-3.3%)`. Without its sign it may be a share."""
    signs = (Role.DASH, Role.PLUS)
    if cursor.peek().role is not Role.OPEN or cursor.peek(1).role not in signs:
        return
    if cursor.peek(2).role is Role.PERCENT and cursor.peek(3).role is Role.SHUT:
        pieces = [cursor.take() for _ in range(4)]
        cursor.note("distance", "".join(piece.text for piece in pieces))


def _is_word(label: Lexeme) -> bool:
    return label.text[0].isalpha()


def _only_decorates(cursor: Cursor, label: Lexeme) -> bool:
    """Tell whether an emoji stands before something that has a name of its own: `💰 TP: 65000`."""
    if _is_word(label):
        return False
    ahead = 0
    while cursor.peek(ahead).role in (Role.DECORATION, Role.COLON, Role.DASH, Role.CURRENCY, Role.AT):
        ahead += 1
    following = cursor.peek(ahead)
    if label.role is Role.STOP and following.role is not Role.STOP:
        # Taken for decoration, a stop whose number went astray would be lost
        return False
    return following.role not in NUMBERS and following.role not in (Role.MARKET, Role.INDEX, Role.OPEN)
