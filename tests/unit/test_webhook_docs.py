"""docs/webhooks.md names every field, every word of a closed set, every code, setting and route."""

import re
from pathlib import Path

import pytest

from core.plan import Code
from encryption import new_key
from settings import Settings
from signals import fields, service
from signals.message import NAMES
from webhook_server import create_app

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "webhooks.md").read_text()
WORDS = set(re.findall(r"\w+", PAGE))


@pytest.mark.parametrize("name", [*(name for names in NAMES.values() for name in names), *service.FIELDS])
def test_every_field_name_is_there(name):
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("word", sorted({*fields.VERBS, *fields.POSITIONS, *fields.ORDER_TYPES} - {"cancel"}))
def test_every_word_of_an_action_a_position_and_an_order_type_is_there(word):
    assert word in WORDS


@pytest.mark.parametrize("word", sorted(set(fields.QUANTITY_MODES) - {"base", "quote"}))
def test_every_word_of_what_a_quantity_counts_is_there(word):
    assert word in WORDS


@pytest.mark.parametrize("code", list(Code))
def test_every_code_of_a_signal_is_there(code):
    assert f"`{code}`" in PAGE


def test_every_code_that_the_server_answers_is_there():
    code = re.compile(r'"([A-Z][A-Z]+(?:_[A-Z]+)+|TIMEOUT)"')
    answered = {each for file in (ROOT / "webhook").glob("*.py") for each in code.findall(file.read_text())}
    assert {"NOT_STORED", "RATE_LIMITED", "INVALID_TOKEN"} <= answered
    not_codes = {"REMOTE_ADDR"}
    assert {each for each in answered - not_codes if f"`{each}`" not in PAGE} == set()


@pytest.mark.parametrize("name", ["WEBHOOK_ALERTS_PER_MINUTE", "WEBHOOK_REQUESTS_PER_MINUTE"])
def test_the_limits_are_those_of_the_settings(name):
    assert f"`{name}` ({Settings.model_fields[name.lower()].default})" in PAGE


def test_every_route_is_there():
    given = {"database_url": "postgresql://x/y", "encryption_key": new_key(), "public_url": "http://x"}
    app = create_app(Settings.model_validate(given))
    routes = {
        str(rule).replace("<uuid:", "<").replace("<int:user_id>", "<id>") for rule in app.url_map.iter_rules()
    }
    routes = {route.replace("/webhook/<token>", "/webhook") for route in routes}
    assert len(routes) >= 7
    assert {route for route in routes if route not in PAGE} == set()
