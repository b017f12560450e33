"""`/settings`, `/trades`, `/history`, `/stop` and the trading part of `/stats`: each caller's own, and no data said."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from actions import tracked_trades
from core.bar import Bar
from core.pips import Direction
from core.trade_wording import REPLAY
from database import discord_accounts, market_bars
from discord_bot import reversal_settings, slash
from tests.discord_room.room import in_room, serving
from tests.discord_room.signals import trade

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


async def asked(room, name, member=None, **options):
    """Run a slash command and return its answer, which is the caller's alone."""
    result = await (member or room.ann).slash(room.channel, name, **options)
    assert result.acknowledged
    assert result.response.ephemeral
    return result.response


def fields(answer):
    return {field.name: field.value for field in answer.embeds[0].fields}


def at_price(desk, pair, price):
    """Let the newest bar of a pair close at a price."""
    opened = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    value = Decimal(price)
    bar = Bar(
        opened_at=opened,
        closed_at=opened + timedelta(hours=1),
        open=value,
        high=value,
        low=value,
        close=value,
    )
    with desk.database.transaction() as transaction:
        market_bars.store(transaction, pair, "1 Hour", REPLAY, [bar], datetime.now(UTC))
        market_bars.note_fetched(
            transaction, pair, "1 Hour", REPLAY, until=bar.closed_at, now=datetime.now(UTC)
        )


def close(desk, user_id, trade_id, price):
    tracked_trades.close_trade(
        desk.database, user_id, "test", trade_id, datetime.now(UTC), price=Decimal(price)
    )


# --- nobody, nothing ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"), [("settings", {}), ("trades", {}), ("history", {}), ("stop", {"trade_id": 1})]
)
def test_one_who_is_not_linked_is_told_how_to_link(desk, ann, served, name, options):
    async def play(room):
        trade(desk, ann.id)
        answer = await asked(room, name, **options)
        assert "linked to no DashTrade account" in answer.content
        assert answer.embeds == []
        assert desk.value("SELECT status FROM user_trades") == "open"

    in_room(desk, served, play)


def test_before_there_are_trades_each_says_no_data_and_why(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        opened = (await asked(room, "trades")).embeds[0]
        assert (opened.title, "You have no open trade" in opened.description) == (
            "Open trades: No Data",
            True,
        )
        past = (await asked(room, "history")).embeds[0]
        assert (past.title, "None of your trades has ended" in past.description) == ("History: No Data", True)
        own = (await asked(room, "stats")).embeds[-1]
        assert own.title == "Your Tracked Trades: No Data"
        trade(desk, ann.id)
        assert "1 still open" in (await asked(room, "stats")).embeds[-1].description

    in_room(desk, served, play)


# --- /trades ------------------------------------------------------------------------------------


def test_open_trades_with_pips_money_and_the_way_between_stop_and_target(desk, ann, served):
    eve = desk.trader("eve@example.org")

    async def play(room):
        room.link(ann, room.ann.id)
        number = trade(desk, ann.id, notes="@everyone *look*")
        trade(
            desk, eve.id, pair="GBP/USD", entry=Decimal("1.25"), stop=Decimal("1.24"), target=Decimal("1.27")
        )
        with desk.database.transaction() as transaction:
            transaction.execute(
                "UPDATE user_trades SET current_price = 1.0881, current_pips = 27, current_pnl = 135,"
                " entry_time = now() - interval '1 hour 43 minutes 30 seconds' WHERE id = %s", (number,),
            )  # fmt: skip
        answer = await asked(room, "trades")
        assert answer.embeds[0].title == "📊 Open trades: 1"
        [(name, value)] = fields(answer).items()
        assert name == f"REPLAY · #{number} EUR/USD LONG · 0.5 lots"
        lines = value.splitlines()
        assert lines[:4] == [
            "Entry 1.08540, stop 1.08000, target 1.09620",
            "Now 1.08810: +27 pips (+$135)",
            "🛑 ▰▰▰▰▰▱▱▱▱▱ 🎯 50 %",
            "Open for 1h 43m",
        ]
        assert "@everyone" not in lines[4]
        assert "\\*look\\*" in lines[4]

    in_room(desk, served, play)


def test_the_way_of_a_short_runs_down_and_a_new_one_was_not_looked_at(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        number = trade(
            desk, ann.id, direction=Direction.SHORT, stop=Decimal("1.0900"), target=Decimal("1.0762")
        )
        [value] = fields(await asked(room, "trades")).values()
        assert "Not looked at yet" in value
        with desk.database.transaction() as transaction:
            transaction.execute(
                "UPDATE user_trades SET current_price = 1.09, current_pips = -46, current_pnl = NULL WHERE id = %s",
                (number,),
            )
        [value] = fields(await asked(room, "trades")).values()
        assert "🛑 ▱▱▱▱▱▱▱▱▱▱ 🎯 0 %" in value
        assert "−46 pips (in USD unknown: no rate is known)" in value

    in_room(desk, served, play)


def test_of_many_open_trades_the_newest_are_shown_and_all_are_counted(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        numbers = [trade(desk, ann.id, notes="x" * 1000) for _ in range(30)]
        answer = await asked(room, "trades")
        assert answer.embeds[0].title == "📊 Open trades: 30"
        assert "The newest" in answer.embeds[0].description
        assert next(iter(fields(answer))).startswith(f"REPLAY · #{numbers[-1]} ")
        assert len(answer.embeds[0]) <= 6000

    in_room(desk, served, play)


# --- /history -----------------------------------------------------------------------------------


def test_closed_trades_newest_first_and_page_by_page_after_a_restart_too(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        numbers = [trade(desk, ann.id) for _ in range(14)]
        for number in numbers:
            close(desk, ann.id, number, "1.0962" if number % 2 else "1.0800")
        still_open = trade(desk, ann.id)
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE user_trades SET archived_at = now() WHERE id = %s", (numbers[0],))
        answer = await asked(room, "history")
        seen = [list(fields(answer))]
        first = fields(answer)[f"REPLAY · #{numbers[-1]} EUR/USD LONG · 0.5 lots"]
        won = numbers[-1] % 2
        assert first.startswith("✋ By hand: +108 pips (+$540)" if won else "✋ By hand: −54 pips (−$270)")
        assert "1.08540 → " in first
        await room.leave()
        await room.come_back()
        for _ in range(2):
            turned = await room.ann.click(answer, label="Older")
            seen.append(list(fields(turned.response)))
            answer = turned.response
        shown = [int(name.split()[2].removeprefix("#")) for page in seen for name in page]
        assert shown == numbers[::-1]
        assert still_open not in shown
        assert [each["label"] for row in answer.components for each in row["components"]] == ["Newest"]
        back = await room.ann.click(answer, label="Newest")
        assert list(fields(back.response)) == seen[0]

    in_room(desk, served, play)


# --- /stop --------------------------------------------------------------------------------------


def test_stop_closes_at_the_newest_price_and_says_what_came_of_it(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        at_price(desk, "EUR/USD", "1.0896")
        number = trade(desk, ann.id)
        answer = await asked(room, "stop", trade_id=number)
        assert answer.content.startswith("✋ Closed by hand: +42 pips (+$210)")
        assert f"Trade #{number}" in answer.content
        assert "Closed at 1.0896." in answer.content
        row = desk.all("SELECT * FROM user_trades")[0]
        assert (row["status"], row["close_reason"], row["close_price"], row["result"]) == (
            "closed",
            "manual_close",
            Decimal("1.0896"),
            "win",
        )
        again = await asked(room, "stop", trade_id=number)
        assert "was closed" in again.content
        assert desk.value("SELECT actor FROM audit_log WHERE action = 'trade close'") == "discord /stop"

    in_room(desk, served, play)


def test_a_stranger_s_trade_answers_as_an_unknown_one_does(desk, ann, served):
    eve = desk.trader("eve@example.org")

    async def play(room):
        room.link(ann, room.ann.id)
        theirs = trade(desk, eve.id)
        answers = {(await asked(room, "stop", trade_id=number)).content for number in (theirs, 999_999)}
        assert answers == {"❌ There is no such trade."}
        assert desk.value("SELECT status FROM user_trades") == "open"

    in_room(desk, served, play)


def test_without_a_price_stop_says_so(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        number = trade(desk, ann.id)
        answer = await asked(room, "stop", trade_id=number)
        assert "No price of EUR/USD is known" in answer.content
        for wrong in ("1,0854", "one", "-1", "1085"):
            refused = await asked(room, "stop", trade_id=number, price=wrong)
            assert refused.content.startswith("❌ ")
        assert desk.value("SELECT status FROM user_trades") == "open"
        answer = await asked(room, "stop", trade_id=number, price="1.0896")
        assert answer.content.startswith("✋ Closed by hand: +42 pips (+$210)")
        assert desk.value("SELECT close_price FROM user_trades") == Decimal("1.0896")

    in_room(desk, served, play)


# --- /stats -------------------------------------------------------------------------------------


def test_ones_own_tracked_trades_are_summed_up(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        for price in ("1.0962", "1.0962", "1.0800"):
            close(desk, ann.id, trade(desk, ann.id), price)
        embed = (await asked(room, "stats")).embeds[-1]
        shown = {field.name: field.value for field in embed.fields}
        assert embed.title == "🎯 Your Tracked Trades"
        assert shown["Trades"] == "3"
        assert shown["Won / lost / even"] == "2 / 1 / 0"
        assert shown["Win rate"] == "66.7 %"
        assert shown["P&L"] == "+$810"
        assert shown["Pips"] == "+162 pips"
        assert shown["Average R:R"].startswith("1:2")
        assert shown["Best"].endswith("EUR/USD: +108 pips (+$540)")
        assert shown["Worst"].endswith("EUR/USD: −54 pips (−$270)")

    in_room(desk, served, play)


# --- /settings ----------------------------------------------------------------------------------


def test_settings_are_shown_and_changed(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        before = fields(await asked(room, "settings"))
        assert before["timeframes"] == "1 Hour, 4 Hour"
        assert before["pairs"] == "EUR/USD, GBP/USD, USD/JPY"
        assert before["min_confidence"] == "0.6 (60 %)"
        assert before["channel"] == "direct messages"
        answer = await asked(
            room, "settings", timeframes="15m, 4h", pairs="eur/usd, btc/usd", min_confidence="0.7",
            only_with_edge=False, daily_maximum=5, cooldown_minutes=60, update_minutes=0,
            trade_limit_hours=24, currency="eur", channel=f"<#{room.channel.id}>", notifications=True,
        )  # fmt: skip
        assert answer.embeds[0].title.startswith("✅ Saved")
        shown = fields(answer)
        assert shown["timeframes"] == "15 Min, 4 Hour"
        assert shown["pairs"] == "EUR/USD, BTC/USD"
        assert shown["only_with_edge"] == "no"
        assert shown["update_minutes"] == "never"
        assert shown["channel"] == f"<#{room.channel.id}>"
        with desk.database.transaction() as transaction:
            row = discord_accounts.settings_of(transaction, ann.id)
        assert (row["min_confidence"], row["max_notifications_per_day"], row["account_currency"]) == (
            Decimal("0.7"),
            5,
            "EUR",
        )
        assert (
            desk.value("SELECT actor FROM audit_log WHERE action = 'discord settings'") == "discord /settings"
        )

    in_room(desk, served, play)


def test_what_cannot_be_set_is_refused_with_what_is_allowed_and_nothing_is_changed(desk, ann, served):
    async def play(room):
        room.link(ann, room.ann.id)
        answer = await asked(room, "settings", min_confidence="70", daily_maximum=3)
        assert answer.content == "❌ Confidence goes from 0 to 1 by hundredths, such as 0.65, not '70'."
        assert fields(await asked(room, "settings"))["daily_maximum"] == "20 a day"

    in_room(desk, served, play)


# --- the guide ----------------------------------------------------------------------------------


def test_every_command_and_every_option_of_settings_stands_in_the_guide():
    guide = (ROOT / "docs/discord-bot.md").read_text()
    missing = [each.name for each in slash.COMMANDS if f"| `/{each.name}" not in guide]
    assert missing == []
    assert [option for option in reversal_settings.OPTIONS if f"`{option}`" not in guide] == []
    assert {option.name for option in reversal_settings.settings.parameters} == set(reversal_settings.OPTIONS)
