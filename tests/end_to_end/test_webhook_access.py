"""Who may do what: each endpoint as owner, as another user, and as nobody."""

from decimal import Decimal
from uuid import uuid4

import pytest
import requests

from core.account import Account, AccountPosition
from core.addresses import address_behind, is_in, networks
from database import risk, tokens
from tests.end_to_end.webhook_desk import WebhookDesk, gunicorn
from webhook.access import CERTIFICATE_HEADER, TRADINGVIEW

ALERT = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}
WRONG = "usr_0123456789012345678901234567890123456789abc"
INVALID = {"error": "Invalid or inactive token", "code": "INVALID_TOKEN"}


@pytest.fixture
def bob(desk):
    return desk.trader("bob@example.org")


def revoke(desk, trader):
    with desk.database.transaction() as transaction:
        [token] = tokens.tokens_of(transaction, trader.id)
        assert tokens.revoke_token(transaction, trader.id, token.id)


class TestAlerts:
    def test_the_owner_reaches_only_bots_of_their_own(self, ann, bob):
        ann.bot()
        assert ann.send(**ALERT).status_code == 202
        assert bob.send(**ALERT).status_code == 404

    @pytest.mark.parametrize("path", ["/webhook", "/webhook?token=", "/webhook?wait=1"])
    def test_nobody_is_told_that_the_token_is_missing(self, desk, path):
        answer = desk.post(path, ALERT)
        assert (answer.status_code, answer.json["code"]) == (401, "INVALID_TOKEN")
        assert answer.json["error"].startswith("Missing token")

    @pytest.mark.parametrize("token", [WRONG, "x", "x" * 5000, "%00", "%ff%fe", "' OR 1=1", "é" * 40])
    @pytest.mark.parametrize("path", ["/webhook?token=", "/webhook/"])
    def test_a_wrong_token_is_refused_and_nothing_is_kept(self, desk, ann, path, token):
        answer = desk.post(path + token, ALERT)
        assert (answer.status_code, answer.json) == (401, INVALID)
        assert desk.value("SELECT count(*) FROM signals") == 0

    def test_a_wrong_token_comes_before_a_wrong_body(self, desk):
        assert desk.post(f"/webhook?token={WRONG}", "not json").status_code == 401

    def test_a_revoked_token_is_dead_at_once_and_another_lives_on(self, desk, ann):
        ann.bot()
        second = ann.bound_token(ann.connection_id)
        assert ann.send(**ALERT).status_code == 202
        with desk.database.transaction() as transaction:
            first = tokens.tokens_of(transaction, ann.id)[0]
            tokens.revoke_token(transaction, ann.id, first.id)
        assert ann.send(**ALERT).json == INVALID
        assert ann.send(**ALERT, token=second).status_code == 200

    def test_a_rotated_token_works_under_its_new_text_only(self, desk, ann):
        ann.bot()
        revoke(desk, ann)
        with desk.database.transaction() as transaction:
            [token] = tokens.tokens_of(transaction, ann.id)
            text = tokens.rotate_token(transaction, desk.vault, ann.id, token.id)
        assert ann.send(**ALERT).status_code == 401
        assert ann.send(**ALERT, token=text).status_code == 202

    def test_a_user_who_is_switched_off_sends_nothing(self, desk, ann):
        ann.bot()
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE users SET is_active = false WHERE id = %s", (ann.id,))
        assert ann.send(**ALERT).json == INVALID

    def test_the_use_of_a_token_is_noted_once_a_minute(self, desk, ann):
        ann.bot()
        used = []
        for _ in range(3):
            ann.send(**ALERT)
            used.append(desk.value("SELECT last_used_at FROM user_webhook_tokens"))
        assert used[0] is not None
        assert used == [used[0]] * 3
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE user_webhook_tokens SET last_used_at = now() - interval '61 s'")
        ann.send(**ALERT)
        assert desk.value("SELECT last_used_at > now() - interval '10 s' FROM user_webhook_tokens")


@pytest.mark.parametrize("page", ["positions", "bots"])
class TestUserPages:
    def test_the_owner_reads_them(self, desk, ann, page):
        answer = desk.client.get(f"/user/{ann.id}/{page}?token={ann.token}")
        assert (answer.status_code, answer.json["user_id"]) == (200, ann.id)

    def test_to_another_user_they_do_not_exist(self, desk, ann, bob, page):
        theirs = desk.client.get(f"/user/{ann.id}/{page}?token={bob.token}")
        nobodys = desk.client.get(f"/user/999999/{page}?token={bob.token}")
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json == nobodys.json

    @pytest.mark.parametrize("user_id", ["0", "99999999999999999999999", "-1", "ann", "1.5"])
    def test_other_ids_are_404(self, desk, ann, page, user_id):
        assert desk.client.get(f"/user/{user_id}/{page}?token={ann.token}").status_code == 404

    def test_nobody_is_refused(self, desk, ann, page):
        assert desk.client.get(f"/user/{ann.id}/{page}").status_code == 401
        assert desk.client.get(f"/user/{ann.id}/{page}?token={WRONG}").json == INVALID
        revoke(desk, ann)
        assert desk.client.get(f"/user/{ann.id}/{page}?token={ann.token}").json == INVALID


def test_bots_are_listed_with_their_status_and_no_secret(desk, ann, bob):
    bot_id = ann.bot(risk_limit_percent=Decimal("2.50"))
    bob.bot()
    answer = desk.client.get(f"/user/{ann.id}/bots?token={ann.token}")
    [bot] = answer.json["bots"]
    assert (bot["id"], bot["order_status"], bot["connection"]) == (bot_id, "READY", "Practice")
    assert (bot["position_size"], bot["risk_limit_percent"]) == ("5000", "2.5")
    assert (answer.json["total_bots"], answer.json["active_bots"]) == (1, 1)
    assert "sealed" not in answer.text
    assert "hash" not in answer.text


def test_positions_are_what_the_broker_said_with_their_age_and_what_each_bot_holds(desk, ann, bob):
    bot_id = ann.bot()
    bob.bot()
    with desk.database.transaction() as transaction:
        at = transaction.value("SELECT now() - interval '5 s'")
        for trader in (ann, bob):
            money = Account(
                equity=Decimal("10120.50"), cash=Decimal(5000), buying_power=Decimal(10000), currency="USD",
                shorting_enabled=True, at=at,
            )  # fmt: skip
            risk.store_account(transaction, trader.connection_id, money, curve=False)
            held = AccountPosition(
                symbol="AAPL", quantity=Decimal(10), average_price=Decimal(150), current_price=Decimal("151.5"),
                unrealized=Decimal(15),
            )  # fmt: skip
            risk.store_positions(transaction, trader.connection_id, [held], at)
        transaction.execute(
            "UPDATE user_bot_configs SET quantity = 10, average_price = 150 WHERE id = %s", (bot_id,)
        )
    answer = desk.client.get(f"/user/{ann.id}/positions?token={ann.token}").json
    [account] = answer["accounts"]
    assert (account["equity"], account["connection"], answer["total_positions"]) == ("10120.5", "Practice", 1)
    assert 5 <= account["age_seconds"] < 60
    [position] = account["positions"]
    assert (position["symbol"], position["quantity"], position["unrealized"]) == ("AAPL", "10", "15")
    assert 5 <= position["age_seconds"] < 60
    [bot] = answer["bots"]
    assert (bot["bot_id"], bot["side"], bot["quantity"], bot["unrealized"]) == (bot_id, "LONG", "10", "15")


class TestTraces:
    @pytest.fixture
    def signal_id(self, ann):
        ann.bot()
        return ann.send(**ALERT).json["signal_id"]

    def test_the_owner_reads_the_whole_trace(self, desk, ann, signal_id):
        answer = desk.client.get(f"/api/v1/signals/{signal_id}?token={ann.token}")
        assert answer.status_code == 200
        assert (answer.json["signal_id"], answer.json["state"], answer.json["plan"]) == (
            signal_id,
            "STORED",
            None,
        )
        assert [step["what"] for step in answer.json["steps"]] == ["received", "stored"]
        assert answer.json["received_at"].startswith("20")

    def test_a_refused_one_has_its_code_and_sentence(self, desk, ann):
        refused = ann.send(action="buy", symbol="TSLA").json
        trace = desk.client.get(f"/api/v1/signals/{refused['signal_id']}?token={ann.token}").json
        assert (trace["state"], trace["code"], trace["sentence"]) == ("REFUSED", "NO_BOT", refused["error"])

    def test_to_another_user_it_does_not_exist(self, desk, bob, signal_id):
        theirs = desk.client.get(f"/api/v1/signals/{signal_id}?token={bob.token}")
        nobodys = desk.client.get(f"/api/v1/signals/{uuid4()}?token={bob.token}")
        assert (theirs.status_code, theirs.json) == (nobodys.status_code, nobodys.json)
        assert theirs.status_code == 404

    def test_nobody_is_refused(self, desk, signal_id):
        assert desk.client.get(f"/api/v1/signals/{signal_id}").status_code == 401
        assert desk.client.get(f"/api/v1/signals/{signal_id}?token={WRONG}").status_code == 401
        assert desk.client.get("/api/v1/signals/1").status_code == 404


class TestAddresses:
    def test_only_allowed_addresses_may_send_alerts(self, database_url):
        desk = WebhookDesk(database_url, webhook_allowed_addresses="52.89.214.238,10.0.0.0/8")
        trader = desk.trader()
        trader.bot()

        def status(address, **headers):
            environ = {"environ_overrides": {"REMOTE_ADDR": address}, "headers": headers}
            return desk.post(f"/webhook?token={trader.token}", ALERT, **environ).status_code

        assert status("52.89.214.238") == 202
        assert status("10.1.2.3") == 200
        assert status("52.89.214.239") == 403
        assert status("52.89.214.239", **{"X-Forwarded-For": "52.89.214.238"}) == 403
        assert status("127.0.0.1", **{"X-Forwarded-For": "52.89.214.238"}) == 200
        assert status("127.0.0.1", **{"X-Forwarded-For": "52.89.214.238, 203.0.113.9"}) == 403
        desk.close()

    @pytest.mark.parametrize(
        ("peer", "forwarded", "sender"),
        [
            ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
            ("127.0.0.1", [], "127.0.0.1"),
            ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", ["6.6.6.6", "198.51.100.1, 10.0.0.7"], "198.51.100.1"),
            ("127.0.0.1", ["10.0.0.7"], "10.0.0.7"),
            ("127.0.0.1", ["nonsense"], "127.0.0.1"),
            ("127.0.0.1", [""], "127.0.0.1"),
            ("::1", ["2001:db8::5"], "2001:db8::5"),
            ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ],
    )
    def test_a_forwarded_address_is_believed_from_proxies_of_ours_only(self, peer, forwarded, sender):
        proxies = networks(("127.0.0.1/32", "::1/128", "10.0.0.0/8"))
        assert address_behind(peer, forwarded, proxies) == sender

    def test_an_address_that_is_none_is_in_no_network(self):
        assert not is_in("nonsense", networks(("0.0.0.0/0",)))


def test_no_token_reaches_a_log_even_with_the_access_log_on(desk, ann, free_port):
    ann.bot()
    with gunicorn(desk, free_port, "--access-logfile", "-", LOG_LEVEL="DEBUG") as server:
        url = f"http://127.0.0.1:{free_port}"
        for path in (f"/webhook?token={ann.token}", f"/webhook/{ann.token}", f"/webhook/{WRONG}?token=x"):
            requests.post(url + path, json=ALERT, timeout=10)
        requests.get(f"{url}/user/{ann.id}/bots", params={"token": ann.token}, timeout=10)
        requests.post(f"{url}/webhook?token=not-of-our-making-1234", json=ALERT, timeout=10)
        requests.post(f"{url}/webhook/not-of-our-making-5678", json=ALERT, timeout=10)
        server.terminate()
        written = server.communicate(timeout=20)[0]
    assert "POST /webhook" in written
    assert "GET /user/" in written
    for secret in (ann.token, ann.token[4:], WRONG[4:], "not-of-our-making"):
        assert secret not in written


@pytest.mark.parametrize(
    ("peer", "certificate", "status"),
    [
        ("127.0.0.1", TRADINGVIEW, 202),
        ("127.0.0.1", None, 403),
        ("127.0.0.1", "", 403),
        ("127.0.0.1", f"mallory@example.com,{TRADINGVIEW}", 403),
        ("203.0.113.9", TRADINGVIEW, 403),
        ("10.1.2.3", None, 202),
    ],
)
def test_only_a_proxy_of_ours_may_say_who_showed_a_certificate(database_url, peer, certificate, status):
    desk = WebhookDesk(
        database_url, tradingview_certificate="require", webhook_allowed_addresses="10.0.0.0/8"
    )
    trader = desk.trader()
    trader.bot()
    headers = {} if certificate is None else {CERTIFICATE_HEADER: certificate}
    environ = {"environ_overrides": {"REMOTE_ADDR": peer}, "headers": headers}
    answer = desk.post(f"/webhook?token={trader.token}", ALERT, **environ)
    assert answer.status_code == status
    assert status == 202 or answer.json["code"] == "CERTIFICATE_REQUIRED"
    desk.close()
