"""The figures of a day: counted by hand, made once, made up after a standstill; and what is put away."""

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.bar import Bar
from database import duties, market_bars
from database.pool import Database, Row
from reversal import closing_day

DAY = date(2026, 11, 18)
MORNING = datetime(2026, 11, 18, 8, 0, tzinfo=UTC)
AFTER_MIDNIGHT = datetime(2026, 11, 19, 0, 0, 20, tzinfo=UTC)


class Day:
    """One day's rows as a test wants them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.numbers = iter(range(1, 10_000))
        self.user_id = self.user(discord_user_id=1)

    def insert(self, table: str, **columns: Any) -> int:
        names = ", ".join(columns)
        places = ", ".join(f"%({name})s" for name in columns)
        with self.database.transaction() as transaction:
            key = "user_id" if table == "user_discord_settings" else "id"
            sql = f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING {key}"
            return int(transaction.value(sql, columns))

    def user(self, discord_user_id: int | None = None, *, is_active: bool = True) -> int:
        email = f"{next(self.numbers)}@example.org"
        user_id = self.insert("users", email=email, password_hash="x", is_active=is_active)
        self.insert("user_discord_settings", user_id=user_id, discord_user_id=discord_user_id)
        return user_id

    def scan(self, at: datetime, **columns: Any) -> None:
        self.insert("scans", due_at=at, started_at=at, timeframes=["1 Hour"], **columns)

    def told(self, at: datetime, *, after_ms: int | None = None, **columns: Any) -> None:
        sent_at = None if after_ms is None else at + timedelta(milliseconds=after_ms)
        usual = {
            "user_id": self.user_id, "pair": "EUR/USD", "timeframe": "1 Hour", "signal_type": "long",
            "bar_opened_at": at + timedelta(seconds=next(self.numbers)), "bar_closed_at": at,
            "confidence": Decimal("0.7"), "entry_price": 1, "stop_loss": 1, "take_profit": 1,
            "risk_reward_ratio": 2, "model_version": "m", "source": "csv", "edge_shown": True, "day": at.date(),
            "expires_at": at, "created_at": at, "sent_at": sent_at,
        }  # fmt: skip
        self.insert("signal_notifications", **(usual | columns))

    def trade(self, closed_at: datetime | None, **columns: Any) -> int:
        opened = (closed_at or MORNING) - timedelta(minutes=columns.pop("minutes", 60))
        usual = {
            "user_id": self.user_id, "pair": "EUR/USD", "direction": "long", "entry_price": Decimal("1.1"),
            "entry_time": opened, "lot_size": Decimal("0.1"), "stop_loss": Decimal("1.09"),
            "take_profit": Decimal("1.12"), "reward_to_risk": Decimal(2), "account_currency": "USD",
            "source": "csv", "looked_until": opened, "request_key": str(next(self.numbers)),
            "created_at": opened, "updated_at": opened,
        }  # fmt: skip
        if closed_at is not None:
            usual |= {"status": "closed", "close_time": closed_at, "close_reason": "tp_hit", "result": "win",
                      "pips": Decimal(100), "profit_loss": Decimal(100)}  # fmt: skip
        return self.insert("user_trades", **(usual | columns))

    def update(self, trade_id: int, at: datetime, **columns: Any) -> None:
        usual = {"trade_id": trade_id, "update_type": "price_update", "current_price": 1, "current_pips": 1,
                 "message": "", "created_at": at}  # fmt: skip
        self.insert("trade_updates", **(usual | columns))

    def price(self, pair: str, price: str) -> None:
        prices = dict.fromkeys(("open", "high", "low", "close"), Decimal(price))
        bar = Bar(opened_at=MORNING, closed_at=MORNING + timedelta(hours=1), **prices)
        with self.database.transaction() as transaction:
            market_bars.store(transaction, pair, "1 Hour", "csv", [bar], AFTER_MIDNIGHT)
            market_bars.note_fetched(transaction, pair, "1 Hour", "csv", MORNING, AFTER_MIDNIGHT)

    def close(self, now: datetime = AFTER_MIDNIGHT, **more: Any) -> list[date]:
        return closing_day.make(self.database, now, **more)

    def rows(self, sql: str) -> list[Row]:
        with self.database.transaction() as transaction:
            return transaction.all(sql)

    def figures(self, day: date = DAY) -> Row:
        [row] = [row for row in self.rows("SELECT * FROM daily_statistics") if row["day"] == day]
        return row


@pytest.fixture
def day(database: Database) -> Day:
    return Day(database)


class TestFigures:
    def test_people(self, day: Day) -> None:
        day.user()
        day.user(discord_user_id=2)
        day.user(discord_user_id=3, is_active=False)
        day.scan(MORNING)
        day.close()
        assert (day.figures()["users"], day.figures()["users_linked"]) == (3, 2)

    def test_signals_count_on_the_day_on_which_each_thing_happened(self, day: Day) -> None:
        day.scan(MORNING)
        yesterday = MORNING - timedelta(days=1)
        day.told(MORNING, after_ms=1000)
        day.told(MORNING, after_ms=3000, acknowledged=True, acknowledged_at=MORNING, answer="opened")
        day.told(yesterday, after_ms=5000, acknowledged=True, acknowledged_at=MORNING, answer="ignored")
        day.told(MORNING, failed_at=MORNING)
        day.told(MORNING)
        day.close()
        figures = day.figures()
        assert (figures["signals_sent"], figures["signals_acknowledged"], figures["signals_traded"]) == (
            2,
            2,
            1,
        )
        assert (figures["messages_sent"], figures["messages_failed"]) == (2, 1)
        assert figures["delivery_ms_p50"] == 2000
        assert figures["delivery_ms_p99"] == Decimal("2980.0")

    def test_what_happened_on_a_later_day_is_not_this_days_even_when_it_is_made_late(self, day: Day) -> None:
        day.told(MORNING, after_ms=5)
        day.scan(MORNING)
        later = {"acknowledged": True, "acknowledged_at": AFTER_MIDNIGHT, "answer": "opened"}
        day.told(AFTER_MIDNIGHT, after_ms=5, **later)
        day.told(AFTER_MIDNIGHT, failed_at=AFTER_MIDNIGHT)
        day.trade(AFTER_MIDNIGHT)
        day.close(AFTER_MIDNIGHT + timedelta(days=2))
        names = ("signals_sent", "signals_acknowledged", "signals_traded", "messages_failed", "trades_closed")
        assert [day.figures()[name] for name in names] == [1, 0, 0, 0, 0]

    def test_trades(self, day: Day) -> None:
        noon = MORNING + timedelta(hours=4)
        day.trade(noon, minutes=30)
        lost = {
            "result": "loss",
            "pips": Decimal("-50"),
            "profit_loss": Decimal("-49.5"),
            "close_reason": "sl_hit",
        }
        day.trade(noon, minutes=90, reward_to_risk=Decimal("1.5"), **lost)
        day.trade(noon, minutes=60, result="breakeven", pips=0, profit_loss=0)
        day.trade(noon + timedelta(days=1))
        day.trade(None)
        day.close()
        figures = day.figures()
        assert (figures["trades_closed"], figures["trades_won"], figures["trades_lost"]) == (3, 1, 1)
        assert figures["average_holding_seconds"] == 3600
        assert figures["average_reward_to_risk"] == Decimal("1.83")
        assert (figures["total_pips"], figures["total_profit_loss"]) == (50, Decimal("50.50"))

    def test_money_of_accounts_in_other_currencies_is_put_into_dollars(self, day: Day) -> None:
        day.price("EUR/USD", "1.2")
        day.price("USD/JPY", "150")
        day.trade(MORNING, account_currency="EUR", profit_loss=Decimal(10))
        day.trade(MORNING, account_currency="JPY", profit_loss=Decimal(-1500))
        day.trade(MORNING, account_currency="SEK", profit_loss=Decimal(7))
        day.trade(MORNING, profit_loss=None)
        day.close()
        assert (day.figures()["total_profit_loss"], day.figures()["trades_unpriced"]) == (Decimal("2.00"), 2)

    def test_points_are_not_added_to_pips(self, day: Day) -> None:
        day.trade(MORNING, pips=Decimal(12))
        day.trade(MORNING, pair="AAPL", pips=Decimal(900))
        day.close()
        assert day.figures()["total_pips"] == 12

    def test_scans_and_messages(self, day: Day) -> None:
        day.scan(MORNING, model_ms=Decimal(20), finished_at=MORNING, pairs=1)
        day.scan(MORNING + timedelta(hours=1), model_ms=Decimal(40), finished_at=MORNING, pairs=1)
        day.scan(MORNING + timedelta(hours=2), failure="the model was refused")
        trade = day.trade(None)
        day.update(trade, MORNING, discord_notified=True)
        day.update(trade, MORNING, failed_at=MORNING)
        day.close()
        figures = day.figures()
        assert (figures["scans"], figures["scans_failed"], figures["model_ms_mean"]) == (3, 1, 30)
        assert (figures["messages_sent"], figures["messages_failed"]) == (1, 1)

    def test_a_scan_that_nobody_finished_is_no_success(self, day: Day) -> None:
        """The watch was killed in it, and by the next start its bar was no longer the newest."""
        day.scan(MORNING, finished_at=MORNING, pairs=1)
        day.scan(MORNING + timedelta(minutes=5))
        day.close()
        assert (day.figures()["scans"], day.figures()["scans_failed"]) == (2, 1)

    def test_a_scan_to_which_no_source_gave_a_bar_failed(self, day: Day) -> None:
        ended = {"finished_at": MORNING, "pairs": 2}
        for hours, looked in enumerate(
            ({"late": 2, "scores": 0}, {"late": 1, "scores": 2}, {"late": 0, "scores": 0})
        ):
            day.scan(MORNING + timedelta(hours=hours), **ended, **looked)
        day.close()
        assert (day.figures()["scans"], day.figures()["scans_failed"]) == (3, 1)

    def test_a_scan_that_looks_for_late_bars_again_is_no_failure(self, day: Day) -> None:
        day.scan(MORNING, pairs=2, late=1)
        day.close()
        assert (day.figures()["scans"], day.figures()["scans_failed"]) == (1, 0)

    def test_a_day_without_anything_has_figures_too(self, day: Day) -> None:
        day.scan(MORNING - timedelta(days=1))
        day.close()
        assert day.figures()["average_holding_seconds"] is None
        assert day.figures()["total_profit_loss"] == 0


class TestOnce:
    def test_before_midnight_there_is_nothing_to_do(self, day: Day) -> None:
        day.scan(MORNING)
        assert not closing_day.is_due(day.database, AFTER_MIDNIGHT - timedelta(seconds=21))
        assert closing_day.is_due(day.database, AFTER_MIDNIGHT)

    def test_a_day_is_made_once_and_stays(self, day: Day) -> None:
        day.scan(MORNING)
        assert day.close() == [DAY]
        day.scan(MORNING + timedelta(hours=1))
        assert day.close() == []
        assert day.figures()["scans"] == 1
        assert not closing_day.is_due(day.database, AFTER_MIDNIGHT)

    def test_days_missed_by_a_standstill_are_made_up(self, day: Day) -> None:
        day.scan(MORNING)
        day.close()
        made = day.close(AFTER_MIDNIGHT + timedelta(days=4))
        assert made == [DAY + timedelta(days=number) for number in (1, 2, 3, 4)]

    def test_days_that_a_clock_made_too_early_are_made_again_when_they_are_over(self, day: Day) -> None:
        """Else the figures of all days up to the wrong one would stay empty."""
        day.scan(MORNING)
        assert day.close(AFTER_MIDNIGHT + timedelta(days=9, hours=5)) != []
        day.scan(MORNING + timedelta(hours=1))
        assert not closing_day.is_due(day.database, AFTER_MIDNIGHT - timedelta(hours=1))
        assert closing_day.is_due(day.database, AFTER_MIDNIGHT)
        assert day.close() == [DAY]
        assert day.figures()["scans"] == 2
        assert day.close() == []
        day.scan(MORNING + timedelta(days=1))
        assert day.close(AFTER_MIDNIGHT + timedelta(days=1)) == [DAY + timedelta(days=1)]
        assert day.close(AFTER_MIDNIGHT + timedelta(days=9, hours=6)) == []

    def test_before_anything_happened_no_day_is_made(self, day: Day) -> None:
        assert day.close() == []

    def test_two_at_once_make_each_day_once(self, day: Day) -> None:
        day.scan(MORNING)
        made: list[date] = []
        gate = threading.Barrier(3)

        def close() -> None:
            pool = Database(day.database.url, size=1)
            gate.wait()
            made.extend(closing_day.make(pool, AFTER_MIDNIGHT + timedelta(days=5)))

        threads = [threading.Thread(target=close) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(made) == [DAY + timedelta(days=number) for number in range(6)]

    def test_one_process_does_it_at_a_time(self, day: Day) -> None:
        other = Database(day.database.url, size=1)
        with duties.alone(day.database, duties.Duty.CLOSE_THE_DAY) as ours:
            assert ours
            with duties.alone(other, duties.Duty.CLOSE_THE_DAY) as theirs:
                assert not theirs
            with duties.alone(other, duties.Duty.FOLLOW_TRADES) as another:
                assert another
        with duties.alone(other, duties.Duty.CLOSE_THE_DAY) as now_theirs:
            assert now_theirs


class TestPutAway:
    def test_trades_that_ended_long_ago_are_archived_and_others_are_not(self, day: Day) -> None:
        long_ago = AFTER_MIDNIGHT - timedelta(days=91)
        old = day.trade(long_ago)
        day.trade(AFTER_MIDNIGHT - timedelta(days=89))
        day.trade(None, entry_time=long_ago)
        day.close()
        archived = day.rows("SELECT id, archived_at FROM user_trades WHERE archived_at IS NOT NULL")
        assert archived == [{"id": old, "archived_at": AFTER_MIDNIGHT}]

    def test_how_long_ago_is_a_setting(self, day: Day) -> None:
        day.trade(AFTER_MIDNIGHT - timedelta(days=11))
        day.close(archived_after=timedelta(days=10))
        assert len(day.rows("SELECT FROM user_trades WHERE archived_at IS NOT NULL")) == 1

    def test_more_than_one_batch(self, day: Day) -> None:
        first = day.trade(AFTER_MIDNIGHT - timedelta(days=100))
        with day.database.transaction() as transaction:
            names = [
                row["column_name"]
                for row in transaction.all(
                    """
                    SELECT column_name FROM information_schema.columns WHERE table_name = 'user_trades'
                       AND column_name NOT IN ('id', 'request_key')
                    """
                )
            ]
            columns = ", ".join(names)
            transaction.execute(
                f"""
                INSERT INTO user_trades ({columns}, request_key)
                SELECT {columns}, 'many ' || number FROM user_trades, generate_series(1, 2500) AS number
                 WHERE id = %s
                """,
                (first,),
            )
        day.close()
        assert len(day.rows("SELECT FROM user_trades WHERE archived_at IS NOT NULL")) == 2501

    def test_old_scans_scores_and_fine_bars_go_and_users_rows_stay(self, day: Day) -> None:
        long_ago = AFTER_MIDNIGHT - timedelta(days=91)
        day.scan(long_ago)
        day.scan(MORNING)
        day.told(long_ago, after_ms=5)
        with day.database.transaction() as transaction:
            for timeframe in ("1 Min", "5 Min", "15 Min", "1 Hour"):
                for opened_at in (long_ago, MORNING):
                    prices = dict.fromkeys(("open", "high", "low", "close"), Decimal(1))
                    bar = Bar(opened_at=opened_at, closed_at=opened_at, **prices)
                    market_bars.store(transaction, "EUR/USD", timeframe, "csv", [bar], opened_at)
                market_bars.note_fetched(transaction, "EUR/USD", timeframe, "csv", MORNING, MORNING)
        day.close()
        assert [row["due_at"] for row in day.rows("SELECT due_at FROM scans")] == [MORNING]
        assert len(day.rows("SELECT FROM signal_notifications")) == 1
        kept = day.rows("SELECT timeframe FROM market_bars WHERE opened_at < '2026-09-01'")
        assert {row["timeframe"] for row in kept} == {"15 Min", "1 Hour"}
        assert len(day.rows("SELECT FROM market_bars")) == 6
