"""Take the effect out of texts from outside: mentions, markup, links and characters that deceive."""

import re
import unicodedata

LONGEST = 20_000  # far more than any service carries, so that a huge text costs nothing
BREAK = "\u200b"  # a zero-width space: seen by Discord's reader, not by a person

_LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029]")
_TURNERS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVITE = re.compile(r"(discord(?:app)?\s*\.\s*(?:gg|io|me|li|com\s*/\s*invite)\s*/)(?=\S)", re.IGNORECASE)
# @everyone, <@id>, <#id>, <:emoji:id>, <t:time>, </command:id>, https://
_OPENERS = re.compile(r"[@<](?=\S)|(?<=\w):(?=//)")
_MARKS = re.compile(r"[\\*_~`|\[\]]")
_LINE_MARKS = re.compile(r"^([^\S\n]*)([#>]|-(?=#)|[-+](?=\s))", re.MULTILINE)


def plain(text: str) -> str:
    """Return the text without control characters, lone surrogates and changes of direction.

    Line ends become `\\n`, tabs spaces; what PostgreSQL and JSON readers refuse is gone, and so is what
    stands beyond `LONGEST` signs.
    """
    text = _LINE_ENDS.sub("\n", text.strip()[:LONGEST]).replace("\t", " ")
    return "".join(sign for sign in text if sign == "\n" or not _deceives(sign)).strip()


def unlinked(text: str) -> str:
    """Return the plain text in which nothing mentions, links or invites, where markup has no effect."""
    text = _OPENERS.sub(lambda match: match.group() + BREAK, plain(text))
    return _INVITE.sub(lambda match: match.group(1) + BREAK, text)


def neutral(text: str) -> str:
    """Return the text so that Discord shows its letters as they came, without any effect."""
    escaped = _MARKS.sub(lambda match: "\\" + match.group(), unlinked(text))
    return _LINE_MARKS.sub(r"\1\\\2", escaped)


def length(text: str) -> int:
    """Return the length in UTF-16 units.

    Discord counts code points (discord-api-docs issue 1315), its clients units: the greater holds for both.
    """
    return len(text) + sum(sign > "\uffff" for sign in text)


def shortened(text: str, limit: int) -> str:
    """Return at most `limit` UTF-16 units of a neutral text, ending in … where some are missing."""
    if length(text) <= limit:
        return text
    kept = _first_units(text, limit - 1)
    if (len(kept) - len(kept.rstrip("\\"))) % 2:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def _first_units(text: str, units: int) -> str:
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore")


def _deceives(sign: str) -> bool:
    return unicodedata.category(sign) in {"Cc", "Cs"} or sign in _TURNERS
