"""What every broker of leveraged perpetuals must do, beside what every broker must."""

import uuid
from decimal import Decimal
from typing import Any, ClassVar, cast

import pytest

from brokers.base import ProtectingBroker, ProtectionIntent, ProtectionState
from core.errors import Conflict, DuplicateOrder, Rejected
from core.instrument import AssetClass
from core.order import MarginMode, OrderState, Side
from tests.contract.broker_contract import EveryBroker
from tests.contract.trader import D, Terms, Trader, new_id

PERPETUALS = Terms(
    symbol="BTC-USDT",
    spellings=("BTC-USDT", "btcusdt", "BTC/USDT", "BTCUSDT.P", "BTC/USDT:USDT", "BLOFIN:BTCUSDT.P"),
    bid=D("59990"),
    ask=D("60010"),
    other=("ETH-USDT", D("2999.5"), D("3000.5")),
    size=D("0.01"),
    below=D("57000"),
    off_tick=D("57000.05"),
    too_much=D(1_000),
    currency="USDT",
    taken_code="102002",
    leverage=3,
    step=D("0.0001"),
    fee_rate=D("0.0006"),
    unknown=("NOSUCHTHING", "EUR/XYZ", "BTC-USD"),
)


class LendingContract(EveryBroker):
    """Hold a broker of leveraged perpetuals to the protocol; a fresh account is set to leverage 3."""

    terms: ClassVar[Terms] = PERPETUALS

    def test_the_market_never_closes(self, trader: Trader) -> None:
        assert trader.broker.clock(AssetClass.CRYPTO).is_open

    def test_an_instrument_counts_in_coins(self, trader: Trader) -> None:
        found = trader.broker.instrument(trader.terms.symbol)
        assert (found.quantity_step, found.minimum_quantity) == (trader.terms.step, trader.terms.step)
        assert (found.tick(D(60_000)), found.maximum_leverage) == (D("0.1"), 125)
        assert (found.base_asset, found.quote_asset, found.shortable) == ("BTC", "USDT", True)

    def test_an_entry_sets_its_leverage(self, trader: Trader) -> None:
        mode = trader.broker.capabilities.margin_modes[0]
        trader.trade(Side.BUY, trader.terms.symbol, "0.01", leverage=20, margin_mode=mode)
        assert held_at(trader) == {"leverage": "20", "marginMode": mode.value}
        held = trader.broker.position(trader.terms.symbol)
        assert held.margin_mode in {mode, None}
        assert held.margin is not None
        assert abs(held.margin - D("0.01") * trader.terms.ask / 20) < D("0.02")
        if mode is MarginMode.ISOLATED:
            assert held.liquidation_price is not None
            assert D(56_000) < held.liquidation_price < D(58_000)

    def test_more_of_the_same_leverage_is_fine(self, trader: Trader) -> None:
        for _ in range(2):
            trader.trade(Side.BUY, trader.terms.symbol, "0.01", leverage=20, margin_mode=MarginMode.CROSS)
        assert trader.broker.position(trader.terms.symbol).quantity == D("0.02")

    def test_another_leverage_beside_a_position_is_refused_and_nothing_is_sent(self, trader: Trader) -> None:
        trader.trade(Side.BUY, trader.terms.symbol, "0.01", leverage=20, margin_mode=MarginMode.CROSS)
        refused = new_id()
        with pytest.raises(Rejected, match=r"held .* leverage 20, this entry asks for 5"):
            trader.buy(leverage=5, margin_mode=MarginMode.CROSS, client_order_id=refused)
        assert trader.broker.find_order(refused, trader.terms.symbol) is None
        assert held_at(trader)["leverage"] == "20"

    def test_another_leverage_beside_an_open_order_is_refused(self, trader: Trader) -> None:
        trader.settled(trader.buy(limit=D(50_000), leverage=20, margin_mode=MarginMode.CROSS))
        with pytest.raises(Rejected, match=r"open orders .* leverage 20, this entry asks for 5"):
            trader.buy(leverage=5, margin_mode=MarginMode.CROSS)

    def test_the_leverage_may_change_once_flat(self, trader: Trader) -> None:
        trader.trade(Side.BUY, trader.terms.symbol, "0.01", leverage=20, margin_mode=MarginMode.CROSS)
        trader.trade(Side.SELL, trader.terms.symbol, "0.01", closes=True)
        trader.trade(Side.SELL, trader.terms.symbol, "0.01", leverage=5, margin_mode=MarginMode.CROSS)
        assert held_at(trader)["leverage"] == "5"

    def test_too_much_leverage_is_refused(self, trader: Trader) -> None:
        with pytest.raises(Rejected):
            trader.buy(leverage=126)
        assert trader.broker.positions() == ()

    def test_an_exit_finds_the_margin_mode_of_what_is_held(self, trader: Trader) -> None:
        mode = trader.broker.capabilities.margin_modes[0]
        trader.trade(Side.BUY, trader.terms.symbol, "0.01", leverage=3, margin_mode=mode)
        trader.trade(Side.SELL, trader.terms.symbol, "0.01", reduce_only=True)
        assert trader.broker.positions() == ()

    def test_an_exit_larger_than_the_position_never_turns_it(self, trader: Trader) -> None:
        trader.trade(Side.BUY, trader.terms.symbol, "0.01")
        trader.submit(Side.SELL, trader.terms.symbol, "0.03", reduce_only=True)
        trader.harness.settle()
        assert trader.broker.positions() == ()

    def test_an_exit_without_a_position_says_to_read_the_account_again(self, trader: Trader) -> None:
        with pytest.raises(Conflict):
            trader.submit(Side.SELL, trader.terms.symbol, "0.01", reduce_only=True)

    def test_a_quantity_between_steps_is_refused(self, trader: Trader) -> None:
        for quantity in ("0.00015", "0.00001"):
            with pytest.raises(Rejected):
                trader.submit(Side.BUY, trader.terms.symbol, quantity)
        assert trader.broker.positions() == ()

    def test_a_stop_order_is_refused_beforehand(self, trader: Trader) -> None:
        with pytest.raises(Rejected, match="no stop orders"):
            trader.submit(Side.SELL, trader.terms.symbol, "0.01", stop=D(50_000))

    def test_fees_are_paid_in_the_currency(self, trader: Trader) -> None:
        order = trader.trade(Side.BUY, trader.terms.symbol, "0.01")
        assert order.fee == D("0.01") * trader.terms.ask * trader.terms.fee_rate
        assert order.fee_asset == ("USDT" if order.fee else None)


def held_at(trader: Trader) -> dict[str, str]:
    """Return leverage and margin mode of the one position, as the exchange itself has them."""
    (position,) = cast(Any, trader.harness).exchange_positions()
    return {name: position[name] for name in ("leverage", "marginMode")}


class ProtectingContract(LendingContract):
    """Hold a broker that keeps stops and targets to `ProtectingBroker`."""

    def test_a_position_tells_its_leverage(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.01", leverage=20, margin_mode=MarginMode.ISOLATED)
        held = trader.broker.position("BTC-USDT")
        assert (held.leverage, held.margin_mode) == (D(20), MarginMode.ISOLATED)

    def test_a_stop_and_a_target_come_with_the_entry(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.01", stop_loss=D("58000.5"), take_profit=D(65_000))
        (resting,) = protecting(trader).protections("btcusdt")
        assert (resting.symbol, resting.side) == ("BTC-USDT", Side.SELL)
        assert (resting.stop_price, resting.target_price) == (D("58000.5"), D(65_000))
        assert resting.quantity in (None, D("0.01"))

    def test_an_attached_stop_closes_the_position(self, trader: Trader) -> None:
        trader.trade(Side.SELL, "BTC-USDT", "0.01", stop_loss=D(61_000))
        (resting,) = protecting(trader).protections("BTC-USDT")
        trader.harness.set_price("BTC-USDT", D(61_500), D(61_520))
        trader.harness.settle()
        assert trader.broker.positions() == ()
        outcome = protecting(trader).protection_outcome("BTC-USDT", resting.id)
        assert (outcome.state, outcome.is_stop) == (ProtectionState.TRIGGERED, True)

    def test_a_misplaced_stop_refuses_the_entry(self, trader: Trader) -> None:
        with pytest.raises(Rejected):
            trader.buy(stop_loss=D(61_000))
        assert trader.broker.positions() == ()

    def test_what_rests_is_told_as_it_was_asked_for(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.03")
        intent = protection(quantity="0.01", stop="58000", target="66000.1")
        placed = protecting(trader).protect(intent)
        (resting,) = protecting(trader).protections("BTC-USDT")
        assert (resting.id, resting.client_id, resting.quantity) == (placed, intent.client_id, D("0.01"))
        assert (resting.stop_price, resting.target_price) == (D(58_000), D("66000.1"))
        assert protecting(trader).protections("ETH-USDT") == ()
        outcome = protecting(trader).protection_outcome("BTC-USDT", placed)
        assert (outcome.state, outcome.order, outcome.is_stop) == (ProtectionState.RESTING, None, None)

    @pytest.mark.parametrize(("price", "is_stop"), [("57900", True), ("66000", False)])
    def test_one_that_triggers_tells_its_order(self, trader: Trader, price: str, is_stop: bool) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.03")
        placed = protecting(trader).protect(protection(quantity="0.01", stop="58000", target="66000"))
        trader.harness.set_price("BTC-USDT", D(price), D(price) + 1)
        trader.harness.settle()
        outcome = protecting(trader).protection_outcome("BTC-USDT", placed)
        assert (outcome.state, outcome.is_stop) == (ProtectionState.TRIGGERED, is_stop)
        assert outcome.order is not None
        assert (outcome.order.side, outcome.order.state) == (Side.SELL, OrderState.FILLED)
        assert (outcome.order.filled_quantity, outcome.order.average_price) == (D("0.01"), D(price))
        assert outcome.order.fee > 0
        assert trader.broker.position("BTC-USDT").quantity == D("0.02")
        assert protecting(trader).protections("BTC-USDT") == ()

    def test_what_has_triggered_is_told_with_its_prices(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.03")
        assert protecting(trader).triggered_protections("BTC-USDT") == ()
        cancelled = protecting(trader).protect(protection(quantity="0.01", stop="57000"))
        triggered = protecting(trader).protect(protection(quantity="0.01", stop="58000", target="66000"))
        protecting(trader).cancel_protection("BTC-USDT", cancelled)
        trader.harness.set_price("BTC-USDT", D(57_900), D(57_901))
        trader.harness.settle()
        [found] = protecting(trader).triggered_protections("BTC-USDT")
        assert (found.id, found.stop_price, found.target_price) == (triggered, D(58_000), D(66_000))
        assert (found.side, found.quantity) == (Side.SELL, D("0.01"))
        assert protecting(trader).triggered_protections("ETH-USDT") == ()

    def test_several_targets_each_tell_their_own_order(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.03")
        near = protecting(trader).protect(protection(quantity="0.01", target="61000"))
        far = protecting(trader).protect(protection(quantity="0.02", target="62000"))
        trader.harness.set_price("BTC-USDT", D(61_000), D(61_001))
        trader.harness.set_price("BTC-USDT", D(62_000), D(62_001))
        trader.harness.settle()
        for placed, quantity, price in ((near, "0.01", 61_000), (far, "0.02", 62_000)):
            order = protecting(trader).protection_outcome("BTC-USDT", placed).order
            assert order is not None
            assert (order.filled_quantity, order.average_price) == (D(quantity), D(price))

    def test_one_that_is_cancelled_is_gone(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.01")
        placed = protecting(trader).protect(protection(stop="58000"))
        for _ in range(2):
            protecting(trader).cancel_protection("BTC-USDT", placed)
        assert protecting(trader).protections("BTC-USDT") == ()
        assert protecting(trader).protection_outcome("BTC-USDT", placed).state is ProtectionState.GONE

    def test_cancelling_one_that_triggered_is_no_error(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.01")
        placed = protecting(trader).protect(protection(stop="58000"))
        trader.harness.set_price("BTC-USDT", D(57_000), D(57_001))
        protecting(trader).cancel_protection("BTC-USDT", placed)
        assert protecting(trader).protection_outcome("BTC-USDT", placed).state is ProtectionState.TRIGGERED

    def test_an_id_can_be_used_once_for_protection(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.02")
        intent = protection(stop="58000")
        protecting(trader).protect(intent)
        with pytest.raises(DuplicateOrder):
            protecting(trader).protect(intent)
        assert len(protecting(trader).protections("BTC-USDT")) == 1

    def test_nothing_to_protect_says_to_read_the_account_again(self, trader: Trader) -> None:
        with pytest.raises(Conflict):
            protecting(trader).protect(protection(stop="58000"))

    def test_a_stop_that_the_price_has_passed_is_refused(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.01")
        with pytest.raises(Rejected):
            protecting(trader).protect(protection(stop="61000"))

    def test_it_never_opens_anything(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.01")
        protecting(trader).protect(protection(quantity="0.01", stop="58000"))
        trader.trade(Side.SELL, "BTC-USDT", "0.01", closes=True)
        trader.harness.set_price("BTC-USDT", D(57_000), D(57_001))
        trader.harness.settle()
        assert trader.broker.positions() == ()


def protecting(trader: Trader) -> ProtectingBroker:
    """Return the broker as what its capabilities say that it is."""
    assert trader.broker.capabilities.holds_protection
    return cast(ProtectingBroker, trader.broker)


def protection(
    *, quantity: str = "0.01", stop: str | None = None, target: str | None = None, side: Side = Side.SELL
) -> ProtectionIntent:
    """Return a protection of a long position in BTC."""
    return ProtectionIntent(
        client_id=uuid.uuid4().hex,
        symbol="BTC-USDT",
        side=side,
        quantity=Decimal(quantity),
        stop_price=None if stop is None else D(stop),
        target_price=None if target is None else D(target),
    )
