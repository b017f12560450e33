"""The search finds a planted secret in each form and in parts, and nothing where there is none."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.secret_search import PART, forms, leaks

SECRET = 'hV3/x+"qR8 tZ1=wY7'
PLANTED = {
    "plain": f"keys: {SECRET}.",
    "escaped": '{"key": "hV3/x+\\"qR8 tZ1=wY7"}',
    "in a URL": f"GET /?key={quote(SECRET, safe='')} 200",
    "in a form": "key=hV3%2Fx%2B%22qR8+tZ1%3DwY7&x=1",
    "hexadecimal": SECRET.encode().hex(),
    "base64 at 0": base64.b64encode(f"{SECRET}:".encode()).decode(),
    "base64 at 1": base64.b64encode(f"user:{SECRET[:-4]}…"[1:].encode()).decode(),
    "base64 at 2": base64.b64encode(f"user:{SECRET}".encode()).decode(),
}


@pytest.mark.parametrize("form", PLANTED)
def test_a_planted_secret_is_found(form: str) -> None:
    assert [leak.place for leak in leaks("the log", f"first\n{PLANTED[form]}\nlast", {"a key": SECRET})]


@given(
    secret=st.text(st.characters(codec="ascii", min_codepoint=33), min_size=PART, max_size=60),
    at=st.integers(0),
)
def test_a_part_is_found_and_the_secret_is_not_in_what_is_said_of_it(secret: str, at: int) -> None:
    start = at % (len(secret) - PART + 1)
    found = leaks("the log", f"··· {secret[start : start + PART]} ···", {"a key": secret})
    assert found
    assert not [leak for leak in found if secret[start : start + PART] in leak.around]


def test_the_beginnings_that_people_are_shown_are_no_leak() -> None:
    assert leaks("the log", f"the token {SECRET[: PART - 1]}… was revoked", {"a key": SECRET}) == []


def test_every_form_of_a_token_is_there_once() -> None:
    assert len(set(forms("usr_abcdefghijklmnop").values())) == len(forms("usr_abcdefghijklmnop"))
