"""What is logged, as the parts write it: the signal that each line names, and its words."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import log

Lines = Callable[[], list[str]]


@contextmanager
def logged(part: str) -> Iterator[Lines]:
    """Give the lines that are logged meanwhile by a part."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.LineFormatter(part))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lambda: stream.getvalue().splitlines()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def named(lines: list[str], words: str = "") -> list[tuple[str, str]]:
    """Return signal and words of each line that holds some words."""
    parted = [line.partition(" signal=")[2].partition(" ") for line in lines]
    return [(signal, said) for signal, _, said in parted if words in said]
