"""News that no event brings, and what the engine's events carry to those who watch us."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from alerts.occasions import PartsWatch, sum_up_the_day, tell_of_parts
from alerts.wording import alert_for
from bot_database import Database, health
from database import published
from tests.database.trading_floor import TradingFloor
from watching import shapes

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def told(database: Database, *kinds: str) -> list[dict]:
    with database.transaction() as transaction:
        return transaction.all("SELECT * FROM notifications WHERE kind = ANY(%s) ORDER BY id", (list(kinds),))


class TestParts:
    def look(self, database: Database, at: datetime) -> list[str]:
        with database.transaction() as transaction:
            tell_of_parts(transaction, at)
        return [f"{row['kind']} {row['content']['part']}" for row in told(database, "PART_DOWN", "PART_BACK")]

    def beat(self, database: Database, part: str, process: str, at: datetime) -> None:
        with database.transaction() as transaction:
            health.beat(transaction, part, process, at)

    def test_a_part_that_died_is_told_once_and_once_when_it_is_back(self, database):
        self.beat(database, "worker", "a:1", NOON)
        self.beat(database, "broker watch", "a:2", NOON + timedelta(seconds=40))
        assert self.look(database, NOON + timedelta(seconds=29)) == []
        assert self.look(database, NOON + timedelta(seconds=41)) == ["PART_DOWN worker"]
        assert self.look(database, NOON + timedelta(seconds=50)) == ["PART_DOWN worker"]
        self.beat(database, "worker", "a:9", NOON + timedelta(seconds=130))
        self.beat(database, "broker watch", "a:2", NOON + timedelta(seconds=130))
        assert self.look(database, NOON + timedelta(seconds=131)) == ["PART_DOWN worker", "PART_BACK worker"]
        (row,) = told(database, "PART_BACK")
        assert row["user_id"] is None
        assert row["content"]["sentence"] == "It was away for 2 min."

    def test_a_process_that_died_beside_one_that_lives_is_no_outage(self, database):
        self.beat(database, "worker", "a:1", NOON)
        self.beat(database, "worker", "a:2", NOON + timedelta(seconds=60))
        assert self.look(database, NOON + timedelta(seconds=61)) == []

    def test_a_clean_stop_is_no_outage(self, database):
        self.beat(database, "worker", "a:1", NOON)
        with database.transaction() as transaction:
            health.fall_silent(transaction, "worker", "a:1")
        assert self.look(database, NOON + timedelta(minutes=5)) == []

    def watched(self, database: Database, watch: PartsWatch, seconds: int) -> list[dict]:
        with database.transaction() as transaction:
            watch.look(transaction, NOON + timedelta(seconds=seconds))
        return told(database, "PART_DOWN")

    def test_after_an_outage_of_the_database_every_part_gets_the_time_to_be_heard_of(self, database):
        self.beat(database, "worker", "a:1", NOON)
        watch = PartsWatch(NOON)
        for seconds in (*range(0, 20, 5), *range(300, 340, 5)):
            assert self.watched(database, watch, seconds) == []
        self.beat(database, "broker watch", "a:2", NOON + timedelta(seconds=339))
        (row,) = self.watched(database, watch, 340)
        assert row["content"]["part"] == "worker"

    def test_a_clock_put_back_is_no_outage(self, database):
        watch = PartsWatch(NOON + timedelta(hours=1))
        self.beat(database, "worker", "a:1", NOON - timedelta(minutes=5))
        for seconds in range(0, 40, 5):
            assert self.watched(database, watch, seconds) == []
        assert len(self.watched(database, watch, 40)) == 1

    def test_two_that_look_at_once_tell_once(self, database):
        self.beat(database, "worker", "a:1", NOON)
        at = NOON + timedelta(minutes=1)
        with database.transaction() as first:
            tell_of_parts(first, at)
        assert self.look(database, at) == ["PART_DOWN worker"]


@pytest.fixture
def floor(database: Database) -> TradingFloor:
    return TradingFloor(database)


def trade_a_day(floor: TradingFloor) -> None:
    bot = floor.bot("AAPL")
    floor.market.pin("AAPL", "100", "100.10")
    floor.send(bot, "BUY")
    floor.market.pin("AAPL", "110", "110.10")
    floor.send(bot, "CLOSE")
    floor.send(bot, "BUY")


class TestDailySummary:
    def summaries(self, floor: TradingFloor, at: datetime) -> list[dict]:
        with floor.database.transaction() as transaction:
            sum_up_the_day(transaction, at)
        return told(floor.database, "DAILY_SUMMARY")

    def test_the_day_is_summed_up_once_after_new_yorks_midnight(self, floor):
        trade_a_day(floor)
        assert self.summaries(floor, datetime(2026, 11, 21, 5, 4, tzinfo=UTC)) == []
        (row,) = self.summaries(floor, datetime(2026, 11, 21, 5, 6, tzinfo=UTC))
        assert self.summaries(floor, datetime(2026, 11, 21, 5, 7, tzinfo=UTC)) == [row]
        content = row["content"]
        booked = floor.one("SELECT sum(pnl) AS pnl, sum(fees) AS fees FROM bot_performance")
        assert row["user_id"] == floor.user_id
        assert content["day"] == "2026-11-20"
        assert Decimal(content["pnl"]) == booked["pnl"] > 0
        assert Decimal(content["fees"]) == booked["fees"]
        assert (content["trades"], content["wins"], content["losses"]) == (1, 1, 0)
        assert (content["open_positions"], content["signals"], content["refused"]) == (1, 3, 0)
        words = {
            field.name: field.value for field in alert_for(row["kind"], content, row["created_at"]).fields
        }
        assert words["Won and lost"] == "1 / 0"
        assert words["P&L"].startswith("+$")

    def test_whoever_did_nothing_is_told_nothing(self, floor):
        assert self.summaries(floor, datetime(2026, 11, 21, 6, 0, tzinfo=UTC)) == []

    def test_a_server_that_was_away_for_a_week_sums_up_the_last_day_alone(self, floor):
        trade_a_day(floor)
        rows = self.summaries(floor, datetime(2026, 11, 28, 6, 0, tzinfo=UTC))
        assert [row["content"]["day"] for row in rows] == ["2026-11-27"]
        assert rows[0]["content"]["trades"] == 0


class TestPublished:
    def test_a_trade_is_published_with_what_it_closed(self, floor):
        trade_a_day(floor)
        filled = told(floor.database, "BOT_FILLED")
        with floor.database.transaction() as transaction:
            rows = published.trades_to_publish(transaction, [each["content"]["trade"] for each in filled])
        topics = [shapes.trade(rows[each["content"]["trade"]], NOON) for each in filled]
        assert [topic for topic, _ in topics] == [
            "trading/position/opened", "trading/trade/completed", "trading/position/opened",
        ]  # fmt: skip
        said = topics[1][1]
        closed = floor.one("SELECT * FROM bot_trades WHERE action = 'CLOSE'")
        opened = floor.one("SELECT * FROM bot_trades WHERE action = 'BUY' ORDER BY id LIMIT 1")
        assert said["exit_price"] == float(closed["filled_price"])
        assert said["pnl"] == float(closed["realized_pnl"])
        assert said["entry_price"] == pytest.approx(float(opened["filled_price"]), rel=0.001)
        assert said["side"] == "long"

    def test_the_standing_counts_this_sessions_trades_alone(self, floor):
        trade_a_day(floor)
        with floor.database.transaction() as transaction:
            all_of_it = published.standing(transaction, NOON - timedelta(days=30))
            later = published.standing(transaction, datetime.now(UTC) + timedelta(days=1))
        assert (all_of_it["total_trades"], all_of_it["winning_trades"], all_of_it["open_positions"]) == (
            1,
            1,
            1,
        )
        assert all_of_it["total_pnl"] > 0
        assert (later["total_trades"], later["total_pnl"], later["open_positions"]) == (0, 0, 1)
