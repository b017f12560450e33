from uuid import UUID

from core.identity import client_order_id


def test_order_ids_are_short_plain_and_repeatable() -> None:
    event = UUID("0b2ccf0e-6a0a-4b43-9d0e-9a3f0c7b9a11")
    ids = {
        client_order_id(event, leg, part, attempt)
        for leg in range(12)
        for part in range(12)
        for attempt in range(12)
    }
    assert len(ids) == 12**3
    assert all(len(one) == 32 and one.isalnum() and one.isascii() for one in ids)
    assert client_order_id(event, 1, 0, 2) == client_order_id(UUID(str(event)), 1, 0, 2)
    assert client_order_id(event, 1, 0, 2) == "584615275647e7f72f8b6faf63ee5eee"
