"""When bars are looked at, and whom the scan tells of what."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from core.bar import length, opening
from core.pips import Direction
from core.reversal import RULES, Score, SentBefore, Wants
from reversal.choosing import TIMEFRAMES, choose, due, found_in

# A Monday
NOON = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)


def score(
    pair: str = "EUR/USD",
    confidence: str = "0.7",
    *,
    timeframe: str = "1 Hour",
    direction: Direction | None = Direction.LONG,
    version: str = "model 1",
    closed_at: datetime = NOON,
    edge_shown: bool = True,
) -> Score:
    return Score(
        pair=pair,
        timeframe=timeframe,
        bar_opened_at=closed_at - length(timeframe),
        bar_closed_at=closed_at,
        direction=direction,
        confidence=Decimal(confidence),
        stage1_prob=None,
        stage2_prob=None,
        version=version,
        entry=Decimal("1.1"),
        stop=Decimal("1.09"),
        target=Decimal("1.12"),
        source="csv",
        is_replay=False,
        edge_shown=edge_shown,
    )


WANTS = Wants(
    user_id=1,
    pairs=frozenset({"EUR/USD", "GBP/USD", "USD/JPY"}),
    timeframes=frozenset({"1 Hour", "4 Hour"}),
    min_confidence=Decimal("0.6"),
    only_ml_enhanced=True,
    only_with_edge=True,
    cooldown=timedelta(minutes=240),
    daily_maximum=20,
)
NOTHING_BEFORE = SentBefore(newest={}, day=date(2026, 11, 16), count=0)


def chosen(*scores: Score, wants: Wants = WANTS, before: SentBefore = NOTHING_BEFORE) -> list[Score]:
    return choose(found_in(scores), wants, before)


class TestDue:
    """What is due at a time is a function of the time alone."""

    def test_every_five_minutes_the_shortest_and_every_quarter_the_next(self) -> None:
        assert due(NOON + timedelta(minutes=5))[NOON + timedelta(minutes=5)] == ("5 Min",)
        assert due(NOON + timedelta(minutes=15))[NOON + timedelta(minutes=15)] == ("5 Min", "15 Min")
        newest = due(NOON + timedelta(minutes=30))
        assert newest[NOON + timedelta(minutes=30)] == ("5 Min", "15 Min", "30 Min")

    def test_a_scan_at_noon_looks_at_every_bar_that_closes_then(self) -> None:
        hours = ("1 Hour", "2 Hour", "4 Hour")
        assert due(NOON)[NOON] == ("5 Min", "15 Min", "30 Min", "45 Min", *hours)

    def test_midnight_closes_the_day_and_mondays_the_week(self) -> None:
        midnight = datetime(2026, 11, 17, tzinfo=UTC)
        assert "1 Day" in due(midnight)[midnight]
        assert "1 Week" not in due(midnight)[midnight]
        monday = datetime(2026, 11, 16, tzinfo=UTC)
        assert {"1 Day", "1 Week"} <= set(due(monday)[monday])

    def test_just_before_a_bar_closes_the_one_before_it_counts(self) -> None:
        assert due(NOON - timedelta(microseconds=1)).keys() & {NOON} == set()

    def test_after_a_standstill_each_timeframe_is_due_once_with_its_newest_bar(self) -> None:
        woken = NOON + timedelta(days=9, hours=7, minutes=23, seconds=11)
        found = due(woken)
        assert sorted(timeframe for each in found.values() for timeframe in each) == sorted(TIMEFRAMES)
        for closed_at, timeframes in found.items():
            for timeframe in timeframes:
                assert closed_at == opening(woken, timeframe)
                assert closed_at + length(timeframe) > woken, "a signal that expired is not made up"
        assert list(found) == sorted(found, reverse=True), "the newest comes first"


class TestChoosing:
    def test_the_surest_come_first_and_the_days_maximum_ends_it(self) -> None:
        scores = (score("GBP/USD", "0.65"), score("EUR/USD", "0.9"), score("USD/JPY", "0.8"))
        told = chosen(*scores, wants=replace(WANTS, daily_maximum=2))
        assert [each.pair for each in told] == ["EUR/USD", "USD/JPY"]

    def test_what_was_told_today_counts_for_the_maximum(self) -> None:
        before = replace(NOTHING_BEFORE, count=19)
        assert len(chosen(score("EUR/USD"), score("GBP/USD"), before=before)) == 1
        assert chosen(score(), before=replace(NOTHING_BEFORE, count=20)) == []

    def test_two_timeframes_of_a_pair_are_one_message_within_the_cool_down(self) -> None:
        told = chosen(score(confidence="0.7"), score(confidence="0.8", timeframe="4 Hour"))
        assert [each.timeframe for each in told] == ["4 Hour"]

    def test_without_a_cool_down_both_are_told(self) -> None:
        wants = replace(WANTS, cooldown=timedelta(0))
        assert len(chosen(score(), score(timeframe="4 Hour"), wants=wants)) == 2

    def test_the_cool_down_counts_from_the_bar_that_was_told_last(self) -> None:
        before = replace(NOTHING_BEFORE, newest={"EUR/USD": NOON - timedelta(minutes=239)})
        assert chosen(score(), before=before) == []
        before = replace(NOTHING_BEFORE, newest={"EUR/USD": NOON - timedelta(minutes=240)})
        assert len(chosen(score(), before=before)) == 1

    def test_an_older_bar_does_not_get_around_the_cool_down_of_a_newer_one(self) -> None:
        before = replace(NOTHING_BEFORE, newest={"EUR/USD": NOON + timedelta(hours=1)})
        assert chosen(score(), before=before) == []

    def test_a_bar_that_model_and_rule_both_saw_is_told_once_as_the_models(self) -> None:
        both = (score(confidence="0.65"), score(confidence="0.8", version=RULES))
        wants = replace(WANTS, only_ml_enhanced=False, cooldown=timedelta(0))
        assert [each.version for each in chosen(*both, wants=wants)] == ["model 1"]

    def test_where_the_models_is_not_wanted_the_rules_is_told(self) -> None:
        both = (score(confidence="0.55"), score(confidence="0.8", version=RULES))
        wants = replace(WANTS, only_ml_enhanced=False, cooldown=timedelta(0))
        assert [each.version for each in chosen(*both, wants=wants)] == [RULES]

    def test_the_rules_signals_reach_only_those_who_want_them(self) -> None:
        assert chosen(score(version=RULES)) == []
        assert len(chosen(score(version=RULES), wants=replace(WANTS, only_ml_enhanced=False))) == 1

    @pytest.mark.parametrize(
        "unwanted",
        [
            score(direction=None),
            score("AUD/USD"),
            score(timeframe="15 Min"),
            score(confidence="0.5999"),
            score(edge_shown=False),
        ],
        ids=["no signal", "pair", "timeframe", "confidence", "edge"],
    )
    def test_what_is_not_wanted_is_not_told_and_begins_no_cool_down(self, unwanted: Score) -> None:
        assert chosen(unwanted) == []
        assert [each.pair for each in chosen(unwanted, score())] == ["EUR/USD"]
