"""Run the server alone: `python -m tests.alpaca_server --port 0 --seed 1` prints its address."""

import argparse
import asyncio
import contextlib
import signal

from tests.alpaca_server.local import serve
from tests.alpaca_server.state import Server


async def main(port: int, seed: str) -> None:
    """Serve until SIGTERM or SIGINT; the first line of output is the address."""
    loop = asyncio.get_running_loop()
    started: asyncio.Future[int] = loop.create_future()
    serving = asyncio.create_task(serve(Server(seed), port, started))
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, serving.cancel)
    started.add_done_callback(lambda done: print(f"http://127.0.0.1:{done.result()}", flush=True))
    with contextlib.suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    asyncio.run(main(options.port, options.seed))
