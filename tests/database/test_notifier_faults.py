"""What goes wrong between two steps of sending: deaths, lost answers, addresses replaced, and bad news."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from pydantic import SecretStr

from alerts.discord_webhook import DiscordWebhook
from alerts.posting import Patience
from alerts.transport import Outcome
from core.alert import Alert
from database import alert_channels, alert_deliveries, alert_reading
from database.notifications import NotificationKind as Kind
from database.pool import Database
from encryption import Vault, new_key
from tests.database.alert_post import AlertPost
from tests.discord_server.answers import Answer
from tests.discord_server.server import DiscordServer

OPERATOR, ANN, BOB, NEW = 1, 11, 12, 13


@pytest.fixture
def discord() -> Iterator[DiscordServer]:
    with DiscordServer() as server:
        yield server


@pytest.fixture
def post(database: Database, discord: DiscordServer) -> AlertPost:
    return AlertPost(database=database, discord=discord)


def book_elsewhere(database: Database) -> None:
    """Note that what waits has arrived, as a sender does whose database was away; what is locked is left."""
    with suppress(psycopg2.errors.LockNotAvailable), database.transaction() as transaction:
        transaction.execute("SET LOCAL lock_timeout = '100ms'")
        transaction.execute(
            "UPDATE alert_deliveries SET state = 'SENT', sent_at = now(), content = '{}' WHERE state = 'WAITING'"
        )


class Carrier(DiscordWebhook):
    """Discord's own transport, at whose sending and rendering something else happens too."""

    def __init__(
        self,
        base: str,
        *,
        sending: Callable[[], object] = lambda: None,
        sent: Callable[[], object] = lambda: None,
        rendering: Callable[[Sequence[Alert]], object] = lambda alerts: None,
        merges: bool = True,
    ) -> None:
        super().__init__(base, patience=Patience(answer=5.0))
        self._sending, self._after, self._rendering = sending, sent, rendering
        self.merges = merges
        self.most = 10 if merges else 1

    def render(self, alerts: Sequence[Alert]) -> dict[str, Any]:
        self._rendering(alerts)
        return super().render(alerts)

    def send(self, address: str, message: dict[str, Any], key: str) -> Outcome:
        self._sending()
        outcome = super().send(address, message, key)
        self._after()
        return outcome


def rejected(post: AlertPost, user: int, *numbers: int) -> None:
    for number in numbers:
        post.tell(user, Kind.BOT_REJECTED, bot=f"bot {number}", sentence=f"No {number}.")


def sentences(post: AlertPost, webhook: int) -> list[str]:
    taken = post.discord.taken(webhook)
    return [embed.get("description", "") for message in taken for embed in message["embeds"]]


class TestBadNews:
    def test_what_cannot_be_said_is_failed_alone(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        rejected(post, ann, 1)
        with post.database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO notifications (user_id, kind, content) VALUES (%s, 'OF_ANOTHER_VERSION', '{}')",
                (ann,),
            )
        post.tell(ann, Kind.EXIT_FAILED, sentence="Still open.")
        post.deliver(post.notifier(), turns=4)
        assert sentences(post, ANN) == ["No 1.", "Still open."]
        assert post.states() == ["SENT", "FAILED", "SENT"]
        assert "No message could be made of it" in post.deliveries()[1]["error"]
        assert post.all("SELECT subject FROM faults")[0]["subject"].startswith("alert channel")

    def test_what_cannot_be_rendered_is_failed_alone(self, post: AlertPost) -> None:
        def stumble(alerts: Sequence[Alert]) -> None:
            if any(alert.text == "No 2." for alert in alerts):
                raise RecursionError("too deep")

        ann = post.user()
        post.channel(ann, ANN)
        rejected(post, ann, 1, 2, 3)
        post.deliver(
            post.notifier(transports={"DISCORD": Carrier(post.discord.base, rendering=stumble)}), turns=5
        )
        assert sentences(post, ANN) == ["No 1.", "No 3."]
        assert post.states() == ["SENT", "FAILED", "SENT"]

    def test_a_message_that_is_refused_takes_nothing_good_with_it(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        post.discord.script(ANN, Answer.empty_message(), Answer.empty_message())
        rejected(post, ann, 1, 2, 3)
        post.deliver(post.notifier())
        assert sentences(post, ANN) == ["No 2.", "No 3."]
        assert post.states() == ["FAILED", "SENT", "SENT"]
        assert [row["merged_into"] for row in post.deliveries()] == [None] * 3

    def test_news_that_comes_after_a_refusal_does_not_overtake(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        post.discord.script(ANN, Answer.empty_message(), Answer.page(500))
        rejected(post, ann, 1, 2)
        notifier = post.notifier()
        post.deliver(notifier)
        rejected(post, ann, 3, 4)
        post.clock.forward(seconds=10)
        post.deliver(notifier, turns=2)
        assert sentences(post, ANN) == ["No 1.", "No 2.", "No 3.", "No 4."]


class TestReplacedAddress:
    def test_the_end_of_the_old_address_is_not_that_of_the_new(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        post.discord.script(ANN, Answer.unknown_webhook())
        replacing = Carrier(post.discord.base, sending=once(lambda: post.channel(ann, NEW)))
        rejected(post, ann, 1)
        post.deliver(post.notifier(transports={"DISCORD": replacing}), turns=2)
        assert sentences(post, NEW) == ["No 1."]
        with post.database.transaction() as transaction:
            (channel,) = alert_reading.standing(transaction, ann, post.clock.at)
        assert channel["is_active"]

    def test_a_fault_of_the_old_address_does_not_hold_the_new_back(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        post.discord.script(ANN, Answer.too_many(3600))
        rejected(post, ann, 1)
        notifier = post.notifier()
        post.deliver(notifier)
        post.channel(ann, NEW)
        post.deliver(notifier)
        assert sentences(post, NEW) == ["No 1."]

    def test_a_fault_that_is_heard_after_the_replacement_does_not_hold_the_new_back(
        self, post: AlertPost
    ) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        post.discord.script(ANN, Answer.too_many(3600))
        replacing = Carrier(post.discord.base, sending=once(lambda: post.channel(ann, NEW)))
        rejected(post, ann, 1)
        post.deliver(post.notifier(transports={"DISCORD": replacing}), turns=2)
        assert sentences(post, NEW) == ["No 1."]

    def test_what_was_removed_while_it_was_sent_stays_failed_for_that_reason(self, post: AlertPost) -> None:
        def remove() -> None:
            with post.database.transaction() as transaction:
                alert_channels.remove_channel(transaction, ann, "DISCORD")

        ann = post.user()
        post.channel(ann, ANN)
        post.discord.script(ANN, Answer.page(500))
        rejected(post, ann, 1)
        removing = Carrier(post.discord.base, sending=once(remove))
        post.deliver(post.notifier(transports={"DISCORD": removing}), turns=2)
        assert post.deliveries()[0]["error"] == "The address was removed before this was sent."
        assert sentences(post, ANN) == []

    def test_a_process_without_the_operators_address_leaves_the_channel_to_those_who_have_it(
        self, post: AlertPost
    ) -> None:
        old = post.notifier(operator=BOB)
        older = post.notifier()
        new = post.notifier(operator=OPERATOR)
        post.tell(None, Kind.PART_DOWN, part="worker", sentence="Silent.")
        post.deliver(older)
        post.deliver(old)
        assert post.states() == ["WAITING"]
        post.deliver(new)
        assert sentences(post, OPERATOR) == ["Silent."]
        assert post.discord.asked(BOB) == []


class TestDatabase:
    def test_one_connection_is_enough_to_send(self, database_url: str, discord: DiscordServer) -> None:
        post = AlertPost(database=Database(database_url, size=1), discord=discord)
        ann = post.user()
        post.channel(ann, ANN)
        rejected(post, ann, 1)
        notifier = post.notifier()
        notifier.turn()
        waiting = threading.Thread(target=notifier.settle, daemon=True)
        waiting.start()
        waiting.join(30)
        assert not waiting.is_alive()
        assert sentences(post, ANN) == ["No 1."]
        post.database.close()

    def test_what_arrived_while_the_database_was_away_is_booked_and_not_sent_again(
        self, post: AlertPost
    ) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        rejected(post, ann, 1)
        cutting = Carrier(post.discord.base, sent=once(lambda: cut_off(post.database.url)))
        post.deliver(post.notifier(transports={"DISCORD": cutting}))
        assert post.states() == ["SENT"]
        post.clock.forward(hours=1)
        post.deliver(post.notifier())
        assert len(post.discord.taken(ANN)) == 1

    def test_what_a_sender_who_lost_its_lock_books_at_any_moment_is_no_fault_of_anothers(
        self, post: AlertPost, database: Database
    ) -> None:
        post.channel(ann := post.user(), ANN)
        notifier = post.notifier()
        looks = 0

        def booked_at(limit: int) -> datetime:
            nonlocal looks
            looks += 1
            if looks == limit:
                book_elsewhere(database)
            return post.clock.at

        for limit in range(1, 12):
            looks, notifier._now = 0, partial(booked_at, limit)
            post.tell(ann, Kind.BOT_FILLED, symbol="AAPL")
            post.deliver(notifier)
            post.clock.forward(minutes=5)
        assert looks > 3
        assert set(post.states()) == {"SENT"}
        assert post.all("SELECT * FROM faults") == []

    def test_another_does_not_send_what_a_sender_who_lost_its_lock_may_still_be_sending(
        self, post: AlertPost
    ) -> None:
        other = post.notifier()

        def lose_the_lock() -> None:
            cut_off(post.database.url)
            post.deliver(other)

        ann = post.user()
        post.channel(ann, ANN)
        rejected(post, ann, 1)
        losing = Carrier(post.discord.base, sending=once(lose_the_lock))
        post.deliver(post.notifier(transports={"DISCORD": losing}))
        assert len(post.discord.taken(ANN)) == 1
        assert post.states() == ["SENT"]


class TestRows:
    def test_a_channel_belongs_to_one_sender_who_gives_it_back(self, post: AlertPost) -> None:
        ann = post.user()
        channel = post.channel(ann, ANN)
        rejected(post, ann, 1)
        notifier = post.notifier()
        with post.database.session() as other:
            assert alert_deliveries.claim(other, channel)
            post.deliver(notifier)
            assert post.states() == ["WAITING"]
            alert_deliveries.leave(other, channel)
            post.deliver(notifier)
            assert post.states() == ["SENT"]
            assert alert_deliveries.claim(other, channel)
            alert_deliveries.leave(other, channel)

    def test_nothing_waits_for_a_channel_that_is_off(self, post: AlertPost) -> None:
        ann = post.user()
        notifier = post.notifier(operator=OPERATOR)
        with post.database.transaction() as transaction:
            alert_channels.switch_off(transaction, post.channel(ann, ANN), "gone", post.clock.at)
            (operators,) = alert_reading.operators_standing(transaction, post.clock.at)
            alert_channels.switch_off(transaction, operators["id"], "gone", post.clock.at)
        rejected(post, ann, 1)
        post.tell(None, Kind.PART_DOWN, part="worker")
        post.deliver(notifier)
        assert "WAITING" not in post.states()

    def test_news_is_published_at_once_although_its_user_wants_it_merged(self, post: AlertPost) -> None:
        ann = post.user()
        with post.database.transaction() as transaction:
            alert_channels.set_wishes(transaction, ann, {Kind.BOT_FILLED: "MERGED"})
            alert_channels.keep_operators_channel(transaction, "MQTT", "dashtrade/", b"hash")
        post.tell(ann, Kind.BOT_FILLED)
        with post.database.transaction() as transaction:
            alert_deliveries.route(transaction, {}, [Kind.BOT_FILLED], post.clock.at)
        assert [row["together"] for row in post.deliveries()] == [False]

    def test_a_message_under_way_is_not_cleared_away(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        post.discord.script(ANN, Answer.page(500))
        rejected(post, ann, 1, 2)
        post.deliver(post.notifier())
        post.clock.forward(hours=25)
        with post.database.transaction() as transaction:
            alert_deliveries.clear_up(transaction, post.clock.at)
        assert post.states() == ["WAITING", "WAITING"]

    def test_a_shorter_pause_does_not_end_a_longer_one(self, post: AlertPost) -> None:
        at = post.clock.at
        with post.database.transaction() as transaction:
            for seconds in (60, 5):
                alert_deliveries.pause_everywhere(transaction, "DISCORD", at + timedelta(seconds=seconds))
        assert post.all("SELECT until FROM alert_pauses") == [{"until": at + timedelta(seconds=60)}]

    def test_a_wrong_key_is_waited_for(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        right, post.vault = post.vault, Vault(SecretStr(new_key()))
        rejected(post, ann, 1)
        post.deliver(post.notifier())
        (row,) = post.deliveries()
        assert (row["state"], "ENCRYPTION_KEY" in row["error"]) == ("WAITING", True)
        post.vault = right
        post.clock.forward(seconds=10)
        post.deliver(post.notifier())
        assert sentences(post, ANN) == ["No 1."]


class TestTurns:
    def test_who_answers_slowly_does_not_keep_a_sender_from_the_others(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        rejected(post, ann, 1, 2, 3)
        slow = Carrier(post.discord.base, sending=lambda: post.clock.forward(seconds=6), merges=False)
        notifier = post.notifier(transports={"DISCORD": slow})
        post.deliver(notifier)
        assert sentences(post, ANN) == ["No 1."]
        post.deliver(notifier, turns=2)
        assert sentences(post, ANN) == ["No 1.", "No 2.", "No 3."]

    def test_a_sender_that_is_told_to_stop_ends_after_the_message_under_way(self, post: AlertPost) -> None:
        ann = post.user()
        post.channel(ann, ANN)
        rejected(post, ann, 1, 2, 3)
        stopping = threading.Event()
        carrier = Carrier(post.discord.base, sending=stopping.set, merges=False)
        post.notifier(transports={"DISCORD": carrier}).run(stopping)
        assert post.states() == ["SENT", "WAITING", "WAITING"]


def once(what: Callable[[], object]) -> Callable[[], None]:
    """Return what does something at its first call and nothing after."""
    calls = iter([what])

    def do() -> None:
        next(calls, lambda: None)()

    return do


def cut_off(url: str) -> None:
    """End every other connection to a database, as a restart of its server does."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connection.close()
