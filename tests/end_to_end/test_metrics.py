"""`GET /metrics`: who may read it, that every process says the same, and that nothing is lost by a restart."""

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.stack import wait_for
from tests.end_to_end.webhook_desk import WebhookDesk, gunicorn
from webhook.metrics import FORWARDING

ALERT = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}
KEY = "a key that only Prometheus has"
ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}


def samples(text):
    """Return the value of every sample by its name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(desk, **options):
    answer = desk.client.get("/metrics", **options)
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


class TestAccess:
    def test_this_machine_reads_without_a_key(self, desk):
        answer = desk.client.get("/metrics")
        assert answer.status_code == 200
        assert answer.content_type.startswith("text/plain")
        assert "dashtrade_info{" in answer.text

    def test_another_machine_does_not(self, desk):
        answer = desk.client.get("/metrics", environ_base=ELSEWHERE)
        assert (answer.status_code, answer.json["code"]) == (401, "INVALID_API_KEY")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "dashtrade_" not in answer.text

    @pytest.mark.parametrize("header", FORWARDING)
    def test_nor_does_who_comes_through_a_proxy_on_this_machine(self, desk, header):
        assert desk.client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 401

    def test_a_network_may_be_let_in(self, database_url):
        desk = WebhookDesk(database_url, metrics_networks="192.0.2.0/24")
        try:
            assert desk.client.get("/metrics", environ_base=ELSEWHERE).status_code == 200
            assert desk.client.get("/metrics").status_code == 401
        finally:
            desk.close()

    def test_the_key_opens_from_everywhere_and_nothing_else_does(self, database_url):
        desk = WebhookDesk(database_url, metrics_key=KEY)

        def status(**headers):
            return desk.client.get("/metrics", headers=headers, environ_base=ELSEWHERE).status_code

        try:
            assert status(Authorization=f"Bearer {KEY}") == 200
            assert status(Authorization=f"Bearer {KEY}", **{"X-Forwarded-For": "198.51.100.3"}) == 200
            wrong = (
                "",
                "Bearer",
                "Bearer ",
                f"Bearer {KEY}x",
                f"Bearer {KEY[:-1]}",
                "Bearer é",
                f"Basic {KEY}",
            )
            assert {text: status(Authorization=text) for text in wrong} == dict.fromkeys(wrong, 401)
            assert status(**{"X-API-Key": KEY}) == 401
            assert desk.client.get(f"/metrics?key={KEY}", environ_base=ELSEWHERE).status_code == 401
        finally:
            desk.close()

    def test_the_dashboards_port_does_not_pass_it_on(self):
        from ui.forwarding import is_forwarded

        assert not is_forwarded("/metrics")


def test_what_came_and_what_was_refused_is_there(desk, ann):
    ann.bot()
    ann.send(**ALERT)
    ann.send(**ALERT)
    ann.send(action="buy", symbol="MSFT")
    ann.send(token="usr_wrong", **ALERT)
    desk.client.get("/nowhere")
    desk.client.open("/health", method="BREW")
    desk.app.extensions["dashtrade"].counted.write()
    found = scraped(desk)
    wanted = {
        ("dashtrade_signals_received_total", ("source", "tradingview")): 2,
        ("dashtrade_signals_duplicate_total", ("source", "tradingview")): 1,
        ("dashtrade_signals_waiting", ("state", "STORED")): 1,
        (
            "dashtrade_signals_finished_total",
            ("code", "NO_BOT"),
            ("source", "tradingview"),
            ("state", "REFUSED"),
        ): 1,
        ("dashtrade_notifications_total", ("kind", "SIGNAL_REFUSED")): 1,
        ("dashtrade_http_requests_total", ("method", "POST"), ("route", "/webhook"), ("status", "202")): 1,
        ("dashtrade_http_requests_total", ("method", "POST"), ("route", "/webhook"), ("status", "401")): 1,
        ("dashtrade_http_requests_total", ("method", "GET"), ("route", "unknown"), ("status", "404")): 1,
        ("dashtrade_http_requests_total", ("method", "unknown"), ("route", "unknown"), ("status", "405")): 1,
        ("dashtrade_http_refusals_total", ("code", "INVALID_TOKEN"), ("route", "/webhook")): 1,
        ("dashtrade_http_refusals_total", ("code", "NO_BOT"), ("route", "/webhook")): 1,
        ("dashtrade_signal_store_seconds_count", ("source", "tradingview")): 2,
        ("dashtrade_signal_store_seconds_bucket", ("le", "+Inf"), ("source", "tradingview")): 2,
        ("dashtrade_processes_alive", ("part", "worker")): 0,
    }
    assert {key: found.get(key) for key in wanted} == wanted


def test_a_bucket_holds_all_that_took_no_longer(desk, ann):
    sql = "INSERT INTO tallies (figure, labels, seconds) VALUES ('signal_finished', ARRAY['api', 'SKIPPED', 'X'], %s)"
    with desk.database.transaction() as transaction:
        for seconds in (0.001, 0.3, 4, 4000):
            transaction.execute(sql, (seconds,))
    found = scraped(desk)
    counts = {
        dict(key[1:])["le"]: value
        for key, value in found.items()
        if key[0] == "dashtrade_signal_seconds_bucket"
    }
    assert (counts["0.005"], counts["0.25"], counts["0.5"], counts["300.0"], counts["+Inf"]) == (
        1,
        1,
        2,
        3,
        4,
    )
    labels = (("code", "X"), ("source", "api"), ("state", "SKIPPED"))
    assert found["dashtrade_signal_seconds_sum", *labels] == pytest.approx(4004.301)


def test_openmetrics_is_given_to_who_asks_for_it(desk):
    accept = "application/openmetrics-text; version=1.0.0"
    answer = desk.client.get("/metrics", headers={"Accept": accept})
    assert answer.content_type.startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_no_users_data_is_in_it(desk, ann):
    ann.bot(name="A bot of Ann")
    ann.send(**ALERT)
    text = desk.client.get("/metrics").text
    assert not [word for word in ("ann@", "AAPL", "A bot of Ann", ann.token, "Practice") if word in text]


def refused(url):
    """Return the refusals that one process gives, each request on a connection of its own."""
    found = samples(requests.get(f"{url}/metrics", timeout=10, headers={"Connection": "close"}).text)
    return found.get(("dashtrade_http_refusals_total", ("code", "INVALID_TOKEN"), ("route", "/webhook")), 0)


def test_every_process_gives_the_same_and_a_restart_loses_nothing(desk, free_port):
    url, sent = f"http://127.0.0.1:{free_port}", 40
    with gunicorn(desk, free_port, WEBHOOK_PROCESSES="2"):
        for _ in range(sent):
            answer = requests.post(
                f"{url}/webhook?token=usr_wrong", json=ALERT, timeout=10, headers={"Connection": "close"}
            )
            assert answer.status_code == 401
        wait_for(lambda: refused(url) == sent)
        assert {refused(url) for _ in range(20)} == {sent}
        assert requests.post(f"{url}/webhook?token=usr_wrong", json=ALERT, timeout=10).status_code == 401
    # The last one was counted in memory when the server was asked to stop.
    assert refused_by(desk) == sent + 1


def refused_by(desk):
    found = scraped(desk)
    return found["dashtrade_http_refusals_total", ("code", "INVALID_TOKEN"), ("route", "/webhook")]


def test_counts_wait_for_a_database_that_is_away(desk):
    counted = desk.app.extensions["dashtrade"].counted
    counted.count("http_refusal", "/webhook", "NOT_STORED")
    with desk.database.transaction() as transaction:
        transaction.execute("ALTER TABLE tallies RENAME TO away")
    counted.write()
    assert desk.client.get("/metrics").status_code == 503
    with desk.database.transaction() as transaction:
        transaction.execute("ALTER TABLE away RENAME TO tallies")
    counted.write()
    assert scraped(desk)["dashtrade_http_refusals_total", ("code", "NOT_STORED"), ("route", "/webhook")] == 1
