"""The page Discord & alerts: addresses, tests of them, kinds of news, and what became of each alert."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from actions import alerts as actions
from actions.acting import Refused
from alerts.kinds import Delivery, kinds_to_choose
from database import alert_channels, alert_reading
from database.accounts import Role
from database.notifications import NotificationKind as Kind
from tests.database.alert_post import AlertPost
from tests.database.office import Office, open_office, with_database
from tests.database.test_setup_pages import press, words
from tests.discord_server.answers import Answer
from tests.discord_server.server import DiscordServer
from ui import overview
from ui.alert_pages import channels, choices, history, page
from ui.services import services

HOOK, OPERATOR = 123456789, 42


@pytest.fixture
def discord() -> Iterator[DiscordServer]:
    with DiscordServer() as server:
        yield server


@pytest.fixture
def office(database_url: str, discord: DiscordServer, monkeypatch: pytest.MonkeyPatch) -> Office:
    made = open_office(database_url, monkeypatch)
    with_database(
        database_url, monkeypatch, DISCORD_BASE_URL=discord.base, ALERT_WEBHOOK_NETWORKS="127.0.0.1"
    )
    return replace(made, services=services())


@pytest.fixture
def post(office: Office, discord: DiscordServer) -> AlertPost:
    """Give what sends this office's alerts to a server that behaves like Discord."""
    post = AlertPost(database=office.services.database, discord=discord, vault=office.services.vault)
    post.clock.at = datetime.now(UTC)
    return post


@pytest.fixture
def with_channel(office: Office, discord: DiscordServer) -> Office:
    actions.keep_address(office.services, office.acting, "DISCORD", discord.url_of(HOOK))
    return office


def type_address(drawn: AppTest, transport: str, text: str, button: str) -> AppTest:
    drawn.text_input(key=f"address-{transport}-text").set_value(text)
    return press(drawn, button)


def tab(office: Office, name: str) -> AppTest:
    drawn = office.draw(page.draw)
    drawn.session_state["tab"] = name
    return drawn.run()


def rows(drawn: AppTest) -> list[dict[str, str]]:
    return drawn.dataframe[0].value.to_dict("records")


class TestAddresses:
    def test_without_an_address_it_says_where_alerts_go(self, office: Office, post: AlertPost) -> None:
        text = words(office.draw(page.draw))
        assert "your alerts go nowhere" in text
        assert "Copy Webhook URL" in text
        assert "Send test alert" not in {each.label for each in office.draw(page.draw).button}
        post.notifier(operator=OPERATOR)
        assert "to the Discord channel of whoever runs this DashTrade" in words(office.draw(page.draw))

    def test_what_is_wrong_with_an_address_stands_beside_the_field(self, office: Office) -> None:
        drawn = type_address(
            office.draw(page.draw), "DISCORD", "https://discord.com/channels/1/2", "Save the Discord webhook"
        )
        assert "This is a link to a channel" in words(drawn) or "must be one of discord.com" in words(drawn)
        assert alert_rows(office) == []

    def test_an_address_is_saved_and_shown_by_its_beginning_alone(
        self, office: Office, discord: DiscordServer
    ) -> None:
        url = discord.url_of(HOOK)
        drawn = type_address(office.draw(page.draw), "DISCORD", url, "Save the Discord webhook")
        text = words(drawn)
        assert "The Discord webhook is saved" in text
        assert "● ACTIVE" in text
        assert "127.0.0.1/api/webhooks/1234…" in text
        assert url.rpartition("/")[2] not in text
        assert not any(url.rpartition("/")[2] in str(each.value) for each in drawn.text_input)

    def test_the_secret_of_a_json_webhook_is_shown_once(self, office: Office) -> None:
        drawn = type_address(
            office.draw(page.draw), "WEBHOOK", "http://127.0.0.1:8099/in?key=hidden", "Save the JSON webhook"
        )
        secret = next(each.value for each in drawn.code if each.value.startswith("whsec_"))
        assert "hidden" not in words(drawn)
        with office.services.database.transaction() as transaction:
            sealed = transaction.value(
                "SELECT address_sealed FROM alert_channels WHERE user_id = %s", (office.user.id,)
            )
        assert secret in office.services.vault.open(sealed)
        drawn = press(drawn, "I have it")
        assert secret not in words(drawn)
        assert secret not in words(office.draw(page.draw))

    def test_an_address_inside_is_refused_where_the_operator_did_not_allow_it(self, office: Office) -> None:
        drawn = type_address(office.draw(page.draw), "WEBHOOK", "http://10.0.0.1/in", "Save the JSON webhook")
        assert "The URL cannot be used" in words(drawn)

    def test_an_address_is_removed_after_asking(self, with_channel: Office) -> None:
        drawn = press(with_channel.draw(page.draw), "Remove it")
        assert "The Discord webhook is removed" in words(drawn)
        assert alert_rows(with_channel) == []

    def test_a_channel_that_was_switched_off_says_why_and_is_tried_again(
        self, with_channel: Office, post: AlertPost
    ) -> None:
        post.discord.script(HOOK, Answer.unknown_webhook())
        post.tell(with_channel.user.id, Kind.BOT_REJECTED, sentence="No.")
        post.deliver(post.notifier())
        drawn = with_channel.draw(page.draw)
        assert "✕ SWITCHED OFF" in words(drawn)
        assert "Unknown Webhook (code 10015)" in words(drawn)
        assert "Send test alert" not in {each.label for each in drawn.button}
        drawn = press(drawn, "Try it again")
        assert "● ACTIVE" in words(drawn)

    def test_the_overview_says_that_a_channel_was_switched_off_and_why(
        self, with_channel: Office, post: AlertPost
    ) -> None:
        assert "switched off" not in words(with_channel.draw(overview.draw))
        post.discord.script(HOOK, Answer.unknown_webhook())
        post.tell(with_channel.user.id, Kind.BOT_REJECTED, sentence="No.")
        post.deliver(post.notifier())
        text = words(with_channel.draw(overview.draw))
        assert "Your alerts do not go to Discord: it is switched off." in text
        assert "Unknown Webhook (code 10015)" in text
        with with_channel.services.database.transaction() as transaction:
            assert alert_reading.switched_off(transaction, with_channel.another_user().owner) == []
        actions.remove_address(with_channel.services, with_channel.acting, "DISCORD")
        assert "switched off" not in words(with_channel.draw(overview.draw))

    def test_what_waits_is_said_with_its_reason_and_next_attempt(
        self, with_channel: Office, post: AlertPost
    ) -> None:
        post.discord.script(HOOK, Answer.page(500))
        post.tell(with_channel.user.id, Kind.BOT_REJECTED, sentence="No.")
        post.deliver(post.notifier())
        with with_channel.services.database.transaction() as transaction:
            (row,) = alert_reading.standing(transaction, with_channel.user.id, datetime.now(UTC))
            transaction.execute("UPDATE alert_channels SET quiet_until = now() + interval '1 hour'")
        assert (row["due"], row["later"]) == (1, 0)
        text = words(with_channel.draw(page.draw))
        assert "… WAITING" in text
        assert "answered 500 Internal Server Error. Next attempt" in text

    def test_merged_ones_are_said_to_wait_for_their_time(self, with_channel: Office, post: AlertPost) -> None:
        notifier = post.notifier()
        for _ in range(3):
            post.tell(with_channel.user.id, Kind.SIGNAL_REFUSED, sentence="No.")
            post.deliver(notifier)
        assert "2 merged for" in words(with_channel.draw(page.draw))

    def test_nobody_sees_or_touches_anothers_address(self, with_channel: Office) -> None:
        eve = with_channel.another_user()
        with with_channel.services.database.transaction() as transaction:
            assert alert_reading.standing(transaction, eve.owner, datetime.now(UTC)) == []
        with pytest.raises(Refused):
            actions.remove_address(with_channel.services, eve, "DISCORD")

    def test_admins_alone_see_the_operators_channels(self, office: Office, post: AlertPost) -> None:
        post.notifier(operator=OPERATOR)
        plain = replace(office, user=replace(office.user, role=Role.USER))
        assert "api/webhooks/42…" in words(
            replace(office, user=replace(office.user, role=Role.ADMIN)).draw(page.draw)
        )
        assert "api/webhooks/42…" not in words(plain.draw(page.draw))
        assert "also publishes over MQTT" not in words(plain.draw(page.draw))

    def test_everybody_is_told_what_the_operator_publishes(self, office: Office) -> None:
        with office.services.database.transaction() as transaction:
            alert_channels.keep_operators_channel(transaction, "MQTT", "dashtrade/", b"hash")
        assert "also publishes over MQTT what the bots of all its users do" in words(office.draw(page.draw))


def alert_rows(office: Office) -> list[dict[str, object]]:
    with office.services.database.transaction() as transaction:
        return alert_reading.standing(transaction, office.user.id, datetime.now(UTC))


class TestTrying:
    def test_the_result_appears_by_itself(self, with_channel: Office, post: AlertPost) -> None:
        drawn = press(with_channel.draw(page.draw), "Send test alert")
        assert "on its way" in words(drawn)
        post.deliver(post.notifier())
        assert "Discord took it" in words(drawn.run())
        assert post.titles(HOOK) == ["🔔 Test alert"]

    def test_discords_words_are_shown_when_it_failed(self, with_channel: Office, post: AlertPost) -> None:
        post.discord.script(HOOK, Answer.empty_message())
        drawn = press(with_channel.draw(page.draw), "Send test alert")
        post.deliver(post.notifier())
        text = words(drawn.run())
        assert "Discord did not take it" in text
        assert "Cannot send an empty message" in text

    def test_later_is_no_failure(self, with_channel: Office, post: AlertPost) -> None:
        post.discord.script(HOOK, Answer.page(502))
        drawn = press(with_channel.draw(page.draw), "Send test alert")
        post.deliver(post.notifier())
        assert "did not take it yet" in words(drawn.run())

    def test_a_test_behind_what_could_not_be_sent_says_why_and_until_when(
        self, with_channel: Office, post: AlertPost
    ) -> None:
        post.discord.script(HOOK, Answer.page(502))
        post.tell(with_channel.user.id, Kind.BOT_REJECTED, sentence="No.")
        notifier = post.notifier()
        post.deliver(notifier)
        with with_channel.services.database.transaction() as transaction:
            transaction.execute("UPDATE alert_channels SET quiet_until = now() + interval '1 hour'")
        drawn = press(with_channel.draw(page.draw), "Send test alert")
        post.deliver(notifier)
        text = words(drawn.run())
        assert "Discord did not take it yet" in text
        assert "502" in text
        assert "Next attempt" in text
        assert "On its way to Discord" not in text

    def test_a_result_is_forgotten_with_the_address_it_was_of(
        self, with_channel: Office, post: AlertPost
    ) -> None:
        notifier = post.notifier()
        drawn = press(with_channel.draw(page.draw), "Send test alert")
        post.deliver(notifier)
        assert "Discord took it" in words(drawn.run())
        url = post.discord.url_of(HOOK + 1)
        drawn = type_address(drawn, "DISCORD", url, "Save the Discord webhook")
        assert "Discord took it" not in words(drawn)
        post.discord.script(HOOK + 1, Answer.unknown_webhook())
        drawn = press(drawn, "Send test alert")
        post.deliver(notifier)
        drawn = press(drawn.run(), "Try it again")
        assert "● ACTIVE" in words(drawn)
        assert "did not take it" not in words(drawn)


class TestChoices:
    def test_every_kind_has_its_choice_as_it_is_delivered(self, office: Office) -> None:
        drawn = tab(office, "Which alerts")
        for kinds in kinds_to_choose().values():
            for kind, news in kinds.items():
                assert drawn.segmented_control(key=f"wish-{kind}").value == news.default

    def test_a_click_is_saved_and_nothing_else(self, office: Office) -> None:
        drawn = tab(office, "Which alerts")
        drawn.segmented_control(key="wish-BOT_FILLED").set_value(Delivery.OFF).run()
        assert wishes(office) == {"BOT_FILLED": "OFF"}
        actions.choose(office.services, office.acting, {Kind.BOT_REJECTED: Delivery.MERGED})
        drawn.segmented_control(key="wish-BOT_FILLED").set_value(Delivery.ON).run()
        assert wishes(office) == {"BOT_FILLED": "ON", "BOT_REJECTED": "MERGED"}
        fresh = tab(office, "Which alerts")
        assert fresh.segmented_control(key="wish-BOT_REJECTED").value == Delivery.MERGED

    def test_what_is_off_is_not_sent_and_stays_in_the_history(
        self, with_channel: Office, post: AlertPost
    ) -> None:
        drawn = tab(with_channel, "Which alerts")
        drawn.segmented_control(key="wish-BOT_REJECTED").set_value(Delivery.OFF).run()
        post.tell(with_channel.user.id, Kind.BOT_REJECTED, sentence="No.")
        post.deliver(post.notifier())
        assert post.titles(HOOK) == []
        (row,) = rows(tab(with_channel, "History"))
        assert row[""] == "–"
        assert row["What became of it"] == "– not sent: off, or there was no address"


def wishes(office: Office) -> dict[str, str]:
    with office.services.database.transaction() as transaction:
        return alert_channels.wishes_of(transaction, office.user.id)


class TestHistory:
    def test_it_says_what_became_of_each(self, with_channel: Office, post: AlertPost) -> None:
        notifier, ann = post.notifier(), with_channel.user.id
        post.tell(ann, Kind.BOT_FILLED, side="BUY", quantity="2", symbol="AAPL", price="100", action="BUY")
        post.deliver(notifier)
        post.discord.script(HOOK, Answer.empty_message(), Answer.page(500))
        post.tell(ann, Kind.BOT_REJECTED, sentence="It was refused.")
        post.deliver(notifier)
        post.tell(ann, Kind.EXIT_FAILED, sentence="It failed.")
        post.clock.forward(seconds=30)
        post.deliver(notifier)
        post.tell(ann, Kind.KILL_SWITCH, state="HALTED", scope="user", by="ann")
        newest, waiting, failed, sent = rows(tab(with_channel, "History"))
        assert newest["What became of it"] == "… waits for DashTrade's worker"
        assert waiting["What became of it"].startswith("Discord: … waits, next attempt ")
        assert "500" in waiting["What became of it"]
        assert failed["What became of it"].startswith("Discord: ✕ failed: ")
        assert sent["What became of it"].startswith("Discord: ✓ sent ")
        assert [row[""] for row in (newest, waiting, failed, sent)] == ["…", "…", "✕", "✓"]
        assert (sent["Alert"], failed["Text"]) == ("✅ Bought 2 AAPL", "It was refused.")

    def test_what_went_to_the_operator_does_not_tell_its_address(
        self, office: Office, post: AlertPost
    ) -> None:
        post.tell(office.user.id, Kind.BOT_REJECTED, sentence="No.")
        post.deliver(post.notifier(operator=OPERATOR))
        (row,) = rows(tab(office, "History"))
        assert row["What became of it"].startswith("the operator's Discord: ✓ sent ")

    def test_merged_ones_went_with_others(self, with_channel: Office, post: AlertPost) -> None:
        for _ in range(12):
            post.tell(with_channel.user.id, Kind.BOT_REJECTED, sentence="No.")
        post.deliver(post.notifier(), turns=2)
        outcomes = [row["What became of it"] for row in rows(tab(with_channel, "History"))]
        assert sum("sent with others" in each for each in outcomes) >= 1
        assert all("✓ sent" in each for each in outcomes)

    def test_what_waits_to_be_merged_says_until_when(self, with_channel: Office, post: AlertPost) -> None:
        notifier = post.notifier()
        for _ in range(2):
            post.tell(with_channel.user.id, Kind.SIGNAL_REFUSED, sentence="No.")
            post.deliver(notifier)
        later, first = rows(tab(with_channel, "History"))
        with with_channel.services.database.transaction() as transaction:
            until = transaction.value("SELECT not_before FROM alert_deliveries WHERE state = 'WAITING'")
        assert later["What became of it"].startswith("Discord: … waits, together with others at ")
        assert (
            f"{until.astimezone(ZoneInfo(with_channel.user.time_zone)):%H:%M:%S}"
            in later["What became of it"]
        )
        assert first["What became of it"].startswith("Discord: ✓ sent ")

    def test_what_waits_behind_a_failure_says_its_reason_and_next_attempt(
        self, with_channel: Office, post: AlertPost
    ) -> None:
        notifier = post.notifier()
        post.discord.script(HOOK, Answer.page(500))
        for _ in range(2):
            post.tell(with_channel.user.id, Kind.BOT_REJECTED, sentence="No.")
            post.deliver(notifier)
        with with_channel.services.database.transaction() as transaction:
            transaction.execute("UPDATE alert_channels SET quiet_until = now() + interval '1 hour'")
        for row in rows(tab(with_channel, "History")):
            assert row["What became of it"].startswith("Discord: … waits, next attempt ")
            assert "500" in row["What became of it"]
        with with_channel.services.database.transaction() as transaction:
            transaction.execute("UPDATE alert_channels SET quiet_until = NULL")
            transaction.execute("UPDATE alert_deliveries SET next_attempt_at = now() - interval '1 second'")
        for row in rows(tab(with_channel, "History")):
            assert "is tried again now (" in row["What became of it"]

    def test_pages_and_kinds(self, office: Office, post: AlertPost) -> None:
        for number in range(history.PAGE + 5):
            post.tell(office.user.id, Kind.BOT_REJECTED, sentence=f"No {number}.")
        post.tell(office.user.id, Kind.RISK_LIMIT_HIT, event="STOP", sentence="Stopped.")
        drawn = tab(office, "History")
        assert len(rows(drawn)) == history.PAGE
        assert rows(drawn)[0]["Alert"] == "🔻 Stop-loss reached"
        drawn = press(drawn, "Older")
        assert [row["Text"] for row in rows(drawn)] == [f"No {number}." for number in (5, 4, 3, 2, 1, 0)]
        drawn.selectbox(key="alerts kind").set_value(Kind.RISK_LIMIT_HIT).run()
        assert [row["Text"] for row in rows(drawn)] == ["Stopped."]
        drawn.selectbox(key="alerts kind").set_value(Kind.KILL_SWITCH).run()
        assert history.NONE_MATCH in words(drawn)

    def test_every_kind_can_be_listed_and_drawn(self, office: Office, post: AlertPost) -> None:
        for kind in Kind:
            post.tell(office.user.id, kind)
        drawn = tab(office, "History")
        assert len(rows(drawn)) == min(len(Kind), history.PAGE)

    def test_another_user_has_another_history(self, office: Office, post: AlertPost) -> None:
        post.tell(office.another_user().owner, Kind.BOT_REJECTED, sentence="Hers.")
        assert history.NOTHING_YET in words(tab(office, "History"))


def test_without_the_database_it_stays_calm(
    office: Office, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(f"postgresql://u:p@127.0.0.1:{free_port}/d", monkeypatch)
    for name in page.TABS:
        assert "The database does not answer" in words(tab(office, name))


def test_the_example_is_drawn(office: Office) -> None:
    assert "Trade completed" in words(office.draw(channels.draw))
    assert choices.EXPLAINED in "\n".join(each.value for each in tab(office, "Which alerts").caption)
