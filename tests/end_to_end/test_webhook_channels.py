"""Messages of Discord channels at the API: whose they are, what each registration makes of them, and copies."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from bot_engine import Desk, Timing, run_lane
from core.errors import Rejected, Unavailable
from core.signal_json import from_json
from database import channel_messages, signal_channels
from tests.end_to_end.test_webhook_services import Service

ROOM = 900_000_000_000_000_001
AUTHOR = 700_000_000_000_000_001
OWNER = 700_000_000_000_000_002
ROLE = 600_000_000_000_000_001
LONG = {"action": "buy", "symbol": "BTCUSD", "price": 60000, "stop_loss": 58000, "take_profit": [65000]}


@pytest.fixture
def service(desk):
    return Service(desk)


def register(trader, **columns):
    """Register the room for a trader; AUTHOR may signal unless it is said otherwise."""
    connection_id = columns.pop("connection_id", trader.connection_id)
    given = {
        "name": "#signals", "author_ids": [AUTHOR], "position_size": Decimal(1),
        "max_position_size": Decimal(1000), "leverage": 10, "max_leverage": 20, **columns,
    }  # fmt: skip
    with trader.desk.database.transaction() as transaction:
        return signal_channels.create(
            transaction, user_id=trader.id, connection_id=connection_id, channel_id=ROOM, columns=given
        )


def send(service, message_id="1", **fields):
    envelope = {"channel": str(ROOM), "author": str(AUTHOR), "source": "discord", "message_id": message_id}
    return service.send(**{**LONG, **envelope, **fields})


def bots_of(trader):
    return trader.desk.all("SELECT * FROM user_bot_configs WHERE user_id = %s ORDER BY id", (trader.id,))


class TestWhoseItIs:
    def test_each_user_who_registered_the_channel_gets_a_signal(self, desk, ann, service):
        bob, eve = desk.trader("bob@example.org"), desk.trader("eve@example.org")
        registered = {trader.id: register(trader) for trader in (ann, bob)}
        answer = send(service)
        assert answer.status_code == 202, answer.json
        assert answer.json["status"] == "accepted"
        signals = answer.json["signals"]
        assert {each["user"]: each["channel_registration"] for each in signals} == registered
        assert {each["status"] for each in signals} == {"accepted"}
        for trader, said in zip((ann, bob), signals, strict=True):
            [stored] = trader.signals()
            [bot] = bots_of(trader)
            assert str(stored["uuid"]) == said["signal_id"]
            assert stored["signal_channel_id"] == bot["signal_channel_id"] == registered[trader.id]
            assert stored["bot_config_id"] == bot["id"]
            assert stored["source"] == bot["source"] == f"discord:{registered[trader.id]}"
        assert (eve.signals(), bots_of(eve)) == ([], [])

    @pytest.mark.parametrize("channel", ["1", "12345678901234567890", "9" * 18])
    def test_a_channel_that_nobody_registered(self, ann, service, channel):
        register(ann)
        answer = send(service, channel=channel)
        assert answer.status_code == (404 if len(channel) < 20 else 422)
        assert answer.json["code"] == ("NO_CHANNEL" if len(channel) < 20 else "INVALID_SIGNAL")
        assert ann.signals() == []

    @pytest.mark.parametrize("name", ["author", "message_id"])
    @pytest.mark.parametrize("value", [None, "", "Eve", -1])
    def test_who_wrote_which_message_must_be_said(self, ann, service, name, value):
        register(ann)
        if (name, value) == ("message_id", "Eve") or (name, value) == ("message_id", -1):
            return
        answer = send(service, **{name: value})
        assert (answer.status_code, answer.json["code"]) == (422, "INVALID_SIGNAL")
        assert answer.json["fields"][0]["name"] == name
        assert ann.signals() == []

    @pytest.mark.parametrize(
        ("registered", "author", "roles", "taken"),
        [
            ({"author_ids": [AUTHOR]}, AUTHOR, [], True),
            ({"author_ids": [AUTHOR]}, AUTHOR + 1, [ROLE], False),
            ({"author_ids": [], "role_ids": [ROLE]}, AUTHOR, [str(ROLE), "5"], True),
            ({"author_ids": [], "role_ids": [ROLE]}, AUTHOR, ["5"], False),
            ({"author_ids": [], "role_ids": [ROLE]}, OWNER, [], False),
            ({"author_ids": []}, OWNER, [], True),
            ({"author_ids": []}, AUTHOR, [ROLE], False),
        ],
    )
    def test_the_author_decides(self, desk, ann, service, registered, author, roles, taken):
        register(ann, **registered)
        link(ann, OWNER)
        answer = send(service, author=str(author), author_roles=roles)
        assert answer.status_code == (202 if taken else 403), answer.json
        if not taken:
            assert answer.json["code"] == "AUTHOR_NOT_ALLOWED"
            assert ann.signals() == []

    def test_without_authors_roles_and_a_linked_account_nobody_may(self, ann, service):
        register(ann, author_ids=[])
        assert send(service).json["code"] == "AUTHOR_NOT_ALLOWED"

    @pytest.mark.parametrize("roles", ["5", [[]], ["x"], [-1], list(range(1, 300))])
    def test_roles_that_are_none(self, ann, service, roles):
        register(ann)
        answer = send(service, author_roles=roles)
        assert (answer.status_code, answer.json["fields"][0]["name"]) == (422, "author_roles")

    def test_a_registration_that_is_switched_off_or_archived_takes_nothing(self, desk, ann, service):
        registration = register(ann)
        with desk.database.transaction() as transaction:
            signal_channels.switch(transaction, registration, active=False)
        answer = send(service)
        assert (answer.status_code, answer.json["code"]) == (404, "NO_CHANNEL")
        assert "switched off" in answer.json["error"]
        with desk.database.transaction() as transaction:
            signal_channels.switch(transaction, registration, active=True)
            signal_channels.archive(transaction, registration)
        assert send(service).json["code"] == "NO_CHANNEL"
        again = register(ann)
        assert send(service).json["signals"][0]["channel_registration"] == again

    def test_a_key_names_only_its_channels_and_users(self, desk, ann):
        bob = desk.trader("bob@example.org")
        register(ann)
        register(bob)
        narrow = Service(desk, "Narrow", allowed_channels=["1"])
        assert send(narrow).json["code"] == "NO_CHANNEL"
        fitting = Service(desk, "Fitting", allowed_channels=[str(ROOM)], allowed_users=[bob.id])
        assert [each["user"] for each in send(fitting).json["signals"]] == [bob.id]
        assert ann.signals() == []


def link(trader, discord_user_id):
    with trader.desk.database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO user_discord_settings (user_id, discord_user_id) VALUES (%s, %s)",
            (trader.id, discord_user_id),
        )


class TestCopies:
    def test_a_message_trades_once_whatever_is_sent_under_its_id(self, ann, service):
        register(ann)
        first = send(service).json["signals"][0]["signal_id"]
        again = send(service, stop_loss=59000, format="other")
        assert (again.status_code, again.json["status"]) == (200, "duplicate")
        assert again.json["signals"][0]["signal_id"] == first
        [stored] = ann.signals()
        assert stored["duplicates"] == 1
        assert send(service, message_id="2").status_code == 202

    def test_a_refusal_stands_too(self, desk, ann, service):
        registration = register(ann)
        first = send(service, stop_loss=None)
        assert (first.status_code, first.json["code"]) == (422, "STOP_REQUIRED")
        with desk.database.transaction() as transaction:
            signal_channels.edit(transaction, registration, {"stop_required": False})
        again = send(service, stop_loss=None)
        assert (again.status_code, again.json["signals"]) == (422, first.json["signals"])
        assert len(ann.signals()) == 1

    def test_sent_at_once_by_several_it_is_stored_once_with_one_bot(self, desk, ann, service):
        register(ann)
        answers = together(lambda: send(Client(desk, service)), 6)
        assert sorted(answer.json["status"] for answer in answers) == ["accepted", *["duplicate"] * 5]
        assert len(ann.signals()) == len(bots_of(ann)) == 1

    def test_two_messages_at_once_make_one_bot(self, desk, ann, service):
        register(ann)
        numbers = iter(range(6))
        answers = together(lambda: send(Client(desk, service), message_id=f"{next(numbers)}"), 6)
        assert [answer.json["status"] for answer in answers] == ["accepted"] * 6
        assert (len(ann.signals()), len(bots_of(ann))) == (6, 1)

    def test_one_users_fault_costs_no_other_the_signal(self, desk, ann, service, monkeypatch):
        bob = desk.trader("bob@example.org")
        register(ann)
        register(bob)
        registry = desk.app.extensions["dashtrade"].registry
        whole = registry.broker

        def hanging(connection_id):
            if connection_id == ann.connection_id:
                raise Unavailable("no answer within 10 s")
            return whole(connection_id)

        registry.broker = hanging
        answer = send(service)
        assert (answer.status_code, answer.json["code"]) == (503, "NOT_STORED")
        assert [each["status"] for each in answer.json["signals"]] == ["not_stored", "accepted"]
        assert (len(ann.signals()), len(bob.signals())) == (0, 1)
        registry.broker = whole
        answer = send(service)
        assert answer.status_code == 202
        assert [each["status"] for each in answer.json["signals"]] == ["accepted", "duplicate"]
        assert (len(ann.signals()), len(bob.signals())) == (1, 1)

    @pytest.mark.parametrize("fault", [KeyError("contract"), ValueError("what is that?")], ids=repr)
    def test_a_fault_that_nobody_thought_of_costs_no_other_the_signal(self, desk, ann, service, fault):
        bob = desk.trader("bob@example.org")
        register(ann)
        register(bob)
        registry = desk.app.extensions["dashtrade"].registry
        whole = registry.broker

        def faulty(connection_id):
            if connection_id == ann.connection_id:
                raise fault
            return whole(connection_id)

        registry.broker = faulty
        answer = send(service)
        assert (answer.status_code, answer.json["code"]) == (503, "NOT_STORED")
        assert [each["status"] for each in answer.json["signals"]] == ["not_stored", "accepted"]
        assert (len(ann.signals()), len(bob.signals())) == (0, 1)

    def test_a_row_that_cannot_be_stored_costs_no_other_the_signal(self, desk, ann, service):
        bob = desk.trader("bob@example.org")
        register(ann)
        register(bob)
        with desk.database.transaction() as transaction:
            transaction.execute(
                f"ALTER TABLE signals ADD CONSTRAINT not_anns CHECK (user_id <> {int(ann.id)}) NOT VALID"
            )
        answer = send(service)
        assert answer.status_code == 503
        assert (len(ann.signals()), len(bob.signals())) == (0, 1)

    def test_a_broker_that_hangs_is_not_waited_for(self, desk, ann, service, monkeypatch):
        """The bot hangs up after 10 s and sends again: a request that still waits then would hold a thread."""
        monkeypatch.setattr("channel_intake.LOOK_UP_SECONDS", 1.0)
        bob = desk.trader("bob@example.org")
        register(ann)
        register(bob)
        registry = desk.app.extensions["dashtrade"].registry
        whole, over = registry.broker, threading.Event()

        def hanging(connection_id):
            if connection_id == ann.connection_id:
                over.wait(120)
            return whole(connection_id)

        registry.broker = hanging
        answer = send(service)
        assert not over.is_set()
        over.set()
        assert [each["status"] for each in answer.json["signals"]] == ["not_stored", "accepted"]
        assert (len(ann.signals()), len(bob.signals())) == (0, 1)

    def test_an_entry_never_overtakes_the_close_that_was_written_after_it(self, ann, service):
        register(ann)
        now = datetime.now(UTC)
        closing = {"action": "close", "price": None, "stop_loss": None, "take_profit": None, "symbol": "BTC"}
        send(service, message_id="2", posted_at=(now - timedelta(seconds=5)).isoformat(), **closing)
        answer = send(service, message_id="1", posted_at=(now - timedelta(seconds=9)).isoformat())
        assert answer.json["code"] == "OUT_OF_ORDER"
        assert bots_of(ann) == []
        assert send(service, message_id="3", posted_at=now.isoformat()).status_code == 202


class Client(Service):
    """The same service on a connection of its own, for another thread."""

    def __init__(self, desk, service):
        self.app = desk.app
        self.key = service.key

    def send(self, **fields):
        return self.app.test_client().post("/api/v1/signals", json=fields, headers={"X-API-Key": self.key})


def together(call, times):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(call())) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def understood(trader):
    return from_json(trader.signals()[-1]["understood"])


class TestWhatItBecomes:
    @pytest.mark.parametrize(
        ("action", "stop", "target", "given", "edge"),
        [
            ("buy", 58000, 65000, {"price": 60000}, 60000),
            ("buy", 58000, 65000, {"price": None, "entry_range": [60000, 60500]}, 60500),
            ("sell", 62000, 55000, {"price": None, "entry_range": [60500, 60000]}, 60000),
            ("buy", 58000, 65000, {"order_type": "limit", "limit_price": 60000}, 60000),
        ],
    )
    @pytest.mark.parametrize("mode", ["limit", "market"])
    def test_the_entry_is_the_channels(self, ann, service, mode, action, stop, target, given, edge):
        register(ann, entry_mode=mode)
        answer = send(service, action=action, stop_loss=stop, take_profit=[target], **given)
        assert answer.status_code == 202, answer.json
        signal = understood(ann)
        if mode == "limit":
            assert (signal.order_type, signal.limit_price, signal.price) == ("LIMIT", edge, None)
        else:
            assert (signal.order_type, signal.limit_price, signal.price) == ("MARKET", None, edge)

    def test_a_message_that_says_market_enters_there_beside_its_price(self, ann, service):
        register(ann)
        assert send(service, order_type="market").status_code == 202
        assert (understood(ann).order_type, understood(ann).price) == ("MARKET", 60000)

    def test_without_an_entry_it_is_the_market(self, ann, service):
        register(ann)
        assert send(service, price=None).status_code == 202
        assert (understood(ann).order_type, understood(ann).price) == ("MARKET", None)

    def test_leverage_and_the_time_of_writing_are_kept(self, ann, service):
        register(ann)
        posted = (datetime.now(UTC) - timedelta(seconds=5)).replace(microsecond=0)
        assert send(service, leverage=20, posted_at=posted.isoformat()).status_code == 202
        assert (understood(ann).leverage, ann.signals()[0]["sent_at"]) == (20, posted)

    @pytest.mark.parametrize(
        ("code", "fields"),
        [
            ("LEVERAGE_TOO_HIGH", {"leverage": 21}),
            ("STOP_REQUIRED", {"stop_loss": None}),
            ("FORMAT_NOT_ALLOWED", {"format": "emoji"}),
            ("FORMAT_NOT_ALLOWED", {"format": None}),
            ("INVALID_SIGNAL", {"stop_loss": 61000}),
            ("INVALID_SIGNAL", {"price": None, "entry_range": [57000, 60000]}),
            ("INVALID_SIGNAL", {"price": None, "entry_range": [60000, 66000]}),
            ("INVALID_SIGNAL", {"price": -5}),
            ("FORMAT_NOT_ALLOWED", {"price": -5, "format": "emoji"}),
            ("INVALID_SIGNAL", {"leverage": "0.5"}),
            ("INVALID_SIGNAL", {"leverage": "10.5"}),
            ("SYMBOL_NOT_TRADEABLE", {"symbol": "NOSUCHCOIN"}),
            ("SIGNAL_TOO_OLD", {"posted_at": "2026-01-01T00:00:00Z"}),
        ],
    )
    def test_what_is_refused_is_stored_and_makes_no_bot(self, ann, service, code, fields):
        register(ann, formats=["standard"])
        answer = send(service, **{"format": "standard", **fields})
        assert (answer.status_code, answer.json["code"]) == (422, code), answer.json
        [stored] = ann.signals()
        assert (stored["state"], stored["code"], stored["sentence"]) == (
            "REFUSED",
            code,
            answer.json["error"],
        )
        assert answer.json["signals"][0]["signal_id"] == str(stored["uuid"])
        assert bots_of(ann) == []

    def test_what_is_refused_for_one_is_taken_for_another(self, desk, ann, service):
        bob = desk.trader("bob@example.org")
        register(ann, max_leverage=10)
        register(bob, max_leverage=50)
        answer = send(service, leverage=25)
        assert answer.status_code == 202
        assert [each["code"] for each in answer.json["signals"]] == ["LEVERAGE_TOO_HIGH", None]
        assert [len(each) for each in (bots_of(ann), bots_of(bob))] == [0, 1]

    def test_a_connection_that_was_removed_and_one_without_keys(self, desk, ann, service):
        register(ann)
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE user_api_keys SET archived_at = now()")
        assert send(service).json["code"] == "NO_CREDENTIALS"
        bob = desk.trader("bob@example.org")
        register(bob, connection_id=bob.connection("Alpaca", broker="alpaca"))
        assert send(service, message_id="2").json["signals"][1]["code"] == "NO_CREDENTIALS"

    def test_what_the_broker_does_not_trade_says_so_in_its_words(self, desk, ann, service, monkeypatch):
        register(ann)
        broker = desk.app.extensions["dashtrade"].registry.broker(ann.connection_id)

        def gone(symbol):
            raise Rejected("delisted")

        monkeypatch.setattr(broker, "instrument", gone)
        answer = send(service)
        assert answer.json["code"] == "SYMBOL_NOT_TRADEABLE"
        assert "Practice does not trade BTCUSD: delisted" in answer.json["error"]

    def test_a_test_makes_nothing(self, ann, service):
        register(ann)
        answer = send(service, test=True)
        assert (answer.status_code, answer.json["status"]) == (200, "test")
        assert bots_of(ann) == []


class TestBots:
    def test_the_bot_has_the_channels_settings(self, ann, service):
        settings = {
            "size_mode": "risk_percent", "position_size": Decimal("1.5"), "max_position_size": Decimal(800),
            "leverage": 5, "max_leverage": 8, "margin_mode": "cross", "entry_valid_minutes": 30,
            "max_price_deviation_percent": Decimal("0.7"), "max_signal_age_seconds": 90, "allow_short": False,
            "target_shares": [Decimal(60), Decimal(40)], "break_even_after": 1,
            "trailing_stop_percent": Decimal(2), "trailing_activation_percent": Decimal(3),
            "time_limit_minutes": 600,
        }  # fmt: skip
        assert set(settings) == set(signal_channels.COPIED)
        register(ann, **settings)
        assert send(service).status_code == 202
        [bot] = bots_of(ann)
        assert {name: bot[name] for name in settings} == settings
        assert (bot["name"], bot["timeframe"], bot["symbol"]) == ("BTC/USD from #signals", None, "BTC/USD")
        assert ann.desk.value("SELECT count(*) FROM audit_log WHERE action = 'bot add'") == 1

    def test_it_is_made_once_and_its_name_is_free(self, ann, service):
        ann.bot(symbol="ETH/USD", crypto=True, name="btc/usd from #SIGNALS")
        register(ann)
        assert [send(service, message_id=f"{n}").status_code for n in range(3)] == [202] * 3
        assert [bot["name"] for bot in bots_of(ann)] == ["btc/usd from #SIGNALS", "BTC/USD from #signals 2"]

    def test_bots_of_other_sources_are_left_alone(self, ann, service):
        other = ann.bot(symbol="BTC/USD", crypto=True)
        register(ann)
        assert send(service).status_code == 202
        assert ann.signals()[0]["bot_config_id"] != other

    def test_an_archived_bot_stays_so_and_another_is_made(self, desk, ann, service):
        register(ann)
        send(service)
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE user_bot_configs SET archived_at = now()")
        assert send(service, message_id="2").status_code == 202
        assert [bot["archived_at"] is None for bot in bots_of(ann)] == [False, True]

    @pytest.mark.parametrize("symbol", ["BTCUSD", "BTC/USD", "BTC", "BTC-USD", "BTCUSD.P"])
    def test_an_exit_finds_the_bot_however_the_coin_is_written(self, ann, service, symbol):
        register(ann, formats=["standard"])
        send(service, format="standard")
        closing = {"action": "close", "price": None, "stop_loss": None, "take_profit": None, "symbol": symbol}
        late = {"posted_at": "2026-01-01T00:00:00Z", "format": "close"}
        assert send(service, message_id="2", **closing, **late).status_code == 202
        assert ann.signals()[1]["bot_config_id"] == bots_of(ann)[0]["id"]

    def test_the_coin_alone_is_the_bot_in_the_usual_quote_where_there_are_several(self, ann, service):
        register(ann)
        for number, symbol in enumerate(("BTCUSD", "BTCUSDT")):
            send(service, message_id=f"{number}", symbol=symbol)
        closing = {"action": "close", "price": None, "stop_loss": None, "take_profit": None, "symbol": "BTC"}
        assert send(service, message_id="2", **closing).status_code == 202
        assert ann.signals()[2]["bot_config_id"] == bots_of(ann)[1]["id"]

    def test_an_exit_without_a_bot_is_refused_and_asks_no_broker(self, desk, ann, service):
        register(ann)
        closing = {"action": "close", "price": None, "stop_loss": None, "take_profit": None}
        answer = send(service, **closing)
        assert (answer.status_code, answer.json["code"]) == (404, "NO_BOT")
        assert ann.signals()[0]["code"] == "NO_BOT"
        assert desk.app.extensions["dashtrade"]._registry is None

    def test_editing_the_channel_reaches_its_bots(self, desk, ann, service):
        registration = register(ann)
        other = ann.bot()
        send(service)
        with desk.database.transaction() as transaction:
            signal_channels.edit(
                transaction, registration, {"leverage": 3, "name": "vip", "formats": ["emoji"]}
            )
        assert [(bot["id"] == other, bot["leverage"]) for bot in bots_of(ann)] == [(True, None), (False, 3)]


class TestCarriedOut:
    def test_the_engine_trades_it_with_the_channels_size_and_tells_what_came_of_it(self, desk, ann, service):
        register(ann, size_mode="risk_percent", position_size=Decimal(1), max_position_size=Decimal(1000))
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE user_api_keys SET status = 'OK'")
        levels = {"price": None, "stop_loss": {"percent": 2}, "take_profit": [{"percent": 3}, {"percent": 6}]}
        [said] = send(service, **levels).json["signals"]
        registry = desk.app.extensions["dashtrade"].registry
        engine = Desk(
            database=desk.database, broker=registry.broker, now=lambda: datetime.now(UTC), timing=Timing(),
            step=lambda _: None,
        )  # fmt: skip
        [bot] = bots_of(ann)
        run_lane(engine, bot["lane_id"])
        with desk.database.transaction() as transaction:
            outcome = channel_messages.outcome(transaction, UUID(said["signal_id"]))
        assert (outcome.state, outcome.bot) == ("EXECUTED", "BTC/USD from #signals"), outcome
        [trade] = outcome.trades
        assert (trade.action, trade.status) == ("BUY", "FILLED")
        worth = trade.filled_quantity * trade.filled_price
        # 1 % of the equity at a stop 2 % away would be half of the account: the largest position decides.
        assert Decimal(980) < worth < Decimal(1010)
        [protection] = desk.all("SELECT * FROM protections WHERE bot_config_id = %s", (bot["id"],))
        assert protection["stop_price"] < trade.filled_price
        targets = desk.all("SELECT share FROM protection_targets ORDER BY number")
        assert [target["share"] for target in targets] == [50, 50]
