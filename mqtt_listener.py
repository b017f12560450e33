"""Listening to watched bots: what they report over MQTT becomes rows and alerts; one listener at a time."""

import signal

import log
from database.pool import Database
from settings import load
from watching.listener import Listener

PATIENCE_SECONDS = 15


def main() -> None:
    """Listen at this DashTrade's broker until SIGTERM."""
    settings = load()
    log.logging_setup("mqtt listener", settings)
    database = Database(
        settings.database, size=2, application_name="dashtrade mqtt listener", patience=PATIENCE_SECONDS
    )
    listener = Listener(settings, database)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: listener.stop())
    listener.run()


if __name__ == "__main__":
    main()
