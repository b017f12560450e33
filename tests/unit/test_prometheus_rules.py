"""Prometheus itself says which rules fire when: those of deploy/, tried with its own tool."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/dashtrade-alerts.yml"
ON = 'job="dashtrade", instance="here"'
pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")

# A rule, the series at fault from the third minute on, the same where all is well, and when it fires by the tenth.
CASES = (
    ("DashTradeDown", "up", "", "1 1 0x20", "1x20"),
    ("DashTradeNoWorker", "dashtrade_processes_alive", 'part="worker"', "1 1 0x20", "1x20"),
    ("DashTradeNoBrokerWatch", "dashtrade_processes_alive", 'part="broker watch"', "1 1 0x20", "1x20"),
    ("DashTradePartSilent", "dashtrade_processes_alive", 'part="mqtt listener"', "1 1 0x20", "1x20"),
    ("DashTradeSignalsWait", "dashtrade_signal_oldest_seconds", 'state="STORED"', "0 0 60+60x20", "0 2 0 5x20"),
    ("DashTradePositionUnwatched", "dashtrade_positions_unwatched", 'held_by="ENGINE"', "0 0 1x20", "0x20"),
    ("DashTradeOrderInDoubt", "dashtrade_order_doubt_oldest_seconds", "", "0 0 60+60x20", "0 60 0x20"),
    ("DashTradeAccountMismatch", "dashtrade_account_mismatches", "", "0 0 2x20", "0 1 0x20"),
    ("DashTradeNotReconciled", "dashtrade_reconcile_oldest_seconds", 'broker="alpaca"', "0 0 700+60x20", "50x20"),
    ("DashTradeConnectionProblem", "dashtrade_connections",
     'broker="alpaca", mode="paper", status="PROBLEM"', "0 0 1x20", "0 1 1 0x20"),
    ("DashTradeNotStored", "dashtrade_http_refusals_total",
     'route="/webhook", code="NOT_STORED"', "_x13 1x20", "7x20"),
    ("DashTradeFaults", "dashtrade_faults_total", 'subject="lane"', "_x13 1x20", "3x20"),
    ("DashTradeAlertsLate", "dashtrade_alert_oldest_seconds", 'transport="DISCORD"', "0 0 900x20", "0 300x20"),
    ("DashTradeAlertsFail", "dashtrade_alerts_finished_total",
     'transport="DISCORD", state="FAILED"', "2 2 2 2 2 3x20", "2x20"),
    ("DashTradeTradingStopped", "dashtrade_server_trading_state", 'state="ACTIVE"', "0x20", "1x20"),
)  # fmt: skip


def fired(tmp_path, series, at="16m"):
    """Return the names of the rules that fire, by what promtool says where none is expected."""
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    named = [{"eval_time": at, "alertname": rule["alert"], "exp_alerts": []} for rule in rules]
    tried = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": named}],
    }
    file = tmp_path / "tried.yml"
    file.write_text(json.dumps(tried))
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 or "alertname:" in said, said
    return {rule["alert"] for rule in rules if f"alertname: {rule['alert']}," in said}


def one(name, labels, values):
    return {"series": f"{name}{{{ON}{', ' + labels if labels else ''}}}", "values": values}


UP = one("up", "", "1x30")


def test_the_rules_are_rules():
    done = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("rule", "name", "labels", "bad", "good"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_fires_where_it_must_and_only_there(tmp_path, rule, name, labels, bad, good):
    others = [] if name == "up" else [UP]
    assert fired(tmp_path, [*others, one(name, labels, bad)]) == {rule}
    assert fired(tmp_path, [*others, one(name, labels, good)]) == set()


def test_a_server_that_is_not_even_asked_is_down(tmp_path):
    assert fired(tmp_path, []) == {"DashTradeDown"}


def test_brokers_that_fail_often(tmp_path):
    labels = 'broker="alpaca", call="submit"'
    calls = one("dashtrade_broker_calls_total", labels, "0+60x30")
    assert fired(
        tmp_path, [UP, calls, one("dashtrade_broker_errors_total", f'{labels}, error="Unknown"', "0+20x30")]
    ) == {"DashTradeBrokerErrors"}
    refused = one("dashtrade_broker_errors_total", f'{labels}, error="Rejected"', "0+50x30")
    assert fired(tmp_path, [UP, calls, refused]) == set()


def test_a_webhook_that_is_slow(tmp_path):
    def buckets(fast):
        labels = 'route="/webhook", method="POST", status="202"'
        counts = {"0.1": fast, "2.5": 100, "+Inf": 100}
        return [
            one("dashtrade_http_request_seconds_bucket", f'{labels}, le="{bound}"', f"0+{count}x30")
            for bound, count in counts.items()
        ]

    assert fired(tmp_path, [UP, *buckets(90)]) == {"DashTradeSlow"}
    assert fired(tmp_path, [UP, *buckets(100)]) == set()


@pytest.mark.parametrize(
    ("rule", "metric", "part"),
    [
        ("DashTradeMqttDisconnected", "dashtrade_mqtt_connected", "mqtt listener"),
        ("DashTradeDiscordDisconnected", "dashtrade_discord_connected", "discord bot"),
    ],
)
def test_what_is_not_connected_counts_only_where_it_runs(tmp_path, rule, metric, part):
    alive = one("dashtrade_processes_alive", f'part="{part}"', "1x30")
    assert fired(tmp_path, [UP, alive, one(metric, "", "0x30")]) == {rule}
    assert fired(tmp_path, [UP, alive, one(metric, "", "1x30")]) == set()
    assert fired(tmp_path, [UP, one(metric, "", "0x30")]) == set()


def test_a_reversal_watch_that_scans_nothing(tmp_path):
    alive = one("dashtrade_processes_alive", 'part="reversal watch"', "1x30")
    age = "dashtrade_reversal_scan_age_seconds"
    assert fired(tmp_path, [UP, alive, one(age, "", "300+60x30")]) == {"DashTradeNoScans"}
    assert fired(tmp_path, [UP, alive]) == {"DashTradeNoScans"}
    assert fired(tmp_path, [UP, alive, one(age, "", "10 70 130 190 250 310x25")]) == set()
    silent = one("dashtrade_processes_alive", 'part="reversal watch"', "1 1 0x30")
    assert fired(tmp_path, [UP, silent, one(age, "", "300+60x30")]) == {"DashTradePartSilent"}


def test_every_rule_is_tried():
    tried = {case[0] for case in CASES} | {
        "DashTradeBrokerErrors", "DashTradeSlow", "DashTradeMqttDisconnected", "DashTradeDiscordDisconnected",
        "DashTradeNoScans",
    }  # fmt: skip
    assert {rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]} == tried
