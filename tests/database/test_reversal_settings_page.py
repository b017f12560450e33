"""The tab Reversal signals of Discord & alerts: what is wanted, what may come of it, and what was sent."""

from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from database import discord_accounts
from database.pool import Row
from tests.database.office import Office, open_office
from tests.database.reversal_office import REPORT, ReversalOffice, with_edge
from tests.database.test_setup_pages import press, words
from ui.channel_pages import reversal_reach, reversal_settings


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def reversals(office: Office) -> ReversalOffice:
    return ReversalOffice(office.services.database, office.user.id)


def row_of(office: Office) -> Row:
    with office.services.database.transaction() as transaction:
        return discord_accounts.settings_of(transaction, office.user.id)


def field(drawn: AppTest, kind: str, label: str):
    (found,) = [each for each in getattr(drawn, kind) if each.label == label]
    return found


def test_without_discord_it_says_how_to_be_told(office: Office) -> None:
    text = words(office.draw(reversal_settings.draw))
    assert reversal_settings.NOT_LINKED in text
    assert "None was sent to you yet" in text


def test_every_wish_is_saved_and_drawn_again(office: Office, reversals: ReversalOffice) -> None:
    reversals.link()
    drawn = office.draw(reversal_settings.draw)
    field(drawn, "multiselect", "Pairs").set_value(["EUR/USD", "SP500"])
    field(drawn, "slider", "Minimum confidence").set_value(72)
    field(drawn, "toggle", "Only signals of the model").set_value(False)
    field(drawn, "toggle", "Only where an edge was shown").set_value(False)
    field(drawn, "text_input", "Same pair again after (minutes)").set_value("90")
    field(drawn, "text_input", "At most a day").set_value("5")
    field(drawn, "text_input", "Send to the channel (id)").set_value("123456789012345678")
    field(drawn, "selectbox", "Tell how open trades stand").set_value(240)
    field(drawn, "text_input", "Close a trade after (hours)").set_value("48")
    field(drawn, "selectbox", "Account currency").set_value("EUR")
    drawn = press(drawn, "Save")
    row = row_of(office)
    assert (row["preferred_pairs"], str(row["min_confidence"])) == (["EUR/USD", "SP500"], "0.72")
    assert (row["only_ml_enhanced"], row["only_with_edge"]) == (False, False)
    assert (row["notification_cooldown_minutes"], row["max_notifications_per_day"]) == (90, 5)
    assert (row["notification_channel_id"], row["running_update_minutes"]) == (123456789012345678, 240)
    assert (row["trade_limit_hours"], row["account_currency"]) == (48, "EUR")
    again = office.draw(reversal_settings.draw)
    assert field(again, "slider", "Minimum confidence").value == 72
    assert field(again, "selectbox", "Tell how open trades stand").value == 240
    assert field(again, "text_input", "Send to the channel (id)").value == "123456789012345678"


@pytest.mark.parametrize(
    ("kind", "label", "value", "said"),
    [
        (
            "text_input",
            "At most a day",
            "many",
            "“At most a day” is a whole number of signals from 0 to 200, not 'many'",
        ),
        (
            "text_input",
            "Same pair again after (minutes)",
            "-1",
            "“Same pair again after (minutes)” is a whole number of minutes",
        ),
        ("text_input", "Close a trade after (hours)", "0.5", "is a whole number of hours from 1"),
        ("text_input", "Send to the channel (id)", "general", "is no channel: right-click it in Discord"),
        ("multiselect", "Pairs", [], "Name 1 to 100 pairs"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field_and_nothing_is_saved(
    office: Office, kind: str, label: str, value: object, said: str
) -> None:
    before = row_of(office)
    drawn = office.draw(reversal_settings.draw)
    field(drawn, kind, label).set_value(value)
    field(drawn, "slider", "Minimum confidence").set_value(90)
    assert said in words(press(drawn, "Save"))
    assert row_of(office) == before


def test_only_what_was_changed_here_is_saved(office: Office) -> None:
    drawn = office.draw(reversal_settings.draw)
    row = row_of(office)
    with office.services.database.transaction() as transaction:
        discord_accounts.change_settings(transaction, office.user.id, {"max_notifications_per_day": 3})
    typed = {**reversal_settings.as_typed(row), "account_currency": "CHF"}
    at_once = office.draw(reversal_settings.draw)
    assert field(at_once, "text_input", "At most a day").value == "3"
    reversal_settings.actions.change(
        office.services.database, office.user.id, "test",
        {name: text for name, text in typed.items() if text != reversal_settings.as_typed(row)[name]},
        reversal_settings.now(),
    )  # fmt: skip
    assert (row_of(office)["max_notifications_per_day"], row_of(office)["account_currency"]) == (3, "CHF")
    assert not drawn.exception


def test_it_says_what_can_come_of_the_choice() -> None:
    row = {
        "preferred_pairs": ["EUR/USD", "GBP/USD"],
        "enabled_timeframes": ["1h"],
        "only_with_edge": True,
        "min_confidence": Decimal("0.4"),
    }
    known = [("EUR/USD", "1 Hour")]

    def said(reports, **changes) -> list[str]:
        return [each["Signals"] for each in reversal_reach.reach(row | changes, known, reports)]

    shown = {"EUR/USD 1 Hour": with_edge()}
    assert said(None) == [reversal_reach.NO_MODEL, reversal_reach.NO_PRICES]
    assert said(shown)[0] == reversal_reach.SENT
    assert said({"EUR/USD 1 Hour": REPORT})[0] == reversal_reach.NOT_SENT
    assert said({})[0] == reversal_reach.NEVER_TESTED
    assert said({}, only_with_edge=False)[0] == reversal_reach.WITH_MARK
    assert said(shown, min_confidence=Decimal("0.6"))[0] == "✕ never sure enough: at most 52 %"


def test_a_pair_without_a_recording_does_not_stand_beside_its_name(
    office: Office, reversals: ReversalOffice
) -> None:
    reversals.link(preferred_pairs=["EUR/USD", "GBP/USD"], enabled_timeframes=["1 Hour"])
    reversals.model()
    drawn = office.draw(reversal_settings.draw)
    assert list(drawn.dataframe[0].value["Prices"]) == ["↻ REPLAY", reversal_reach.NO_RECORDING]
    assert reversal_reach.OF_THE_RULE in words(drawn)


def test_where_no_edge_was_shown_it_says_plainly_that_nothing_will_come(
    office: Office, reversals: ReversalOffice
) -> None:
    reversals.link(preferred_pairs=["EUR/USD"], enabled_timeframes=["1 Hour"])
    reversals.model()
    assert reversal_reach.NOTHING_COMES in words(office.draw(reversal_settings.draw))
    reversals.link(only_with_edge=False, min_confidence=Decimal("0.4"))
    assert reversal_reach.NOTHING_COMES not in words(office.draw(reversal_settings.draw))


def test_the_history_says_how_sending_stands_and_why_one_failed(
    office: Office, reversals: ReversalOffice
) -> None:
    reversals.link()
    reversals.sent(reversals.score(), failed_at=reversals.now, next_attempt_at=None, attempts=1,
                   last_error="The user takes no direct messages (50007)")  # fmt: skip
    (row,) = office.draw(reversal_settings.draw).dataframe[-1].value.to_dict("records")
    assert row["Signal"] == "↻ ▲ LONG EUR/USD 1 Hour"
    assert (row["Discord"], row["Prices"]) == ("✕ not delivered", "↻ REPLAY")
    assert row["Why not sent"] == "The user takes no direct messages (50007)."


def test_a_channel_that_was_switched_off_is_named_and_tried_again(
    office: Office, reversals: ReversalOffice
) -> None:
    reversals.link(notification_channel_id=123456789012345678)
    with office.services.database.transaction() as transaction:
        because = "Discord answered 403 (code 50001): [Missing Access]"
        discord_accounts.switch_channel_off(transaction, office.user.id, 99, because, reversals.now)
    assert "switched off" not in words(office.draw(reversal_settings.draw))
    with office.services.database.transaction() as transaction:
        discord_accounts.switch_channel_off(
            transaction, office.user.id, 123456789012345678, because, reversals.now
        )
    drawn = office.draw(reversal_settings.draw)
    [note] = [each.value for each in drawn.error]
    assert note.startswith("Channel 123456789012345678 was switched off on ")
    assert "50001" in note
    press(drawn, "Try the channel again")
    assert row_of(office)["notification_channel_off_at"] is None
    assert "switched off" not in words(office.draw(reversal_settings.draw))
