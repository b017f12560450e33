"""Open trades judged by bars: stops, targets, gaps, time, updates; once, whoever looks, and from where it was left."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import psycopg2
import pytest

from actions import tracked_trades
from actions.refused import Refused
from core.pips import Direction
from database import trade_updates, trade_watch
from database.pool import Database
from database.trade_prices import prices_for
from reversal.judging import Feed, judge
from tests.database.trade_desk import TradeDesk

DEADLINE_SECONDS = 60


@pytest.fixture
def desk(database: Database) -> TradeDesk:
    return TradeDesk(database)


def look(desk, pair="EUR/USD", timeframe="1 Min", *, is_replay=False, database=None):
    with (database or desk.database).transaction() as transaction:
        found = trade_watch.pairs(transaction)
        feed = Feed(pair=pair, timeframe=timeframe, is_replay=is_replay)
        return judge(transaction, feed, prices_for(transaction, found, desk.now), desk.now)


def bar(desk, prices, **more):
    desk.wait(minutes=1)
    desk.price(prices, **more)


def state(desk, trade_id):
    row = desk.trade(trade_id)
    return row["status"], row["close_reason"], row["close_price"]


QUIET = "1.0860 1.0870 1.0850 1.0860"
HIT = "1.0860 1.0965 1.0850 1.0900"
LOST = "1.0860 1.0870 1.0790 1.0860"


def test_a_target_that_a_bar_touched_ends_the_trade_once(desk):
    desk.link(desk.ann)
    trade = desk.open().trade_id
    bar(desk, HIT)
    look(desk)
    look(desk)
    row = desk.trade(trade)
    assert (row["status"], row["close_reason"], row["result"]) == ("closed", "tp_hit", "win")
    assert (row["close_price"], row["pips"], row["profit_loss"]) == (Decimal("1.0962"), 108, 108)
    assert (row["close_time"], row["profit_loss_percentage"]) == (desk.now, Decimal("1.00"))
    update = desk.updates(trade, "tp_hit")
    assert len(update) == 1
    first, second = update[0]["message"].splitlines()
    assert first == "✅ Take Profit Hit! +108 pips (+$108)"
    assert second.startswith(f"Trade #{trade} ")
    assert update[0]["next_attempt_at"] == desk.now


@pytest.mark.parametrize(
    ("direction", "prices", "price"),
    [
        (Direction.LONG, "1.0860 1.0970 1.0790 1.0900", "1.0800"),
        (Direction.LONG, "1.0780 1.0790 1.0770 1.0785", "1.0780"),
        (Direction.SHORT, "1.0860 1.0910 1.0740 1.0900", "1.0908"),
    ],
)
def test_both_touched_is_the_stop_and_a_gap_closes_at_its_first_price(desk, direction, prices, price):
    trade = desk.open(direction=direction).trade_id
    bar(desk, prices)
    look(desk)
    assert state(desk, trade) == ("closed", "sl_hit", Decimal(price))


def test_of_the_bar_of_the_entry_only_the_close_counts(desk):
    desk.wait(seconds=30)
    trade = desk.open().trade_id
    desk.wait(seconds=30)
    desk.price("1.0860 1.0990 1.0700 1.0860")
    look(desk)
    assert desk.trade(trade)["status"] == "open"
    assert desk.trade(trade)["current_price"] == Decimal("1.0860")


def test_bars_that_closed_before_the_entry_say_nothing(desk):
    desk.price(LOST)
    trade = desk.open().trade_id
    bar(desk, QUIET)
    look(desk)
    assert desk.trade(trade)["status"] == "open"


def test_every_bar_since_the_last_look_counts_however_long_ago_it_was(desk):
    trade = desk.open().trade_id
    for prices in (QUIET, LOST, QUIET, HIT):
        bar(desk, prices)
    look(desk)
    assert state(desk, trade) == ("closed", "sl_hit", Decimal("1.0800"))
    assert desk.trade(trade)["close_time"] == desk.now - timedelta(minutes=2)


def test_a_look_goes_only_as_far_as_there_are_bars(desk):
    """The source is minutes behind; what it brings later is looked at then."""
    trade = desk.open().trade_id
    bar(desk, QUIET)
    seen = desk.now
    desk.wait(minutes=5)
    look(desk)
    assert desk.trade(trade)["looked_until"] == seen
    desk.price(LOST, at=seen + timedelta(minutes=1))
    look(desk)
    assert state(desk, trade) == ("closed", "sl_hit", Decimal("1.0800"))


def test_a_bar_that_comes_after_newer_ones_still_counts(desk):
    trade = desk.open().trade_id
    bar(desk, QUIET)
    late = desk.now + timedelta(minutes=1)
    desk.wait(minutes=2)
    desk.price(QUIET)
    look(desk)
    assert desk.trade(trade)["status"] == "open"
    desk.wait(minutes=3)
    desk.price(LOST, at=late)
    look(desk)
    assert state(desk, trade) == ("closed", "sl_hit", Decimal("1.0800"))
    assert desk.trade(trade)["close_time"] == late


def test_a_late_bar_moves_neither_the_price_nor_how_far_was_looked_back(desk):
    trade = desk.open().trade_id
    bar(desk, QUIET)
    late = desk.now + timedelta(minutes=1)
    desk.wait(minutes=2)
    desk.price("1.0880")
    look(desk)
    desk.wait(minutes=3)
    desk.price("1.0830", at=late)
    look(desk)
    row = desk.trade(trade)
    assert (row["current_price"], row["looked_until"]) == (Decimal("1.0880"), late + timedelta(minutes=1))


def test_longer_bars_take_over_from_shorter_ones(desk):
    trade = desk.open().trade_id
    bar(desk, QUIET)
    look(desk)
    desk.wait(minutes=59)
    desk.price(LOST, timeframe="1 Hour")
    look(desk, timeframe="1 Hour")
    assert state(desk, trade) == ("closed", "sl_hit", Decimal("1.0800"))


def test_time_ends_a_trade_at_the_close_of_its_last_bar(desk):
    desk.link(desk.ann, trade_limit_hours=1)
    trade = desk.open().trade_id
    desk.wait(minutes=59)
    bar(desk, QUIET)
    look(desk)
    assert state(desk, trade) == ("closed", "timeout", Decimal("1.0860"))
    assert desk.updates(trade, "timeout")[0]["message"].startswith("⏰ Time limit reached: +6 pips (+$6)")


def test_a_time_limit_waits_for_a_price_that_was_there(desk):
    desk.link(desk.ann, trade_limit_hours=1)
    trade = desk.open().trade_id
    desk.wait(hours=40)
    look(desk)
    assert desk.trade(trade)["status"] == "open"
    bar(desk, "1.0830 1.0840 1.0820 1.0835")
    look(desk)
    assert state(desk, trade) == ("closed", "timeout", Decimal("1.0830"))


def test_running_updates_keep_the_users_rhythm(desk):
    desk.link(desk.ann, running_update_minutes=15)
    trade = desk.open().trade_id
    for _ in range(31):
        bar(desk, "1.0896")
        look(desk)
    updates = desk.updates(trade, "price_update")
    assert [each["created_at"] for each in updates] == [
        desk.now - timedelta(minutes=16),
        desk.now - timedelta(minutes=1),
    ]
    assert updates[1]["message"].startswith("📊 Trade still running: +42 pips (+$42)")
    # The first was not sent by then, and the second says all of it
    assert [each["next_attempt_at"] for each in updates] == [None, updates[1]["created_at"]]


@pytest.mark.parametrize(
    "wants",
    [{"running_update_minutes": 0}, {"discord_user_id": None}, None],
)
def test_who_wants_no_running_updates_gets_none(desk, wants):
    if wants is not None:
        desk.link(desk.ann, **wants)
    trade = desk.open().trade_id
    desk.wait(hours=5)
    bar(desk, QUIET)
    look(desk)
    assert desk.updates(trade, "price_update") == []
    assert desk.trade(trade)["current_pips"] == 6


def test_who_wants_no_signals_still_hears_of_their_trades(desk):
    desk.link(desk.ann, notifications_enabled=False)
    trade = desk.open().trade_id
    bar(desk, HIT)
    look(desk)
    assert desk.updates(trade, "tp_hit")[0]["next_attempt_at"] == desk.now


def test_without_new_bars_nobody_is_told_again(desk):
    desk.link(desk.ann, running_update_minutes=15)
    trade = desk.open().trade_id
    desk.wait(minutes=20)
    bar(desk, QUIET)
    look(desk)
    desk.wait(days=2)
    look(desk)
    assert len(desk.updates(trade, "price_update")) == 1


def test_a_clock_that_is_set_back_neither_judges_twice_nor_falls_silent(desk):
    desk.link(desk.ann, running_update_minutes=15)
    trade = desk.open().trade_id
    desk.wait(hours=10)
    bar(desk, QUIET)
    look(desk)
    looked = desk.trade(trade)["looked_until"]
    desk.wait(hours=-3)
    look(desk)
    assert desk.trade(trade)["looked_until"] == looked
    desk.run("UPDATE user_trades SET next_update_at = %s", (desk.now + timedelta(hours=9),))
    desk.price(QUIET, at=looked + timedelta(minutes=1))
    desk.wait(hours=3, minutes=2)
    look(desk)
    assert len(desk.updates(trade, "price_update")) == 2


def test_a_late_bar_from_before_the_entry_says_nothing_of_the_trade(desk):
    desk.wait(minutes=10)
    trade = desk.open().trade_id
    bar(desk, QUIET)
    look(desk)
    desk.price("1.0790", at=desk.now - timedelta(minutes=5))
    desk.price(QUIET, at=desk.now - timedelta(minutes=1))
    look(desk)
    assert state(desk, trade)[0] == "open"
    assert desk.trade(trade)["current_price"] == Decimal("1.0860")


def test_bars_never_judge_a_trade_that_a_bot_holds(desk):
    held, tracked = desk.open().trade_id, desk.open().trade_id
    desk.run("UPDATE user_trades SET signal_uuid = gen_random_uuid() WHERE id = %s", (held,))
    bar(desk, HIT)
    look(desk)
    assert (state(desk, held)[0], state(desk, tracked)[0]) == ("open", "closed")


def test_who_has_no_discord_gets_a_row_that_nothing_sends(desk):
    trade = desk.open().trade_id
    bar(desk, HIT)
    look(desk)
    assert [each["next_attempt_at"] for each in desk.updates(trade, "tp_hit")] == [None]


def test_an_update_that_was_not_sent_is_overtaken_by_the_end(desk):
    desk.link(desk.ann, running_update_minutes=15)
    trade = desk.open().trade_id
    desk.wait(minutes=20)
    bar(desk, QUIET)
    look(desk)
    bar(desk, LOST)
    look(desk)
    waiting = [each["update_type"] for each in desk.updates(trade) if each["next_attempt_at"]]
    assert waiting == ["sl_hit"]


def test_profit_goes_into_the_accounts_currency_by_the_newest_rates(desk):
    desk.link(desk.ann)
    desk.price("150.00", pair="USD/JPY", timeframe="1 Hour")
    desk.price("165.80", pair="EUR/JPY")
    short = {"entry": Decimal("165.80"), "stop": Decimal("166.80"), "target": Decimal("165.00")}
    trade = desk.open(pair="EUR/JPY", direction=Direction.SHORT, lots=Decimal(1), **short).trade_id
    bar(desk, "165.80 165.90 164.90 165.10", pair="EUR/JPY")
    look(desk, "EUR/JPY")
    row = desk.trade(trade)
    assert (row["pips"], row["profit_loss"]) == (80, Decimal("533.33"))


def test_an_unknown_rate_is_said_and_stored_as_nothing(desk):
    levels = {"entry": Decimal("11.20"), "stop": Decimal("11.10"), "target": Decimal("11.30")}
    trade = desk.open(pair="EUR/SEK", **levels).trade_id
    bar(desk, "11.25 11.31 11.24 11.25", pair="EUR/SEK")
    look(desk, "EUR/SEK")
    row = desk.trade(trade)
    assert (row["pips"], row["profit_loss"], row["result"]) == (1000, None, "win")
    assert "in USD unknown: no rate is known" in desk.updates(trade, "tp_hit")[0]["message"]


def test_bars_of_a_recording_judge_no_trade_in_a_real_market_nor_the_other_way_round(desk):
    real = desk.open().trade_id
    recorded = desk.open(notification_id=desk.notify()).trade_id
    bar(desk, LOST)
    look(desk, is_replay=True)
    assert (desk.trade(real)["status"], desk.trade(recorded)["status"]) == ("open", "closed")
    again = desk.open(notification_id=desk.notify(bar_opened_at=desk.now)).trade_id
    bar(desk, LOST)
    look(desk, is_replay=False)
    assert (desk.trade(real)["status"], desk.trade(again)["status"]) == ("closed", "open")


def test_a_recordings_rate_makes_no_money_in_a_real_market(desk):
    desk.price("150.00", pair="USD/JPY", timeframe="1 Hour")
    desk.run("UPDATE market_feeds SET source = 'replay' WHERE pair = 'USD/JPY'")
    levels = {"entry": Decimal("165.80"), "stop": Decimal("165.00"), "target": Decimal("166.80")}
    trade = desk.open(pair="EUR/JPY", **levels).trade_id
    assert desk.close(trade, "166.00").profit_loss is None


def test_a_stop_at_break_even_is_not_hit_by_what_was_before_it(desk):
    """The bar that the stop was moved in touched the new place, nobody knows when; its close decides."""
    trade = desk.open().trade_id
    desk.price("1.0890", at=desk.now)
    desk.wait(minutes=30)
    desk.edit(trade, stop="1.0854")
    desk.wait(minutes=30)
    desk.price("1.0860 1.0895 1.0840 1.0890", timeframe="1 Hour")
    look(desk, timeframe="1 Hour")
    assert desk.trade(trade)["status"] == "open"
    desk.wait(hours=1)
    desk.price("1.0890 1.0895 1.0853 1.0890", timeframe="1 Hour")
    look(desk, timeframe="1 Hour")
    assert state(desk, trade) == ("closed", "sl_hit", Decimal("1.0854"))
    assert desk.trade(trade)["result"] == "breakeven"


def in_threads(*works):
    with ThreadPoolExecutor(len(works)) as pool:
        return [each.result(DEADLINE_SECONDS) for each in [pool.submit(work) for work in works]]


def test_two_monitors_close_once_and_tell_once(desk):
    for user in (desk.ann, desk.eve):
        desk.link(user)
    trades = [desk.open(user).trade_id for user in (desk.ann, desk.eve) for _ in range(20)]
    bar(desk, HIT)
    begin = threading.Barrier(4)

    def monitor():
        begin.wait(DEADLINE_SECONDS)
        return look(desk)

    found = in_threads(*[monitor] * 4)
    assert sum(len(each.ended) for each in found if each is not None) == len(trades)
    rows = desk.all("SELECT trade_id FROM trade_updates WHERE update_type = 'tp_hit'")
    assert sorted(row["trade_id"] for row in rows) == trades


def waits_for_lock(desk):
    """Wait until a session of the database waits for a row that another one holds."""
    for _ in range(DEADLINE_SECONDS * 20):
        found = desk.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        if found["count"]:
            return
        threading.Event().wait(0.05)
    raise AssertionError("nobody waits")


def test_who_closes_while_the_monitor_judges_is_told_that_it_is_over(desk):
    trade = desk.open().trade_id
    bar(desk, HIT)
    with ThreadPoolExecutor(1) as pool:
        with desk.database.transaction() as transaction:
            feed = Feed(pair="EUR/USD", timeframe="1 Min", is_replay=False)
            judge(transaction, feed, prices_for(transaction, [], desk.now), desk.now)
            closing = pool.submit(desk.close, trade, "1.0900")
            waits_for_lock(desk)
        with pytest.raises(Refused, match="was closed"):
            closing.result(DEADLINE_SECONDS)
    assert state(desk, trade) == ("closed", "tp_hit", Decimal("1.0962"))


def test_a_monitor_that_waited_for_its_user_sees_what_they_did(desk):
    closed, moved = desk.open().trade_id, desk.open().trade_id
    desk.price("1.0890")
    bar(desk, "1.0890 1.0900 1.0850 1.0890")
    with ThreadPoolExecutor(1) as pool:
        with desk.database.transaction() as transaction:
            rows = "UPDATE user_trades SET {} WHERE id = %s"
            transaction.execute(
                rows.format("status = 'closed', close_reason = 'manual_close', close_price = 1.09"), (closed,)
            )
            transaction.execute(rows.format("stop_loss = 1.0852"), (moved,))
            judging = pool.submit(look, desk)
            waits_for_lock(desk)
        judging.result(DEADLINE_SECONDS)
    assert state(desk, closed) == ("closed", "manual_close", Decimal("1.09"))
    assert state(desk, moved) == ("closed", "sl_hit", Decimal("1.0852"))


@pytest.mark.parametrize("write", ["note_looked", "end", "store"])
def test_a_monitor_that_dies_at_any_write_leaves_all_to_the_next(desk, write):
    """The server ends its connection in the middle: nothing of that look is there, the next one does it all."""
    desk.link(desk.ann, running_update_minutes=1)
    ended, runs = desk.open().trade_id, desk.open(target=Decimal("1.2000")).trade_id
    bar(desk, HIT)
    dying = {"end": "user_trades", "note_looked": "user_trades", "store": "trade_updates"}[write]
    status = {"end": "NEW.status = 'closed'", "note_looked": "NEW.status = 'open'", "store": "true"}[write]
    desk.run(
        f"""
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF {status} THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;
        CREATE TRIGGER die AFTER INSERT OR UPDATE ON {dying} FOR EACH ROW EXECUTE FUNCTION die()
        """
    )
    dying_database = Database(desk.database.url)
    with pytest.raises(psycopg2.Error):
        look(desk, database=dying_database)
    assert desk.trade(ended)["status"] == "open"
    assert desk.trade(runs)["looked_at"] is None
    assert desk.updates(ended, "tp_hit") == desk.updates(runs, "price_update") == []
    desk.run(f"DROP TRIGGER die ON {dying}")
    look(desk)
    assert desk.trade(ended)["status"] == "closed"
    assert len(desk.updates(ended, "tp_hit")) == len(desk.updates(runs, "price_update")) == 1


def test_a_trade_of_a_bot_is_left_alone(desk):
    trade = desk.open().trade_id
    desk.run("UPDATE user_trades SET signal_uuid = gen_random_uuid() WHERE id = %s", (trade,))
    bar(desk, LOST)
    look(desk)
    assert desk.trade(trade)["status"] == "open"


def test_updates_are_read_by_their_owner_alone(desk):
    trade = desk.open().trade_id
    bar(desk, LOST)
    look(desk)
    with desk.database.transaction() as transaction:
        kinds = [row["update_type"] for row in trade_updates.of_trade(transaction, desk.ann, trade)]
        assert kinds == ["sl_hit", "opened"]
        assert trade_updates.of_trade(transaction, desk.eve, trade) == []


def test_a_stranger_is_answered_as_if_there_were_no_such_trade(desk):
    trade = desk.open().trade_id
    with pytest.raises(tracked_trades.NoSuchTrade) as strange:
        desk.close(trade, "1.09", user_id=desk.eve)
    with pytest.raises(tracked_trades.NoSuchTrade) as unknown:
        desk.close(987_654, "1.09", user_id=desk.eve)
    assert str(strange.value) == str(unknown.value)
