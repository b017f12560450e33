"""The second factor: what a code opens, how often, and what takes it away again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr

from actions import account as actions
from actions.acting import Refused
from database import accounts, second_factor, sign_in
from database.accounts import User
from database.pool import Database
from database.sign_in import (
    FAILURES_PER_ACCOUNT,
    TICKET_DEAD,
    TICKET_LIFE,
    WRONG_CODE,
    CodeNeeded,
    SignInRefused,
    TooManyAttempts,
)
from encryption import Vault, new_key
from tests.database.office import Office, open_office

NOW = datetime(2026, 11, 20, 15, 0, 10, tzinfo=UTC)
STEP = timedelta(seconds=30)
PASSWORD = "correct horse battery"
HOME = "192.0.2.1"
SECRET = second_factor.new_secret()


@pytest.fixture(autouse=True)
def light_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash with the least that argon2 takes; what a password costs to guess is not at stake here."""
    light = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)
    monkeypatch.setattr(accounts, "HASHER", light)
    monkeypatch.setattr(sign_in, "HASHER", light)


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch, light_hashing: None) -> Office:
    """Give a user with a second factor that was switched on a minute ago."""
    office = open_office(database_url, monkeypatch)
    switch_on(office, NOW - 2 * STEP)
    return office


def code_at(at: datetime) -> str:
    return pyotp.TOTP(SECRET).at(at)


def switch_on(office: Office, at: datetime, code: str | None = None) -> None:
    actions.enable_second_factor(
        office.services, office.acting, secret=SECRET, code=code or code_at(at), now=at
    )


def ticket(office: Office, at: datetime = NOW, password: str = PASSWORD) -> str:
    made = office.services
    answer = sign_in.sign_in(made.database, made.vault, office.user.email, password, address=HOME, now=at)
    assert isinstance(answer, CodeNeeded)
    return answer.ticket


def enter(office: Office, code: str, at: datetime = NOW, with_ticket: str | None = None) -> User:
    made = office.services
    return sign_in.sign_in_with_code(
        made.database, made.vault, with_ticket or ticket(office, at), code, address=HOME, now=at
    )


def refusal(do: Callable[[], object]) -> str:
    with pytest.raises(SignInRefused) as refused:
        do()
    return str(refused.value)


def test_it_is_switched_on_by_a_right_code_alone(
    database_url: str, monkeypatch: pytest.MonkeyPatch, light_hashing: None
) -> None:
    office = open_office(database_url, monkeypatch)
    for wrong in ("", "000000", code_at(NOW - 10 * STEP), "no number"):
        with pytest.raises(Refused, match="not the code of now"):
            switch_on(office, NOW, wrong or " ")
    made = office.services
    entered = sign_in.sign_in(made.database, made.vault, office.user.email, PASSWORD, address=HOME, now=NOW)
    assert isinstance(entered, User)
    switch_on(office, NOW)
    with pytest.raises(Refused, match="already"):
        switch_on(office, NOW + STEP)
    # The code that switched it on is used up
    assert refusal(lambda: enter(office, code_at(NOW))) == WRONG_CODE
    assert enter(office, code_at(NOW + STEP), NOW + STEP).id == office.user.id


def test_a_code_opens_once_and_none_before_it_any_more(office: Office) -> None:
    assert enter(office, code_at(NOW)).id == office.user.id
    assert refusal(lambda: enter(office, code_at(NOW))) == WRONG_CODE
    assert refusal(lambda: enter(office, code_at(NOW - STEP))) == WRONG_CODE
    assert enter(office, code_at(NOW + STEP)).id == office.user.id


def test_one_code_sent_twice_at_once_opens_once(office: Office) -> None:
    tickets = [ticket(office), ticket(office)]

    def try_it(with_ticket: str) -> bool:
        try:
            enter(office, code_at(NOW), NOW, with_ticket)
        except SignInRefused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(try_it, tickets)) == [False, True]


@pytest.mark.parametrize(("steps", "opens"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_phones_clock_may_be_half_a_minute_off(office: Office, steps: int, opens: bool) -> None:
    later = NOW + 10 * STEP
    code = code_at(later + steps * STEP)
    if opens:
        assert enter(office, f"{code[:3]} {code[3:]}", later).id == office.user.id
    else:
        assert refusal(lambda: enter(office, code, later)) == WRONG_CODE


@pytest.mark.parametrize("code", ["", "00000", "0000000", "abcdef", "１２３４５６", "' OR 1=1"])
def test_what_is_no_code_is_refused(office: Office, code: str) -> None:
    assert refusal(lambda: enter(office, code)) == WRONG_CODE


def test_wrong_codes_count_and_then_not_even_the_right_one_opens(office: Office) -> None:
    one = ticket(office)
    # The password typed for the ticket counts until the code was right.
    for _ in range(FAILURES_PER_ACCOUNT - 1):
        assert refusal(lambda: enter(office, "000000", NOW, one)) == WRONG_CODE
    with pytest.raises(TooManyAttempts):
        enter(office, code_at(NOW), NOW, one)
    with pytest.raises(TooManyAttempts):
        ticket(office)
    later = NOW + sign_in.ATTEMPT_WINDOW
    assert enter(office, code_at(later), later).id == office.user.id


def test_a_right_code_forgives_what_led_to_it(office: Office) -> None:
    for turn in range(FAILURES_PER_ACCOUNT + 2):
        at = NOW + turn * STEP
        assert enter(office, code_at(at), at).id == office.user.id


def test_a_ticket_dies_by_age_with_the_password_and_is_nobodys_to_make(office: Office) -> None:
    made = office.services
    old = ticket(office)
    late = NOW + TICKET_LIFE + timedelta(seconds=1)
    assert refusal(lambda: enter(office, code_at(late), late, old)) == TICKET_DEAD
    for made_up in ("", "x", Vault(SecretStr(new_key())).seal("{}").decode(), made.vault.seal("{}").decode()):
        assert refusal(lambda text=made_up: enter(office, code_at(NOW), NOW, text or "-")) == TICKET_DEAD
    living = ticket(office)
    with made.database.transaction() as transaction:
        accounts.change_password(transaction, office.user.id, "another password")
    assert refusal(lambda: enter(office, code_at(NOW), NOW, living)) == TICKET_DEAD


def test_a_ticket_of_one_account_opens_no_other(office: Office) -> None:
    eve = office.another_user()
    other = second_factor.new_secret()
    code = pyotp.TOTP(other).at(NOW - STEP)
    actions.enable_second_factor(office.services, eve, secret=other, code=code, now=NOW - STEP)
    assert refusal(lambda: enter(office, pyotp.TOTP(other).at(NOW))) == WRONG_CODE


def test_it_is_switched_off_by_the_password_alone(office: Office) -> None:
    with pytest.raises(Refused, match="not your password"):
        actions.disable_second_factor(office.services, office.acting, password="a guess", now=NOW)
    ticket(office)
    actions.disable_second_factor(office.services, office.acting, password=PASSWORD, now=NOW)
    made = office.services
    entered = sign_in.sign_in(made.database, made.vault, office.user.email, PASSWORD, address=HOME, now=NOW)
    assert isinstance(entered, User)


def test_who_lost_the_phone_comes_in_by_a_reset_link(office: Office) -> None:
    made = office.services
    with made.database.transaction() as transaction:
        code = accounts.allow_reset(transaction, office.user.id, NOW)
        accounts.reset_password(transaction, code, "another password", NOW)
    entered = sign_in.sign_in(
        made.database, made.vault, office.user.email, "another password", address=HOME, now=NOW
    )
    assert isinstance(entered, User)


def test_the_secret_is_kept_sealed_and_every_step_recorded(office: Office, database: Database) -> None:
    actions.disable_second_factor(office.services, office.acting, password=PASSWORD, now=NOW)
    switch_on(office, NOW)
    with database.transaction() as transaction:
        row = transaction.one("SELECT totp_sealed, totp_sealed_with FROM users")
        log = [each["action"] for each in transaction.all("SELECT action FROM audit_log ORDER BY id")]
        everything = str(transaction.all("SELECT * FROM audit_log"))
    assert SECRET.encode() not in bytes(row["totp_sealed"])
    assert office.services.vault.open(row["totp_sealed"], row["totp_sealed_with"]) == SECRET
    assert log == ["second factor on", "second factor off", "second factor on"]
    assert SECRET not in everything
