"""From a message in a simulated Discord server to an executed order and its reply, and what must never trade."""

import asyncio
import threading
import time
from decimal import Decimal

import psycopg2
import pytest

from discord_bot import prefix, slash
from tests.discord_room.lossy import Fault, Line
from tests.discord_room.room import in_room, serving

LONG = "LONG BTC-USD 60000/58000/65000"
WITHOUT_STOP = "LONG BTC-USD Entry: 60000 TP: 65000"


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


@pytest.fixture
def line(served):
    line = Line(served.port)
    yield line
    line.close()


def test_a_message_becomes_an_order_and_its_fill_a_reply(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, room.long())
        assert room.signs(message.id) == {"⏳"}
        assert (room.states(), room.replies(message.id)) == (["STORED"], [])
        [signal] = room.signals()
        assert signal["sender_id"] == str(message.id)
        assert signal["understood"]["extras"]["author"] == str(room.ann.id)
        assert signal["understood"]["extras"]["format"] == "COMPACT"
        assert signal["sent_at"] == message.created_at

        room.work()
        await room.until(lambda: room.replies(message.id))
        [reply] = room.replies(message.id)
        [trade] = desk.all("SELECT * FROM bot_trades")
        assert trade["status"] == "FILLED"
        assert reply.startswith("✅ Bought BTC/USD: filled at ")
        assert f"{trade['filled_price']:,.0f}"[:4] in reply
        assert room.signs(message.id) == {"✅"}
        [row] = room.rows()
        assert row["answered_at"] is not None
        await room.told()
        assert len(room.replies(message.id)) == 1

    in_room(desk, served, play)


def test_a_refusal_of_the_engine_is_told_with_its_sentence(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        room.work()
        await room.until(lambda: room.replies(message.id))
        [signal] = room.signals()
        assert signal["state"] != "EXECUTED"
        [reply] = room.replies(message.id)
        assert reply.startswith("❌ ")
        assert room.signs(message.id) == {"❌"}

    in_room(desk, served, play)


# --- what never trades --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"!test {LONG}", f" !test {LONG}", f"**!test** {LONG}", f"`!test {LONG}`", f"> !test {LONG}",
        f"!test\n{LONG}", f"!{LONG}", f"! {LONG}", f"!unknown {LONG}", f"\u200b!test {LONG}", f"!stats\n{LONG}",
    ],
)  # fmt: skip
def test_a_command_never_trades_whatever_follows(desk, ann, served, text):
    async def play(room):
        room.register(ann)
        await room.ann.send(room.channel, text)
        await room.told()
        assert (room.rows(), room.signals()) == ([], [])

    in_room(desk, served, play)


def test_exactly_the_intended_commands_are_registered(desk, ann, served):
    async def play(room):
        intended = {"status", "balance", "stats", "link", "settings", "trades", "history", "stop"}
        assert set(room.ann.available_commands(room.channel)) == intended
        assert {command.name for command in slash.COMMANDS} == intended
        assert set(prefix.COMMANDS) == {"health", "stats", "test"}

    in_room(desk, served, play)


@pytest.mark.parametrize(
    "text", ["BTC looks good today", "did anybody long BTC at 60000?", "closed my long, +5 %", "🚀🚀🚀", "gm"]
)
def test_talk_is_neither_noted_nor_answered(desk, ann, served, text):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, text)
        await room.told()
        assert (room.rows(), room.signals()) == ([], [])
        assert (room.signs(message.id), room.replies(message.id)) == (set(), [])

    in_room(desk, served, play)


def test_a_signal_that_contradicts_itself_is_answered_with_the_reason(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, "LONG BTC-USD Entry: 60000 SL: 61000 TP: 65000")
        await room.told()
        [row] = room.rows()
        assert (row["state"], room.signals()) == ("REFUSED", [])
        [reply] = room.replies(message.id)
        assert "61" in reply
        assert room.signs(message.id) == {"❌"}

    in_room(desk, served, play)


def test_who_may_signal(desk, ann, served):
    async def play(room):
        role = room.guild.create_role("Traders")
        eve, bob = (room.guild.add_member(room.env.create_user(name)) for name in ("eve", "bob"))
        carl = room.guild.add_member(room.env.create_user("carl"), roles=[role])
        robot = room.guild.add_member(room.env.create_user("signals", bot=True))
        room.register(ann, author_ids=[robot.id], role_ids=[role.id])
        bertha = desk.trader("bertha@example.org")
        room.register(bertha, author_ids=[])
        room.link(bertha, bob.id)
        taken = {}
        for author in (room.ann, eve, bob, carl, robot):
            before = len(room.signals())
            await author.send(room.channel, LONG)
            taken[author.name] = [signal["user_id"] for signal in room.signals()[before:]]
            await eve.send(room.channel, WITHOUT_STOP)
        assert taken == {"ann": [], "eve": [], "bob": [bertha.id], "carl": [ann.id], "signals": [ann.id]}
        # Strangers' mistakes are no business of ours
        assert "REFUSED" not in room.states()

    in_room(desk, served, play)


def test_other_channels_and_those_switched_off_are_left_alone(desk, ann, served):
    async def play(room):
        room.register(ann)
        other = room.guild.create_text_channel("general")
        await room.ann.send(other, LONG)
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE signal_channels SET is_active = false")
        await room.ann.send(room.channel, LONG)
        await room.ann.send_dm(LONG)
        assert (room.rows(), room.signals()) == ([], [])

    in_room(desk, served, play)


# --- several users ------------------------------------------------------------------------------


def test_two_registrations_are_two_signals_and_one_reply(desk, ann, served):
    async def play(room):
        bob = desk.trader("bob@example.org")
        room.register(ann)
        room.register(bob, position_size=Decimal(321))
        message = await room.ann.send(room.channel, room.long())
        assert [signal["user_id"] for signal in room.signals()] == [ann.id, bob.id]
        with desk.database.transaction() as transaction:
            transaction.execute(
                "UPDATE user_api_keys SET trading_state = 'HALTED' WHERE user_id = %s", (bob.id,)
            )
        room.work()
        await room.until(
            lambda: len(set(room.states())) == 1 and all(row["answered_at"] for row in room.rows())
        )
        [reply] = room.replies(message.id)
        assert "filled at" in reply
        assert "(1 of 2)" in reply
        for private in ("bob", "ann@", "321", "Practice"):
            assert private not in reply
        assert room.signs(message.id) == {"✅"}

    in_room(desk, served, play)


def test_signals_that_end_at_different_times_share_one_reply(desk, ann, served):
    async def play(room):
        bob = desk.trader("bob@example.org")
        room.register(ann)
        room.register(bob, entry_mode="limit", max_price_deviation_percent=Decimal(50))
        message = await room.ann.send(room.channel, room.long())
        first, second = room.signals()
        end(desk, first["id"])
        await room.until(lambda: room.replies(message.id))
        [reply] = room.replies(message.id)
        assert "1 of 2 not known yet" in reply
        assert room.signs(message.id) == {"⏳"}
        end(desk, second["id"])
        await room.until(lambda: "not known" not in room.replies(message.id)[0])
        assert len(room.replies(message.id)) == 1
        assert "⏳" not in room.signs(message.id)

    in_room(desk, served, play)


def end(desk, signal_id):
    """Let a signal end as one that needed nothing done."""
    with desk.database.transaction() as transaction:
        transaction.execute(
            "UPDATE signals SET state = 'SKIPPED', code = 'ALREADY_LONG', sentence = 'Already long.',"
            " finished_at = now() WHERE id = %s",
            (signal_id,),
        )


# --- the way to the API -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        [Fault.ANSWER_LOST], [Fault.CUT], [Fault.UNAVAILABLE], [Fault.TOO_MANY],
        [Fault.UNAVAILABLE, Fault.ANSWER_LOST],
    ],
    ids=str,
)  # fmt: skip
def test_a_lost_answer_is_asked_for_again_and_trades_once(desk, ann, served, line, faults):
    async def play(room):
        room.register(ann)
        line.faults = list(faults)
        message = await room.ann.send(room.channel, LONG)
        assert line.requests == len(faults) + 1
        assert (len(room.signals()), room.states()) == (1, ["STORED"])
        assert room.signs(message.id) == {"⏳"}

    in_room(desk, served, play, settings={"webhook_port": line.port})


def test_a_refusal_is_never_sent_again(desk, ann, served, line):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        await room.told()
        assert line.requests == 1
        [row] = room.rows()
        assert (row["state"], room.signals()) == ("REFUSED", [])
        assert room.signs(message.id) == {"❌"}
        [reply] = room.replies(message.id)
        assert reply.startswith("❌ ")

    key = "svc_" + "x" * 43
    in_room(desk, served, play, settings={"webhook_port": line.port, "signal_api_key": key})


def test_a_server_that_stays_away_is_told_and_the_next_message_is_too_late(desk, ann, served, line):
    async def play(room):
        room.register(ann, max_signal_age_seconds=5)
        line.faults = [Fault.CUT] * 50
        first = room.post(LONG)
        second = room.post("LONG ETH-USD 3000/2900/3300")
        await room.wait_for(lambda: room.states() == ["FAILED", "LATE"])
        await room.until(lambda: room.replies(second))
        assert room.states() == ["FAILED", "LATE"]
        assert room.signals() == []
        assert "did not take it in time" in room.replies(first)[0]
        assert "takes signals for 5 s" in room.replies(second)[0]
        assert room.signs(first) == {"❌"}

    in_room(desk, served, play, settings={"webhook_port": line.port})


def test_a_signal_that_was_stored_after_all_is_followed(desk, ann, served, line):
    async def play(room):
        room.register(ann, max_signal_age_seconds=5)
        line.faults = [Fault.ANSWER_LOST] + [Fault.CUT] * 50
        message = await room.ann.send(room.channel, LONG)
        assert (len(room.signals()), room.states()) == (1, ["STORED"])
        end(desk, room.signals()[0]["id"])
        await room.until(lambda: room.replies(message.id))
        assert room.replies(message.id) == ["❌ Already long."]

    in_room(desk, served, play, settings={"webhook_port": line.port})


def test_a_database_that_is_held_up_does_not_stop_the_loop(desk, ann, served):
    """Nothing blocks in a handler: while its query waits for a lock, the loop goes on turning."""

    async def play(room):
        room.register(ann)
        turns = 0

        async def turn():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.02)

        holder = psycopg2.connect(desk.database.url)
        holder.cursor().execute("LOCK TABLE signal_channels IN ACCESS EXCLUSIVE MODE")
        turned_meanwhile = []
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

        def let_go_when_it_turned():
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not desk.value(asleep):
                time.sleep(0.02)
            before = turns
            while time.monotonic() < deadline and turns < before + 10:
                time.sleep(0.02)
            turned_meanwhile.append(turns - before)
            holder.rollback()
            holder.close()

        ticking = asyncio.create_task(turn())
        watching = threading.Thread(target=let_go_when_it_turned)
        watching.start()
        try:
            await room.ann.send(room.channel, LONG)
        finally:
            await asyncio.to_thread(watching.join)
            ticking.cancel()
        assert turned_meanwhile[0] >= 10
        assert room.states() == ["STORED"]

    in_room(desk, served, play)
