"""What the page of a signal says that nobody read."""

from ui.signal_pages.understanding import unread

UNDERSTOOD = {"extras": {"volume": "7", "posted_at": "2026-01-05T15:00:00Z", "Author": "Eve", "channel": "1"}}


def test_what_a_service_says_beside_the_message_was_read() -> None:
    assert unread(UNDERSTOOD, "discord:4") == ["volume"]
    assert unread(UNDERSTOOD, "api") == ["volume"]


def test_in_an_alert_the_same_names_mean_nothing() -> None:
    assert unread(UNDERSTOOD, "tradingview") == ["Author", "channel", "posted_at", "volume"]


def test_a_signal_without_extras_has_nothing_unread() -> None:
    assert unread({}, "tradingview") == []
