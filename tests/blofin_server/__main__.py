"""Run the server alone: `python -m tests.blofin_server --port 0 --mode live` prints its address."""

import argparse
import asyncio
import contextlib
import signal

from tests.blofin_server.local import serve
from tests.blofin_server.state import DEFAULT_BALANCE, MODES, Server


async def main(server: Server, port: int) -> None:
    """Serve until SIGTERM or SIGINT; the first line of output is the address."""
    loop = asyncio.get_running_loop()
    started: asyncio.Future[int] = loop.create_future()
    serving = asyncio.create_task(serve(server, port, started))
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, serving.cancel)
    started.add_done_callback(lambda done: print(f"http://127.0.0.1:{done.result()}", flush=True))
    with contextlib.suppress(asyncio.CancelledError):
        await serving


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
    asyncio.run(main(state, options.port))
