"""Run the server alone: `python -m tests.blofin_server --port 0 --mode live` prints its address."""

import argparse
import asyncio

from tests.blofin_server.app import make_app
from tests.blofin_server.state import DEFAULT_BALANCE, MODES, Server
from tests.local_server import serve_alone

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--mode", choices=MODES, default="live")
    parser.add_argument("--account", action="append", default=[], metavar="KEY:SECRET:PASSPHRASE")
    options = parser.parse_args()
    state = Server(options.mode, options.seed)
    for account in options.account:
        key, secret, passphrase = account.split(":")
        state.open_account(key, secret, passphrase, {"balance": DEFAULT_BALANCE})
    asyncio.run(serve_alone(make_app(state), options.port))
