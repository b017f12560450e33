from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.instrument import AssetClass, Instrument
from core.order import Fill, Side
from core.position import Booking, Position
from core.signal import PositionSide

NOON = datetime(2025, 1, 2, 12, tzinfo=UTC)
BITCOIN = Instrument(
    symbol="BTC/USD",
    asset_class=AssetClass.CRYPTO,
    quantity_step=Decimal("0.0001"),
    minimum_quantity=Decimal("0.001"),
)


def fill(
    side: str, quantity: str, price: str, *, fee: str = "0", in_base: bool = False, minute: int = 0
) -> Fill:
    return Fill(
        side=Side(side),
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_in_base=in_base,
        at=NOON + timedelta(minutes=minute),
    )


def book(*fills: Fill, instrument: Instrument | None = None) -> list[Booking]:
    bookings: list[Booking] = []
    position = Position()
    for one in fills:
        bookings.append(position.apply(one, instrument))
        position = bookings[-1].position
    return bookings


@pytest.mark.parametrize(
    ("fills", "quantity", "average", "realized"),
    [
        ([("BUY", "10", "100")], "10", "100", "0"),
        ([("BUY", "10", "100"), ("SELL", "10", "110")], "0", "0", "100"),
        ([("BUY", "10", "100"), ("BUY", "10", "120"), ("SELL", "5", "130")], "15", "110", "100"),
        ([("SELL", "10", "100"), ("BUY", "4", "90")], "-6", "100", "40"),
        ([("SELL", "10", "100"), ("BUY", "10", "115")], "0", "0", "-150"),
        # One fill closes 10 and opens 5 the other way.
        ([("BUY", "10", "100"), ("SELL", "15", "90")], "-5", "90", "-100"),
        ([("SELL", "10", "100"), ("BUY", "12", "80")], "2", "80", "200"),
    ],
)
def test_average_cost(fills: list[tuple[str, str, str]], quantity: str, average: str, realized: str) -> None:
    position = book(*(fill(*one) for one in fills))[-1].position
    assert position.quantity == Decimal(quantity)
    assert position.average_price == Decimal(average)
    assert position.realized == Decimal(realized)


def test_a_quote_fee_is_booked_with_the_closing_fill() -> None:
    opening, half, rest = book(
        fill("BUY", "10", "100", fee="2"),
        fill("SELL", "5", "110", fee="1"),
        fill("SELL", "5", "110", fee="1"),
    )
    assert opening.realized == 0
    assert opening.fees == 2
    assert opening.position.average_price == Decimal("100.2")
    assert half.realized == Decimal("48")  # 50 less its own fee and half of the entry's
    assert rest.realized == Decimal("48")
    assert rest.position.realized == Decimal("96")


def test_a_shorts_entry_fee_lowers_what_it_brought() -> None:
    opening, closing = book(fill("SELL", "10", "100", fee="2"), fill("BUY", "10", "95", fee="1"))
    assert opening.position.average_price == Decimal("99.8")
    assert closing.realized == Decimal("47")


def test_a_base_fee_reduces_the_quantity_at_unchanged_cost() -> None:
    opening, closing = book(
        fill("BUY", "2", "50000", fee="0.005", in_base=True), fill("SELL", "1.995", "60000", fee="299.25")
    )
    assert opening.position.quantity == Decimal("1.995")
    assert opening.position.cost_basis.quantize(Decimal("0.01")) == Decimal("100000.00")
    assert opening.fees == Decimal("250")
    assert closing.realized.quantize(Decimal("0.01")) == Decimal("19400.75")
    assert closing.position.quantity == 0


def test_a_fee_that_eats_the_purchase_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves nothing"):
        Position().apply(fill("BUY", "1", "10", fee="1", in_base=True))


def test_a_flip_closes_and_opens_in_one_fill() -> None:
    _, flip = book(fill("BUY", "10", "100"), fill("SELL", "30", "110", fee="3", minute=5))
    assert (flip.closed, flip.opened, flip.closed_quantity) == (True, True, Decimal(10))
    assert flip.realized == Decimal("99")  # a third of the fee closes, two thirds open
    assert flip.position.average_price == Decimal("109.9")
    assert flip.position.opened_at == NOON + timedelta(minutes=5)


def test_partial_fills_open_once_and_close_once() -> None:
    bookings = book(
        fill("BUY", "1", "10", minute=1),
        fill("BUY", "1", "10", minute=2),
        fill("SELL", "1", "10", minute=3),
        fill("SELL", "1", "10", minute=4),
    )
    assert [one.opened for one in bookings] == [True, False, False, False]
    assert [one.closed for one in bookings] == [False, False, False, True]
    assert [one.position.opened_at for one in bookings] == [NOON + timedelta(minutes=1)] * 3 + [None]


def test_dust_counts_as_flat() -> None:
    bookings = book(
        fill("BUY", "0.0004", "50000"),
        fill("BUY", "0.0096", "50000", minute=1),
        fill("SELL", "0.0092", "50000", minute=2),
        fill("BUY", "0.01", "50000", minute=3),
        instrument=BITCOIN,
    )
    assert [one.opened for one in bookings] == [False, True, False, True]
    assert [one.closed for one in bookings] == [False, False, True, False]
    after_close = bookings[2].position
    assert after_close.side is PositionSide.LONG
    assert after_close.tradable_side(BITCOIN) is PositionSide.FLAT
    assert bookings[3].position.opened_at == NOON + timedelta(minutes=3)
    assert bookings[3].position.quantity == Decimal("0.0108")


def test_an_external_close_is_booked_at_its_price() -> None:
    held = book(fill("BUY", "10", "100", fee="1"))[-1].position
    booking = held.adjust_quantity(Decimal(-4), at=NOON, price=Decimal(90))
    assert booking.realized == Decimal("-40.4")
    assert booking.closed_quantity == 4
    assert booking.position.quantity == 6


def test_a_fee_correction_moves_quantity_and_no_money() -> None:
    held = book(fill("BUY", "1", "100", fee="0.01", in_base=True))[-1].position
    corrected = held.adjust_quantity(Decimal("0.002"), at=NOON).position
    assert corrected.quantity == Decimal("0.992")
    assert corrected.realized == 0
    assert round(corrected.cost_basis, 20) == Decimal(100)


def test_a_correction_that_leaves_nothing_books_the_cost_as_lost() -> None:
    dust = book(fill("BUY", "0.0001", "50000"))[-1].position
    booking = dust.adjust_quantity(Decimal("-0.0003"), at=NOON)
    assert booking.realized == Decimal(-5)
    assert booking.position.quantity == Decimal("-0.0002")
    assert booking.position.average_price == 0


def test_a_correction_to_nothing_books_the_cost_as_lost() -> None:
    short = book(fill("SELL", "2", "30"))[-1].position
    assert short.cost_basis == Decimal(60)
    booking = short.adjust_quantity(Decimal(2), at=NOON)
    assert booking.closed
    assert booking.position == Position(realized=Decimal(60))


def test_a_correction_of_nothing_changes_nothing() -> None:
    held = book(fill("BUY", "1", "100"))[-1].position
    assert held.adjust_quantity(Decimal(0), at=NOON).position == held


def test_what_comes_back_is_not_profit() -> None:
    """300.02 in and 293.65 out is a loss of 6.37, not a profit of 293.65."""
    closing = book(
        fill("BUY", "0.00107500", "93030.90"),
        fill("BUY", "0.00107500", "93030.90"),
        fill("BUY", "0.00107500", "93030.90"),
        fill("SELL", "0.00322500", "91054.26"),
    )[-1]
    assert closing.realized.quantize(Decimal("0.01")) == Decimal("-6.37")


# The independent calculation keeps no average: it counts the money that went in and out.


@dataclass
class Purse:
    money_in: Fraction = Fraction(0)
    money_out: Fraction = Fraction(0)
    held: Fraction = Fraction(0)

    def take(self, one: Fill) -> None:
        amount = Fraction(one.quantity) * Fraction(one.price)
        fee = Fraction(one.fee)
        if one.side is Side.BUY:
            self.money_in += amount
            self.held += Fraction(one.quantity)
        else:
            self.money_out += amount
            self.held -= Fraction(one.quantity)
        if one.fee_in_base:
            self.held -= fee
        else:
            self.money_in += fee

    def worth(self, price: Decimal) -> Fraction:
        return self.money_out - self.money_in + self.held * Fraction(price)


PRICES = st.decimals("0.00001", "150000", places=8)
QUANTITIES = st.decimals("0.0001", "2500", places=9)


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    quantity = draw(QUANTITIES)
    price = draw(PRICES)
    in_base = draw(st.booleans())
    share = draw(st.decimals("0", "0.02", places=4))
    fee = quantity * share if in_base else quantity * price * share
    return Fill(
        side=draw(st.sampled_from(Side)),
        quantity=quantity,
        price=price,
        at=NOON,
        fee=fee,
        fee_in_base=in_base,
    )


def worth(position: Position, price: Decimal) -> Fraction:
    return Fraction(position.realized) + Fraction(position.unrealized(price))


TENTH_OF_A_CENT = Fraction(1, 1000)


@given(st.lists(fills(), max_size=30), PRICES)
def test_nothing_is_lost_at_any_moment(some: list[Fill], price: Decimal) -> None:
    position, purse = Position(), Purse()
    for one in some:
        position = position.apply(one).position
        purse.take(one)
        assert Fraction(position.quantity) == purse.held
        assert abs(worth(position, price) - purse.worth(price)) < TENTH_OF_A_CENT


@given(st.lists(fills(), max_size=20), st.lists(st.decimals("-5", "5", places=6), max_size=20), PRICES)
def test_corrections_move_quantity_and_external_closes_move_money(
    some: list[Fill], changes: list[Decimal], price: Decimal
) -> None:
    position, purse = Position(), Purse()
    for one, change in zip(some, changes, strict=False):
        position = position.apply(one).position.adjust_quantity(change, at=NOON).position
        purse.take(one)
        purse.held += Fraction(change)
        position = position.adjust_quantity(-change / 2, at=NOON, price=price).position
        purse.held -= Fraction(change) / 2
        purse.money_out += Fraction(change) / 2 * Fraction(price)
        assert Fraction(position.quantity) == purse.held
        assert abs(worth(position, price) - purse.worth(price)) < TENTH_OF_A_CENT


@given(st.lists(fills(), max_size=30))
def test_every_booking_is_consistent(some: list[Fill]) -> None:
    position = Position()
    for one in some:
        booking = position.apply(one)
        after = booking.position
        assert booking.closed_quantity <= abs(position.quantity)
        assert booking.opened == (after.side is not position.side and after.quantity != 0)
        assert booking.closed == (after.side is not position.side and position.quantity != 0)
        assert (after.opened_at is None) == (after.quantity == 0)
        if booking.closed_quantity == 0:
            assert booking.realized == 0
        position = after


@given(st.lists(fills(), max_size=20), PRICES)
def test_a_short_mirrors_a_long(some: list[Fill], price: Decimal) -> None:
    """Without fees, the same fills on the other side earn exactly the opposite."""
    free = [replace(one, fee=Decimal(0), fee_in_base=False) for one in some]
    mirrored = [replace(one, side=one.side.opposite) for one in free]
    one_way, other_way = Position(), Position()
    for left, right in zip(free, mirrored, strict=True):
        one_way, other_way = one_way.apply(left).position, other_way.apply(right).position
    assert one_way.quantity == -other_way.quantity
    assert one_way.average_price == other_way.average_price
    assert one_way.realized == -other_way.realized
    assert one_way.unrealized(price) == -other_way.unrealized(price)


@given(st.lists(st.tuples(st.integers(0, 2), fills()), max_size=30), PRICES)
def test_the_bots_of_one_account_add_up_to_it(some: list[tuple[int, Fill]], price: Decimal) -> None:
    bots = [Position(), Position(), Position()]
    account, purse = Position(), Purse()
    for number, one in some:
        bots[number] = bots[number].apply(one).position
        account = account.apply(one).position
        purse.take(one)
    assert sum(bot.quantity for bot in bots) == account.quantity
    total = sum((worth(bot, price) for bot in bots), Fraction(0))
    assert abs(total - worth(account, price)) < TENTH_OF_A_CENT
    assert abs(total - purse.worth(price)) < TENTH_OF_A_CENT
