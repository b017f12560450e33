"""Tracked trades whose order goes through the engine: one order, and a trade that follows its fills."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import psycopg2
import pytest
from pydantic import SecretStr

from actions import tracked_trades
from actions.acting import Acting
from actions.executed_trades import open_and_execute
from actions.refused import Refused
from actions.tracked_trades import TradeRequest
from brokers.registry import Registry
from core.pips import Direction
from database import accounts, reversal_wants
from database.pool import Database
from encryption import Vault, new_key
from engine.monitor import watch_risk
from reversal.bots_trades import follow_bots
from reversal.monitor import look
from settings import Settings
from tests.database.trading_floor import TradingFloor
from tests.log_lines import logged, named


@dataclass(frozen=True)
class RealTools:
    settings: Settings
    database: Database
    vault: Vault
    registry: Registry


class Desk(TradingFloor):
    """Ann's paper account, and the tools of the dashboard beside it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        settings = Settings(database_url=database.url, public_url="http://127.0.0.1")
        vault = Vault(SecretStr(new_key()))
        self.tools = RealTools(settings, database, vault, Registry(database, vault, settings))
        self.acting = Acting(owner=self.user_id, actor="a test")
        self.market.pin("BTC/USD", "59990", "60000")

    def wish(self, **changes):
        usual = {
            "pair": "BTC/USD",
            "direction": Direction.LONG,
            "entry": Decimal(60000),
            "lots": Decimal("0.1"),
            "stop": Decimal(58000),
            "target": Decimal(64000),
            "request_key": "the first",
        }
        return TradeRequest(**{**usual, **changes})

    def execute(self, **changes):
        return open_and_execute(self.tools, self.acting, self.wish(**changes), self.connection_id, self.now)

    def work_all(self):
        for row in self.all("SELECT id FROM user_bot_configs ORDER BY id"):
            self.work(row["id"])

    def follow(self):
        with self.database.transaction() as transaction:
            return follow_bots(transaction, self.now)

    def trade(self, trade_id):
        return self.one("SELECT * FROM user_trades WHERE id = %s", (trade_id,))

    def run(self, sql):
        with self.database.transaction() as transaction:
            transaction.execute(sql)

    def watch(self):
        with self.database.session() as session:
            watch_risk(self.desk, session, self.connection_id)
        self.work_all()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_the_trade_follows_the_bots_own_fills_to_its_target(desk):
    made = desk.execute()
    desk.work_all()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["status"], row["entry_price"], row["lot_size"]) == ("open", 60000, Decimal("0.1"))
    desk.wait(60)
    desk.market.pin("BTC/USD", "64100", "64110")
    desk.watch()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["status"], row["close_reason"], row["close_price"]) == ("closed", "tp_hit", 64100)
    assert (row["pips"], row["profit_loss"]) == (410000, 410)


def test_at_simulated_prices_stop_and_target_stand_as_far_from_the_fill_as_they_were_asked_for(desk):
    """The market of the signal is at 80,000, the paper broker's is not."""
    made = desk.execute(entry=Decimal(80000), stop=Decimal(76000), target=Decimal(88000))
    desk.work_all()
    desk.follow()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["status"], row["entry_price"]) == ("open", 60000)
    assert (row["stop_loss"], row["take_profit"]) == (57000, 66000)
    protection = desk.one("SELECT * FROM protections")
    assert (protection["stop_price"], protection["target_price"]) == (57000, 66000)
    desk.wait(60)
    desk.market.pin("BTC/USD", "56900", "56910")
    desk.watch()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["status"], row["close_reason"], row["result"]) == ("closed", "sl_hit", "loss")


def test_a_stop_closes_it_as_lost_and_tells_of_each_step(desk):
    link(desk)
    made = desk.execute()
    desk.work_all()
    desk.follow()
    desk.wait(60)
    desk.market.pin("BTC/USD", "57900", "57910")
    desk.watch()
    desk.follow()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["close_reason"], row["result"], row["close_price"]) == ("sl_hit", "loss", 57900)
    told = desk.all("SELECT update_type, message, next_attempt_at FROM trade_updates ORDER BY id")
    assert [each["update_type"] for each in told] == ["opened", "sl_hit"]
    assert told[0]["message"].startswith("📝 Trade opened at 60000.00")
    assert told[1]["message"].startswith("❌ Stop Loss Hit! −210000 points (−$210)")
    assert all(each["next_attempt_at"] for each in told)


def link(desk):
    with desk.database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO user_discord_settings (user_id, discord_user_id) VALUES (%s, 7)", (desk.user_id,)
        )


def test_a_short_is_followed_as_a_short(desk):
    desk.market.pin("AAPL", "199.90", "200")
    stock = {"pair": "AAPL", "entry": Decimal(200), "stop": Decimal(210), "target": Decimal(180)}
    made = desk.execute(direction=Direction.SHORT, lots=Decimal(10), **stock)
    desk.work_all()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["direction"], row["entry_price"], row["lot_size"]) == ("short", Decimal("199.90"), 10)
    desk.wait(60)
    desk.market.pin("AAPL", "179.80", "179.90")
    desk.watch()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["close_reason"], row["close_price"], row["profit_loss"]) == ("tp_hit", Decimal("179.90"), 200)


def test_asking_twice_sends_one_order(desk):
    first, again = desk.execute(), desk.execute()
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.trade_id, again.signal_id) == (first.trade_id, first.signal_id)
    desk.work_all()
    assert desk.one("SELECT count(*) FROM orders")["count"] == 1


def test_of_many_who_ask_at_once_one_order_goes(desk):
    begin = threading.Barrier(6)

    def press():
        begin.wait(60)
        return desk.execute()

    with ThreadPoolExecutor(6) as pool:
        found = [each.result(60) for each in [pool.submit(press) for _ in range(6)]]
    assert sum(each.is_new for each in found) == 1
    assert len({each.trade_id for each in found}) == 1
    assert desk.one("SELECT count(*) FROM signals")["count"] == 1


@pytest.mark.parametrize("table", ["user_trades", "user_bot_configs", "signals"])
def test_a_death_at_any_write_leaves_nothing_and_asking_again_does_it(desk, table):
    desk.run(
        f"""
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
        CREATE TRIGGER die AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION die()
        """
    )
    with pytest.raises(psycopg2.Error):
        desk.execute()
    for each in ("user_trades", "user_bot_configs", "signals"):
        assert desk.one(f"SELECT count(*) FROM {each}")["count"] == 0
    desk.run(f"DROP TRIGGER die ON {table}")
    assert desk.execute().is_new
    assert desk.one("SELECT count(*) FROM signals")["count"] == 1


def test_what_the_engine_refuses_cancels_the_trade_with_its_reason(desk):
    made = desk.execute(lots=Decimal(90))
    desk.work_all()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["status"], row["close_reason"], row["pips"]) == ("cancelled", None, None)
    message = desk.one("SELECT message FROM trade_updates WHERE update_type = 'cancelled'")["message"]
    assert message.startswith("🚫 Trade cancelled: ")
    assert desk.one("SELECT sentence FROM signals")["sentence"] in message
    assert desk.execute(request_key="another", target=Decimal(66000)).is_new


def test_a_trade_is_closed_by_hand_through_its_bot(desk):
    made = desk.execute()

    def close():
        return tracked_trades.close_trade(desk.database, desk.user_id, "a test", made.trade_id, desk.now)

    with pytest.raises(Refused, match="has not gone out yet"):
        close()
    desk.work_all()
    desk.follow()
    desk.wait(60)
    desk.market.pin("BTC/USD", "60500", "60510")
    assert (close().is_pending, close().is_pending) == (True, True)
    assert desk.trade(made.trade_id)["status"] == "open"
    desk.work_all()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["close_reason"], row["close_price"], row["profit_loss"]) == ("manual_close", 60500, 50)
    assert desk.one("SELECT count(*) FROM bot_risk_events WHERE kind = 'MANUAL_CLOSE'")["count"] == 1


def test_its_levels_are_the_bots(desk):
    made = desk.execute()
    with pytest.raises(Refused, match="A bot holds this trade"):
        tracked_trades.edit_levels(
            desk.database, desk.user_id, "a test", made.trade_id, desk.now, stop=Decimal(59000)
        )


def test_one_trade_of_a_symbol_at_a_time_and_one_bot_for_all(desk):
    first = desk.execute()
    with pytest.raises(Refused, match=f"holds trade #{first.trade_id} in BTC/USD: close it first"):
        desk.execute(request_key="second")
    desk.work_all()
    desk.follow()
    desk.wait(60)
    desk.market.pin("BTC/USD", "64100", "64110")
    desk.watch()
    desk.follow()
    desk.market.pin("BTC/USD", "59990", "60000")
    second = desk.execute(request_key="third")
    desk.work_all()
    desk.follow()
    assert second.bot == first.bot
    row = desk.trade(second.trade_id)
    # What ended the first, on the same bot, ends the second no more
    assert (row["status"], row["entry_price"]) == ("open", 60000)
    assert desk.trade(first.trade_id)["close_price"] == 64100
    assert desk.one("SELECT count(*) FROM user_bot_configs")["count"] == 1


def test_its_bot_trades_no_scores_by_itself(desk):
    desk.execute()
    with desk.database.transaction() as transaction:
        assert reversal_wants.bots(transaction) == []


def test_a_recordings_trade_goes_to_the_paper_broker_alone(desk):
    desk.run("UPDATE user_api_keys SET broker = 'alpaca', label = 'Shares'")
    with pytest.raises(
        Refused, match="REPLAY of a recording, which trades on paper alone: Shares is at alpaca"
    ):
        desk.execute(pair="SP500", entry=Decimal(1800), stop=Decimal(1700), target=Decimal(1900))


def test_real_money_wants_the_connections_name(desk):
    desk.run("UPDATE user_api_keys SET mode = 'live', label = 'My money'")
    with pytest.raises(Refused, match=r"real money.*My money") as refused:
        desk.execute()
    assert refused.value.field == "confirmation"
    made = open_and_execute(
        desk.tools, desk.acting, desk.wish(), desk.connection_id, desk.now, confirmation="My money"
    )
    assert made.is_new


def test_a_symbol_that_the_broker_has_not_is_refused_and_nothing_stays(desk):
    with pytest.raises(Refused, match="does not trade EUR/USD"):
        desk.execute(
            pair="EUR/USD", entry=Decimal("1.0854"), stop=Decimal("1.0800"), target=Decimal("1.0962")
        )
    assert desk.all("SELECT * FROM user_trades") == desk.all("SELECT * FROM user_bot_configs") == []


def test_a_strangers_connection_is_like_an_unknown_one(desk):
    with desk.database.transaction() as transaction:
        eve = accounts.create_user(transaction, "eve@example.org", "correct horse battery").id
    for number in (desk.connection_id, 987_654):
        with pytest.raises(Refused, match="There is no such connection") as refused:
            open_and_execute(desk.tools, Acting(owner=eve, actor="eve"), desk.wish(), number, desk.now)
        assert refused.value.field == "connection"


def test_two_that_follow_tell_once(desk):
    link(desk)
    desk.execute()
    desk.work_all()
    begin = threading.Barrier(4)

    def follow():
        begin.wait(60)
        return desk.follow()

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(follow) for _ in range(4)]:
            each.result(60)
    assert desk.one("SELECT count(*) FROM trade_updates")["count"] == 1


def test_one_trade_that_cannot_be_followed_stops_no_other_and_is_recorded(desk):
    """What a database refuses, and what no type can hold, as a hand in the database may leave them."""
    desk.market.pin("AAPL", "199.90", "200")
    stock = {"pair": "AAPL", "entry": Decimal(200), "stop": Decimal(180), "target": Decimal(220)}
    ended_twice = desk.execute(lots=Decimal(90))
    no_pair = desk.execute(pair="ETH/USD", request_key="second", entry=Decimal(3000), stop=Decimal(2900),
                           target=Decimal(3200))  # fmt: skip
    well = desk.execute(request_key="third", lots=Decimal(10), **stock)
    desk.work_all()
    desk.run(
        f"""
        INSERT INTO trade_updates (trade_id, update_type, current_price, current_pips, message, created_at)
        VALUES ({ended_twice.trade_id}, 'cancelled', 1, 1, '', now());
        UPDATE user_trades SET pair = '?' WHERE id = {no_pair.trade_id}
        """
    )
    with logged("reversal watch") as lines:
        looked = look(desk.database, desk.tools.settings, desk.now)
    assert desk.trade(well.trade_id)["looked_at"] == desk.now
    assert desk.trade(ended_twice.trade_id)["status"] == "open"
    broken = {f"tracked trade {made.trade_id}": made for made in (ended_twice, no_pair)}
    assert set(looked.failures) == set(broken)
    faults = desk.all("SELECT subject, words FROM faults")
    assert {row["subject"] for row in faults} == set(broken)
    assert any("UniqueViolation" in row["words"] for row in faults)
    about = {signal for signal, _ in named(lines(), "cannot be followed")}
    assert about == {str(made.signal_id) for made in broken.values()}


def test_that_an_order_goes_to_the_engine_is_logged_under_its_signal(desk):
    with logged("dashboard") as lines:
        made = desk.execute()
        desk.execute()
    words = f"the order of tracked trade {made.trade_id} goes to the engine"
    assert named(lines(), "tracked trade") == [(str(made.signal_id), words)]
