"""`/openapi.json` and `/docs` say what the server does: every route, every answer, whatever is sent."""

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from core.signal import Action
from database import health, keys, tokens
from signals.message import NAMES
from tests.database.trading_floor import TradingFloor
from tests.end_to_end.webhook_desk import ROOT, gunicorn
from webhook import openapi
from webhook.health import NEEDED
from webhook.operations import ERRORS, OPERATIONS

ADDRESS = "http://localhost:8080"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES, EXAMPLES_WITHOUT_A_BODY = 30, 4
SERVICE = "svc_a key of a service that may do all"
# Of what is made up these stay, beside what leads to the bot that there is.
MEANT = {*NAMES["sender_id"], *NAMES["test"], "message_id", "leverage"}
OUR_BOT = {"symbol": "AAPL", "timeframe": "15", "user": "ann@example.org", "source": "tradingview"}
# Werkzeug's rules, as OpenAPI writes them.
RULE = re.compile(r"<(?:\w+:)?(\w+)>")


@pytest.fixture(scope="module")
def described():
    return openapi.document(ADDRESS)


def test_every_route_is_described_and_nothing_else(desk):
    routes = {
        (RULE.sub(r"{\1}", rule.rule), method.lower())
        for rule in desk.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert {(each.path, each.method) for each in OPERATIONS} == routes


def test_every_code_in_the_server_is_among_the_codes_of_its_description():
    code = re.compile(r'"([A-Z][A-Z]+(?:_[A-Z]+)+|TIMEOUT)"')
    written = {each for file in (ROOT / "webhook").glob("*.py") for each in code.findall(file.read_text())}
    assert written - {"REMOTE_ADDR"} <= set(openapi.codes())
    assert {"NOT_STORED", "RATE_LIMITED", "TOO_LARGE"} <= set(openapi.codes())


def test_every_status_of_an_error_says_what_it_means(described):
    assert {status for each in OPERATIONS for status in each.errors} == set(ERRORS)
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert all(answer["description"] for answer in operation["responses"].values()), path


def test_it_is_openapi(described):
    schema = schemathesis.openapi.from_dict(described)
    schema.validate()
    assert len(list(schema.get_all_operations())) == len(OPERATIONS)


def test_the_server_gives_it_and_the_page_made_of_it(desk, described):
    answer = desk.client.get("/openapi.json")
    assert answer.json == json.loads(json.dumps(described))
    page = desk.client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    names = [*(each.name for each in OPERATIONS), *described["components"]["schemas"]]
    assert [name for name in names if f'id="{name}"' not in page.text] == []
    linked = set(re.findall(r'href="#(\w+)"', page.text))
    assert linked <= set(re.findall(r'id="(\w+)"', page.text))


def test_the_page_needs_nothing_but_itself(desk):
    page = desk.client.get("/docs")
    assert not re.findall(r"<(?:script|img|link|iframe)|url\(|@import|src=", page.text)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert not [link for link in re.findall(r'href="([^#"]+)"', page.text) if link != "openapi.json"]


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_the_dashboards_port_passes_both_on(path):
    from ui.forwarding import is_forwarded

    assert is_forwarded(path)


def schema_of(described, path, status="200"):
    found = described["paths"][path]["get"]["responses"][status]["content"]["application/json"]["schema"]
    return {**found, "components": described["components"]}


def checked(described, path, answer):
    """Return an answer's JSON, which is as the path's description says."""
    assert answer.status_code == 200, answer.text
    validator = jsonschema.Draft202012Validator(
        schema_of(described, path), format_checker=jsonschema.FormatChecker()
    )
    assert [error.message for error in validator.iter_errors(answer.json)] == []
    return answer.json


def test_what_is_read_of_a_traded_signal_is_as_described(desk, described):
    floor = TradingFloor(desk.database)
    bot = floor.bot(stop_loss_percent="2", take_profit_percent="5")
    bought = floor.send(bot, Action.BUY)
    with desk.database.transaction() as transaction:
        token = tokens.create_token(transaction, desk.vault, floor.user_id)
        keys.keep_service_key(transaction, desk.vault, "everything", SERVICE)
    own = f"?token={token}"
    trace = checked(
        described, "/api/v1/signals/{signal_id}", desk.client.get(f"/api/v1/signals/{bought['uuid']}{own}")
    )
    assert trace["plan"]["legs"][0]["orders"][0]["fills"]
    assert UUID(trace["signal_id"]) == bought["uuid"]
    positions = desk.client.get(f"/user/{floor.user_id}/positions{own}")
    assert checked(described, "/user/{user_id}/positions", positions)["bots"]
    listed = checked(described, "/user/{user_id}/bots", desk.client.get(f"/user/{floor.user_id}/bots{own}"))
    assert listed["total_bots"] == 1
    stats = desk.client.get("/api/v1/stats", headers={"X-API-Key": SERVICE})
    assert checked(described, "/api/v1/stats", stats)["signals"] == {"EXECUTED": 1}


def test_health_is_as_described_in_both_its_forms(desk, described):
    answer = desk.client.get("/health")
    assert answer.status_code == 503
    jsonschema.validate(answer.json, schema_of(described, "/health", "503"))


@pytest.fixture
def live(desk, ann, free_port):
    """Give the real server with a user, a bot and a service's key, and what the sender of each operation sends."""
    ann.bot()
    with desk.database.transaction() as transaction:
        keys.keep_service_key(transaction, desk.vault, "everything", SERVICE)
        for part in NEEDED:
            health.beat(transaction, part, "here:1", datetime.now(UTC) + timedelta(hours=1))
    limits = {"WEBHOOK_ALERTS_PER_MINUTE": "1000000", "WEBHOOK_REQUESTS_PER_MINUTE": "1000000"}
    with gunicorn(desk, free_port, **limits):
        yield f"http://127.0.0.1:{free_port}", ann.token


@pytest.mark.slow
def test_whatever_is_sent_is_answered_as_described(live):
    url, token = live
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    seen: dict[str, set[int]] = {}
    with requests.Session() as session:
        for result in schema.get_all_operations():
            operation = result.ok()
            for known in (True, False):
                fuzz(
                    operation,
                    url,
                    session,
                    token if known else "usr_nobody's",
                    SERVICE if known else "x",
                    seen,
                )
    assert seen["/webhook"] >= {202, 401, 422}
    assert seen["/api/v1/signals"] >= {202, 401, 422}
    assert seen["/user/{user_id}/bots"] >= {401, 404}
    # The description itself was read first.
    assert set(seen) == {each.path for each in OPERATIONS} - {"/openapi.json"}


def fuzz(operation, url, session, token, key, seen):
    """Send what the description allows, and what it does not, as somebody known or as nobody."""
    many = EXAMPLES if operation.body else EXAMPLES_WITHOUT_A_BODY
    sent = {"token": token} if operation.path != "/webhook/{token}" else {}

    @given(case=operation.as_strategy(), does=st.sampled_from((None, "buy", "close")))
    @settings(max_examples=many, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    def ask(case, does):
        if does and isinstance(case.body, dict):
            case.body = {name: value for name, value in case.body.items() if name in MEANT}
            case.body |= OUR_BOT | {"action": does}
        if "token" in case.path_parameters:
            case.path_parameters["token"] = token
        # The wait is ours and not the server's.
        case.query = {
            name: value for name, value in (case.query or {}).items() if name not in ("wait", "token")
        }
        answer = case.call(base_url=url, session=session, params=sent, headers={"X-API-Key": key}, timeout=20)
        seen.setdefault(operation.path, set()).add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    ask()
