"""Run the server alone: `python -m tests.alpaca_server --port 0 --seed 1` prints its address."""

import argparse
import asyncio

from tests.alpaca_server.app import make_app
from tests.alpaca_server.state import Server
from tests.local_server import serve_alone

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    asyncio.run(serve_alone(make_app(Server(options.seed)), options.port))
