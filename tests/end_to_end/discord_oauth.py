"""A server of the tests that hands out tokens and names accounts as Discord's OAuth does, and as strictly."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl


class DiscordOauth:
    """Applications, codes that are good once, and tokens with the scope that was granted."""

    def __init__(self, client_id, client_secret, redirect_uri):
        self.client = (str(client_id), client_secret)
        self.redirect_uri = redirect_uri
        self.codes = {}
        self.tokens = {}
        self.fault = None
        self.calls = []
        self.address = ""

    def consent(self, code, account):
        """Let somebody say yes on Discord's page: the browser goes back with `code`."""
        self.codes[code] = account

    def token(self, headers, body):
        given = dict(parse_qsl(body, strict_parsing=True))
        if headers.get("Content-Type") != "application/x-www-form-urlencoded":
            return 400, {"error": "invalid_request"}
        kind, _, secret = headers.get("Authorization", "").partition(" ")
        if kind != "Basic" or tuple(base64.b64decode(secret).decode().split(":", 1)) != self.client:
            return 401, {"error": "invalid_client"}
        if given.get("grant_type") != "authorization_code":
            return 400, {"error": "unsupported_grant_type"}
        account = self.codes.pop(given.get("code"), None)
        if account is None or given.get("redirect_uri") != self.redirect_uri:
            return 400, {"error": "invalid_grant", "error_description": 'Invalid "code" in request.'}
        token = f"token{len(self.tokens)}"
        self.tokens[token] = account
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 604800, "scope": "identify"}

    def me(self, headers):
        kind, _, token = headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.tokens:
            return 401, {"message": "401: Unauthorized", "code": 0}
        return 200, self.tokens[token]


@contextmanager
def serving(oauth):
    """Serve on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.answer("/api/v10/oauth2/token", lambda: oauth.token(self.headers, body))

        def do_GET(self):
            self.answer("/api/v10/users/@me", lambda: oauth.me(self.headers))

        def answer(self, path, reply):
            oauth.calls.append(self.path)
            status, said = (
                (404, {"message": "404: Not Found"}) if self.path != path else oauth.fault or reply()
            )
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    oauth.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield oauth
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
