"""Signal channels on the dashboard: registering, trying messages, what came, and the Discord account."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from actions import channel_bots
from actions import connections as connection_actions
from actions import signal_channels as actions
from core.bot import SizeMode
from database import bots, channel_messages, discord_accounts, discord_status, health, signal_channels
from database.accounts import Role
from database.channel_messages import MessageState, SeenMessage
from tests.database.office import Office, open_office, with_database
from tests.database.test_setup_pages import press, words
from ui.alert_pages import page
from ui.channel_pages import account
from ui.services import services

ROOM, GUILD, AUTHOR = 900_000_000_000_000_001, 800_000_000_000_000_001, 700_000_000_000_000_001
LONG = "LONG BTC-USDT Entry: 60000 SL: 58000 TP: 65000"
TAB = "Signal channels"
NUMBERS = itertools.count()


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def settled(office: Office) -> Office:
    """Give an office with a connection at the built-in paper broker."""
    connection_actions.connect_paper(office.services, office.acting)
    return office


@pytest.fixture
def registered(settled: Office) -> Office:
    """Give an office with a registered channel that takes an author."""
    register(settled)
    return settled


def register(office: Office, **columns: object) -> int:
    given = {"channel_id": ROOM, "name": "signals", "author_ids": [AUTHOR], **columns}
    return actions.create(office.services, office.acting, connection_id=1, **given)


def opened(office: Office, tab: str = TAB, **query: str) -> AppTest:
    drawn = office.draw(page.draw)
    drawn.session_state["tab"] = tab
    for name, value in query.items():
        drawn.query_params[name] = value
    return drawn.run()


def channel(office: Office, number: int = 1) -> signal_channels.SignalChannel:
    with office.services.database.transaction() as transaction:
        found = signal_channels.find(transaction, number)
    assert found is not None
    return found


def typed(drawn: AppTest, label: str, text: str) -> None:
    (field,) = [each for each in drawn.text_input if each.label == label]
    field.set_value(text)


def tried(drawn: AppTest, text: str) -> AppTest:
    (field,) = [each for each in drawn.text_area if each.label == "Message"]
    field.set_value(text)
    return press(drawn, "Read it")


class TestRegistering:
    def test_without_a_broker_it_leads_to_setup(self, office: Office) -> None:
        assert "Connect a broker first" in words(opened(office))

    def test_a_channel_is_registered_by_its_link_with_the_usual_settings(self, settled: Office) -> None:
        drawn = opened(settled)
        typed(drawn, "Channel's id or link", f"https://discord.com/channels/{GUILD}/{ROOM}")
        typed(drawn, "Name", "#btc-signals")
        drawn = press(drawn, "Register the channel")
        text = words(drawn)
        assert "#btc-signals is registered" in text
        assert "● ACTIVE" in text
        assert "Nobody's messages count yet" in text
        made, usual = channel(settled), actions.defaults(settled.services.settings)
        assert (made.channel_id, made.guild_id, made.name) == (ROOM, GUILD, "#btc-signals")
        assert {name: getattr(made, name) for name in usual} == usual
        assert (made.entry_mode, made.entry_valid_minutes) == (signal_channels.EntryMode.LIMIT, 60)
        assert made.max_price_deviation_percent == Decimal("0.5")
        assert (made.stop_required, made.allow_short, made.max_signal_age_seconds) == (True, True, 120)

    def test_what_is_wrong_stands_beside_its_field(self, settled: Office) -> None:
        drawn = opened(settled)
        drawn = press(drawn, "Register the channel")
        assert "Paste the channel's id, or its link." in words(drawn)
        typed(drawn, "Channel's id or link", "#signals")
        typed(drawn, "Name", "signals")
        assert "no id of Discord's" in words(press(drawn, "Register the channel"))
        typed(drawn, "Channel's id or link", str(ROOM))
        typed(drawn, "Authors", "the boss")
        assert "'the' in the authors is no id" in words(press(drawn, "Register the channel"))
        with settled.services.database.transaction() as transaction:
            assert signal_channels.of_user(transaction, settled.user.id) == []

    @pytest.mark.parametrize(
        ("label", "text", "said"),
        [
            ("Targets' shares (%)", "60, 60", "at most 100 together"),
            ("Targets' shares (%)", "a, b", "Shares are percents"),
            ("Trailing stop (%)", "100", "below 100 %"),
            ("Trailing begins at (%)", "2", "Say the trailing stop's distance too."),
            ("Time limit (minutes)", "999999999999", "at most 525,600"),
            ("Oldest message that enters (seconds)", "0", "not a whole number from 1 on"),
            ("A limit entry waits for (minutes)", "", "not a whole number from 1 on"),
        ],
    )
    def test_what_cannot_be_is_refused_before_anything_is_stored(
        self, settled: Office, label: str, text: str, said: str
    ) -> None:
        drawn = opened(settled)
        typed(drawn, "Channel's id or link", str(ROOM))
        typed(drawn, "Name", "signals")
        typed(drawn, label, text)
        assert said in words(press(drawn, "Register the channel"))
        with settled.services.database.transaction() as transaction:
            assert signal_channels.of_user(transaction, settled.user.id) == []

    def test_leverage_is_asked_for_where_the_broker_lends(self, settled: Office) -> None:
        assert "Maximum leverage" not in {each.label for each in opened(settled).text_input}
        lending_connection(settled)
        drawn = opened(settled)
        (place,) = [each for each in drawn.selectbox if each.label == "Trades at"]
        drawn = place.set_value(2).run()
        assert "Maximum leverage" in {each.label for each in drawn.text_input}
        typed(drawn, "Channel's id or link", str(ROOM))
        typed(drawn, "Name", "signals")
        typed(drawn, "Leverage", "20")
        assert "above its maximum, 10x" in words(press(drawn, "Register the channel"))
        typed(drawn, "Maximum leverage", "25")
        drawn = press(drawn, "Register the channel")
        assert "20x, max 25x" in words(drawn)
        assert (channel(settled).leverage, channel(settled).max_leverage) == (20, 25)

    def test_another_way_of_sizing_asks_for_its_size(self, settled: Office) -> None:
        drawn = opened(settled)
        (mode,) = [each for each in drawn.selectbox if each.label == "Size counts"]
        drawn = mode.set_value(SizeMode.NOTIONAL).run()
        typed(drawn, "Channel's id or link", str(ROOM))
        typed(drawn, "Name", "signals")
        assert "is not a number above 0" in words(press(drawn, "Register the channel"))
        typed(drawn, "Position size ($)", "750")
        press(drawn, "Register the channel")
        assert (channel(settled).size_mode, channel(settled).position_size) == (
            SizeMode.NOTIONAL,
            Decimal(750),
        )


class TestOneChannel:
    def test_it_is_switched_off_and_on(self, registered: Office) -> None:
        drawn = press(opened(registered), "Switch off")
        assert "#signals is off: no signal is taken." in words(drawn)
        assert not channel(registered).is_active
        drawn = press(drawn, "Switch on")
        assert channel(registered).is_active

    def test_its_settings_are_changed(self, registered: Office) -> None:
        drawn = opened(registered, channel="1")
        typed(drawn, "Name", "better signals")
        typed(drawn, "Targets' shares (%)", "50, 30, 20")
        typed(drawn, "Stop to the entry after target", "1")
        typed(drawn, "Roles", f"{GUILD}")
        (formats,) = drawn.multiselect
        formats.set_value(["standard", "close"])
        drawn = press(drawn, "Save")
        assert "#better signals is saved." in words(drawn)
        made = channel(registered)
        assert made.target_shares == (Decimal(50), Decimal(30), Decimal(20))
        assert (made.break_even_after, made.role_ids) == (1, frozenset({GUILD}))
        assert {each.lower() for each in made.formats} == {"standard", "close"}
        assert "Messages of 1 author and 1 role, Close, Standard" in words(opened(registered))

    def test_what_is_too_little_to_be_sold_counts_as_nothing_held(self, registered: Office) -> None:
        own = channel(registered)
        with registered.services.database.transaction() as transaction:
            broker = registered.services.registry.broker(own.connection_id)
            bot_id = channel_bots.make(transaction, own, broker.instrument("BTC/USD"))
            transaction.execute("UPDATE lanes SET dust_below = 0.001")
            transaction.execute("UPDATE user_bot_configs SET quantity = 0.001 WHERE id = %s", (bot_id,))
        assert "1, 1 holding" in words(opened(registered, channel="1"))
        with registered.services.database.transaction() as transaction:
            transaction.execute("UPDATE user_bot_configs SET quantity = 0.0009 WHERE id = %s", (bot_id,))
        said = words(opened(registered, channel="1"))
        assert "holding" not in said
        assert "hold something" not in said

    def test_archiving_asks_and_names_the_bots_that_stay(self, registered: Office) -> None:
        drawn = opened(registered, channel="1")
        (agreed,) = [each for each in drawn.checkbox if each.label == "Yes, archive this channel"]
        drawn = agreed.check().run()
        drawn = press(drawn, "Archive")
        assert "#signals is archived." in words(drawn)
        assert channel(registered).archived_at is not None
        assert "There is no signal channel 1." in words(opened(registered, channel="1"))

    @pytest.mark.parametrize("number", ["1", "2", "99", "x", "9" * 30])
    def test_another_users_channel_looks_like_none(self, registered: Office, number: str) -> None:
        eve = registered.another_user()
        connection_actions.connect_paper(registered.services, eve)
        actions.create(
            registered.services,
            eve,
            connection_id=2,
            channel_id=ROOM,
            name="secret-signals",
            author_ids=[AUTHOR],
        )
        come(registered, "LONG SOL-USDT Entry: 150 SL: 140", MessageState.LATE, registration=2)
        text = words(opened(registered, channel=number))
        assert "secret-signals" not in text
        assert "SOL-USDT" not in text


class TestMessages:
    def test_each_says_what_became_of_it(self, registered: Office) -> None:
        assert "No signal came yet." in words(opened(registered, channel="1"))
        come(registered, LONG, MessageState.LATE, "The message is 187 s old.")
        second = come(registered, "LONG ETH", MessageState.REFUSED, "It names no stop.")
        with registered.services.database.transaction() as transaction:
            channel_messages.note_edit(transaction, second, "LONG ETH SL 1", datetime.now(UTC))
        text = words(opened(registered, channel="1"))
        for said in (LONG, "⌛ too late", "The message is 187 s old.", "⊘ refused", "It names no stop.",
                     "Edited afterwards; nothing was changed.", "LONG ETH SL 1",
                     "2 signals in 7 days: 1 refused, 1 too late."):  # fmt: skip
            assert said in text
        assert text.index("LONG ETH") < text.index(LONG)

    def test_they_come_page_by_page(self, registered: Office) -> None:
        for count in range(11):
            come(registered, f"LONG BTC 7{count:02}00/58000/85000", MessageState.LATE, "Too old.")
        drawn = opened(registered, channel="1")
        assert "71000/58000" in words(drawn)
        assert "70000/58000" not in words(drawn)
        drawn = press(drawn, "Older")
        assert "70000/58000" in words(drawn)
        assert "71000/58000" not in words(drawn)

    def test_markup_in_a_message_stays_text(self, registered: Office) -> None:
        come(
            registered,
            "**LONG** [BTC](https://evil.example)",
            MessageState.REFUSED,
            "See [this](https://evil).",
        )
        drawn = opened(registered, channel="1")
        assert any(each.value == "**LONG** [BTC](https://evil.example)" for each in drawn.code)
        assert any("\\[this\\]" in each.value for each in drawn.caption)


class TestTrying:
    def test_it_says_what_was_understood_and_what_the_channel_would_do(self, registered: Office) -> None:
        drawn = tried(opened(registered, channel="1"), LONG)
        text = words(drawn)
        for said in ("Understood: BUY BTC-USDT", "#signals would:", "Limit 60,000, for 1 h", "58,000", "65,000",
                     "1 % at risk, at most $1,000.00"):  # fmt: skip
            assert said in text.replace("**", "")
        parts = drawn.dataframe[0].value.to_dict("records")
        assert {"What": "Stop-loss", "Read from": "SL 58000", "Value": "58000"} in parts
        with registered.services.database.transaction() as transaction:
            assert transaction.value("SELECT count(*) FROM channel_messages") == 0
            assert transaction.value("SELECT count(*) FROM signals") == 0
            assert transaction.value("SELECT count(*) FROM user_bot_configs") == 0

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("LONG BTC-USDT Entry: 60000 TP: 65000", "this channel enters only with one"),
            ("LONG BTCUSDT 60000/58000/65000 50x", "asks for leverage 50x; this channel takes up to 10x"),
            (
                "LONG BTC-USDT Entry: 60000 SL: 61000 TP: 65000",
                "Refused: A long's stop must be below its entry",
            ),
            ("Is BTC going long today?", "No signal."),
            ("!test " + LONG, "The message is a command."),
        ],
    )
    def test_it_says_why_not(self, registered: Office, text: str, said: str) -> None:
        assert said in words(tried(opened(registered, channel="1"), text)).replace("**", "")

    @pytest.mark.parametrize(
        ("columns", "text", "said"),
        [
            ({"allow_short": False}, "SHORT BTC 60000/61000/55000", "does not sell short"),
            ({"formats": ["compact"]}, LONG, "this channel takes: COMPACT"),
            ({"stop_required": False}, "LONG BTC-USDT Entry: 60000", "comes from the distance to the stop"),
            ({"entry_mode": "market"}, LONG, "Market, ±0.5 % around 60,000"),
            ({}, "LONG BTC-USDT now SL: 58000", "Market"),
            ({}, "close BTC", "Close what its bot holds"),
            ({"target_shares": [Decimal(50)]}, "LONG BTC 60000/58000/65000/66000", "50 %; the last the rest"),
        ],
    )
    def test_the_channels_settings_decide(
        self, registered: Office, columns: dict[str, object], text: str, said: str
    ) -> None:
        actions.edit(registered.services, registered.acting, 1, **columns)
        assert said in words(tried(opened(registered, channel="1"), text)).replace("**", "")

    def test_a_message_in_a_chosen_format_is_taken(self, registered: Office) -> None:
        actions.edit(registered.services, registered.acting, 1, formats=["standard"])
        assert "would refuse" not in words(tried(opened(registered, channel="1"), LONG))

    def test_without_a_channel_it_is_read_alone(self, office: Office) -> None:
        text = words(tried(opened(office), LONG))
        assert "BUY BTC-USDT" in text
        assert "would" not in text


class TestTheBot:
    def test_without_a_token_it_says_how_to_get_one(self, registered: Office) -> None:
        text = words(opened(registered))
        assert "No Discord bot runs here yet" in text
        assert "docs/discord-bot.md" in text

    def test_connected_it_says_where_and_what_is_missing(self, registered: Office) -> None:
        stand(
            registered,
            is_connected=True,
            lacking=["Send Messages in #signals (Club)", "Embed Links in #x (Inn)"],
        )
        text = words(opened(registered)).replace("**", "")
        for said in ("● BOT CONNECTED", "Keeper#1 in Club, Inn", "Missing: Send Messages in #signals (Club).",
                     "Give it in the channel's permissions", "Embed Links in #x (Inn)", "client_id=77"):  # fmt: skip
            assert said in text

    def test_a_user_sees_no_server_or_channel_of_others(self, registered: Office) -> None:
        lacking = [
            "Send Messages in #signals (Club)",
            "Embed Links in #x (Inn)",
            "Message Content intent: switch it on",
        ]
        stand(registered, is_connected=True, lacking=lacking)
        user = replace(registered, user=replace(registered.user, role=Role.USER))
        text = words(opened(user))
        assert "#signals (Club)" in text
        assert "Message Content intent" in text
        assert "Inn" not in text

    def test_away_it_says_since_when_and_why(self, registered: Office) -> None:
        stand(registered, is_connected=False, words="Discord refuses the token")
        assert "Discord refuses the token" in words(opened(registered))
        with registered.services.database.transaction() as transaction:
            health.fall_silent(transaction, "discord bot", "one")
        assert "has not started yet" in words(opened(registered))


class TestTheAccount:
    def test_a_code_is_shown_with_the_command_and_links(self, registered: Office) -> None:
        stand(registered, is_connected=True)
        drawn = press(opened(registered, account.TAB), "Show a code")
        (command,) = [each.value for each in drawn.code]
        assert command.startswith("/link ")
        assert "Good for 9:" in words(drawn)
        with registered.services.database.transaction() as transaction:
            hashed = discord_accounts.code_hash(command.removeprefix("/link "))
            discord_accounts.redeem_code(transaction, hashed, AUTHOR, "ann#1", datetime.now(UTC))
        drawn = drawn.run()
        text = words(drawn)
        assert "● LINKED" in text
        assert "ann#1" in text
        assert command not in text

    def test_it_is_unlinked_after_asking(self, registered: Office) -> None:
        link(registered)
        drawn = press(opened(registered, account.TAB), "Unlink it")
        assert "Your Discord account is unlinked." in words(drawn)
        assert "○ NOT LINKED" in words(drawn)

    def test_the_way_back_from_discord_says_who_is_linked(self, registered: Office) -> None:
        link(registered)
        text = words(opened(registered, "Where to", linked="1"))
        assert "Your Discord account ann#1 is linked." in text
        assert "● LINKED" in text

    def test_without_bot_and_application_it_says_what_is_missing(self, registered: Office) -> None:
        drawn = opened(registered, account.TAB)
        assert "No Discord bot runs here" in words(drawn)
        assert not {"Show a code", "Link with Discord"} & {each.label for each in drawn.button}

    def test_discords_own_page_is_offered_where_it_is_set_up(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch, registered: Office
    ) -> None:
        with_database(database_url, monkeypatch, DISCORD_CLIENT_ID=str(GUILD), DISCORD_CLIENT_SECRET="s" * 32)
        drawn = press(opened(replace(registered, services=services()), account.TAB), "Link with Discord")
        # AppTest has no session's cookie: that it is asked for, and said calmly, is what can be seen here.
        assert drawn.error
        assert not drawn.exception


def lending_connection(office: Office) -> None:
    """Store a connection at a broker that lends; nothing asks it here."""
    with office.services.database.transaction() as transaction:
        bots.create_connection(
            transaction, user_id=office.user.id, broker="blofin", mode="demo", label="BloFin",
            credentials_sealed=b"sealed", credentials_prefix="key…", sealed_with="none",
        )  # fmt: skip


def come(
    office: Office, text: str, state: MessageState, sentence: str | None = None, *, registration: int = 1
) -> int:
    """Let a message come that is not sent; return its number."""
    now = datetime.now(UTC)
    number = channel_messages.message_id_at(now) + next(NUMBERS)
    message = SeenMessage(message_id=number, author_id=AUTHOR, author="ana", text=text, posted_at=now)
    with office.services.database.transaction() as transaction:
        channel_messages.note_not_sent(transaction, [registration], message, state, sentence or "", now)
    return number


def stand(office: Office, **said: object) -> None:
    """Let the bot stand so."""
    now = datetime.now(UTC)
    with office.services.database.transaction() as transaction:
        health.beat(transaction, "discord bot", "one", now)
        discord_status.note(
            transaction, now=now - timedelta(hours=2), name="Keeper#1", application_id=77,
            guilds=[{"id": "1", "name": "Club"}, {"id": "2", "name": "Inn"}], **said,
        )  # fmt: skip


def link(office: Office) -> None:
    with office.services.database.transaction() as transaction:
        assert discord_accounts.link(
            transaction, office.user.id, AUTHOR, "ann#1", datetime.now(UTC), actor="test"
        )
