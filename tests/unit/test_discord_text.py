"""Discord messages: what trades, what is refused and why, and above all what gives nothing."""

from pathlib import Path

import pytest

from signals.discord_text import FORMATS, NoSignal, RefusedSignal, TextSignal, read
from tests.unit.discord_messages import MESSAGES, NOTHING, REFUSED, SIGNALS, TALK

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [(each.name, example) for each in FORMATS for example in each.examples]


def shown(reading):
    """Return a reading in the words of the table."""
    if isinstance(reading, NoSignal):
        assert reading.why
        return NOTHING
    if isinstance(reading, RefusedSignal):
        return f"refused: {reading.sentence}"
    return reading.summary


@pytest.mark.parametrize(("text", "expected"), MESSAGES)
def test_a_message_is_read_as(text, expected):
    got = shown(read(text))
    if expected.startswith("refused: "):
        assert got.startswith("refused: ")
        assert expected.removeprefix("refused: ") in got
    else:
        assert got == expected


def test_the_table_is_as_large_as_it_should_be():
    texts = [text for text, _ in MESSAGES]
    assert len(set(texts)) == len(texts) >= 150
    assert len(TALK) >= 60
    assert min(len(SIGNALS), len(REFUSED)) >= 50


@pytest.mark.parametrize(
    ("name", "example"), EXAMPLES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(EXAMPLES)]
)
def test_every_example_of_a_format_is_read_in_that_format(name, example):
    reading = read(example.text)
    assert isinstance(reading, TextSignal)
    assert (reading.format, reading.summary) == (name, example.summary)
