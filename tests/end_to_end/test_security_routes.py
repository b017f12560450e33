"""Every route of the webhook server, by the map that Flask has of them: nobody gets at what is not theirs.

A new route is walked by itself; one that takes an id of a new kind fails until it is told here.
"""

import re
from uuid import UUID

import pytest

from database import tokens
from tests.end_to_end.webhook_desk import WebhookDesk
from webhook.operations import OPERATIONS, Access

ALERT = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}
NOBODYS = {"user_id": 987654, "signal_id": UUID(int=1)}
BY_TOKEN = {Access.TOKEN, Access.TOKEN_IN_PATH, Access.TOKEN_OR_KEY}
BY_KEY = {Access.SERVICE_KEY, Access.TOKEN_OR_KEY, Access.METRICS_KEY}
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
METRICS_KEY = "a key of the metrics, long enough"
# Besides the signal's id, what must be in no answer to anybody else.
PLACE = "Anns place"


@pytest.fixture
def desk(database_url):
    desk = WebhookDesk(database_url, metrics_key=METRICS_KEY, metrics_networks="198.51.100.0/24")
    yield desk
    desk.close()


@pytest.fixture
def bob(desk):
    return desk.trader("bob@example.org")


@pytest.fixture
def anns(desk, ann):
    """Give Ann a bot and a signal; return what routes may be asked for of hers."""
    ann.bot(connection_id=ann.connection(PLACE))
    return {"user_id": ann.id, "signal_id": ann.send(**ALERT).json["signal_id"]}


def routes(desk):
    """Give every route with the way in that is described for it."""
    access = {(each.method.upper(), each.path): each.access for each in OPERATIONS}
    for rule in desk.app.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            yield method, rule.rule, access[method, PARAMETER.sub(r"{\1}", rule.rule)]


def ask(desk, route, ids, *, token=None, key=None):
    """Ask a route for things of somebody, with a token, a key or neither, as its access wants them."""
    method, rule, access = route
    values = {**ids, "token": token or "%00"}
    path = PARAMETER.sub(lambda found: str(values[found[1]]), rule)
    if token is not None and access is not Access.TOKEN_IN_PATH:
        path += f"?token={token}"
    name, start = ("Authorization", "Bearer ") if access is Access.METRICS_KEY else ("X-API-Key", "")
    headers = {} if key is None else {name: start + key}
    sent = {"json": {**ALERT, "user": ids["user_id"]}} if method == "POST" else {}
    return desk.client.open(path, method=method, headers=headers, **sent)


def dead_tokens(desk):
    """Give tokens that open nothing: made up, revoked, and of an account that was closed."""
    yield "usr_made-up"
    gone, closed = desk.trader("gone@example.org"), desk.trader("closed@example.org")
    with desk.database.transaction() as transaction:
        [token] = tokens.tokens_of(transaction, gone.id)
        tokens.revoke_token(transaction, gone.id, token.id)
        transaction.execute("UPDATE users SET is_active = false WHERE id = %s", (closed.id,))
    yield from (gone.token, closed.token)


def dead_keys(desk):
    """Give keys that open nothing: made up, revoked, and a user's token."""
    with desk.database.transaction() as transaction:
        revoked = tokens.create_service_key(transaction, desk.vault, "Revoked")
        tokens.revoke_service_key(transaction, "Revoked")
    return "svc_made-up", revoked, desk.trader("carl@example.org").token


def service_key(desk, name, **allowed):
    with desk.database.transaction() as transaction:
        return tokens.create_service_key(transaction, desk.vault, name, **allowed)


def test_without_a_living_token_or_key_every_route_is_closed(desk, anns):
    dead, ways = [*dead_tokens(desk)], [None, *dead_keys(desk)]
    for route in routes(desk):
        if route[2] in BY_TOKEN:
            assert [ask(desk, route, anns, token=token).status_code for token in (None, *dead)] == [401] * 4
        if route[2] in BY_KEY:
            assert [ask(desk, route, anns, key=key).status_code for key in ways] == [401] * 4, route
    assert desk.value("SELECT count(*) FROM signals") == 1


def test_to_another_users_token_or_a_services_key_nothing_of_anybody_elses_is_there(desk, anns, bob):
    narrow = service_key(desk, "Narrow", allowed_users=[bob.id])
    for route in routes(desk):
        by_token = [{"token": bob.token}] if route[2] in BY_TOKEN else []
        by_key = [{"key": narrow}] if route[2] in BY_KEY - {Access.METRICS_KEY} else []
        for way in by_token + by_key:
            theirs, nobodys = ask(desk, route, anns, **way), ask(desk, route, NOBODYS, **way)
            named = PARAMETER.search(route[1]) and route[2] is not Access.TOKEN_IN_PATH
            assert (theirs.status_code == 404) or not named, route
            assert theirs.status_code == nobodys.status_code, route
            assert [mark for mark in (PLACE, anns["signal_id"]) if mark in theirs.text] == [], route
    assert desk.all("SELECT DISTINCT user_id FROM signals WHERE state <> 'REFUSED'") == [
        {"user_id": anns["user_id"]}
    ]


def test_what_everybody_may_ask_tells_of_nobody(desk, anns):
    for route in routes(desk):
        if route[2] is Access.NOBODY_ASKED and route[0] == "GET":
            answer = ask(desk, route, anns)
            assert [mark for mark in (PLACE, anns["signal_id"]) if mark in answer.text] == [], route


def test_what_is_hidden_is_there_to_be_seen(desk, ann, anns):
    everything = service_key(desk, "Everything")
    answers = [ask(desk, route, anns, token=ann.token) for route in routes(desk) if route[2] in BY_TOKEN]
    answers += [ask(desk, route, anns, key=everything) for route in routes(desk) if route[2] in BY_KEY]
    seen = "".join(answer.text for answer in answers)
    assert [mark for mark in (PLACE, anns["signal_id"]) if mark not in seen] == []
    metrics = next(route for route in routes(desk) if route[2] is Access.METRICS_KEY)
    assert ask(desk, metrics, anns, key=METRICS_KEY).status_code == 200


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"]
)
def test_no_other_header_than_a_proxys_own_says_who_sent(database_url, name):
    desk = WebhookDesk(database_url, webhook_allowed_addresses="52.89.214.238")
    trader = desk.trader()
    word = "for=52.89.214.238" if name == "Forwarded" else "52.89.214.238"
    assert trader.send(**ALERT).status_code == 403
    path = f"/webhook?token={trader.token}"
    for peer in ("127.0.0.1", "203.0.113.9"):
        options = {"headers": {name: word}, "environ_overrides": {"REMOTE_ADDR": peer}}
        assert desk.post(path, ALERT, **options).status_code == 403
    desk.close()


def test_addresses_in_answers_are_the_settings_and_not_the_senders(desk):
    for path in ("/openapi.json", "/docs"):
        answer = desk.client.get(path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        assert answer.status_code == 200
        assert "evil.example" not in answer.text + str(answer.headers)
