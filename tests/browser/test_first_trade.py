"""A newcomer gets from the sign-up form to a filled test trade by what the page says, and nothing else."""

import pytest

from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EMAIL = "ann@example.com"


def test_a_newcomer_gets_to_a_filled_trade(visitor: Visitor) -> None:
    visitor.sign_up_first(EMAIL)
    visitor.presses("Connect the paper broker")
    visitor.presses("Generate Webhook URL")
    visitor.presses("Create a practice bot")
    visitor.presses("Send a test alert")
    visitor.sees("5 of 5 steps done")
    (bot,) = visitor.stack.read("bots", EMAIL)
    (trade,) = visitor.stack.read("trades", EMAIL)
    assert (trade["status"], trade["action"], trade["bot_id"]) == ("FILLED", "BUY", bot["id"])
    assert (bot["position_size"], bot["timeframe"], bot["risk_limit_percent"]) == ("5000", "15 Min", "10")
    (signal,) = visitor.stack.read("signals", EMAIL)
    assert (signal["source"], signal["state"]) == ("tradingview", "EXECUTED")
