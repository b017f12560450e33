"""Every spelling of a timeframe becomes one form, and nothing else passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timeframe import COMMON, canonical, seconds

SPELLINGS = {
    "30 Sec": ("30S", "30s", "30 sec", "30 Seconds"),
    "1 Min": ("1", "1m", "1min", "1 Min", "60S", "1 minute"),
    "5 Min": ("5", "5m", "05", "5 Min"),
    "15 Min": ("15", "15m", "15min", "15 Min", "15Min", "15 MIN", " 15 minutes "),
    "45 Min": ("45", "45m", "45 Min"),
    "90 Min": ("90", "90m"),
    "1 Hour": ("60", "60 Min", "1h", "1H", "1 Hour", "1hr", "hourly"),
    "4 Hour": ("240", "4H", "4h", "4 hours", "240m"),
    "1 Day": ("D", "1D", "1d", "d", "1 Day", "daily", "1440", "24h"),
    "3 Day": ("3D", "3 days"),
    "1 Week": ("W", "1W", "w", "1 week", "weekly"),
    "1 Month": ("M", "1M", "1 Month", "1mo", "monthly"),
}


@pytest.mark.parametrize(
    ("spelling", "form"), [(each, form) for form, spellings in SPELLINGS.items() for each in spellings]
)
def test_spellings_become_one_form(spelling, form):
    assert canonical(spelling) == form


@pytest.mark.parametrize("form", [*SPELLINGS, *COMMON])
def test_the_form_is_its_own_form(form):
    assert canonical(form) == form


def test_a_small_m_is_a_minute_and_a_capital_m_a_month():
    assert (canonical("1m"), canonical("1M")) == ("1 Min", "1 Month")


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "0m", "-5", "1.5h", "m", "s", "15M", "5R", "1T", "chart", "15 5", "1441", "1000000", "١٥"],
)
def test_what_is_no_timeframe_is_refused_with_what_is_allowed(text):
    with pytest.raises(ValueError, match="15 Min"):
        canonical(text)


@pytest.mark.parametrize(
    ("text", "length"), [("30S", 30), ("15", 900), ("4H", 14_400), ("D", 86_400), ("W", 604_800)]
)
def test_length_in_seconds(text, length):
    assert seconds(text) == length


@given(st.text(max_size=30))
def test_any_text_is_a_stable_form_or_a_value_error(text):
    try:
        form = canonical(text)
    except ValueError:
        return
    assert canonical(form) == form


@given(st.integers(1, 1440))
def test_minutes_keep_their_length(minutes):
    assert seconds(str(minutes)) == minutes * 60
