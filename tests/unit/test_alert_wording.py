"""What alerts say, figure by figure."""

import re
from datetime import UTC, datetime

import pytest

from alerts.figures import duration, money, percent, plain, signed
from alerts.kinds import KINDS, kinds_to_choose
from alerts.merging import Waiting, compose
from alerts.wording import WORDINGS, alert_for
from core.alert import Alert, Tone
from database.notifications import NotificationKind as Kind

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def said(kind: Kind, **content) -> Alert:
    return alert_for(kind, content, NOW)


def figures(alert: Alert) -> dict[str, str]:
    return {field.name: field.value for field in alert.fields}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (45, "45s"), (150, "2m 30s"), (3665, "1h 1m 5s"), (7265, "2h 1m 5s"), (3600, "1h"), (60, "1m 0s"),
        ("3600.7", "1h"), (0, "0s"), (-1, None), (None, None), ("soon", None),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_figures_that_are_none_are_not_shown():
    for value in (None, "abc", "NaN", "Infinity", True, [], {}):
        assert money(value) is signed(value) is percent(value) is plain(value) is None


def test_signs():
    assert (signed("10"), signed("-3.2"), signed(0), signed("0.001")) == (
        "+$10.00",
        "−$3.20",
        "$0.00",
        "$0.00",
    )
    assert (percent("0.02", sign=True), percent("-0.04"), percent("0.7")) == ("+2.00 %", "−4.00 %", "70.00 %")
    assert plain("50000.10") == "50,000.1"


def test_every_kind_has_words_and_a_place_among_the_settings():
    assert WORDINGS.keys() == KINDS.keys() == set(Kind)
    to_choose = {kind for group in kinds_to_choose().values() for kind in group}
    assert to_choose == {kind for kind, news in KINDS.items() if not news.for_operator} - {Kind.TEST_ALERT}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("value", [None, "x", "", -1, 1e400, True, [], {}, "@everyone", "9" * 400])
def test_whatever_a_content_holds_an_alert_is_made(kind, value):
    keys = re.findall(
        r"\w+",
        "bot symbol action side quantity price realized fees code sentence event scope id state by part day pnl"
        " trades wins losses watched_bot name entry_price severity message duration_seconds last_seen session"
        " away_seconds sent_at clock_off quantity_unit balance reason spike_fraction broker words",
    )
    alert = said(kind, **dict.fromkeys(keys, value))
    assert alert.title
    assert all(field.name and field.value for field in alert.fields)


def test_a_trade_of_a_watched_bot():
    alert = said(
        Kind.WATCHED_TRADE_COMPLETED, watched_bot="Spike", name="BTC/USD", side="long", entry_price="50000.0",
        exit_price="51000.0", pnl="10.0", pnl_fraction="0.02", duration_seconds="3600", reason="take_profit",
    )  # fmt: skip
    assert (alert.title, alert.tone, alert.text) == ("💰 Trade completed", Tone.GOOD, "BTC/USD")
    assert figures(alert) == {
        "Side": "Long", "Entry price": "50,000", "Exit price": "51,000", "P&L": "+$10.00", "P&L %": "+2.00 %",
        "Held for": "1h", "Reason": "Take profit",
    }  # fmt: skip
    assert alert.footer == "Spike · DashTrade"


def test_a_loss_is_red_and_nothing_is_no_loss():
    assert said(Kind.WATCHED_TRADE_COMPLETED, pnl="-0.01").tone is Tone.BAD
    assert said(Kind.WATCHED_TRADE_COMPLETED, pnl="0").tone is Tone.GOOD


def test_a_clock_that_is_off_is_named():
    alert = said(
        Kind.WATCHED_STARTED, watched_bot="Spike", sent_at="2009-02-13T23:31:30+00:00", clock_off=True
    )
    assert "2009-02-13 23:31:30 UTC" in alert.footer


def test_an_order_that_filled():
    opened = said(Kind.BOT_FILLED, bot="AAPL 15m", symbol="AAPL", action="BUY", side="BUY", quantity="10",
                  price="143.10", realized=None, fees="0")  # fmt: skip
    assert opened.title == "✅ Bought 10 AAPL"
    assert figures(opened) == {"Bot": "AAPL 15m", "Quantity": "10", "Price": "143.1"}
    closed = said(Kind.BOT_FILLED, bot="AAPL 15m", symbol="AAPL", action="CLOSE", side="SELL", quantity="10",
                  price="140", realized="-31", fees="0.2")  # fmt: skip
    assert (closed.title, closed.tone) == ("🏁 Sold 10 AAPL", Tone.BAD)
    assert figures(closed)["P&L"] == "−$31.00"


def test_a_result_that_is_no_figure_is_neither_good_nor_bad():
    assert said(Kind.WATCHED_TRADE_COMPLETED, pnl="abc").tone is Tone.INFO


@pytest.mark.parametrize("state", ["ACTIVE", "REDUCING", "HALTED", "FLATTEN"])
def test_every_turn_of_a_kill_switch_is_said_in_words(state):
    alert = said(Kind.KILL_SWITCH, scope="user", id=1, state=state, by="ann@example.org")
    assert state not in alert.title
    assert alert.text
    assert figures(alert) == {"Switch": "All your bots", "Turned by": "ann@example.org"}
    assert figures(said(Kind.KILL_SWITCH, scope="bot", id=7, state=state))["Switch"] == "Bot 7"


def test_every_limit_says_which():
    assert said(Kind.RISK_LIMIT_HIT, event="TARGET", sentence="It rose.").tone is Tone.GOOD
    assert "Stop-loss" in said(Kind.RISK_LIMIT_HIT, event="STOP").title


def waiting(*kinds: Kind, together: bool = False) -> list[Waiting]:
    return [
        Waiting(alert=said(kind, sentence=f"Number {number}."), together=together)
        for number, kind in enumerate(kinds)
    ]


class TestMerging:
    def test_what_finds_room_stands_for_itself(self):
        message = compose(waiting(*[Kind.BOT_REJECTED] * 10), most=10, merges=True)
        assert (len(message.alerts), message.taken) == (10, 10)

    def test_a_flood_of_one_kind_leaves_the_few_of_another_whole(self):
        message = compose(
            waiting(*[Kind.BOT_REJECTED] * 30, Kind.KILL_SWITCH, Kind.KILL_SWITCH), most=10, merges=True
        )
        assert [alert.kind for alert in message.alerts] == ["BOT_REJECTED", "KILL_SWITCH", "KILL_SWITCH"]
        assert message.taken == 32
        assert message.alerts[0].title == "30 orders rejected or failed"
        assert "15 earlier or milder ones" in message.alerts[0].text
        assert "Number 29." in message.alerts[0].text
        assert "Number 14." not in message.alerts[0].text

    def test_the_worst_of_a_flood_is_among_its_lines(self):
        grave = said(Kind.WATCHED_ERROR, severity="critical", message="Out of money.")
        mild = [said(Kind.WATCHED_ERROR, severity="warning", message=f"Slow {n}.") for n in range(40)]
        (told,) = compose([Waiting(alert=alert) for alert in (grave, *mild)], most=10, merges=True).alerts
        lines = told.text.split("\n")
        assert lines[0] == "26 earlier or milder ones, and:"
        assert "Out of money." in lines[1]
        assert ["Slow 26." in lines[2], "Slow 39." in lines[-1]] == [True, True]

    def test_alerts_of_one_message_stand_in_the_order_of_their_news(self):
        kinds = [Kind.WATCHED_OFFLINE, Kind.WATCHED_BACK, Kind.WATCHED_OFFLINE]
        message = compose(waiting(*kinds), most=10, merges=True)
        assert [alert.kind for alert in message.alerts] == [str(kind) for kind in kinds]

    def test_a_summary_stands_where_its_newest_does(self):
        kinds = [Kind.BOT_REJECTED, Kind.KILL_SWITCH, *[Kind.BOT_REJECTED] * 20]
        message = compose(waiting(*kinds), most=10, merges=True)
        assert [alert.kind for alert in message.alerts] == ["KILL_SWITCH", "BOT_REJECTED"]

    def test_more_kinds_than_find_room_are_told_in_several_messages(self):
        kinds = [kind for kind in Kind for _ in range(5)]
        left, told = waiting(*kinds), 0
        for _ in range(20):
            if not left:
                break
            message = compose(left, most=10, merges=True)
            assert 0 < len(message.alerts) <= 10
            told += message.taken
            left = left[message.taken :]
        assert told == len(kinds)

    def test_without_merging_nothing_is_lost_in_a_summary(self):
        message = compose(waiting(*[Kind.BOT_FILLED] * 3), most=1, merges=False)
        assert (len(message.alerts), message.taken) == (1, 1)

    def test_what_is_wanted_together_is_one_alert_and_one_alone_stays_itself(self):
        two = compose(
            waiting(Kind.WATCHED_BALANCE_CHANGED, Kind.WATCHED_BALANCE_CHANGED, together=True),
            most=10,
            merges=True,
        )
        assert [alert.title for alert in two.alerts] == ["2 balance changes"]
        one = compose(waiting(Kind.WATCHED_BALANCE_CHANGED, together=True), most=10, merges=True)
        assert [alert.title for alert in one.alerts] == ["💵 Balance changed"]

    def test_a_line_of_a_summary_says_the_money(self):
        trades = [
            said(Kind.WATCHED_TRADE_COMPLETED, name="BTC/USD", side="long", pnl=pnl) for pnl in ("1", "-2")
        ]
        text = (
            compose([Waiting(alert=trade, together=True) for trade in trades], most=10, merges=True)
            .alerts[0]
            .text
        )
        assert text.count("BTC/USD") == 2
        assert "P&L +$1.00" in text
        assert "P&L −$2.00" in text

    def test_a_summary_feels_like_the_worst_in_it(self):
        alerts = [said(Kind.WATCHED_TRADE_COMPLETED, pnl=pnl) for pnl in ("1", "-1", "2")]
        message = compose([Waiting(alert=alert, together=True) for alert in alerts], most=10, merges=True)
        assert message.alerts[0].tone is Tone.BAD


@pytest.mark.parametrize(
    "kind", [Kind.MQTT_BROKER_DOWN, Kind.MQTT_BROKER_BACK, Kind.PART_DOWN, Kind.PART_BACK]
)
def test_news_of_the_server_says_its_sentence(kind):
    assert said(kind, sentence="No connection to 10.0.0.7:1883: refused.").text.endswith("refused.")
