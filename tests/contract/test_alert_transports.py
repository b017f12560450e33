"""Every transport against one suite: what a service may do ends as an outcome, and tells no secret."""

import datetime as dt
import http.client
import json
import logging
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from alerts.discord_webhook import DiscordWebhook
from alerts.json_webhook import Address, JsonWebhook
from alerts.posting import LONGEST_BODY, NoAnswer, Patience
from alerts.transport import ChannelGone, Delivered, InvalidAddress, Outcome, Refused, Transport, TryLater
from core.addresses import networks
from core.alert import Alert, AlertField, Tone
from tests.discord_server import Answer, DiscordServer, ScriptedServer
from tests.discord_server.answers import Cut
from tests.discord_server.certificates import Authority
from tests.discord_server.server import Rate
from tests.unit.any_alerts import some_alerts

PATIENT = Patience(connect=30, answer=30)
HASTY = Patience(connect=30, answer=0.5)
LOOPBACK = networks(("127.0.0.0/8",))
# Each byte comes in time, the whole answer would take a minute
DRIPPING = Answer(drip=0.1, headers={"X-Padding": "x" * 600})
# Making alerts takes a slow machine long; the desk serves all examples
UNHURRIED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
KEY = "delivery-7"
DOCS = Path(__file__).parents[2] / "docs"


def alert(**changed: Any) -> Alert:
    said = {
        "kind": "ORDER_FILLED",
        "title": "AAPL bot bought",
        "tone": Tone.GOOD,
        "text": "10 AAPL at 187.20",
        "fields": (AlertField("Quantity", "10"), AlertField("Reason", "", wide=True)),
        "footer": "Paper",
        "at": dt.datetime(2026, 11, 21, 9, 30, tzinfo=dt.UTC),
        "data": {"quantity": "10"},
    }
    return Alert(**{**said, **changed})


@dataclass
class Desk:
    """A transport, a server to send to, and the secrets of the address."""

    server: ScriptedServer
    transport: Transport
    hasty: Transport
    address: str
    place: str
    secrets: tuple[str, ...]

    def send(self, *answers: Answer, transport: Transport | None = None) -> Outcome:
        self.server.script(self.place, *answers)
        carrier = transport or self.transport
        return carrier.send(self.address, carrier.render([alert()]), KEY)


def discord_desk(server: DiscordServer) -> Desk:
    transport = DiscordWebhook(server.base, patience=PATIENT)
    address = transport.checked_address(server.url_of(1234567))
    hasty = DiscordWebhook(server.base, patience=HASTY)
    return Desk(server, transport, hasty, address, "1234567", ("token-of-webhook-1234567",))


def json_desk(server: ScriptedServer) -> Desk:
    transport = JsonWebhook(allowed=LOOPBACK, patience=PATIENT)
    address = transport.checked_address(f"{server.base}/hooks/secret-path?key=secret-query")
    hasty = JsonWebhook(allowed=LOOPBACK, patience=HASTY)
    secrets = ("secret-path", "secret-query", Address.of(address).secret)
    return Desk(server, transport, hasty, address, "/hooks/secret-path", secrets)


@pytest.fixture(params=["DISCORD", "WEBHOOK"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    with ExitStack() as stack:
        if request.param == "DISCORD":
            yield discord_desk(stack.enter_context(DiscordServer()))
        else:
            yield json_desk(stack.enter_context(ScriptedServer()))


@pytest.fixture
def discord() -> Iterator[Desk]:
    with DiscordServer() as server:
        yield discord_desk(server)


@pytest.fixture
def webhook() -> Iterator[Desk]:
    with ScriptedServer() as server:
        yield json_desk(server)


OUTCOMES = [
    (Answer(status=200, body=b"{}"), Delivered),
    (Answer(status=204), Delivered),
    (Answer.saying(400, {"message": "Bad Request", "code": 0}), Refused),
    (Answer.invalid_token(), ChannelGone),
    (Answer.forbidden(), ChannelGone),
    (Answer.unknown_webhook(), ChannelGone),
    (Answer.saying(405, {"message": "405: Method Not Allowed", "code": 0}), Refused),
    (Answer.page(408), TryLater),
    (Answer.page(413), Refused),
    (Answer.too_many(0.3), TryLater),
    (Answer.banned(), TryLater),
    (Answer.saying(500, {"message": "500: Internal Server Error", "code": 0}), TryLater),
    (Answer.page(502), TryLater),
    (Answer.page(503), TryLater),
    (Answer(status=599, body=b"\xff\xfe"), TryLater),
    (Answer.redirect("/elsewhere", 302), Refused),
    (Answer.redirect("/elsewhere", 307), Refused),
    (Answer(cut=Cut.BEFORE_READING), TryLater),
    (Answer(cut=Cut.AFTER_READING), TryLater),
]


@pytest.mark.parametrize(("answer", "kind"), OUTCOMES, ids=lambda each: str(getattr(each, "status", each)))
def test_each_answer_ends_as_its_outcome(desk: Desk, answer: Answer, kind: type[Outcome]) -> None:
    assert type(desk.send(answer)) is kind
    assert isinstance(desk.send(), Delivered)


@pytest.mark.parametrize("answer", [DRIPPING, Answer(delay=60)], ids=["drip", "late"])
def test_who_answers_too_slowly_is_left(desk: Desk, answer: Answer) -> None:
    outcome = desk.send(answer, transport=desk.hasty)
    assert isinstance(outcome, TryLater)
    assert "no answer in time" in outcome.reason


def test_a_status_counts_although_its_body_is_cut_or_endless(desk: Desk) -> None:
    body = b'{"id": "' + b"1" * 1000
    assert desk.send(Answer(status=200, body=body, cut=Cut.IN_THE_BODY)) == Delivered()
    long = Answer(status=200, body=b"x" * (LONGEST_BODY * 40))
    assert desk.send(long) == Delivered()


def test_nobody_listening_is_tried_later(desk: Desk) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{taken.getsockname()[1]}"
        address = desk.address.replace(f"127.0.0.1:{desk.server.port}", gone)
        transport = DiscordWebhook(f"http://{gone}") if desk.place == "1234567" else desk.transport
        outcome = transport.send(address, transport.render([alert()]), KEY)
    assert isinstance(outcome, TryLater)
    assert "refused" in outcome.reason


def test_what_is_not_http_is_tried_later(desk: Desk) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = desk.address.replace(str(desk.server.port), str(server.getsockname()[1]))
        base = f"http://127.0.0.1:{server.getsockname()[1]}"
        transport = DiscordWebhook(base) if desk.place == "1234567" else desk.transport

        def speak() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"220 mail.example ESMTP\r\n")

        speaker = threading.Thread(target=speak)
        speaker.start()
        outcome = transport.send(address, transport.render([alert()]), KEY)
        speaker.join()
    assert isinstance(outcome, TryLater)


def test_redirects_are_not_followed(desk: Desk) -> None:
    for status in (301, 302, 303, 307, 308):
        outcome = desk.send(Answer.redirect(f"{desk.server.base}/elsewhere", status))
        assert isinstance(outcome, Refused | ChannelGone)
        assert "redirect" in outcome.reason
    assert desk.server.asked("/elsewhere") == []


def test_retry_after_is_heard_in_seconds_and_as_a_time(desk: Desk) -> None:
    outcome = desk.send(Answer(status=503, headers={"Retry-After": "17"}))
    assert outcome.seconds == 17
    long_ago = desk.send(Answer(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    assert long_ago.seconds == 0
    far = desk.send(Answer(status=503, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}))
    assert far.seconds == 24 * 3600
    for nonsense in ("soon", "nan", "inf", "", "1e999", "Fri, 99 Dec 2026 99:99:99 GMT"):
        assert desk.send(Answer(status=503, headers={"Retry-After": nonsense})).seconds is None
    assert desk.send(Answer(status=503, headers={"Retry-After": "-5"})).seconds == 0


def test_no_secret_stands_in_a_reason_or_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = desk.address if desk.place == "1234567" else Address.of(desk.address).url
    echoed = {"message": f"{url} {' '.join(desk.secrets)}", "code": 10015}
    answers = [Answer.saying(status, echoed) for status in (400, 401, 404, 429, 500)]
    cut_in_the_middle = {"message": "x" * 370 + url + "y" * 400, "code": 10015}
    answers += [Answer.saying(404, cut_in_the_middle), *(each for each, _ in OUTCOMES)]
    reasons = [getattr(desk.send(answer), "reason", "") for answer in answers]
    reasons.append(desk.send(DRIPPING, transport=desk.hasty).reason)
    said = " ".join([*reasons, caplog.text, desk.transport.shown(desk.address)])
    assert not [secret for secret in desk.secrets if secret[:8] in said]


def test_a_rendered_message_is_plain_json_without_the_address(desk: Desk) -> None:
    message = desk.transport.render([alert(title="a\x00b\ud800c", text="\u202eevil\x1b[31m")])
    assert json.loads(json.dumps(message)) == message
    text = json.dumps(message, ensure_ascii=False)
    text.encode()
    assert not re.search("[\x00\ud800\u202e\x1b]|\\\\u0000", text)
    assert not [secret for secret in desk.secrets if secret in text]


def test_a_broken_address_switches_the_channel_off(desk: Desk) -> None:
    for address in ("", "nonsense", "{}", "[]", "https://[", '{"url": "ftp://x/", "secret": "s"}'):
        assert isinstance(desk.transport.send(address, {}, KEY), ChannelGone)
        desk.transport.shown(address)


# Discord


def test_discord_tells_the_message_id_and_how_long_to_wait() -> None:
    with DiscordServer(rate=Rate(count=2, seconds=600)) as server:
        desk = discord_desk(server)
        first, second, third = desk.send(), desk.send(), desk.send()
    assert first == Delivered(message_id=server.taken(desk.place)[0]["id"], pause=0.0)
    assert isinstance(second, Delivered)
    assert 0 < second.pause <= 600
    assert isinstance(third, TryLater)
    assert 0 < third.seconds <= 600
    assert not third.everywhere
    assert len(server.taken(desk.place)) == 2


def test_discords_longer_wait_counts_and_a_global_one_is_for_all(discord: Desk) -> None:
    assert discord.send(Answer.too_many(2.5, header=7)).seconds == 7
    assert discord.send(Answer.too_many(64.57, header=7)) == TryLater(
        reason="Discord answered 429: You are being rate limited.", seconds=64.57, everywhere=False
    )
    assert discord.send(Answer.too_many(1, everywhere=True)).everywhere
    assert discord.send(Answer.banned(1800)).everywhere
    assert discord.send(Answer.banned(1800)).seconds == 1800


def test_discords_own_words_are_the_reason(discord: Desk) -> None:
    assert discord.send(Answer.unknown_webhook()).reason == (
        "Discord answered 404: Unknown Webhook (code 10015)"
    )
    assert discord.send(Answer.invalid_token()).reason == (
        "Discord answered 401: Invalid Webhook Token (code 50027)"
    )
    message = discord.transport.render([alert()])
    message["embeds"][0]["fields"][0]["value"] = "x" * 1025
    message["embeds"][0]["title"] = "y" * 257
    outcome = discord.transport.send(discord.address, message, KEY)
    assert isinstance(outcome, Refused)
    assert "(code 50035)" in outcome.reason
    assert "embeds.0.fields.0.value: Must be 1024 or fewer in length." in outcome.reason
    assert "embeds.0.title: Must be 256 or fewer in length." in outcome.reason


def test_a_page_on_the_way_does_not_switch_a_channel_off(discord: Desk) -> None:
    for status in (401, 403, 404):
        assert isinstance(discord.send(Answer.page(status)), TryLater)


def test_a_forum_without_a_thread_switches_the_channel_off(discord: Desk) -> None:
    words = "Webhooks posted to forum channels must have a thread_name or thread_id"
    outcome = discord.send(Answer.saying(400, {"message": words, "code": 220001}))
    assert outcome == ChannelGone(reason=f"Discord answered 400: {words} (code 220001)")


def test_hostile_answers_are_outcomes(discord: Desk) -> None:
    tree: Any = {"_errors": ["x", {"message": None}]}
    for _ in range(500):
        tree = {"a": tree}
    for body in (b"[" * 60000, b"null", b'"x"', b"\xff", b"{}", b'{"code": "x", "retry_after": []}'):
        assert isinstance(discord.send(Answer(status=400, body=body)), Refused)
        assert isinstance(discord.send(Answer(status=429, body=body)), TryLater)
    assert isinstance(discord.send(Answer.invalid_form(tree)), Refused)
    assert isinstance(discord.send(Answer.saying(200, {"id": 5})), Delivered)


def test_a_delivered_message_is_what_was_rendered(discord: Desk) -> None:
    discord.send()
    [taken] = discord.server.taken(discord.place)
    rendered = discord.transport.render([alert()])
    assert {name: taken[name] for name in rendered} == rendered
    assert taken.keys() == {*rendered, "id", "webhook_id"}
    [asked] = discord.server.asked(discord.place)
    assert asked.query == "wait=true"
    assert asked.headers["User-Agent"] == "DashTrade"


def test_a_thread_stays_in_the_address(discord: Desk) -> None:
    url = f"{discord.server.url_of(9)}?thread_id=42&wait=false"
    address = discord.transport.checked_address(url)
    assert isinstance(discord.transport.send(address, discord.transport.render([alert()]), KEY), Delivered)
    assert discord.server.asked("9")[0].query == "thread_id=42&wait=true"


def test_proxies_of_the_environment_are_not_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.base)
        assert isinstance(desk.send(), Delivered)


@settings(max_examples=60, deadline=None, suppress_health_check=UNHURRIED)
@given(alerts=some_alerts())
def test_discord_takes_whatever_is_rendered(discord: Desk, alerts: list[Alert]) -> None:
    outcome = discord.transport.send(discord.address, discord.transport.render(alerts), KEY)
    assert isinstance(outcome, Delivered), outcome
    assert len(discord.server.taken(discord.place)[-1]["embeds"]) == len(alerts)


# JSON


def test_the_documented_receiver_accepts_what_is_sent_and_nothing_else(webhook: Desk) -> None:
    webhook.send()
    [asked] = webhook.server.asked(webhook.place)
    content = json.loads(asked.body)
    assert content["id"] == asked.headers["X-DashTrade-Id"] == KEY
    assert content["alerts"] == webhook.transport.render([alert()])["alerts"]
    secret = Address.of(webhook.address).secret
    assert documented_answer(secret, asked.headers, asked.body) == 204
    assert documented_answer(secret, asked.headers, asked.body + b" ") == 400
    assert documented_answer("whsec_another", asked.headers, asked.body) == 400
    old = {**asked.headers, "X-DashTrade-Signature": "t=1" + asked.headers["X-DashTrade-Signature"][12:]}
    assert documented_answer(secret, old, asked.body) == 400


def documented_answer(secret: str, headers: dict[str, str], body: bytes) -> int:
    """Run the receiver of the documentation, and return the status it answers."""
    code = re.search(r"```python\n(.*?)```", (DOCS / "json-webhook.md").read_text(), re.DOTALL)
    assert code
    room: dict[str, Any] = {"SECRET": secret}
    exec(code.group(1), room)  # noqa: S102
    room["Receiver"].log_message = lambda *_: None
    with room["HTTPServer"](("127.0.0.1", 0), room["Receiver"]) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)) as connection:
            signed = {name: value for name, value in headers.items() if name.startswith("X-")}
            connection.request("POST", "/", body=body, headers=signed)
            status = connection.getresponse().status
        thread.join()
    return status


def test_the_body_is_sent_with_its_time(webhook: Desk) -> None:
    at = dt.datetime(2026, 11, 21, 10, 0, 0, 5, tzinfo=dt.UTC)
    transport = JsonWebhook(allowed=LOOPBACK, patience=PATIENT, now=lambda: at)
    transport.send(webhook.address, transport.render([alert()]), KEY)
    [asked] = webhook.server.asked(webhook.place)
    assert json.loads(asked.body)["sent_at"] == "2026-11-21T10:00:00.000005+00:00"
    assert asked.headers["X-DashTrade-Signature"].startswith("t=1795255200,v1=")
    assert asked.query == "key=secret-query"
    assert asked.headers["Host"] == f"127.0.0.1:{webhook.server.port}"


def test_permanent_redirects_and_gone_switch_the_address_off(webhook: Desk) -> None:
    for status in (301, 308, 410):
        assert isinstance(webhook.send(Answer(status=status)), ChannelGone)


def test_a_private_address_is_not_sent_to(webhook: Desk) -> None:
    strict = JsonWebhook(patience=PATIENT)
    with pytest.raises(InvalidAddress, match="private, local or reserved"):
        strict.checked_address(webhook.server.base)
    outcome = strict.send(webhook.address, strict.render([alert()]), KEY)
    assert isinstance(outcome, ChannelGone)
    assert "127.0.0.1" not in outcome.reason
    assert webhook.server.asked(webhook.place) == []


def test_a_name_that_leads_inside_at_the_second_look_is_not_sent_to(webhook: Desk) -> None:
    looks = iter([("93.184.215.14",), ("93.184.215.14", "127.0.0.1")])
    rebinding = JsonWebhook(patience=PATIENT, resolve=lambda host, port: next(looks))
    address = rebinding.checked_address(f"http://rebinding.example:{webhook.server.port}/hooks/secret-path")
    assert isinstance(rebinding.send(address, rebinding.render([alert()]), KEY), ChannelGone)
    assert webhook.server.asked(webhook.place) == []


def test_the_connection_goes_to_the_address_that_was_checked(webhook: Desk) -> None:
    asked_for: list[tuple[str, int]] = []

    def once(host: str, port: int) -> tuple[str, ...]:
        asked_for.append((host, port))
        return ("127.0.0.1",)

    transport = JsonWebhook(allowed=LOOPBACK, patience=PATIENT, resolve=once)
    url = f"http://nowhere.invalid:{webhook.server.port}/hooks/secret-path"
    address = Address(url=url, secret="s").text()
    assert transport.send(address, transport.render([alert()]), KEY) == Delivered()
    assert asked_for == [("nowhere.invalid", webhook.server.port)]
    assert webhook.server.asked(webhook.place)[0].headers["Host"] == f"nowhere.invalid:{webhook.server.port}"


def test_a_name_without_addresses_is_tried_later() -> None:
    def fails(host: str, port: int) -> tuple[str, ...]:
        raise NoAnswer("the host name could not be resolved")

    transport = JsonWebhook(resolve=fails)
    address = Address(url="https://nowhere.invalid/", secret="s").text()
    assert isinstance(transport.send(address, transport.render([alert()]), KEY), TryLater)
    with pytest.raises(InvalidAddress, match="could not be resolved"):
        transport.checked_address("https://nowhere.invalid/")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


def over_tls(server: ScriptedServer, trust: ssl.SSLContext | None, host: str) -> Outcome:
    transport = JsonWebhook(
        allowed=LOOPBACK, patience=PATIENT, trust=trust, resolve=lambda host, port: ("127.0.0.1",)
    )
    address = transport.checked_address(f"https://{host}:{server.port}/x")
    return transport.send(address, transport.render([alert()]), KEY)


def test_tls_asks_for_and_checks_the_name_although_the_address_is_pinned(authority: Authority) -> None:
    names: list[str | None] = []
    with ScriptedServer(tls=authority.server("hooks.example", names.append)) as server:
        assert over_tls(server, authority.trust(), "hooks.example") == Delivered()
        wrong_name = over_tls(server, authority.trust(), "other.example")
        unknown_authority = over_tls(server, None, "hooks.example")
        [asked] = server.asked("/x")
    assert names == ["hooks.example", "other.example", "hooks.example"]
    assert asked.headers["Host"] == f"hooks.example:{server.port}"
    for outcome in (wrong_name, unknown_authority):
        assert isinstance(outcome, TryLater)
        assert "certificate" in outcome.reason


def test_tls_faults_are_tried_later(authority: Authority) -> None:
    with ScriptedServer() as plain:
        assert isinstance(over_tls(plain, authority.trust(), "hooks.example"), TryLater)
    with ScriptedServer(tls=authority.server("hooks.example")) as server:
        server.script("/x", Answer(cut=Cut.AFTER_READING), Answer(cut=Cut.BEFORE_READING))
        assert isinstance(over_tls(server, authority.trust(), "hooks.example"), TryLater)
        assert isinstance(over_tls(server, authority.trust(), "hooks.example"), TryLater)
        server.script("/x", Answer(delay=60), DRIPPING)
        for _ in range(2):
            hasty = JsonWebhook(
                allowed=LOOPBACK,
                patience=HASTY,
                trust=authority.trust(),
                resolve=lambda host, port: ("127.0.0.1",),
            )
            address = Address(url=f"https://hooks.example:{server.port}/x", secret="s").text()
            outcome = hasty.send(address, hasty.render([alert()]), KEY)
            assert isinstance(outcome, TryLater)
            assert "no answer in time" in outcome.reason


def test_the_next_address_is_dialled_where_the_first_is_closed(webhook: Desk) -> None:
    both = JsonWebhook(
        allowed=LOOPBACK, patience=PATIENT, resolve=lambda host, port: ("127.0.0.2", "127.0.0.1")
    )
    assert both.send(webhook.address, both.render([alert()]), KEY) == Delivered()


def test_what_is_delivered_counts_although_the_answer_is_lost(discord: Desk) -> None:
    lost = discord.send(Answer(cut=Cut.AFTER_READING, takes=True))
    assert isinstance(lost, TryLater)
    assert len(discord.server.taken(discord.place)) == 1
