"""What the webhook server can be asked: every route with its words, its fields and its answers.

`/openapi.json` and `/docs` are made of this; a test holds it against the routes there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel

from core.plan import Code
from webhook import answers


class Access(StrEnum):
    """Who may ask."""

    NOBODY_ASKED = "none"
    TOKEN = "token"  # noqa: S105  a name
    TOKEN_IN_PATH = "token in the path"  # noqa: S105
    SERVICE_KEY = "service key"
    TOKEN_OR_KEY = "token or service key"  # noqa: S105
    METRICS_KEY = "metrics key"


class Body(StrEnum):
    """What is sent."""

    MESSAGE = "Message"
    SERVICE_MESSAGE = "ServiceMessage"


class Kind(StrEnum):
    """The media types of answers that are not JSON of ours."""

    HTML = "text/html"
    METRICS = "text/plain"
    OPENAPI = "application/json"


Answers = type[BaseModel] | tuple[type[BaseModel], ...] | Kind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One way of asking. `path` is written as OpenAPI does; `errors` are the statuses it can be refused with."""

    method: str
    path: str
    name: str
    words: str
    more: str = ""
    access: Access = Access.NOBODY_ASKED
    body: Body | None = None
    queries: tuple[str, ...] = ()
    answers: Mapping[int, Answers] = field(default_factory=dict)
    errors: tuple[int, ...] = ()


# Which codes an error's status may have, and what the status says.
ERRORS: Mapping[int, tuple[str, tuple[str, ...]]] = {
    400: ("The request or its JSON is broken", ("BAD_REQUEST", Code.INVALID_JSON)),
    401: ("The token or the key is missing, unknown or revoked", ("INVALID_TOKEN", "INVALID_API_KEY")),
    403: (
        "Not from this address, without a certificate, or not of this author",
        ("ADDRESS_NOT_ALLOWED", "CERTIFICATE_REQUIRED", Code.AUTHOR_NOT_ALLOWED),
    ),
    404: ("There is no such thing here, or it is not yours", ("NOT_FOUND", Code.NO_BOT, Code.NO_CHANNEL)),
    405: ("The address does not take that method", ("METHOD_NOT_ALLOWED",)),
    408: ("The message did not arrive in time", ("TIMEOUT",)),
    413: ("The message is larger than 64 KB", ("TOO_LARGE",)),
    415: ("Neither JSON nor plain text", ("UNSUPPORTED_MEDIA_TYPE",)),
    422: (
        "Refused; sending the same again does not help",
        (Code.INVALID_SIGNAL, Code.CONTRADICTORY_SIGNAL, Code.AMBIGUOUS_BOT, Code.SYMBOL_NOT_TRADEABLE),
    ),
    429: ("Too many requests; `Retry-After` says when to try again", ("RATE_LIMITED",)),
    500: ("Something failed here; send it again", ("INTERNAL_ERROR",)),
    503: (
        "Nothing was stored, or the database does not answer; send it again",
        ("NOT_STORED", "UNAVAILABLE"),
    ),
}
EVERYWHERE = (400, 429, 500, 503)
_OF_A_BODY = (*EVERYWHERE, 408, 413, 415, 422)
_ALERT: Mapping[int, Answers] = {202: answers.Accepted, 200: (answers.Duplicate, answers.Tested)}
_STORED = (
    "Answered with 2xx it is stored, never lost and never executed twice. 4xx is a refusal, which is kept where"
    " the sender is known; 5xx means that nothing was stored."
)

OPERATIONS = (
    Operation(
        method="post", path="/webhook", name="sendAlert", words="Send an alert",
        more=f"{_STORED} TradingView's alerts go here, as JSON or as plain text.",
        access=Access.TOKEN, body=Body.MESSAGE, queries=("wait",), answers=_ALERT,
        errors=(*_OF_A_BODY, 401, 403, 404),
    ),
    Operation(
        method="post", path="/webhook/{token}", name="sendAlertWithTokenInPath",
        words="Send an alert, the token in the path", more=_STORED,
        access=Access.TOKEN_IN_PATH, body=Body.MESSAGE, queries=("wait",), answers=_ALERT,
        errors=(*_OF_A_BODY, 401, 403, 404, 405),
    ),
    Operation(
        method="post", path="/test-webhook", name="explainMessage", words="See how a message is read",
        more="Stores nothing and trades nothing. The status is the one that `/webhook` would give.",
        body=Body.MESSAGE, answers={200: answers.Explanation}, errors=_OF_A_BODY,
    ),
    Operation(
        method="post", path="/api/v1/signals", name="sendSignal", words="Send a signal as a service",
        more=f"For one `user`, or for everybody who registered a `channel` and takes its `author`. {_STORED}",
        access=Access.SERVICE_KEY, body=Body.SERVICE_MESSAGE, queries=("wait",),
        answers={
            202: (answers.Accepted, answers.ChannelSignals),
            200: (answers.Duplicate, answers.Tested, answers.ChannelSignals),
        },
        errors=(*_OF_A_BODY, 401, 403, 404),
    ),
    Operation(
        method="get", path="/api/v1/signals/{signal_id}", name="readSignal",
        words="Read everything that came of a signal",
        more="Each step with its time, the plan, orders, fills, the code and the sentence.",
        access=Access.TOKEN_OR_KEY, answers={200: answers.Trace}, errors=(*EVERYWHERE, 401, 404, 405),
    ),
    Operation(
        method="get", path="/api/v1/stats", name="readStats", words="Read counts and latencies",
        more="Of the users that the key may see. For many signals it takes seconds; a monitor reads `/metrics`.",
        access=Access.SERVICE_KEY, answers={200: answers.Stats}, errors=(*EVERYWHERE, 401),
    ),
    Operation(
        method="get", path="/user/{user_id}/positions", name="readPositions",
        words="Read a user's accounts and positions",
        more="Each account as its broker last said, with its age, and what each bot holds.",
        access=Access.TOKEN, answers={200: answers.Positions}, errors=(*EVERYWHERE, 401, 404, 405),
    ),
    Operation(
        method="get", path="/user/{user_id}/bots", name="readBots", words="Read a user's bots",
        more="Those that are not archived, with their settings and status.",
        access=Access.TOKEN, answers={200: answers.Bots}, errors=(*EVERYWHERE, 401, 404, 405),
    ),
    Operation(
        method="get", path="/discord/callback", name="linkDiscord", words="Come back from Discord's page",
        more="Where Discord sends a browser back that began on the Discord page of the dashboard.",
        queries=("state", "code", "error"),
        answers={200: Kind.HTML, 303: None, 400: Kind.HTML, 401: Kind.HTML, 404: Kind.HTML, 409: Kind.HTML,
                 502: Kind.HTML},
        errors=(429, 500, 503),
    ),
    Operation(
        method="get", path="/health", name="readHealth", words="Ask whether everything runs",
        more="200 while alerts are stored and carried out, else 503 in the same form.",
        answers={200: answers.Health, 503: answers.Health}, errors=(400, 429, 500),
    ),
    Operation(
        method="get", path="/metrics", name="readMetrics", words="Read the figures for Prometheus",
        more="With METRICS_KEY, or from an address in METRICS_NETWORKS without a proxy between.",
        access=Access.METRICS_KEY, answers={200: Kind.METRICS}, errors=(*EVERYWHERE, 401),
    ),
    Operation(
        method="get", path="/openapi.json", name="readOpenApi", words="Read this description for programs",
        answers={200: Kind.OPENAPI}, errors=(400, 429, 500),
    ),
    Operation(
        method="get", path="/docs", name="readDocs", words="Read this description for people",
        answers={200: Kind.HTML}, errors=(400, 429, 500),
    ),
)  # fmt: skip
