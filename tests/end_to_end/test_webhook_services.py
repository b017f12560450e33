"""Signals of services, the figures, the limits, health: what is not for a user's token alone."""

import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from database import health, tokens
from encryption import KeyMissing
from tests.end_to_end.webhook_desk import ROOT, WebhookDesk
from webhook.counts import MOST_COUNTS, WINDOW_SECONDS, Counts

SIGNAL = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}


class Service:
    """One service's key and what it sends."""

    def __init__(self, desk, name="Discord", **allowed):
        self.desk = desk
        self.name = name
        with desk.database.transaction() as transaction:
            self.key = tokens.create_service_key(transaction, desk.vault, name, **allowed)

    def send(self, **fields):
        return self.desk.post("/api/v1/signals", fields, headers={"X-API-Key": self.key})

    def get(self, path):
        return self.desk.client.get(path, headers={"X-API-Key": self.key})


@pytest.fixture
def service(desk):
    return Service(desk)


@pytest.fixture
def bot_id(ann):
    return ann.bot(source="api")


class TestSignals:
    @pytest.mark.parametrize("named", ["id", "text", "email", "shouted"])
    def test_a_service_signals_for_a_user(self, ann, bot_id, service, named):
        user = {"id": ann.id, "text": str(ann.id), "email": "ann@example.org", "shouted": "Ann@Example.ORG"}[
            named
        ]
        extras = {"author": "Eve", "leverage": 10, "entry_range": [140, 142.5], "message_id": "m1"}
        answer = service.send(**SIGNAL, user=user, **extras)
        assert answer.status_code == 202, answer.json
        [stored] = ann.signals()
        assert (stored["bot_config_id"], stored["source"], stored["sender_id"]) == (bot_id, "api", "m1")
        assert stored["token_id"] is None
        assert stored["service_key_id"] is not None
        understood = stored["understood"]
        assert (understood["leverage"], understood["entry_range"]) == ("10", ["140", "142.5"])
        assert (understood["extras"]["author"], "leverage" in understood["extras"]) == ("Eve", False)

    def test_the_source_chooses_among_the_bots_of_that_source(self, ann, bot_id, service):
        other = ann.bot(source="discord", name="By Discord")
        assert service.send(**SIGNAL, user=ann.id, source="discord").status_code == 202
        assert service.send(**SIGNAL, user=ann.id, source="mqtt").status_code == 404
        assert ann.signals()[0]["bot_config_id"] == other

    def test_an_edited_message_is_the_same_message(self, ann, bot_id, service):
        first = service.send(**SIGNAL, user=ann.id, message_id="m1").json["signal_id"]
        edited = service.send(**{**SIGNAL, "action": "sell"}, user=ann.id, message_id="m1")
        assert (edited.status_code, edited.json) == (200, {"status": "duplicate", "signal_id": first})
        assert service.send(**{**SIGNAL, "action": "sell"}, user=ann.id, message_id="m2").status_code == 202

    def test_without_an_id_the_body_tells_copies(self, ann, bot_id, service):
        assert [service.send(**SIGNAL, user=ann.id).status_code for _ in range(2)] == [202, 200]

    @pytest.mark.parametrize("key", [None, "", "svc_wrong", "x" * 5000])
    def test_without_a_valid_key_the_way_is_closed(self, desk, ann, bot_id, key):
        headers = {} if key is None else {"X-API-Key": key}
        answer = desk.post("/api/v1/signals", {**SIGNAL, "user": ann.id}, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (401, "INVALID_API_KEY")
        assert desk.client.get("/api/v1/stats", headers=headers).status_code == 401
        assert ann.signals() == []

    def test_a_users_token_is_no_key(self, desk, ann, bot_id):
        answer = desk.post("/api/v1/signals", {**SIGNAL, "user": ann.id}, headers={"X-API-Key": ann.token})
        assert answer.status_code == 401

    def test_a_revoked_key_is_dead_at_once(self, desk, ann, bot_id, service):
        with desk.database.transaction() as transaction:
            tokens.revoke_service_key(transaction, service.name)
        assert service.send(**SIGNAL, user=ann.id).status_code == 401

    def test_users_whom_the_key_is_not_for_look_like_none(self, desk, ann, bot_id):
        bob = desk.trader("bob@example.org")
        narrow = Service(desk, "Narrow", allowed_users=[bob.id])
        theirs = narrow.send(**SIGNAL, user=ann.id)
        nobodys = narrow.send(**SIGNAL, user=987654)
        assert theirs.status_code == nobodys.status_code == 422
        assert theirs.json["fields"][0]["allowed"] == nobodys.json["fields"][0]["allowed"]
        assert theirs.json["fields"][0]["name"] == "user"
        assert ann.signals() == []

    @pytest.mark.parametrize("user", [None, "nobody@example.org", 0, -1, "9" * 30, 1.5, "x\u0000"])
    def test_a_user_who_is_none_is_named_in_the_answer(self, ann, bot_id, service, user):
        answer = service.send(**SIGNAL, user=user)
        assert answer.status_code in (400, 422)
        assert answer.json["code"] in ("INVALID_JSON", "INVALID_SIGNAL")

    @pytest.mark.parametrize(
        ("name", "value"),
        [("source", "Not A Source"), ("leverage", 0), ("entry_range", [1]), ("entry_range", [1, "x"]),
         ("message_id", {"a": 1}), ("author", "x" * 200), ("action", "hold")],
    )  # fmt: skip
    def test_a_wrong_field_is_named_and_the_refusal_kept(self, ann, bot_id, service, name, value):
        answer = service.send(**{**SIGNAL, "user": ann.id, name: value})
        assert (answer.status_code, answer.json["code"]) == (422, "INVALID_SIGNAL")
        assert [each["name"] for each in answer.json["fields"]] == [name]
        assert [each["state"] for each in ann.signals()] == ["REFUSED"]

    def test_wrong_fields_of_both_kinds_are_named_together(self, ann, bot_id, service):
        answer = service.send(**{**SIGNAL, "user": ann.id, "leverage": 0, "action": "hold"})
        assert {each["name"] for each in answer.json["fields"]} == {"leverage", "action"}

    def test_what_is_no_json_is_400(self, desk, service):
        answer = desk.post("/api/v1/signals", b"{", headers={"X-API-Key": service.key})
        assert (answer.status_code, answer.json["code"]) == (400, "INVALID_JSON")


class TestTracesAndFigures:
    def test_a_service_reads_traces_of_its_users_only(self, desk, ann, bot_id, service):
        bob = desk.trader("bob@example.org")
        narrow = Service(desk, "Narrow", allowed_users=[bob.id])
        signal_id = service.send(**SIGNAL, user=ann.id).json["signal_id"]
        assert service.get(f"/api/v1/signals/{signal_id}").json["signal_id"] == signal_id
        assert narrow.get(f"/api/v1/signals/{signal_id}").status_code == 404

    def test_figures_count_what_the_key_may_see(self, desk, ann, bot_id, service):
        bob = desk.trader("bob@example.org")
        narrow = Service(desk, "Narrow", allowed_users=[bob.id])
        for _ in range(3):
            service.send(**SIGNAL, user=ann.id)
        service.send(**{**SIGNAL, "symbol": "TSLA"}, user=ann.id)
        bob.send(**SIGNAL)
        all_figures = service.get("/api/v1/stats").json
        assert all_figures["signals"] == {"REFUSED": 2, "STORED": 1}
        assert (all_figures["not_traded"], all_figures["duplicates"]) == ({"NO_BOT": 2}, 2)
        assert all_figures["trades"] == {}
        assert all_figures["latency_ms"]["signals"] == 1
        assert 0 <= all_figures["latency_ms"]["stored_p50_p99"][0] < 60_000
        assert narrow.get("/api/v1/stats").json["signals"] == {"REFUSED": 1}


class TestLimits:
    @pytest.fixture
    def tight(self, database_url):
        desk = WebhookDesk(database_url, webhook_alerts_per_minute=3, webhook_requests_per_minute=8)
        yield desk
        desk.close()

    def test_a_token_may_send_so_often_and_another_is_not_touched(self, tight):
        ann, bob = tight.trader(), tight.trader("bob@example.org")
        ann.bot(), bob.bot()
        answers = [ann.send(**SIGNAL) for _ in range(4)]
        assert [each.status_code for each in answers] == [202, 200, 200, 429]
        assert answers[3].json["code"] == "RATE_LIMITED"
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
        assert bob.send(**SIGNAL).status_code == 202

    def test_path_and_query_count_together(self, tight):
        ann = tight.trader()
        ann.bot()
        paths = [f"/webhook/{ann.token}", f"/webhook?token={ann.token}"] * 2
        assert [ann.send(path=each, **SIGNAL).status_code for each in paths] == [202, 200, 200, 429]

    def test_an_address_may_send_so_often_whatever_it_sends(self, tight):
        statuses = [tight.post(f"/webhook?token=usr_{n}", SIGNAL).status_code for n in range(9)]
        assert statuses == [401] * 8 + [429]
        elsewhere = {"environ_overrides": {"REMOTE_ADDR": "198.51.100.7"}}
        assert tight.post("/webhook?token=usr_1", SIGNAL, **elsewhere).status_code == 401

    def test_explaining_has_a_limit_of_its_own(self, desk):
        statuses = [desk.post("/test-webhook", SIGNAL).status_code for _ in range(61)]
        assert statuses == [200] * 60 + [429]

    def test_a_window_ends(self):
        counts = Counts()
        assert [counts.count("a", now)[0] for now in (0.0, 1.0, WINDOW_SECONDS - 0.1)] == [1, 2, 3]
        assert counts.count("a", WINDOW_SECONDS + 0.0) == (1, WINDOW_SECONDS)

    def test_ended_counts_are_forgotten(self):
        counts = Counts()
        for number in range(MOST_COUNTS):
            counts.count(f"flood {number}", 0.0)
        counts.count("later", WINDOW_SECONDS + 1.0)
        assert len(counts._counts) == 1


class TestHealth:
    def beat(self, desk, *parts, seconds_ago=0):
        with desk.database.transaction() as transaction:
            at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
            for part in parts:
                health.beat(transaction, part, "one", at)

    def test_it_is_200_while_alerts_are_stored_and_carried_out(self, desk, ann):
        ann.bot()
        ann.send(**SIGNAL)
        self.beat(desk, "worker", "broker watch")
        answer = desk.client.get("/health")
        assert (answer.status_code, answer.json["status"], answer.json["database"]) == (200, "ok", "ok")
        assert answer.json["parts"]["worker"]["silent_seconds"] < 15
        assert (answer.json["queue"]["signals"], answer.json["queue"]["plans"]) == (1, 0)
        assert answer.json["queue"]["oldest_signal_seconds"] > 0
        assert answer.json["parts"]["discord bot"] == {"status": "off"}
        assert answer.json["parts"]["reversal watch"]["alive"] == 0, "it is no reason for 503"
        assert ann.token not in answer.text
        assert "ann" not in answer.text

    @pytest.mark.parametrize("living", ["worker", "broker watch"])
    def test_it_is_503_when_a_needed_part_is_silent(self, desk, living):
        assert desk.client.get("/health").json["status"] == "degraded"
        self.beat(desk, living)
        assert desk.client.get("/health").status_code == 503
        self.beat(desk, "worker", "broker watch", seconds_ago=60)
        answer = desk.client.get("/health")
        assert answer.status_code == 503
        assert 55 < answer.json["parts"]["worker"]["silent_seconds"] < 120


def test_health_names_the_version_of_the_project(desk):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert desk.client.get("/health").json["version"] == project["version"]


def test_without_an_encryption_key_the_server_says_so_at_the_start(database_url):
    with pytest.raises(KeyMissing, match="ENCRYPTION_KEY is not set"):
        WebhookDesk(database_url, encryption_key=None)
