"""Accounts, signing in with its limits, sessions, invitations and reset links."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr

from database import accounts, audit, keys, sign_in
from database.accounts import AccountError, LinkKind, Role, SignUp, User
from database.pool import Database
from database.sign_in import FAILURES_PER_ACCOUNT, SignInRefused, TooManyAttempts
from encryption import Vault, new_key

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.9"


@pytest.fixture(autouse=True)
def light_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash with the least that argon2 takes; what a password costs to guess is not at stake here."""
    light = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)
    monkeypatch.setattr(accounts, "HASHER", light)
    monkeypatch.setattr(sign_in, "HASHER", light)


VAULT = Vault(SecretStr(new_key()))


@pytest.fixture
def vault() -> Vault:
    return VAULT


@pytest.fixture
def ann(database: Database) -> User:
    with database.transaction() as transaction:
        return accounts.create_user(transaction, "Ann@example.com", PASSWORD)


def enter(database: Database, email: str, password: str, address: str = HOME, at: datetime = NOW) -> User:
    entered = sign_in.sign_in(database, VAULT, email, password, address=address, now=at)
    assert isinstance(entered, User)
    return entered


def test_the_first_account_is_the_admins_and_no_other(database: Database) -> None:
    with database.transaction() as transaction:
        first = accounts.create_user(transaction, "ann@example.com", PASSWORD)
        second = accounts.create_user(transaction, "bob@example.com", PASSWORD)
    assert (first.role, second.role) == (Role.ADMIN, Role.USER)


def test_of_two_first_accounts_at_once_one_is_the_admins(database: Database) -> None:
    def make(email: str) -> Role:
        with database.transaction() as transaction:
            return accounts.create_user(transaction, email, PASSWORD).role

    with ThreadPoolExecutor(4) as pool:
        roles = list(pool.map(make, [f"user{number}@example.com" for number in range(4)]))
    assert sorted(roles) == [Role.ADMIN, Role.USER, Role.USER, Role.USER]


@pytest.mark.parametrize(
    "email", ["", "ann", "ann@", "@example.com", "a b@example.com", "ann@example.", "a@b@c.de"]
)
def test_what_is_no_address_is_refused(database: Database, email: str) -> None:
    with pytest.raises(AccountError, match=r"name@example\.com"), database.transaction() as transaction:
        accounts.create_user(transaction, email, PASSWORD)


@pytest.mark.parametrize("password", ["", "too short", "x" * 1001, "ANN@example.com"])
def test_a_bad_password_is_refused(database: Database, password: str) -> None:
    with pytest.raises(AccountError), database.transaction() as transaction:
        accounts.create_user(transaction, "ann@example.com", password)


def test_an_address_has_one_account_in_any_case_of_letters(database: Database, ann: User) -> None:
    with pytest.raises(AccountError, match="already"), database.transaction() as transaction:
        accounts.create_user(transaction, "ANN@EXAMPLE.COM", PASSWORD)


def test_passwords_are_kept_as_argon2id_hashes(database: Database, ann: User) -> None:
    with database.transaction() as transaction:
        kept = transaction.value("SELECT password_hash FROM users WHERE id = %s", (ann.id,))
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept


def test_the_right_password_opens_in_any_spelling_of_the_address(database: Database, ann: User) -> None:
    assert enter(database, " ann@EXAMPLE.com ", PASSWORD) == ann


def test_wrong_password_unknown_and_closed_account_get_one_answer(database: Database, ann: User) -> None:
    with database.transaction() as transaction:
        closed = accounts.create_user(transaction, "closed@example.com", PASSWORD)
        transaction.execute("UPDATE users SET is_active = false WHERE id = %s", (closed.id,))
    answers = set()
    for email, password in (
        ("ann@example.com", "a wrong password"),
        ("nobody@example.com", PASSWORD),
        ("closed@example.com", PASSWORD),
    ):
        with pytest.raises(SignInRefused) as refused:
            enter(database, email, password)
        answers.add((type(refused.value), str(refused.value)))
    assert len(answers) == 1


def test_an_old_hash_is_renewed_at_the_next_sign_in(database: Database, ann: User) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with database.transaction() as transaction:
        transaction.execute("UPDATE users SET password_hash = %s", (weak,))
    enter(database, "ann@example.com", PASSWORD)
    with database.transaction() as transaction:
        kept = transaction.value("SELECT password_hash FROM users")
    assert kept != weak
    assert not accounts.HASHER.check_needs_rehash(kept)
    assert enter(database, "ann@example.com", PASSWORD) == ann


def fail(database: Database, times: int, address: str = ELSEWHERE, email: str = "ann@example.com") -> None:
    for _ in range(times):
        with pytest.raises(SignInRefused):
            enter(database, email, "a wrong password", address)


def test_after_too_many_wrong_passwords_not_even_the_right_one_opens_for_a_while(
    database: Database, ann: User
) -> None:
    fail(database, FAILURES_PER_ACCOUNT)
    with pytest.raises(TooManyAttempts):
        enter(database, "ann@example.com", PASSWORD, ELSEWHERE)
    later = NOW + sign_in.ATTEMPT_WINDOW + timedelta(seconds=1)
    assert enter(database, "ann@example.com", PASSWORD, ELSEWHERE, later) == ann


def test_a_strangers_guesses_do_not_keep_the_owner_out_of_a_known_place(
    database: Database, ann: User
) -> None:
    enter(database, "ann@example.com", PASSWORD, HOME)
    fail(database, FAILURES_PER_ACCOUNT, ELSEWHERE)
    assert enter(database, "ann@example.com", PASSWORD, HOME) == ann
    with pytest.raises(TooManyAttempts):
        enter(database, "ann@example.com", PASSWORD, ELSEWHERE)


def test_a_known_place_has_its_own_limit(database: Database, ann: User) -> None:
    enter(database, "ann@example.com", PASSWORD, HOME)
    fail(database, FAILURES_PER_ACCOUNT, HOME)
    with pytest.raises(TooManyAttempts):
        enter(database, "ann@example.com", PASSWORD, HOME)


def test_guesses_at_many_accounts_from_one_address_end(
    database: Database, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "FAILURES_PER_ADDRESS", 6)
    for number in range(6):
        fail(database, 1, ELSEWHERE, f"user{number}@example.com")
    with pytest.raises(TooManyAttempts):
        enter(database, "ann@example.com", PASSWORD, ELSEWHERE)
    assert enter(database, "ann@example.com", PASSWORD, HOME) == ann


def test_guesses_made_at_once_do_not_exceed_the_limit(database: Database, ann: User) -> None:
    def guess(_number: int) -> type[Exception] | None:
        try:
            enter(database, "ann@example.com", "a wrong password", ELSEWHERE)
        except SignInRefused as refused:
            return type(refused)
        return None

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(FAILURES_PER_ACCOUNT + 6)))
    assert answers.count(SignInRefused) == FAILURES_PER_ACCOUNT
    assert answers.count(TooManyAttempts) == 6


def test_a_session_lives_until_it_is_ended(database: Database, ann: User) -> None:
    with database.transaction() as transaction:
        token = sign_in.open_session(transaction, ann.id, agent="Firefox", now=NOW)
        other = sign_in.open_session(transaction, ann.id, agent="Safari", now=NOW)
        assert sign_in.user_of_session(transaction, token, NOW) == ann
        assert sign_in.end_session(transaction, token) == ann
        assert sign_in.user_of_session(transaction, token, NOW) is None
        assert sign_in.end_session(transaction, token) is None
        assert sign_in.user_of_session(transaction, other, NOW) == ann
        assert sign_in.living_sessions(transaction, [token, other, "never"], NOW) == {other}
        assert [each["agent"] for each in sign_in.sessions_of(transaction, ann.id, NOW)] == ["Safari"]


def test_a_session_ends_by_itself_and_with_its_account(database: Database, ann: User) -> None:
    with database.transaction() as transaction:
        token = sign_in.open_session(transaction, ann.id, agent="", now=NOW)
        assert sign_in.user_of_session(transaction, token, NOW + sign_in.SESSION_LIFE) is None
        transaction.execute("UPDATE users SET is_active = false")
        assert sign_in.user_of_session(transaction, token, NOW) is None


def test_only_the_hash_of_a_session_is_kept(database: Database, ann: User) -> None:
    with database.transaction() as transaction:
        token = sign_in.open_session(transaction, ann.id, agent="", now=NOW)
        (row,) = transaction.all("SELECT * FROM user_sessions")
    assert len(token) >= 43
    assert token not in str(row)
    assert bytes(row["token_hash"]) == accounts.digest(token)


def test_the_first_account_needs_the_printed_code(database: Database, vault: Vault) -> None:
    with database.transaction() as transaction:
        code = keys.new_sign_up_code(transaction, vault)
    assert code is not None
    for wrong in ("", "x" * 20, code[:-1]):
        with pytest.raises(AccountError, match="printed"), database.transaction() as transaction:
            accounts.sign_up(transaction, vault, "eve@example.com", PASSWORD, code=wrong, now=NOW)
    with database.transaction() as transaction:
        made = accounts.sign_up(transaction, vault, "ann@example.com", PASSWORD, code=code, now=NOW)
    assert made.is_admin
    with pytest.raises(AccountError), database.transaction() as transaction:
        accounts.sign_up(transaction, vault, "eve@example.com", PASSWORD, code=code, now=NOW)


def test_later_accounts_need_an_invitation_that_works_once(
    database: Database, vault: Vault, ann: User
) -> None:
    with database.transaction() as transaction:
        code = accounts.invite(transaction, NOW)
        assert accounts.is_link_alive(transaction, LinkKind.INVITE, code, NOW)
        assert not accounts.is_link_alive(transaction, LinkKind.RESET, code, NOW)
        made = accounts.sign_up(transaction, vault, "bob@example.com", PASSWORD, code=code, now=NOW)
    assert made.role is Role.USER
    for used in (code, "", "nonsense"):
        with pytest.raises(AccountError, match="too old"), database.transaction() as transaction:
            accounts.sign_up(transaction, vault, "eve@example.com", PASSWORD, code=used, now=NOW)


def test_an_invitation_is_not_used_up_by_a_refused_form(database: Database, vault: Vault, ann: User) -> None:
    with database.transaction() as transaction:
        code = accounts.invite(transaction, NOW)
    with pytest.raises(AccountError, match="characters"), database.transaction() as transaction:
        accounts.sign_up(transaction, vault, "bob@example.com", "short", code=code, now=NOW)
    with database.transaction() as transaction:
        accounts.sign_up(transaction, vault, "bob@example.com", PASSWORD, code=code, now=NOW)


def test_an_invitation_grows_old(database: Database, vault: Vault, ann: User) -> None:
    with database.transaction() as transaction:
        code = accounts.invite(transaction, NOW)
    late = NOW + accounts.INVITATION_LIFE
    with pytest.raises(AccountError, match="too old"), database.transaction() as transaction:
        accounts.sign_up(transaction, vault, "bob@example.com", PASSWORD, code=code, now=late)


def test_sign_up_can_be_opened_and_closed(database: Database, vault: Vault, ann: User) -> None:
    with database.transaction() as transaction:
        accounts.set_sign_up(transaction, SignUp.OPEN)
        accounts.sign_up(transaction, vault, "bob@example.com", PASSWORD, code="", now=NOW)
        accounts.set_sign_up(transaction, SignUp.CLOSED)
        code = accounts.invite(transaction, NOW)
    with pytest.raises(AccountError, match="Nobody"), database.transaction() as transaction:
        accounts.sign_up(transaction, vault, "eve@example.com", PASSWORD, code=code, now=NOW)


def test_a_reset_link_sets_the_password_once_and_ends_every_session(database: Database, ann: User) -> None:
    with database.transaction() as transaction:
        token = sign_in.open_session(transaction, ann.id, agent="", now=NOW)
        older = accounts.allow_reset(transaction, ann.id, NOW)
        code = accounts.allow_reset(transaction, ann.id, NOW)
    with pytest.raises(AccountError), database.transaction() as transaction:
        accounts.reset_password(transaction, older, "another password", NOW)
    with database.transaction() as transaction:
        assert accounts.reset_password(transaction, code, "another password", NOW).id == ann.id
        assert sign_in.user_of_session(transaction, token, NOW) is None
    with pytest.raises(AccountError), database.transaction() as transaction:
        accounts.reset_password(transaction, code, "a third password", NOW)
    with pytest.raises(SignInRefused):
        enter(database, "ann@example.com", PASSWORD)
    assert enter(database, "ann@example.com", "another password") == ann


def test_the_audit_log_keeps_who_did_what(database: Database, ann: User) -> None:
    with database.transaction() as transaction:
        audit.record(
            transaction, actor="ann@example.com", action="token revoke", subject="token 3", user_id=ann.id,
            address=HOME, before={"active": True, "seen": NOW}, after={"active": False},
        )  # fmt: skip
        (row,) = audit.newest(transaction, user_id=ann.id)
        assert audit.newest(transaction, user_id=ann.id + 1) == []
    assert (row["actor"], row["action"], row["subject"]) == ("ann@example.com", "token revoke", "token 3")
    assert row["before"] == {"active": True, "seen": "2026-11-20T15:00:00+00:00"}
