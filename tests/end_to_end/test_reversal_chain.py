"""The whole chain of a reversal signal at the speed of a replay, every part restarted between its steps.

Recorded bars → scan → two users with different wishes → messages in a simulated Discord → one opens a trade with
a stop of her own → the monitor walks the bars → its target → the message, the figures, the CSV file.
"""

import csv
import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest

from core.bar import EPOCH
from tests.discord_room.room import in_room, serving
from tests.discord_room.signals import wishes
from tests.end_to_end import reversal_clock
from tests.end_to_end.reversal_clock import HOUR, ROOT

# A Monday in a week that is played; the first scan of all makes the model
BEGIN = EPOCH.replace(year=2026, month=11, day=16, hour=8)
MINUTE = timedelta(minutes=1)
ANNS = {"min_confidence": Decimal("0.38"), "only_ml_enhanced": True}
BOBS = {"min_confidence": Decimal("0.25"), "only_ml_enhanced": False, "max_notifications_per_day": 1}


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


@pytest.fixture
def environment(desk):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DASHTRADE_HOME") if name in os.environ}
    return kept | {
        "DATABASE_URL": desk.database.url,
        "PUBLIC_URL": "http://localhost:8080",
        "DASHTRADE_ENV_FILE": os.devnull,
        "TZ": "UTC",
    }


class Chain:
    """One user with wishes and the parts, each of which is a fresh process whenever it does something."""

    def __init__(self, room, environment):
        self.room = room
        self.desk = room.desk
        self.environment = environment
        self.people = {}

    def join(self, trader, name, **wanted):
        person = self.people[trader.id] = self.room.env.create_user(name)
        self.room.guild.add_member(person)
        self.room.link(trader, person.id)
        pairs = {"preferred_pairs": ["EUR/USD"], "enabled_timeframes": ["1 Hour"], "only_with_edge": False}
        wishes(self.desk, trader.id, **pairs, **wanted)

    def scan(self, first, last=None):
        reversal_clock.run("scan", self.environment, first, last or first)

    def follow(self, first, last):
        reversal_clock.run("follow", self.environment, first, last)

    def manage(self, *arguments):
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def new_bot(self, moment):
        """Kill the bot and bring another, at a moment that Discord and the bot take for now."""
        await self.room.leave()
        clock = self.room.env.backend.clock
        clock._epoch += moment - self.room.env.now()
        await self.room.come_back()

    def signals(self, trader):
        return self.desk.all(
            "SELECT * FROM signal_notifications WHERE user_id = %s ORDER BY id", (trader.id,)
        )

    def trade(self):
        [trade] = self.desk.all("SELECT * FROM user_trades")
        return trade

    def message(self, trader):
        channel = self.people[trader.id].dm_channel
        return None if channel is None else channel.last_message


async def is_sent(chain, trader):
    """Bring the bot to where the newest signal was just found, and wait until it has sent it."""
    await chain.new_bot(chain.signals(trader)[-1]["bar_closed_at"] + MINUTE / 3)
    await chain.room.until(lambda: chain.signals(trader)[-1]["sent_at"])
    return chain.message(trader)


async def open_with_a_wider_stop(chain, trader):
    """Open a trade from the newest message; message, form and answer are each met by another process of the bot."""
    signal = chain.signals(trader)[-1]
    await chain.new_bot(signal["bar_closed_at"] + MINUTE)
    shown = await chain.people[trader.id].click(chain.message(trader), label="Open Trade")
    await chain.new_bot(signal["bar_closed_at"] + 2 * MINUTE)
    entry, stop, target = (signal[name] for name in ("entry_price", "stop_loss", "take_profit"))
    form = {
        "entry": f"{entry:.5f}",
        "lots": "0.5",
        "stop": f"{entry + 3 * (stop - entry):.5f}",
        "target": f"{target:.5f}",
        "notes": "=a wider stop",
    }
    answer = await chain.people[trader.id].submit_modal(shown, form)
    assert "Trade opened" in answer.response.content
    trade = chain.trade()
    assert trade["stop_loss"] == Decimal(form["stop"]) != stop
    return trade


def test_from_recorded_bars_to_the_csv_file_with_a_restart_of_each_part(desk, ann, served, environment):
    bob = desk.trader("bob@example.org")

    async def play(room):
        chain = Chain(room, environment)
        chain.join(ann, "ann_trades", **ANNS)
        chain.join(bob, "bob_trades", **BOBS)

        # The rule sees something that Bob wants and Ann does not
        chain.scan(BEGIN)
        chain.scan(BEGIN)
        assert [row["model_version"] for row in chain.signals(bob)] == ["rules"]
        assert chain.signals(ann) == []
        shown = (await is_sent(chain, bob)).embeds[0]
        assert shown.title.startswith("🔔 REPLAY · ")
        assert "plain RSI rule" in shown.description

        # The model is sure enough for Ann in the evening; Bob was told today
        chain.scan(BEGIN + HOUR, BEGIN + 13 * HOUR)
        hour = BEGIN + 14 * HOUR
        while not chain.signals(ann):
            assert hour < BEGIN + 24 * HOUR, "a day without any signal"
            chain.scan(hour)
            hour += HOUR
        [signal] = chain.signals(ann)
        assert (signal["source"], signal["edge_shown"]) == ("replay", False)
        assert signal["confidence"] >= ANNS["min_confidence"]
        days = [row["day"] for row in chain.signals(bob)]
        assert len(days) == len(set(days))
        assert (await is_sent(chain, ann)).embeds[0].title.startswith("🔔 REPLAY · ")

        trade = await open_with_a_wider_stop(chain, ann)
        while trade["status"] == "open":
            # Every twelve hours another process
            chain.follow(hour, hour + 11 * HOUR)
            hour += 12 * HOUR
            assert hour < BEGIN + 14 * 24 * HOUR, "followed for two weeks in vain"
            trade = chain.trade()
        assert (trade["status"], trade["close_reason"], trade["result"]) == ("closed", "tp_hit", "win")
        asked = abs(trade["take_profit"] - trade["entry_price"]) / Decimal("0.0001")
        assert trade["pips"] >= asked.quantize(Decimal("0.1"))
        # A pip of half a lot of EUR/USD is five dollars
        assert abs(trade["profit_loss"] - trade["pips"] * 5) < 1

        await chain.new_bot(trade["close_time"] + MINUTE)
        told = "SELECT discord_notified FROM trade_updates WHERE update_type = 'tp_hit'"
        await room.until(lambda: desk.value(told))
        message = chain.message(ann)
        words = message.content + "".join(f"{each.title}{each.description}" for each in message.embeds)
        assert f"Take Profit Hit! +{trade['pips'].normalize():f} pips" in words
        assert f"#{trade['id']}" in words
        assert "Take Profit" not in str(chain.message(bob).embeds[0].title)

        answer = await chain.people[ann.id].slash("history")
        assert f"#{trade['id']}" in str(answer.response.embeds[0].to_dict())
        [row] = csv.DictReader(chain.manage("tracked", "export", "ann@example.org").splitlines())
        assert (row["status"], row["result"], row["close_reason"]) == ("closed", "win", "tp_hit")
        assert Decimal(row["pips"]) == trade["pips"]
        assert row["notes"] == "'=a wider stop"
        assert list(csv.DictReader(chain.manage("tracked", "export", "bob@example.org").splitlines())) == []

    in_room(desk, served, play)
