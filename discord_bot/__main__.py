"""Run the Discord bot: `python -m discord_bot`. With the word `configured` only tell whether there is a token."""

import asyncio
import logging
import signal
import sys

import log
from discord_bot import PART, WITHHELD, addresses, unreached
from discord_bot.desk import open_database
from discord_bot.process import Process
from settings import Settings, SettingsError, load

NOT_CONFIGURED = (
    "DISCORD_BOT_TOKEN is not set, so there is no Discord bot to run. docs/discord-bot.md tells how."
)


def main() -> None:
    """Be the bot until SIGTERM; end at once where there is no token."""
    try:
        settings = load(without=WITHHELD)
    except SettingsError as error:
        sys.exit(str(error))
    if settings.discord_bot_token is None:
        sys.exit(NOT_CONFIGURED)
    if sys.argv[1:] == ["configured"]:
        return
    log.logging_setup(PART, settings)
    # Of each request and of each event it has a line; ours say what matters
    logging.getLogger("discord").setLevel(logging.WARNING)
    unreached.log_plainly()
    if settings.discord_base_url is not None:
        addresses.use_server(settings.discord_base_url)
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    database = open_database(settings)
    process = Process(settings, database)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    try:
        await process.run()
    finally:
        database.close()


if __name__ == "__main__":
    main()
