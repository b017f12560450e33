"""What happened reaches the right channels, in order, at least once, or is failed with its reason."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from alerts.discord_webhook import DiscordWebhook
from alerts.kinds import KINDS
from database import alert_channels, alert_deliveries, alert_reading
from database.notifications import NotificationKind as Kind
from database.pool import Database
from notifier import LONGEST_PAUSE_SECONDS, pause_of
from tests.database.alert_post import AlertPost
from tests.discord_server.answers import Answer, Cut
from tests.discord_server.server import DiscordServer, Rate

OPERATOR, ANN, BOB = 1, 11, 12


@pytest.fixture
def discord() -> Iterator[DiscordServer]:
    with DiscordServer() as server:
        yield server


@pytest.fixture
def post(database: Database, discord: DiscordServer) -> AlertPost:
    return AlertPost(database=database, discord=discord)


def rejected(post: AlertPost, user: int | None, number: int) -> int:
    return post.tell(
        user, Kind.BOT_REJECTED, bot=f"bot {number}", code="BROKER_REJECTED", sentence=f"No {number}."
    )


def sentences(discord: DiscordServer, webhook: int) -> list[str]:
    return [embed.get("description", "") for message in discord.taken(webhook) for embed in message["embeds"]]


class TestRouting:
    def test_news_goes_to_its_user_alone(self, post):
        ann, bob = post.user(), post.user("bob@example.org")
        post.channel(ann, ANN)
        post.channel(bob, BOB)
        rejected(post, ann, 1)
        post.deliver(post.notifier(operator=OPERATOR))
        assert sentences(post.discord, ANN) == ["No 1."]
        assert post.discord.taken(BOB) == post.discord.taken(OPERATOR) == []
        (row,) = post.deliveries()
        assert (row["state"], row["attempts"], row["error"]) == ("SENT", 1, None)
        assert row["message_id"] == post.discord.taken(ANN)[0]["id"]
        assert row["sent_at"] == post.clock.at

    def test_a_user_without_an_address_and_news_of_the_server_go_to_the_operator(self, post):
        ann = post.user()
        rejected(post, ann, 1)
        post.tell(None, Kind.PART_DOWN, part="worker", sentence="It was last heard of at noon.")
        post.deliver(post.notifier(operator=OPERATOR))
        assert post.titles(OPERATOR) == ["❌ Order rejected", "🚨 Down: worker"]

    def test_without_any_address_nothing_is_to_be_sent_and_the_news_stays_readable(self, post):
        ann = post.user()
        rejected(post, ann, 1)
        post.deliver(post.notifier())
        assert post.deliveries() == []
        with post.database.transaction() as transaction:
            (news,) = alert_channels.history_of(transaction, ann)
        assert (news["kind"], news["deliveries"]) == ("BOT_REJECTED", [])

    def test_an_operators_address_that_is_taken_out_of_the_settings_is_used_no_more(self, post):
        ann = post.user()
        post.deliver(post.notifier(operator=OPERATOR))
        rejected(post, ann, 1)
        post.deliver(post.notifier())
        assert post.discord.taken(OPERATOR) == []

    def test_a_kind_that_is_off_is_not_sent_and_another_user_still_gets_it(self, post):
        ann, bob = post.user(), post.user("bob@example.org")
        post.channel(ann, ANN)
        post.channel(bob, BOB)
        with post.database.transaction() as transaction:
            alert_channels.set_wishes(transaction, ann, {Kind.BOT_REJECTED: "OFF"})
        rejected(post, ann, 1)
        rejected(post, bob, 2)
        post.deliver(post.notifier(operator=OPERATOR))
        assert sentences(post.discord, BOB) == ["No 2."]
        assert post.discord.taken(ANN) == post.discord.taken(OPERATOR) == []

    def test_every_kind_is_said_within_discords_limits_even_with_nothing_in_it(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        with post.database.transaction() as transaction:
            alert_channels.set_wishes(transaction, ann, dict.fromkeys(map(str, Kind), "ON"))
        for kind in Kind:
            post.tell(ann, kind)
        post.deliver(post.notifier(), turns=2)
        assert set(post.states()) == {"SENT"}
        assert len(post.titles(ANN)) == len(Kind) == len(KINDS)
        assert all(post.titles(ANN))


class TestMerging:
    def balance(self, post: AlertPost, user: int, amount: int) -> None:
        post.tell(user, Kind.WATCHED_BALANCE_CHANGED, watched_bot="Spike", balance=str(amount))

    def test_the_first_is_sent_at_once_and_the_rest_together_when_the_window_ends(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        self.balance(post, ann, 1000)
        post.deliver(notifier)
        for amount in (1001, 1002, 1003):
            self.balance(post, ann, amount)
            post.clock.forward(minutes=2)
            post.deliver(notifier)
        assert post.titles(ANN) == ["💵 Balance changed"]
        post.clock.forward(minutes=8, seconds=59)
        post.deliver(notifier)
        assert len(post.titles(ANN)) == 1
        post.clock.forward(seconds=2)
        post.deliver(notifier)
        assert post.titles(ANN) == ["💵 Balance changed", "3 balance changes"]
        assert "$1,001.00" in sentences(post.discord, ANN)[1]
        assert "$1,003.00" in sentences(post.discord, ANN)[1]
        assert set(post.states()) == {"SENT"}

    def test_nothing_more_is_sent_of_a_bot_that_is_watched_no_longer(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        for amount in (1000, 1001):
            post.tell(ann, Kind.WATCHED_BALANCE_CHANGED, watched_bot_id=5, balance=str(amount))
            post.deliver(notifier)
        post.tell(ann, Kind.WATCHED_ERROR, watched_bot_id=5)
        post.tell(ann, Kind.WATCHED_ERROR, watched_bot_id=6)
        with post.database.transaction() as transaction:
            alert_deliveries.withdraw(transaction, ann, 5)
        post.clock.forward(minutes=20)
        post.deliver(notifier)
        assert post.titles(ANN) == ["💵 Balance changed", "❗ Bot error (error)"]
        assert post.states() == ["SENT", "FAILED", "SENT"]

    def test_what_waits_to_be_merged_holds_nothing_else_back(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        for amount in (1000, 1001):
            self.balance(post, ann, amount)
            post.deliver(notifier)
        rejected(post, ann, 1)
        post.deliver(notifier)
        assert post.titles(ANN) == ["💵 Balance changed", "❌ Order rejected"]

    def test_a_flood_is_told_in_one_message_and_each_of_it_counts_as_sent(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        for number in range(40):
            rejected(post, ann, number)
        post.tell(ann, Kind.KILL_SWITCH, scope="user", id=ann, state="HALTED", by="ann@example.org")
        post.deliver(post.notifier())
        assert post.titles(ANN) == ["40 orders rejected or failed", "🛑 Trading is halted"]
        assert "No 39." in sentences(post.discord, ANN)[0]
        assert set(post.states()) == {"SENT"}
        assert len(post.deliveries()) == 41

    def test_ten_at_once_are_ten_embeds_of_one_message(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        for number in range(10):
            rejected(post, ann, number)
        post.deliver(post.notifier())
        assert len(post.discord.taken(ANN)) == 1
        assert sentences(post.discord, ANN) == [f"No {number}." for number in range(10)]


class TestTryingAgain:
    @pytest.mark.parametrize(
        "answer",
        [Answer.page(500), Answer.page(502), Answer.too_many(0.2), Answer(cut=Cut.BEFORE_READING)],
        ids=["500", "502 in HTML", "429", "cut"],
    )
    def test_a_passing_fault_is_tried_again_later_and_nothing_overtakes(self, post, answer):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        post.discord.script(ANN, answer)
        rejected(post, ann, 1)
        post.deliver(notifier)
        rejected(post, ann, 2)
        post.deliver(notifier)
        first, second = post.deliveries()
        assert (first["state"], first["attempts"]) == ("WAITING", 1)
        assert first["error"]
        assert first["next_attempt_at"] > post.clock.at
        assert second["attempts"] == 0
        post.clock.forward(minutes=1)
        post.deliver(notifier)
        assert sentences(post.discord, ANN) == ["No 1.", "No 2."]
        assert post.states() == ["SENT", "SENT"]

    def test_retry_after_is_obeyed_to_the_second(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        post.discord.script(ANN, Answer.too_many(7))
        rejected(post, ann, 1)
        post.deliver(notifier)
        assert post.deliveries()[0]["next_attempt_at"] == post.clock.at + timedelta(seconds=7)
        post.clock.forward(seconds=6.9)
        post.deliver(notifier)
        assert len(post.discord.asked(ANN)) == 1
        post.clock.forward(seconds=0.2)
        post.deliver(notifier)
        assert post.states() == ["SENT"]

    def test_a_global_limit_quiets_every_channel(self, post):
        ann, bob = post.user(), post.user("bob@example.org")
        post.channel(ann, ANN)
        post.channel(bob, BOB)
        notifier = post.notifier()
        post.discord.script(ANN, Answer.too_many(5, scope="global"))
        rejected(post, ann, 1)
        post.deliver(notifier)
        rejected(post, bob, 2)
        post.deliver(notifier)
        assert post.discord.asked(BOB) == []
        post.clock.forward(seconds=6)
        post.deliver(notifier)
        assert post.states() == ["SENT", "SENT"]

    def test_what_never_gets_through_is_given_up_after_a_day_with_its_reason(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        post.discord.script(ANN, Answer.page(500), Answer.page(500))
        rejected(post, ann, 1)
        post.deliver(notifier)
        post.clock.forward(hours=25)
        post.deliver(notifier)
        (row,) = post.deliveries()
        assert row["state"] == "FAILED"
        assert "2 attempts in 24 hours" in row["error"]
        assert "500" in row["error"]
        rejected(post, ann, 2)
        post.deliver(notifier)
        assert sentences(post.discord, ANN) == ["No 2."]

    def test_the_pauses_grow_and_stay_bounded(self):
        pauses = [pause_of(attempt, None) for attempt in range(1, 40)]
        assert pauses[0] < 3
        assert pauses[4] > 20
        assert max(pauses) <= LONGEST_PAUSE_SECONDS * 1.2
        assert pause_of(1, 0.4) == 0.4


class TestEndings:
    def test_a_message_that_discord_refuses_fails_alone(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        post.discord.script(ANN, Answer.empty_message())
        rejected(post, ann, 1)
        post.deliver(notifier)
        rejected(post, ann, 2)
        post.deliver(notifier)
        assert post.states() == ["FAILED", "SENT"]
        assert "50006" in post.deliveries()[0]["error"]

    @pytest.mark.parametrize(
        ("answer", "word"),
        [(Answer.unknown_webhook(), "10015"), (Answer.invalid_token(), "50027"), (Answer.forbidden(), "403")],
        ids=["404", "401", "403"],
    )
    def test_a_channel_that_is_gone_is_switched_off_with_discords_words(self, post, answer, word):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier(operator=OPERATOR)
        post.discord.script(ANN, answer)
        rejected(post, ann, 1)
        post.deliver(notifier)
        rejected(post, ann, 2)
        post.deliver(notifier)
        with post.database.transaction() as transaction:
            (channel,) = alert_reading.standing(transaction, ann, post.clock.at)
        assert not channel["is_active"]
        assert word in channel["switched_off_because"] or word in str(post.deliveries()[0]["error"])
        assert len(post.discord.asked(ANN)) == 1
        # What is told while it is off says so, and is not sent later.
        assert post.states() == ["FAILED", "FAILED"]
        assert post.deliveries()[1]["error"] == "The channel was switched off by then."
        # The user's own address is dead, but news of the user is not the operator's.
        assert post.discord.asked(OPERATOR) == []

    def test_a_new_address_switches_it_on_again(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        post.discord.script(ANN, Answer.unknown_webhook())
        rejected(post, ann, 1)
        post.deliver(notifier)
        post.channel(ann, BOB)
        rejected(post, ann, 2)
        post.deliver(notifier)
        assert sentences(post.discord, BOB) == ["No 2."]

    def test_no_address_stands_in_a_row_or_a_log(self, post, caplog):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        post.discord.script(ANN, Answer(cut=Cut.BEFORE_READING), Answer.page(502), Answer.unknown_webhook())
        rejected(post, ann, 1)
        for _ in range(3):
            post.deliver(notifier)
            post.clock.forward(minutes=2)
        (row,) = post.deliveries()
        assert row["state"] == "FAILED"
        assert "token-of-webhook" not in str(row) + caplog.text


class TestSenders:
    def test_several_senders_send_each_once_and_in_order(self, post):
        users = [post.user(f"user{number}@example.org") for number in range(4)]
        for user in users:
            post.channel(user, 100 + user)
        senders = [post.notifier() for _ in range(3)]
        stopping = threading.Event()
        threads = [threading.Thread(target=sender.run, args=(stopping,)) for sender in senders]
        for thread in threads:
            thread.start()
        for number in range(60):
            for user in users:
                rejected(post, user, number)
        try:
            wait_for(lambda: post.states() == ["SENT"] * 240)
        finally:
            stopping.set()
            for thread in threads:
                thread.join(60)
        for user in users:
            told = " ".join(sentences(post.discord, 100 + user))
            assert told.index("No 59.") > 0
            ids = [int(message["id"]) for message in post.discord.taken(100 + user)]
            assert ids == sorted(ids)

    def test_a_sender_that_died_after_rendering_is_followed_by_one_that_sends_the_same(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        rejected(post, ann, 1)
        died = post.notifier(transports={"DISCORD": Dying(post.discord.base)})
        died.turn()
        with pytest.raises(SystemExit):
            died.settle()
        (row,) = post.deliveries()
        assert (row["state"], row["attempts"]) == ("WAITING", 1)
        rejected(post, ann, 2)
        post.clock.forward(seconds=31)
        post.deliver(post.notifier(), turns=2)
        assert sentences(post.discord, ANN) == ["No 1.", "No 2."]
        assert [row["attempts"] for row in post.deliveries()] == [2, 1]

    def test_a_rate_limit_of_a_channel_is_kept_without_being_refused(self, database):
        with DiscordServer(rate=Rate(count=3, seconds=1.0)) as discord:
            post = AlertPost(database=database, discord=discord, clock=utc_now)
            ann = post.user()
            post.channel(ann, ANN)
            notifier = post.notifier()
            for number in range(8):
                rejected(post, ann, number)
                post.deliver(notifier)

            def all_sent() -> bool:
                post.deliver(notifier)
                return set(post.states()) == {"SENT"}

            wait_for(all_sent)
            assert len(discord.asked(ANN)) == len(discord.taken(ANN)) > 3
            assert sentences(discord, ANN) == [f"No {number}." for number in range(8)]

    def test_what_nobody_sends_within_a_day_fails_and_old_messages_are_let_go(self, post):
        ann = post.user()
        post.channel(ann, ANN)
        notifier = post.notifier()
        rejected(post, ann, 1)
        post.deliver(notifier)
        rejected(post, ann, 2)
        with post.database.transaction() as transaction:
            alert_deliveries.route(transaction, {}, [], post.clock.at)
        post.clock.forward(days=31)
        with post.database.transaction() as transaction:
            alert_deliveries.clear_up(transaction, post.clock.at)
        sent, waited = post.deliveries()
        assert (sent["state"], sent["content"]) == ("SENT", None)
        assert (waited["state"], waited["error"]) == ("FAILED", "Nobody could send it within a day.")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Dying:
    """A transport whose process dies before anything is sent."""

    name, most, merges = "DISCORD", 10, True

    def __init__(self, base: str) -> None:
        self._real = DiscordWebhook(base)
        self.shown = self._real.shown
        self.render = self._real.render

    def send(self, address: str, message: dict, key: str) -> None:
        raise SystemExit(9)


def wait_for(look) -> None:
    stopped = threading.Event()
    for _ in range(1200):
        if look():
            return
        stopped.wait(0.05)
    raise AssertionError("waited in vain")
