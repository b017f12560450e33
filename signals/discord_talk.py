"""Tell talk from a signal that could not be read: the one gets no answer, the other a reason."""

from collections.abc import Iterable, Sequence

from signals.discord_cursor import NUMBERS
from signals.discord_scanner import Lexeme
from signals.discord_vocabulary import CHAT, COINS, RESULT_MARKS, TALK, Role

_LABELS = frozenset((Role.ENTRY, Role.STOP, Role.TARGET))
_PRICES_IN_A_ROW = 2
_LONGEST_WITH_ONE_LABEL = 25


def why_talk(lexemes: Iterable[Lexeme]) -> str | None:
    """Return a sentence where a piece shows that this is a question, a quotation or talk, else None."""
    for lexeme in lexemes:
        text = lexeme.text
        if text == "?":
            return "The message asks something."
        if text == "~~":
            return "Part of the message is struck out."
        if text == ">" and lexeme.line:
            return "The message quotes another one."
        if text in RESULT_MARKS:
            return f"“{text}” says what became of a trade."
        if lexeme.role is Role.WORD and text.lower() in TALK:
            return f"“{text}” belongs to talk about trades; a signal has no such word."
    return None


def is_signal_like(lexemes: Sequence[Lexeme]) -> bool:
    """Tell whether its author would wonder why a message was not taken for a signal."""
    roles = {lexeme.role for lexeme in lexemes}
    if Role.SIDE not in roles or not any(map(_may_be_symbol, lexemes)):
        return False
    labelled = _labelled(lexemes)
    if labelled >= 2 or _longest_row(lexemes) >= _PRICES_IN_A_ROW:
        return True
    chats = any(lexeme.text.lower() in CHAT for lexeme in lexemes)
    return labelled == 1 and not chats and len(lexemes) <= _LONGEST_WITH_ONE_LABEL


def _may_be_symbol(lexeme: Lexeme) -> bool:
    if lexeme.role is Role.WORD:
        return lexeme.text.lower() in COINS or (lexeme.text.isupper() and len(lexeme.text) > 1)
    return lexeme.role is Role.SYMBOL


def _labelled(lexemes: Sequence[Lexeme]) -> int:
    """Return how many labels have a number, readable or not, within the four pieces behind them."""
    return sum(
        any(following.role in NUMBERS for following in lexemes[place + 1 : place + 5])
        for place, lexeme in enumerate(lexemes)
        if lexeme.role in _LABELS
    )


def _longest_row(lexemes: Sequence[Lexeme]) -> int:
    longest = length = 0
    for lexeme in lexemes:
        if lexeme.role in NUMBERS:
            length += 1
            longest = max(longest, length)
        elif lexeme.role is not Role.SLASH:
            length = 0
    return longest
