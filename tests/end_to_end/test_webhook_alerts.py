"""Alerts over HTTP: stored before they are answered, for the bot they are meant for."""

import pytest

from tests.end_to_end.webhook_desk import CONTENT_TYPES, WebhookDesk


@pytest.fixture
def desk(database_url):
    desk = WebhookDesk(database_url)
    yield desk
    desk.close()


@pytest.fixture
def ann(desk):
    return desk.trader()


@pytest.mark.parametrize("content_type", [*CONTENT_TYPES, "", "application/vnd.trading+json"])
def test_an_alert_is_stored_with_its_lane_and_number_and_the_lane_is_rung(desk, ann, content_type):
    bot_id = ann.bot()
    answer = ann.send(action="buy", ticker="NASDAQ:AAPL", interval="15", price="143.12", content_type=content_type)
    assert answer.status_code == 202, answer.json
    [signal] = ann.signals()
    assert answer.json == {"status": "accepted", "signal_id": str(signal["uuid"])}
    assert (signal["state"], signal["bot_config_id"], signal["number"]) == ("STORED", bot_id, 1)
    assert signal["understood"]["price"] == "143.12"
    assert desk.all("SELECT queue_name, task_name, args FROM procrastinate_jobs") == [
        {"queue_name": "lanes", "task_name": "ring_lane", "args": {"lane_id": signal["lane_id"]}}
    ]
    assert desk.value("SELECT bells FROM lanes WHERE id = %s", (signal["lane_id"],)) == 1


def test_health_says_that_the_database_answers(desk):
    answer = desk.client.get("/health")
    assert answer.json["database"] == "ok"
