"""A rotation seals every stored secret anew, and tokens are found by the same hash before and after."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from database import alert_channels, keys
from encryption import Vault, WrongKey, new_key

OLD, NEW = new_key(), new_key()


def vault(*parts: str) -> Vault:
    return Vault(SecretStr(",".join(parts)))


@pytest.fixture
def sealed_with_old(database):
    old = vault(OLD)
    with database.transaction() as tx:
        user = tx.value(
            "INSERT INTO users (email, password_hash, totp_sealed, totp_sealed_with)"
            " VALUES ('ann@example.org', 'x', %s, %s) RETURNING id",
            (old.seal("totp"), old.key_id),
        )
        tx.execute(
            "INSERT INTO user_api_keys (user_id, broker, mode, label, credentials_sealed, sealed_with)"
            " VALUES (%s, 'alpaca', 'paper', 'mine', %s, %s)",
            (user, old.seal("credentials"), old.key_id),
        )
        tx.execute(
            "INSERT INTO user_webhook_tokens (user_id, token_hash, token_sealed, sealed_with, prefix)"
            " VALUES (%s, %s, %s, %s, 'usr_')",
            (user, keys.keyed_hash(keys.hash_key(tx, old), "usr_token"), old.seal("usr_token"), old.key_id),
        )
        alert_channels.keep_channel(tx, old, user, "DISCORD", "https://discord.com/api/webhooks/1/x", "mine")
    return database


def opened(database, with_vault):
    found = {}
    with database.transaction() as tx:
        for sealed in keys.SEALED_COLUMNS:
            (row,) = tx.all(f"SELECT {sealed.column} AS sealed FROM {sealed.table}")
            found[sealed.column] = with_vault.open(row["sealed"])
    return found


def test_after_a_rotation_the_old_key_may_go(sealed_with_old):
    before = opened(sealed_with_old, vault(OLD))
    done = keys.reseal(sealed_with_old, vault(NEW, OLD))
    assert done == keys.Rotation(resealed=5, failures=())
    assert opened(sealed_with_old, vault(NEW)) == before
    with pytest.raises(WrongKey):
        opened(sealed_with_old, vault(OLD))
    assert keys.reseal(sealed_with_old, vault(NEW)) == keys.Rotation(resealed=0, failures=())


def test_a_rotation_does_not_change_by_what_a_token_is_found(sealed_with_old):
    keys.reseal(sealed_with_old, vault(NEW, OLD))
    with sealed_with_old.transaction() as tx:
        looked_up = keys.keyed_hash(keys.hash_key(tx, vault(NEW)), "usr_token")
        assert bytes(tx.value("SELECT token_hash FROM user_webhook_tokens")) == looked_up


def test_a_secret_that_does_not_open_is_left_and_reported(sealed_with_old):
    before = opened(sealed_with_old, vault(OLD))
    done = keys.reseal(sealed_with_old, vault(NEW))
    assert done.resealed == 0
    assert len(done.failures) == 5
    assert opened(sealed_with_old, vault(OLD)) == before


def test_after_a_lost_key_only_what_does_not_open_is_forgotten(sealed_with_old):
    with sealed_with_old.transaction() as tx:
        tx.execute(
            "UPDATE users SET totp_sealed = %s, totp_sealed_with = %s",
            (vault(NEW).seal("kept"), vault(NEW).key_id),
        )
    assert keys.forget_unreadable(sealed_with_old, vault(NEW)) == 4
    with sealed_with_old.transaction() as tx:
        assert vault(NEW).open(tx.value("SELECT totp_sealed FROM users")) == "kept"
        assert tx.value("SELECT credentials_sealed FROM user_api_keys") is None
        assert tx.value("SELECT count(*) FROM user_webhook_tokens") == 0
        assert keys.hash_key(tx, vault(NEW))


def test_every_sealed_column_of_the_schema_is_rotated(database):
    with database.transaction() as tx:
        rows = tx.all(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name LIKE '%%_sealed'"
        )
    in_schema = {(row["table_name"], row["column_name"]) for row in rows}
    assert in_schema == {(sealed.table, sealed.column) for sealed in keys.SEALED_COLUMNS}


def test_the_hash_key_is_made_once_even_by_many_at_once(database):
    def read(_):
        with database.transaction() as tx:
            return keys.hash_key(tx, vault(OLD))

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(read, range(12)))) == 1


def test_only_the_last_sign_up_code_counts_and_only_before_the_first_account(database):
    with database.transaction() as tx:
        first = keys.new_sign_up_code(tx, vault(OLD))
        second = keys.new_sign_up_code(tx, vault(OLD))
        assert not keys.is_sign_up_code(tx, vault(OLD), first)
        assert not keys.is_sign_up_code(tx, vault(OLD), "")
        assert keys.is_sign_up_code(tx, vault(OLD), second)
        tx.execute("INSERT INTO users (email, password_hash) VALUES ('ann@example.org', 'x')")
        assert not keys.is_sign_up_code(tx, vault(OLD), second)
        assert keys.new_sign_up_code(tx, vault(OLD)) is None


def test_a_service_has_one_key_at_a_time(database):
    with database.transaction() as tx:
        keys.keep_service_key(tx, vault(OLD), "Discord bot", "first")
        keys.keep_service_key(tx, vault(OLD), "Discord bot", "second")
        (row,) = tx.all("SELECT key_hash FROM service_keys")
        assert bytes(row["key_hash"]) == keys.keyed_hash(keys.hash_key(tx, vault(OLD)), "second")
