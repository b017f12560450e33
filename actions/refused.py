"""How an action says no; it knows no keys and no brokers, so that every process may act."""


class Refused(Exception):
    """Show the sentence: nothing was changed. `field` names the input that it is about, if one is."""

    def __init__(self, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field
