"""Numbers as people type them into the dashboard: read as what they mean, or refused with a sentence."""

from decimal import Decimal

import pytest

from actions.acting import Refused
from ui.inputs import amount, whole


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("1.0895", "1.0895"),
        ("5,000", "5000"),
        ("$ 1,234,567.5", "1234567.5"),
        ("2.5 %", "2.5"),
        ("60'000", "60000"),
        ("1 000", "1000"),
    ],
)
def test_a_number_is_what_it_means(typed: str, meant: str) -> None:
    assert amount(typed, "entry", "Entry price") == Decimal(meant)


@pytest.mark.parametrize("typed", ["1,0895", "1,5", "0,895", "1,2345", "1.234,567", "1,00,000", ",500", "5,"])
def test_a_comma_that_may_be_a_decimal_sign_is_refused(typed: str) -> None:
    """Read as a group of thousands a price would be ten thousand times what was meant."""
    with pytest.raises(Refused, match="decimals follow a point") as refused:
        amount(typed, "entry", "Entry price")
    assert (refused.value.field, refused.value.sentence.partition(":")[0]) == ("entry", "Entry price")
    with pytest.raises(Refused, match="a comma groups thousands"):
        whole(typed, "minutes", "Minutes")


def test_whole_numbers() -> None:
    assert whole("1,000", "minutes", "Minutes") == 1000
    assert whole("", "minutes", "Minutes", optional=True) is None
    with pytest.raises(Refused, match="is not a whole number from 1 on"):
        whole("0", "minutes", "Minutes")
