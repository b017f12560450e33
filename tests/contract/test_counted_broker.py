"""A broker whose calls are counted is the same broker: what it gives, raises and can do goes through."""

import inspect

import psycopg2
import pytest

from bot_engine import desk_for
from brokers.base import Broker, ProtectingBroker
from brokers.counted import CALLS, counted
from core.errors import Rejected, Unknown
from core.instrument import AssetClass
from core.tallies import Tallies
from database import tallies
from database.pool import Database
from encryption import new_key
from engine.counting import keep_counts
from settings import Settings
from tests.database.trading_floor import TradingFloor


def named(counts):
    return {(each.figure, *each.labels): each.times for each in counts.take()}


class Odd:
    """A broker that can do one thing more, and fails at another."""

    name = "odd"
    extra = "as it was"

    def quote(self, symbol):
        raise Unknown(f"{symbol} is not known")

    def submit(self, intent):
        raise Rejected("no", code="7")

    def cancel(self, broker_order_id):
        return broker_order_id

    def advance(self, now):
        return (now,)


def test_every_call_that_a_broker_has_is_counted():
    methods = {
        name
        for protocol in (Broker, ProtectingBroker)
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }
    assert methods == CALLS


def test_what_is_asked_and_what_fails_is_counted_and_stays_what_it_is():
    counts = Tallies()
    broker = counted(Odd(), counts)
    assert broker.cancel("12") == "12"
    with pytest.raises(Unknown, match="AAPL is not known"):
        broker.quote("AAPL")
    with pytest.raises(Rejected) as refused:
        broker.submit(None)
    assert refused.value.code == "7"
    assert broker.advance(5) == (5,)
    assert (broker.extra, broker.name) == ("as it was", "odd")
    with pytest.raises(AttributeError):
        _ = broker.nothing_of_the_kind
    assert named(counts) == {
        ("broker_call", "odd", "cancel"): 1,
        ("broker_call", "odd", "quote"): 1,
        ("broker_call", "odd", "submit"): 1,
        ("broker_error", "odd", "quote", "Unknown"): 1,
        ("broker_error", "odd", "submit", "Rejected"): 1,
    }


def test_the_engines_brokers_are_counted_into_the_database(database):
    floor = TradingFloor(database)
    settings = Settings.model_validate(
        {"database_url": database.url, "encryption_key": new_key(), "public_url": "http://x"}
    )
    desk = desk_for(settings, database)
    desk.broker(floor.connection_id).clock(AssetClass.CRYPTO)
    desk.broker(floor.connection_id).clock(AssetClass.CRYPTO)
    keep_counts(desk)
    with database.transaction() as transaction:
        found = {(each.figure, *each.labels): each.times for each in tallies.read(transaction)}
        assert transaction.value("SELECT count(*) FROM tallies") == 0
    assert found["broker_call", "paper", "clock"] == 2
    assert desk.broker(floor.connection_id).capabilities.shorts is not None


def test_counts_of_a_worker_wait_for_a_database_that_is_away(database):
    floor = TradingFloor(database)
    floor.desk.tallies.count("broker_call", "paper", "submit")
    with database.transaction() as transaction:
        transaction.execute("ALTER TABLE tallies RENAME TO away")
    keep_counts(floor.desk)
    with database.transaction() as transaction:
        transaction.execute("ALTER TABLE away RENAME TO tallies")
    keep_counts(floor.desk)
    with database.transaction() as transaction:
        (kept,) = tallies.read(transaction)
    assert (kept.figure, kept.times) == ("broker_call", 1)


def test_counts_that_were_written_are_not_written_again_where_the_adding_up_fails(database, monkeypatch):
    floor = TradingFloor(database)
    floor.desk.tallies.count("broker_call", "paper", "submit")
    begin, begun = Database.transaction, []

    def away_for_the_second(self):
        begun.append(self)
        if len(begun) == 2:
            raise psycopg2.OperationalError("server closed the connection unexpectedly")
        return begin(self)

    monkeypatch.setattr(Database, "transaction", away_for_the_second)
    keep_counts(floor.desk)
    keep_counts(floor.desk)
    with database.transaction() as transaction:
        (kept,) = tallies.read(transaction)
    assert (kept.figure, kept.times) == ("broker_call", 1)
