"""The model card is what the generator writes, and its figures are what the recordings give."""

import json
from copy import deepcopy
from typing import Any

import pytest

from reversal import card, training
from reversal.fitting import CHOSEN, SHIPPABLE, Recipe
from reversal.samples import samples_of


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(card.STORED.read_text())
    return found


def close(found: Any, kept: Any) -> None:
    """Hold what was measured here to what is stored, but for what another processor's rounding may tip over."""
    if isinstance(kept, dict):
        assert found.keys() == kept.keys()
        for name in kept:
            close(found[name], kept[name])
    elif isinstance(kept, list):
        assert len(found) == len(kept)
        for one, other in zip(found, kept, strict=True):
            close(one, other)
    elif isinstance(kept, float):
        assert found == pytest.approx(kept, abs=0.03, rel=0.03)
    elif isinstance(kept, int) and not isinstance(kept, bool):
        assert found == pytest.approx(kept, abs=3)
    else:
        assert found == kept


def test_nobody_edits_the_card_by_hand(stored: dict[str, Any]) -> None:
    assert card.CARD.read_text() == card.rendered(stored)


def test_the_walk_forward_of_the_card_is_that_of_the_recordings(stored: dict[str, Any]) -> None:
    whole = [
        samples_of(one.pair, one.timeframe, [*one.learned, *one.held_out]) for one in training.recordings()
    ]
    close(card.walked(whole), stored["walk_forward"])


def test_the_record_of_the_card_is_that_of_the_model_that_is_trained_by_default(
    stored: dict[str, Any],
) -> None:
    made = training.train(training.recordings())
    assert made.model.version == stored["version"]
    close(dict(made.model.record), stored["held_out"])
    close(made.row.series, stored["series"])


def test_what_is_shipped_did_best_of_what_can_be_shipped(stored: dict[str, Any]) -> None:
    assert set(stored["tried"]) == {recipe.value for recipe in Recipe}
    best = max(SHIPPABLE, key=lambda recipe: card.skill(stored["tried"][recipe.value]))
    assert CHOSEN is best
    assert stored["chosen"] == CHOSEN.value


def test_what_was_tried_was_tried_on_what_is_never_played(stored: dict[str, Any]) -> None:
    learned = [samples_of(one.pair, one.timeframe, one.learned) for one in training.recordings()]
    close(card.tried(learned, CHOSEN), stored["tried"][CHOSEN.value])


def test_d6_the_card_has_every_baseline_and_no_accuracy(stored: dict[str, Any]) -> None:
    text = card.rendered(stored)
    assert "accuracy" not in text.lower()
    sections = len(stored["walk_forward"]) + len(stored["held_out"])
    for name in card.NAMES.values():
        assert text.count(f"| {name} |") == sections
    assert text.count("Brier score 0.") == text.count("| came true |") == sections


def test_the_card_says_that_there_is_no_edge_where_none_is_shown(stored: dict[str, Any]) -> None:
    none = deepcopy(stored)
    for part in ("walk_forward", "held_out"):
        for each in none[part].values():
            each["edge_shown"] = False
    assert "**No edge was shown on any of the series**" in card.rendered(none)
    assert "**Edge shown**" not in card.rendered(none)
    one = deepcopy(none)
    one["held_out"]["SP500 1 Day"]["edge_shown"] = True
    text = card.rendered(one)
    assert "**Edge shown**, in a record of the past, on: SP500 1 Day." in text
    assert "No edge was shown on any" not in text


def test_the_card_tells_a_market_that_rose_from_an_edge(stored: dict[str, Any]) -> None:
    tempting = deepcopy(stored)
    tempting["held_out"]["NASDAQ 1 Day"]["edge_shown"] = False
    tempting["held_out"]["NASDAQ 1 Day"]["strategies"]["model"]["low"] = 0.1
    assert "The trades on NASDAQ 1 Day earned something" in card.rendered(tempting)
