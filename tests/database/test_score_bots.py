"""Bots that trade reversal signals by themselves: what reaches them, once, and what never does."""

import threading
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import intake
import reversal_intake
from actions import bots as bot_actions
from actions import connections as connection_actions
from actions import reversal_bots
from actions import tokens as token_actions
from actions.acting import Refused
from core.bar import opening
from core.instrument import AssetClass, Instrument
from core.pips import Direction
from core.reversal import RULES, Score
from database import bots, keys, reversal_scores
from database.pool import Database, Row
from encryption import keyed_hash
from signals.service import read_service_fields
from tests.database.office import Office, open_office
from tests.database.scan_desk import score
from tests.database.trading_floor import FRIDAY_MORNING, TradingFloor
from tests.log_lines import logged, named

CLOSED_AT = opening(FRIDAY_MORNING, "1 Hour")
BITCOIN = {
    "entry": Decimal(60000),
    "stop": Decimal(59000),
    "target": Decimal(62000),
}


@pytest.fixture
def floor(database: Database) -> TradingFloor:
    made = TradingFloor(database)
    made.now = CLOSED_AT + timedelta(seconds=9)
    made.market.pin("BTC/USD", "59990", "60010")
    return made


def a_bot(floor: TradingFloor, *, symbol: str = "BTC/USD", timeframe: Any = "1 Hour", **limits: Any) -> int:
    """Make a bot that trades scores, older than the bar."""
    bot_id = floor.bot(symbol, timeframe, **({"source": "reversal"} | limits))
    with floor.database.transaction() as transaction:
        transaction.execute("UPDATE user_bot_configs SET created_at = %s", (CLOSED_AT - timedelta(days=1),))
    return bot_id


def found(pair: str = "BTC/USD", closed_at: datetime = CLOSED_AT, **fields: Any) -> Score:
    return score(pair, closed_at=closed_at, **(BITCOIN | fields))


def offered(floor: TradingFloor, *scores: Score) -> list[Row]:
    """Store scores as a scan does, offer them, and return the signals that there are."""
    with floor.database.transaction() as transaction:
        reversal_scores.store(transaction, scores, floor.now)
    reversal_intake.offer(floor.database, floor.now)
    return signals(floor)


def signals(floor: TradingFloor) -> list[Row]:
    return floor.all("SELECT * FROM signals ORDER BY id")


def at_once(floor: TradingFloor, count: int) -> None:
    """Offer in several threads at once."""
    gate = threading.Barrier(count)
    pools = [Database(floor.database.url, size=1) for _ in range(count)]

    def offer(pool: Database) -> None:
        gate.wait()
        reversal_intake.offer(pool, floor.now)

    threads = [threading.Thread(target=offer, args=(pool,)) for pool in pools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


class TestTheWayThrough:
    def test_a_score_is_bought_with_its_stop_and_target(self, floor: TradingFloor) -> None:
        bot = a_bot(floor, size="6000")
        with logged("reversal watch") as lines:
            [signal] = offered(floor, found())
        given = f"bot {bot} of user {floor.user_id} is given BTC/USD 1 Hour"
        assert named(lines()) == [(str(signal["uuid"]), given)]
        assert (signal["source"], signal["bot_config_id"], signal["sent_at"]) == ("reversal", bot, CLOSED_AT)
        assert signal["understood"]["extras"] == {"model": "model 1", "confidence": "0.7", "prices": "csv"}
        floor.work(bot)
        row = floor.bot_row(bot)
        assert row["quantity"] > 0
        protection = floor.one("SELECT * FROM protections WHERE bot_config_id = %s", (bot,))
        share = floor.one("SELECT price FROM fills")["price"] / 60000
        assert protection["stop_price"] == pytest.approx(59000 * share, abs=Decimal("0.1"))
        assert protection["target_price"] == pytest.approx(62000 * share, abs=Decimal("0.1"))

    def test_the_next_bar_the_other_way_turns_it(self, floor: TradingFloor) -> None:
        """The scores' bot follows no strategy of its own: each stands alone, also after a stop."""
        bot = a_bot(floor)
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE user_bot_configs SET own_exit = 'SHORT' WHERE id = %s", (bot,))
        offered(floor, found())
        floor.work(bot)
        assert floor.bot_row(bot)["quantity"] > 0
        floor.wait(3600)
        down = found(
            closed_at=CLOSED_AT + timedelta(hours=1), direction=Direction.SHORT, stop=Decimal(61000),
            target=Decimal(58000),
        )  # fmt: skip
        assert len(offered(floor, down)) == 2
        floor.work(bot)
        assert floor.bot_row(bot)["quantity"] == 0, "the paper broker lends no coins, so the long is closed"

    def test_a_symbol_spelt_as_another_broker_spells_it_is_the_same_pair(self, floor: TradingFloor) -> None:
        bot = a_bot(floor, symbol="btcusdt")
        assert [row["bot_config_id"] for row in offered(floor, found("BTC/USDT"))] == [bot]

    def test_at_simulated_prices_levels_are_distances(self, floor: TradingFloor) -> None:
        """What coins cost elsewhere is not what they cost at the paper broker."""
        bot = a_bot(floor, size="6000")
        offered(floor, found(entry=Decimal(80000), stop=Decimal(76000), target=Decimal(88000)))
        floor.work(bot)
        protection = floor.one("SELECT * FROM protections WHERE bot_config_id = %s", (bot,))
        filled = floor.one("SELECT price FROM fills")["price"]
        assert protection["stop_price"] / filled == pytest.approx(Decimal("0.95"), abs=Decimal("0.0001"))
        assert protection["target_price"] / filled == pytest.approx(Decimal("1.1"), abs=Decimal("0.0001"))

    def test_a_recordings_levels_are_distances(self, floor: TradingFloor) -> None:
        a_bot(floor)
        recorded = found(is_replay=True, entry=Decimal(100), stop=Decimal(98), target=Decimal(104))
        [signal] = offered(floor, recorded)
        understood = signal["understood"]
        levels = [understood["stop_loss"], *understood["take_profits"]]
        assert [(level["kind"], level["value"]) for level in levels] == [
            ("PERCENT", "2.0000"),
            ("PERCENT", "4.0000"),
        ]
        assert "price" not in understood

    def test_a_bot_that_cannot_be_given_one_keeps_no_other_from_its_own(self, floor: TradingFloor) -> None:
        broken, well = a_bot(floor), a_bot(floor, timeframe="4 Hour")
        with floor.database.transaction() as transaction:
            transaction.execute(f"ALTER TABLE signals ADD CHECK (bot_config_id <> {broken})")
        [signal] = offered(floor, found(), found(timeframe="4 Hour"))
        assert signal["bot_config_id"] == well
        fault = floor.one("SELECT subject, words FROM faults")
        assert fault["subject"] == f"reversal bot {broken}"
        assert fault["words"].startswith("CheckViolation: ")

    def test_what_comes_too_late_the_engine_refuses_in_words(self, floor: TradingFloor) -> None:
        bot = a_bot(floor)
        floor.wait(1800)
        offered(floor, found())
        floor.work(bot)
        [signal] = signals(floor)
        assert signal["code"] == "SIGNAL_TOO_OLD"


class TestOnce:
    def test_no_bar_of_a_clock_that_was_ahead(self, floor: TradingFloor) -> None:
        """Nor does such a score keep the right ones out."""
        a_bot(floor)
        right, floor.now = floor.now, floor.now + timedelta(days=2)
        ahead = found(closed_at=CLOSED_AT + timedelta(days=2), direction=Direction.SHORT)
        with floor.database.transaction() as transaction:
            reversal_scores.store(transaction, [ahead], floor.now)
        floor.now = right
        reversal_intake.offer(floor.database, floor.now)
        assert signals(floor) == []
        assert [row["understood"]["action"] for row in offered(floor, found())] == ["BUY"]

    def test_however_often_it_is_offered(self, floor: TradingFloor) -> None:
        a_bot(floor)
        offered(floor, found())
        floor.wait(300)
        assert len(offered(floor, found(confidence=Decimal("0.95")))) == 1

    def test_by_several_processes_at_once(self, floor: TradingFloor) -> None:
        a_bot(floor)
        with floor.database.transaction() as transaction:
            reversal_scores.store(transaction, [found()], floor.now)
        at_once(floor, 6)
        assert len(signals(floor)) == 1

    def test_of_two_that_contradict_each_other_the_surer_one(self, floor: TradingFloor) -> None:
        bot = a_bot(floor)
        with floor.database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO user_discord_settings (user_id, only_ml_enhanced) VALUES (%s, false)",
                (floor.user_id,),
            )
        down = found(
            version=RULES, direction=Direction.SHORT, stop=Decimal(61000), target=Decimal(58000),
            confidence=Decimal("0.8"),
        )  # fmt: skip
        [signal] = offered(floor, found(), down)
        assert (signal["bot_config_id"], signal["understood"]["action"]) == (bot, "SELL")

    def test_a_bar_that_was_scored_anew_the_other_way_is_not_traded_twice(self, floor: TradingFloor) -> None:
        a_bot(floor)
        offered(floor, found())
        down = found(
            version="model 2", direction=Direction.SHORT, stop=Decimal(61000), target=Decimal(58000),
            confidence=Decimal("0.99"),
        )  # fmt: skip
        assert len(offered(floor, down)) == 1


class TestWhatABotDoesNotTrade:
    @pytest.mark.parametrize(
        "fields",
        [
            {"direction": None, "stop": None, "target": None},
            {"edge_shown": False},
            {"confidence": Decimal("0.59")},
            {"version": RULES},
            {"timeframe": "4 Hour"},
            {"pair": "ETH/USD"},
            {"closed_at": CLOSED_AT - timedelta(hours=1)},
        ],
        ids=["hold", "no edge", "unsure", "rule", "timeframe", "pair", "expired"],
    )
    def test_unwanted(self, floor: TradingFloor, fields: dict[str, Any]) -> None:
        a_bot(floor)
        assert offered(floor, found(**fields)) == []

    def test_bars_older_than_itself(self, floor: TradingFloor) -> None:
        bot = a_bot(floor)
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE user_bot_configs SET created_at = %s WHERE id = %s", (floor.now, bot))
        assert offered(floor, found()) == []

    def test_its_users_wishes_count(self, floor: TradingFloor) -> None:
        a_bot(floor)
        with floor.database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO user_discord_settings (user_id, min_confidence, only_with_edge) VALUES (%s, 0.5, false)",
                (floor.user_id,),
            )
        assert len(offered(floor, found(confidence=Decimal("0.5"), edge_shown=False))) == 1

    @pytest.mark.parametrize(
        ("broker", "mode"), [("alpaca", "paper"), ("alpaca", "live"), ("blofin", "demo")]
    )
    def test_a_recording_at_a_real_broker(self, floor: TradingFloor, broker: str, mode: str) -> None:
        a_bot(floor)
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE user_api_keys SET broker = %s, mode = %s", (broker, mode))
        assert offered(floor, found(is_replay=True)) == []
        assert len(offered(floor, found(version="model 2"))) == 1, "real prices do"

    def test_anything_without_a_timeframe_of_its_own(self, floor: TradingFloor) -> None:
        a_bot(floor, timeframe=None)
        assert offered(floor, found()) == []

    def test_anything_when_it_is_switched_off_and_flat(self, floor: TradingFloor) -> None:
        bot = a_bot(floor)
        with floor.database.transaction() as transaction:
            bots.switch_bot(transaction, floor.user_id, bot, active=False)
        assert offered(floor, found()) == []


class TestKeptApart:
    """What comes by another way never reaches such a bot, and no score another one."""

    def test_a_score_reaches_no_bot_of_alerts(self, floor: TradingFloor) -> None:
        a_bot(floor, source="tradingview")
        assert offered(floor, found()) == []

    def test_with_both_only_its_own(self, floor: TradingFloor) -> None:
        a_bot(floor, source="tradingview", name="By alerts")
        bot = a_bot(floor, name="By scores")
        assert [row["bot_config_id"] for row in offered(floor, found())] == [bot]

    def test_an_alert_of_tradingview_reaches_no_bot_of_scores(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = open_office(database_url, monkeypatch)
        place = connection_actions.connect_paper(office.services, office.acting, "paper").id
        bot = _scores_bot(office, place)
        token = token_actions.generate(office.services, office.acting, name="TradingView")
        token = token.rpartition("token=")[2]
        with office.services.database.transaction() as transaction:
            hashed = keyed_hash(keys.hash_key(transaction, office.services.vault), token)
        body = b'{"action": "buy", "symbol": "BTCUSD", "timeframe": "60", "bot": "%d"}' % bot
        receipt = intake.receive_alert(
            office.services.database, hashed, body, "application/json", FRIDAY_MORNING
        )
        assert receipt is not None
        assert receipt.refusal is not None
        assert receipt.refusal.code == "NO_BOT"

    def test_no_service_may_sign_with_the_source(self) -> None:
        fields = read_service_fields(b'{"source": "Reversal"}', "application/json")
        assert [problem.name for problem in fields.problems] == ["source"]
        assert "DashTrade's own" in fields.problems[0].allowed


class TestMaking:
    """A bot that nothing would ever reach is refused when it is made, with the field and what is allowed."""

    @pytest.fixture
    def csv(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        """Have coins' prices come from files; there are those of BTC/USD by the hour."""
        lines = "".join(f"2026-11-20T{hour:02}:00:00Z,100,101,99,100,5\n" for hour in range(15))
        (tmp_path / "BTC-USD_1h.csv").write_text("time,open,high,low,close,volume\n" + lines)
        monkeypatch.setenv("REVERSAL_CRYPTO_SOURCE", "csv")
        monkeypatch.setenv("REVERSAL_CSV_FOLDER", str(tmp_path))
        return tmp_path

    @pytest.fixture
    def office(self, database_url: str, csv: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
        return open_office(database_url, monkeypatch)

    def make(
        self, office: Office, symbol: str = "BTC/USD", timeframe: str | None = "1h"
    ) -> bot_actions.Created:
        place = connection_actions.connect_paper(office.services, office.acting, "paper").id
        return bot_actions.create(
            office.services, office.acting, connection_id=place, symbol=symbol, timeframe=timeframe,
            position_size=Decimal(1000), source="Reversal",
        )  # fmt: skip

    def test_it_is_made_beside_one_for_alerts(self, office: Office) -> None:
        made = self.make(office)
        assert made.name == "BTC/USD 1 Hour reversals"
        with office.services.database.transaction() as transaction:
            assert bots.bot_row(transaction, made.id)["source"] == "reversal"

    @pytest.mark.parametrize(
        ("symbol", "timeframe", "field", "words"),
        [
            ("BTC/USD", None, "timeframe", "needs one timeframe of 5 Min, 15 Min"),
            ("BTC/USD", "7m", "timeframe", "needs one timeframe of 5 Min, 15 Min"),
            ("BTC/USD", "15m", "timeframe", "of 1 Hour"),
            ("ETH/USD", "1h", "symbol", "has no bars of ETH/USD"),
            ("AAPL", "1 Day", "symbol", "has no bars of AAPL"),
        ],
    )
    def test_refused(
        self, office: Office, symbol: str, timeframe: str | None, field: str, words: str
    ) -> None:
        with pytest.raises(Refused, match=words) as refused:
            self.make(office, symbol, timeframe)
        assert refused.value.field == field

    def test_a_market_that_is_off_is_named_with_its_setting(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = open_office(database_url, monkeypatch)
        with pytest.raises(Refused, match="REVERSAL_CRYPTO_SOURCE is off"):
            self.make(office)

    def test_it_cannot_be_changed_to_a_timeframe_that_is_not_scanned(self, office: Office) -> None:
        made = self.make(office)
        for timeframe in (None, "7m", "15m"):
            with pytest.raises(Refused) as refused:
                bot_actions.edit(office.services, office.acting, made.id, timeframe=timeframe)
            assert refused.value.field == "timeframe"
        bot_actions.edit(office.services, office.acting, made.id, timeframe="4h")

    def test_a_live_connection_wants_its_name_typed(self, office: Office) -> None:
        place = connection_actions.connect_paper(office.services, office.acting, "Savings").id
        with office.services.database.transaction() as transaction:
            transaction.execute("UPDATE user_api_keys SET mode = 'live'")
        wish = {
            "connection_id": place,
            "symbol": "BTC/USD",
            "timeframe": "1h",
            "position_size": Decimal(1000),
        }
        with pytest.raises(Refused, match="type the name of the connection: Savings") as refused:
            bot_actions.create(
                office.services, office.acting, source="reversal", confirmation="Saving", **wish
            )
        assert refused.value.field == "confirmation"
        bot_actions.create(office.services, office.acting, source="reversal", confirmation="Savings", **wish)

    def test_a_bot_of_tracked_trades_does_not_become_one_that_trades_by_itself(self, office: Office) -> None:
        place = connection_actions.connect_paper(office.services, office.acting, "paper").id
        bot = _scores_bot(office, place, timeframe=None)
        with pytest.raises(Refused, match="make another bot"):
            bot_actions.edit(office.services, office.acting, bot, timeframe="1h")
        bot_actions.edit(office.services, office.acting, bot, timeframe=None, cooldown_minutes=5)

    def test_a_recording_trades_at_the_paper_broker_alone(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = open_office(database_url, monkeypatch)
        instrument = Instrument(symbol="SP500", asset_class=AssetClass.STOCK)
        settings = office.services.settings
        reversal_bots.check(settings, {"broker": "paper", "label": "Practice"}, instrument, "1 Day")
        with pytest.raises(Refused, match="traded at the paper broker alone, not at Mine"):
            reversal_bots.check(settings, {"broker": "alpaca", "label": "Mine"}, instrument, "1 Day")


def _scores_bot(office: Office, place: int, timeframe: str | None = "1 Hour") -> int:
    with office.services.database.transaction() as transaction:
        return bots.create_bot(
            transaction,
            user_id=office.user.id,
            connection_id=place,
            instrument=office.services.registry.broker(place).instrument("BTC/USD"),
            timeframe=timeframe,
            position_size=Decimal(1000),
            source="reversal",
        )
