"""Recordings are played at the hours of the market, over and over, and never what was learned from."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bar import length
from core.pips import market_of
from reversal.checking import Known, judge
from reversal.sources.base import SourceRefused
from reversal.sources.replay import RECORDINGS, Recording, ReplaySource, learned_from, recorded

SOURCE = ReplaySource()
START = datetime(2026, 1, 1, tzinfo=UTC)
EURUSD, SP500 = RECORDINGS[0], RECORDINGS[1]
each_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.pair)


def played(recording: Recording, since: datetime, until: datetime):
    return list(SOURCE.fetch(recording.pair, recording.timeframe, since, until, now=until))


@each_recording
def test_nothing_that_is_played_was_learned_from(recording: Recording) -> None:
    learned = learned_from(recording)
    ends = recording.played_from + timedelta(weeks=recording.weeks)
    rest = recorded(recording)[len(learned) :]
    assert len(learned) > 1000
    assert learned[-1].opened_at < recording.played_from <= rest[0].opened_at
    kept = {(bar.open, bar.high, bar.low, bar.close) for bar in rest if bar.opened_at < ends}
    shown = {
        (bar.open, bar.high, bar.low, bar.close)
        for bar in played(recording, START, START + timedelta(days=300))
    }
    assert shown <= kept


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(RECORDINGS), st.integers(0, 365 * 20 * 24))
def test_whenever_it_is_played_it_is_a_faultless_feed(recording: Recording, hours: int) -> None:
    """Over weekends, over the days on which clocks are set, and where it begins again."""
    since = START + timedelta(hours=hours)
    bars = played(recording, since, since + 400 * length(recording.timeframe))
    kind = market_of(recording.pair).kind
    judged = judge(kind, recording.timeframe, bars, Known(bars={}), since + timedelta(days=800))
    assert judged.faults == ()
    assert list(judged.bars) == bars
    assert len(bars) > 200


@each_recording
def test_asked_in_parts_it_plays_the_same(recording: Recording) -> None:
    middle, until = START + timedelta(days=33), START + timedelta(days=70)
    whole = played(recording, START, until)
    assert whole == played(recording, START, middle) + played(recording, middle, until)
    assert whole == sorted(whole, key=lambda bar: bar.opened_at)


def test_a_turn_later_it_plays_the_same_prices_again() -> None:
    week, turn = timedelta(weeks=1), timedelta(weeks=SP500.weeks)
    first, again = played(SP500, START, START + week), played(SP500, START + turn, START + turn + week)
    assert [bar.close for bar in first] == [bar.close for bar in again]
    assert [bar.opened_at + turn for bar in first] == [bar.opened_at for bar in again]


def test_the_week_begins_by_new_yorks_clock_in_summer_and_winter() -> None:
    def first_of(sunday: datetime) -> int:
        return played(EURUSD, sunday, sunday + timedelta(days=2))[0].opened_at.hour

    assert first_of(datetime(2026, 7, 5, tzinfo=UTC)) == 21
    assert first_of(datetime(2026, 1, 4, tzinfo=UTC)) == 22


def test_the_forming_bar_is_not_played() -> None:
    now = datetime(2026, 7, 8, 12, 59, 59, tzinfo=UTC)
    bars = SOURCE.fetch("EUR/USD", "1 Hour", now - timedelta(hours=5), now, now=now)
    assert bars[-1].closed_at == datetime(2026, 7, 8, 12, tzinfo=UTC)


def test_what_was_not_recorded_is_refused_with_what_was() -> None:
    with pytest.raises(
        SourceRefused, match=r"no recording of EUR/USD 1 Day; there are EUR/USD 1 Hour, SP500 1 Day"
    ):
        SOURCE.fetch("EUR/USD", "1 Day", START, START, now=START)
    assert SOURCE.timeframes("EUR/USD") == ["1 Hour"]
    assert SOURCE.timeframes("GBP/USD") == []
