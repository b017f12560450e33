"""What every broker must do, whichever it is: one suite, written against the protocol alone.

A test module subclasses `BrokerContract` for a broker of stocks and coins, `LendingContract`
(`lending_contract.py`) for one of leveraged perpetuals, and gives a fixture `harness` for a fresh account that
holds 100,000 of its currency and nothing else. What both must do stands in `EveryBroker`.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

import pytest

from core.errors import Conflict, Rejected
from core.instrument import AssetClass
from core.order import Order, OrderState, OrderType, Side
from tests.contract.trader import (
    AAPL_ASK,
    AAPL_BID,
    BTC_ASK,
    BTC_BID,
    START,
    STOCKS,
    D,
    Terms,
    Trader,
    new_id,
)


class EveryBroker:
    """Hold any broker to the protocol; every test starts from a fresh account."""

    terms: ClassVar[Terms] = STOCKS

    # Reading

    def test_a_fresh_account_holds_its_cash_and_nothing_else(self, trader: Trader) -> None:
        account = trader.broker.account()
        assert (account.cash, account.equity, account.currency) == (START, START, trader.terms.currency)
        assert account.buying_power >= START
        assert account.shorting_enabled
        assert account.problem is None
        assert account.at.utcoffset() == timedelta(0)
        assert trader.broker.positions() == ()
        assert trader.broker.open_orders() == ()

    def test_instrument_takes_any_spelling_of_the_thing(self, trader: Trader) -> None:
        for spelling in trader.terms.spellings:
            assert trader.broker.instrument(spelling).symbol == trader.terms.symbol

    def test_an_unknown_symbol_is_rejected(self, trader: Trader) -> None:
        for symbol in trader.terms.unknown:
            with pytest.raises(Rejected):
                trader.broker.instrument(symbol)
            with pytest.raises(Rejected):
                trader.submit(Side.BUY, symbol, 1)

    def test_quote_is_the_market_exactly(self, trader: Trader) -> None:
        symbol, bid, ask = trader.terms.other
        quote = trader.broker.quote(symbol.lower().replace("/", ""))
        assert (quote.symbol, quote.bid, quote.ask) == (symbol, bid, ask)
        assert isinstance(quote.bid, Decimal)
        assert quote.at.utcoffset() == timedelta(0)

    def test_a_symbol_not_held_is_flat(self, trader: Trader) -> None:
        position = trader.broker.position(trader.terms.symbol.lower())
        assert (position.symbol, position.quantity, position.unrealized) == (
            trader.terms.symbol,
            D(0),
            D(0),
        )

    # Market orders

    def test_a_market_buy_pays_the_ask_and_is_held(self, trader: Trader) -> None:
        terms = trader.terms
        order = trader.trade(Side.BUY, terms.symbol, terms.size)
        assert (order.symbol, order.side, order.quantity) == (terms.symbol, Side.BUY, terms.size)
        assert (order.filled_quantity, order.average_price) == (terms.size, terms.ask)
        position = trader.broker.position(terms.symbol)
        assert (position.quantity, position.average_price) == (terms.size, terms.ask)
        assert trader.broker.positions() == (position,)
        assert position.unrealized == terms.size * (position.current_price - terms.ask)
        assert trader.broker.account().equity == START + position.unrealized - order.fee

    def test_the_first_answer_carries_both_ids(self, trader: Trader) -> None:
        client_order_id = new_id()
        order = trader.buy(client_order_id=client_order_id)
        assert order.client_order_id == client_order_id
        assert order.broker_order_id
        assert trader.settled(order).broker_order_id == order.broker_order_id

    def test_a_sell_closes_at_the_bid(self, trader: Trader) -> None:
        terms = trader.terms
        bought = trader.trade(Side.BUY, terms.symbol, terms.size)
        order = trader.trade(Side.SELL, terms.symbol, terms.size, closes=True)
        assert order.average_price == terms.bid
        assert trader.broker.position(terms.symbol).quantity == 0
        assert trader.broker.positions() == ()
        lost = terms.size * terms.spread + bought.fee + order.fee
        assert trader.broker.account().cash == START - lost

    def test_entries_average(self, trader: Trader) -> None:
        terms = trader.terms
        trader.trade(Side.BUY, terms.symbol, terms.size)
        trader.harness.set_price(terms.symbol, terms.bid + 10, terms.ask + 10)
        trader.trade(Side.BUY, terms.symbol, terms.size)
        position = trader.broker.position(terms.symbol)
        assert (position.quantity, position.average_price) == (2 * terms.size, terms.ask + 5)

    def test_short_and_cover(self, trader: Trader) -> None:
        terms = trader.terms
        sold = trader.trade(Side.SELL, terms.symbol, terms.size)
        position = trader.broker.position(terms.symbol)
        assert (position.quantity, position.average_price) == (-terms.size, terms.bid)
        covered = trader.trade(Side.BUY, terms.symbol, terms.size, closes=True)
        assert trader.broker.positions() == ()
        lost = terms.size * terms.spread + sold.fee + covered.fee
        assert trader.broker.account().equity == START - lost

    # Limit orders

    def test_a_limit_rests_and_cancels(self, trader: Trader) -> None:
        order = trader.settled(trader.buy(limit=trader.terms.below))
        assert (order.state, order.order_type) == (OrderState.SUBMITTED, OrderType.LIMIT)
        assert [o.broker_order_id for o in trader.broker.open_orders()] == [order.broker_order_id]
        trader.broker.cancel(order.broker_order_id)
        canceled = trader.settled(order)
        assert (canceled.state, canceled.filled_quantity) == (OrderState.CANCELED, D(0))
        assert trader.broker.open_orders() == ()
        assert trader.broker.positions() == ()

    def test_a_limit_fills_when_the_market_comes_to_it(self, trader: Trader) -> None:
        below = trader.terms.below
        order = trader.settled(trader.buy(limit=below))
        trader.harness.set_price(trader.terms.symbol, below - D("0.1"), below)
        filled = trader.settled(order)
        assert (filled.state, filled.average_price) == (OrderState.FILLED, below)

    def test_a_marketable_limit_fills_at_once_and_no_worse(self, trader: Trader) -> None:
        order = trader.settled(trader.buy(limit=trader.terms.ask + 10))
        assert (order.state, order.average_price) == (OrderState.FILLED, trader.terms.ask)

    # Looking up and cancelling

    def test_an_id_never_sent_is_not_found(self, trader: Trader) -> None:
        assert trader.broker.find_order(new_id(), trader.terms.symbol) is None

    def test_a_refused_order_is_not_found(self, trader: Trader) -> None:
        refused = new_id()
        with pytest.raises(Rejected):
            trader.submit(Side.BUY, trader.terms.symbol, trader.terms.too_much, client_order_id=refused)
        assert trader.broker.find_order(refused, trader.terms.symbol) is None

    def test_an_id_can_be_used_once(self, trader: Trader) -> None:
        terms = trader.terms
        first = trader.trade(Side.BUY, terms.symbol, terms.size)
        with pytest.raises(Rejected) as refusal:
            trader.buy(client_order_id=first.client_order_id)
        assert refusal.value.code == terms.taken_code
        assert trader.broker.position(terms.symbol).quantity == terms.size
        assert trader.broker.find_order(first.client_order_id) == first

    def test_an_id_stays_used_after_a_cancel(self, trader: Trader) -> None:
        order = trader.buy(limit=trader.terms.below)
        trader.broker.cancel(order.broker_order_id)
        assert trader.settled(order).state is OrderState.CANCELED
        with pytest.raises(Rejected) as refusal:
            trader.buy(client_order_id=order.client_order_id)
        assert refusal.value.code == trader.terms.taken_code

    def test_cancelling_a_final_order_is_no_error(self, trader: Trader) -> None:
        terms = trader.terms
        filled = trader.trade(Side.BUY, terms.symbol, terms.size)
        trader.broker.cancel(filled.broker_order_id)
        assert trader.settled(filled).state is OrderState.FILLED
        canceled = trader.buy(limit=terms.below)
        trader.broker.cancel(canceled.broker_order_id)
        trader.harness.settle()
        trader.broker.cancel(canceled.broker_order_id)
        assert trader.settled(canceled).state is OrderState.CANCELED

    # Refusals

    def test_more_than_can_be_paid_is_rejected(self, trader: Trader) -> None:
        with pytest.raises(Rejected):
            trader.submit(Side.BUY, trader.terms.symbol, trader.terms.too_much)
        assert trader.broker.positions() == ()

    def test_open_orders_reserve_buying_power(self, trader: Trader) -> None:
        terms = trader.terms
        before = trader.broker.account().buying_power
        quantity = (before * D("0.6") * terms.leverage / terms.below).quantize(terms.size)
        order = trader.submit(Side.BUY, terms.symbol, quantity, limit=terms.below)
        trader.harness.settle()
        assert trader.broker.account().buying_power < before - D("0.5") * before
        with pytest.raises(Rejected):
            trader.submit(Side.BUY, terms.symbol, quantity, limit=terms.below)
        trader.broker.cancel(order.broker_order_id)
        trader.harness.settle()
        assert trader.broker.account().buying_power == before

    def test_a_close_of_nothing_never_opens_anything(self, trader: Trader) -> None:
        with pytest.raises((Rejected, Conflict)):
            trader.submit(Side.SELL, trader.terms.symbol, trader.terms.size, closes=True)
        trader.harness.settle()
        assert trader.broker.positions() == ()
        assert trader.settled(trader.buy()).state is OrderState.FILLED

    def test_a_price_between_ticks_is_rejected(self, trader: Trader) -> None:
        with pytest.raises(Rejected):
            trader.buy(limit=trader.terms.off_tick)
        assert trader.broker.open_orders() == ()

    # Threads

    def test_threads_trade_one_account_without_losing_anything(self, trader: Trader) -> None:
        symbols = itertools.cycle([trader.terms.symbol, trader.terms.other[0]])
        sizes = [(next(symbols), D(n + 1) / 100) for n in range(24)]
        with ThreadPoolExecutor(max_workers=4) as pool:
            sent = list(pool.map(lambda s: trader.submit(Side.BUY, *s), sizes))
        orders = [trader.settled(order) for order in sent]
        assert all(order.state is OrderState.FILLED for order in orders)
        spent = sum((o.filled_quantity * (o.average_price or D(0)) for o in orders), D(0))
        held = trader.broker.positions()
        worth = sum((each.quantity * each.current_price for each in held), D(0))
        fees = sum((o.fee for o in orders if o.fee_asset == trader.terms.currency), D(0))
        assert trader.broker.account().equity == START - spent + worth - fees
        for symbol in (trader.terms.symbol, trader.terms.other[0]):
            mine = [o for o in orders if o.symbol == symbol]
            bought = sum((o.filled_quantity for o in mine), D(0))
            in_base = sum((o.fee for o in mine if symbol.startswith(o.fee_asset or "-")), D(0))
            assert trader.broker.position(symbol).quantity == bought - in_base

    def test_two_threads_with_one_id_make_one_order(self, trader: Trader) -> None:
        client_order_id = new_id()

        def send(_: int) -> Order | None:
            try:
                return trader.buy(client_order_id=client_order_id)
            except Rejected:
                return None

        with ThreadPoolExecutor(max_workers=4) as pool:
            accepted = [order for order in pool.map(send, range(4)) if order is not None]
        assert len(accepted) == 1
        trader.harness.settle()
        assert trader.broker.position(trader.terms.symbol).quantity == trader.terms.size


class BrokerContract(EveryBroker):
    """Hold a broker of stocks and coins to the protocol and to what such brokers have in common."""

    # Reading

    @pytest.mark.parametrize(
        ("spelling", "canonical"),
        [("AAPL", "AAPL"), ("aapl", "AAPL"), ("BTC/USD", "BTC/USD"), ("BTCUSD", "BTC/USD")],
    )
    def test_instrument_takes_any_spelling(self, trader: Trader, spelling: str, canonical: str) -> None:
        assert trader.broker.instrument(spelling).symbol == canonical

    def test_instruments_say_what_they_are(self, trader: Trader) -> None:
        stock, crypto = trader.broker.instrument("AAPL"), trader.broker.instrument("BTC/USD")
        assert (stock.asset_class, crypto.asset_class) == (AssetClass.STOCK, AssetClass.CRYPTO)
        assert (stock.shortable, crypto.shortable) == (True, False)
        assert (stock.base_asset, crypto.base_asset) == (None, "BTC")
        assert stock.tick(D(200)) == D("0.01")
        assert stock.short_quantity_step == 1
        assert crypto.quantity_step < 1

    def test_clock_tells_sessions(self, trader: Trader) -> None:
        open_clock = trader.broker.clock(AssetClass.STOCK)
        assert open_clock.is_open
        assert open_clock.next_close is not None
        trader.harness.close_market()
        closed = trader.broker.clock(AssetClass.STOCK)
        assert not closed.is_open
        assert closed.next_open is not None
        assert closed.next_close is not None
        assert closed.next_open < closed.next_close
        assert trader.broker.clock(AssetClass.CRYPTO).is_open

    # Market orders

    def test_a_market_buy_is_paid_in_cash(self, trader: Trader) -> None:
        order = trader.trade(Side.BUY, "AAPL", 10)
        assert (order.symbol, order.side, order.quantity) == ("AAPL", Side.BUY, D(10))
        assert (order.filled_quantity, order.average_price) == (D(10), AAPL_ASK)
        position = trader.broker.position("AAPL")
        assert (position.quantity, position.average_price) == (D(10), AAPL_ASK)
        assert trader.broker.positions() == (position,)
        account = trader.broker.account()
        assert account.cash == START - 10 * AAPL_ASK
        assert position.unrealized == 10 * (position.current_price - AAPL_ASK)
        assert account.equity == account.cash + 10 * position.current_price

    def test_a_sell_brings_cash(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        order = trader.trade(Side.SELL, "AAPL", 10, closes=True)
        assert order.average_price == AAPL_BID
        assert trader.broker.position("AAPL").quantity == 0
        assert trader.broker.positions() == ()
        assert trader.broker.account().cash == START - 10 * (AAPL_ASK - AAPL_BID)

    def test_a_short_brings_cash(self, trader: Trader) -> None:
        trader.trade(Side.SELL, "AAPL", 5)
        position = trader.broker.position("AAPL")
        assert (position.quantity, position.average_price) == (D(-5), AAPL_BID)
        assert trader.broker.account().cash == START + 5 * AAPL_BID
        trader.trade(Side.BUY, "AAPL", 5, closes=True)
        assert trader.broker.positions() == ()
        assert trader.broker.account().equity == START - 5 * (AAPL_ASK - AAPL_BID)

    def test_fractions_of_a_stock_are_exact(self, trader: Trader) -> None:
        order = trader.trade(Side.BUY, "AAPL", "0.123456789")
        assert order.filled_quantity == D("0.123456789")
        assert trader.broker.position("AAPL").quantity == D("0.123456789")

    def test_an_order_for_a_closed_market_fills_at_the_open(self, trader: Trader) -> None:
        trader.harness.close_market()
        order = trader.settled(trader.submit(Side.BUY, "AAPL", 1))
        assert (order.state, order.filled_quantity) == (OrderState.SUBMITTED, D(0))
        trader.harness.open_market()
        assert trader.settled(order).state is OrderState.FILLED

    # Limit and stop orders

    def test_a_stop_rests_until_it_is_touched(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        order = trader.settled(trader.submit(Side.SELL, "AAPL", 10, stop=D("190.00"), closes=True))
        assert (order.state, order.order_type) == (OrderState.SUBMITTED, OrderType.STOP)
        trader.harness.set_price("AAPL", D("189.50"), D("189.60"))
        filled = trader.settled(order)
        assert (filled.state, filled.average_price) == (OrderState.FILLED, D("189.50"))
        assert trader.broker.positions() == ()

    def test_a_buy_stop_covers_a_short(self, trader: Trader) -> None:
        trader.trade(Side.SELL, "AAPL", 10)
        order = trader.settled(trader.submit(Side.BUY, "AAPL", 10, stop=D("210.00"), closes=True))
        assert order.state is OrderState.SUBMITTED
        trader.harness.set_price("AAPL", D("210.00"), D("210.10"))
        assert trader.settled(order).average_price == D("210.10")

    # Refusals

    def test_more_than_the_buying_power_is_rejected(self, trader: Trader) -> None:
        affordable = trader.broker.account().buying_power / AAPL_ASK
        with pytest.raises(Rejected) as refusal:
            trader.submit(Side.BUY, "AAPL", affordable.to_integral_value() + 1)
        assert refusal.value.code == "40310000"
        assert "insufficient buying power" in refusal.value.message

    def test_selling_more_than_is_held_is_rejected(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        with pytest.raises(Rejected) as refusal:
            trader.submit(Side.SELL, "AAPL", 15, closes=True)
        assert refusal.value.code == "40310000"
        assert trader.broker.position("AAPL").quantity == 10

    def test_covering_more_than_is_short_is_rejected(self, trader: Trader) -> None:
        trader.trade(Side.SELL, "AAPL", 10)
        with pytest.raises(Rejected):
            trader.submit(Side.BUY, "AAPL", 15, closes=True)
        assert trader.broker.position("AAPL").quantity == -10

    def test_shares_held_by_an_order_are_a_conflict_that_names_it(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        holder = trader.settled(trader.submit(Side.SELL, "AAPL", 10, limit=D("250.00"), closes=True))
        with pytest.raises(Conflict) as conflict:
            trader.submit(Side.SELL, "AAPL", 10, closes=True)
        assert conflict.value.blocking_order_id in (None, holder.broker_order_id)
        trader.broker.cancel(holder.broker_order_id)
        trader.harness.settle()
        trader.trade(Side.SELL, "AAPL", 10, closes=True)

    def test_an_open_order_on_the_other_side_is_a_conflict_that_names_it(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        resting = trader.settled(trader.submit(Side.SELL, "AAPL", 10, stop=D("150.00"), closes=True))
        with pytest.raises(Conflict) as conflict:
            trader.submit(Side.BUY, "AAPL", 1)
        assert conflict.value.blocking_order_id == resting.broker_order_id

    def test_an_entry_that_would_close_is_a_conflict(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        with pytest.raises(Conflict):
            trader.submit(Side.SELL, "AAPL", 5)
        assert trader.broker.position("AAPL").quantity == 10

    def test_a_fraction_cannot_be_sold_short(self, trader: Trader) -> None:
        with pytest.raises(Rejected):
            trader.submit(Side.SELL, "AAPL", "1.5")
        assert trader.broker.positions() == ()

    def test_a_price_between_ticks_is_rejected_in_the_brokers_words(self, trader: Trader) -> None:
        with pytest.raises(Rejected) as refusal:
            trader.submit(Side.BUY, "AAPL", 1, limit=D("190.123"))
        assert refusal.value.code == "42210000"

    def test_a_stop_on_the_wrong_side_of_the_market_is_rejected(self, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        with pytest.raises(Rejected):
            trader.submit(Side.SELL, "AAPL", 10, stop=D("210.00"), closes=True)

    # Crypto

    def test_a_crypto_fee_is_taken_from_what_was_bought(self, trader: Trader) -> None:
        order = trader.trade(Side.BUY, "BTCUSD", "0.1")
        assert order.symbol == "BTC/USD"
        assert order.filled_quantity == D("0.1")
        assert order.fee_asset == "BTC"
        assert order.fee > 0
        position = trader.broker.position("BTC/USD")
        assert position.symbol == "BTC/USD"
        assert position.quantity == D("0.1") - order.fee
        assert trader.broker.account().cash == START - D("0.1") * BTC_ASK

    def test_crypto_is_sold_whole_after_its_fee(self, trader: Trader) -> None:
        bought = trader.trade(Side.BUY, "BTC/USD", "0.1")
        rest = D("0.1") - bought.fee
        with pytest.raises(Rejected):
            trader.submit(Side.SELL, "BTC/USD", "0.1", closes=True)
        sold = trader.trade(Side.SELL, "BTC/USD", rest, closes=True)
        assert sold.fee_asset == "USD"
        assert trader.broker.positions() == ()
        assert trader.broker.account().cash == START - D("0.1") * BTC_ASK + rest * BTC_BID - sold.fee

    def test_crypto_is_never_sold_short(self, trader: Trader) -> None:
        with pytest.raises(Rejected):
            trader.submit(Side.SELL, "BTC/USD", "0.1")

    def test_crypto_is_never_bought_on_margin(self, trader: Trader) -> None:
        with pytest.raises(Rejected) as refusal:
            trader.submit(Side.BUY, "BTC/USD", 2)
        assert refusal.value.code == "40310000"

    def test_too_little_crypto_is_rejected(self, trader: Trader) -> None:
        with pytest.raises(Rejected) as refusal:
            trader.submit(Side.BUY, "BTC/USD", "0.0001")
        assert refusal.value.code == "40310000"

    def test_crypto_trades_while_stocks_do_not(self, trader: Trader) -> None:
        trader.harness.close_market()
        assert trader.trade(Side.BUY, "BTC/USD", "0.01").average_price == BTC_ASK
