"""What the Discord bot does when it, Discord, or the right to speak was away: nothing lost, nothing twice."""

from datetime import timedelta

import discord
import pytest

from tests.discord_room.lossy import Fault, Line
from tests.discord_room.room import in_room, serving

LONG = "LONG BTC-USD 60000/58000/65000"


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


@pytest.fixture
def line(served):
    line = Line(served.port)
    yield line
    line.close()


def end(desk, state="SKIPPED", sentence="Already long."):
    """Let every signal end without the engine."""
    with desk.database.transaction() as transaction:
        transaction.execute(
            "UPDATE signals SET state = %s, code = 'ALREADY_LONG', sentence = %s, finished_at = now()",
            (state, sentence),
        )


# --- restarts -----------------------------------------------------------------------------------


def test_an_outcome_is_told_by_the_next_bot_once(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        await room.leave()
        end(desk)
        await room.come_back()
        await room.until(lambda: room.replies(message.id))
        assert room.replies(message.id) == ["❌ Already long."]
        assert room.signs(message.id) == {"❌"}
        await room.leave()
        await room.come_back()
        await room.told()
        assert len(room.replies(message.id)) == 1
        assert len(room.signals()) == 1

    in_room(desk, served, play)


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.ANSWER_LOST], ids=str)
def test_what_was_being_sent_at_death_is_sent_on_and_stored_once(desk, ann, served, line, fault):
    async def play(room):
        room.register(ann)
        line.faults = [fault] * 50
        message = room.post(LONG)
        await room.wait_for(lambda: line.requests)
        await room.leave()
        assert room.states() == ["SENDING"]
        line.faults = []
        await room.come_back()
        assert room.states() == ["STORED"]
        assert [signal["sender_id"] for signal in room.signals()] == [str(message)]

    in_room(desk, served, play, settings={"webhook_port": line.port})


def test_the_author_who_may_by_a_role_still_may_after_a_restart(desk, ann, served, line):
    async def play(room):
        role = room.guild.create_role("Traders")
        carl = room.guild.add_member(room.env.create_user("carl"), roles=[role])
        room.register(ann, author_ids=[], role_ids=[role.id])
        line.faults = [Fault.SILENT] * 50
        room.post(LONG, author=carl)
        await room.wait_for(lambda: line.requests)
        await room.leave()
        line.faults = []
        await room.come_back()
        assert room.states() == ["STORED"], room.rows()

    in_room(desk, served, play, settings={"webhook_port": line.port})


def test_what_is_too_old_after_a_restart_is_told_and_not_sent(desk, ann, served, line):
    async def play(room):
        room.register(ann)
        line.faults = [Fault.CUT] * 50
        message = room.post(LONG)
        await room.wait_for(lambda: line.requests)
        await room.leave()
        line.faults = []
        room.env.backend.advance_clock(500)
        await room.come_back()
        await room.until(lambda: room.replies(message))
        assert (room.states(), room.signals()) == (["FAILED"], [])
        assert "too old" in room.replies(message)[0]

    in_room(desk, served, play, settings={"webhook_port": line.port})


# --- the backlog --------------------------------------------------------------------------------


def test_what_was_posted_meanwhile_is_told_once_and_never_traded(desk, ann, served):
    async def play(room):
        room.register(ann)
        eve = room.guild.add_member(room.env.create_user("eve"))
        await room.ann.send(room.channel, LONG)
        await room.leave()
        missed = room.post("SHORT ETH-USD 3000/3100/2700")
        room.post("how is everybody?")
        room.post("LONG SOL-USD Entry: 150 SL: 160")
        strangers = room.post(LONG, author=eve)
        command = room.post("!stats")
        await room.come_back()
        await room.until(lambda: room.replies(missed))
        assert room.states() == ["STORED", "BACKLOG"]
        assert len(room.signals()) == 1
        assert "not connected" in room.replies(missed)[0]
        assert room.replies(strangers) == room.replies(command) == []
        await room.leave()
        await room.come_back()
        await room.told()
        assert room.states() == ["STORED", "BACKLOG"]
        assert len(room.replies(missed)) == 1
        live = await room.ann.send(room.channel, "LONG SOL-USD 150/140/180")
        assert room.states() == ["STORED", "BACKLOG", "STORED"]
        assert room.signs(live.id) == {"⏳"}

    in_room(desk, served, play)


def test_a_role_is_looked_up_for_what_is_read_back(desk, ann, served):
    async def play(room):
        role = room.guild.create_role("Traders")
        carl = room.guild.add_member(room.env.create_user("carl"), roles=[role])
        room.register(ann, author_ids=[], role_ids=[role.id])
        await room.leave()
        missed = room.post(LONG, author=carl)
        room.post(LONG)
        await room.come_back()
        await room.until(lambda: room.replies(missed))
        assert room.states() == ["BACKLOG"]

    in_room(desk, served, play)


def test_what_was_said_before_the_registration_is_left_alone(desk, ann, served):
    async def play(room):
        room.post(LONG)
        await room.leave()
        room.register(ann)
        with desk.database.transaction() as transaction:
            transaction.execute(
                "UPDATE signal_channels SET created_at = %s", (room.env.now() + timedelta(seconds=1),)
            )
        await room.come_back()
        assert room.states() == []

    in_room(desk, served, play)


def test_what_comes_before_a_resumed_connection_is_whole_was_missed(desk, ann, served):
    async def play(room):
        room.register(ann)
        room.bot.dispatch("disconnect")
        missed = await room.ann.send(room.channel, LONG)
        room.bot.dispatch("resumed")
        live = await room.ann.send(room.channel, "LONG ETH-USD 3000/2900/3300")
        await room.until(lambda: room.replies(missed.id))
        assert room.states() == ["BACKLOG", "STORED"]
        assert room.signs(live.id) == {"⏳"}

    in_room(desk, served, play)


def test_what_is_heard_live_waits_for_no_look_at_how_the_bot_stands(desk, ann, served, monkeypatch):
    """The look asks the webhook server and Discord; where it fails, nothing would ever be heard."""

    async def fails(self):
        raise OSError("it cannot be reached")

    async def play(room):
        room.register(ann)
        await room.leave()
        monkeypatch.setattr("discord_bot.standing.Standing._look_at_key", fails)
        room.may_fail = True
        await room.come_back()
        room.post(LONG)
        await room.until(lambda: room.states() == ["STORED"])

    in_room(desk, served, play)


# --- edits and deletions ------------------------------------------------------------------------


def test_an_edit_of_a_signal_is_shown_and_changes_nothing(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        await room.ann.edit(message, "LONG BTC-USD 60000/59000/70000")
        await room.until(lambda: room.replies(message.id))
        assert room.replies(message.id) == [
            "✏️ This message was edited after it had been read; nothing was changed."
        ]
        await room.ann.edit(message, "LONG BTC-USD 60000/59000/70000")
        await room.told()
        assert room.states() == ["STORED", "EDITED"]
        assert len(room.signals()) == 1
        end(desk)
        await room.until(lambda: len(room.replies(message.id)) == 2)

    in_room(desk, served, play)


def test_a_message_does_not_become_a_signal_by_an_edit(desk, ann, served):
    async def play(room):
        room.register(ann)
        talk = await room.ann.send(room.channel, "wait for it")
        await room.ann.edit(talk, LONG)
        refused = await room.ann.send(room.channel, "LONG BTC-USD Entry: 60000 SL: 61000")
        await room.ann.edit(refused, LONG)
        await room.told()
        assert room.signals() == []
        assert room.states() == ["REFUSED", "EDITED"]
        assert len(room.replies(refused.id)) == 1

    in_room(desk, served, play)


def test_a_deletion_is_noted_and_the_outcome_still_told(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        talk = await room.ann.send(room.channel, "hello")
        await room.ann.delete(message)
        await room.ann.delete(talk)
        assert room.states() == ["STORED", "DELETED"]
        end(desk)
        await room.until(lambda: all(row["answered_at"] for row in room.rows()))
        assert "Already long." in room.channel.last_message.content

    in_room(desk, served, play)


# --- what Discord does not allow ----------------------------------------------------------------


def lacking(desk):
    return desk.value("SELECT lacking FROM discord_bot_status")


def test_a_missing_permission_is_named_and_the_signal_trades_all_the_same(desk, ann, served):
    async def play(room):
        room.channel = muted = room.guild.create_text_channel(
            "muted",
            overwrites={
                room.guild.default_role: discord.PermissionOverwrite(send_messages=False, add_reactions=False)
            },
        )
        owner = room.guild.add_member(room.env.create_user("owner"))
        poster = room.guild.add_member(room.env.create_user("poster"), roles=[admin(room)])
        room.register(ann, author_ids=[poster.id])
        room.link(ann, owner.id)
        await room.env.advance_time(11)
        # Who may not speak may embed nothing either
        names = ("Send Messages", "Embed Links", "Add Reactions")
        assert lacking(desk) == [f"{name} in #muted (Test Guild)" for name in names]
        await poster.send(muted, LONG)
        assert room.states() == ["STORED"]
        end(desk)
        await room.until(lambda: room.rows()[0]["answered_at"])
        told = [message.content for message in owner.user.dm_channel.history()]
        assert len(told) == 1
        assert told[0].startswith("❌ Already long.\n")

    in_room(desk, served, play)


def admin(room):
    return room.guild.create_role("Admins", permissions=discord.Permissions(administrator=True))


def test_closed_direct_messages_are_no_obstacle(desk, ann, served, caplog):
    async def play(room):
        room.register(ann)
        room.link(ann, room.ann.id)
        await room.ann.send(room.channel, LONG)
        room.env.inject_error("POST", "/channels/*/messages", status=403, code=50007, times=None)
        end(desk)
        await room.until(lambda: room.rows()[0]["answered_at"])
        assert "cannot be told in private either" in caplog.text

    in_room(desk, served, play)


def test_a_fault_of_discord_is_no_end_it_is_told_later(desk, ann, served):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, LONG)
        room.env.inject_error("POST", "/channels/*/messages", status=500, times=2)
        end(desk)
        await room.until(lambda: room.replies(message.id))
        assert room.replies(message.id) == ["❌ Already long."]

    in_room(desk, served, play)


def test_a_channel_of_its_own_hears_what_is_missing(desk, ann, served):
    async def play(room):
        room.register(ann)
        room.settings = room.settings.model_copy(
            update={"discord_channel_id": room.channel.id, "signal_api_key": None}
        )
        await room.leave()
        await room.come_back(settings=room.settings)
        assert "SIGNAL" in room.channel.last_message.content
        assert [words.split(":")[0] for words in lacking(desk)] == ["SIGNAL_API_KEY"]

    in_room(desk, served, play)


def test_a_server_that_the_bot_is_not_in_is_named(desk, ann, served):
    async def play(room):
        assert lacking(desk)[0].startswith("server 4711: ")

    in_room(desk, served, play, settings={"discord_guild_id": 4711})
