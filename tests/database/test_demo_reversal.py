"""The demo's reversal signals: made by the real model of recorded bars, answered, and followed to their ends."""

from datetime import UTC, datetime, timedelta

import pytest

from administration.demo_reversal import make_signals
from database import reversal_reading
from database.reversal_reading import SignalState
from tests.database.office import Office, open_office


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


def test_the_demo_has_signals_and_trades_in_every_state(office: Office) -> None:
    now = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
    count = make_signals(office.services, office.user.id, now - timedelta(weeks=3), now)
    with office.services.database.transaction() as transaction:

        def of(state: SignalState | None) -> list[dict[str, object]]:
            page = reversal_reading.signals_page(transaction, office.user.id, state, now, limit=1000)
            return page.rows

        assert len(of(None)) == count
        assert all(of(state) for state in (SignalState.OPENED, SignalState.IGNORED, SignalState.FAILED))
        assert {row["source"] for row in of(None)} == {"replay"}
        trades = transaction.all(
            "SELECT status, close_reason, result, entry_time, close_time FROM user_trades"
        )
    assert {"tp_hit", "sl_hit"} <= {row["close_reason"] for row in trades}
    assert all(row["close_time"] is None or row["entry_time"] < row["close_time"] <= now for row in trades)
    assert len(trades) > 10
