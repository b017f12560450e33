"""Secrets open with the right key, fail clearly with any other, and survive a rotation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from encryption import KeyMissing, Vault, WrongKey, keyed_hash, new_key, new_token

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = new_key(), new_key()


def vault(*keys: str) -> Vault:
    return Vault(SecretStr(",".join(keys)))


@given(st.text())
def test_what_was_sealed_opens_again(secret):
    sealed = vault(OLD).seal(secret)
    assert vault(OLD).open(memoryview(sealed)) == secret


def test_the_sealed_form_shows_nothing_of_the_secret():
    assert b"PKTEST" not in vault(OLD).seal("PKTEST" * 20)


def test_a_wrong_key_is_named_with_what_to_do():
    sealed = vault(OLD).seal("secret")
    with pytest.raises(WrongKey) as caught:
        vault(NEW).open(sealed, vault(OLD).key_id)
    message = str(caught.value)
    assert vault(OLD).key_id in message
    assert vault(NEW).key_id in message
    assert "Put the key it was sealed with back into ENCRYPTION_KEY" in message
    assert OLD not in message
    assert NEW not in message


@pytest.mark.parametrize("kept", [0, 40, -1])
def test_a_damaged_secret_is_refused_and_called_damaged(kept):
    with pytest.raises(WrongKey, match="it was damaged"):
        vault(OLD).open(vault(OLD).seal("secret")[:kept], vault(OLD).key_id)


@given(st.binary(max_size=200))
def test_bytes_that_were_never_sealed_never_open(garbage):
    with pytest.raises(WrongKey):
        vault(OLD).open(garbage)


def test_both_keys_open_while_a_rotation_is_under_way():
    both = vault(NEW, OLD)
    assert both.open(vault(OLD).seal("old")) == "old"
    assert vault(NEW).open(both.seal("new")) == "new"


def test_a_rotation_can_tell_what_is_left_to_do():
    both = vault(NEW, OLD)
    assert not both.is_newest(vault(OLD).key_id)
    assert not both.is_newest(None)
    assert both.is_newest(both.key_id)
    assert vault(NEW).open(both.reseal(vault(OLD).seal("secret"))) == "secret"


def test_spaces_around_a_key_do_not_change_what_it_is():
    assert vault(f" {NEW} ", f" {OLD}").key_id == vault(NEW).key_id


def test_no_key_is_said_so():
    with pytest.raises(KeyMissing, match="ENCRYPTION_KEY is not set"):
        Vault(None)


def test_a_vault_does_not_show_its_keys():
    assert OLD not in repr(vault(OLD)) + str(vault(OLD))


def test_the_keyed_hash_depends_on_the_key_and_the_token():
    token = new_token("usr_")
    assert keyed_hash(b"one", token) == keyed_hash(b"one", token)
    assert len({keyed_hash(b"one", token), keyed_hash(b"two", token), keyed_hash(b"one", token + "x")}) == 3


def test_a_token_has_its_prefix_and_256_bits():
    assert re.fullmatch(r"usr_[A-Za-z0-9_-]{43}", new_token("usr_"))
    assert new_token("usr_") != new_token("usr_")


def test_the_script_prints_one_line_with_a_key_that_works():
    printed = subprocess.run(
        [sys.executable, "encryption.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = printed.stdout.splitlines()
    name, _, key = line.partition("=")
    assert name == "ENCRYPTION_KEY"
    Fernet(key)
    assert printed.stderr == ""
