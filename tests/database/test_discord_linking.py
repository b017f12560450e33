"""Discord accounts are linked by one-time codes; guesses are limited, and nothing is linked twice."""

from datetime import timedelta

import pytest

from database import accounts, audit, discord_accounts, discord_status
from database.discord_accounts import MOST_GUESSES, Linking, code_hash
from tests.database.trading_floor import FRIDAY_MORNING as NOW

EVE = 4_000_000_001
MINUTE = timedelta(minutes=1)


@pytest.fixture
def ann(database):
    return user(database, "ann@example.org")


def user(database, email):
    with database.transaction() as transaction:
        return accounts.create_user(transaction, email, "correct horse battery").id


def code_for(database, user_id, at=NOW):
    code = discord_accounts.new_code()
    with database.transaction() as transaction:
        discord_accounts.store_code(transaction, user_id, code_hash(code), at)
    return code


def redeem(database, code, discord_id=EVE, at=NOW, name="eve"):
    with database.transaction() as transaction:
        return discord_accounts.redeem_code(transaction, code_hash(code), discord_id, name, at)


def owner(database, discord_id=EVE):
    with database.transaction() as transaction:
        return discord_accounts.user_of_discord(transaction, discord_id)


@pytest.mark.parametrize("typed", ["{}", " {} ", "{0[0]}-{0[1]}{0[2]} {0[3]}"])
def test_a_code_links_once_however_it_is_typed(database, ann, typed):
    code = code_for(database, ann)
    text = typed.format(code) if "[" not in typed else f"{code[:3].lower()}-{code[3:6]} {code[6:]}"
    linked = redeem(database, text)
    assert (linked.result, linked.user_id, linked.email) == (Linking.LINKED, ann, "ann@example.org")
    assert owner(database) == ann
    assert redeem(database, code, discord_id=EVE + 1).result is Linking.WRONG
    with database.transaction() as transaction:
        [record, *_] = audit.newest(transaction, user_id=ann)
        assert (record["action"], record["after"]["id"]) == ("discord link", EVE)


def test_a_code_dies_with_time_and_with_the_next_one(database, ann):
    first = code_for(database, ann)
    assert redeem(database, first, at=NOW + 10 * MINUTE).result is Linking.WRONG
    second = code_for(database, ann)
    third = code_for(database, ann)
    assert redeem(database, second).result is Linking.WRONG
    assert redeem(database, third).result is Linking.LINKED


def test_guesses_are_limited_for_each_discord_account(database, ann):
    code = code_for(database, ann)
    assert [redeem(database, f"X{n}").result for n in range(MOST_GUESSES)] == [Linking.WRONG] * MOST_GUESSES
    assert redeem(database, code).result is Linking.TOO_MANY
    assert owner(database) is None
    assert redeem(database, code, discord_id=EVE + 1).result is Linking.LINKED
    later = code_for(database, ann, NOW + 16 * MINUTE)
    assert redeem(database, later, at=NOW + 16 * MINUTE).result is Linking.LINKED


def test_a_discord_account_stays_with_the_one_it_is_linked_to(database, ann):
    bob = user(database, "bob@example.org")
    assert redeem(database, code_for(database, ann)).result is Linking.LINKED
    code = code_for(database, bob)
    assert redeem(database, code).result is Linking.TAKEN
    assert owner(database) == ann
    with database.transaction() as transaction:
        assert discord_accounts.unlink(transaction, ann) == {
            "discord_user_id": EVE,
            "discord_username": "eve",
        }
        assert discord_accounts.unlink(transaction, ann) is None
    assert redeem(database, code).result is Linking.LINKED
    assert owner(database) == bob


def test_another_account_of_discord_takes_the_place_of_the_first(database, ann):
    redeem(database, code_for(database, ann))
    redeem(database, code_for(database, ann), discord_id=EVE + 1)
    assert (owner(database), owner(database, EVE + 1)) == (None, ann)


def test_a_closed_account_is_not_linked_and_none_of_discords(database, ann):
    redeem(database, code_for(database, ann))
    code = code_for(database, ann)
    with database.transaction() as transaction:
        transaction.execute("UPDATE users SET is_active = false")
    assert owner(database) is None
    assert redeem(database, code, discord_id=EVE + 1).result is Linking.WRONG


def test_a_state_is_good_once_and_in_its_session_alone(database, ann):
    with database.transaction() as transaction:
        sessions = [
            transaction.value(
                "INSERT INTO user_sessions (user_id, token_hash, expires_at) VALUES (%s, %s, %s) RETURNING id",
                (ann, name, NOW + 60 * MINUTE),
            )
            for name in (b"one", b"two")
        ]
        hashed = discord_accounts.state_hash("a state")
        discord_accounts.store_state(transaction, ann, sessions[0], hashed, NOW)
        take = discord_accounts.take_state
        assert take(transaction, hashed, sessions[1], NOW) is None
        assert take(transaction, hashed, sessions[0], NOW + 10 * MINUTE) is None
        assert take(transaction, hashed, sessions[0], NOW)["user_id"] == ann
        assert take(transaction, hashed, sessions[0], NOW) is None


def test_settings_have_their_defaults_and_take_only_what_is_the_users(database, ann):
    with database.transaction() as transaction:
        found = discord_accounts.settings_of(transaction, ann)
        assert (found["enabled_timeframes"], found["max_notifications_per_day"]) == (["1h", "4h"], 20)
        changed = discord_accounts.change_settings(
            transaction, ann, {"preferred_pairs": ["EUR/USD"], "notifications_enabled": False}
        )
        assert (changed["preferred_pairs"], changed["notifications_enabled"]) == (["EUR/USD"], False)
        with pytest.raises(ValueError, match="discord_user_id"):
            discord_accounts.change_settings(transaction, ann, {"discord_user_id": 1})


def test_one_process_is_the_bot_of_a_token(database):
    with database.session() as one, database.session() as other:
        with one.transaction() as transaction:
            assert discord_status.claim(transaction, "token")
        with other.transaction() as transaction:
            assert not discord_status.claim(transaction, "token")
            assert discord_status.claim(transaction, "another token")
        with one.transaction() as transaction:
            discord_status.release(transaction, "token")
        with other.transaction() as transaction:
            assert discord_status.claim(transaction, "token")
            discord_status.release(transaction, "token")
            discord_status.release(transaction, "another token")


def test_how_the_bot_stands(database):
    with database.transaction() as transaction:
        assert discord_status.status(transaction).changed_at is None
        guilds = [{"id": 1, "name": "A guild"}]
        note = discord_status.note
        first = note(
            transaction, is_connected=True, now=NOW, name="dash", guilds=guilds, lacking=["Add Reactions"]
        )
        assert (first.changed_at, first.guilds, first.lacking) == (NOW, tuple(guilds), ("Add Reactions",))
        again = note(transaction, is_connected=True, now=NOW + MINUTE, latency_ms=40)
        assert (again.changed_at, again.name, again.latency_ms) == (NOW, "dash", 40)
        gone = note(transaction, is_connected=False, now=NOW + MINUTE, words="no network", lacking=[])
        assert (gone.changed_at, gone.words, gone.lacking) == (NOW + MINUTE, "no network", ())
