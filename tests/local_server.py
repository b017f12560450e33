"""Run an aiohttp application on 127.0.0.1: in a thread of a test, or alone in a process."""

import asyncio
import json
import signal
import threading
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

# What a server of a test gets to do before the test gives up
PATIENCE_SECONDS = 60


class LocalServer:
    """Serve an application from a thread of its own until `close`; raises what keeps it from listening."""

    def __init__(self, app: web.Application, port: int = 0) -> None:
        self._runner = _runner(app)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="local-server", daemon=True)
        self._thread.start()
        self.url = self.do(_listen(self._runner, port))

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Carry work out in the server's thread and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    def close(self) -> None:
        """End the server, its connections and its thread."""
        self.do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()


async def serve_alone(app: web.Application, port: int) -> None:
    """Serve until SIGTERM or SIGINT; the first line of output is the address."""
    ended = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    runner = _runner(app)
    print(await _listen(runner, port), flush=True)
    await ended.wait()
    await runner.cleanup()


def answer_json(body: object, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")


def _runner(app: web.Application) -> web.AppRunner:
    return web.AppRunner(app, access_log=None, shutdown_timeout=0.1)


async def _listen(runner: web.AppRunner, port: int) -> str:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"
