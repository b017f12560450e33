"""What /metrics gives of queues and of alerts: how long the oldest waits, what was sent, and what was given up."""

from datetime import UTC, datetime, timedelta

import pytest

from core.signal import Action
from database import standing, tallies
from database.notifications import NotificationKind
from database.pool import Database
from tests.database.alert_post import AlertPost, Clock
from tests.database.trading_floor import TradingFloor
from tests.discord_server.answers import Answer
from tests.discord_server.server import DiscordServer

ANN, BOB = 11, 12


def gauge(database: Database, name: str, **labels: str) -> float:
    with database.transaction() as transaction:
        [row] = [row for row in standing.read(transaction)[name] if labels.items() <= row.items()]
    return float(row["value"])


def test_how_long_the_oldest_signal_has_waited(database: Database) -> None:
    floor = TradingFloor(database)
    assert gauge(database, "dashtrade_signal_oldest_seconds", state="STORED") == 0
    signal = floor.send(floor.bot(), Action.BUY)
    with database.transaction() as transaction:
        # As where no worker ran for five minutes
        transaction.execute(
            """
            UPDATE signals SET state = 'STORED', finished_at = NULL, stored_at = now() - interval '5 min'
             WHERE uuid = %s
            """,
            (signal["uuid"],),
        )
    assert gauge(database, "dashtrade_signals_waiting", state="STORED") == 1
    age = gauge(database, "dashtrade_signal_oldest_seconds", state="STORED")
    assert age == pytest.approx(300, abs=120)


def test_alerts_that_wait_were_sent_and_were_given_up(database: Database) -> None:
    with DiscordServer() as discord:
        post = AlertPost(database=database, discord=discord, clock=Clock(datetime.now(UTC)))
        ann, bob = post.user(), post.user("bob@example.org")
        post.channel(ann, ANN)
        post.channel(bob, BOB)
        notifier = post.notifier()
        discord.script(BOB, Answer(status=503), Answer.unknown_webhook())
        for user in (ann, bob):
            post.tell(user, NotificationKind.BOT_REJECTED, bot="A", code="X", sentence="No.")
        assert gauge(database, "dashtrade_notifications_unrouted") == 2
        post.deliver(notifier)
        assert gauge(database, "dashtrade_notifications_unrouted") == 0
        assert gauge(database, "dashtrade_alerts_waiting", transport="DISCORD") == 1
        assert gauge(database, "dashtrade_alert_oldest_seconds", transport="DISCORD") < 120
        post.clock.at += timedelta(hours=1)
        post.deliver(notifier)
    with database.transaction() as transaction:
        found: dict[tuple[str, ...], int] = {}
        for each in tallies.read(transaction):
            key = (each.figure, *each.labels)
            found[key] = found.get(key, 0) + each.times
    wanted = {
        ("alert_attempt", "DISCORD"): 3,
        ("alert_finished", "DISCORD", "SENT"): 1,
        ("alert_finished", "DISCORD", "FAILED"): 1,
        ("notification", "BOT_REJECTED"): 2,
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert gauge(database, "dashtrade_alert_channels_off", transport="DISCORD") == 1
