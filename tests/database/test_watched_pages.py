"""The page Watched bots: states, figures, messages, the form's rules, and whose rows are whose."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from actions import watching as actions
from administration.demo_watched import DAYS, HELD_AT_THE_END, watch_a_bot
from alerts.kinds import defaults
from database import alert_channels, alert_reading, demo, watched_reading
from database.accounts import User
from tests.database.office import Office, open_office, with_database
from tests.database.test_setup_pages import press, words
from tests.database.watched_desk import WatchedDesk, a_life, listening
from ui import charts
from ui.services import services
from ui.watched_pages import connecting, messages, page, standing, trades
from ui.watched_pages.words import figure


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def desk(office: Office) -> WatchedDesk:
    """Give a watched bot that lived a little."""
    desk = WatchedDesk(office.services.database, office.user.id)
    a_life(desk)
    return desk


def tab(office: Office, name: str, **query: object) -> AppTest:
    drawn = office.draw(page.draw)
    drawn.query_params["tab"] = name
    drawn.session_state["tab"] = name
    for key, value in query.items():
        drawn.query_params[key] = str(value)
    return drawn.run()


def test_without_a_bot_it_says_how_to_have_one(office: Office) -> None:
    text = words(office.draw(page.draw))
    assert "No bot is watched yet" in text
    assert "listener does not run" in text
    assert "mosquitto_pub -h localhost -p 1883 -t mybot/status/bot/heartbeat" in text


def test_the_form_adds_a_bot_and_says_beside_the_field_what_is_wrong(office: Office) -> None:
    drawn = office.draw(page.draw)
    drawn.text_input(key="watch-name").set_value("Hunter")
    drawn.text_input(key="watch-prefix").set_value("hunter")
    drawn = press(drawn, "Watch it")
    assert "A prefix ends with a slash: hunter/" in words(drawn)
    drawn.text_input(key="watch-prefix").set_value("hunter/")
    drawn = press(drawn, "Watch it")
    text = words(drawn)
    assert "Hunter is watched from now on" in text
    assert "○ UNKNOWN" in text
    assert "-t hunter/status/bot/heartbeat" in text


def test_a_bot_that_was_added_is_the_one_shown(office: Office, desk: WatchedDesk) -> None:
    drawn = tab(office, "Connect")
    drawn.text_input(key="watch-name").set_value("another")
    drawn.text_input(key="watch-prefix").set_value("another/")
    drawn = press(drawn, "Watch it")
    assert "Everything below `another/` is this bot." in words(drawn)
    drawn = drawn.selectbox(key="watched-bot").set_value(desk.bot_id).run()
    assert "Everything below `mybot/` is this bot." in words(drawn)
    other = tab(office, "Connect", watched=desk.bot_id + 1)
    assert "Everything below `another/` is this bot." in words(other)
    other = press(other, "Stop watching and delete")
    assert "watched" not in other.query_params
    assert "Everything below `mybot/` is this bot." in words(other)
    assert page.NO_SUCH not in words(other)
    assert page.NO_SUCH in words(tab(office, "Connect", watched=999))


def test_a_living_bot_is_shown_with_its_figures(office: Office, desk: WatchedDesk) -> None:
    listening(office.services.database)
    drawn = office.draw(page.draw)
    text = words(drawn)
    assert "● ONLINE" in text
    assert "Listening at 127.0.0.1:1883" in text
    for each in ("1,050.00", "1,061.50", "▲ +11.50", "1m 0s"):
        assert each in text
    (held,) = drawn.dataframe[0].value.to_dict("records")
    assert (held["Market"], held["Side"], held["Quantity"], held["Entry"]) == (
        "BTC/USD", "▲ LONG", "0.1 BTC", "60,000.00",
    )  # fmt: skip


def test_the_chooser_keeps_its_labels_whatever_the_bots_do(office: Office, desk: WatchedDesk) -> None:
    WatchedDesk(office.services.database, office.user.id, prefix="other/", name="other")
    drawn = office.draw(page.draw)
    assert drawn.selectbox(key="watched-bot").options == ["my bot", "other"]
    WatchedDesk(office.services.database, office.user.id, prefix="third/", name="Other")
    desk.hears("status/bot/stopped")
    options = office.draw(page.draw).selectbox(key="watched-bot").options
    assert options == ["my bot", "other · other/", "Other · third/"]


def test_the_address_of_a_bot_that_is_gone_becomes_that_of_the_one_shown(
    office: Office, desk: WatchedDesk
) -> None:
    WatchedDesk(office.services.database, office.user.id, prefix="other/", name="other")
    last = WatchedDesk(office.services.database, office.user.id, prefix="third/", name="third")
    drawn = office.draw(page.draw)
    actions.remove(office.services, office.acting, last.bot_id)
    drawn = drawn.selectbox(key="watched-bot").set_value(last.bot_id).run()
    assert drawn.query_params["watched"] == str(desk.bot_id)
    assert page.NO_SUCH in words(drawn)
    assert page.NO_SUCH not in words(drawn.run())
    for wrong in ("Grid · ○ UNKNOWN", "999"):
        assert tab(office, "Now", watched=wrong).query_params["watched"] == str(desk.bot_id)


def test_what_the_heartbeat_leaves_out_is_counted_here_and_called_so(
    office: Office, desk: WatchedDesk
) -> None:
    text = words(office.draw(page.draw))
    assert "Positions by its count" in text
    assert "Trades by its count" in text
    desk.hears("status/bot/heartbeat", {"uptime_seconds": 90, "total_trades": 7})
    text = words(office.draw(page.draw))
    assert ":gray[:small[Positions listed here]]  \n**1**" in text
    assert ":gray[:small[Trades by its count]]  \n**7**" in text
    assert "Trades listed here" not in text


def test_a_position_that_is_counted_alone_is_not_denied(office: Office) -> None:
    desk = WatchedDesk(office.services.database, office.user.id)
    desk.hears("status/bot/heartbeat", {"open_positions": 1})
    text = words(office.draw(page.draw))
    assert "Its heartbeat counts 1; none was reported as opened." in text
    assert standing.NO_POSITION not in text
    desk.hears("status/bot/heartbeat", {"open_positions": 0})
    assert standing.NO_POSITION in words(office.draw(page.draw))


def drawn_before_the_first_message(user: User) -> None:
    """Draw a bot as a page knows it that was opened before the bot reported anything."""
    with services().database.transaction() as transaction:
        (bot,) = watched_reading.bots_of(transaction, user.id)
    is_first = st.session_state.setdefault("runs", 0) == 0
    st.session_state["runs"] += 1
    standing.draw(user, {**bot, "messages": 0} if is_first else bot)


def test_the_first_message_ends_the_waiting_for_it(office: Office, desk: WatchedDesk) -> None:
    drawn = office.draw(drawn_before_the_first_message)
    assert drawn.session_state["runs"] == 2
    assert "Let the bot report" not in words(drawn)
    assert "Account" in words(drawn)


def test_the_last_error_of_a_day_is_shown_with_the_way_to_all(office: Office, desk: WatchedDesk) -> None:
    drawn = office.draw(page.draw)
    assert "Its last error" in words(drawn)
    assert "Warning · API · rate limit" in words(drawn)
    drawn = press(drawn, "Its errors")
    assert [row["What"] for row in drawn.dataframe[0].value.to_dict("records")] == ["❗ Error"]
    with office.services.database.transaction() as transaction:
        transaction.execute("UPDATE watched_events SET received_at = received_at - interval '25 hours'")
    assert "Its last error" not in words(office.draw(page.draw))


def test_one_balance_is_no_curve_and_two_have_an_axis_of_hours(office: Office, desk: WatchedDesk) -> None:
    assert "a second one begins the curve" in words(office.draw(page.draw))
    desk.hears("balance/update", {"balance": 1051})
    drawn = office.draw(page.draw)
    assert "a second one begins the curve" not in words(drawn)
    at = datetime(2026, 11, 21, 10, tzinfo=UTC)
    rows = [(at, 1000, None), (at + timedelta(seconds=2), 1001, None)]
    figure = charts.balance_and_equity(pd.DataFrame(rows, columns=["at", "balance", "equity"]), "UTC")
    left, right = figure.layout.xaxis.range
    assert right - left == timedelta(hours=2)


@pytest.mark.parametrize(
    ("state", "shown"),
    [("OFFLINE", "✕ OFFLINE"), ("STOPPED", "■ STOPPED"), ("UNKNOWN", "○ UNKNOWN")],
)
def test_every_state_has_words(office: Office, desk: WatchedDesk, state: str, shown: str) -> None:
    with office.services.database.transaction() as transaction:
        transaction.execute("UPDATE watched_bots SET state = %s, offline_since = now()", (state,))
    assert shown in words(office.draw(page.draw))


def test_a_light_that_nobody_keeps_is_said_to_be_old(office: Office, desk: WatchedDesk) -> None:
    assert "What stands here is how it was then" in words(office.draw(page.draw))
    listening(office.services.database, connected=False, words="the broker cannot be reached: refused")
    text = words(office.draw(page.draw))
    assert "Not connected to 127.0.0.1:1883: the broker cannot be reached: refused" in text
    assert "What stands here is how it was then" in text


def test_trades_and_session_are_shown(office: Office, desk: WatchedDesk) -> None:
    desk.hears(
        "stats/session",
        {
            "total_trades": 4,
            "winning_trades": 3,
            "losing_trades": 1,
            "avg_win": 20,
            "avg_loss": -15,
            "win_rate": 0.75,
        },
    )
    drawn = tab(office, "Trades")
    text = words(drawn)
    (trade,) = drawn.dataframe[0].value.to_dict("records")
    assert (trade["Market"], trade["P&L"], trade["P&L %"], trade["Held for"]) == (
        "ETH/USD", "▲ +50.00", "+1.67 %", "1m 30s",
    )  # fmt: skip
    assert "no loss yet" in text
    for each in ("75.00 %", "▲ +20.00", "▼ −15.00", "4.00"):
        assert each in text


def test_messages_are_listed_with_what_is_wrong_with_them(office: Office, desk: WatchedDesk) -> None:
    desk.hears("status/bot/heartbeat", {"timestamp": 1234567890})
    desk.hears(
        "trading/position/opened", {"timestamp": 1234567890, "symbol": "SOL/USD", "entry_price": "much"}
    )
    rows = tab(office, "Messages").dataframe[0].value.to_dict("records")
    newest, bad = rows[0], rows[1]
    assert newest["Its clock says"].startswith("⚠ 13 Feb 2009 23:31:30")
    assert 'entry_price: "much" is not a number' in newest["Said"]
    assert (bad["What"], bad["Said"]) == ("✕ Unreadable", "✕ not UTF-8: byte 0 is 0xff")
    assert rows[2]["Said"] == "Warning · API · rate limit"
    assert not [row for row in rows if "Heartbeat" in row["What"]]


def test_a_kind_of_message_is_chosen(office: Office, desk: WatchedDesk) -> None:
    drawn = tab(office, "Messages")
    drawn.selectbox(key="watched-messages kind").set_value("HEARTBEAT").run()
    assert [row["What"] for row in drawn.dataframe[0].value.to_dict("records")] == ["💓 Heartbeat"]
    drawn.selectbox(key="watched-messages kind").set_value("SPIKE").run()
    assert messages.NONE in words(drawn)


def test_a_message_is_read_as_it_came() -> None:
    assert messages.as_text(b'{"a":1}') == ('{\n  "a": 1\n}', "json")
    assert messages.as_text(b"\xff") == ("�", None)
    assert messages.as_text(b"") == ("(empty)", None)
    long, _ = messages.as_text(b"x" * 30_000)
    assert long.endswith("… and 10,000 more characters")


def test_a_bot_is_renamed_and_removed_after_asking(office: Office, desk: WatchedDesk) -> None:
    drawn = tab(office, "Connect")
    drawn.text_input(key=f"rename-{desk.bot_id}").set_value("other name")
    drawn = press(drawn, "Rename")
    assert desk.row()["name"] == "other name"
    drawn = press(tab(office, "Connect"), "Stop watching and delete")
    assert "is watched no more" in words(drawn)
    with office.services.database.transaction() as transaction:
        assert transaction.value("SELECT count(*) FROM watched_events") == 0


class TestReading:
    def test_every_query_knows_its_user(self, office: Office, desk: WatchedDesk) -> None:
        now = datetime.now(UTC)

        def seen(user: int) -> list[object]:
            with office.services.database.transaction() as transaction:
                event = transaction.value("SELECT max(id) FROM watched_events")
                read, bot = watched_reading, desk.bot_id
                return [
                    read.bots_of(transaction, user),
                    read.bot(transaction, user, bot),
                    read.newest_balance(transaction, user, bot),
                    read.balances(transaction, user, bot, since=None, now=now),
                    read.open_positions(transaction, user, bot),
                    read.trades_page(transaction, user, bot).rows,
                    list(read.all_trades(transaction, user, bot)),
                    read.events_page(transaction, user, bot).rows,
                    read.payload(transaction, user, event),
                    read.trade_figures(transaction, user, bot)["trades"],
                    read.counted(transaction, user, bot)["total_trades"],
                    read.newest_error(transaction, user, bot, since=now - timedelta(days=1)),
                ]

        assert all(seen(office.user.id))
        assert not any(seen(office.another_user().owner))

    def test_pages_give_everything_once_the_newest_first(self, office: Office, desk: WatchedDesk) -> None:
        for number in range(7):
            said = {"trade_id": f"n{number}", "symbol": "A", "pnl": number - 3, "exit_price": 1}
            desk.hears("trading/trade/completed", said)
        for read in (watched_reading.trades_page, watched_reading.events_page):
            ids: list[int] = []
            before = None
            while True:
                with office.services.database.transaction() as transaction:
                    turned = read(transaction, office.user.id, desk.bot_id, before=before, limit=3)
                ids += [row["id"] for row in turned.rows]
                before = turned.older
                if before is None:
                    break
            assert ids == sorted(set(ids), reverse=True)
            assert len(ids) >= 8

    def test_a_list_that_stands_still_shows_nothing_newer(self, office: Office, desk: WatchedDesk) -> None:
        def listed(newest: int | None) -> list[int]:
            with office.services.database.transaction() as transaction:
                page = watched_reading.events_page(transaction, office.user.id, desk.bot_id, newest=newest)
            return [row["id"] for row in page.rows]

        before = listed(None)
        desk.hears("status/bot/error", {"error_message": "later"})
        assert listed(before[0]) == before
        assert listed(None)[1:] == before

    def test_figures_are_the_sums_of_the_trades(self, office: Office, desk: WatchedDesk) -> None:
        for number, pnl in enumerate((-20, 5, None)):
            desk.hears("trading/trade/completed", {"trade_id": f"f{number}", "symbol": "A", "pnl": pnl})
        with office.services.database.transaction() as transaction:
            found = watched_reading.trade_figures(transaction, office.user.id, desk.bot_id)
        assert (found["trades"], found["wins"], found["losses"]) == (4, 2, 1)
        assert found["pnl"] == Decimal(35)
        assert found["profit_factor"] == Decimal("2.75")

    def test_the_curve_has_an_end_to_its_points_and_keeps_the_newest(
        self, office: Office, desk: WatchedDesk
    ) -> None:
        with office.services.database.transaction() as transaction:
            transaction.execute("DELETE FROM watched_balances")
            transaction.execute(
                """
                INSERT INTO watched_balances (watched_bot_id, at, balance)
                SELECT %s, now() - each * interval '1 minute', each FROM generate_series(1, 5000) AS each
                """,
                (desk.bot_id,),
            )
            args = (transaction, office.user.id, desk.bot_id)
            everything = watched_reading.balances(*args, since=None, now=datetime.now(UTC))
            since = datetime.now(UTC) - timedelta(hours=1)
            hour = watched_reading.balances(*args, since=since, now=datetime.now(UTC))
        assert 300 < len(everything) <= watched_reading.POINTS + 1
        assert [row["at"] for row in everything] == sorted(row["at"] for row in everything)
        assert everything[-1]["balance"] == 1
        assert [row["balance"] for row in hour][-1] == 1
        assert all(row["at"] >= since for row in hour)

    def test_the_file_holds_every_trade_and_runs_nothing(self, office: Office, desk: WatchedDesk) -> None:
        desk.hears("trading/trade/completed", {"trade_id": "=1+1", "symbol": "@SUM(A1)", "pnl": -3.5})
        rows = list(csv.DictReader(io.StringIO(trades.exported(office.user.id, desk.bot_id).decode())))
        assert len(rows) == 2
        assert (rows[0]["trade_id"], rows[0]["name"], rows[0]["pnl"]) == ("'=1+1", "'@SUM(A1)", "-3.5")
        assert rows[0]["closed_at"].endswith("Z")


def test_what_strangers_wrote_is_no_markdown(office: Office, desk: WatchedDesk) -> None:
    desk.hears("stats/session", {"session_id": "**[x](https://evil.example)**", "total_pnl": 1})
    drawn = tab(office, "Trades")
    shown = [each.value for each in drawn.markdown if "evil" in each.value]
    assert shown
    assert all("](" not in text.replace("\\]\\(", "") for text in shown)


def test_without_the_database_it_stays_calm(
    office: Office, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(f"postgresql://u:p@127.0.0.1:{free_port}/d", monkeypatch)
    assert "The database does not answer" in words(office.draw(page.draw))


def test_the_line_to_try_is_for_this_broker(office: Office) -> None:
    settings = office.services.settings.model_copy(update={"mqtt_username": "ann b", "mqtt_tls": True})
    assert connecting.broker_address(settings, "broker.lan:8883") == ("broker.lan", 8883)
    line = connecting.heartbeat_line(settings, "broker.lan", 8883, "it's/")
    assert "-h broker.lan -p 8883 -u 'ann b' -P 'the password' --tls-use-os-certs" in line
    assert """-t 'it'"'"'s/status/bot/heartbeat'""" in line


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("session", "20261117_102834", "20261117_102834"),
        ("version", "1.10", "1.10"),
        ("pnl", "-3.5", "▼ −3.50"),
        ("win_rate", "0.625", "62.50 %"),
        ("duration_seconds", 3665, "1h 1m 5s"),
        ("balance", "1234.5", "1,234.50"),
        ("quantity", "0.00250", "0.0025"),
        ("entry_price", "0.4", "0.40"),
        ("equity", "much", "much"),
    ],
)
def test_figures_are_written_by_what_they_are(name: str, value: object, written: str) -> None:
    assert figure(name, value) == written


def test_the_demo_is_written_as_the_listener_writes_and_dated_to_its_time(office: Office) -> None:
    now = datetime.now(UTC)
    with office.services.database.transaction() as transaction:
        channel_id = demo.deliver_nothing(transaction, office.services.vault, office.user.id, "A demo.")
    count = watch_a_bot(office.services, office.acting, now)
    with office.services.database.transaction() as transaction:
        demo.note_deliveries(transaction, office.user.id, channel_id, defaults())
        (bot,) = watched_reading.bots_of(transaction, office.user.id)
        found = watched_reading.trade_figures(transaction, office.user.id, bot["id"])
        held = watched_reading.open_positions(transaction, office.user.id, bot["id"])
        told = alert_channels.history_of(transaction, office.user.id, limit=1000)
        (channel,) = alert_reading.standing(transaction, office.user.id, datetime.now(UTC))
    assert (bot["messages"], bot["state"], bot["bad_messages"]) == (count, "ONLINE", 2)
    assert bot["last_heartbeat_at"] == now
    assert found["trades"] > 20
    assert len(held) == HELD_AT_THE_END
    assert str(found["pnl"]) == bot["balance"]["total_pnl"]
    times = [row["created_at"] for row in told]
    assert times == sorted(times, reverse=True)
    assert now - timedelta(days=DAYS, seconds=1) < times[-1] < now - timedelta(days=DAYS - 1)
    assert {each["state"] for row in told for each in row["deliveries"]} == {"SENT"}
    assert not channel["is_active"]
