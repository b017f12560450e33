"""What waits to be told of trades: what is overtaken, what is kept together, who is due, and whom a switch mutes."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from database import notification_sending, trade_updates
from database.pool import Database
from database.trade_updates import TradeUpdate, UpdateKind
from tests.database.trade_desk import START, TradeDesk

DEADLINE_SECONDS = 60


@pytest.fixture
def desk(database: Database) -> TradeDesk:
    found = TradeDesk(database)
    found.link(found.ann)
    found.link(found.eve)
    return found


def note(desk, trade_id, kind=UpdateKind.RUNNING):
    """Store an update as the monitor does, and return its number."""
    update = TradeUpdate(
        trade_id=trade_id, kind=kind, price=Decimal("1.0866"), steps=Decimal(12), pnl=Decimal(12),
        message=str(kind), send=True,
    )  # fmt: skip
    with desk.database.transaction() as transaction:
        trade_updates.store(transaction, [update], desk.now)
    return desk.one("SELECT max(id) AS id FROM trade_updates")["id"]


def claim(desk, user_id=None):
    with desk.database.transaction() as transaction:
        return notification_sending.next_parcel(transaction, user_id or desk.ann, desk.now)


def due(desk, limit=50):
    with desk.database.transaction() as transaction:
        return notification_sending.users_due(transaction, desk.now, [], limit)


def waiting(desk):
    rows = desk.all("SELECT id FROM trade_updates WHERE next_attempt_at IS NOT NULL ORDER BY id")
    return [row["id"] for row in rows]


def test_what_nobody_has_begun_to_send_is_overtaken(desk):
    trade = desk.open().trade_id
    note(desk, trade)
    newest = note(desk, trade)
    assert waiting(desk) == [newest]


def test_what_is_being_sent_is_not_taken_back_and_keeps_its_nonce(desk):
    """Its sender may have died after Discord took the message: only the same nonce tells the copies."""
    trades = [desk.open().trade_id for _ in range(2)]
    numbers = [note(desk, each) for each in trades]
    first = claim(desk)
    newer = note(desk, trades[0])
    assert waiting(desk) == [*numbers, newer]
    desk.wait(minutes=2)
    again = claim(desk)
    assert (again.ids, again.nonce, again.attempts) == (numbers, first.nonce, 2)
    with desk.database.transaction() as transaction:
        notification_sending.note_sent(transaction, again, 1, 2, desk.now)
    assert claim(desk).ids == [newer]


def test_who_notes_updates_waits_for_nobody_who_claims_them(desk):
    """Both hold many rows, in orders of their own: were one to wait, they could wait for each other."""
    trade = desk.open().trade_id
    number = note(desk, trade)
    noted = threading.Thread(target=note, args=(desk, trade), daemon=True)
    with desk.database.transaction() as transaction:
        assert notification_sending.next_parcel(transaction, desk.ann, desk.now).ids == [number]
        noted.start()
        noted.join(DEADLINE_SECONDS)
        assert not noted.is_alive()
    assert number in waiting(desk)


def test_who_can_be_sent_nothing_yet_keeps_no_place_of_others(desk):
    note(desk, desk.open().trade_id)
    parcel = claim(desk)
    with desk.database.transaction() as transaction:
        notification_sending.note_later(transaction, parcel, "busy", desk.now + timedelta(minutes=10))
    note(desk, desk.open().trade_id, UpdateKind.TARGET)
    desk.wait(minutes=1)
    note(desk, desk.open(desk.eve).trade_id)
    assert claim(desk) is None
    assert due(desk, limit=1) == [desk.eve]
    desk.wait(minutes=10)
    assert due(desk, limit=1) == [desk.ann]


def test_the_signals_of_one_whose_updates_must_wait_are_due(desk):
    note(desk, desk.open().trade_id)
    assert claim(desk).updates
    note(desk, desk.open().trade_id)
    assert due(desk) == []
    signal = desk.notify(next_attempt_at=desk.now)
    assert due(desk) == [desk.ann]
    assert claim(desk).ids == [signal]


@pytest.mark.parametrize("ended", [{"acknowledged": True}, {"expires_at": START}])
def test_a_signal_that_is_over_is_not_claimed(desk, ended):
    desk.notify(next_attempt_at=desk.now, **ended)
    assert claim(desk) is None


def test_a_signal_is_booked_as_sent_once(desk):
    signal = desk.notify(next_attempt_at=desk.now)
    assert claim(desk).ids == [signal]
    first = desk.now
    for message in (11, 12):
        with desk.database.transaction() as transaction:
            notification_sending.note_seen(transaction, signal, 1, message, desk.now)
        desk.wait(minutes=1)
    row = desk.one("SELECT sent_at, discord_message_id FROM signal_notifications")
    assert (row["sent_at"], row["discord_message_id"]) == (first, 11)
