"""A signal in Discord: how it looks, its buttons, its form, and who may answer it how often."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from actions import tracked_trades
from core.pips import Direction
from database import model_versions
from database.model_versions import ModelState, NewModel
from database.pool import Database
from discord_bot import reversal_answers, trade_form
from tests.discord_room.room import in_room, new_bot, serving
from tests.discord_room.signals import notify, told

FORM = {"entry": "1.0856", "lots": "0.5", "stop": "1.0810", "target": "1.0962", "notes": "by hand @everyone"}


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


def fields(embed):
    return {field.name: field.value for field in embed.fields}


def trades(desk):
    return desk.all("SELECT * FROM user_trades ORDER BY id")


async def signal(room, trader, person=None, **changes):
    """Send a signal to a trader in private; return its number and the message."""
    person = person or room.env.create_user("trader")
    room.link(trader, person.id)
    number = notify(room.desk, trader.id, **changes)
    await room.until(lambda: told(room.desk, number)["sent_at"])
    return number, person


def newest(person):
    return person.dm_channel.last_message


def said(answer):
    """Return what the presser alone was told."""
    return next(each for each in (answer.response, *answer.followups) if each is not None and each.ephemeral)


def labels(message):
    return [(each.label, each.disabled) for row in message.components for each in row.children]


# --- how it looks -------------------------------------------------------------------------------


def test_a_signal_comes_in_private_with_all_it_says_and_its_buttons(desk, ann, served):
    async def play(room):
        number, person = await signal(room, ann)
        message = newest(person)
        [embed] = message.embeds
        shown = fields(embed)
        assert embed.title == "🔔 📈 LONG EUR/USD · 1 Hour"
        assert embed.description is None
        assert shown["Pair"] == "EUR/USD"
        assert shown["Timeframe"] == "1 Hour"
        assert shown["Signal"] == "📈 LONG"
        assert shown["Confidence"] == "75 %"
        assert shown["Entry"] == "1.08540"
        assert shown["🛑 Stop loss"] == "1.08000 (−54 pips)"
        assert shown["🎯 Take profit"] == "1.09620 (+108 pips)"
        assert shown["R:R"] == "1:2"
        assert shown["Model"] == "v1"
        expires = int(told(desk, number)["expires_at"].timestamp())
        assert shown["Answer by"] == f"<t:{expires}:t>, <t:{expires}:R>"
        assert labels(message) == [("Open Trade", False), ("Ignore", False), ("Details", False)]
        row = told(desk, number)
        assert (row["discord_message_id"], row["discord_channel_id"]) == (message.id, message.channel.id)
        assert (row["next_attempt_at"], row["attempts"], row["failed_at"]) == (None, 1, None)

    in_room(desk, served, play)


def test_a_replay_without_edge_by_the_rule_says_so_thrice(desk, ann, served):
    async def play(room):
        changes = {
            "source": "replay",
            "is_replay": True,
            "edge_shown": False,
            "version": "rules",
            "direction": Direction.SHORT,
            "pair": "USD/JPY",
            "entry": Decimal("150.123456"),
            "stop": Decimal("150.5"),
            "target": Decimal("149.37"),
            "stage1_prob": None,
            "stage2_prob": None,
        }
        _, person = await signal(room, ann, **changes)
        [embed] = newest(person).embeds
        assert embed.title == "🔔 REPLAY · 📉 SHORT USD/JPY · 1 Hour"
        assert "REPLAY" in embed.description
        assert "No edge shown" in embed.description
        assert "plain RSI rule" in embed.description
        assert fields(embed)["Entry"] == "150.123"
        assert fields(embed)["🛑 Stop loss"] == "150.500 (−37.7 pips)"
        assert newest(person).content.startswith("REPLAY")

    in_room(desk, served, play)


# --- opening ------------------------------------------------------------------------------------


def test_the_form_is_filled_in_and_opens_a_trade_once(desk, ann, served):
    async def play(room):
        number, person = await signal(room, ann)
        shown = await person.click(newest(person), label="Open Trade")
        values = {
            each["component"]["custom_id"]: each["component"].get("value")
            for each in shown.modal["components"]
        }
        assert values == {
            "entry": "1.08540",
            "lots": "0.1",
            "stop": "1.08000",
            "target": "1.09620",
            "notes": None,
        }
        answer = await person.submit_modal(shown, FORM)
        [trade] = trades(desk)
        assert answer.response.ephemeral
        assert answer.response.content.splitlines()[:3] == [
            "✅ **Trade opened**",
            "📊 EUR/USD LONG @ 1.08560, 0.5 lots",
            f"🆔 Trade #{trade['id']}",
        ]
        assert f"`/stop {trade['id']}`" in answer.response.content
        assert (trade["user_id"], trade["lot_size"], trade["entry_price"], trade["stop_loss"]) == (
            ann.id,
            Decimal("0.5"),
            Decimal("1.0856"),
            Decimal("1.081"),
        )
        assert trade["notes"] == FORM["notes"]
        row = told(desk, number)
        assert (row["answer"], row["trade_id"], row["acknowledged"]) == ("opened", trade["id"], True)
        assert row["acknowledged_at"] is not None
        message = newest(person)
        assert labels(message) == [("Open Trade", True), ("Ignore", True), ("Details", False)]
        assert fields(message.embeds[0])["Decided"].startswith(
            f"✅ Opened as trade #{trade['id']}: 0.5 lots at 1.08560"
        )

    in_room(desk, served, play)


def test_two_forms_of_one_signal_open_one_trade(desk, ann, served):
    """Pressed twice: the second form is sent in after the first one opened the trade."""

    async def play(room):
        _, person = await signal(room, ann)
        first = await person.click(newest(person), label="Open Trade")
        second = await person.click(newest(person), label="Open Trade")
        await person.submit_modal(first, FORM)
        answer = await person.submit_modal(second, {**FORM, "lots": "9"})
        [trade] = trades(desk)
        assert trade["lot_size"] == Decimal("0.5")
        assert f"trade #{trade['id']} from this signal already" in answer.response.content

    in_room(desk, served, play)


def test_buttons_and_an_open_form_survive_a_restart_of_the_bot(desk, ann, served):
    async def play(room):
        number, person = await signal(room, ann)
        await room.leave()
        await room.come_back()
        shown = await person.click(newest(person), label="Open Trade")
        await room.leave()
        await room.come_back()
        answer = await person.submit_modal(shown, FORM)
        assert "Trade opened" in answer.response.content
        assert told(desk, number)["answer"] == "opened"
        assert len(trades(desk)) == 1

    in_room(desk, served, play)


def test_ignored_is_seen_in_the_message_and_cannot_be_taken_back(desk, ann, served):
    async def play(room):
        number, person = await signal(room, ann)
        before = await person.click(newest(person), label="Open Trade")
        await person.click(newest(person), label="Ignore")
        row = told(desk, number)
        assert (row["answer"], row["trade_id"]) == ("ignored", None)
        assert row["acknowledged_at"] is not None
        assert fields(newest(person).embeds[0])["Decided"].startswith("🚫 Ignored")
        assert labels(newest(person))[0] == ("Open Trade", True)
        answer = await person.submit_modal(before, FORM)
        assert "You ignored this signal already" in answer.response.content
        assert trades(desk) == []

    in_room(desk, served, play)


def test_a_signal_that_was_answered_elsewhere_says_so_when_pressed(desk, ann, served):
    async def play(room):
        number, person = await signal(room, ann)
        with desk.database.transaction() as transaction:
            transaction.execute(
                "UPDATE signal_notifications SET acknowledged = true, acknowledged_at = now(), answer = 'ignored'"
            )
        for label in ("Open Trade", "Ignore"):
            message = newest(person)
            if ("Ignore", True) in labels(message):
                break
            answer = await person.click(message, label=label)
            assert "You ignored this signal already" in said(answer).content
        assert labels(newest(person))[1] == ("Ignore", True)
        assert told(desk, number)["answer"] == "ignored"

    in_room(desk, served, play)


def test_an_expired_signal_says_so_to_buttons_and_to_a_form_that_waited(desk, ann, served):
    async def play(room):
        _, person = await signal(room, ann)
        waiting = await person.click(newest(person), label="Open Trade")
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE signal_notifications SET expires_at = now() - interval '1 second'")
        late = await person.submit_modal(waiting, FORM)
        assert "expired" in late.response.content
        for label in ("Open Trade", "Ignore"):
            answer = await person.click(newest(person), label=label)
            assert "expired" in said(answer).content
        assert trades(desk) == []
        assert (await person.click(newest(person), label="Details")).response.embeds

    in_room(desk, served, play)


# --- whose it is (D7.13) ------------------------------------------------------------------------


def test_only_the_one_it_was_sent_to_can_answer_it(desk, ann, served):
    """In a channel everybody sees the buttons; another linked user is no other account's owner."""
    eve = desk.trader("eve@example.org")

    async def play(room):
        mallory = room.guild.add_member(room.env.create_user("mallory"))
        stranger = room.guild.add_member(room.env.create_user("stranger"))
        room.link(eve, mallory.id)
        with desk.database.transaction() as transaction:
            transaction.execute("INSERT INTO user_discord_settings (user_id) VALUES (%s)", (ann.id,))
            transaction.execute(
                "UPDATE user_discord_settings SET notification_channel_id = %s WHERE user_id = %s",
                (room.channel.id, ann.id),
            )
        number, _ = await signal(room, ann, room.ann)
        message = room.channel.last_message
        for other in (mallory, stranger):
            for label in ("Open Trade", "Ignore", "Details"):
                answer = await other.click(message, label=label)
                assert "sent to somebody else" in said(answer).content
        assert told(desk, number)["acknowledged"] is False
        answer = await room.ann.submit_modal(await room.ann.click(message, label="Open Trade"), FORM)
        assert "Trade opened" in answer.response.content
        assert [row["user_id"] for row in trades(desk)] == [ann.id]

    in_room(desk, served, play)


def test_two_discord_users_open_trades_in_two_accounts(desk, ann, served):
    eve = desk.trader("eve@example.org")

    async def play(room):
        for trader in (ann, eve):
            _, person = await signal(room, trader, room.env.create_user(f"user{trader.id}"))
            await person.submit_modal(await person.click(newest(person), label="Open Trade"), FORM)
        assert [row["user_id"] for row in trades(desk)] == [ann.id, eve.id]

    in_room(desk, served, play)


# --- what is typed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (
            {"entry": "10000"},
            "**Entry price**: The signal was at 1.08540; an entry at 10000 is a slip. Allowed",
        ),
        ({"entry": "1,0856"}, "**Entry price**: '1,0856' cannot be read"),
        ({"entry": "1,085"}, "an entry at 1085 is a slip"),
        ({"entry": "-1.08"}, "cannot be read as a number"),
        ({"entry": "NaN"}, "cannot be read as a number"),
        ({"entry": "0"}, "is zero"),
        ({"lots": "0,1"}, "**Lot size**: '0,1' cannot be read"),
        ({"lots": "0.001"}, "Lots go from 0.01 to 100"),
        ({"lots": "1,000"}, "Lots go from 0.01 to 100"),
        ({"stop": "1.09"}, "stands below its entry"),
        ({"target": "1.08"}, "stands above its entry"),
        ({"stop": "0.01"}, "**Stop loss**"),
    ],
)
def test_what_cannot_be_is_refused_privately_with_the_field_and_can_be_corrected(
    desk, ann, served, typed, words
):
    async def play(room):
        number, person = await signal(room, ann)
        shown = await person.click(newest(person), label="Open Trade")
        answer = await person.submit_modal(shown, {**FORM, **typed})
        assert answer.response.ephemeral
        assert words in answer.response.embeds[0].description
        assert trades(desk) == []
        assert told(desk, number)["acknowledged"] is False
        await room.leave()
        await room.come_back()
        again = await person.click(answer.response, label="Correct it")
        kept = {
            each["component"]["custom_id"]: each["component"].get("value")
            for each in again.modal["components"]
        }
        assert kept == {**FORM, **typed}
        done = await person.submit_modal(again, {**kept, **FORM, "entry": "1.0856"})
        assert "Trade opened" in done.response.content
        assert labels(newest(person))[0] == ("Open Trade", True)

    in_room(desk, served, play)


def test_thousands_are_read_as_everywhere_in_the_house(desk, ann, served):
    async def play(room):
        levels = {"entry": Decimal(60000), "stop": Decimal(58000), "target": Decimal(65000)}
        _, person = await signal(room, ann, pair="BTC/USD", **levels)
        form = {"entry": "60,100.50", "lots": "1", "stop": "58k", "target": "65'000", "notes": ""}
        await person.submit_modal(await person.click(newest(person), label="Open Trade"), form)
        [trade] = trades(desk)
        assert [trade[name] for name in ("entry_price", "stop_loss", "take_profit")] == [
            Decimal("60100.5"),
            Decimal(58000),
            Decimal(65000),
        ]

    in_room(desk, served, play)


# --- details ------------------------------------------------------------------------------------


def test_details_say_what_the_figures_mean_and_never_not_a_number(desk, ann, served):
    """D7.13: factors were shown as NaN and 100 %."""

    async def play(room):
        factors = {"RSI(14)": "24.1", "MACD": "NaN", "Session": "London", "Volume": "", "ATR": "inf"}
        _, person = await signal(room, ann, factors=factors, direction=Direction.LONG)
        answer = await person.click(newest(person), label="Details")
        assert answer.response.ephemeral
        [embed] = answer.response.embeds
        shown = fields(embed)
        assert "Confidence 75 %" in embed.description
        assert "above 33.3 %" in embed.description
        assert shown["Stage 1: a reversal starts here"] == "62 %"
        assert shown["Stage 2: it goes up rather than down"] == "71 %"
        assert shown["What it looked at"].splitlines() == [
            "RSI(14): 24.1",
            "MACD: not known",
            "Session: London",
            "Volume: not known",
            "ATR: not known",
        ]

    in_room(desk, served, play)


def test_details_show_the_honest_record_beside_the_baselines(desk, ann, served):
    def figures(trades, **changes):
        made = {"trades": trades, "hit_rate": 0.312, "expectancy": -0.061, "low": -0.142, "high": 0.021}
        return {**made, "profit_factor": 0.9, "drawdown": 31.0, **changes}

    report = {
        "strategies": {
            "model": figures(412),
            "rsi_rule": figures(88, expectancy=-0.11),
            "never_trade": figures(0, hit_rate=None, expectancy=None, low=None, high=None),
        },
        "brier": {"score": 0.2211, "of_the_base_rate": 0.2209},
        "edge_shown": False,
        "rule_edge_shown": False,
        "from": "2017-08-01T00:00:00+00:00",
        "until": "2017-12-29T00:00:00+00:00",
    }
    metrics = {"record": {"EUR/USD 1 Hour": report}}
    now = datetime.now(UTC)
    model = NewModel(
        version="v1", trained_from=now, trained_until=now, data_hash="x", series=[], features=[], labels={},
        metrics=metrics, file=b"x", file_hash="x",
    )  # fmt: skip
    with desk.database.transaction() as transaction:
        model_versions.store(transaction, model, ModelState.RETIRED, now)

    async def play(room):
        _, person = await signal(room, ann)
        [embed] = (await person.click(newest(person), label="Details")).response.embeds
        lines = fields(embed)["Out of sample: EUR/USD 1 Hour"].splitlines()
        assert lines[0].startswith("⚠️ **No edge shown** for the model, no edge shown for the plain rule.")
        assert "2017-08-01 to 2017-12-29" in lines[0]
        assert lines[1] == "the model: 412 trades, 31.2 % won, −0.061 R each (95 %: −0.142 to +0.021)"
        assert lines[2].startswith("plain RSI rule: 88 trades")
        assert lines[3] == "never trade: no trade, 0 R"
        assert "knows no more than the base rate does" in lines[4]

        for changes, words in (
            ({"pair": "USD/CHF"}, "no record out of sample"),
            ({"version": "v0"}, "not known here"),
        ):
            number = notify(desk, ann.id, **{"timeframe": "4 Hour", **changes})
            await room.until(lambda number=number: told(desk, number)["sent_at"])
            [embed] = (await person.click(newest(person), label="Details")).response.embeds
            assert words in embed.fields[-1].value

    in_room(desk, served, play)


# --- when things are slow or away (D7.1, D7.2) --------------------------------------------------


def test_a_database_that_is_away_is_said(desk, ann, served, free_port):
    async def play(room):
        room.may_fail = True
        _, person = await signal(room, ann)
        room.bot.desk.database = Database(f"postgresql://nobody@127.0.0.1:{free_port}/nothing")
        for label in ("Open Trade", "Ignore", "Details"):
            answer = await person.click(newest(person), label=label)
            assert "database does not answer" in said(answer).content
        room.bot.desk.database = desk.database

    in_room(desk, served, play)


@pytest.mark.parametrize("code", [10062, 40060])
def test_an_interaction_that_is_over_or_was_answered_by_another_is_logged_and_does_no_harm(
    desk, ann, served, caplog, code
):
    """D7.2: acknowledged once, at one place; the log has the interaction's id and this process."""

    async def play(room):
        room.may_fail = True
        number, person = await signal(room, ann)
        room.env.inject_error(
            "POST", "/interactions/*/*/callback", status=404 if code == 10062 else 400, code=code
        )
        result = await person.click(newest(person), label="Ignore")
        assert result.response is None
        assert "too late, or answered by another" in caplog.text
        assert f"interaction {result._interaction.id}" in caplog.text
        assert "process " in caplog.text
        assert told(desk, number)["acknowledged"] is False
        await person.click(newest(person), label="Ignore")
        assert told(desk, number)["answer"] == "ignored"

    in_room(desk, served, play)


def test_two_processes_that_take_one_form_open_one_trade(desk, ann, served):
    """D7.1: should two bots ever answer at once, the row of the signal lets one through."""

    async def play(room):
        number, person = await signal(room, ann)
        other = new_bot(room.settings, desk.database)
        row = await other.desk.ask(reversal_answers._own, number, person.id)
        asked = trade_form.request(row, {**FORM})
        barrier = threading.Barrier(2)
        done = []

        def take():
            barrier.wait()
            now = datetime.now(UTC)
            done.append(
                tracked_trades.open_trade(desk.database, room.settings, ann.id, "discord button", asked, now)
            )

        threads = [threading.Thread(target=take) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(each.is_new for each in done) == [False, True]
        assert len(trades(desk)) == 1
        assert timedelta(0) < told(desk, number)["expires_at"] - datetime.now(UTC)

    in_room(desk, served, play)
