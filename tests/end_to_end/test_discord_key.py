"""The bot's key for the API goes to its own server and to nobody else."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from discord_bot.api import Api
from settings import Settings

KEY = "svc_0123456789abcdef0123456789"


class Elsewhere(BaseHTTPRequestHandler):
    """Send every request on to another server, or be that other server."""

    def do_GET(self):
        """Note the request and answer it."""
        self.server.asked.append(self.headers.get("X-API-Key"))
        if self.server.leads_to is None:
            self.send_response(200)
        else:
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{self.server.leads_to}/health")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def serve():
    servers = []

    def start(leads_to=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
        server.leads_to, server.asked = leads_to, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_redirect_does_not_take_the_key_to_a_stranger(serve):
    stranger = serve()
    own = serve(leads_to=stranger.server_port)
    settings = Settings.model_validate(
        {
            "database_url": "postgresql://nobody@127.0.0.1/none",
            "public_url": "http://localhost:8080",
            "webhook_port": own.server_port,
            "signal_api_key": KEY,
        }
    )

    async def ask():
        api = Api(settings)
        api.open()
        try:
            return await api.health()
        finally:
            await api.close()

    assert asyncio.run(ask()).status == 307
    assert own.asked == [KEY]
    assert stranger.asked == []
