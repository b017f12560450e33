"""The page Reversal signals: what waits for an answer, why nobody was told, the honest record, and the feeds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from core.pips import Direction
from database import health, reversal_reading, tracked_trades
from database.pool import Database
from database.reversal_reading import SignalState
from tests.database.office import Office, open_office
from tests.database.reversal_office import REPORT, ReversalOffice, with_edge
from tests.database.test_setup_pages import press, words
from ui.reversal_pages import data, page, panel, record, record_words, scores, sent, told


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def reversals(office: Office) -> ReversalOffice:
    return ReversalOffice(office.services.database, office.user.id)


def tab(office: Office, name: str, **query: object) -> AppTest:
    drawn = office.draw(page.draw)
    drawn.query_params["tab"] = name
    drawn.session_state["tab"] = name
    for key, value in query.items():
        drawn.query_params[key] = str(value)
    return drawn.run()


def answer_of(office: Office, signal_id: int) -> tuple[str | None, int | None]:
    with office.services.database.transaction() as transaction:
        row = reversal_reading.signal(transaction, office.user.id, signal_id)
    assert row is not None
    return row["answer"], row["trade_id"]


def test_empty_it_says_what_to_do_next(office: Office, reversals: ReversalOffice) -> None:
    text = words(office.draw(page.draw))
    assert sent.NOT_LINKED in text
    assert sent.NOTHING_YET in text
    assert scores.NO_SCORE in words(tab(office, "Latest scores"))
    assert record.NO_MODEL in words(tab(office, "Track record"))
    market = words(tab(office, "Market data"))
    assert "Nobody looks at the markets" in market
    assert data.NO_FEED in market
    reversals.link(notifications_enabled=False)
    assert sent.SWITCHED_OFF in words(office.draw(page.draw))
    reversals.link(notifications_enabled=True, preferred_pairs=[])
    assert sent.NO_CHOICE in words(office.draw(page.draw))


def test_a_signal_to_answer_is_a_card_with_its_marks_and_distances(
    office: Office, reversals: ReversalOffice
) -> None:
    reversals.link()
    reversals.sent(reversals.score(), sent_at=reversals.now, next_attempt_at=None)
    text = words(office.draw(page.draw))
    for each in ("▲ LONG", "EUR/USD", "REPLAY", "no edge shown", "75 %", "1.08540", "−54.0 pips", "+108.0 pips",
                 "1 : 2", "left to answer", "● sent"):  # fmt: skip
        assert each in text, each


def test_open_trade_opens_the_form_and_the_trade_has_the_edited_stop(
    office: Office, reversals: ReversalOffice
) -> None:
    reversals.link()
    signal_id = reversals.sent(reversals.score())
    drawn = press(office.draw(page.draw), "Open trade")
    assert drawn.query_params["signal"] == str(signal_id)
    drawn.text_input(key=f"signal-{signal_id}-stop").set_value("1.09")
    drawn = press(drawn, "Open the trade")
    assert "The stop loss of a LONG stands below its entry" in words(drawn)
    assert answer_of(office, signal_id) == (None, None)
    drawn.text_input(key=f"signal-{signal_id}-stop").set_value("1.0810")
    drawn.text_input(key=f"signal-{signal_id}-lots").set_value("0.5")
    drawn = press(drawn, "Open the trade")
    text = words(drawn)
    assert "Trade #1 is opened: EUR/USD LONG at 1.0854" in text
    assert answer_of(office, signal_id) == ("opened", 1)
    with office.services.database.transaction() as transaction:
        trade = tracked_trades.trade(transaction, office.user.id, 1)
    assert trade is not None
    assert (trade["stop_loss"], trade["lot_size"], trade["signal_notification_id"]) == (
        Decimal("1.081"), Decimal("0.5"), signal_id,
    )  # fmt: skip
    assert "● trade #1" in words(tab(office, "Signals", signal=signal_id)).lower()


def test_ignoring_answers_and_says_so(office: Office, reversals: ReversalOffice) -> None:
    reversals.link()
    signal_id = reversals.sent(reversals.score())
    drawn = press(office.draw(page.draw), "Ignore")
    assert "The EUR/USD signal is ignored" in words(drawn)
    assert answer_of(office, signal_id) == ("ignored", None)
    assert sent.NONE_TO_ANSWER in words(drawn)
    assert "ignored" in words(tab(office, "Signals", signal=signal_id)).lower()


def test_an_expired_signal_offers_nothing_to_press(office: Office, reversals: ReversalOffice) -> None:
    reversals.link()
    old = reversals.score()
    old = replace(old, bar_opened_at=old.bar_opened_at - timedelta(hours=5),
                  bar_closed_at=old.bar_closed_at - timedelta(hours=5))  # fmt: skip
    signal_id = reversals.sent(old)
    drawn = tab(office, "Signals", signal=signal_id)
    assert "Open the trade" not in [each.label for each in drawn.button]
    assert "○ expired" in words(drawn)
    assert "by hand in the Trade journal" in words(drawn)


def test_a_signal_of_somebody_else_is_not_there(office: Office, reversals: ReversalOffice) -> None:
    eve = office.another_user()
    other = ReversalOffice(office.services.database, eve.owner)
    signal_id = other.sent(other.score())
    assert panel.NO_SUCH in words(tab(office, "Signals", signal=signal_id))
    assert panel.NO_SUCH in words(tab(office, "Signals", signal=999))


def test_scores_say_why_the_user_was_not_told(office: Office, reversals: ReversalOffice) -> None:
    reversals.model()
    reversals.link(preferred_pairs=["EUR/USD", "SP500"], enabled_timeframes=["1 Hour"])
    nothing = reversals.score(pair="SP500", direction=None, stop=None, target=None)
    rule = reversals.score(
        version="rules", direction=Direction.SHORT, stop=Decimal("1.09"), target=Decimal("1.07")
    )
    old_model = reversals.score(version="2025-01-01")
    reversals.scored(reversals.score(), nothing, rule, old_model)
    reversals.scan()
    rows = tab(office, "Latest scores").dataframe[0].value.to_dict("records")
    assert [(row["Pair, timeframe"], row["By"], row["Were you told?"]) for row in rows] == [
        ("EUR/USD 1 Hour", "model", "✕ no edge shown; you want only those with one"),
        ("EUR/USD 1 Hour", "plain rule", "✕ of the plain rule; you want the model's alone"),
        ("SP500 1 Hour", "model", told.FOUND_NOTHING),
    ]
    assert {row["Prices"] for row in rows} == {"↻ REPLAY"}
    reversals.sent(reversals.score(), sent_at=reversals.now)
    rows = tab(office, "Latest scores").dataframe[0].value.to_dict("records")
    assert rows[0]["Were you told?"] == told.YES


def test_the_record_says_no_edge_plainly_and_explains_each_figure(
    office: Office, reversals: ReversalOffice
) -> None:
    reversals.model()
    text = words(tab(office, "Track record"))
    assert "No edge shown." in text
    assert "140 EUR/USD 1 Hour trades lost 0.021 R each after costs" in text
    for label, _, meaning in record_words.explained(REPORT):
        assert label in text
        assert meaning in text
    assert "Mar 2014 to Aug 2017" in text
    assert "0.2301, no better than the 0.2295" in text


def test_an_edge_is_said_with_what_it_stands_beside(office: Office, reversals: ReversalOffice) -> None:
    reversals.model({"EUR/USD 1 Hour": with_edge(), "SP500 1 Day": REPORT})
    drawn = tab(office, "Track record")
    assert "Edge shown." in words(drawn)
    assert "promises nothing for tomorrow" in words(drawn)
    overview, ways = (each.value for each in drawn.dataframe)
    assert list(overview["Edge"]) == ["✓ shown", "✕ none shown"]
    assert list(ways["Way"]) == ["The model", "Never trade", "Random entries", "Plain RSI rule"]
    assert list(ways["R a trade"]) == ["+0.180 R", "–", "−0.040 R", "−0.110 R"]


def test_a_model_that_found_no_trade_is_said_to_be_the_same_as_never_trading() -> None:
    nothing = {**REPORT, "strategies": {"model": REPORT["strategies"]["never_trade"]}}
    assert "the same as never trading" in record_words.verdict("SP500 1 Day", nothing)
    assert next(iter(record_words.explained(nothing)))[1] == "0"
    assert record_words.compared(nothing).empty


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trades": 12}, "So few trades show nothing"),
        ({"low": -0.4, "high": -0.1}, "That is a loss"),
        ({"low": 0.01, "high": 0.3}, "not above what the market gave"),
        ({}, "That can be luck"),
    ],
)
def test_why_there_is_no_edge_is_said(changes: dict[str, float], said: str) -> None:
    model = {**REPORT["strategies"]["model"], **changes}
    assert said in record_words.verdict("EUR/USD 1 Hour", {**REPORT, "strategies": {"model": model}})


def test_a_feed_that_fails_and_a_missing_bar_are_said(office: Office, reversals: ReversalOffice) -> None:
    with office.services.database.transaction() as transaction:
        health.beat(transaction, reversal_reading.PART, "test 1", datetime.now(UTC))
    reversals.scan(failure="the model file does not fit")
    reversals.feed("EUR/USD", "1 Hour")
    reversals.feed("GBP/USD", "1 Hour", source="alpha_vantage", failure="The daily allowance is used up.")
    reversals.fault("The bar of 13:00 is missing.")
    drawn = tab(office, "Market data")
    text = words(drawn)
    assert "failed: the model file does not fit." in text
    assert "1 of 2 feeds fail, GBP/USD 1 Hour since 3h: The daily allowance is used up." in text
    feeds, faults = (each.value.to_dict("records") for each in drawn.dataframe)
    assert [(row["Pair"], row["Prices"]) for row in feeds] == [
        ("GBP/USD", "alpha_vantage"),
        ("EUR/USD", "↻ REPLAY"),
    ]
    assert faults[0]["In words"] == "The bar of 13:00 is missing."


def test_pages_of_signals_go_back_by_key_and_are_read_by_an_index(
    office: Office, reversals: ReversalOffice
) -> None:
    many(office.services.database, office.user.id, 300)
    seen: list[int] = []
    before = None
    with office.services.database.transaction() as transaction:
        while True:
            found = reversal_reading.signals_page(
                transaction, office.user.id, None, reversals.now, before=before, limit=70
            )
            seen += [row["id"] for row in found.rows]
            before = found.older
            if before is None:
                break
        failed = reversal_reading.signals_page(
            transaction, office.user.id, SignalState.FAILED, reversals.now, limit=500
        )
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 300
    assert len(failed.rows) == 30


def many(database: Database, user_id: int, count: int) -> None:
    """Give a user a signal for each of so many hours, each tenth not delivered."""
    with database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO signal_notifications (user_id, pair, timeframe, signal_type, bar_opened_at, bar_closed_at,
                confidence, entry_price, stop_loss, take_profit, risk_reward_ratio, model_version, source, edge_shown,
                day, expires_at, sent_at, failed_at, created_at)
            SELECT %(user)s, 'EUR/USD', '1 Hour', 'long', at - interval '1 hour', at, 0.7, 1.1, 1.09, 1.12, 2, 'm',
                   'replay', false, at::date, at + interval '1 hour', CASE WHEN number %% 10 <> 0 THEN at END,
                   CASE WHEN number %% 10 = 0 THEN at END, at
              FROM (SELECT number, timestamptz '2020-01-01' + number * interval '1 hour' AS at
                      FROM generate_series(1, %(count)s) AS number) AS hours
            """,
            {"user": user_id, "count": count},
        )
