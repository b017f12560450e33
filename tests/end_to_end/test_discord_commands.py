"""The bot's commands in a simulated Discord server: whose data they show, to whom, and what if there is none."""

import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from database import discord_accounts, watched
from database.pool import Database
from tests.database.watched_desk import WatchedDesk, a_life, listening
from tests.discord_room.room import in_room, serving

LONG = "LONG BTC-USD 60000/58000/65000"


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


def default_bot(desk):
    """Watch the bot of MQTT_TOPIC_PREFIX for the admin, as the MQTT listener does."""
    with desk.database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO users (email, password_hash, role) VALUES ('boss@example.org', 'x', 'admin')"
        )
        watched.ensure_default(transaction, "polyspike/")
    with desk.database.transaction() as transaction:
        row = transaction.one("SELECT id, user_id FROM watched_bots WHERE is_default")
        transaction.execute("DELETE FROM watched_bots WHERE id = %s", (row["id"],))
    watching = WatchedDesk(desk.database, row["user_id"], "polyspike/", "polyspike")
    with desk.database.transaction() as transaction:
        transaction.execute("UPDATE watched_bots SET is_default = true WHERE id = %s", (watching.bot_id,))
    return watching


async def asked(room, name, member=None, **options):
    """Run a slash command and return its answer, which is the caller's alone."""
    result = await (member or room.ann).slash(room.channel, name, **options)
    assert result.deferred or result.acknowledged
    assert result.response.ephemeral
    return result.response


def fields(embed):
    return {field.name: field.value for field in embed.fields}


# --- nothing to show ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("status", "Trading Bot Status: No Data"),
        ("balance", "Balance: No Data"),
        ("stats", "Session Stats: No Data"),
    ],
)
def test_before_there_is_a_bot_each_command_says_no_data_and_why(desk, served, name, title):
    async def play(room):
        answer = await asked(room, name)
        assert answer.embeds[0].title == title
        assert "No bot is watched here yet" in answer.embeds[0].description

    in_room(desk, served, play)


def test_a_bot_that_was_never_heard_has_no_data_either(desk, served):
    default_bot(desk)

    async def play(room):
        titles = [(await asked(room, name)).embeds[0].title for name in ("status", "balance", "stats")]
        assert titles == ["Trading Bot Status: No Data", "Balance: No Data", "Session Stats: No Data"]

    in_room(desk, served, play)


# --- a bot's life -------------------------------------------------------------------------------


def test_what_a_bot_reported_is_shown(desk, served):
    watching = default_bot(desk)
    a_life(watching)
    listening(desk.database)

    async def play(room):
        status = (await asked(room, "status")).embeds[0]
        assert status.title == "Trading Bot Status: ONLINE"
        assert status.description is None
        assert fields(status)["Connection"] in {"Excellent", "Good", "Fair"}
        assert fields(status)["Open positions"] == "1"
        balance = fields((await asked(room, "balance")).embeds[0])
        assert balance["Cash balance"] == "$1,050.00"
        assert balance["Total equity"] == "$1,061.50"
        assert balance["Unrealized P&L"] == "+$11.50"
        assert balance["Total realized P&L"] == "📈 +$50.00"
        assert "Locked" not in balance

    in_room(desk, served, play)


def test_a_silent_bot_is_offline_and_a_deaf_dashtrade_says_so(desk, served):
    watching = default_bot(desk)
    a_life(watching)
    since = datetime.now(UTC) - timedelta(minutes=10)
    with desk.database.transaction() as transaction:
        transaction.execute("UPDATE watched_bots SET state = 'OFFLINE', offline_since = %s", (since,))
    listening(desk.database, connected=False, words="refused")

    async def play(room):
        status = (await asked(room, "status")).embeds[0]
        assert status.title == "Trading Bot Status: OFFLINE"
        assert "no connection to its MQTT broker" in status.description
        assert fields(status)["Threshold"] == "1m 30s"
        assert fields(status)["Silent for"].startswith(("9m", "10m"))

    in_room(desk, served, play)


def test_session_statistics_and_ones_own_trading(desk, ann, served):
    watching = default_bot(desk)
    watching.hears(
        "stats/session",
        {"session_id": "s", "duration_seconds": 3665, "initial_balance": 100, "final_balance": 110, "total_pnl": 10,
         "total_pnl_pct": 0.1, "total_trades": 3, "winning_trades": 2, "losing_trades": 1, "win_rate": 0.667,
         "avg_win": 7, "avg_loss": -4, "max_drawdown": 5},
    )  # fmt: skip

    async def play(room):
        answer = await asked(room, "stats")
        [session] = answer.embeds
        shown = fields(session)
        assert shown["Session duration"] == "1h 1m 5s"
        assert shown["Total P&L"] == "+$10.00 (+10.00 %)"
        assert shown["Average loss"] == "$4.00"
        assert shown["Profit factor"] == "3.50"
        assert "linked to no DashTrade account" in answer.content
        room.link(ann, room.ann.id)
        linked = await asked(room, "stats")
        assert [embed.title for embed in linked.embeds] == [
            "📊 Session Stats",
            "Your Trading: No Data",
            "Your Tracked Trades: No Data",
        ]

    in_room(desk, served, play)


def test_ones_own_trades_are_summed_up(desk, ann, served):
    async def play(room):
        room.register(ann)
        room.link(ann, room.ann.id)
        await room.ann.send(room.channel, room.long())
        room.work()
        await room.ann.send(room.channel, "close BTC-USD")
        room.work()
        own = (await asked(room, "stats")).embeds[1]
        pnl = desk.value("SELECT sum(realized_pnl) FROM bot_trades WHERE user_id = %s", (ann.id,))
        assert own.title == "📈 Your Trading"
        assert fields(own)["Trades"] == "1"
        assert fields(own)["Realized P&L"].startswith("+" if pnl > 0 else "−")
        stranger = room.guild.add_member(room.env.create_user("stranger"))
        assert len((await asked(room, "stats", stranger)).embeds) == 1

    in_room(desk, served, play)


# --- whose bot ----------------------------------------------------------------------------------


def test_a_linked_caller_sees_and_chooses_ones_own_bots_and_nobody_elses(desk, ann, served):
    default_bot(desk)
    eve = desk.trader("eve@example.org")
    WatchedDesk(desk.database, ann.id, "one/", "Alpha")
    WatchedDesk(desk.database, ann.id, "two/", "Beta @everyone")
    WatchedDesk(desk.database, eve.id, "eve/", "Secret")

    async def play(room):
        room.link(ann, room.ann.id)
        first = await asked(room, "status")
        assert first.embeds[0].footer.text == "Alpha"
        assert "Beta" in first.content
        assert "@everyone" not in first.content
        choices = await room.ann.autocomplete(room.channel, "status", "bot", "")
        assert [each["name"] for each in choices] == ["Alpha", "Beta @everyone"]
        [beta] = await room.ann.autocomplete(room.channel, "status", "bot", "bet")
        assert (await asked(room, "status", bot=beta["value"])).embeds[0].footer.text.startswith("Beta")
        secret = desk.value("SELECT id FROM watched_bots WHERE name = 'Secret'")
        for stolen in ("Secret", str(secret)):
            refused = await asked(room, "balance", bot=stolen)
            assert "You watch no bot of that name" in refused.embeds[0].description
        stranger = room.guild.add_member(room.env.create_user("stranger"))
        assert (await asked(room, "status", stranger)).embeds[0].footer.text == "polyspike"

    in_room(desk, served, play)


def test_link_by_code_once_and_not_by_guessing(desk, ann, served):
    def code():
        made = discord_accounts.new_code()
        with desk.database.transaction() as transaction:
            discord_accounts.store_code(
                transaction, ann.id, discord_accounts.code_hash(made), datetime.now(UTC)
            )
        return made

    async def play(room):
        eve = room.guild.add_member(room.env.create_user("eve"))
        good = code()
        said = await asked(room, "link", code=good)
        assert "ann@example.org" in said.content
        assert desk.value("SELECT discord_user_id FROM user_discord_settings") == room.ann.id
        assert "wrong, used or older" in (await asked(room, "link", eve, code=good)).content
        for _ in range(4):
            await asked(room, "link", eve, code="AAAAAAAAAA")
        assert "Too many" in (await asked(room, "link", eve, code=code())).content
        assert desk.value("SELECT discord_user_id FROM user_discord_settings") == room.ann.id

    in_room(desk, served, play)


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_database_that_is_away_is_said(desk, served, free_port):
    async def play(room):
        room.may_fail = True
        room.bot.desk.database = Database(f"postgresql://nobody@127.0.0.1:{free_port}/nothing")
        answer = await asked(room, "status")
        assert answer.content.startswith("DashTrade's database does not answer")
        room.bot.desk.database = desk.database

    in_room(desk, served, play)


def test_discord_is_answered_before_the_database_is_asked(desk, served):
    """The first answer must come within 3 seconds, however long the database takes."""
    default_bot(desk)

    async def play(room):
        holder = psycopg2.connect(desk.database.url)
        holder.cursor().execute("LOCK TABLE watched_bots IN ACCESS EXCLUSIVE MODE")
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        seen = []

        def look():
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not desk.value(asleep):
                time.sleep(0.02)
            seen.append([each.deferred for each in room.env.backend.interactions.values()])
            holder.rollback()
            holder.close()

        watching = threading.Thread(target=look)
        watching.start()
        answer = await asked(room, "balance")
        watching.join()
        assert seen == [[True]]
        assert answer.embeds[0].title == "Balance: No Data"

    in_room(desk, served, play)


def test_an_expired_interaction_is_no_failure(desk, served, caplog):
    async def play(room):
        room.may_fail = True
        room.env.inject_error("POST", "/interactions/*/*/callback", status=404, code=10062)
        result = await room.ann.slash(room.channel, "status")
        assert result.response is None
        assert "/status came too late" in caplog.text
        assert (await asked(room, "status")).embeds

    in_room(desk, served, play)


def test_in_private_a_stranger_is_shown_no_bot(desk, ann, served):
    """Anyone whom Discord lets write to the bot may ask; only those of its servers see the bot of all."""

    async def play(room):
        a_life(default_bot(desk))
        stranger = room.env.create_user("mallory")
        for name in ("status", "balance", "stats"):
            answer = (await stranger.slash(name)).response
            assert answer.embeds[0].title.endswith("No Data")
        assert await stranger.autocomplete("status", "bot", "") == []

    in_room(desk, served, play)


# --- prefix commands ----------------------------------------------------------------------------


def test_health_stats_and_test_in_a_signal_channel(desk, ann, served):
    async def play(room):
        room.register(ann)
        health = await room.ann.send(room.channel, "!health")
        [said] = room.replies(health.id)
        assert [row.split(":")[0] for row in said.splitlines()] == ["⚠️ Server", "⚠️ Broker", "✅ Discord"]
        nothing = await room.ann.send(room.channel, "!stats")
        assert room.replies(nothing.id)[0].startswith("No Data")
        await room.ann.send(room.channel, LONG)
        stats = await room.ann.send(room.channel, "!STATS")
        assert "1 under way" in room.replies(stats.id)[0]
        tried = await room.ann.send(room.channel, f"!test {LONG} @everyone")
        [explained] = room.replies(tried.id)
        assert "trades nothing" in explained
        empty = await room.ann.send(room.channel, "!test")
        assert "!test LONG" in room.replies(empty.id)[0]
        assert len(room.signals()) == 1

    in_room(desk, served, play)


def test_health_says_that_the_server_is_away(desk, ann, served):
    async def play(room):
        room.register(ann)
        served.stop()
        asked_for = await room.ann.send(room.channel, "!health")
        assert "❌ Server: no answer" in room.replies(asked_for.id)[0]

    in_room(desk, served, play)


def test_prefix_commands_elsewhere_belong_to_others(desk, ann, served):
    async def play(room):
        room.register(ann)
        other = room.guild.create_text_channel("general")
        for text in ("!health", "!stats", f"!test {LONG}"):
            message = await room.ann.send(other, text)
            assert other.last_message.id == message.id
        unknown = await room.ann.send(room.channel, "!play something")
        assert room.replies(unknown.id) == []

    in_room(desk, served, play)
