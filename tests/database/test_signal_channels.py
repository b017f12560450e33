"""Registering, changing and archiving signal channels; and what became of their messages, told once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from actions import limits
from actions import signal_channels as actions
from actions.acting import Refused
from core.instrument import AssetClass, Instrument
from database import audit, bots, channel_messages, discord_accounts, signal_channels
from database.channel_messages import MessageState, SeenMessage, message_id_at
from tests.database.office import open_office

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ROOM, AUTHOR = 900_000_000_000_000_001, 700_000_000_000_000_001
MESSAGE = SeenMessage(
    message_id=1_000_000_000_000_000_001, author_id=AUTHOR, author="ann", text="LONG BTC", posted_at=NOW
)


@pytest.fixture
def office(database_url, monkeypatch):
    return open_office(database_url, monkeypatch)


@pytest.fixture
def connection_id(office):
    with office.services.database.transaction() as transaction:
        return bots.create_connection(
            transaction, user_id=office.user.id, broker="paper", mode="paper", label="Practice"
        )


@pytest.fixture
def register(office, connection_id):
    def register(**columns):
        given = {"connection_id": connection_id, "channel_id": str(ROOM), "name": "signals", **columns}
        return actions.create(office.services, office.acting, **given)

    return register


def found(office, registration):
    with office.services.database.transaction() as transaction:
        return signal_channels.find(transaction, registration)


class TestRegistering:
    def test_the_settings_say_what_is_usual(self, office, register):
        channel = found(office, register())
        assert (channel.size_mode, channel.position_size, channel.max_position_size) == (
            "risk_percent",
            1,
            1000,
        )
        assert (channel.leverage, channel.max_leverage, channel.margin_mode) == (10, 10, "isolated")
        assert (channel.entry_mode, channel.entry_valid_minutes) == ("limit", 60)
        assert (channel.max_price_deviation_percent, channel.stop_required) == (Decimal("0.5"), True)
        assert (channel.channel_id, channel.author_ids, channel.formats) == (ROOM, frozenset(), frozenset())
        with office.services.database.transaction() as transaction:
            [record] = [row for row in audit.newest(transaction) if row["action"] == "channel add"]
        assert record["after"]["channel"] == ROOM

    def test_everything_can_be_said(self, office, register):
        registration = register(
            author_ids="700000000000000001, 700000000000000002", role_ids=[600_000_000_000_000_001],
            formats=["Standard", "emoji"], size_mode="notional", position_size=Decimal(250), leverage=25,
            entry_mode="market", target_shares=limits.shares_of("50, 30 / 20%"), trailing_stop_percent=Decimal(2),
        )  # fmt: skip
        channel = found(office, registration)
        assert channel.author_ids == {AUTHOR, AUTHOR + 1}
        assert channel.formats == {"STANDARD", "EMOJI"}
        assert channel.takes_format("emoji")
        assert not channel.takes_format("COMPACT")
        assert not channel.takes_format(None)
        assert channel.target_shares == (50, 30, 20)
        assert (channel.leverage, channel.max_leverage) == (25, 25)

    @pytest.mark.parametrize(
        ("columns", "field"),
        [
            ({"channel_id": "signals"}, "channel_id"),
            ({"channel_id": "12"}, "channel_id"),
            ({"author_ids": "@ann"}, "author_ids"),
            ({"author_ids": [str(AUTHOR + n) for n in range(101)]}, "author_ids"),
            ({"role_ids": "0700000000000000001"}, "role_ids"),
            ({"guild_id": 5}, "guild_id"),
            ({"name": " # "}, "name"),
            ({"name": "x" * 61}, "name"),
            ({"name": "a\u0007"}, "name"),
            ({"formats": ["standard", "<b>"]}, "formats"),
            ({"size_mode": "notional"}, "position_size"),
            ({"position_size": Decimal(101)}, "position_size"),
            ({"position_size": Decimal(0)}, "position_size"),
            ({"max_position_size": Decimal(-1)}, "max_position_size"),
            ({"leverage": 0}, "leverage"),
            ({"max_leverage": 126}, "max_leverage"),
            ({"leverage": 20, "max_leverage": 10}, "leverage"),
            ({"target_shares": [Decimal(60), Decimal(50)]}, "target_shares"),
            ({"target_shares": [Decimal(0)]}, "target_shares"),
            ({"trailing_stop_percent": Decimal(100)}, "trailing_stop_percent"),
            ({"trailing_activation_percent": Decimal(3)}, "trailing_stop_percent"),
            ({"entry_valid_minutes": 0}, "entry_valid_minutes"),
            ({"max_signal_age_seconds": None}, "max_signal_age_seconds"),
            ({"connection_id": 4711}, "connection"),
        ],
    )
    def test_what_cannot_be_is_named(self, office, register, columns, field):
        with pytest.raises(Refused) as refused:
            register(**columns)
        assert refused.value.field == field
        with office.services.database.transaction() as transaction:
            assert signal_channels.of_user(transaction, office.user.id) == []

    def test_a_channel_is_registered_once_by_a_user_and_by_several_users(self, office, register):
        first = register()
        with pytest.raises(Refused, match="already"):
            register()
        eve = office.another_user()
        with office.services.database.transaction() as transaction:
            theirs = bots.create_connection(
                transaction, user_id=eve.owner, broker="paper", mode="paper", label="Mine"
            )
        second = actions.create(
            office.services, eve, connection_id=theirs, channel_id=ROOM, name="signals", author_ids=[AUTHOR]
        )
        with pytest.raises(Refused, match="no such connection"):
            actions.create(office.services, eve, connection_id=4711, channel_id=ROOM + 1, name="signals")
        with office.services.database.transaction() as transaction:
            ids = [each.id for each in signal_channels.of_discord_channel(transaction, ROOM)]
            assert ids == [first, second]
            assert signal_channels.watched_channel_ids(transaction) == {ROOM}
        for act in (actions.archive, lambda *given: actions.edit(*given, name="theirs")):
            with pytest.raises(actions.NoSuchChannel):
                act(office.services, eve, first)

    def test_switched_off_archived_and_closed_ones_are_not_watched(self, office, register):
        registration = register()

        def watched():
            with office.services.database.transaction() as transaction:
                return signal_channels.watched_channel_ids(transaction)

        actions.switch(office.services, office.acting, registration, active=False)
        assert watched() == set()
        actions.switch(office.services, office.acting, registration, active=True)
        assert watched() == {ROOM}
        actions.archive(office.services, office.acting, registration)
        assert watched() == set()
        with pytest.raises(actions.NoSuchChannel):
            actions.switch(office.services, office.acting, registration, active=True)
        again = register()
        with office.services.database.transaction() as transaction:
            transaction.execute("UPDATE users SET is_active = false")
        assert (again != registration, watched()) == (True, set())


class TestEditing:
    def test_only_what_differs_is_changed_and_noted(self, office, register):
        registration = register(author_ids=[AUTHOR, AUTHOR + 1], target_shares=[Decimal(50), Decimal(50)])
        same = {
            "author_ids": [AUTHOR + 1, AUTHOR],
            "target_shares": [Decimal(50), Decimal(50)],
            "name": "signals",
        }
        actions.edit(office.services, office.acting, registration, **same)
        actions.edit(office.services, office.acting, registration, **same, leverage=5)
        with office.services.database.transaction() as transaction:
            [record] = [row for row in audit.newest(transaction) if row["action"] == "channel edit"]
        assert (record["before"], record["after"]) == ({"leverage": 10}, {"leverage": 5})

    def test_settings_must_stand_beside_those_that_stay(self, office, register):
        registration = register()
        for changes, field in (
            ({"leverage": 11}, "leverage"),
            ({"max_leverage": 9}, "leverage"),
            ({"size_mode": "units"}, "position_size"),
            ({"position_size": Decimal(200)}, "position_size"),
            ({"trailing_activation_percent": Decimal(1)}, "trailing_stop_percent"),
        ):
            with pytest.raises(Refused) as refused:
                actions.edit(office.services, office.acting, registration, **changes)
            assert refused.value.field == field
        with pytest.raises(ValueError, match="connection_id"):
            actions.edit(office.services, office.acting, registration, connection_id=1)

    def test_its_bots_take_over_what_they_copied_and_keep_the_rest(self, office, register, connection_id):
        registration = register()
        instrument = Instrument(symbol="BTC/USD", asset_class=AssetClass.CRYPTO, base_asset="BTC")
        with office.services.database.transaction() as transaction:
            channel = signal_channels.find(transaction, registration)
            made = {
                source: bots.create_bot(
                    transaction, user_id=office.user.id, connection_id=connection_id, instrument=instrument,
                    timeframe=None, source=source, name=source, signal_channel_id=registration, **channel.for_bots,
                )
                for source in ("old", "own")
            }  # fmt: skip
            bots.edit_bot(transaction, office.user.id, made["own"], cooldown_minutes=5)
            transaction.execute("UPDATE user_bot_configs SET archived_at = now() WHERE name = 'old'")
        actions.edit(office.services, office.acting, registration, target_shares=[Decimal(100)], name="vip")
        with office.services.database.transaction() as transaction:
            rows = {name: bots.bot_row(transaction, bot_id) for name, bot_id in made.items()}
        assert rows["own"]["target_shares"] == [100]
        assert (rows["own"]["name"], rows["own"]["cooldown_minutes"]) == ("own", 5)
        assert rows["old"]["target_shares"] is None
        assert actions.archive(office.services, office.acting, registration) == ["own"]


class TestWhoseMessagesCount:
    def test_the_owners_linked_account_where_nobody_is_named(self, office, register):
        registration = register()
        assert not found(office, registration).takes_author(AUTHOR)
        with office.services.database.transaction() as transaction:
            discord_accounts.link(transaction, office.user.id, AUTHOR, "ann", NOW, actor="a test")
        channel = found(office, registration)
        assert channel.takes_author(AUTHOR)
        assert not channel.takes_author(AUTHOR + 1, [AUTHOR])
        assert not channel.takes_author(None)

    def test_a_named_author_or_a_named_role(self, office, register):
        channel = found(office, register(author_ids=[AUTHOR], role_ids=[AUTHOR + 9]))
        assert channel.takes_author(AUTHOR)
        assert channel.takes_author(5, [AUTHOR + 9, 7])
        assert not channel.takes_author(5, [7])


class TestMessages:
    def run(self, office, call, *given, **named):
        with office.services.database.transaction() as transaction:
            return call(transaction, *given, **named)

    def test_a_message_is_sent_while_its_answer_is_to_come(self, office, register):
        registration = register()
        sending = channel_messages.note_sending
        assert self.run(office, sending, [registration], MESSAGE, NOW) == [registration]
        # A process died before the answer came.
        assert self.run(office, sending, [registration], MESSAGE, NOW) == [registration]
        [row] = self.run(office, channel_messages.unsent)
        assert (row["message_id"], row["channel_id"], row["text"]) == (MESSAGE.message_id, ROOM, "LONG BTC")
        assert self.run(office, channel_messages.unanswered) == []
        self.run(
            office,
            channel_messages.note_answer,
            registration,
            MESSAGE.message_id,
            MessageState.REFUSED,
            "No.",
        )
        assert self.run(office, sending, [registration], MESSAGE, NOW) == []
        # What comes late changes nothing.
        self.run(office, channel_messages.note_answer, registration, MESSAGE.message_id, MessageState.FAILED)
        [row] = self.run(office, channel_messages.unanswered)
        assert (row["state"], row["sentence"]) == ("REFUSED", "No.")
        assert self.run(office, channel_messages.note_told, row["id"], NOW, 5)
        assert not self.run(office, channel_messages.note_told, row["id"], NOW)
        assert self.run(office, channel_messages.unanswered) == []

    def test_what_was_not_sent_is_not_sent_later(self, office, register):
        registration = register()
        late = (MESSAGE, MessageState.LATE, "Too old.", NOW)
        assert self.run(office, channel_messages.note_not_sent, [registration], *late) == [registration]
        assert self.run(office, channel_messages.note_not_sent, [registration], *late) == []
        assert self.run(office, channel_messages.note_sending, [registration], MESSAGE, NOW) == []

    def test_an_edit_and_a_deletion_are_noted_once(self, office, register):
        registration = register()
        edit, delete = channel_messages.note_edit, channel_messages.note_delete
        assert self.run(office, edit, MESSAGE.message_id, "LONG ETH", NOW) == []
        self.run(office, channel_messages.note_sending, [registration], MESSAGE, NOW)
        assert self.run(office, edit, MESSAGE.message_id, MESSAGE.text, NOW) == []
        assert self.run(office, edit, MESSAGE.message_id, "LONG ETH", NOW) == [registration]
        assert self.run(office, edit, MESSAGE.message_id, "LONG ETH", NOW) == []
        assert self.run(office, edit, MESSAGE.message_id, "LONG BTC", NOW) == [registration]
        assert self.run(office, delete, MESSAGE.message_id, NOW) == [registration]
        assert self.run(office, delete, MESSAGE.message_id, NOW) == []
        with office.services.database.transaction() as transaction:
            rows = transaction.all("SELECT state, text FROM channel_messages ORDER BY id")
        assert [(row["state"], row["text"]) for row in rows] == [
            ("SENDING", "LONG BTC"), ("EDITED", "LONG ETH"), ("EDITED", "LONG BTC"), ("DELETED", "LONG BTC"),
        ]  # fmt: skip

    def test_the_backlog_begins_after_what_was_seen_last(self, office, register):
        registration = register()
        created = found(office, registration).created_at
        assert self.run(office, channel_messages.backlog_from) == {ROOM: message_id_at(created)}
        self.run(office, channel_messages.note_sending, [registration], MESSAGE, NOW)
        assert self.run(office, channel_messages.backlog_from) == {ROOM: MESSAGE.message_id}
        actions.switch(office.services, office.acting, registration, active=False)
        assert self.run(office, channel_messages.backlog_from) == {}

    def test_a_moment_as_discord_numbers_it(self):
        # Discord's own example of a snowflake: 175928847299117063 is of 2016-04-30 11:18:25.796 UTC.
        at = datetime(2016, 4, 30, 11, 18, 25, 796_000, tzinfo=UTC)
        assert message_id_at(at) == 175928847299117063 >> 22 << 22
        assert message_id_at(at + timedelta(milliseconds=1)) > 175928847299117063

    def test_a_signal_that_is_not_there_has_no_outcome(self, office):
        assert self.run(office, channel_messages.outcome, UUID(int=7)) is None

    def test_text_that_postgresql_cannot_store(self, office, register):
        seen = SeenMessage(message_id=5, author_id=1, author="a\0", text="x\0" * 9000, posted_at=NOW)
        self.run(office, channel_messages.note_sending, [register()], seen, NOW)
        [row] = self.run(office, channel_messages.unsent)
        assert (row["author"], len(row["text"])) == ("a", channel_messages.LONGEST_TEXT)
