"""The bot's own process and a Discord on sockets: death in the middle, one that waits, one that says wait."""

import psutil
import psycopg2
import pytest

from database import discord_accounts
from tests.discord_gateway import Gateway
from tests.discord_gateway.process import TOKEN, environment, running
from tests.discord_gateway.server import ANN, DM
from tests.discord_room.room import serving
from tests.discord_room.signals import notify, told

EVE = 4002


@pytest.fixture
def gateway():
    gateway = Gateway(TOKEN)
    yield gateway
    gateway.close()


@pytest.fixture
def environ(desk, gateway):
    """Give what the bot's process is started with."""
    with serving(desk) as served:
        yield environment(desk, gateway, served)


def link(desk, trader, discord_id):
    with desk.database.transaction() as transaction:
        assert discord_accounts.link(
            transaction, trader.id, discord_id, "x", psycopg2_now(transaction), actor="test"
        )


def psycopg2_now(transaction):
    return transaction.value("SELECT now()")


def sent_to(gateway, discord_id):
    return [each for each in gateway.messages if each["channel_id"] == str(discord_id + DM)]


def asked(gateway, discord_id):
    return [each for each in gateway.asked_to_post if each["channel_id"] == str(discord_id + DM)]


def lease_runs_out(desk):
    with desk.database.transaction() as transaction:
        transaction.execute(
            "UPDATE signal_notifications SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL"
        )


def first_answers(gateway):
    return [each for each in gateway.answers if each["path"][0] == "interactions"]


def test_killed_between_sending_and_booking_it_sends_one_message(desk, ann, gateway, environ, tmp_path):
    link(desk, ann, ANN)
    gateway.swallows_answers = True
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.is_joined)
        number = notify(desk, ann.id)
        bot.wait_for(lambda: sent_to(gateway, ANN))
        bot.process.kill()
        bot.process.wait()
    row = told(desk, number)
    assert (row["sent_at"], row["attempts"]) == (None, 1)
    gateway.swallows_answers = False
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.is_joined)
        # Whose sender died is left alone until its lease is over
        assert told(desk, number)["attempts"] == 1
        lease_runs_out(desk)
        bot.wait_for(lambda: told(desk, number)["sent_at"])
    row = told(desk, number)
    [message] = sent_to(gateway, ANN)
    assert row["discord_message_id"] == int(message["id"])
    assert [each["nonce"] for each in asked(gateway, ANN)] == [f"signal-{number}"] * 2


def test_pressed_before_it_was_booked_it_is_booked_by_the_press(desk, ann, gateway, environ, tmp_path):
    """Its sender died, its reader is quick: what somebody presses has arrived, and is not sent again."""
    link(desk, ann, ANN)
    gateway.swallows_answers = True
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.is_joined)
        number = notify(desk, ann.id)
        [message] = bot.wait_for(lambda: sent_to(gateway, ANN))
        bot.process.kill()
        bot.process.wait()
    gateway.swallows_answers = False
    with running(environ, tmp_path) as bot:
        # The gateway may not have noticed yet that the first one is gone
        bot.says("connected to Discord")
        gateway.press(f"signal:ignore:{number}", message)
        bot.wait_for(lambda: told(desk, number)["answer"] == "ignored" and told(desk, number)["sent_at"])
        bot.wait_for(lambda: "Ignored" in str(message["embeds"]))
        lease_runs_out(desk)
        bot.says(f"interaction {first_answers(gateway)[0]['path'][1]}")
    assert told(desk, number)["discord_message_id"] == int(message["id"])
    assert len(asked(gateway, ANN)) == 1


def test_while_one_person_s_messages_hang_another_gets_theirs(desk, ann, gateway, environ, tmp_path):
    eve = desk.trader("eve@example.org")
    link(desk, ann, ANN)
    link(desk, eve, EVE)
    wait = {"status": 429, "body": {"message": "slow", "retry_after": 3.0, "global": False}}
    gateway.refusing[ANN + DM] = [wait]
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.is_joined)
        number = notify(desk, ann.id)
        bot.wait_for(lambda: asked(gateway, ANN))
        other = notify(desk, eve.id)
        bot.wait_for(lambda: told(desk, other)["sent_at"])
        bot.wait_for(lambda: told(desk, number)["sent_at"])
    first, second = (each["at"] for each in asked(gateway, ANN))
    assert second - first >= 3.0
    assert told(desk, other)["sent_at"] < told(desk, number)["sent_at"]


def test_a_hanging_database_is_said_while_it_hangs(desk, ann, gateway, environ, tmp_path):
    """A form must be Discord's first answer, within 3 seconds: the database is not waited for longer."""
    link(desk, ann, ANN)
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.is_joined)
        number = notify(desk, ann.id)
        bot.wait_for(lambda: told(desk, number)["sent_at"])
        [message] = sent_to(gateway, ANN)
        holder = psycopg2.connect(desk.database.url)
        holder.cursor().execute("LOCK TABLE signal_notifications IN ACCESS EXCLUSIVE MODE")
        presses = [gateway.press(f"signal:open:{number}", message) for _ in range(6)]
        # Only we can let go of the lock, so these answers come while the database hangs
        bot.wait_for(lambda: len(first_answers(gateway)) == len(presses))
        assert {each["data"]["content"] for each in first_answers(gateway)} == {
            "DashTrade's database does not answer at the moment. Try again in a minute."
        }
        holder.rollback()
        holder.close()
        bot.wait_for(lambda: gateway.press(f"signal:open:{number}", message) and form_shown(gateway))


def form_shown(gateway):
    return next((each["data"] for each in first_answers(gateway) if each["type"] == 9), None)


def test_two_processes_have_one_gateway_owner_and_a_press_is_answered_once(
    desk, ann, gateway, environ, tmp_path
):
    """D7.1: seven processes of one token answered each other's interactions."""
    link(desk, ann, ANN)
    with running(environ, tmp_path) as first:
        first.wait_for(lambda: gateway.is_joined)
        with running(environ, tmp_path) as second:
            second.says("another process is the bot; waiting to take over")
            number = notify(desk, ann.id)
            first.wait_for(lambda: told(desk, number)["sent_at"])
            [message] = sent_to(gateway, ANN)
            press = gateway.press(f"signal:ignore:{number}", message)
            first.wait_for(lambda: told(desk, number)["answer"] == "ignored")
            first.says(f"interaction {press} of user {ANN}, process {first.process.pid}")
            assert len(gateway.identified) == 1
            assert f"interaction {press}" not in second.log.read_text()
    assert [each["path"][1] for each in first_answers(gateway)] == [str(press)]


def test_what_signals_add_to_its_memory_is_little(desk, ann, gateway, environ, tmp_path):
    link(desk, ann, ANN)
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.is_joined)
        before = psutil.Process(bot.process.pid).memory_info().rss
        numbers = [notify(desk, ann.id, pair=f"P{count}") for count in range(200)]
        bot.wait_for(lambda: len(sent_to(gateway, ANN)) == len(numbers), 240)
        after = psutil.Process(bot.process.pid).memory_info().rss
    print(f"RSS {before / 2**20:.1f} MB, after 200 signals {after / 2**20:.1f} MB")
    assert after < 150 * 2**20
