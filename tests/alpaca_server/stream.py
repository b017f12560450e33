"""The trade_updates stream: sign-in, listening, binary frames, one listener per key."""

import asyncio
import contextlib
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.alpaca_server.state import NotAuthorized, Server, server_of

Frames = asyncio.Queue[str | None]


async def stream(request: web.Request) -> web.WebSocketResponse:
    """Serve one client until it goes, or until another takes its place."""
    server = server_of(request)
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    frames: Frames = asyncio.Queue()
    sending = asyncio.create_task(_send(socket, frames, server))
    key: str | None = None
    try:
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                key = _answer(server, json.loads(message.data), frames, key)
    finally:
        if key is not None and server.listeners.get(key) is frames:
            del server.listeners[key]
        frames.put_nowait(None)
        with contextlib.suppress(ConnectionError):
            await sending
    return socket


def drop_streams(server: Server, key: str | None) -> int:
    """Close the stream of a key, or all; return how many."""
    keys = list(server.listeners) if key is None else [key]
    gone = [server.listeners.pop(name) for name in keys if name in server.listeners]
    for frames in gone:
        frames.put_nowait(None)
    return len(gone)


def _answer(server: Server, message: dict[str, Any], frames: Frames, key: str | None) -> str | None:
    data = message.get("data") or {}
    if message.get("action") in ("authenticate", "auth"):
        return _sign_in(server, message, frames)
    if message.get("action") == "listen" and key is not None:
        previous = server.listeners.get(key)
        if previous is not None and previous is not frames:
            previous.put_nowait(None)
        server.listeners[key] = frames
        frames.put_nowait(json.dumps({"stream": "listening", "data": {"streams": data.get("streams", [])}}))
    return key


def _sign_in(server: Server, message: dict[str, Any], frames: Frames) -> str | None:
    # alpaca-trade-api nests the keys in data, alpaca-py sends them flat
    data = message.get("data") or {"key_id": message.get("key"), "secret_key": message.get("secret")}
    key = str(data.get("key_id"))
    try:
        server.account(key, str(data.get("secret_key")))
        status = "authorized"
    except NotAuthorized:
        status = "unauthorized"
    server.sign_ins.append((key, status == "authorized"))
    answer = {"stream": "authorization", "data": {"status": status, "action": "authenticate"}}
    frames.put_nowait(json.dumps(answer))
    return key if status == "authorized" else None


async def _send(socket: web.WebSocketResponse, frames: Frames, server: Server) -> None:
    while (frame := await frames.get()) is not None:
        if server.settings.binary_frames:
            await socket.send_bytes(frame.encode())
        else:
            await socket.send_str(frame)
    await socket.close(code=1008, message=b"connection closed by the server")
