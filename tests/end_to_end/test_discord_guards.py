"""What a channel's members and other users must not be able to do to a signal, and what a reply must not tell."""

import pytest

from core.errors import Unavailable
from discord_bot.wording import EDITED
from tests.discord_room.lossy import Fault, Line
from tests.discord_room.room import in_room, serving
from tests.end_to_end.test_discord_signals import LONG

ETHER = "LONG ETH-USD 3000/2900/3300"


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


@pytest.fixture
def line(served):
    line = Line(served.port)
    yield line
    line.close()


def refuse(desk, signal_id, code, sentence):
    """Let a signal end as the engine would refuse it."""
    with desk.database.transaction() as transaction:
        transaction.execute(
            "UPDATE signals SET state = 'REFUSED', code = %s, sentence = %s, finished_at = now() WHERE id = %s",
            (code, sentence, signal_id),
        )


# --- what a reply tells of an account -----------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "sentence", "private"),
    [
        (
            "DAILY_LOSS_LIMIT",
            "The bot has lost $1,234.56 today; its daily loss limit is $1,000.00.",
            ("1,234", "1,000"),
        ),
        ("INSUFFICIENT_BUYING_POWER", "The buying power of $77.13 leaves nothing.", ("77",)),
        ("OPPOSITE_POSITION", "Bot Nest egg holds 3.5 BTC/USD short in the same account.", ("Nest", "3.5")),
        (
            "CONNECTION_PROBLEM",
            "Connection Divorce money takes no entries: key 8a6f is revoked",
            ("Divorce", "8a6f"),
        ),
        ("BROKER_REJECTED", "The broker rejected the order: only 4321.09 USD are available", ("4321",)),
        ("ALREADY_LONG", "The bot already holds 0.0512 LONG.", ("0.05",)),
    ],
)
def test_a_reply_tells_the_channel_nothing_of_an_account(desk, ann, served, code, sentence, private):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        refuse(desk, room.signals()[0]["id"], code, sentence)
        await room.until(lambda: room.replies(message.id))
        [reply] = room.replies(message.id)
        assert reply.startswith("❌ ")
        for each in private:
            assert each not in reply

    in_room(desk, served, play)


def test_a_channel_is_not_told_the_name_of_a_connection(desk, ann, served):
    async def play(room):
        room.register(ann, connection_id=ann.connection("Divorce money", broker="alpaca"))
        message = await room.ann.send(room.channel, LONG)
        await room.until(lambda: room.replies(message.id))
        assert "Divorce" not in room.replies(message.id)[0]

    in_room(desk, served, play)


def test_where_the_server_is_stays_untold(desk, ann, served, line):
    async def play(room):
        room.register(ann, max_signal_age_seconds=5)
        line.faults = [Fault.CUT] * 50
        failed = room.post(LONG)
        await room.wait_for(lambda: room.states() == ["FAILED"])
        await room.until(lambda: room.replies(failed))
        line.close()
        health = await room.ann.send(room.channel, "!health")
        for message in (failed, health.id):
            assert "127.0.0.1" not in room.replies(message)[0]
            assert str(line.port) not in room.replies(message)[0]

    in_room(desk, served, play, settings={"webhook_port": line.port})


# --- one user's trouble -------------------------------------------------------------------------


def test_a_broker_that_does_not_answer_holds_up_no_later_message(desk, ann, served):
    async def play(room):
        bob = desk.trader("bob@example.org")
        room.register(ann)
        room.register(bob)
        registry = desk.app.extensions["dashtrade"].registry
        whole = registry.broker

        def away(connection_id):
            if connection_id == ann.connection_id:
                raise Unavailable("no answer")
            return whole(connection_id)

        registry.broker = away
        room.post(LONG)
        second = room.post(ETHER)
        await room.wait_for(lambda: len(bob.signals()) == 2, seconds=60)
        age = bob.signals()[1]["received_at"] - bob.signals()[0]["received_at"]
        assert age.total_seconds() < 60
        registry.broker = whole
        await room.wait_for(lambda: len(ann.signals()) == 2)
        assert {signal["sender_id"] for signal in ann.signals()} >= {str(second)}
        assert len(bob.signals()) == 2

    in_room(desk, served, play)


# --- closing ------------------------------------------------------------------------------------


def test_a_close_that_comes_late_is_sent_all_the_same(desk, ann, served, line):
    async def play(room):
        room.register(ann, max_signal_age_seconds=5)
        await room.ann.send(room.channel, LONG)
        line.faults = [Fault.CUT] * 4
        closing = room.post("close BTC-USD")
        await room.wait_for(lambda: len(room.signals()) == 2)
        assert room.signals()[1]["sender_id"] == str(closing)
        await room.wait_for(lambda: room.states() == ["STORED", "STORED"])

    in_room(desk, served, play, settings={"webhook_port": line.port})


def test_a_close_of_the_coin_alone_finds_its_bot_whatever_it_is_quoted_in(desk, ann, served):
    async def play(room):
        room.register(ann)
        await room.ann.send(room.channel, LONG)
        await room.ann.send(room.channel, "close BTC")
        first, second = room.signals()
        assert (second["state"], second["code"]) == ("STORED", None)
        assert second["bot_config_id"] == first["bot_config_id"]

    in_room(desk, served, play)


# --- floods -------------------------------------------------------------------------------------


def test_a_message_that_is_edited_often_is_answered_once(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        for stop in range(59000, 59004):
            await room.ann.edit(message, f"LONG BTC-USD 60000/{stop}/70000")
            await room.told()
        assert len(room.replies(message.id)) == 1
        assert room.states() == ["STORED", *["EDITED"] * 4]
        await room.until(lambda: all(row["answered_at"] for row in room.rows() if row["state"] == "EDITED"))

    in_room(desk, served, play)


def test_an_edit_of_what_was_refused_is_not_said_to_have_been_executed(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, "LONG BTC-USD Entry: 60000 TP: 65000")
        await room.until(lambda: room.replies(message.id))
        [refusal] = room.replies(message.id)
        await room.ann.edit(message, LONG)
        await room.until(
            lambda: [row["state"] for row in room.rows() if row["answered_at"]] == ["REFUSED", "EDITED"]
        )
        assert refusal.startswith("❌ ")
        assert room.replies(message.id) == [refusal, EDITED]

    in_room(desk, served, play)


def test_commands_are_answered_so_often_and_no_more(desk, ann, served):
    async def play(room):
        room.register(ann)
        asked = [await room.ann.send(room.channel, "!stats") for _ in range(15)]
        answered = [message for message in asked if room.replies(message.id)]
        assert answered == asked[:10]

    in_room(desk, served, play)


def test_the_commands_of_other_bots_are_not_answered(desk, ann, served):
    async def play(room):
        other = room.guild.add_member(room.env.create_user("echo", bot=True))
        room.register(ann)
        message = room.post("!stats", author=other)
        await room.told()
        assert room.replies(message) == []

    in_room(desk, served, play)


def test_outcomes_are_told_beside_any_number_that_wait(desk, ann, served):
    """Entries that rest for an hour take nobody's turn."""

    async def play(room):
        registration = room.register(ann)
        first = await room.ann.send(room.channel, LONG)
        with desk.database.transaction() as transaction:
            transaction.execute(
                """
                INSERT INTO channel_messages (signal_channel_id, message_id, author_id, author, text, state,
                                              signal_uuid, posted_at)
                SELECT %s, each, 1, 'ann', 'LONG', 'STORED', signals.uuid, now()
                  FROM signals, generate_series(1, 600) AS each
                """,
                (registration,),
            )
        refused = await room.ann.send(room.channel, "LONG BTC-USD Entry: 60000 SL: 61000")
        await room.until(lambda: room.replies(refused.id))
        assert room.replies(first.id) == []

    in_room(desk, served, play)


def test_a_signal_that_is_gone_is_told_as_gone(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        with desk.database.transaction() as transaction:
            transaction.execute("DELETE FROM signals")
        await room.until(lambda: room.replies(message.id))
        assert "no longer known" in room.replies(message.id)[0]

    in_room(desk, served, play)
