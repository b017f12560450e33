"""A network of one wire: connections to a local port go on to a server, unless the wire is cut, slow or silent."""

import asyncio
import contextlib
import threading
from enum import StrEnum

PATIENCE_SECONDS = 30
CHUNK = 65536


class Wire(StrEnum):
    """How the wire is. SILENT loses nothing: what was sent meanwhile arrives when it is OPEN again."""

    OPEN = "open"
    CUT = "cut"
    SLOW = "slow"
    SILENT = "silent"


class Line:
    """Listen on a port of 127.0.0.1 in a thread of its own and pass everything on, as the wire allows."""

    def __init__(self, host: str, port: int, *, lag: float = 0.4) -> None:
        self._to = (host, port)
        self._lag = lag
        self._wire = Wire.OPEN
        self._pairs: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024))
        self.port = int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Return the address of the server behind the line, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def set(self, wire: Wire) -> None:
        """Change the wire; cutting it ends every connection at once."""
        self._do(self._set(wire))

    def close(self) -> None:
        """End every connection and the thread."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def _do(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _set(self, wire: Wire) -> None:
        self._wire = wire
        if wire is Wire.CUT:
            self._abort_all()
        if wire is Wire.SILENT:
            self._speaks.clear()
        else:
            self._speaks.set()

    async def _close(self) -> None:
        self._server.close()
        self._abort_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _abort_all(self) -> None:
        for writer in self._pairs:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pairs.add(writer)
        try:
            if self._wire is Wire.CUT:
                return
            await self._speaks.wait()
            behind, ahead = await asyncio.open_connection(*self._to)
            self._pairs.add(ahead)
            try:
                await asyncio.gather(self._pass(reader, ahead), self._pass(behind, writer))
            finally:
                self._pairs.discard(ahead)
                ahead.transport.abort()
        except (OSError, asyncio.CancelledError):
            # Cancelled by `_close` alone; asyncio would print each as an error
            return
        finally:
            self._pairs.discard(writer)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self._wire is Wire.SLOW:
                await asyncio.sleep(self._lag)
            await self._speaks.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
