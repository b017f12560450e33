"""Guesses from the many addresses that one line of IPv6 has are guesses of one."""

import pytest
from argon2 import PasswordHasher

from database import accounts, sign_in
from database.pool import Database
from database.sign_in import TooManyAttempts
from tests.database.test_accounts import PASSWORD, enter, fail


def test_the_addresses_of_one_line_have_one_limit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    light = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)
    for module in (accounts, sign_in):
        monkeypatch.setattr(module, "HASHER", light)
    monkeypatch.setattr(sign_in, "FAILURES_PER_ADDRESS", 6)
    with database.transaction() as transaction:
        accounts.create_user(transaction, "ann@example.com", PASSWORD)
    for number in range(6):
        fail(database, 1, f"2001:db8:1:2:{number}::{number}", f"user{number}@example.com")
    with pytest.raises(TooManyAttempts):
        enter(database, "ann@example.com", PASSWORD, "2001:db8:1:2:ffff::1")
    assert enter(database, "ann@example.com", PASSWORD, "2001:db8:1:3::1")
