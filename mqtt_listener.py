"""Listening to watched bots: what they report over MQTT becomes rows and alerts; one listener at a time."""

import signal
import threading

import log
from database.pool import Database
from notifier import Notifier
from settings import load
from watching.listener import Listener, utc_now
from watching.publishing import Publisher

PATIENCE_SECONDS = 15
CONNECTIONS = 5


def main() -> None:
    """Listen at this DashTrade's broker, and publish what it does itself, until SIGTERM."""
    settings = load()
    log.logging_setup("mqtt listener", settings)
    database = Database(
        settings.database,
        size=CONNECTIONS,
        application_name="dashtrade mqtt listener",
        patience=PATIENCE_SECONDS,
    )
    prefix = settings.mqtt_publish_prefix
    publisher = Publisher(database, prefix, utc_now)
    notifier = Notifier(database, None, {"MQTT": publisher}, operators={"MQTT": prefix}, now=utc_now)
    listener = Listener(settings, database, companions=[publisher])
    stopping = threading.Event()
    beside = [threading.Thread(target=run, args=(stopping,)) for run in (notifier.run, publisher.run)]

    def stop(*_: object) -> None:
        stopping.set()
        listener.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for thread in beside:
        thread.start()
    listener.run()
    for thread in beside:
        thread.join()


if __name__ == "__main__":
    main()
