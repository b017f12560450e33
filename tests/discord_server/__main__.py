"""Run the server by itself: `python -m tests.discord_server --port 8099`."""

import argparse
import threading

from tests.discord_server.server import DiscordServer, Rate

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", action="store_true", help="5 messages in 2 seconds for each webhook")
    chosen = parser.parse_args()
    with DiscordServer(chosen.port, rate=Rate() if chosen.rate else None) as server:
        print(server.url_of(1), flush=True)
        threading.Event().wait()
