"""What DashTrade publishes about itself is what DashTrade understands of others."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from alerts.kinds import published
from database.notifications import NotificationKind
from watching import shapes
from watching.messages import Event, Kind, understand

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
STANDING = {
    "equity": Decimal("100012.30"), "balance": Decimal("90000"), "unrealized_pnl": Decimal("-3.5"),
    "open_positions": 2, "total_trades": 4, "winning_trades": 3, "losing_trades": 1,
    "total_pnl": Decimal("12.30"), "avg_win": Decimal(5), "avg_loss": Decimal("-2.7"),
}  # fmt: skip
FILLED = {
    "id": 7, "symbol": "BTC/USD", "action": "BUY", "side": "BUY", "filled_qty": Decimal("0.01"),
    "filled_price": Decimal(50_000), "realized_pnl": None, "fees": Decimal("0.5"), "bot": "BTC 15m",
    "closed_at": NOW, "entry_price": None, "opened_at": None,
}  # fmt: skip
CLOSED = FILLED | {
    "action": "CLOSE", "side": "SELL", "filled_price": Decimal(51_000), "realized_pnl": Decimal(10),
    "entry_price": Decimal(50_000), "opened_at": NOW - timedelta(hours=1),
}  # fmt: skip


def heard(topic: str, said: dict) -> Event:
    event = understand(f"dashtrade/{topic}", "dashtrade/", json.dumps(said).encode(), NOW, is_retained=False)
    assert event.problem is None
    return event


def test_an_entry_is_a_position_opened() -> None:
    event = heard(*shapes.trade(FILLED, NOW))
    assert event.kind is Kind.POSITION_OPENED
    assert event.understood["name"] == "BTC/USD"
    assert event.understood["side"] == "long"
    assert Decimal(event.understood["quantity"]) == Decimal("0.01")
    assert Decimal(event.understood["entry_price"]) == 50_000


def test_a_close_is_a_trade_completed_with_its_own_id() -> None:
    event = heard(*shapes.trade(CLOSED, NOW))
    assert event.kind is Kind.TRADE_COMPLETED
    told = event.understood
    assert (told["side"], told["trade_id"]) == ("long", "dashtrade-7")
    assert Decimal(told["pnl"]) == 10
    assert Decimal(told["pnl_fraction"]) == Decimal("0.02")
    assert Decimal(told["duration_seconds"]) == 3600


def test_a_close_whose_entry_is_not_known_is_told_all_the_same() -> None:
    event = heard(*shapes.trade(CLOSED | {"entry_price": None, "opened_at": None}, NOW))
    assert event.kind is Kind.TRADE_COMPLETED
    assert "pnl_fraction" not in event.understood


@pytest.mark.parametrize("kind", [kind for kind in published() if kind != "BOT_FILLED"])
def test_what_went_wrong_is_an_error(kind: str) -> None:
    event = heard(*shapes.trouble(kind, {"sentence": "It did not work.", "bot": "BTC 15m"}, NOW))
    assert event.kind is Kind.ERROR
    assert event.understood["message"] == "It did not work."
    assert event.understood["error_type"] == kind.lower()
    assert event.understood["severity"] in ("warning", "critical")


def test_a_kill_switch_says_what_it_was_turned_to() -> None:
    content = {"scope": "server", "id": None, "state": "HALTED", "by": "ann@example.org"}
    assert (
        "HALTED" in heard(*shapes.trouble(NotificationKind.KILL_SWITCH, content, NOW)).understood["message"]
    )


def test_signs_of_life_and_figures_are_understood() -> None:
    assert heard(*shapes.started(STANDING, NOW, "s1", "1.0")).kind is Kind.STARTED
    beat = heard(*shapes.heartbeat(STANDING, NOW, 61))
    assert (beat.kind, int(beat.understood["uptime_seconds"])) == (Kind.HEARTBEAT, 61)
    balance = heard(*shapes.balance(STANDING, NOW))
    assert balance.kind is Kind.BALANCE
    assert Decimal(balance.understood["equity"]) == Decimal("100012.30")
    session = heard(*shapes.session(STANDING, NOW, "s1", 3600))
    assert session.kind is Kind.SESSION_STATS
    assert Decimal(session.understood["win_rate"]) == Decimal("0.75")
    stopped = heard(*shapes.stopped(STANDING, NOW, "s1"))
    assert stopped.kind is Kind.STOPPED
    assert Decimal(stopped.understood["total_pnl"]) == Decimal("12.30")


def test_without_accounts_and_trades_everything_is_still_said() -> None:
    nothing = dict.fromkeys(STANDING) | {"total_trades": 0, "winning_trades": 0, "losing_trades": 0}
    for said in (
        shapes.started(nothing, NOW, "s1", "1.0"), shapes.heartbeat(nothing, NOW, 0),
        shapes.session(nothing, NOW, "s1", 0), shapes.stopped(nothing, NOW, "s1"), shapes.balance(nothing, NOW),
    ):  # fmt: skip
        heard(*said)
