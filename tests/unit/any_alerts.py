"""Make alerts of whatever their senders may write into them."""

import datetime as dt

from hypothesis import strategies as some

from core.alert import Alert, AlertField, Tone

# Hypothesis alone seldom writes what hurts.
HOSTILE = (
    "@everyone", "@here", "<@123456789012345678>", "<@!1>", "<@&1>", "<#1>", "</run:1>", "<t:0:R>", "<:a:1>",
    "<id:customize>", "[pay](https://evil.example)", "```", "``x``", "||spoiler||", "# big", "> quote", ">>> all",
    "-# small", "https://discord.gg/abc", "discord.com/invite/abc", "\\", "\\\\", "🐂", "👩‍👩‍👧",
    "\ud83d", "\x00", "\u202e",
    " ", "\n", "\u2028", "\u200b", "ﷺ", "é",
)  # fmt: skip


def some_text(longest: int) -> some.SearchStrategy[str]:
    """Return texts of any sign there is, lone surrogates too, some of them much too long."""
    pieces = some.sampled_from(HOSTILE) | some.text(some.characters(exclude_categories=()), max_size=20)
    short = some.lists(pieces, max_size=6).map("".join)
    return some.tuples(short, some.sampled_from([0, 0, 1, longest, longest // 7])).map(
        lambda made: made[0] * max(1, made[1] // max(1, len(made[0])) + 1) if made[1] else made[0]
    )


def some_alerts(most: int = 10) -> some.SearchStrategy[list[Alert]]:
    """Return up to `most` alerts, at least one."""
    fields = some.builds(AlertField, some_text(400), some_text(1500), some.booleans())
    alert = some.builds(
        Alert,
        kind=some_text(50),
        title=some_text(400),
        tone=some.sampled_from(Tone),
        text=some_text(6000),
        fields=some.lists(fields, max_size=4).flatmap(
            lambda few: some.sampled_from([1, 1, 1, 9]).map(lambda times: tuple(few * times))
        ),
        footer=some_text(3000),
        at=some.datetimes(dt.datetime(1970, 1, 2), dt.datetime(9999, 12, 30), timezones=some.just(dt.UTC)),  # noqa: DTZ001
    )
    return some.lists(alert, min_size=1, max_size=most)
