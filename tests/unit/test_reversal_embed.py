"""What a signal's message and its details say of a record, a confidence and prices; and the form's first values."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from discord_bot.reversal_details import embed_of_details
from discord_bot.reversal_embed import embed
from discord_bot.trade_form import first_values

NOW = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
NEVER = [["RSI(14)", "24.1"], ["out of sample", "never measured for this pair and timeframe: no edge shown"]]
COUNTED = [["out of sample", "88 trades, -0.110 R each (95 %: -0.300 to +0.080), hit rate 0.0%"]]


def signal(**changes: Any) -> dict[str, Any]:
    """Give a row of signal_notifications as the sending reads it."""
    row = {
        "id": 7, "pair": "XRP/USD", "timeframe": "1 Hour", "signal_type": "long", "confidence": Decimal("0.75"),
        "entry_price": Decimal("1.2363"), "stop_loss": Decimal("1.2177"), "take_profit": Decimal("1.2735"),
        "risk_reward_ratio": Decimal("2.00"), "model_version": "v1", "stage1_prob": None, "stage2_prob": None,
        "source": "csv", "edge_shown": True, "factors": [["RSI(14)", "24.1"]], "expires_at": NOW,
        "acknowledged_at": None, "answer": None, "trade_id": None, "trade_entry": None, "trade_lots": None,
    }  # fmt: skip
    return row | changes


def fields(row: dict[str, Any]) -> dict[str, str]:
    """Give the fields of a signal's message by name."""
    return {str(each.name): str(each.value) for each in embed(row).fields}


@pytest.mark.parametrize("version", ["v1", "rules"])
@pytest.mark.parametrize("stored", [NEVER, dict(NEVER)])
def test_what_was_never_tested_is_not_said_to_have_failed(version: str, stored: Any) -> None:
    said = embed(signal(edge_shown=False, factors=stored, model_version=version)).description
    assert "**No edge shown**: this pair and timeframe were never tested." in str(said)
    assert "earn" not in str(said)


def test_where_it_was_tested_no_more_is_said_than_is_known() -> None:
    said = embed(signal(edge_shown=False, factors=COUNTED)).description
    assert str(said).startswith("⚠️ **No edge shown**: nothing says that trades like this one earn anything.")
    assert embed(signal(factors=COUNTED)).description is None


def test_details_say_it_of_a_pair_without_record() -> None:
    said = embed_of_details(signal(edge_shown=False, factors=NEVER), {}).fields[-1].value
    assert str(said).startswith("⚠️ **No edge shown**: this pair and timeframe were never tested.")


def test_a_rule_that_was_never_measured_has_no_confidence() -> None:
    row = signal(model_version="rules", confidence=Decimal("0.0000"), factors=NEVER, edge_shown=False)
    assert fields(row)["Confidence"] == "– (never measured)"
    said = str(embed_of_details(row, {}).description)
    assert said.startswith("Confidence – (never measured): ")
    assert "of 100 trades" not in said
    assert "0 %" not in said


@pytest.mark.parametrize("changes", [{"model_version": "rules", "factors": COUNTED}, {"model_version": "v1"}])
def test_a_confidence_that_was_measured_is_shown_even_where_it_is_0(changes: dict[str, Any]) -> None:
    row = signal(confidence=Decimal("0.0000"), **changes)
    assert fields(row)["Confidence"] == "0 %"
    assert str(embed_of_details(row, {}).description).startswith("Confidence 0 %: so many of 100 trades")


def test_a_cheap_coin_keeps_its_digits_and_the_form_its_reward_for_the_risk() -> None:
    row = signal()
    shown = fields(row)
    assert shown["Entry"] == "1.2363"
    assert shown["🛑 Stop loss"].startswith("1.2177 ")
    assert shown["🎯 Take profit"].startswith("1.2735 ")
    first = first_values(row)
    entry, stop, target = (Decimal(first[name]) for name in ("entry", "stop", "target"))
    assert (target - entry) / (entry - stop) == 2
