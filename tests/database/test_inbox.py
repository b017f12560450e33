"""The inbox under two transactions at once: numbers follow commits, nobody waits for the engine for ever."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from pydantic import SecretStr

from core.plan import Code, Refusal
from core.signal import Action, Signal
from database import inbox, lanes, tokens
from database.bells import Bell, listen, ring
from database.inbox import Arrival, Sender
from database.keys import hash_key
from encryption import Vault, keyed_hash, new_key
from tests.database.trading_floor import TradingFloor

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@pytest.fixture
def floor(database):
    floor = TradingFloor(database)
    yield floor
    floor.paper_database.close()


@pytest.fixture
def sender(floor):
    return Sender(user_id=floor.user_id, source="tradingview")


def signal(action=Action.BUY, **fields):
    return Signal(action=action, symbol="AAPL", timeframe="15 Min", **fields)


def arrival(words="one", at=NOW, **fields):
    return Arrival(body=words.encode(), received_at=at, **fields)


def candidate(transaction, sender, bot_id):
    return next(each for each in inbox.bots_open_to(transaction, sender) if each.id == bot_id)


def numbers(database):
    with database.transaction() as transaction:
        rows = transaction.all("SELECT body, number FROM signals ORDER BY number")
        return [(bytes(row["body"]).decode(), row["number"]) for row in rows]


def test_numbers_follow_commits_not_beginnings(database, floor, sender):
    bot_id = floor.bot()
    with database.transaction() as began_first:
        bot = candidate(began_first, sender, bot_id)
        with database.transaction() as began_second:
            inbox.store(began_second, sender, arrival("second"), signal(Action.SELL), bot)
        inbox.store(began_first, sender, arrival("first"), signal(), bot)
    assert numbers(database) == [("second", 1), ("first", 2)]


def test_a_number_waits_for_the_one_before_to_be_committed(database, floor, sender):
    bot_id = floor.bot()
    done = threading.Event()

    def other():
        with database.transaction() as transaction:
            inbox.store(transaction, sender, arrival("later"), signal(Action.SELL), bot)
        done.set()

    with database.transaction() as transaction:
        bot = candidate(transaction, sender, bot_id)
        inbox.store(transaction, sender, arrival("sooner"), signal(), bot)
        thread = threading.Thread(target=other)
        thread.start()
        assert not done.wait(0.3)
    thread.join(10)
    assert numbers(database) == [("sooner", 1), ("later", 2)]


def test_a_rollback_leaves_neither_signal_nor_number_nor_bell(database, floor, sender):
    bot_id = floor.bot()
    with database.session() as session:
        with suppress(RuntimeError), session.transaction() as transaction:
            inbox.store(transaction, sender, arrival(), signal(), candidate(transaction, sender, bot_id))
            raise RuntimeError
    with database.transaction() as transaction:
        assert transaction.value("SELECT count(*) FROM signals") == 0
        assert transaction.one("SELECT last_number, bells FROM lanes") == {"last_number": 0, "bells": 0}


@contextmanager
def listening(url: str) -> Iterator[queue.Queue[Bell]]:
    """Give what rings inside."""
    heard: queue.Queue[Bell] = queue.Queue()
    stopping, connected = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=listen,
        args=(url,),
        kwargs={"connected": connected.set, "heard": heard.put, "stopping": stopping},
    )
    thread.start()
    assert connected.wait(10)
    yield heard
    stopping.set()
    thread.join()


def test_a_signal_rings_its_lane_when_it_is_committed_and_so_does_ring(database, floor, sender):
    bot_id = floor.bot()
    with listening(database.url) as heard:
        with database.transaction() as transaction:
            bot = candidate(transaction, sender, bot_id)
            inbox.store(transaction, sender, arrival(), signal(), bot)
            with pytest.raises(queue.Empty):
                heard.get(timeout=0.2)
        bell = Bell(bot.lane_id, sender.connection_id or floor.connection_id)
        assert heard.get(timeout=10) == bell
        with database.transaction() as transaction:
            ring(transaction, [bot.lane_id, bot.lane_id])
        assert heard.get(timeout=10) == bell
        with suppress(ZeroDivisionError), database.transaction() as transaction:
            ring(transaction, [bot.lane_id])
            raise ZeroDivisionError
        with pytest.raises(queue.Empty):
            heard.get(timeout=0.2)
    with database.transaction() as transaction:
        assert lanes.agenda(transaction, bot.lane_id, datetime.now(UTC)).bells == 2


def test_an_engine_that_holds_a_signal_and_then_rings_its_lane_meets_no_deadlock(database, floor, sender):
    bot_id = floor.bot()
    with database.transaction() as transaction:
        bot = candidate(transaction, sender, bot_id)
        first = inbox.store(transaction, sender, arrival(), signal(), bot)
    stored = []

    def copy():
        with database.transaction() as transaction:
            stored.append(inbox.store(transaction, sender, arrival(), signal(), bot))
        with database.transaction() as transaction:
            inbox.count_copy(transaction, first.id, NOW)

    with database.transaction() as engine:
        engine.execute("UPDATE signals SET decided_at = now() WHERE id = %s", (first.id,))
        thread = threading.Thread(target=copy)
        thread.start()
        thread.join(0.5)
        ring(engine, [bot.lane_id])
    thread.join(10)
    assert [(each.id, each.is_copy) for each in stored] == [(first.id, True)]


def test_storing_waits_at_most_until_the_sender_would_hang_up(database, floor, sender):
    bot_id = floor.bot()
    with database.transaction() as holder:
        holder.execute("UPDATE lanes SET bells = bells + 1")
        with database.transaction() as transaction:
            bot = candidate(transaction, sender, bot_id)
            with pytest.raises(psycopg2.errors.QueryCanceled):
                inbox.store(transaction, sender, arrival(), signal(), bot)
    assert numbers(database) == []


class TestMessageIds:
    """A service's name for a message holds for good, whatever the body; another service's is another's."""

    @pytest.fixture
    def service(self, database, floor):
        with database.transaction() as transaction:
            vault = Vault(SecretStr(new_key()))
            for name in ("Discord", "Other"):
                tokens.create_service_key(transaction, vault, name)
            ids = {each.name: each.id for each in tokens.service_keys(transaction)}
        return lambda name: Sender(user_id=floor.user_id, source="tradingview", service_key_id=ids[name])

    def test_an_edited_message_does_not_trade_again(self, database, floor, service):
        bot_id = floor.bot()
        with database.transaction() as transaction:
            bot = candidate(transaction, service("Discord"), bot_id)
            first = inbox.store(transaction, service("Discord"), arrival(message_id="m1"), signal(), bot)
            edited = arrival("edited", NOW + timedelta(days=3), message_id="m1")
            again = inbox.store(transaction, service("Discord"), edited, signal(Action.SELL), bot)
            others = inbox.store(transaction, service("Other"), edited, signal(Action.SELL), bot)
        assert (again.id, again.is_copy) == (first.id, True)
        assert (others.id != first.id, others.is_copy) == (True, False)

    def test_a_message_is_told_apart_from_others_with_the_same_words(self, database, floor, service):
        bot_id = floor.bot()
        with database.transaction() as transaction:
            bot = candidate(transaction, service("Discord"), bot_id)
            stored = [
                inbox.store(transaction, service("Discord"), arrival(message_id=each), signal(), bot)
                for each in ("m1", "m2")
            ]
        assert [each.is_copy for each in stored] == [False, False]

    def test_copies_for_different_lanes_are_one(self, database, floor, service):
        ids = [floor.bot("AAPL"), floor.bot("MSFT")]
        stored = []
        barrier = threading.Barrier(2)

        def send(bot_id):
            with database.transaction() as transaction:
                bot = candidate(transaction, service("Discord"), bot_id)
                barrier.wait()
                sent = arrival(str(bot_id), message_id="m1")
                stored.append(inbox.store(transaction, service("Discord"), sent, signal(), bot))

        threads = [threading.Thread(target=send, args=(each,)) for each in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert sorted(each.is_copy for each in stored) == [False, True]
        assert len({each.id for each in stored}) == 1


def test_a_revoked_token_is_refused_by_the_same_statement_that_finds_the_bots(database, floor):
    floor.bot()
    with database.transaction() as transaction:
        vault = Vault(SecretStr(new_key()))
        text = tokens.create_token(transaction, vault, floor.user_id)
        digest = keyed_hash(hash_key(transaction, vault), text)

        def found():
            sender, bots = inbox.sender_and_bots(transaction, digest, "AAPL", source="tradingview", now=NOW)
            return sender and sender.user_id, len(bots)

        assert found() == (floor.user_id, 1)
        [token] = tokens.tokens_of(transaction, floor.user_id)
        tokens.revoke_token(transaction, floor.user_id, token.id)
        assert found() == (None, 0)


def test_a_refusal_is_kept_without_a_lane(database, sender):
    refusal = Refusal(code=Code.INVALID_JSON, sentence="The message is empty.")
    with database.transaction() as transaction:
        uuid = inbox.store_refusal(transaction, sender, arrival("\x00\xff"), None, refusal)
        row = transaction.one("SELECT * FROM signals WHERE uuid = %s", (uuid,))
        outcome = inbox.outcome_of(transaction, uuid)
    assert (row["lane_id"], row["understood"], bytes(row["body"]).decode()) == (None, None, "\x00\xff")
    assert outcome == {"state": "REFUSED", "code": "INVALID_JSON", "sentence": "The message is empty."}
