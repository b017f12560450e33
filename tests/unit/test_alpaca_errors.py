"""What each of Alpaca's failures tells the engine to do: the pure half of the adapter's errors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers import alpaca_mapping as mapping
from core.errors import Conflict, Rejected, Unavailable, Unknown

Json = dict[str, Any]

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (301, Rejected),
            (400, Rejected),
            (401, Rejected),
            (403, Rejected),
            (404, Rejected),
            (405, Rejected),
            (408, Unknown),
            (409, Rejected),
            (422, Rejected),
            (429, Unavailable),
            (500, Unknown),
            (502, Unknown),
            (503, Unknown),
            (504, Unknown),
            (599, Unknown),
        ],
    )
    def test_the_class_of_each_status(self, status: int, kind: type[Exception]) -> None:
        error = mapping.broker_error(status, {"code": 1, "message": "words"})
        assert type(error) is kind
        assert (error.message, error.code, error.status) == ("words", "1", status)

    @pytest.mark.parametrize("body", [None, [], "text", 5, {}])
    def test_any_body_will_do(self, body: object) -> None:
        error = mapping.broker_error(422, body)
        assert type(error) is Rejected
        assert (error.message, error.code) == ("Alpaca answered HTTP 422", None)

    @pytest.mark.parametrize(
        ("message", "kind"),
        [
            ("position intent mismatch, inferred: sell_to_close, specified: sell_to_open", Conflict),
            ("position intent mismatch. inferred sell to close", Conflict),
            ("position intent mismatch, inferred: sell_to_open, specified: sell_to_close", Rejected),
            ("potential wash trade detected. use complex orders", Conflict),
            ("cannot open a short sell while a long buy order is open", Conflict),
            ("insufficient buying power", Rejected),
            ("account is not allowed to short", Rejected),
            ("cost basis must be >= minimal amount of order 10", Rejected),
        ],
    )
    @pytest.mark.parametrize("status", [403, 422])
    def test_conflicts_by_words(self, message: str, kind: type[Exception], status: int) -> None:
        assert type(mapping.broker_error(status, {"message": message})) is kind

    @pytest.mark.parametrize(
        ("details", "expected"),
        [
            ({"existing_order_id": "one"}, "one"),
            ({"related_orders": ["two", "three"]}, "two"),
            ({"related_orders": []}, None),
            ({"related_orders": "two"}, None),
            ({"related_orders": [5]}, None),
            ({}, None),
        ],
    )
    def test_the_blocking_order(self, details: Json, expected: str | None) -> None:
        error = mapping.broker_error(403, {"message": "wash trade", "held_for_orders": "5", **details})
        assert isinstance(error, Conflict)
        assert error.blocking_order_id == expected

    @pytest.mark.parametrize("held", ["0", 0, None, "many", []])
    def test_nothing_held_is_no_conflict(self, held: object) -> None:
        error = mapping.broker_error(403, {"message": "insufficient qty", "held_for_orders": held})
        assert type(error) is Rejected


@given(status=st.integers(300, 599), body=JUNK)
def test_any_failure_is_one_of_the_four(status: int, body: object) -> None:
    error = mapping.broker_error(status, body)
    assert type(error) in (Rejected, Conflict, Unavailable, Unknown)
