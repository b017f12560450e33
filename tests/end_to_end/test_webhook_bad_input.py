"""Whatever is sent, the answer says what is wrong with it; never a 5xx, never a stack trace."""

import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.plan import Code
from signals.message import NAMES
from tests.end_to_end.webhook_desk import gunicorn

GOOD = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}
STATUSES = {200, 202, 400, 404, 422}


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"[]", b'"buy"', b"1", b"{", b"{'action': 'buy'}", b'{"action": "buy",}',
        b'{"action": "buy", "action": "sell"}', b'{"price": NaN}', b'{"price": Infinity}', b"\xff\xfe",
        b"buy AAPL now", b'{"a\\u0000": 1, "a\\u0000": 2}', b'{"\\ud800": 1, "\\ud800": 2}',
        b'{"action": "\\u0000"}', b"[" * 10_000, b'{"a":' * 5_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_what_is_no_json_object_is_refused_with_a_hint_and_kept(desk, ann, body, content_type):
    answer = desk.post(f"/webhook?token={ann.token}", body, content_type)
    assert (answer.status_code, answer.json["code"]) == (400, "INVALID_JSON")
    assert answer.json["hint"]
    [stored] = ann.signals()
    assert (bytes(stored["body"]), stored["state"], stored["code"]) == (body, "REFUSED", "INVALID_JSON")
    assert stored["sentence"] == answer.json["error"].replace("\x00", "�").replace("\ud800", "�")


WRONG_FIELDS = [
    ("action", "hold"), ("action", 7), ("action", "{{strategy.order.action}}"), ("symbol", "A A"), ("symbol", 5),
    ("timeframe", "soon"), ("timeframe", "15M"), ("price", "dear"), ("price", -1), ("stop_loss", "low"),
    ("take_profit", {"percent": "x"}), ("order_type", "iceberg"), ("limit_price", 0), ("quantity", "all"),
    ("quantity_type", "boxes"), ("market_position", "sideways"), ("prev_market_position", 1),
    ("position_size", "big"), ("timenow", "today"), ("bot", ""), ("test", "perhaps"), ("id", {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG_FIELDS)
def test_a_wrong_field_is_named_with_what_came_and_what_is_allowed(desk, ann, name, value):
    ann.bot()
    message = {
        **GOOD,
        "quantity": 1,
        **({"order_type": "limit"} if name == "limit_price" else {}),
        name: value,
    }
    answer = ann.send(**message)
    assert (answer.status_code, answer.json["code"]) == (422, "INVALID_SIGNAL"), answer.json
    [field] = [each for each in answer.json["fields"] if each["name"].startswith(name)]
    assert field["got"]
    assert field["allowed"]
    assert name in answer.json["error"]
    assert answer.json == {**desk.post("/test-webhook", message).json, "signal_id": answer.json["signal_id"]}


def test_every_wrong_field_is_named_at_once(desk, ann):
    answer = ann.send(action="hold", symbol="", price="dear", timeframe="soon")
    assert {each["name"] for each in answer.json["fields"]} == {"action", "symbol", "price", "timeframe"}


def test_a_stop_on_the_wrong_side_is_refused(ann):
    ann.bot()
    answer = ann.send(**GOOD, price="100", stop_loss="110")
    assert (answer.status_code, answer.json["code"]) == (422, "INVALID_SIGNAL")
    assert "stop_loss" in answer.json["error"]


class TestTheRequestItself:
    @pytest.mark.parametrize(
        "content_type",
        [
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "image/png",
            "text/html",
            "x",
        ],
    )
    def test_other_content_types_are_415(self, desk, ann, content_type):
        answer = desk.post(f"/webhook?token={ann.token}", GOOD, content_type)
        assert (answer.status_code, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")

    def test_more_than_64_kb_is_413_and_as_much_is_read(self, desk, ann):
        ann.bot()
        room = 64 * 1024 - len(json.dumps({**GOOD, "note": ""}))
        assert ann.send(**GOOD, note="x" * room).status_code == 202
        answer = ann.send(**GOOD, note="x" * (room + 1))
        assert (answer.status_code, answer.json["code"]) == (413, "TOO_LARGE")
        assert len(ann.signals()) == 1

    @pytest.mark.parametrize("path", ["/", "/nothing", "/webhook/a/b", "/api/v2/signals", "/user/1"])
    def test_other_addresses_are_404(self, desk, path):
        answer = desk.client.get(path)
        assert (answer.status_code, answer.json["code"]) == (404, "NOT_FOUND")

    @pytest.mark.parametrize("path", ["/webhook", "/test-webhook", "/api/v1/signals"])
    def test_other_methods_are_405_with_those_that_are_allowed(self, desk, path):
        answer = desk.client.get(path)
        assert (answer.status_code, answer.json["code"]) == (405, "METHOD_NOT_ALLOWED")
        assert "POST" in answer.headers["Allow"]

    def test_a_fault_of_ours_is_500_without_its_words(self, desk, ann, caplog):
        # A key that does not fit is the one fault that can be made from outside without touching our code.
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE server_settings SET hash_key_sealed = 'not sealed by any key'")
        desk.app.extensions["dashtrade"]._hash_key = None
        answer = ann.send(**GOOD)
        assert (answer.status_code, answer.json["code"]) == (500, "INTERNAL_ERROR")
        assert "damaged" not in answer.text
        assert "it was damaged" in caplog.text


class TestOverARealSocket:
    """What a test client cannot send: chunks without a length, a length without a body."""

    @pytest.fixture
    def port(self, desk, free_port):
        with gunicorn(desk, free_port):
            yield free_port

    def ask(self, port, request):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request)
            answer = b""
            try:
                while part := connection.recv(65536):
                    answer += part
            except ConnectionResetError:
                pass
        return answer

    def head(self, token, *headers):
        lines = [f"POST /webhook?token={token} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        return "\r\n".join(lines).encode()

    def test_chunks_are_read(self, ann, port):
        ann.bot()
        body = json.dumps(GOOD).encode()
        chunks = (
            b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (body[:10], body[10:])) + b"0\r\n\r\n"
        )
        answer = self.ask(port, self.head(ann.token, "Transfer-Encoding: chunked") + chunks)
        assert b" 202 " in answer[:20]

    def test_chunks_beyond_64_kb_are_413(self, ann, port):
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        answer = self.ask(port, self.head(ann.token, "Transfer-Encoding: chunked") + chunk * 2 + b"0\r\n\r\n")
        assert b" 413 " in answer[:20]
        assert ann.signals() == []

    def test_a_length_beyond_64_kb_is_413_before_the_body_is_read(self, ann, port):
        answer = self.ask(port, self.head(ann.token, "Content-Length: 70000"))
        assert b" 413 " in answer[:20]


# Text that is likely to reach deep: real names with real and odd values.
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["buy", "AAPL", "NASDAQ:AAPL", "15", "1D", "long", "flat", "143.12", "1e400", "{{close}}",
                     "2026-11-20T15:00:00Z", "1763650800", "true", "\x00", "\ud800", "￿", "9" * 400]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
KNOWN_NAMES = st.sampled_from([*(name for names in NAMES.values() for name in names), "strategy", "order"])
MESSAGES = st.dictionaries(st.one_of(KNOWN_NAMES, TEXTS), VALUES, max_size=12)
BODIES = st.one_of(
    st.binary(max_size=200),
    MESSAGES.map(lambda message: json.dumps(message).encode()),
    MESSAGES.map(lambda message: json.dumps({**GOOD, **message}).encode()),
    st.builds(lambda name, value: json.dumps({**GOOD, name: value}).encode(), KNOWN_NAMES, VALUES),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, content_type=st.sampled_from(["application/json", "text/plain", ""]))
def test_no_body_gives_a_5xx_and_every_answer_is_kept_and_says_why(desk, ann, body, content_type):
    if not desk.value("SELECT count(*) FROM user_bot_configs"):
        ann.bot(), ann.bot("BTC/USD", None, crypto=True)
    answer = desk.post(f"/webhook?token={ann.token}", body, content_type)
    assert answer.status_code in STATUSES, answer.text
    stored = desk.all("SELECT * FROM signals WHERE uuid = %s", (answer.json["signal_id"],))[0]
    assert bytes(stored["body"]) == body
    if answer.status_code >= 400:
        assert stored["code"] == answer.json["code"]
        assert Code(answer.json["code"])
        assert answer.json["error"]
    explained = desk.post(
        "/test-webhook", body, content_type, environ_overrides={"REMOTE_ADDR": body.hex()[:30]}
    )
    assert explained.status_code in {200, 400, 422, 429}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    # The test's client takes what follows two slashes for a host
    path=st.text(max_size=30).filter(lambda path: "?" not in path and not path.startswith("/")),
    query=st.text(max_size=60),
    body=st.binary(max_size=50),
)
def test_no_address_and_no_query_gives_a_5xx(desk, path, query, body):
    answer = desk.client.post("/" + path, query_string=query, data=body)
    assert answer.status_code < 500, answer.text
    assert answer.status_code in (200, 308) or answer.json["code"]


def test_a_refused_message_is_news_for_its_user_and_a_test_is_none(desk, ann):
    ann.bot()
    ann.send(action="buy", symbol="MSFT", timeframe="15")
    ann.send(action="bye", symbol="AAPL", timeframe="15")
    ann.send(action="buy", symbol="AAPL", timeframe="15", test=True)
    told = desk.all("SELECT user_id, kind, content FROM notifications ORDER BY id")
    assert [(row["kind"], row["content"]["code"]) for row in told] == [
        ("SIGNAL_REFUSED", "NO_BOT"),
        ("SIGNAL_REFUSED", "INVALID_SIGNAL"),
    ]
    assert told[0]["content"]["symbol"] == "MSFT"
    assert told[0]["content"]["sentence"]
    first, second = (row["content"]["event"] for row in told)
    assert {first, second} < {str(row["uuid"]) for row in desk.all("SELECT uuid FROM signals")}
