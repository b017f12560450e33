"""What a user wants to hear: each wish read, bounded, stored in one form, and noted."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from actions import discord_settings
from actions.refused import Refused
from database import accounts, audit, discord_accounts

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def user_id(database):
    with database.transaction() as transaction:
        return accounts.create_user(transaction, "ann@example.org", "correct horse battery").id


def change(database, user_id, **changes):
    return discord_settings.change(database, user_id, "ann@example.org", changes, NOW)


@pytest.mark.parametrize(
    ("name", "text", "stored"),
    [
        ("enabled_timeframes", "4h, 15m,1h,60", ["15 Min", "1 Hour", "4 Hour"]),
        ("enabled_timeframes", "1 Day", ["1 Day"]),
        ("preferred_pairs", "eur/usd, BTC/USD ,EUR/USD,aapl", ["EUR/USD", "BTC/USD", "AAPL"]),
        ("min_confidence", "0.65", Decimal("0.65")),
        ("min_confidence", "65 %", Decimal("0.65")),
        ("min_confidence", "1", Decimal(1)),
        ("min_confidence", "0", Decimal(0)),
        ("only_ml_enhanced", "off", False),
        ("only_with_edge", "No", False),
        ("notifications_enabled", "false", False),
        ("max_notifications_per_day", "0", 0),
        ("notification_cooldown_minutes", "30", 30),
        ("running_update_minutes", "never", 0),
        ("running_update_minutes", "15", 15),
        ("trade_limit_hours", "48", 48),
        ("trade_limit_hours", "0", None),
        ("account_currency", "eur", "EUR"),
        ("notification_channel_id", "<#1234567890123456789>", 1234567890123456789),
        ("notification_channel_id", "direct", None),
    ],
)
def test_a_wish_is_stored_in_one_form(database, user_id, name, text, stored):
    assert change(database, user_id, **{name: text})[name] == stored
    with database.transaction() as transaction:
        assert discord_accounts.settings_of(transaction, user_id)[name] == stored


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("enabled_timeframes", "1h, soon", "'soon' is no timeframe that is scanned: 5 Min, 15 Min"),
        ("enabled_timeframes", "1 Min", "no timeframe that is scanned"),
        ("enabled_timeframes", " , ", "at least one timeframe"),
        ("preferred_pairs", "EUR/", "'EUR/' is no pair: write EUR/USD"),
        ("preferred_pairs", "", "1 to 100 pairs"),
        ("preferred_pairs", ",".join(f"A{number}" for number in range(101)), "1 to 100 pairs"),
        ("min_confidence", "0.655", "0 to 1 by hundredths"),
        ("min_confidence", "1.01", "0 to 1 by hundredths"),
        ("min_confidence", "-0.1", "0 to 1 by hundredths"),
        ("min_confidence", "NaN", "0 to 1 by hundredths"),
        ("min_confidence", "1e999999", "0 to 1 by hundredths"),
        ("min_confidence", "0,65", "0 to 1 by hundredths"),
        ("only_ml_enhanced", "maybe", "“Only signals of the model” is on or off, not 'maybe'"),
        ("max_notifications_per_day", "201", "from 0 to 200"),
        ("max_notifications_per_day", "-1", "from 0 to 200"),
        ("max_notifications_per_day", "9" * 5000, "from 0 to 200"),
        ("notification_cooldown_minutes", "10081", "from 0 to 10080"),
        ("running_update_minutes", "4", "every 5 to 10080 minutes, or never with 0"),
        ("trade_limit_hours", "8761", "from 1 to 8760"),
        ("account_currency", "XYZ", "'XYZ' is no currency that is known here"),
        ("account_currency", "ﬀD", "no currency"),
        ("notification_channel_id", "#signals", "Copy Channel ID"),
        ("notification_channel_id", "9999999999999999999", "Copy Channel ID"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(database, user_id, name, text, words):
    with pytest.raises(Refused, match=words.replace("(", r"\(")) as refused:
        change(database, user_id, max_notifications_per_day="7", **{name: text}) if name != (
            "max_notifications_per_day"
        ) else change(database, user_id, **{name: text})
    assert refused.value.field == name
    with database.transaction() as transaction:
        assert discord_accounts.settings_of(transaction, user_id)["max_notifications_per_day"] == 20


def test_a_column_that_is_no_wish_cannot_be_set(database, user_id):
    with pytest.raises(ValueError, match="not to be set: discord_user_id"):
        change(database, user_id, discord_user_id="1")


def test_what_changed_is_noted_and_what_did_not_is_not(database, user_id):
    change(database, user_id, min_confidence="0.6", only_ml_enhanced="on")
    with database.transaction() as transaction:
        assert audit.newest(transaction, user_id=user_id) == []
    change(database, user_id, min_confidence="0.7", only_ml_enhanced="on")
    with database.transaction() as transaction:
        [noted] = audit.newest(transaction, user_id=user_id)
    assert (noted["action"], noted["before"], noted["after"]) == (
        "discord settings",
        {"min_confidence": "0.60"},
        {"min_confidence": "0.70"},
    )


def test_timeframes_of_a_row_that_nobody_edited_are_canonical(database, user_id):
    with database.transaction() as transaction:
        row = discord_accounts.settings_of(transaction, user_id)
    assert row["enabled_timeframes"] == ["1h", "4h"]
    assert discord_settings.timeframes_of(row) == ("1 Hour", "4 Hour")
