"""Webhook tokens and service keys: found by a keyed hash, shown again from a sealed copy, revoked."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from database import accounts, bots, keys, tokens
from database.pool import Database, Transaction
from encryption import Vault, new_key

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def vault() -> Vault:
    return Vault(SecretStr(new_key()))


def people(transaction: Transaction) -> tuple[int, int]:
    """Make an owner and another user, and return their ids."""
    return tuple(
        accounts.create_user(transaction, email, PASSWORD).id
        for email in ("ann@example.com", "bob@example.com")
    )


def test_a_token_is_found_by_its_text_alone(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        ann, _ = people(transaction)
        text = tokens.create_token(transaction, vault, ann, name="my script")
        key = keys.hash_key(transaction, vault)
        found = tokens.find_token(transaction, key, text)
        assert found is not None
        assert (found.user_id, found.name, found.is_active) == (ann, "my script", True)
        assert text.startswith("usr_")
        assert len(text) >= 47
        assert found.prefix == text[:8]
        for other in ("", text[:-1], text + "x", text.upper(), "usr_"):
            assert tokens.find_token(transaction, key, other) is None
        (row,) = transaction.all("SELECT * FROM user_webhook_tokens")
    assert text not in str(
        {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()}
    )


def test_making_a_token_leaves_the_others_valid(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        ann, _ = people(transaction)
        texts = [tokens.create_token(transaction, vault, ann) for _ in range(3)]
        key = keys.hash_key(transaction, vault)
        assert all(tokens.find_token(transaction, key, text) for text in texts)


def test_a_token_is_shown_again_to_its_owner_only(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        ann, bob = people(transaction)
        text = tokens.create_token(transaction, vault, ann)
        (token,) = tokens.tokens_of(transaction, ann)
        assert tokens.reveal_token(transaction, vault, ann, token.id) == text
        assert tokens.reveal_token(transaction, vault, bob, token.id) is None
        assert tokens.rotate_token(transaction, vault, bob, token.id) is None
        assert not tokens.revoke_token(transaction, bob, token.id)
        assert tokens.tokens_of(transaction, bob) == []
        assert tokens.find_token(transaction, keys.hash_key(transaction, vault), text) is not None


def test_a_revoked_token_is_dead_and_lives_again_when_rotated(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        ann, _ = people(transaction)
        old = tokens.create_token(transaction, vault, ann)
        (token,) = tokens.tokens_of(transaction, ann)
        key = keys.hash_key(transaction, vault)
        assert tokens.revoke_token(transaction, ann, token.id)
        assert not tokens.revoke_token(transaction, ann, token.id)
        assert tokens.find_token(transaction, key, old) is None
        assert tokens.reveal_token(transaction, vault, ann, token.id) is None
        new = tokens.rotate_token(transaction, vault, ann, token.id)
        assert new is not None
        found = tokens.find_token(transaction, key, new)
        assert found is not None
        assert found.id == token.id
        assert tokens.find_token(transaction, key, old) is None
        assert tokens.reveal_token(transaction, vault, ann, token.id) == new


def test_a_token_of_a_closed_account_is_dead(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        ann, _ = people(transaction)
        text = tokens.create_token(transaction, vault, ann)
        transaction.execute("UPDATE users SET is_active = false WHERE id = %s", (ann,))
        assert tokens.find_token(transaction, keys.hash_key(transaction, vault), text) is None


def test_a_token_may_be_bound_to_a_connection_of_its_own_user_only(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        ann, bob = people(transaction)
        place = bots.create_connection(
            transaction, user_id=ann, broker="paper", mode="paper", label="Practice"
        )
        text = tokens.create_token(transaction, vault, ann, connection_id=place)
        found = tokens.find_token(transaction, keys.hash_key(transaction, vault), text)
        assert found is not None
        assert found.connection_id == place
        with pytest.raises(ValueError, match="not one of this user's"):
            tokens.create_token(transaction, vault, bob, connection_id=place)


def test_tokens_survive_a_rotation_of_the_key(database: Database) -> None:
    old, new = new_key(), new_key()
    with database.transaction() as transaction:
        ann, _ = people(transaction)
        text = tokens.create_token(transaction, Vault(SecretStr(old)), ann)
    keys.reseal(database, Vault(SecretStr(f"{new},{old}")))
    with database.transaction() as transaction:
        vault = Vault(SecretStr(new))
        (token,) = tokens.tokens_of(transaction, ann)
        assert tokens.find_token(transaction, keys.hash_key(transaction, vault), text) == token
        assert tokens.reveal_token(transaction, vault, ann, token.id) == text


def test_the_use_of_a_token_is_noted_once_a_minute(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        ann, _ = people(transaction)
        tokens.create_token(transaction, vault, ann)
        (token,) = tokens.tokens_of(transaction, ann)
        noted = []
        for seconds in (0, 30, 61):
            tokens.note_token_use(transaction, token.id, NOW + timedelta(seconds=seconds))
            noted.append(tokens.tokens_of(transaction, ann)[0].last_used_at)
    assert noted == [NOW, NOW, NOW + timedelta(seconds=61)]


def test_noting_a_use_does_not_wait_for_another_alert(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        ann, _ = people(transaction)
        tokens.create_token(transaction, vault, ann)
        (token,) = tokens.tokens_of(transaction, ann)
    with database.transaction() as first, database.transaction() as second:
        tokens.note_token_use(first, token.id, NOW)
        second.execute("SET LOCAL lock_timeout = '200ms'")
        tokens.note_token_use(second, token.id, NOW)


def test_a_service_key_is_found_rotated_and_revoked(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        text = tokens.create_service_key(transaction, vault, "news", allowed_users=[3, 4])
        key = keys.hash_key(transaction, vault)
        found = tokens.find_service_key(transaction, key, text)
        assert found is not None
        assert (found.name, found.allowed_users, found.allowed_channels) == ("news", (3, 4), None)
        with pytest.raises(ValueError, match="already"):
            tokens.create_service_key(transaction, vault, "news")
        new = tokens.rotate_service_key(transaction, vault, "news")
        assert new is not None
        assert tokens.find_service_key(transaction, key, text) is None
        assert tokens.find_service_key(transaction, key, new) is not None
        assert tokens.revoke_service_key(transaction, "news")
        assert tokens.find_service_key(transaction, key, new) is None
        assert not tokens.revoke_service_key(transaction, "news")
        assert tokens.rotate_service_key(transaction, vault, "unknown") is None
        assert text not in str(tokens.service_keys(transaction))
