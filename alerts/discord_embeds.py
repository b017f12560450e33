"""Give alerts the form of Discord's embeds, within every limit of developers/resources/message."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any

from discord_webhook import DiscordEmbed

from alerts.neutral import BREAK, length, neutral, shortened, unlinked
from core.alert import Alert, AlertField, Tone

MOST_EMBEDS = 10
MOST_FIELDS = 25
TITLE = 256
DESCRIPTION = 4096
FIELD_NAME = 256
FIELD_VALUE = 1024
FOOTER = 2048
TOGETHER = 6000  # over all embeds of a message
NOTHING = "—"

COLOURS = {
    Tone.GOOD: 0x2ECC71,
    Tone.BAD: 0xE74C3C,
    Tone.WARNING: 0xF39C12,
    Tone.INFO: 0x3498DB,
    Tone.QUIET: 0x95A5A6,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The texts of one embed, each neutral and within its own limit."""

    title: str
    description: str
    footer: str
    fields: tuple[AlertField, ...] = field(default=())


def embeds(alerts: Sequence[Alert]) -> list[dict[str, Any]]:
    """Return an embed for every alert; the longest texts are shortened where all are too long together."""
    if not 0 < len(alerts) <= MOST_EMBEDS:
        raise ValueError(f"a message holds 1 to {MOST_EMBEDS} alerts, not {len(alerts)}")
    drafts = [_draft(alert) for alert in alerts]
    longest = _longest_text(drafts)
    return [_embed(alert, _cut(draft, longest)) for alert, draft in zip(alerts, drafts, strict=True)]


def _draft(alert: Alert) -> Draft:
    return Draft(
        title=shortened(neutral(alert.title) or neutral(alert.kind) or NOTHING, TITLE),
        description=shortened(neutral(alert.text), DESCRIPTION),
        # Discord reads no markup in a footer and would show the escapes
        footer=shortened(unlinked(alert.footer), FOOTER),
        fields=tuple(_fields(alert.fields)),
    )


def _fields(fields: Sequence[AlertField]) -> Iterator[AlertField]:
    shown = fields if len(fields) <= MOST_FIELDS else fields[: MOST_FIELDS - 1]
    for one in shown:
        yield AlertField(
            shortened(neutral(one.name) or BREAK, FIELD_NAME),
            shortened(neutral(one.value) or NOTHING, FIELD_VALUE),
            one.wide,
        )
    if len(shown) < len(fields):
        yield AlertField("…", f"{len(fields) - len(shown)} more", wide=True)


def _longest_text(drafts: Sequence[Draft]) -> int:
    """Return the greatest length that a text may keep so that all together are within the limit."""
    lengths = [length(text) for draft in drafts for text in _texts(draft)]
    low, high = 1, DESCRIPTION
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(one, middle) for one in lengths) <= TOGETHER:
            low = middle
        else:
            high = middle - 1
    return low


def _texts(draft: Draft) -> Iterator[str]:
    yield from (draft.title, draft.description, draft.footer)
    for one in draft.fields:
        yield from (one.name, one.value)


def _cut(draft: Draft, longest: int) -> Draft:
    return Draft(
        title=shortened(draft.title, longest),
        description=shortened(draft.description, longest),
        footer=shortened(draft.footer, longest),
        fields=tuple(
            replace(one, name=shortened(one.name, longest), value=shortened(one.value, longest))
            for one in draft.fields
        ),
    )


def _embed(alert: Alert, draft: Draft) -> dict[str, Any]:
    embed = DiscordEmbed(
        title=draft.title,
        description=draft.description,
        color=COLOURS[alert.tone],
        timestamp=alert.at.astimezone(UTC).isoformat(timespec="milliseconds"),
    )
    embed.fields = []
    for one in draft.fields:
        embed.add_embed_field(one.name, one.value, inline=not one.wide)
    if draft.footer:
        embed.footer = {"text": draft.footer}
    return {name: value for name, value in vars(embed).items() if value not in (None, "", [])}
