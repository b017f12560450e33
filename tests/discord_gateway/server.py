"""REST and gateway of one Discord server with one channel and private ones, in a thread of its own.

Shapes as in discord-api-docs (topics/gateway, resources/message); everything that the bot sends is kept.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

from tests.local_server import LocalServer

BOT, APPLICATION, GUILD, CHANNEL, ANN = 1001, 1002, 2001, 3001, 4001
# The private channel of a person is their number and this
DM = 5000
DISCORD_EPOCH_MS = 1_420_070_400_000
HEARTBEAT_MS = 1000
# View, send, embed, react, read history
PERMISSIONS = 85056
NO_PRIVILEGE, BAD_TOKEN = 4014, 4004
MESSAGE_CONTENT = 1 << 15
FLAG_MESSAGE_CONTENT = 1 << 18

Json = dict[str, Any]


class Gateway:
    """One Discord; `token` is the only one it lets in, `refuses_content` switches the portal's intent off.

    `beside` are routes of what else Discord has at the same address. With `reached_at` bots are sent there.
    While it `hides_history` nobody can read back what was said.
    """

    def __init__(self, token: str, beside: Iterable[web.RouteDef] = ()) -> None:
        self.token = token
        self.reached_at: str | None = None
        self.refuses_content = False
        self.hides_history = False
        self.history_asked = 0
        self.identified: list[Json] = []
        self.resumed: list[Json] = []
        self.messages: list[Json] = []
        self.reactions: list[tuple[str, str, str]] = []
        self.commands: dict[str, list[Json]] = {}
        self.answers: list[Json] = []
        self.asked_to_post: list[Json] = []
        # What becomes of messages to one channel: an answer with a status, or none at all though it is there
        self.refusing: dict[int, list[Json]] = {}
        self.swallows_answers = False
        self._socket: web.WebSocketResponse | None = None
        self._sequence = itertools.count(1)
        self._ids = itertools.count()
        self._replay: list[Json] = []
        app = web.Application()
        app.router.add_get("/ws", self._gateway)
        app.router.add_get("/ws/", self._gateway)
        app.router.add_route("*", "/api/v10/{path:.*}", self._rest)
        app.router.add_routes(beside)
        self._local = LocalServer(app)

    @property
    def base(self) -> str:
        """Return what DISCORD_BASE_URL is to be."""
        return self.reached_at or self._local.url

    @property
    def _socket_url(self) -> str:
        return self.base.replace("http", "ws") + "/ws"

    @property
    def is_joined(self) -> bool:
        """Tell whether a bot is connected."""
        return self._socket is not None and not self._socket.closed

    def say(self, content: str, author: int = ANN, *, live: bool = True) -> str:
        """Let a person write; one that is not `live` reaches only who reads back."""
        return self._local.do(self._say(content, author, live=live))

    def press(self, custom_id: str, message: Json, user: int = ANN) -> int:
        """Let a person press a button below a message in private; return the interaction's number."""
        return self._local.do(self._press(custom_id, message, user))

    def drop(self, code: int = 4000) -> None:
        """End the bot's connection."""
        self._local.do(self._drop(code))

    def close(self) -> None:
        """End everything."""
        self.drop(1000)
        self._local.close()

    def replies(self, message_id: str) -> list[str]:
        """Return what the bot answered to a message."""
        return [
            message["content"]
            for message in self.messages
            if str((message.get("message_reference") or {}).get("message_id")) == message_id
        ]

    async def _drop(self, code: int) -> None:
        if self._socket is not None:
            with suppress(ConnectionError):
                await self._socket.close(code=code)

    # --- the gateway ----------------------------------------------------------------------------

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": HEARTBEAT_MS}, "s": None, "t": None})
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                await self._heard(socket, json.loads(frame.data))
        if self._socket is socket:
            self._socket = None
        return socket

    async def _heard(self, socket: web.WebSocketResponse, said: Json) -> None:
        match said["op"]:
            case 1:
                await socket.send_json({"op": 11, "d": None})
            case 2:
                await self._identify(socket, said["d"])
            case 6:
                await self._resume(socket, said["d"])

    async def _identify(self, socket: web.WebSocketResponse, said: Json) -> None:
        self.identified.append(said)
        if said["token"] != self.token:
            await socket.close(code=BAD_TOKEN)
        elif self.refuses_content and int(said["intents"]) & MESSAGE_CONTENT:
            await socket.close(code=NO_PRIVILEGE)
        else:
            await self._drop(4000)
            self._socket = socket
            await self._send("READY", _ready(self._socket_url), keep=False)
            await self._send("GUILD_CREATE", self._guild(), keep=False)

    async def _resume(self, socket: web.WebSocketResponse, said: Json) -> None:
        self.resumed.append(said)
        self._socket = socket
        missed = [event for event in self._replay if event["s"] > said["seq"]]
        for event in missed:
            await socket.send_json(event)
        await self._send("RESUMED", {}, keep=False)

    async def _send(self, event: str, data: Json, *, keep: bool = True) -> None:
        frame = {"op": 0, "t": event, "s": next(self._sequence), "d": data}
        if keep:
            self._replay.append(frame)
        if self._socket is not None and not self._socket.closed:
            with suppress(ConnectionError):
                await self._socket.send_json(frame)

    async def _say(self, content: str, author: int, *, live: bool) -> str:
        message = self._message(
            content, {"id": str(author), "username": "ann", "discriminator": "0", "avatar": None}
        )
        self.messages.append(message)
        if live:
            member = {"roles": [], "joined_at": _moment(), "deaf": False, "mute": False, "flags": 0}
            await self._send("MESSAGE_CREATE", {**message, "guild_id": str(GUILD), "member": member})
        return str(message["id"])

    async def _press(self, custom_id: str, message: Json, user: int) -> int:
        number = self._next_id()
        channel = {"id": message["channel_id"], "type": 1, "recipients": [_user(user, "ann")], "flags": 0}
        await self._send(
            "INTERACTION_CREATE",
            {
                "id": str(number), "application_id": str(APPLICATION), "type": 3, "token": f"token-{number}",
                "version": 1, "channel_id": message["channel_id"], "channel": channel, "message": message,
                "user": _user(user, "ann"), "data": {"custom_id": custom_id, "component_type": 2},
                "entitlements": [], "authorizing_integration_owners": {}, "locale": "en-US",
                "attachment_size_limit": 10_485_760,
            },
        )  # fmt: skip
        return number

    # --- REST -----------------------------------------------------------------------------------

    async def _rest(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        body = await request.json() if request.can_read_body else None
        if path.startswith(("interactions/", "webhooks/")):
            return self._answered(path.split("/"), body)
        if request.headers.get("Authorization") != f"Bot {self.token}":
            return web.json_response({"message": "401: Unauthorized", "code": 0}, status=401)
        refusal = self._refusal(request.method, path.split("/"), body)
        if refusal is not None:
            return refusal
        if request.method == "GET" and path.endswith("/messages"):
            return self._history(request.query)
        answer = self._answer(request.method, path.split("/"), body)
        if self.swallows_answers and path.endswith("/messages") and request.method == "POST":
            await asyncio.Event().wait()
        if answer is None:
            return web.Response(status=204)
        # With a charset behind it discord.py takes it for a text
        return web.Response(body=json.dumps(answer).encode(), content_type="application/json")

    def _history(self, query: Mapping[str, str]) -> web.Response:
        """Answer with the newest messages between `after` and `before`, the newest first."""
        self.history_asked += 1
        if self.hides_history:
            return web.json_response({"message": "500: Internal Server Error", "code": 0}, status=500)
        first, last = int(query.get("after", 0)), int(query.get("before", 1 << 63))
        found = [each for each in self.messages if first < int(each["id"]) < last]
        newest = found[-int(query.get("limit", 50)) :]
        return web.Response(body=json.dumps(newest[::-1]).encode(), content_type="application/json")

    def _answer(self, method: str, path: list[str], body: Any) -> Any:
        match (method, *path):
            case ("GET", "users", "@me"):
                return _user(BOT, "dashtrade", bot=True)
            case ("GET", "oauth2", "applications", "@me"):
                return self._application()
            case ("GET", "gateway", "bot"):
                limit = {"total": 1000, "remaining": 999, "reset_after": 1, "max_concurrency": 1}
                return {"url": self._socket_url, "shards": 1, "session_start_limit": limit}
            case ("PUT", "applications", _, *where, "commands"):
                self.commands["/".join(where)] = body
                return [
                    {**each, "id": str(self._next_id()), "application_id": str(APPLICATION), "version": "1"}
                    for each in body
                ]
            case ("GET", "applications", *_):
                return []
            case ("POST", "users", "@me", "channels"):
                person = int(body["recipient_id"])
                return {"id": str(person + DM), "type": 1, "recipients": [_user(person, "ann")], "flags": 0}
            case ("POST", "channels", channel, "messages"):
                return self._posted(body, channel)
            case ("PATCH", "channels", _, "messages", message_id):
                [message] = [each for each in self.messages if each["id"] == message_id]
                message.update(
                    {name: body[name] for name in ("content", "embeds", "components") if name in body}
                )
                return message
            case (verb, "channels", _, "messages", message_id, "reactions", sign, "@me"):
                self.reactions.append((verb, message_id, sign))
                return None
        raise web.HTTPNotFound(text=json.dumps({"message": f"404: {method} {path}", "code": 0}))

    def _refusal(self, method: str, path: list[str], body: Any) -> web.Response | None:
        match (method, *path):
            case ("POST", "channels", channel, "messages"):
                self.asked_to_post.append({**body, "channel_id": channel, "at": time.monotonic()})
                waiting = self.refusing.get(int(channel))
                if waiting:
                    said = waiting.pop(0)
                    headers = {"Via": "1.1 google", **said.get("headers", {})}
                    content = json.dumps(said["body"]).encode()
                    return web.Response(
                        body=content, content_type="application/json", status=said["status"], headers=headers
                    )
        return None

    def _answered(self, path: list[str], body: Any) -> web.Response:
        """Keep what the bot answered to a press, the first answer and what followed it."""
        self.answers.append({"path": path, **(body or {})})
        said: Json
        if path[0] == "interactions":
            said = {"interaction": {"id": path[1], "type": 3}}
            return web.Response(body=json.dumps(said).encode(), content_type="application/json")
        said = self._message((body or {}).get("content") or "", _user(BOT, "dashtrade", bot=True))
        return web.Response(body=json.dumps(said).encode(), content_type="application/json")

    def _posted(self, body: Json, channel: str) -> Json:
        nonce = body.get("nonce")
        if nonce is not None and body.get("enforce_nonce"):
            before = [each for each in self.messages if each.get("nonce") == nonce]
            if before:
                return before[0]
        message = {**self._message(body.get("content") or "", _user(BOT, "dashtrade", bot=True))}
        message["channel_id"] = channel
        if body.get("message_reference"):
            message["message_reference"] = body["message_reference"]
        message["embeds"] = body.get("embeds") or []
        message["components"] = body.get("components") or []
        message["nonce"] = nonce
        self.messages.append(message)
        return message

    def _application(self) -> Json:
        flags = 0 if self.refuses_content else FLAG_MESSAGE_CONTENT
        owner = _user(ANN, "ann")
        return {
            "id": str(APPLICATION), "name": "dashtrade", "icon": None, "description": "", "bot_public": True,
            "bot_require_code_grant": False, "verify_key": "0" * 64, "flags": flags, "owner": owner,
            "team": None, "summary": "",
        }  # fmt: skip

    def _guild(self) -> Json:
        role = {
            "id": str(GUILD), "name": "@everyone", "permissions": str(PERMISSIONS), "position": 0, "color": 0,
            "hoist": False, "managed": False, "mentionable": False, "flags": 0,
        }  # fmt: skip
        newest = self.messages[-1]["id"] if self.messages else None
        channel = {
            "id": str(CHANNEL), "type": 0, "name": "signals", "position": 0, "permission_overwrites": [],
            "parent_id": None, "last_message_id": newest, "nsfw": False, "flags": 0,
        }  # fmt: skip
        me = {
            "user": _user(BOT, "dashtrade", bot=True),
            "roles": [],
            "joined_at": _moment(),
            "deaf": False,
            "mute": False,
            "flags": 0,
        }
        return {
            "id": str(GUILD), "name": "Traders", "owner_id": str(ANN), "roles": [role], "channels": [channel],
            "members": [me], "member_count": 2, "threads": [], "emojis": [], "features": [], "stickers": [],
            "afk_timeout": 300, "verification_level": 0, "default_message_notifications": 0, "mfa_level": 0,
            "explicit_content_filter": 0, "system_channel_flags": 0, "premium_tier": 0, "nsfw_level": 0,
            "preferred_locale": "en-US", "premium_progress_bar_enabled": False, "voice_states": [],
            "presences": [], "stage_instances": [], "guild_scheduled_events": [], "large": False,
        }  # fmt: skip

    def _message(self, content: str, author: Json) -> Json:
        return {
            "id": str(self._next_id()), "channel_id": str(CHANNEL), "author": author, "content": content,
            "timestamp": _moment(), "edited_timestamp": None, "tts": False, "mention_everyone": False,
            "mentions": [], "mention_roles": [], "attachments": [], "embeds": [], "pinned": False, "type": 0,
            "flags": 0, "components": [],
        }  # fmt: skip

    def _next_id(self) -> int:
        return ((int(time.time() * 1000) - DISCORD_EPOCH_MS) << 22) + next(self._ids)


def _ready(address: str) -> Json:
    return {
        "v": 10, "user": _user(BOT, "dashtrade", bot=True), "session_id": "a-session", "resume_gateway_url": address,
        "guilds": [{"id": str(GUILD), "unavailable": True}], "application": {"id": str(APPLICATION), "flags": 0},
    }  # fmt: skip


def _user(user_id: int, name: str, *, bot: bool = False) -> Json:
    return {"id": str(user_id), "username": name, "discriminator": "0", "avatar": None, "bot": bot}


def _moment() -> str:
    return datetime.now(UTC).isoformat()
