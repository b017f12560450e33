"""`python -m discord_bot` itself, against a Discord on sockets: who is let in, what it knows, and coming back."""

import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from urllib.parse import urlsplit

import psutil
import pytest

from database import signal_channels
from tests.chaos.line import Line, Wire
from tests.discord_gateway import CHANNEL, GUILD, Gateway
from tests.discord_gateway.process import ROOT, TOKEN, environment, running
from tests.discord_gateway.server import ANN
from tests.discord_room.room import serving

LONG = "LONG BTC-USD 60000/58000/65000"


@pytest.fixture
def gateway():
    gateway = Gateway(TOKEN)
    yield gateway
    gateway.close()


@pytest.fixture
def environ(desk, gateway):
    """Give what the bot's process is started with, and the API that it speaks to."""
    with serving(desk) as served:
        yield environment(desk, gateway, served)


def register(desk, ann):
    columns = {
        "name": "signals", "author_ids": [ANN], "position_size": Decimal(500), "size_mode": "notional",
        "max_position_size": Decimal(1000), "leverage": 1, "max_leverage": 1,
    }  # fmt: skip
    with desk.database.transaction() as transaction:
        return signal_channels.create(
            transaction, user_id=ann.id, connection_id=ann.connection_id, channel_id=CHANNEL, columns=columns
        )


def status(desk):
    return desk.all("SELECT * FROM discord_bot_status")[0]


def states(desk):
    return [row["state"] for row in desk.all("SELECT state FROM channel_messages ORDER BY id")]


def test_it_lives_through_a_dropped_connection_and_misses_nothing(desk, ann, gateway, environ, tmp_path):
    register(desk, ann)
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.is_joined and status(desk)["is_connected"])
        assert [each["name"] for each in gateway.commands[f"guilds/{GUILD}"]] == [
            *("status", "balance", "stats", "link", "settings", "trades", "history", "stop")
        ]
        assert status(desk)["lacking"] == []
        first = gateway.say(LONG)
        bot.wait_for(lambda: states(desk) == ["STORED"])
        bot.wait_for(lambda: ("PUT", first, "⏳") in gateway.reactions)

        gateway.drop()
        missed = gateway.say("LONG ETH-USD 3000/2900/3300")
        bot.wait_for(lambda: gateway.resumed)
        bot.wait_for(lambda: gateway.replies(missed))
        assert states(desk) == ["STORED", "BACKLOG"]
        bot.wait_for(lambda: status(desk)["is_connected"])
        gateway.say("LONG SOL-USD 150/140/180")
        bot.wait_for(lambda: states(desk) == ["STORED", "BACKLOG", "STORED"])
        assert bot.stop() == 0
    assert not status(desk)["is_connected"]
    assert status(desk)["words"] == "the bot is stopped"
    assert desk.value("SELECT count(*) FROM heartbeats WHERE part = 'discord bot'") == 0
    assert TOKEN not in bot.log.read_text()
    assert environ["SIGNAL_API_KEY"] not in bot.log.read_text()


def test_a_second_process_stays_out_until_the_first_is_gone(desk, ann, gateway, environ, tmp_path):
    register(desk, ann)
    with running(environ, tmp_path) as first:
        first.wait_for(lambda: status(desk)["is_connected"])
        with running(environ, tmp_path) as second:
            second.says("another process is the bot; waiting to take over")
            gateway.say(LONG)
            first.wait_for(lambda: states(desk) == ["STORED"])
            assert len(gateway.identified) == 1
            first.process.kill()
            first.process.wait()
            missed = gateway.say("LONG ETH-USD 3000/2900/3300", live=False)
            second.wait_for(lambda: len(gateway.identified) == 2 and gateway.replies(missed))
            assert states(desk) == ["STORED", "BACKLOG"]
            assert len(desk.all("SELECT id FROM signals")) == 1


def test_what_was_missed_is_told_although_newer_came_before_it_could_be_read_back(
    desk, ann, gateway, environ, tmp_path
):
    register(desk, ann)
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: status(desk)["is_connected"])
        bot.process.kill()
        bot.process.wait()
    missed = gateway.say(LONG, live=False)
    gateway.hides_history = True
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.history_asked)
        newer = gateway.say("LONG ETH-USD 3000/2900/3300")
        bot.wait_for(lambda: gateway.history_asked > 2)
        bot.process.kill()
        bot.process.wait()
    gateway.hides_history = False
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: gateway.replies(missed) and gateway.replies(newer))
    assert states(desk) == ["BACKLOG", "BACKLOG"]


def test_it_leaves_discord_with_the_database_and_comes_back(desk, ann, gateway, environ, tmp_path):
    register(desk, ann)
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: status(desk)["is_connected"])
        with desk.database.transaction() as transaction:
            transaction.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                ("dashtrade discord bot",),
            )
        bot.wait_for(lambda: len(gateway.identified) == 2)
        bot.wait_for(lambda: status(desk)["is_connected"])
        gateway.say(LONG)
        bot.wait_for(lambda: states(desk) == ["STORED"])


def test_without_the_intent_it_answers_commands_and_says_what_is_missing(
    desk, ann, gateway, environ, tmp_path
):
    register(desk, ann)
    gateway.refuses_content = True
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: status(desk)["is_connected"])
        [lack] = status(desk)["lacking"]
        assert lack.startswith("Message Content intent")
        assert len(gateway.identified) == 2


def test_a_token_that_discord_refuses_is_said_and_not_hammered(desk, gateway, environ, tmp_path):
    with running({**environ, "DISCORD_BOT_TOKEN": "another.token"}, tmp_path) as bot:
        bot.wait_for(lambda: (status(desk)["words"] or "").startswith("Discord refuses the token"))
        assert desk.value("SELECT count(*) FROM heartbeats WHERE part = 'discord bot'") == 1
        assert gateway.identified == []
    assert "another.token" not in bot.log.read_text()


def test_without_a_token_it_ends_and_says_why(environ):
    environ = {name: value for name, value in environ.items() if name != "DISCORD_BOT_TOKEN"}
    for words in ([], ["configured"]):
        done = subprocess.run(
            [sys.executable, "-m", "discord_bot", *words],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, "DISCORD_BOT_TOKEN is not set" in done.stderr) == (1, True)


def test_it_reads_no_key_of_the_secrets_wherever_it_lies(desk, environ, tmp_path):
    (tmp_path / ".env").write_text(f"ENCRYPTION_KEY={desk.settings.encryption_key.get_secret_value()}\n")
    program = (
        "from discord_bot import WITHHELD; from settings import load;"
        "print(load(without=WITHHELD).encryption_key, load().encryption_key is not None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
        env={**environ, "DASHTRADE_ENV_FILE": str(tmp_path / ".env")},
    )  # fmt: skip
    assert done.stdout.split() == ["None", "True"], done.stderr


def test_it_stays_small_and_loads_nothing_of_a_broker(desk, gateway, environ, tmp_path):
    program = "import sys, discord_bot.process; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {
        "pandas",
        "numpy",
        "streamlit",
        "ccxt",
        "alpaca_trade_api",
        "encryption",
        "brokers",
        "engine",
    }
    assert {"discord", "psycopg2"} <= loaded
    with running(environ, tmp_path) as bot:
        bot.wait_for(lambda: status(desk)["is_connected"])
        megabytes = psutil.Process(bot.process.pid).memory_info().rss / 2**20
        print(f"RSS {megabytes:.1f} MB")
        assert megabytes < 150


def test_a_discord_out_of_reach_is_said_in_plain_lines(desk, ann, gateway, environ, tmp_path):
    register(desk, ann)
    with closing(Line("127.0.0.1", urlsplit(gateway.base).port)) as line:
        gateway.reached_at = line.url
        with running(environ | {"DISCORD_BASE_URL": line.url}, tmp_path) as bot:
            bot.wait_for(lambda: gateway.is_joined)
            line.set(Wire.CUT)
            bot.says("Discord cannot be reached: ")
            bot.says("Attempting a reconnect")
            line.set(Wire.OPEN)
            bot.wait_for(lambda: len(gateway.identified) + len(gateway.resumed) > 1)
    assert "Traceback" not in bot.log.read_text()
