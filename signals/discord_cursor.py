"""Walk through the pieces of a message and keep what was understood of them."""

from signals.discord_draft import Draft
from signals.discord_reading import Part
from signals.discord_scanner import Lexeme
from signals.discord_vocabulary import Role

FARTHEST_LOOK = 12
END = Lexeme(Role.UNKNOWN, "", line=True)
NUMBERS = frozenset((Role.PRICE, Role.BAD_NUMBER, Role.PERCENT, Role.TIMES, Role.TIMEFRAME))
# What does not part a piece from the one it belongs to: `LONG BTC 🚀 60000/58000/65000`
_TRANSPARENT = frozenset((Role.DECORATION, Role.CIRCLE, Role.OPEN, Role.SHUT, Role.MARK))
_BEFORE_VALUE = frozenset((Role.COLON, Role.AT, Role.DECORATION, Role.CURRENCY, Role.OPEN, Role.SHUT))
_THIN_MARKS = frozenset('|"•│')


class Unread(ValueError):
    """Say what could not be understood; `said` is a whole sentence for the author."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class Cursor:
    """Stand between two pieces. `before` is the last one taken that means something; `draft` is the result."""

    def __init__(self, lexemes: list[Lexeme]) -> None:
        self.draft = Draft()
        self.before = END
        # So that nobody who looks ahead has to look whether there is anything
        self._lexemes = [*lexemes, *(END,) * FARTHEST_LOOK]
        self._length = len(lexemes)
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at >= self._length

    def take(self) -> Lexeme:
        """Go past the next piece and return it."""
        self._at += 1
        return self._lexemes[self._at - 1]

    def peek(self, ahead: int = 0) -> Lexeme:
        """Return a coming piece without going there; beyond the last there is an unknown empty one."""
        return self._lexemes[self._at + ahead]

    def back(self) -> None:
        """Go back before the last piece taken."""
        self._at -= 1

    @property
    def last(self) -> Lexeme:
        """Return the last piece taken, decoration or not."""
        return self._lexemes[self._at - 1] if self._at else END

    def look_back(self) -> None:
        """Remember the last piece taken as the one before, unless it is mere decoration."""
        if self.last.role not in _TRANSPARENT:
            self.before = self.last

    def note(self, what: str, text: str, value: object = "") -> None:
        """Keep for the explanation what was understood."""
        self.draft.parts.append(Part(what=what, text=text, value=str(value)))

    def leave(self, lexeme: Lexeme) -> Unread:
        """Return the error that says that this piece is not understood where it stands."""
        after = f" after “{self.before.text}”" if self.before.text else ""
        return Unread(
            f"“{lexeme.text}”{after} is not understood: leave it out, or write one of the known forms."
        )

    def to_value(self, label: Lexeme) -> bool:
        """Go from a label to its value, past `:`, `=`, `@`, a dash between spaces and decoration.

        Returns whether the value stands on a later line. Raises Unread at a minus: a negative price is
        never read as one without its sign.
        """
        colon = below = False
        while True:
            here = self.peek()
            if here.role is Role.DASH:
                self._pass_dash(label, after_colon=colon)
            elif not self._leads_to_value(label, here):
                return below or here.line
            colon = colon or here.role is Role.COLON
            below = self.take().line or below

    def _leads_to_value(self, label: Lexeme, here: Lexeme) -> bool:
        if here.role in _BEFORE_VALUE or here.text in _THIN_MARKS:
            return True
        return here.role is label.role and here.role in (Role.ENTRY, Role.STOP)

    def _pass_dash(self, label: Lexeme, *, after_colon: bool) -> None:
        dash, following = self.peek(), self.peek(1)
        bullet = dash.line and following.spaced
        if following.role in NUMBERS and (not following.spaced or (after_colon and not bullet)):
            raise Unread(f"“{label.text}”: “-{following.text}” is negative, and no price is.")
