"""`/settings`: what a user wants to hear of reversal signals, shown and changed with the command's options."""

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from actions import discord_settings
from actions.discord_settings import timeframes_of
from alerts.neutral import neutral, shortened
from core.wording import number
from database import discord_accounts
from database.pool import Row, Transaction
from discord_bot.answering import guarded
from discord_bot.reversal_embed import FIELD_VALUE, GREEN, GREY, percent

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

NOT_LINKED = (
    "Your Discord account is linked to no DashTrade account, so there is nothing of yours to show. The"
    " dashboard's Discord page gives you a code for `/link`."
)
HOW = "Change one or several: `/settings pairs: EUR/USD, GBP/USD min_confidence: 0.65`"
# The option's name, and the wish that it changes
OPTIONS = {
    "notifications": "notifications_enabled",
    "timeframes": "enabled_timeframes",
    "pairs": "preferred_pairs",
    "min_confidence": "min_confidence",
    "only_model": "only_ml_enhanced",
    "only_with_edge": "only_with_edge",
    "daily_maximum": "max_notifications_per_day",
    "cooldown_minutes": "notification_cooldown_minutes",
    "update_minutes": "running_update_minutes",
    "trade_limit_hours": "trade_limit_hours",
    "currency": "account_currency",
    "channel": "notification_channel_id",
}


@app_commands.command(description="Your notification settings: shown, and changed with the options")
@app_commands.describe(
    notifications="Signals on or off; what becomes of your trades is told all the same",
    timeframes="Such as 1h, 4h, 15m",
    pairs="Such as EUR/USD, GBP/USD, USD/JPY",
    min_confidence="From 0 to 1 by hundredths, such as 0.65",
    only_model="Only signals of the model, none of the plain RSI rule",
    only_with_edge="Only pairs and timeframes that earned something out of sample",
    daily_maximum="At most so many signals a day",
    cooldown_minutes="None of the same pair for so many minutes",
    update_minutes="How often an open trade is reported; 0 for its end alone",
    trade_limit_hours="Close a trade after so many hours; 0 for never",
    currency="The currency of your profits and losses, such as USD",
    channel="A channel's number or mention; direct for direct messages",
)
async def settings(
    interaction: "discord.Interaction[DiscordBot]",
    notifications: bool | None = None,
    timeframes: str | None = None,
    pairs: str | None = None,
    min_confidence: str | None = None,
    only_model: bool | None = None,
    only_with_edge: bool | None = None,
    daily_maximum: int | None = None,
    cooldown_minutes: int | None = None,
    update_minutes: int | None = None,
    trade_limit_hours: int | None = None,
    currency: str | None = None,
    channel: str | None = None,
) -> None:
    """Change what is given, then show everything as it is."""
    given = {
        "notifications": notifications,
        "timeframes": timeframes,
        "pairs": pairs,
        "min_confidence": min_confidence,
        "only_model": only_model,
        "only_with_edge": only_with_edge,
        "daily_maximum": daily_maximum,
        "cooldown_minutes": cooldown_minutes,
        "update_minutes": update_minutes,
        "trade_limit_hours": trade_limit_hours,
        "currency": currency,
        "channel": channel,
    }
    changes = {OPTIONS[name]: str(value) for name, value in given.items() if value is not None}
    await guarded(interaction, "/settings", _settings(interaction, changes))


async def _settings(interaction: "discord.Interaction[DiscordBot]", changes: dict[str, str]) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    desk, now = interaction.client.desk, discord.utils.utcnow()
    user_id = await desk.ask(discord_accounts.user_of_discord, interaction.user.id)
    if user_id is None:
        await interaction.followup.send(NOT_LINKED, ephemeral=True)
        return
    if changes:
        row = await desk.act(discord_settings.change, user_id, "discord /settings", changes, now)
    else:
        row = await desk.ask(_row, user_id)
    await interaction.followup.send(embed=shown(row, is_changed=bool(changes)), ephemeral=True)


def shown(row: Row, *, is_changed: bool = False) -> discord.Embed:
    """Return all of a user's wishes."""
    title = "✅ Saved: your notification settings" if is_changed else "⚙️ Your notification settings"
    made = discord.Embed(title=title, description=HOW, colour=GREEN if is_changed else GREY)
    for name, value in _lines(row):
        made.add_field(name=name, value=shortened(value, FIELD_VALUE))
    return made


def _lines(row: Row) -> list[tuple[str, str]]:
    channel, hours = row["notification_channel_id"], row["trade_limit_hours"]
    minutes = row["running_update_minutes"]
    return [
        ("notifications", "on" if row["notifications_enabled"] else "off"),
        ("timeframes", ", ".join(timeframes_of(row)) or "none"),
        ("pairs", neutral(", ".join(row["preferred_pairs"])) or "none"),
        ("min_confidence", f"{number(row['min_confidence'])} ({percent(row['min_confidence'])})"),
        ("only_model", _switch(row["only_ml_enhanced"])),
        ("only_with_edge", _switch(row["only_with_edge"])),
        ("daily_maximum", f"{row['max_notifications_per_day']} a day"),
        ("cooldown_minutes", f"{row['notification_cooldown_minutes']} min for each pair"),
        ("update_minutes", f"every {minutes} min" if minutes else "never"),
        ("trade_limit_hours", f"{hours} hours" if hours else "never closed by time"),
        ("currency", row["account_currency"]),
        ("channel", f"<#{channel}>{_off(row)}" if channel else "direct messages"),
    ]


def _off(row: Row) -> str:
    if row["notification_channel_off_at"] is None:
        return ""
    because = neutral(row["notification_channel_off_because"])
    return f" is switched off: {because}. Name it again to have it tried, or another."


def _switch(value: Any) -> str:
    return "yes" if value else "no"


def _row(transaction: Transaction, user_id: int) -> Row:
    return discord_accounts.settings_of(transaction, user_id)
