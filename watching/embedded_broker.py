"""Run the MQTT broker that comes along, for this machine alone: `python -m watching.embedded_broker PORT`.

It keeps in memory what waits and what was retained; a broker that must remember over its own end is
Mosquitto.
"""

import logging
import os
import signal
import sys

from iotcore.iotcore import IotCoreBroker

LOOPBACK = "127.0.0.1"
LARGEST_MESSAGE = 4 * 1024 * 1024
AT_ONCE = 1000
STOPPING = {signal.SIGTERM, signal.SIGINT}


def main(port: int) -> None:
    """Serve until a signal ends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    # rumqttd tells of every packet as of an error
    logging.basicConfig(level=logging.CRITICAL)
    broker = IotCoreBroker(
        listen=LOOPBACK, port=port, max_payload_size=LARGEST_MESSAGE, max_inflight_count=AT_ONCE
    )
    print(f"MQTT broker listens on {LOOPBACK}:{port}", flush=True)
    broker.start()
    signal.sigwait(STOPPING)
    # The broker knows no end of its own
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
