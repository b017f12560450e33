"""Signals and trade updates on their way: to whom, where to, in which order, how often, and what if not."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import discord
import pytest

from core.trade_wording import cancelled
from database import notification_sending, tracked_trades
from database.trade_rows import told_of
from database.trade_updates import UpdateKind
from tests.discord_room.room import in_room, serving
from tests.discord_room.signals import notify, told, trade, update, wishes
from tests.log_lines import logged, named

TARGET = "✅ Take Profit Hit! +108 pips (+$540)\nTrade #1 · EUR/USD LONG 0.5 lots · 1h 43m"


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


def posts(room, channel_id):
    """Return what was asked of Discord to be written into a channel."""
    path = f"/channels/{channel_id}/messages"
    return [each for each in room.env.http_requests if each.method == "POST" and each.path == path]


def updates(desk):
    return desk.all("SELECT * FROM trade_updates WHERE update_type <> 'opened' ORDER BY id")


def due_now(desk):
    """Let as much time pass as every pause takes."""
    for table in ("signal_notifications", "trade_updates"):
        with desk.database.transaction() as transaction:
            transaction.execute(
                f"UPDATE {table} SET next_attempt_at = now() - interval '1 minute' WHERE next_attempt_at IS NOT NULL"
            )


def person(room, trader, name="trader"):
    """Link a Discord user of the server to a trader."""
    user = room.env.create_user(name)
    room.guild.add_member(user)
    room.link(trader, user.id)
    return user


# --- where to -----------------------------------------------------------------------------------


def test_to_the_channel_that_was_chosen_with_a_mention(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        wishes(desk, ann.id, notification_channel_id=room.channel.id)
        number = notify(desk, ann.id)
        await room.until(lambda: told(desk, number)["sent_at"])
        message = room.channel.last_message
        assert message.content == f"<@{user.id}> 📈 LONG EUR/USD · 1 Hour"
        [post] = posts(room, room.channel.id)
        assert post.json["allowed_mentions"]["users"] == [user.id]
        assert not set(post.json["allowed_mentions"].get("parse", ())) & {"everyone", "roles", "users"}
        assert told(desk, number)["discord_channel_id"] == room.channel.id

    in_room(desk, served, play)


def test_a_channel_that_the_user_cannot_see_is_not_written_into(desk, ann, served):
    """Anybody can type anybody's channel: what is in it is for those who read it."""

    async def play(room):
        other = room.env.create_guild("Others").create_text_channel("private")
        user = person(room, ann)
        for channel_id in (other.id, 123456789012345678):
            wishes(desk, ann.id, notification_channel_id=channel_id)
            number = notify(desk, ann.id, pair="GBP/USD" if channel_id == other.id else "EUR/USD")
            await room.until(lambda number=number: told(desk, number)["sent_at"])
            row = told(desk, number)
            assert row["discord_channel_id"] == user.dm_channel.id
            assert row["last_error"].startswith("It was sent elsewhere: ")
            assert str(channel_id) in row["last_error"]
        assert other.last_message is None

    in_room(desk, served, play)


@pytest.mark.parametrize("status", [403, 404])
def test_a_chosen_channel_that_refuses_is_switched_off_until_it_is_named_again(desk, ann, served, status):
    async def play(room):
        room.link(ann, room.ann.id)
        wishes(desk, ann.id, notification_channel_id=room.channel.id)
        path = f"/channels/{room.channel.id}/messages"
        room.env.inject_error("POST", path, status=status, message="Missing Access", times=None)
        first = notify(desk, ann.id)
        await room.until(lambda: told(desk, first)["sent_at"])
        second = notify(desk, ann.id, pair="GBP/USD")
        await room.until(lambda: told(desk, second)["sent_at"])
        assert room.channel.id not in {told(desk, each)["discord_channel_id"] for each in (first, second)}
        assert len(posts(room, room.channel.id)) == 1
        because = f"Discord answered {status}: Missing Access"
        [row] = desk.all("SELECT * FROM user_discord_settings")
        assert row["notification_channel_off_because"] == because
        shown = await room.ann.slash(room.channel, "settings")
        [embed] = shown.response.embeds
        assert because in next(each.value for each in embed.fields if each.name == "channel")
        await room.ann.slash(room.channel, "settings", channel=f"<#{room.channel.id}>")
        third = notify(desk, ann.id, pair="USD/JPY")
        await room.until(lambda: told(desk, third)["sent_at"])
        assert len(posts(room, room.channel.id)) == 2

    in_room(desk, served, play)


@pytest.mark.parametrize("status", [401, 503])
def test_a_trouble_that_is_not_the_channels_leaves_it_on(desk, ann, served, status):
    """A wrong token of the bot would switch off everybody's."""

    async def play(room):
        person(room, ann)
        wishes(desk, ann.id, notification_channel_id=room.channel.id)
        room.env.inject_error("POST", f"/channels/{room.channel.id}/messages", status=status, times=1)
        number = notify(desk, ann.id)
        await room.until(lambda: told(desk, number)["last_error"])
        assert desk.all("SELECT notification_channel_off_at AS at FROM user_discord_settings") == [
            {"at": None}
        ]

    in_room(desk, served, play)


def test_a_channel_that_is_hidden_from_a_member_is_not_written_into(desk, ann, served):
    async def play(room):
        unseen = discord.PermissionOverwrite(view_channel=False)
        hidden = room.guild.create_text_channel("hidden", overwrites={room.guild.default_role: unseen})
        user = person(room, ann)
        wishes(desk, ann.id, notification_channel_id=hidden.id)
        number = notify(desk, ann.id)
        await room.until(lambda: told(desk, number)["sent_at"])
        assert told(desk, number)["discord_channel_id"] == user.dm_channel.id
        assert f"cannot see channel {hidden.id}" in told(desk, number)["last_error"]

    in_room(desk, served, play)


@pytest.mark.parametrize("code", [50007, 50278])
def test_closed_direct_messages_go_to_the_default_channel_with_a_mention(desk, ann, served, code):
    async def play(room):
        fallback = room.guild.create_text_channel("fallback")
        room.bot.desk.settings = room.settings.model_copy(update={"discord_channel_id": fallback.id})
        user = person(room, ann)
        room.env.inject_error(
            "POST", f"/channels/{user.dm_channel.id}/messages", status=403, code=code, times=None
        )
        number = notify(desk, ann.id)
        await room.until(lambda: told(desk, number)["sent_at"])
        assert told(desk, number)["discord_channel_id"] == fallback.id
        message = next(each for each in fallback.history() if each.embeds)
        assert message.content.startswith(f"<@{user.id}> ")
        trade_id = trade(desk, ann.id)
        update(desk, trade_id, UpdateKind.TARGET, TARGET, "108")
        await room.until(lambda: updates(desk)[0]["discord_notified"])
        said = fallback.last_message.content
        assert said == f"<@{user.id}> ✅ Take Profit Hit! +108 pips · trade #{trade_id} EUR/USD"

    in_room(desk, served, play)


def test_where_no_place_takes_it_the_row_says_why(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        wishes(desk, ann.id, notification_channel_id=123456789012345678)
        room.env.inject_error(
            "POST", f"/channels/{user.dm_channel.id}/messages", status=403, code=50007,
            message="Cannot send messages to this user", times=None,
        )  # fmt: skip
        number = notify(desk, ann.id)
        await room.until(lambda: told(desk, number)["failed_at"])
        row = told(desk, number)
        assert row["last_error"] == (
            "the bot does not see channel 123456789012345678;"
            " Discord answered 403 (code 50007): Cannot send messages to this user"
        )
        assert (row["sent_at"], row["next_attempt_at"]) == (None, None)

    in_room(desk, served, play)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_refused_for_good_is_not_tried_again(desk, ann, served, status):
    async def play(room):
        user = person(room, ann)
        room.env.inject_error("POST", f"/channels/{user.dm_channel.id}/messages", status=status, times=None)
        number = notify(desk, ann.id)
        await room.until(lambda: told(desk, number)["failed_at"])
        await room.env.advance_time(30)
        assert len(posts(room, user.dm_channel.id)) == 1
        assert f"Discord answered {status}" in told(desk, number)["last_error"]

    in_room(desk, served, play)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE user_discord_settings SET discord_user_id = NULL", "No Discord account is linked."),
        (
            "UPDATE user_discord_settings SET notifications_enabled = false",
            "Notifications were switched off.",
        ),
        ("UPDATE users SET is_active = false", "The account is closed."),
    ],
)
def test_nobody_is_told_who_is_gone_or_wants_nothing(desk, ann, served, change, words):
    async def play(room):
        user = person(room, ann)
        with desk.database.transaction() as transaction:
            transaction.execute(change)
        number = notify(desk, ann.id)
        await room.until(lambda: told(desk, number)["failed_at"])
        assert told(desk, number)["last_error"] == words
        assert posts(room, user.dm_channel.id) == []

    in_room(desk, served, play)


def test_whoever_wants_no_signals_is_told_of_their_trades_all_the_same(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        wishes(desk, ann.id, notifications_enabled=False)
        update(desk, trade(desk, ann.id), UpdateKind.TARGET, TARGET)
        await room.until(lambda: updates(desk)[0]["discord_notified"] or updates(desk)[0]["failed_at"])
        assert updates(desk)[0]["last_error"] is None
        assert user.dm_channel.last_message.content.startswith("✅ Take Profit Hit! +108 pips")

    in_room(desk, served, play)


def test_the_engines_reason_for_a_cancelled_trade_mentions_nobody(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        number = trade(desk, ann.id)
        with desk.database.transaction() as transaction:
            row = tracked_trades.trade(transaction, ann.id, number)
        words = cancelled(told_of(row), f"the broker says @everyone <@{user.id}> [here](https://example.org)")
        update(desk, number, UpdateKind.CANCELLED, words, "0")
        await room.until(lambda: updates(desk)[0]["discord_notified"])
        message = user.dm_channel.last_message
        assert message.content.startswith("🚫 Trade cancelled: the broker says ")
        for effect in ("@everyone", f"<@{user.id}>", "[here](", "https://"):
            assert effect not in message.content
        assert not message.mention_everyone
        assert not message.mentions

    in_room(desk, served, play)


# --- how often ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_what_passes_is_tried_again_under_the_same_nonce(desk, ann, served, status):
    async def play(room):
        user = person(room, ann)
        room.env.inject_error("POST", f"/channels/{user.dm_channel.id}/messages", status=status, times=2)
        number = notify(desk, ann.id)
        await room.until(lambda: told(desk, number)["last_error"])
        row = told(desk, number)
        assert f"Discord answered {status}" in row["last_error"]
        assert row["next_attempt_at"] > datetime.now(UTC) - timedelta(minutes=1)
        assert row["failed_at"] is None
        due_now(desk)
        await room.until(lambda: told(desk, number)["attempts"] == 2 and told(desk, number)["last_error"])
        due_now(desk)
        await room.until(lambda: told(desk, number)["sent_at"])
        made = posts(room, user.dm_channel.id)
        assert [(each.json["nonce"], each.json["enforce_nonce"]) for each in made] == [
            (f"signal-{number}", True)
        ] * 3
        assert told(desk, number)["last_error"] is None

    in_room(desk, served, play)


def test_pauses_grow(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        room.env.inject_error("POST", f"/channels/{user.dm_channel.id}/messages", status=503, times=None)
        number = notify(desk, ann.id)
        pauses = []
        for attempt in range(1, 4):
            await room.until(
                lambda attempt=attempt: (
                    told(desk, number)["attempts"] == attempt and told(desk, number)["last_error"]
                )
            )
            await room.env.settle()
            row = told(desk, number)
            pauses.append((row["next_attempt_at"] - room.env.now()).total_seconds())
            due_now(desk)
            with desk.database.transaction() as transaction:
                transaction.execute("UPDATE signal_notifications SET last_error = NULL")
        assert pauses[0] < pauses[1] < pauses[2]

    in_room(desk, served, play)


def test_a_signal_that_became_too_old_is_not_sent_as_if_it_were_new(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        number = notify(desk, ann.id)
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE signal_notifications SET expires_at = now() - interval '1 s'")
        await room.until(lambda: told(desk, number)["failed_at"])
        assert told(desk, number)["last_error"] == "It had expired before it could be sent."
        assert posts(room, user.dm_channel.id) == []

    in_room(desk, served, play)


def test_a_signal_that_was_answered_in_the_dashboard_is_not_sent(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        number = notify(desk, ann.id)
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE signal_notifications SET acknowledged = true, answer = 'ignored'")
        await room.until(lambda: told(desk, number)["next_attempt_at"] is None)
        assert told(desk, number)["failed_at"] is None
        assert posts(room, user.dm_channel.id) == []

    in_room(desk, served, play)


def test_two_that_send_at_once_claim_each_row_once(desk, ann):
    for pair in ("EUR/USD", "GBP/USD", "USD/JPY"):
        notify(desk, ann.id, pair=pair)
    trade_id = trade(desk, ann.id)
    for kind in (UpdateKind.RUNNING, UpdateKind.TARGET):
        update(desk, trade_id, kind, kind)
    claimed, barrier = [], threading.Barrier(4)

    def claim():
        barrier.wait()
        for _ in range(5):
            with desk.database.transaction() as transaction:
                parcel = notification_sending.next_parcel(transaction, ann.id, datetime.now(UTC))
            if parcel is not None:
                claimed.append(parcel)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    nonces = [parcel.nonce for parcel in claimed]
    assert len(nonces) == len(set(nonces)) == 4


# --- one beside the others ----------------------------------------------------------------------


def test_a_refusal_to_one_user_holds_up_nobody_else(desk, ann, served):
    eve = desk.trader("eve@example.org")

    async def play(room):
        first, second = person(room, ann, "first"), person(room, eve, "second")
        room.env.inject_error("POST", f"/channels/{first.dm_channel.id}/messages", status=503, times=None)
        late, good = notify(desk, ann.id), notify(desk, eve.id)
        await room.until(lambda: told(desk, good)["sent_at"])
        assert second.dm_channel.last_message.embeds
        await room.until(lambda: told(desk, late)["last_error"])
        assert told(desk, late)["sent_at"] is None

    in_room(desk, served, play)


# --- updates ------------------------------------------------------------------------------------


def test_an_update_comes_in_its_own_words_without_any_effect(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        number = trade(desk, ann.id)
        update(desk, number, UpdateKind.TARGET, f"{TARGET} @everyone [x](https://example.org)")
        await room.until(lambda: updates(desk)[0]["discord_notified"])
        message = user.dm_channel.last_message
        assert message.content.startswith("✅ Take Profit Hit! +108 pips (+$540)\nTrade #1 · EUR/USD LONG")
        assert "@everyone" not in message.content
        assert "\\[x\\]" in message.content
        assert not message.mention_everyone
        row = updates(desk)[0]
        assert (row["discord_message_id"], row["next_attempt_at"]) == (message.id, None)

    in_room(desk, served, play)


def test_a_flood_is_one_message_with_the_endings_first_of_all(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        trades = [trade(desk, ann.id) for _ in range(19)]
        with desk.database.transaction() as transaction:
            transaction.execute("LOCK TABLE trade_updates")
            for number in trades:
                kind = "tp_hit" if number % 6 == 0 else "price_update"
                transaction.execute(
                    """
                    INSERT INTO trade_updates (trade_id, update_type, current_price, current_pips, message,
                                               next_attempt_at, created_at) VALUES (%s, %s, 1.09, 1, %s, now(), now())
                    """,
                    (number, kind, f"{kind} of {number}"),
                )
        await room.until(lambda: all(row["discord_notified"] for row in updates(desk)))
        [post] = posts(room, user.dm_channel.id)
        lines = post.json["content"].splitlines()
        ended = [number for number in trades if number % 6 == 0]
        assert [line for line in lines if line.startswith("tp")] == [f"tp\\_hit of {each}" for each in ended]
        assert lines[-1].startswith("… and 11 more updates")
        assert len(lines) == 9

    in_room(desk, served, play)


def test_updates_of_a_trade_keep_their_order_behind_one_that_must_wait(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        number = trade(desk, ann.id)
        room.env.inject_error("POST", f"/channels/{user.dm_channel.id}/messages", status=503, times=1)
        update(desk, number, UpdateKind.TIME, "first")
        await room.until(lambda: updates(desk)[0]["last_error"])
        other = trade(desk, ann.id)
        update(desk, other, UpdateKind.TARGET, "second")
        await room.env.advance_time(1)
        assert not updates(desk)[1]["discord_notified"]
        due_now(desk)
        await room.until(lambda: all(row["discord_notified"] for row in updates(desk)))
        said = [post.json["content"] for post in posts(room, user.dm_channel.id)]
        assert said == ["first", "first", "second"]

    in_room(desk, served, play)


def test_what_is_logged_of_a_trade_of_the_engine_is_under_its_signal(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        room.env.inject_error("POST", f"/channels/{user.dm_channel.id}/messages", status=403, times=None)
        number, uuid = trade(desk, ann.id), uuid4()
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE user_trades SET signal_uuid = %s WHERE id = %s", (str(uuid), number))
        with logged("discord bot") as lines:
            update(desk, number, UpdateKind.TARGET, TARGET)
            await room.until(lambda: updates(desk)[0]["failed_at"])
        [(named_signal, _)] = named(lines(), "cannot be sent to user")
        assert named_signal == str(uuid)

    in_room(desk, served, play)


def test_an_update_that_cannot_be_sent_for_a_day_is_given_up(desk, ann, served):
    async def play(room):
        user = person(room, ann)
        room.env.inject_error("POST", f"/channels/{user.dm_channel.id}/messages", status=503, times=None)
        update(desk, trade(desk, ann.id), UpdateKind.TARGET, TARGET)
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE trade_updates SET created_at = now() - interval '25 hours'")
        await room.until(lambda: updates(desk)[0]["failed_at"])
        assert updates(desk)[0]["last_error"].startswith(
            "Discord could not be reached for a day: Discord answered 503"
        )

    in_room(desk, served, play)
