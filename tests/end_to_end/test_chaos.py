"""A short storm: all that `make run` starts, with parts killed and networks cut, and what must hold afterwards."""

import pytest

from tests.chaos.conductor import run
from tests.chaos.scale import SHORT

# Its fifteen troubles: webhook, worker and Discord bot killed, the database crashed, both brokers wrong, prices fall
SEED = 468


@pytest.mark.slow
def test_what_must_hold_after_a_storm_holds() -> None:
    report = run(SEED, SHORT)
    print(report.text())
    assert {name: found for name, found in report.violations.items() if found} == {}
    # A storm in which nothing was hit, sent or traded would show nothing
    assert report.figures["alerts sent"] > SHORT.alerts
    assert report.figures["orders by broker's state"]["FILLED"] > 10
    assert report.figures["MQTT messages stored"] == SHORT.messages
    assert sum(report.troubles.values()) >= 10
