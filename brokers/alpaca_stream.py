"""Listen to one Alpaca account's order updates through alpaca-trade-api's TradingStream.

The library's own loop comes back every 10 ms when it is refused or nobody answers, takes no
notice of whether listening succeeded, and cannot say that it reconnected. Its connection,
sign-in and subscription are used; the supervision here is ours.
"""

import asyncio
import contextlib
import json
import logging
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

from alpaca_trade_api.stream import TradingStream
from websockets.exceptions import WebSocketException

from brokers import alpaca_mapping as mapping
from brokers.alpaca import PAPER_URL, api_root
from core.errors import Rejected
from core.order import Order

OnOrder = Callable[[Order], None]
OnConnected = Callable[[], None]

CONNECT_TIMEOUT = 10.0
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
STEADY_SECONDS = 60.0

log = logging.getLogger(__name__)
# At DEBUG websockets writes every frame, the secret key's among them.
_frames_log = logging.getLogger(f"{__name__}.frames")
_frames_log.setLevel(logging.INFO)

LOST = (OSError, WebSocketException, TimeoutError, ValueError)


def reconnect_wait(
    failures: int, first: float = FIRST_WAIT, longest: float = LONGEST_WAIT, chance: float | None = None
) -> float:
    """Return the seconds to wait after so many failures in a row (0 after a steady connection).

    Doubles from `first` to `longest`, between half and all of it by `chance` (0 to 1, random
    if None), so that many streams do not come back at the same moment.
    """
    full = min(longest, first * float(1 << min(failures, 16)))
    return full * (0.5 + (random.random() if chance is None else chance) / 2)  # noqa: S311


class AlpacaStream(TradingStream):  # type: ignore[misc]
    """Carry out `brokers.base.OrderStream` for one account; many run in one asyncio loop.

    Alpaca gives one stream per key: when another takes it, this one comes back with a growing
    wait (1 to 60 s), so that two of them never fight. Updates missed meanwhile are not
    replayed; `on_connected` is the caller's cue to reconcile, after each reconnect and when
    an update cannot be understood.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        base_url: str = PAPER_URL,
        connect_timeout: float = CONNECT_TIMEOUT,
        first_wait: float = FIRST_WAIT,
        longest_wait: float = LONGEST_WAIT,
        steady_seconds: float = STEADY_SECONDS,
    ) -> None:
        limits = {
            "open_timeout": connect_timeout,
            "close_timeout": 2,
            # a peer that vanished is noticed after ping_interval + ping_timeout
            "ping_interval": 10,
            "ping_timeout": 20,
            "max_queue": 1024,
            "logger": _frames_log,
        }
        super().__init__(
            key.strip(), secret.strip(), api_root(base_url), raw_data=True, websocket_params=limits
        )
        self._connect_timeout = connect_timeout
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._steady_seconds = steady_seconds
        self._stop_asked = threading.Event()
        self._wake: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        return f"AlpacaStream({self._endpoint})"

    async def run(self, on_order: OnOrder, on_connected: OnConnected) -> None:
        """Listen and come back after every loss until `stop`; raise `Rejected` for bad credentials.

        Callbacks run in the loop and must not block. What they raise ends the run.
        """
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self._wake = lambda: _set_in(loop, woken)
        self.subscribe_trade_updates(self._handler(on_order, on_connected))
        listening = asyncio.create_task(self._listen_for_ever(on_connected))
        stopping = asyncio.create_task(woken.wait())
        if self._stop_asked.is_set():
            woken.set()
        try:
            await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
        finally:
            self._wake = _nothing
            await _ended(listening, stopping)
            await self.close()

    def stop(self) -> None:
        """End the run soon, from any thread, before or after it started; it stays ended."""
        self._stop_asked.set()
        self._wake()

    async def _listen_for_ever(self, on_connected: OnConnected) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            reason = await self._listen_once(on_connected)
            failures = 0 if loop.time() - began >= self._steady_seconds else failures + 1
            wait = reconnect_wait(failures, self._first_wait, self._longest_wait)
            log.warning("Alpaca stream lost (%s); next try in %.1f s", reason, wait)
            await asyncio.sleep(wait)

    async def _listen_once(self, on_connected: OnConnected) -> str:
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._connect()
                await self._auth()
                await self._subscribe_trade_updates()
                early = await self._await_listening()
        except LOST as error:
            await self.close()
            return _reason(error)
        log.info("Alpaca stream connected: %s", self._endpoint)
        on_connected()
        for message in early:
            await self._dispatch(message)
        return await self._follow()

    async def _follow(self) -> str:
        # Without this split a fault of the callbacks would pass for a lost connection
        while True:
            try:
                frame = await self._ws.recv()
            except LOST as error:
                await self.close()
                return _reason(error)
            await self._take(frame)

    async def _auth(self) -> None:
        try:
            await super()._auth()
        except json.JSONDecodeError:
            raise
        except AttributeError as error:
            raise ValueError("the answer to the sign-in is not understood") from error
        except ValueError as error:
            raise Rejected("Alpaca refused the API keys for the stream", status=401) from error

    async def _await_listening(self) -> list[Mapping[str, Any]]:
        early: list[Mapping[str, Any]] = []
        while True:
            message = _message(await self._ws.recv())
            if message.get("stream") == "listening":
                return early
            early.append(message)

    async def _take(self, frame: str | bytes) -> None:
        try:
            message = _message(frame)
        except ValueError:
            message = {"stream": "trade_updates", "data": None}
        await self._dispatch(message)

    def _handler(self, on_order: OnOrder, on_connected: OnConnected) -> Callable[[Any], Any]:
        async def handle(message: Mapping[str, Any]) -> None:
            try:
                raw = message["data"]["order"]
                order = mapping.read_order(raw) if mapping.is_ours_to_read(raw) else None
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                log.warning("Alpaca stream sent an update that is not understood: %r", error)
                on_connected()
                return
            if order is not None:
                on_order(order)

        return handle


def _message(frame: str | bytes) -> Mapping[str, Any]:
    # paper sends binary frames, live text: json reads both
    message = json.loads(frame)
    if not isinstance(message, dict):
        raise ValueError(f"a frame that holds no object: {type(message).__name__}")
    return message


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _nothing() -> None:
    return None


def _set_in(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    # a loop that is closed already has nothing left to stop
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)


async def _ended(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
