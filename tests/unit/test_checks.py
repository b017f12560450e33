from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bot import BotStatus, ConnectionStatus, TradingState
from core.checks import (
    BEFORE_BROKER,
    ENTRY_CHECKS,
    BrokerFacts,
    EntryFacts,
    OtherHolding,
    TradingStates,
    check_before_broker,
    check_entry,
    check_exit,
    not_tradeable,
    outside_trading_window,
)
from core.instrument import MarketClock, Quote
from core.order import Side
from core.plan import Code, Refusal
from core.signal import Action, Signal
from core.size import Size, SizeRequest, proposed_size
from core.trading_day import DayFigures
from tests.unit.examples import APPLE, BOT, CONNECTION, NOW

SIGNAL = Signal(action=Action.BUY, symbol="AAPL", price=Decimal(100), sent_at=NOW - timedelta(seconds=3))
QUOTE = Quote(symbol="AAPL", bid=Decimal(99), ask=Decimal(100), at=NOW)
REQUEST = SizeRequest(
    bot=BOT,
    connection=CONNECTION,
    instrument=APPLE,
    side=Side.BUY,
    price=Decimal(100),
    equity=Decimal(50000),
    buying_power=Decimal(50000),
)


def sized(request: SizeRequest) -> Size | Refusal:
    return proposed_size(request)


BROKER = BrokerFacts(
    instrument=APPLE,
    clock=MarketClock(is_open=True),
    account_gap=Decimal(0),
    quote=QUOTE,
    size=sized(REQUEST),
)
FACTS = EntryFacts(
    now=NOW,
    bot=BOT,
    connection=CONNECTION,
    states=TradingStates(),
    side=Side.BUY,
    signal=SIGNAL,
    received_at=NOW - timedelta(seconds=2),
    newest_sent_at=None,
    last_stop_out_at=None,
    mismatch_since=None,
    other_holdings=(),
    open_positions=0,
    day=DayFigures(),
    broker=BROKER,
)


def bot(**changes: Any) -> Callable[[EntryFacts], EntryFacts]:
    return lambda facts: replace(facts, bot=replace(facts.bot, **changes))


def connection(**changes: Any) -> Callable[[EntryFacts], EntryFacts]:
    return lambda facts: replace(facts, connection=replace(facts.connection, **changes))


def broker(**changes: Any) -> Callable[[EntryFacts], EntryFacts]:
    def change(facts: EntryFacts) -> EntryFacts:
        assert facts.broker is not None
        return replace(facts, broker=replace(facts.broker, **changes))

    return change


def known(**changes: Any) -> Callable[[EntryFacts], EntryFacts]:
    return lambda facts: replace(facts, **changes)


def states(**changes: TradingState) -> Callable[[EntryFacts], EntryFacts]:
    return lambda facts: replace(facts, states=replace(facts.states, **changes))


def request(**changes: Any) -> Callable[[EntryFacts], EntryFacts]:
    """Size the entry anew with changed facts; the bot of the request changes with it."""
    bot_changes = changes.pop("bot", {})
    return broker(size=sized(replace(REQUEST, bot=replace(BOT, **bot_changes), **changes)))


def both(*steps: Callable[[EntryFacts], EntryFacts]) -> Callable[[EntryFacts], EntryFacts]:
    def change(facts: EntryFacts) -> EntryFacts:
        for step in steps:
            facts = step(facts)
        return facts

    return change


TINY = Decimal("0.0001")

# One way to fail each check, in the order of trading.md §4, ACCOUNT_MISMATCH after CONNECTION_PROBLEM.
FAILURES: list[tuple[Code, Callable[[EntryFacts], EntryFacts], str]] = [
    (
        Code.KILL_SWITCH,
        states(user=TradingState.REDUCING),
        "Trading is REDUCING for your account: only exits go through. Set it back to ACTIVE to trade again.",
    ),
    (
        Code.BOT_DISABLED,
        bot(is_active=False),
        "Bot AAPL 15 Min is disabled; enable it to take entries.",
    ),
    (
        Code.NO_CREDENTIALS,
        connection(has_credentials=False),
        "No Alpaca API keys found for connection my paper account; enter them in Setup.",
    ),
    (
        Code.CONNECTION_PROBLEM,
        connection(status=ConnectionStatus.PROBLEM, last_error="the keys were refused (401)"),
        "Connection my paper account takes no entries: the keys were refused (401)",
    ),
    (
        Code.ACCOUNT_MISMATCH,
        broker(account_gap=Decimal("-2.5")),
        "The account holds 2.5 AAPL less than the bots and the holdings you acknowledged add up to.",
    ),
    (
        Code.SYMBOL_NOT_TRADEABLE,
        broker(instrument=replace(APPLE, tradable=False)),
        "AAPL cannot be traded through connection my paper account: it is not open for trading there.",
    ),
    (
        Code.OUT_OF_ORDER,
        known(newest_sent_at=NOW + timedelta(seconds=4)),
        "Signal was sent 7 s before a newer one that this bot already has.",
    ),
    (
        Code.SIGNAL_TOO_OLD,
        known(received_at=NOW - timedelta(seconds=412)),
        "Signal is 412 s old; this bot takes signals up to 120 s old.",
    ),
    (
        Code.OUTSIDE_TRADING_WINDOW,
        bot(window_start=time(12), window_end=time(15, 30)),
        "It is 10:00 in America/New_York; this bot enters from 12:00 to 15:30.",
    ),
    (
        Code.MARKET_CLOSED,
        broker(clock=MarketClock(is_open=False, next_open=datetime(2025, 1, 3, 14, 30, tzinfo=UTC))),
        "The market for AAPL is closed; it opens at 2025-01-03 14:30 UTC.",
    ),
    (
        Code.SYMBOL_NOT_TRADEABLE,
        broker(quote=replace(QUOTE, ask=Decimal(0)), size=None),
        "AAPL cannot be traded through connection my paper account: there is no ask price now.",
    ),
    (
        Code.COOLDOWN,
        both(bot(cooldown_minutes=30), known(last_stop_out_at=NOW - timedelta(minutes=29, seconds=15))),
        "The bot was stopped out at 2025-01-02 14:30 UTC and waits 30 minutes before it enters again;"
        " 45 s are left.",
    ),
    (
        Code.OPPOSITE_POSITION,
        known(other_holdings=(OtherHolding(owner="Bot AAPL 5 Min", quantity=Decimal(-10)),)),
        "Bot AAPL 5 Min holds 10 AAPL short in the same account; a BUY would work against it."
        " The connection can allow netting in Setup.",
    ),
    (
        Code.MAX_OPEN_POSITIONS,
        both(connection(max_open_positions=3), known(open_positions=3)),
        "3 positions and entries are open; this connection takes at most 3.",
    ),
    (
        Code.MAX_POSITION_SIZE,
        request(bot={"max_position_size": Decimal("0.05")}),
        "Reduced from 50 to 0 by the bot's maximum of 0.05 USD. AAPL trades at least 0.001 and 1.00 USD,"
        " in steps of 0.001.",
    ),
    (
        Code.DAILY_LOSS_LIMIT,
        both(bot(daily_loss_limit=Decimal(500)), known(day=DayFigures(realized=Decimal("-612.345")))),
        "The bot has lost 612.34 today; its daily loss limit is 500.00. It enters again when the day turns.",
    ),
    (
        Code.PRICE_MOVED,
        both(
            bot(max_price_deviation_percent=Decimal(1)),
            known(signal=replace(SIGNAL, price=Decimal("102.5"))),
        ),
        "The price is 100, 2.44 % from the signal's 102.5; this bot takes up to 1 %.",
    ),
    (
        Code.SIZE_TOO_SMALL,
        request(bot={"position_size": Decimal("0.05")}),
        "The size comes to 0.0005 at 100; AAPL trades at least 0.001 and 1.00 USD, in steps of 0.001.",
    ),
    (
        Code.INSUFFICIENT_BUYING_POWER,
        request(buying_power=Decimal("0.07")),
        "Reduced from 50 to 0 by the buying power left of 0.07 USD. AAPL trades at least 0.001 and 1.00 USD,"
        " in steps of 0.001.",
    ),
]


def test_an_entry_without_fault_goes() -> None:
    assert check_before_broker(FACTS) is None
    assert check_entry(FACTS) is None


@pytest.mark.parametrize(("code", "fail", "sentence"), FAILURES)
def test_each_check_refuses_with_the_numbers(
    code: Code, fail: Callable[[EntryFacts], EntryFacts], sentence: str
) -> None:
    assert check_entry(fail(FACTS)) == Refusal(code=code, sentence=sentence)


SIZES = {Code.MAX_POSITION_SIZE, Code.SIZE_TOO_SMALL, Code.INSUFFICIENT_BUYING_POWER}
# One entry has one size, so two faults of size cannot be set up together.
PAIRS = [
    (first, second)
    for first, second in combinations(range(len(FAILURES)), 2)
    if not {FAILURES[first][0], FAILURES[second][0]} <= SIZES
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_faults_the_one_listed_first_is_read(first: int, second: int) -> None:
    # A symbol without a price has no size either, so that fault is set up last.
    refusal = check_entry(FAILURES[first][1](FAILURES[second][1](FACTS)))
    assert refusal is not None
    assert refusal.code is FAILURES[first][0]


def test_every_failure_belongs_to_its_own_check() -> None:
    assert len(FAILURES) == len(ENTRY_CHECKS)
    for (code, fail, _), check in zip(FAILURES, ENTRY_CHECKS, strict=True):
        refusal = check(fail(FACTS))
        assert refusal is not None
        assert refusal.code is code
        assert check(FACTS) is None


@pytest.mark.parametrize(("code", "fail", "sentence"), FAILURES)
def test_what_needs_no_broker_is_refused_before_it_is_asked(
    code: Code, fail: Callable[[EntryFacts], EntryFacts], sentence: str
) -> None:
    refusal = check_before_broker(replace(fail(FACTS), broker=None))
    position = [failure[2] for failure in FAILURES].index(sentence)
    # The gap itself is known from the broker only; that one was found before is a stored fact.
    needs_no_broker = ENTRY_CHECKS[position] in BEFORE_BROKER and code is not Code.ACCOUNT_MISMATCH
    assert refusal == (Refusal(code=code, sentence=sentence) if needs_no_broker else None)


def test_half_a_check_does_not_pass_for_a_whole_one() -> None:
    with pytest.raises(ValueError, match="broker's facts"):
        check_entry(replace(FACTS, broker=None))
    with pytest.raises(ValueError, match="with its size"):
        check_entry(broker(size=None)(FACTS))


@pytest.mark.parametrize(
    ("switches", "entry", "leaves"),
    [
        ({}, None, True),
        ({"bot": TradingState.REDUCING}, "REDUCING for this bot", True),
        ({"connection": TradingState.HALTED}, "HALTED for this connection", False),
        ({"server": TradingState.REDUCING, "bot": TradingState.HALTED}, "HALTED for this bot", False),
        (
            {"server": TradingState.HALTED, "user": TradingState.HALTED},
            "HALTED for the whole server: nothing at all is sent. An administrator sets it back",
            False,
        ),
    ],
)
def test_kill_switch(switches: dict[str, TradingState], entry: str | None, leaves: bool) -> None:
    refusal = check_entry(states(**switches)(FACTS))
    assert (refusal is None) == (entry is None)
    if refusal is not None and entry is not None:
        assert refusal.code is Code.KILL_SWITCH
        assert entry in refusal.sentence
    assert (check_exit(TradingStates(**switches)) is None) == leaves


def test_a_mismatch_stays_until_the_user_decides() -> None:
    refusal = check_before_broker(replace(FACTS, mismatch_since=NOW, broker=None))
    assert refusal is not None
    assert refusal.code is Code.ACCOUNT_MISMATCH
    assert "Since 2025-01-02 15:00 UTC" in refusal.sentence


def test_a_bot_that_hit_its_risk_limit_says_so() -> None:
    refusal = check_entry(bot(is_active=False, status=BotStatus.RISK_LIMIT_HIT)(FACTS))
    assert refusal is not None
    assert "after it hit its risk limit" in refusal.sentence


PASSES: list[tuple[str, Callable[[EntryFacts], EntryFacts]]] = [
    ("exactly as old as allowed", known(received_at=NOW - timedelta(seconds=120))),
    ("sent at the same second", known(newest_sent_at=SIGNAL.sent_at)),
    ("a sender's clock that runs ahead", known(signal=replace(SIGNAL, sent_at=NOW + timedelta(hours=1)))),
    ("no sending time", both(known(signal=replace(SIGNAL, sent_at=None)), known(newest_sent_at=NOW))),
    ("never stopped out", bot(cooldown_minutes=30)),
    ("no signal at all", known(signal=None, received_at=None)),
    ("cool-down over", both(bot(cooldown_minutes=5), known(last_stop_out_at=NOW - timedelta(minutes=5)))),
    ("a holding to the same side", known(other_holdings=(OtherHolding(owner="x", quantity=Decimal(10)),))),
    ("dust against us", known(other_holdings=(OtherHolding(owner="x", quantity=-TINY),))),
    (
        "netting allowed",
        both(
            connection(allow_netting=True),
            known(other_holdings=(OtherHolding(owner="x", quantity=Decimal(-10)),)),
        ),
    ),
    ("a gap of dust", broker(account_gap=TINY)),
    ("one place left", both(connection(max_open_positions=3), known(open_positions=2))),
    (
        "a cent below the daily limit",
        both(bot(daily_loss_limit=Decimal(500)), known(day=DayFigures(realized=Decimal("-499.99")))),
    ),
    ("a profit", both(bot(daily_loss_limit=Decimal(500)), known(day=DayFigures(realized=Decimal(900))))),
    (
        "moved just as far as allowed",
        both(
            bot(max_price_deviation_percent=Decimal(25)),
            known(signal=replace(SIGNAL, price=Decimal(80))),
        ),
    ),
    (
        "a signal without a price",
        both(bot(max_price_deviation_percent=Decimal(1)), known(signal=replace(SIGNAL, price=None))),
    ),
    ("a new connection", connection(status=ConnectionStatus.NEW)),
    ("the bot's time alone is old", known(signal=replace(SIGNAL, bar_time=NOW - timedelta(days=1)))),
    ("a bid of zero does not stop a buyer", broker(quote=replace(QUOTE, bid=Decimal(0)))),
]


@pytest.mark.parametrize("change", [change for _, change in PASSES], ids=[name for name, _ in PASSES])
def test_what_just_passes(change: Callable[[EntryFacts], EntryFacts]) -> None:
    assert check_entry(change(FACTS)) is None


def test_an_old_sending_time_counts_although_it_just_arrived() -> None:
    refusal = check_entry(
        known(signal=replace(SIGNAL, sent_at=NOW - timedelta(seconds=120, milliseconds=1)))(FACTS)
    )
    assert refusal is not None
    assert refusal.sentence == "Signal is 121 s old; this bot takes signals up to 120 s old."


def test_a_loss_that_just_reaches_the_daily_limit_counts() -> None:
    lost = both(bot(daily_loss_limit=Decimal(500)), known(day=DayFigures(realized=Decimal(-500))))
    refusal = check_entry(lost(FACTS))
    assert refusal is not None
    assert refusal.code is Code.DAILY_LOSS_LIMIT


def test_a_seller_looks_at_the_bid() -> None:
    limit = bot(max_price_deviation_percent=Decimal("0.5"))
    refusal = check_entry(both(limit, known(side=Side.SELL))(FACTS))
    assert refusal is not None
    assert refusal.code is Code.PRICE_MOVED
    assert "The price is 99" in refusal.sentence
    assert check_entry(limit(FACTS)) is None


@pytest.mark.parametrize(
    ("low", "high", "refused"),
    [("95", "101", False), ("100.3", "101", False), ("100.7", "102", True), ("95", "99", True)],
)
def test_the_nearest_end_of_an_entry_range_is_what_the_price_moved_from(
    low: str, high: str, refused: bool
) -> None:
    limit = bot(max_price_deviation_percent=Decimal("0.5"))
    assert FACTS.signal is not None
    meant = replace(FACTS.signal, price=Decimal(high), entry_range=(Decimal(low), Decimal(high)))
    ranged = replace(FACTS, signal=meant)
    refusal = check_entry(limit(ranged))
    assert (refusal is not None and refusal.code is Code.PRICE_MOVED) == refused


def test_a_size_that_cannot_be_told_is_refused_in_its_own_words() -> None:
    refused = Refusal(code=Code.STOP_REQUIRED, sentence="a stop is needed")
    assert check_entry(broker(size=refused)(FACTS)) == refused


def test_words_of_the_broker_about_an_unknown_symbol() -> None:
    refusal = not_tradeable("XYZ", CONNECTION, "asset not found for XYZ")
    assert refusal.code is Code.SYMBOL_NOT_TRADEABLE
    assert "asset not found for XYZ" in refusal.sentence


@pytest.mark.parametrize(
    ("start", "end", "zone", "now", "inside"),
    [
        ("09:30", "16:00", "America/New_York", "2025-01-02T14:30", True),
        ("09:30", "16:00", "America/New_York", "2025-01-02T14:29", False),
        ("09:30", "16:00", "America/New_York", "2025-01-02T21:00", False),
        # Summer time: the same hour in New York is an hour earlier in UTC.
        ("09:30", "16:00", "America/New_York", "2025-07-02T13:30", True),
        ("09:30", "16:00", "America/New_York", "2025-07-02T20:30", False),
        ("22:00", "02:00", "UTC", "2025-01-02T23:59", True),
        ("22:00", "02:00", "UTC", "2025-01-02T01:59", True),
        ("22:00", "02:00", "UTC", "2025-01-02T02:00", False),
        ("22:00", "02:00", "UTC", "2025-01-02T12:00", False),
        ("22:00", "02:00", "Asia/Tokyo", "2025-01-02T13:00", True),
        ("08:00", "08:00", "UTC", "2025-01-02T03:00", True),
    ],
)
def test_trading_windows(start: str, end: str, zone: str, now: str, inside: bool) -> None:
    window = bot(window_start=time.fromisoformat(start), window_end=time.fromisoformat(end), window_zone=zone)
    facts = replace(window(FACTS), now=datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (outside_trading_window(facts) is None) == inside


@given(st.times(), st.times(), st.datetimes(timezones=st.just(UTC)))
def test_a_window_and_its_opposite_share_no_moment(start: time, end: time, now: datetime) -> None:
    def inside(first: time, last: time) -> bool:
        window = bot(window_start=first, window_end=last, window_zone="UTC")
        return outside_trading_window(replace(window(FACTS), now=now)) is None

    if start == end:
        assert inside(start, end)
    else:
        assert inside(start, end) != inside(end, start)
