"""Which bot a signal is for."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.instrument import AssetClass, symbol_key
from core.matching import Candidate, choose
from core.plan import Code, Refusal
from core.signal import Action, Signal

numbers = itertools.count(1)


def bot(symbol="AAPL", timeframe="15 Min", name=None, connection="Practice", crypto=False, id=None):
    number = id or next(numbers)
    return Candidate(
        id=number,
        name=name or f"{symbol} {timeframe} {number}",
        symbol=symbol,
        symbol_key=symbol_key(symbol),
        timeframe=timeframe,
        lane_id=number,
        connection=connection,
        broker="alpaca",
        asset_class=AssetClass.CRYPTO if crypto else AssetClass.STOCK,
    )


def signal(symbol="AAPL", timeframe="15 Min", **fields):
    return Signal(action=Action.BUY, symbol=symbol, timeframe=timeframe, **fields)


def code(choice):
    assert isinstance(choice, Refusal), choice
    return choice.code


def test_symbol_and_timeframe_find_the_bot():
    bots = [bot(timeframe=each) for each in ("5 Min", "15 Min", "30 Min")] + [bot("MSFT")]
    assert choose(signal(), bots) == bots[1]


@pytest.mark.parametrize("spelling", ["BTC/USD", "BTCUSD", "BTC-USD", "BTCUSD.P"])
def test_every_spelling_of_a_pair_finds_its_bot(spelling):
    btc = bot("BTC/USD", crypto=True)
    assert choose(signal(spelling), [btc, bot()]) == btc


def test_no_bot_says_what_was_looked_for():
    refusal = choose(signal("TSLA", "1 Hour"), [bot(), bot("TSLA")])
    assert code(refusal) is Code.NO_BOT
    assert refusal.sentence == "No bot configuration found for TSLA 1 Hour."


def test_without_a_timeframe_the_only_bot_on_the_symbol():
    only = bot(timeframe="4 Hour")
    assert choose(signal(timeframe=None), [only, bot("MSFT")]) == only


def test_without_a_timeframe_several_bots_are_ambiguous_and_named():
    five, any_time = bot(timeframe="5 Min", name="Fast"), bot(timeframe=None, name="Any")
    refusal = choose(signal(timeframe=None), [five, any_time])
    assert code(refusal) is Code.AMBIGUOUS_BOT
    assert "Fast (5 Min, Practice), Any (any timeframe, Practice)" in refusal.sentence
    assert "a timeframe" in refusal.sentence


def test_a_bot_without_a_timeframe_takes_any_but_comes_after_one_made_for_it():
    any_time, fifteen = bot(timeframe=None), bot(timeframe="15 Min")
    assert choose(signal(timeframe="1 Day"), [any_time, fifteen]) == any_time
    assert choose(signal(timeframe="15 Min"), [any_time, fifteen]) == fifteen


def test_two_connections_are_ambiguous_until_a_bot_is_named():
    paper, live = bot(name="Paper AAPL"), bot(name="Live AAPL", connection="Live")
    assert code(choose(signal(), [paper, live])) is Code.AMBIGUOUS_BOT
    assert choose(signal(bot="live aapl"), [paper, live]) == live
    assert choose(signal(bot=str(paper.id)), [paper, live]) == paper


def test_a_named_bot_must_be_on_the_symbol():
    refusal = choose(signal(bot="Tesla"), [bot(), bot("TSLA", name="Tesla")])
    assert code(refusal) is Code.NO_BOT
    assert refusal.sentence == "No bot configuration found for AAPL 15 Min and the name or id Tesla."


def test_a_name_that_is_anothers_id_is_ambiguous():
    assert code(choose(signal(bot="7"), [bot(id=7), bot(name="7", id=8)])) is Code.AMBIGUOUS_BOT


def test_the_german_share_is_not_the_american_one():
    refusal = choose(signal("AMD", exchange="XETR"), [bot("AMD")])
    assert code(refusal) is Code.SYMBOL_NOT_TRADEABLE
    assert "XETR:AMD" in refusal.sentence
    assert isinstance(choose(signal("AMD", exchange="NASDAQ"), [bot("AMD")]), Candidate)


TIMEFRAMES = st.sampled_from([None, "5 Min", "15 Min", "1 Day"])
BOTS = st.lists(st.builds(bot, st.sampled_from(["AAPL", "MSFT"]), TIMEFRAMES), max_size=6)


@given(bots=BOTS, symbol=st.sampled_from(["AAPL", "MSFT", "TSLA"]), timeframe=TIMEFRAMES)
def test_what_is_chosen_fits_and_is_the_only_one(bots, symbol, timeframe):
    choice = choose(signal(symbol, timeframe), bots)
    on_symbol = [each for each in bots if each.symbol == symbol]
    exact = [each for each in on_symbol if timeframe in (None, each.timeframe)]
    fitting = exact or [each for each in on_symbol if each.timeframe is None]
    if len(fitting) == 1:
        assert choice == fitting[0]
    else:
        assert code(choice) is (Code.AMBIGUOUS_BOT if fitting else Code.NO_BOT)
