"""Read the pieces of a message as the parts of one signal; every piece must be understood.

Parts come in any order, a label before its value. Whatever is left over raises Unread and is never skipped.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import cast

from core.order import MarginMode
from core.signal import HUNDRED, Action, QuantityMode
from core.wording import number as shown
from signals.discord_cursor import Cursor, Unread
from signals.discord_draft import Draft, Mark, Named
from signals.discord_numbers import BadNumber, read_number
from signals.discord_prices import read_bare, read_entry, read_limit, read_market, read_stop, read_target
from signals.discord_scanner import Lexeme
from signals.discord_vocabulary import CHAT, COINS, NO_COINS, TALK, Role

_BEFORE_COLON = frozenset(
    (Role.FILLER, Role.POLITE, Role.SYMBOL, Role.SIDE, Role.WORD, Role.LADDER, Role.RISK_LEVEL)
)
_BEFORE_TIMEFRAME = frozenset((Role.SYMBOL, Role.WORD, Role.SIDE))
_BEFORE_REFERENCE = frozenset((Role.SYMBOL, Role.WORD, Role.FILLER, Role.POLITE))
_HALF = Decimal(50)
LONGEST_COIN = 12
HIGHEST_LEVERAGE = 200
# Beyond these a number behind `RR` is a price whose label is missing
HIGHEST_RATIO = 100


def read_parts(lexemes: list[Lexeme]) -> Draft:
    """Return what the pieces say. Raises Unread at the first that says nothing known."""
    cursor = Cursor(lexemes)
    while not cursor.ended:
        lexeme = cursor.take()
        _READERS.get(lexeme.role, _left_over)(cursor, lexeme)
        cursor.look_back()
    return cursor.draft


def _left_over(cursor: Cursor, lexeme: Lexeme) -> None:
    raise cursor.leave(lexeme)


def _skip(cursor: Cursor, lexeme: Lexeme) -> None:
    """Go past what has no meaning by itself; a `!` before a word makes a command of it."""
    following = cursor.peek()
    if lexeme.text == "!" and following.text[:1].isalnum() and not following.spaced:
        raise cursor.leave(lexeme)


def _side(cursor: Cursor, lexeme: Lexeme) -> None:
    following = cursor.peek()
    if following.role is Role.STOP and following.text.lower() == "stop" and not following.line:
        raise Unread(f"“{lexeme.text} {following.text}”: entering by a stop order is not possible here.")
    # "close BTC, buy …" begins something else
    if cursor.draft.closing and lexeme.text.lower() not in ("long", "short"):
        raise cursor.leave(lexeme)
    cursor.draft.sides.append(Action(str(lexeme.value)))
    cursor.note("side", lexeme.text, lexeme.value)


def _circle(cursor: Cursor, lexeme: Lexeme) -> None:
    if not cursor.draft.has_levels:
        cursor.draft.circles.append(Action(str(lexeme.value)))


def _close(cursor: Cursor, lexeme: Lexeme) -> None:
    if cursor.draft.parts or cursor.peek().role is Role.COLON:
        raise cursor.leave(lexeme)
    cursor.draft.closing = True
    cursor.draft.marks.add(Mark.CLOSING)
    cursor.note("action", lexeme.text, Action.CLOSE)


def _only_in_close(cursor: Cursor, lexeme: Lexeme) -> None:
    if not cursor.draft.closing:
        raise cursor.leave(lexeme)


def _share(cursor: Cursor, lexeme: Lexeme) -> None:
    _only_in_close(cursor, lexeme)
    share = _HALF if lexeme.role is Role.HALF else _number(cursor, lexeme, "share")
    if share > HUNDRED:
        raise Unread(f"“{lexeme.text}”: no more than the whole position can be closed.")
    cursor.draft.sizes.append((share, QuantityMode.PERCENT_OF_POSITION))
    cursor.note("share", lexeme.text, f"{shown(share)} % of the position")


def _symbol(cursor: Cursor, lexeme: Lexeme) -> None:
    pair = cast(tuple[str, str | None], lexeme.value)
    _name(cursor, pair[0], pair[1] or _quote_behind(cursor), lexeme.text)


def _word(cursor: Cursor, lexeme: Lexeme) -> None:
    if not _is_coin(cursor, lexeme):
        raise cursor.leave(lexeme)
    _name(cursor, lexeme.text.upper(), _quote_behind(cursor), lexeme.text)


def _is_coin(cursor: Cursor, lexeme: Lexeme) -> bool:
    text = lexeme.text
    if text.lower() in COINS:
        return True
    if not text.isupper() or not 2 <= len(text) <= LONGEST_COIN or cursor.draft.symbols:
        return False
    if text in NO_COINS or text.lower() in TALK or text.lower() in CHAT:
        return False
    return cursor.before.role in (Role.SIDE, Role.CLOSE) or cursor.peek().role is Role.SIDE


def _quote_behind(cursor: Cursor) -> str | None:
    """Go past the currency of `BTC USDT` or `BTC / USDT` and return it."""
    ahead = 1 if cursor.peek().role in (Role.SLASH, Role.DASH) else 0
    currency = cursor.peek(ahead)
    if currency.role is not Role.CURRENCY or not currency.text.isalpha() or currency.line:
        return None
    for _ in range(ahead + 1):
        cursor.take()
    return currency.text.upper()


def _name(cursor: Cursor, base: str, quote: str | None, text: str) -> None:
    cursor.draft.symbols.append(Named(base=base, quote=quote, text=text))
    cursor.note("symbol", text, base if quote is None else f"{base}-{quote}")


def _pair(cursor: Cursor, label: Lexeme) -> None:
    """Read `PAIR: BTC/USDT`, and after this label any coin."""
    cursor.draft.marks.add(Mark.TICKER_LABEL if label.role is Role.TICKER else Mark.PAIR_LABEL)
    named = cursor.peek().role in (Role.COLON, Role.DASH)
    cursor.to_value(label)
    lexeme = cursor.take()
    if lexeme.role is Role.SYMBOL:
        _symbol(cursor, lexeme)
    elif _is_coin(cursor, lexeme) or (named and _may_be_coin(lexeme)):
        _name(cursor, lexeme.text.upper(), _quote_behind(cursor), lexeme.text)
    else:
        raise Unread(f"“{label.text}” has no symbol after it.")


def _may_be_coin(lexeme: Lexeme) -> bool:
    return lexeme.role is Role.WORD and lexeme.text.isalnum() and len(lexeme.text) <= LONGEST_COIN


def _named(cursor: Cursor, label: Lexeme) -> None:
    if cursor.peek().role not in (Role.COLON, Role.DASH):
        raise cursor.leave(label)
    cursor.take()


def _leverage(cursor: Cursor, label: Lexeme) -> None:
    """Read `Leverage: 10x`, `Leverage: Isolated (10X)`, and the word after its number: `10x leverage`."""
    if cursor.before.role is Role.TIMES and cursor.peek().role not in (Role.COLON, Role.PRICE, Role.TIMES):
        return
    cursor.to_value(label)
    if cursor.peek().role is Role.MARGIN:
        _margin(cursor, cursor.take())
        cursor.to_value(label)
    lexeme = cursor.take()
    if lexeme.role not in (Role.TIMES, Role.PRICE):
        raise Unread(f"“{label.text}” has no number after it, such as 10x.")
    _add_leverage(cursor, lexeme)


def _add_leverage(cursor: Cursor, lexeme: Lexeme) -> None:
    times = _number(cursor, lexeme, "leverage")
    if not 1 <= times <= HIGHEST_LEVERAGE:
        raise Unread(f"“{lexeme.text}”: a leverage is 1x or more, and {HIGHEST_LEVERAGE}x at most.")
    if cursor.peek().role in (Role.DASH, Role.TO) and cursor.peek(1).role in (Role.TIMES, Role.PRICE):
        raise Unread(f"The leverage {lexeme.text} to {cursor.peek(1).text} is a range; write one.")
    cursor.draft.leverages.append(times)
    cursor.note("leverage", lexeme.text, f"{shown(times)}x")


def _margin(cursor: Cursor, lexeme: Lexeme) -> None:
    cursor.draft.margins.append(MarginMode(str(lexeme.value)))
    cursor.note("margin mode", lexeme.text, lexeme.value)


def _size(cursor: Cursor, label: Lexeme) -> None:
    """Read `Size: 0.01`, `Size: $500`, `Size: 2%`; a range says nothing definite and is not used."""
    _stated_size(cursor, label, QuantityMode.PERCENT_OF_EQUITY, QuantityMode.UNITS, QuantityMode.NOTIONAL)


def _risk(cursor: Cursor, label: Lexeme) -> None:
    """Read `Risk: 1%`, `Risk: $50`, `Risk: low`."""
    cursor.to_value(label)
    if cursor.peek().role is Role.RISK_LEVEL:
        cursor.note("not used", f"{label.text} {cursor.take().text}")
        return
    _stated_size(cursor, label, QuantityMode.RISK_PERCENT, None, QuantityMode.RISK_AMOUNT)


def _stated_size(
    cursor: Cursor,
    label: Lexeme,
    percent: QuantityMode,
    plain: QuantityMode | None,
    money: QuantityMode,
) -> None:
    cursor.to_value(label)
    in_money = cursor.last.text == "$"
    lexeme = cursor.take()
    if lexeme.role not in (Role.PERCENT, Role.PRICE):
        raise Unread(f"“{label.text}” has no number after it.")
    size = _number(cursor, lexeme, "size")
    if _range_behind(cursor):
        end = cursor.take()
        if end.role is not Role.PERCENT:
            raise Unread(f"“{label.text} {lexeme.text} to {end.text}” is no size; write one number.")
        cursor.note("not used", f"{label.text} {lexeme.text} to {end.text}")
        return
    in_money = _currency_behind(cursor) or in_money or lexeme.text.startswith("$")
    mode = percent if lexeme.role is Role.PERCENT else money if in_money else plain
    if mode is None or (mode is percent and size > HUNDRED):
        raise Unread(f"“{label.text} {lexeme.text}” is no share that can be risked; write 1% or $50.")
    cursor.draft.sizes.append((size, mode))
    cursor.note("size", f"{label.text} {lexeme.text}", f"{shown(size)} {mode.lower()}")


def _range_behind(cursor: Cursor) -> bool:
    if cursor.peek().role not in (Role.DASH, Role.TO) or cursor.peek(1).role not in (
        Role.PERCENT,
        Role.PRICE,
    ):
        return False
    cursor.take()
    return True


def _currency_behind(cursor: Cursor) -> bool:
    if cursor.peek().role is not Role.CURRENCY or cursor.peek().line:
        return False
    cursor.take()
    return True


def _number(cursor: Cursor, lexeme: Lexeme, what: str) -> Decimal:
    text = lexeme.text.lower().removeprefix("$").strip("x%")
    try:
        return read_number(text)
    except BadNumber as fault:
        raise Unread(f"The {what} “{lexeme.text}” {fault}.") from None


def _ratio(cursor: Cursor, label: Lexeme) -> None:
    """Read `RR 1:3`, `R:R 2.5`, which the prices say better."""
    cursor.to_value(label)
    pieces = [cursor.take()]
    if cursor.peek().role in (Role.COLON, Role.SLASH) and cursor.peek(1).role is Role.PRICE:
        pieces += [cursor.take(), cursor.take()]
    if any(piece.role not in (Role.PRICE, Role.COLON, Role.SLASH) for piece in pieces):
        raise Unread(f"“{label.text}” has no ratio after it, such as 1:3.")
    if any(_number(cursor, piece, "ratio") > HIGHEST_RATIO for piece in pieces if piece.role is Role.PRICE):
        raise Unread(f"“{label.text} {pieces[0].text}” is no ratio such as 1:3.")
    cursor.note("not used", f"{label.text} {''.join(piece.text for piece in pieces)}")


def _timeframe_name(cursor: Cursor, label: Lexeme) -> None:
    cursor.to_value(label)
    lexeme = cursor.take()
    if lexeme.role is not Role.TIMEFRAME:
        raise Unread(f"“{label.text}” has no timeframe after it, such as 4h.")
    cursor.note("not used", f"{label.text} {lexeme.text}")


def _timeframe(cursor: Cursor, lexeme: Lexeme) -> None:
    if cursor.before.role not in _BEFORE_TIMEFRAME or cursor.draft.closing:
        raise cursor.leave(lexeme)
    cursor.note("not used", lexeme.text)


def _polite(cursor: Cursor, lexeme: Lexeme) -> None:
    # "Sell BTC position" means to close it, and `SELL` opens a short
    if lexeme.text.lower() != "please" and not cursor.draft.closing and cursor.peek().role is not Role.COLON:
        raise cursor.leave(lexeme)


def _reference(cursor: Cursor, lexeme: Lexeme) -> None:
    if cursor.before.role not in _BEFORE_REFERENCE:
        raise cursor.leave(lexeme)
    cursor.note("not used", lexeme.text)


def _filler(cursor: Cursor, lexeme: Lexeme) -> None:
    # "close call BTC": an order to close stands by itself
    if cursor.draft.closing:
        raise cursor.leave(lexeme)
    cursor.note("not used", lexeme.text)


def _colon(cursor: Cursor, lexeme: Lexeme) -> None:
    if cursor.before.role not in _BEFORE_COLON or cursor.draft.closing:
        raise cursor.leave(lexeme)


def _slash(cursor: Cursor, lexeme: Lexeme) -> None:
    if cursor.before.role is not Role.SIDE or cursor.peek().role is not Role.SIDE:
        raise cursor.leave(lexeme)


def _dash(cursor: Cursor, lexeme: Lexeme) -> None:
    following = cursor.peek()
    if following.text[:1].isdigit() or following.role in (Role.CURRENCY, Role.DASH):
        raise Unread(f"“-{following.text}” may be a negative number; write labels, or entry/stop/target.")


def _at(cursor: Cursor, lexeme: Lexeme) -> None:
    if cursor.peek().role not in (Role.PRICE, Role.BAD_NUMBER, Role.MARKET, Role.CURRENCY):
        raise cursor.leave(lexeme)


def _currency(cursor: Cursor, lexeme: Lexeme) -> None:
    if lexeme.text != "$" or cursor.peek().role is not Role.PRICE:
        raise cursor.leave(lexeme)


_READERS: Mapping[Role, Callable[[Cursor, Lexeme], None]] = {
    Role.SIDE: _side,
    Role.CIRCLE: _circle,
    Role.CLOSE: _close,
    Role.ARTICLE: _only_in_close,
    Role.HALF: _share,
    Role.PERCENT: _share,
    Role.SYMBOL: _symbol,
    Role.WORD: _word,
    Role.PAIR: _pair,
    Role.TICKER: _pair,
    Role.NAMED: _named,
    Role.ENTRY: read_entry,
    Role.MARKET: read_market,
    Role.LIMIT: read_limit,
    Role.STOP: read_stop,
    Role.TARGET: read_target,
    Role.PRICE: read_bare,
    Role.BAD_NUMBER: read_bare,
    Role.TIMES: _add_leverage,
    Role.LEVERAGE: _leverage,
    Role.MARGIN: _margin,
    Role.SIZE: _size,
    Role.RISK: _risk,
    Role.RATIO: _ratio,
    Role.TIMEFRAME_NAME: _timeframe_name,
    Role.TIMEFRAME: _timeframe,
    Role.REFERENCE: _reference,
    Role.FILLER: _filler,
    Role.LADDER: _filler,
    Role.POLITE: _polite,
    Role.COLON: _colon,
    Role.SLASH: _slash,
    Role.DASH: _dash,
    Role.AT: _at,
    Role.CURRENCY: _currency,
    **dict.fromkeys(
        (Role.AND, Role.COMMA, Role.OPEN, Role.SHUT, Role.STOP_MARK, Role.MARK, Role.DECORATION), _skip
    ),
}
