"""Whatever Discord does, every notification ends as sent once or as failed with its reason, in order."""

import random
import re
from collections.abc import Iterator

import pytest

from database.notifications import NotificationKind as Kind
from database.pool import Database
from tests.database.alert_post import AlertPost
from tests.discord_server.answers import Answer, Cut
from tests.discord_server.server import DiscordServer

CHANNELS = 4
EACH = 30

PASSING = (
    Answer.page(500),
    Answer.page(502),
    Answer.page(503),
    Answer.too_many(1),
    Answer.too_many(2, everywhere=True),
    Answer(cut=Cut.BEFORE_READING),
    Answer(cut=Cut.AFTER_READING),
    Answer(status=200, body=b"<html>a proxy</html>", takes=True),
    Answer(status=200, body=b"{", cut=Cut.IN_THE_BODY, takes=True),
    Answer(takes=True),
)
REFUSING = (
    Answer.empty_message(),
    Answer.invalid_form({"embeds": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Too long."}]}}),
)


@pytest.fixture
def post(database: Database) -> Iterator[AlertPost]:
    with DiscordServer() as discord:
        yield AlertPost(database=database, discord=discord)


def numbers(post: AlertPost, webhook: int) -> list[int]:
    """Return the numbers of the notifications that a webhook was told of, in the order it took them."""
    words = [
        embed.get("description", "") for message in post.discord.taken(webhook) for embed in message["embeds"]
    ]
    return [int(number) for text in words for number in re.findall(r"Number (\d+)", text)]


def told(post: AlertPost, webhook: int) -> int:
    """Return how many notifications a webhook was told of; a summary names the newest and counts all."""
    titles = [embed["title"] for message in post.discord.taken(webhook) for embed in message["embeds"]]
    counts = [re.match(r"(\d+) orders", title) for title in titles]
    return sum(int(count[1]) if count else 1 for count in counts)


@pytest.mark.parametrize("seed", range(3))
def test_every_notification_ends_whatever_the_service_does(post: AlertPost, seed: int) -> None:
    chance = random.Random(seed)
    users = [post.user(f"user{number}@example.org") for number in range(CHANNELS)]
    for user in users:
        post.channel(user, user)
        faults = chance.choices(PASSING, k=20) + chance.choices(REFUSING, k=3)
        chance.shuffle(faults)
        post.discord.script(user, *faults)
    senders = [post.notifier(), post.notifier()]
    for number in range(EACH):
        for user in users:
            post.tell(user, Kind.BOT_REJECTED, bot="AAPL", sentence=f"Number {number}.")
        post.deliver(chance.choice(senders))
        post.clock.forward(seconds=chance.choice((0, 30, 700)))
    for _ in range(200):
        if not {"WAITING"} & set(post.states()):
            break
        post.clock.forward(minutes=11)
        post.deliver(chance.choice(senders))
    rows = post.deliveries()
    assert len(rows) == CHANNELS * EACH
    assert {row["state"] for row in rows} <= {"SENT", "FAILED"}
    assert all(row["error"] for row in rows if row["state"] == "FAILED")
    for user in users:
        own = post.all(
            """
            SELECT deliveries.state, told.content FROM alert_deliveries AS deliveries
              JOIN notifications AS told ON told.id = deliveries.notification_id
             WHERE told.user_id = %s ORDER BY deliveries.id
            """,
            (user,),
        )
        sent = [
            int(re.findall(r"\d+", row["content"]["sentence"])[0]) for row in own if row["state"] == "SENT"
        ]
        named = numbers(post, user)
        assert sent == sorted(sent)
        assert named == sorted(set(named))
        assert set(named) <= set(sent)
        assert told(post, user) == len(sent)
        assert len(sent) >= EACH / 2


def test_an_answer_that_was_lost_after_the_message_arrived_is_the_only_way_to_a_second_one(
    post: AlertPost,
) -> None:
    ann = post.user()
    post.channel(ann, 7)
    post.discord.script(7, Answer(cut=Cut.AFTER_READING, takes=True))
    post.tell(ann, Kind.BOT_REJECTED, sentence="Number 1.")
    notifier = post.notifier()
    post.deliver(notifier)
    post.clock.forward(minutes=1)
    post.deliver(notifier)
    assert numbers(post, 7) == [1, 1]
    assert post.states() == ["SENT"]


def test_a_slow_service_keeps_no_other_channel_waiting(post: AlertPost) -> None:
    slow, quick = post.user("slow@example.org"), post.user("quick@example.org")
    post.channel(slow, 1)
    post.channel(quick, 2)
    post.discord.script(1, Answer(delay=30.0))
    notifier = post.notifier()
    post.tell(slow, Kind.BOT_REJECTED, sentence="Number 1.")
    notifier.turn()
    post.discord.wait_for(1, 1)
    post.tell(quick, Kind.BOT_REJECTED, sentence="Number 2.")
    notifier.turn()
    assert post.discord.wait_for_taken(2, 1)
    assert post.states()[0] == "WAITING"
    notifier.settle()
    first, second = post.deliveries()
    assert (first["state"], second["state"]) == ("WAITING", "SENT")
    assert first["error"]
