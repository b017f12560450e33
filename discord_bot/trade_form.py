"""The form in which a trade is opened: filled in from its signal, read as people type, refused clearly.

It is known by its signal's number alone, and what was typed travels with the refusal's message, so that a new
process of the bot reads a form which another one showed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import discord

from actions.refused import Refused
from actions.tracked_trades import Opened, TradeRequest
from actions.trade_checks import FURTHEST, LONGEST_NOTES
from alerts.neutral import neutral
from core.pips import Direction, Market, market_of
from core.wording import number
from database.pool import Row
from discord_bot.reversal_embed import RED, price
from signals.discord_numbers import BadNumber, read_number

FIRST_LOTS = "0.1"
LONGEST_NUMBER = 24
EMPTY = "\u200b"
_CUSTOM_ID = re.compile(r"trade:form:([0-9]{1,19})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of the form; `name` is the action's word for it, `column` where its first value comes from."""

    name: str
    title: str
    hint: str
    column: str | None = None


FIELDS = (
    Field(name="entry", title="Entry price", hint="What you paid, such as 1.0854", column="entry_price"),
    Field(name="lots", title="Lot size", hint="0.01 to 100 lots"),
    Field(
        name="stop",
        title="Stop loss",
        hint="A price below a LONG's entry, above a SHORT's",
        column="stop_loss",
    ),
    Field(name="target", title="Take profit", hint="A price on the other side", column="take_profit"),
)
NOTES = Field(name="notes", title="Notes", hint="For yourself; may stay empty")


def number_of_form(interaction: discord.Interaction[Any]) -> int | None:
    """Return the signal's number where an interaction is a form that was sent in, or None."""
    if interaction.type is not discord.InteractionType.modal_submit:
        return None
    data: Mapping[str, Any] = dict(interaction.data or {})
    match = _CUSTOM_ID.fullmatch(str(data.get("custom_id", "")))
    return None if match is None else int(match[1])


def first_values(row: Row) -> dict[str, str]:
    """Return what the form is filled in with: the signal's own levels, and a tenth of a lot."""
    market = market_of(row["pair"])
    values = {field.name: price(market, row[field.column]) for field in FIELDS if field.column}
    return {**values, "lots": FIRST_LOTS, "notes": ""}


def form(row: Row, values: Mapping[str, str]) -> discord.ui.Modal:
    """Return the form of a signal with these values in it."""
    title = f"{row['signal_type'].upper()} {row['pair']}"[:45]
    made = discord.ui.Modal(title=title, custom_id=f"trade:form:{row['id']}")
    for field in FIELDS:
        made.add_item(_line(field, values.get(field.name, ""), longest=LONGEST_NUMBER))
    made.add_item(_line(NOTES, values.get(NOTES.name, ""), longest=LONGEST_NOTES))
    # Nothing of it is to be kept in memory: what is sent in is read by its number
    made.stop()
    return made


def typed(interaction: discord.Interaction[Any]) -> dict[str, str]:
    """Return what was typed into a form that was sent in, by the names of the fields."""
    data: Mapping[str, Any] = dict(interaction.data or {})
    known = {field.name for field in (*FIELDS, NOTES)}
    return {name: value.strip() for name, value in _inputs(data.get("components")) if name in known}


def request(row: Row, values: Mapping[str, str]) -> TradeRequest:
    """Return the trade that was typed for a signal; raise `Refused` with the field and what is allowed."""
    numbers = {field.name: number_typed(values.get(field.name, ""), field.name) for field in FIELDS}
    _check_near(market_of(row["pair"]), row["entry_price"], numbers["entry"])
    return TradeRequest(
        pair=row["pair"],
        timeframe=row["timeframe"],
        direction=Direction(row["signal_type"]),
        notes=values.get(NOTES.name, ""),
        request_key=f"signal {row['id']}",
        notification_id=row["id"],
        entry=numbers["entry"],
        lots=numbers["lots"],
        stop=numbers["stop"],
        target=numbers["target"],
    )


def number_typed(text: str, name: str) -> Decimal:
    """Return a number as people write it; raise `Refused` with the field's name and what is allowed."""
    try:
        return read_number(text)
    except BadNumber as fault:
        raise Refused(f"{text[:LONGEST_NUMBER]!r} {fault}.", name) from None


def confirmation(asked: TradeRequest, opened: Opened) -> str:
    """Return what is said when a trade was opened, or had been before."""
    if not opened.is_new:
        return f"You opened trade #{opened.trade_id} from this signal already. Nothing was opened again."
    market = market_of(asked.pair)
    remark = f"\n{neutral(opened.remark)}" if opened.remark else ""
    return (
        f"✅ **Trade opened**\n📊 {neutral(asked.pair)} {asked.direction.upper()} @ {price(market, asked.entry)},"
        f" {number(asked.lots)} lots\n🆔 Trade #{opened.trade_id}\nIt is followed to {price(market, asked.stop)}"
        f" (stop) or {price(market, asked.target)} (target), and what becomes of it is told here."
        f" `/stop {opened.trade_id}` closes it by hand.{remark}"
    )


def refusal(refused: Refused, values: Mapping[str, str]) -> discord.Embed:
    """Return why a form was refused, with what was typed, from which `kept` reads it again."""
    title = next((field.title for field in (*FIELDS, NOTES) if field.name == refused.field), None)
    about = f"**{title}**: " if title else ""
    made = discord.Embed(title="❌ No trade was opened", description=f"{about}{refused.sentence}", colour=RED)
    for field in (*FIELDS, NOTES):
        made.add_field(name=field.title, value=values.get(field.name) or EMPTY, inline=field is not NOTES)
    return made


def kept(message: discord.Message | None) -> dict[str, str]:
    """Return what was typed into a form that was refused with this message."""
    names = {field.title: field.name for field in (*FIELDS, NOTES)}
    shown = message.embeds[0].fields if message is not None and message.embeds else []
    return {names[each.name]: (each.value or "").replace(EMPTY, "") for each in shown if each.name in names}


def _line(field: Field, value: str, *, longest: int) -> discord.ui.Label[Any]:
    style = discord.TextStyle.paragraph if field is NOTES else discord.TextStyle.short
    box: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id=field.name,
        style=style,
        default=value[:longest] or None,
        required=field is not NOTES,
        max_length=longest,
    )
    return discord.ui.Label(text=field.title, description=field.hint, component=box)


def _inputs(components: Any) -> Iterator[tuple[str, str]]:
    """Give name and value of each text box, in labels as in rows."""
    for each in components or ():
        inner = each.get("component")
        yield from _inputs([inner] if inner else each.get("components"))
        if "custom_id" in each and isinstance(each.get("value"), str):
            yield each["custom_id"], each["value"]


def _check_near(market: Market, signal: Decimal, entry: Decimal) -> None:
    furthest = FURTHEST[market.kind]
    if not signal / furthest <= entry <= signal * furthest:
        raise Refused(
            f"The signal was at {price(market, signal)}; an entry at {number(entry)} is a slip. Allowed:"
            f" {price(market, signal / furthest)} to {price(market, signal * furthest)}.",
            "entry",
        )
