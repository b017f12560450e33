import itertools
from collections.abc import Sequence
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bot import Bot
from core.instrument import Instrument, Quote
from core.leverage import leverage_for, liquidation_before_stop, liquidation_price
from core.order import MarginMode, Side
from core.plan import Code, Refusal
from core.protection import (
    Protection,
    Target,
    break_even,
    fitting_targets,
    protection_for,
    quantity_at_target,
    terms_of,
    trailed,
)
from core.signal import Action, Level, LevelKind, PositionSide, Signal
from core.size import Size, SizeRequest
from database.work import LegRecord
from engine.expiry import traded_first
from tests.blofin_server.margin import liquidation_price as exchange_liquidation_price
from tests.blofin_server.market import Instrument as Contract
from tests.blofin_server.orders import Position
from tests.unit.examples import BITCOIN, BOT, CONNECTION, NOW

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
COIN = replace(
    BITCOIN,
    quantity_step=Decimal("0.001"),
    short_quantity_step=Decimal("0.001"),
    minimum_quantity=Decimal("0.001"),
)


def protect(*targets: str, side: Side = Side.BUY, **bot: Any) -> Protection:
    signal = Signal(
        action=Action.BUY if side is Side.BUY else Action.SELL,
        symbol="BTC-USDT",
        take_profits=tuple(Level(kind=LevelKind.PRICE, value=Decimal(price)) for price in targets),
    )
    found = protection_for(
        bot=replace(BOT, **bot), signal=signal, side=side, entry=Decimal(60000), instrument=COIN
    )
    assert isinstance(found, Protection)
    return found


def shares(targets: Sequence[Target]) -> list[tuple[int, Decimal]]:
    return [(each.number, each.share) for each in targets]


def targets(*shared: str) -> tuple[Target, ...]:
    return tuple(
        Target(number=number, price=Decimal(60000 + 1000 * number), share=Decimal(share))
        for number, share in enumerate(shared, start=1)
    )


# Several targets


def test_several_targets_share_equally_and_the_last_takes_the_rest() -> None:
    found = protect("61000", "62000", "63000")
    assert found.target_price == 61000
    assert [each.price for each in found.targets] == [61000, 62000, 63000]
    assert sum(each.share for each in found.targets) == 100
    assert found.targets[0].share == found.targets[1].share


def test_targets_come_in_the_order_in_which_the_price_reaches_them() -> None:
    assert [each.price for each in protect("63000", "61000").targets] == [61000, 63000]
    falling = protect("57000", "59000", side=Side.SELL)
    assert [each.price for each in falling.targets] == [59000, 57000]
    assert falling.target_price == 59000


def test_the_bots_shares_count_as_far_as_they_go() -> None:
    found = protect("61000", "62000", "63000", target_shares=(Decimal(50), Decimal(30)))
    assert shares(found.targets) == [(1, 50), (2, 30), (3, 20)]
    # More than everything cannot be shared out: equal shares instead
    wrong = protect("61000", "62000", target_shares=(Decimal(100), Decimal(50)))
    assert shares(wrong.targets) == [(1, 50), (2, 50)]


def test_one_target_is_no_list_and_the_same_price_twice_is_one() -> None:
    assert protect("61000", "61000") == Protection(target_price=Decimal(61000))


def test_a_share_too_small_to_be_traded_goes_to_its_neighbour() -> None:
    assert shares(fitting_targets(targets("20", "30", "50"), Decimal("0.004"), COIN, Side.BUY)) == [
        (2, 50),
        (3, 50),
    ]
    assert shares(fitting_targets(targets("80", "20"), Decimal("0.004"), COIN, Side.BUY)) == [(1, 100)]
    assert shares(fitting_targets(targets("50", "50"), Decimal("0.001"), COIN, Side.BUY)) == [(2, 100)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.decimals("0.001", "3", places=3))
def test_fitting_targets_still_add_up_to_everything(weights: list[int], quantity: Decimal) -> None:
    whole = sum(weights)
    given_shares = tuple(
        Target(number=number, price=Decimal(number), share=Decimal(100) * weight / whole)
        for number, weight in enumerate(weights, start=1)
    )
    kept = fitting_targets(given_shares, quantity, COIN, Side.BUY)
    assert abs(sum(each.share for each in kept) - 100) < Decimal("0.000001")
    if len(kept) > 1:
        for each in kept:
            assert COIN.round_quantity(quantity * each.share / 100) >= COIN.minimum_quantity


def test_targets_passed_over_are_left_together() -> None:
    left = targets("50", "30", "20")
    assert quantity_at_target(left, 1, opened=Decimal(2), held=Decimal(2)) == 1
    assert quantity_at_target(left, 2, opened=Decimal(2), held=Decimal(2)) == Decimal("1.6")
    assert quantity_at_target(left, 3, opened=Decimal(2), held=Decimal(2)) is None
    # The first one is left already: 30 of the first 100, whatever is held now
    assert quantity_at_target(left[1:], 2, opened=Decimal(2), held=Decimal(1)) == Decimal("0.6")
    assert quantity_at_target(left[1:], 1, opened=Decimal(2), held=Decimal(1)) == 0
    assert quantity_at_target(left[1:], 2, opened=Decimal(2), held=Decimal("0.1")) == Decimal("0.1")


def test_the_stop_goes_to_the_entry_after_the_target_and_never_back() -> None:
    held = Protection(stop_price=Decimal(58000), break_even_after=2)
    assert break_even(held, 1, Decimal(60000), LONG) == 58000
    assert break_even(held, 2, Decimal(60000), LONG) == 60000
    assert break_even(replace(held, stop_price=Decimal(60500)), 2, Decimal(60000), LONG) == 60500
    assert (
        break_even(Protection(stop_price=Decimal(62000), break_even_after=1), 1, Decimal(60000), SHORT)
        == 60000
    )
    assert break_even(Protection(break_even_after=1), 1, Decimal(60000), LONG) == 60000
    assert break_even(Protection(), 1, Decimal(60000), LONG) is None


# Trailing


def follow(protection: Protection, *prices: str, side: PositionSide = LONG) -> list[Decimal | None]:
    best, stops = None, []
    for price in prices:
        best, stop = trailed(protection, best, Decimal(price), side, COIN)
        protection = replace(protection, stop_price=stop)
        stops.append(stop)
    return stops


def test_a_trailing_stop_follows_and_never_goes_back() -> None:
    wish = Protection(stop_price=Decimal(58000), trail_distance=Decimal(1000))
    assert follow(wish, "60000", "61000", "60500", "62000") == [59000, 60000, 60000, 61000]
    short = Protection(stop_price=Decimal(62000), trail_distance=Decimal(1000))
    assert follow(short, "60000", "59000", "59500", side=SHORT) == [61000, 60000, 60000]


def test_a_trailing_stop_waits_until_the_price_has_been_at_its_start() -> None:
    wish = Protection(stop_price=Decimal(58000), trail_distance=Decimal(500), trail_from=Decimal(61000))
    assert follow(wish, "60000", "60900", "61000", "60800", "61500") == [58000, 58000, 60500, 60500, 61000]


def test_a_trailing_distance_alone_makes_the_stop() -> None:
    assert follow(Protection(trail_distance=Decimal(1000)), "60000") == [59000]


@given(st.lists(st.integers(50000, 70000), min_size=1), st.sampled_from([LONG, SHORT]))
def test_a_trailed_stop_only_comes_nearer(prices: list[int], side: PositionSide) -> None:
    wish = Protection(stop_price=Decimal(60000 - side.sign * 20000), trail_distance=Decimal(777))
    stops = follow(wish, *map(str, prices), side=side)
    for before, after in itertools.pairwise(stops):
        assert before is not None
        assert after is not None
        assert (after - before) * side.sign >= 0


def test_the_bots_trailing_stop_is_a_share_of_the_entry() -> None:
    found = protect(trailing_stop_percent=Decimal(2), trailing_activation_percent=Decimal(1))
    assert (found.trail_distance, found.trail_from) == (1200, 60600)
    short = protect(side=Side.SELL, trailing_stop_percent=Decimal(2), trailing_activation_percent=Decimal(1))
    assert (short.trail_distance, short.trail_from) == (1200, 59400)


def test_terms_hold_what_is_more_than_a_stop_and_a_target() -> None:
    assert terms_of(protect("61000")) is None
    found = protect("61000", "62000", time_limit_minutes=90, break_even_after=1)
    assert terms_of(found) == {
        "break_even_after": 1,
        "time_limit_minutes": 90,
        "targets": [
            {"number": 1, "price": "61000", "share": "50"},
            {"number": 2, "price": "62000", "share": "50"},
        ],
    }


# Leverage and liquidation


def asking(leverage: str | None) -> Signal:
    return Signal(
        action=Action.BUY, symbol="BTC-USDT", leverage=None if leverage is None else Decimal(leverage)
    )


def lending(most: int | None = None) -> Instrument:
    return replace(COIN, maximum_leverage=most)


@pytest.mark.parametrize(
    ("bot", "asked", "most", "expected"),
    [
        ({"leverage": 5}, None, None, 5),
        ({}, None, None, 1),
        ({"leverage": 5, "max_leverage": 20}, "20", None, 20),
        ({"leverage": 5, "max_leverage": 20}, "3", None, 3),
        ({"leverage": 5, "max_leverage": 20}, "7.9", None, 7),
        (
            {"leverage": 5, "max_leverage": 20},
            "21",
            None,
            "The signal asks for 21x; this bot takes up to 20x.",
        ),
        ({"leverage": 5}, "6", None, "The signal asks for 6x; this bot takes up to 5x."),
        ({}, "2", None, "The signal asks for 2x; this bot takes up to 1x."),
        ({"leverage": 50}, None, 20, "BTC/USD is traded with up to 20x, not 50x."),
    ],
)
def test_leverage(bot: dict[str, Any], asked: str | None, most: int | None, expected: int | str) -> None:
    wish: Bot = replace(BOT, **bot)
    found = leverage_for(wish, asking(asked), lending(most))
    if isinstance(expected, int):
        assert found == expected
        return
    assert found == Refusal(code=Code.LEVERAGE_TOO_HIGH, sentence=expected)


def sized(side: Side = Side.BUY, stop: str | None = None, power: str = "10000", quantity: str = "1") -> Size:
    request = SizeRequest(
        bot=BOT,
        connection=CONNECTION,
        instrument=COIN,
        side=side,
        price=Decimal(60000),
        equity=Decimal(power),
        buying_power=Decimal(power),
        stop_price=None if stop is None else Decimal(stop),
    )
    amount = Decimal(quantity)
    return Size(request=request, asked=amount, wanted=amount, allowed=amount, quantity=amount)


@pytest.mark.parametrize(
    ("side", "mode", "leverage", "power", "expected"),
    [
        # A tenth of 60,000 stands for it: 54,000 is left, more 0.5 % maintenance and 0.1 % fee of the price
        (Side.BUY, MarginMode.ISOLATED, 10, "10000", "54325.96"),
        (Side.SELL, MarginMode.ISOLATED, 10, "10000", "65606.36"),
        (Side.BUY, MarginMode.ISOLATED, 100, "10000", "59758.55"),
        # Below the maintenance margin from the start
        (Side.BUY, MarginMode.ISOLATED, 200, "10000", "60000"),
        (Side.SELL, MarginMode.ISOLATED, 200, "10000", "60000"),
        # All free margin stands for it: 12,000 of 60,000
        (Side.BUY, MarginMode.CROSS, 10, "12000", "48289.74"),
        (Side.SELL, MarginMode.CROSS, 10, "12000", "71570.58"),
        (Side.BUY, MarginMode.CROSS, 10, "70000", None),
    ],
)
def test_where_a_position_would_be_liquidated(
    side: Side, mode: MarginMode, leverage: int, power: str, expected: str | None
) -> None:
    found = liquidation_price(sized(side, power=power), mode, leverage)
    assert (None if found is None else round(found, 2)) == (None if expected is None else Decimal(expected))


@given(
    leverage=st.integers(2, 125),
    side=st.sampled_from([Side.BUY, Side.SELL]),
    quantity=st.integers(1, 500),
    fee=st.sampled_from(["0", "0.0006", "0.001"]),
)
def test_the_exchange_never_liquidates_before_we_expect_it(
    leverage: int, side: Side, quantity: int, fee: str
) -> None:
    held = sized(side, quantity=str(Decimal(quantity) / 1000))
    found = liquidation_price(held, MarginMode.ISOLATED, leverage)
    exchange = exchange_liquidation_price(
        Position(
            id="1",
            inst_id="BTC-USDT",
            margin_mode="isolated",
            side="net",
            leverage=leverage,
            created=0,
            updated=0,
            size=Decimal(quantity * side.sign),
            average=Decimal(60000),
        ),
        Contract(
            inst_id="BTC-USDT",
            contract_value=Decimal("0.001"),
            lot=Decimal(1),
            minimum=Decimal(1),
            tick=Decimal(1),
            maintenance_rate=COIN.maintenance_rate,
        ),
        Decimal(fee),
        held.quantity * 60000 / leverage,
    )
    assert found is not None
    assert exchange is not None
    assert (found - exchange) * side.sign >= -Decimal("1e-18")


@pytest.mark.parametrize(
    ("side", "stop", "refused"),
    [
        (Side.BUY, "54326", False),
        (Side.BUY, "54325", True),
        (Side.BUY, "50000", True),
        (Side.SELL, "65606", False),
        (Side.SELL, "65607", True),
        (Side.BUY, None, False),
    ],
)
def test_a_stop_behind_the_liquidation_is_refused(side: Side, stop: str | None, refused: bool) -> None:
    refusal = liquidation_before_stop(sized(side, stop), MarginMode.ISOLATED, 10)
    assert (refusal is not None) == refused
    if refusal is not None:
        assert refusal.code is Code.LIQUIDATION_BEFORE_STOP
        assert "10x isolated margin" in refusal.sentence


# Entries that are over before they fill


def entry(side: Side) -> LegRecord:
    return LegRecord(
        **{each.name: None for each in fields(LegRecord)}
        | {
            "side": side,
            "stop_price": Decimal(58000 if side is Side.BUY else 62000),
            "target_price": Decimal(65000 if side is Side.BUY else 55000),
        }
    )


@pytest.mark.parametrize(
    ("side", "bid", "ask", "words"),
    [
        (Side.BUY, "61000", "61001", None),
        (Side.BUY, "65000", "65001", "its target at 65,000 traded"),
        (Side.BUY, "58000", "58001", "its stop at 58,000 traded"),
        (Side.BUY, "0", "58001", None),
        (Side.SELL, "59000", "59001", None),
        (Side.SELL, "54999", "55000", "its target at 55,000 traded"),
        (Side.SELL, "61999", "62000", "its stop at 62,000 traded"),
    ],
)
def test_which_of_stop_and_target_trades_before_the_entry(
    side: Side, bid: str, ask: str, words: str | None
) -> None:
    quote = Quote(symbol="BTC-USDT", bid=Decimal(bid), ask=Decimal(ask), at=NOW)
    assert traded_first(entry(side), quote) == words
