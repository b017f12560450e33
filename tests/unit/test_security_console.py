"""What strangers wrote commands no terminal."""

import pytest

from administration.output import print_table
from database.accounts import AccountError, checked_email


def test_a_table_holds_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"name": "a\x1b[2J\x1b]0;title\x07\x9b31m\nb", "at": None}], ["name", "at"], "nothing")
    printed = capsys.readouterr().out
    assert printed.splitlines()[1] == "a [2J ]0;title  31m b  -"
    assert printed.replace("\n", "").isprintable()


@pytest.mark.parametrize("sign", ["\x1b", "\x00", "\u202e", "\x9b", "\u200b"])
def test_no_account_has_an_address_that_cannot_be_seen(sign: str) -> None:
    with pytest.raises(AccountError):
        checked_email(f"ann{sign}@example.org")
