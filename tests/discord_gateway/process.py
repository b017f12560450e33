"""`python -m discord_bot` as a process of its own, and what it is started with."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from database import keys
from encryption import new_token
from tests.conftest import KEPT_FROM_OUTSIDE
from tests.discord_gateway import GUILD

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a.secret.bot-token"


class Bot:
    """One process of the bot and what it wrote."""

    def __init__(self, environ, folder):
        self.log = folder / f"bot-{time.monotonic_ns()}"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "discord_bot"], cwd=ROOT, env=environ, stdout=log,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def wait_for(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        return found

    def says(self, words, times=1):
        return self.wait_for(lambda: self.log.read_text().count(words) >= times)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def running(environ, folder):
    bot = Bot(environ, folder)
    try:
        yield bot
    finally:
        bot.stop()


def environment(desk, gateway, served):
    """Return what the bot's process is started with."""
    key = new_token("svc_")
    with desk.database.transaction() as transaction:
        keys.hash_key(transaction, desk.vault)
        keys.keep_service_key(transaction, desk.vault, "Discord bot", key)
    kept = (*KEPT_FROM_OUTSIDE, "DASHTRADE_ENV_FILE", "DASHTRADE_HOME")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "DATABASE_URL": desk.database.url,
        "DISCORD_BOT_TOKEN": TOKEN,
        "DISCORD_GUILD_ID": str(GUILD),
        "DISCORD_BASE_URL": gateway.base,
        "SIGNAL_API_KEY": key,
        "WEBHOOK_PORT": str(served.port),
    }
