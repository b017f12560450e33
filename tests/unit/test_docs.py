"""The guides say what there is: settings, codes, brokers, tables, commands and links."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

import manage
import settings
from brokers.base import BrokerName
from brokers.registry import CLASSES
from core.bot import BotStatus, ConnectionStatus, SizeMode, TradingState
from core.checks import ENTRY_CHECKS
from core.order import OrderState
from core.plan import Code
from settings import SECRETS, Settings

ROOT = Path(__file__).parents[2]
GUIDES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))

# The owner's headings, as the owner wrote them.
SETUP_HEADINGS = """
# 🤖 DashTrade Trading Bot - Setup Guide
## Overview
## Architecture
## Initial Setup (One-Time)
### Step 1: Install Dependencies
### Step 2: Generate Encryption Key
### Step 3: Add to Replit Secrets
### Step 4: Run Database Migration
### Step 5: Start Both Servers
## User Setup (Per User)
### 1. Connect Alpaca Account
### 2. Get Your Webhook URL
### 3. Create Your First Bot
### 4. Configure TradingView Alert
## How It Works
### Signal Flow
### Trade Logic
### Risk Management
## Using the Dashboard
### My Bots Tab
### Live Positions Tab
### Trade History Tab
### Performance Tab
### Risk Events Tab
## Advanced Usage
### Multiple Timeframes
### Testing Webhooks
### View User Positions (API)
## Troubleshooting
### "No Alpaca API keys found"
### "Invalid or inactive token"
### "No bot configuration found"
### Orders not executing
### Risk limit hit unexpectedly
## Security Best Practices
## File Structure
## Database Schema
### user_api_keys
### user_bot_configs
### bot_trades
### user_webhook_tokens
### bot_risk_events
## API Endpoints
### POST /webhook?token=YOUR_TOKEN
### GET /health
### POST /test-webhook
### GET /user/<id>/positions?token=YOUR_TOKEN
### GET /user/<id>/bots?token=YOUR_TOKEN
## Support
## Next Steps
""".strip().splitlines()

_SETTING = re.compile(r"^\| `([A-Z_]+)`( 🔑)? \| (`[^`]+`|none) \| (.+?) \|", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_MANAGE = re.compile(r"(?:manage\.py|dashtrade-manage)((?: [a-z][a-z-]*+(?![\w@.]))+)")
_MAKE = re.compile(r"`make ([a-z-]+)`|^make ([a-z-]+)", re.MULTILINE)


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text()


@cache
def headings(path: Path) -> tuple[str, ...]:
    without_code = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return tuple(re.findall(r"^#{1,6} .+$", without_code, re.MULTILINE))


def first_cells(name: str) -> set[str]:
    """Return what stands in backquotes in the first column of the tables of a guide."""
    return set(re.findall(r"^\| `([^`]+)`", text(name), re.MULTILINE))


def shown_default(name: str) -> str:
    """Return a setting's default as the guide writes it."""
    if name == "PUBLIC_URL":
        return f"`{settings.find({'DASHTRADE_ENV_FILE': '/dev/null'}).values[name]}`"
    field = Settings.model_fields[name.lower()]
    if field.is_required() or field.default in (None, ()):
        return "none"
    if isinstance(field.default, Path):
        return f"`{field.default.relative_to(ROOT)}`"
    value = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
    return f"`{value.lower() if isinstance(field.default, bool) else value}`"


def test_every_setting_is_there_with_its_default_and_what_is_allowed() -> None:
    listed = {
        name: (key, default, allowed)
        for name, key, default, allowed in _SETTING.findall(text("docs/settings.md"))
    }
    expected = {
        name.upper(): (
            " 🔑" if name.upper() in SECRETS else "",
            shown_default(name.upper()),
            field.description,
        )
        for name, field in Settings.model_fields.items()
    }
    assert listed == expected


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (.+?) \|$", text("docs/trading.md"), re.MULTILINE)
    explained = [code for code, _, _ in rows]
    assert set(Code) <= set(explained)
    assert all(explained.count(code) == 1 for code in Code if code != Code.DAILY_LOSS_LIMIT)


def test_the_checks_stand_in_their_order() -> None:
    _, _, section = text("docs/trading.md").partition("## Checks before an entry\n")
    listed = re.findall(r"`([A-Z_]+)`|(no price)", section.split("\n## ")[0].split("**")[0])
    assert [code.lower() or words.replace(" ", "_") for code, words in listed] == [
        check.__name__ for check in ENTRY_CHECKS
    ]


@pytest.mark.parametrize("words", [BotStatus, OrderState, ConnectionStatus, TradingState, SizeMode])
def test_every_word_a_user_reads_is_explained(words: type) -> None:
    shown = text("docs/trading.md")
    missing = [word for word in words if f"`{word}`" not in shown and f"`{word.lower()}`" not in shown]
    # ``NEW → SUBMITTED → …`` stands in one pair of backquotes
    assert not [word for word in missing if not re.search(rf"`[^`\n]*\b{word}\b[^`\n]*`", shown)]


def test_every_state_of_a_signal_and_kind_of_risk_event_is_explained() -> None:
    kinds = re.search(r"kind +TEXT NOT NULL CHECK \(kind IN \(('STOP'.*?)\)\)", migrations(), re.DOTALL)
    states = re.search(
        r"state +TEXT NOT NULL CHECK \(state IN\s+\(('STORED'.*?)\)\)", migrations(), re.DOTALL
    )
    assert kinds is not None
    assert states is not None
    words = re.findall(r"'(\w+)'", kinds[1] + states[1])
    assert len(words) > 15
    assert not [word for word in words if f"`{word}`" not in text("docs/trading.md")]


def test_every_broker_has_its_section() -> None:
    assert set(CLASSES) == set(BrokerName)
    assert {f"## {name}" for name in BrokerName} <= set(headings(ROOT / "docs/brokers.md"))


def test_the_modes_and_limits_of_every_broker_are_right() -> None:
    tables = [
        {cells[1].strip(): cells for line in part.splitlines() if len(cells := line.split("|")) > 3}
        for part in text("docs/brokers.md").split("\n\n")
        if part.startswith("| |")
    ]
    columns = {
        name: (rows, next(index for index, cell in enumerate(rows[""]) if f"`{name}`" in cell))
        for name in BrokerName
        for rows in tables
        if any(f"`{name}`" in cell for cell in rows[""])
    }
    assert set(columns) == set(BrokerName)
    for name, (rows, column) in columns.items():
        capabilities = CLASSES[name].capabilities
        assert all(mode in rows["modes"][column] for mode in capabilities.modes)
        assert (
            "no, DashTrade does" in rows["holds stops itself"][column]
        ) is not capabilities.holds_protection
        assert ("order stream" in rows["news of fills"][column]) is capabilities.streams


@cache
def migrations() -> str:
    return "\n".join(path.read_text() for path in sorted(ROOT.glob("migrations/*.sql")))


def columns_of_tables() -> dict[str, set[str]]:
    """Return the columns of every table that the migrations make, as their SQL says."""
    sql = re.sub(r"--.*", "", migrations())
    tables = {
        name: set(re.findall(r"^    ([a-z_0-9]+) +[A-Z]", body, re.MULTILINE))
        for name, body in re.findall(r"^CREATE TABLE (\w+) \((.*?)^\)[^\n]*;", sql, re.MULTILINE | re.DOTALL)
    }
    for name, added in re.findall(r"^ALTER TABLE (\w+)(.*?);", sql, re.MULTILINE | re.DOTALL):
        tables[name] |= set(re.findall(r"ADD COLUMN (\w+)", added))
    return tables


def test_every_table_has_its_section_and_no_other_has() -> None:
    described = {
        line.removeprefix("### ") for line in headings(ROOT / "docs/tables.md") if line.startswith("### ")
    }
    assert described == set(columns_of_tables())


def test_every_column_described_exists_and_what_users_set_is_described() -> None:
    sections = re.split(r"^### ", text("docs/tables.md"), flags=re.MULTILINE)[1:]
    described = {}
    for section in sections:
        cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
        described[section.splitlines()[0]] = set(re.findall(r"`(\w+)`", " ".join(cells)))
    tables = columns_of_tables()
    assert not {(table, column) for table in described for column in described[table] - tables[table]}
    bot = tables["user_bot_configs"] - {"id", "created_at", "updated_at"}
    assert described["user_bot_configs"] == bot


def test_the_setup_guide_keeps_the_headings_of_the_owner_in_their_order() -> None:
    assert [line for line in headings(ROOT / "BOT_SETUP.md") if line in SETUP_HEADINGS] == SETUP_HEADINGS


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    words = heading.lstrip("#").strip().lower()
    return re.sub(r"[^\w\- ]", "", words.replace("`", "")).replace(" ", "-")


@each_guide
def test_every_link_leads_somewhere(guide: Path) -> None:
    for link in _LINK.findall(guide.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, place = unquote(link).partition("#")
        target = (guide.parent / path).resolve() if path else guide
        assert target.exists(), link
        if place:
            assert place in {anchor(heading) for heading in headings(target)}, link


@each_guide
def test_every_make_target_exists(guide: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = {one or other for one, other in _MAKE.findall(guide.read_text())}
    assert named <= targets


def commands_named(guide: Path) -> Iterator[tuple[str, list[str]]]:
    for match in _MANAGE.finditer(guide.read_text()):
        yield match[0], match[1].split()


@each_guide
def test_every_command_exists(guide: Path) -> None:
    for line, words in commands_named(guide):
        command: click.Command = manage.command
        for word in words:
            if not isinstance(command, click.Group):
                break
            found = command.commands.get(word)
            assert found is not None, line
            command = found


@each_guide
def test_every_option_of_a_command_exists(guide: Path) -> None:
    known = {option for command in all_commands(manage.command) for option in options(command)}
    for line in re.findall(r"manage\.py [^`\n]*", guide.read_text()):
        named = set(re.findall(r"(?<=\s)--[a-z-]+", line))
        assert named <= known, line


def all_commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from all_commands(child)


def options(command: click.Command) -> Iterator[str]:
    yield "--help"
    for parameter in command.params:
        yield from parameter.opts
        yield from parameter.secondary_opts


def test_every_command_of_manage_is_in_some_guide() -> None:
    guides = "\n".join(guide.read_text() for guide in GUIDES)
    missing = [name for name in manage.command.commands if f"manage.py {name}" not in guides]
    assert not missing


@each_guide
def test_every_file_named_exists(guide: Path) -> None:
    for name in re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.(?:py|toml|txt|sql))`", guide.read_text()):
        assert (ROOT / name).exists(), name


def test_no_guide_names_a_place_of_one_machine() -> None:
    assert not [guide for guide in GUIDES if re.search(r"/(work|home|root|Users)/", guide.read_text())]
