"""Cut a Discord message into the pieces that the grammar knows, each with its role.

Every character ends up in a piece or is a space or a mark of bold, italics or code; what is unknown is a
piece of its own, so that nothing can be overlooked. The time it takes grows with the length alone.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import NamedTuple

from signals.discord_vocabulary import EMOJIS, EXCHANGES, MARKS, PHRASES, QUOTES, Role

_QUOTE = "|".join(QUOTES)
# Of the others some end English words: amateur, fraud
_GLUED = "|".join(quote for quote in QUOTES if "USD" in quote)
# What colours a code block; any other word there is read
_LANGUAGES = "yaml|yml|diff|css|fix|ini|md|markdown|json|txt|text|elm|arm|prolog|apache|bash|py|python|js"
_SUFFIX = r"(?:[-_]?(?:SWAP|PERP)|\.P)?(?![A-Za-z0-9_/])"
_PIECE = re.compile(
    rf"""
    (\s*)(?:
    (?P<sign>[:/,()|&;=+-])
  | (?P<fence>```(?:(?:{_LANGUAGES})(?=\n))?)
  | (?P<format>[*`_]+)
  | (?P<chart>https?://(?:www\.)?tradingview\.com/[A-Za-z0-9/?=&%._~+-]*)
  | (?P<mention><@&[0-9]{{1,20}}>|@everyone\b|@here\b)
  | (?P<foreign><[^<>\s]{{1,80}}>|https?://\S*|~~)
  | (?P<pair>(?=[$\#]?[0-9]{{0,7}}[A-Z])[$\#]?(?:(?:{"|".join(EXCHANGES)}):)?
        (?:(?P<base>[0-9]{{0,7}}[A-Z][A-Z0-9]{{0,14}})[/_-](?P<quote>{_QUOTE})(?::(?P=quote))?
         |(?P<glued>[0-9]{{0,7}}[A-Z][A-Z0-9]{{0,14}}?)(?P<glued_quote>{_GLUED})){_SUFFIX})
  | (?P<tag>[$\#](?:[A-Z][A-Z0-9]{{0,14}}|1(?:0{{3,6}})?[A-Z]{{2,12}})(?![A-Z0-9]))
  | (?P<reference>\#[0-9]{{1,9}})
  | (?P<keycap>[0-9]\u20e3)
  | (?P<number>\$?[.,]?[0-9]+(?:[.,'][0-9]+)*(?:%|[A-Z][A-Z0-9]*)?)
  | (?P<word>[A-Z][A-Z0-9]*(?:'[A-Z]+)?(?:[.,][0-9]+)*)
  | (?P<heading>\#{{1,3}}(?=\s))
  | (?P<dots>\.{{2,}})
  | (?P<mark>.))
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII | re.DOTALL,
)
_UNSEEN = frozenset(("format", "fence", "heading"))
_NUMBER = re.compile(r"([0-9][0-9.,']*)(k|%|x)?|([0-9]{1,3})([mhdw])", re.IGNORECASE)
_TIMES_FIRST = re.compile(r"x([0-9]{1,4})")
_NUMBERED_TARGET = re.compile(r"(?:tp|target|t)([0-9]{1,2})")
_COUNTED_COIN = re.compile(r"(?:1|10{3,6})[a-z]{2,12}")


class Lexeme(NamedTuple):
    """One piece: its role and text, what it is worth, and whether a space or a line break stands before it."""

    role: Role
    text: str
    value: object = None
    spaced: bool = False
    line: bool = False


class _Raw(NamedTuple):
    kind: str
    text: str
    low: str
    value: tuple[str, str] | None
    spaced: bool
    line: bool


def _plain_letters() -> dict[int, str | None]:
    """Return what stands for what: letters in fancy type, kinds of space and dash, and what is not seen."""
    fancy = [*range(0x1D400, 0x1D800), *range(0xFF01, 0xFF5F)]
    table: dict[int, str | None] = {}
    for code in fancy:
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1 and plain.isascii():
            table[code] = plain
    table |= dict.fromkeys((0xFE0E, 0xFE0F, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF), None)
    table |= dict.fromkeys(range(0x1F3FB, 0x1F400), None)
    table |= dict.fromkeys((0xA0, 0x202F, 0x3000, *range(0x2000, 0x200B)), " ")
    table |= dict.fromkeys((0x85, 0x2028, 0x2029, 0x0D), "\n")
    table |= dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212), "-")
    return table | dict.fromkeys((0x2018, 0x2019), "'") | dict.fromkeys((0x201C, 0x201D), '"')


_PLAIN = _plain_letters()


def plain(text: str) -> str:
    """Return the text with fancy letters, dashes and spaces as plain ones and without what cannot be seen."""
    return text.replace("\r", "\n") if text.isascii() else text.translate(_PLAIN)


def scan(text: str) -> list[Lexeme]:
    """Return the pieces of a text that `plain` has been through."""
    raws = _raws(text)
    found: list[Lexeme] = []
    at, end = 0, len(raws)
    while at < end:
        raw = raws[at]
        taken = _phrase(raws, at) if raw.kind == "word" else None
        if taken is None:
            found.append(_SINGLE[raw.kind](raw))
            at += 1
        else:
            lexeme, length = taken
            found.append(lexeme)
            at += length
    return found


def _raws(text: str) -> list[_Raw]:
    found = []
    spaced = line = True
    for match in _PIECE.finditer(text.strip()):
        kind, gap = match.lastgroup or "", match[1]
        if gap:
            spaced, line = True, line or "\n" in gap
        if kind not in _UNSEEN:
            piece = match[kind]
            value = _base_and_quote(match) if kind == "pair" else None
            found.append(_Raw(kind, piece, piece.lower(), value, spaced, line))
            spaced = line = False
    return found


def _base_and_quote(match: re.Match[str]) -> tuple[str, str]:
    return (match["base"] or match["glued"]).upper(), (match["quote"] or match["glued_quote"]).upper()


def _phrase(raws: list[_Raw], at: int) -> tuple[Lexeme, int] | None:
    first = raws[at]
    for pieces, role, value in PHRASES.get(first.low, ()):
        length = len(pieces)
        if length == 1 or _follows(raws, at, pieces):
            text = first.text if length == 1 else _joined(raws[at : at + length])
            return Lexeme(role, text, value, first.spaced, first.line), length
    return None


def _follows(raws: list[_Raw], at: int, pieces: tuple[str, ...]) -> bool:
    following = raws[at + 1 : at + len(pieces)]
    return tuple(raw.low for raw in following) == pieces[1:] and not any(raw.line for raw in following)


def _joined(raws: list[_Raw]) -> str:
    return "".join(f" {raw.text}" if raw.spaced else raw.text for raw in raws).strip()


def _word(raw: _Raw) -> Lexeme:
    numbered = _NUMBERED_TARGET.fullmatch(raw.low)
    if numbered:
        return _lexeme(raw, Role.TARGET, int(numbered[1]))
    times = _TIMES_FIRST.fullmatch(raw.low)
    if times:
        return _lexeme(raw, Role.TIMES, times[1])
    return _lexeme(raw, Role.WORD)


def _number(raw: _Raw) -> Lexeme:
    text = raw.low.removeprefix("$")
    match = _NUMBER.fullmatch(text)
    if match is None:
        coin = _COUNTED_COIN.fullmatch(raw.low)
        return _lexeme(raw, Role.WORD if coin else Role.BAD_NUMBER)
    if match[3]:
        return _lexeme(raw, Role.TIMEFRAME)
    if match[2] in ("%", "x"):
        return _lexeme(raw, Role.PERCENT if match[2] == "%" else Role.TIMES, match[1])
    return _lexeme(raw, Role.PRICE, text)


def _mark(raw: _Raw) -> Lexeme:
    role, value = EMOJIS.get(raw.text) or (MARKS.get(raw.text, Role.UNKNOWN), None)
    return _lexeme(raw, role, value)


def _lexeme(raw: _Raw, role: Role, value: object = None) -> Lexeme:
    return Lexeme(role, raw.text, value, raw.spaced, raw.line)


_SINGLE: Mapping[str, Callable[[_Raw], Lexeme]] = {
    "word": _word,
    "number": _number,
    "sign": _mark,
    "mark": _mark,
    "pair": lambda raw: _lexeme(raw, Role.SYMBOL, raw.value),
    "tag": lambda raw: _lexeme(raw, Role.SYMBOL, (raw.text[1:].upper(), None)),
    "reference": lambda raw: _lexeme(raw, Role.REFERENCE, raw.text[1:]),
    "keycap": lambda raw: _lexeme(raw, Role.INDEX, int(raw.text[0])),
    "chart": lambda raw: _lexeme(raw, Role.DECORATION),
    "mention": lambda raw: _lexeme(raw, Role.DECORATION),
    "foreign": lambda raw: _lexeme(raw, Role.UNKNOWN),
    "dots": lambda raw: _lexeme(raw, Role.UNKNOWN),
}
