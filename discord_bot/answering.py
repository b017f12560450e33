"""Answer what people press and type, each interaction once, privately, and within Discord's 3 seconds."""

import logging
import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import discord
import psycopg2

from actions.refused import Refused

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

# Discord's: an interaction that is over, and one that was answered before, by another process of the bot
UNKNOWN_INTERACTION, ANSWERED_BEFORE = 10062, 40060
AWAY = "DashTrade's database does not answer at the moment. Try again in a minute."
FAULT = (
    "That failed here, and was written into the log. Try again; if it goes on, tell whoever runs DashTrade."
)

logger = logging.getLogger("discord_bot")


async def guarded(
    interaction: "discord.Interaction[DiscordBot]", what: str, act: Coroutine[Any, Any, None]
) -> None:
    """Carry out an answer; a refusal is said, and whatever fails is logged and told to the one who asked."""
    named = f"{what}, {log_name(interaction)}"
    try:
        await act
    except Refused as refused:
        await say(interaction, f"❌ {refused.sentence}")
    except (psycopg2.OperationalError, TimeoutError) as error:
        logger.warning("%s: the database does not answer: %s", named, str(error).strip())
        await say(interaction, AWAY)
    except discord.HTTPException as error:
        if error.code in (UNKNOWN_INTERACTION, ANSWERED_BEFORE):
            logger.warning("%s: too late, or answered by another: %s", named, error)
        else:
            logger.error("%s: Discord refuses the answer", named, exc_info=error)
            await say(interaction, FAULT)
    except Exception:
        logger.exception("%s failed", named)
        await say(interaction, FAULT)


def log_name(interaction: "discord.Interaction[Any]") -> str:
    """Return what an interaction is called in the log, and which process had it: two may have heard it."""
    return f"interaction {interaction.id} of user {interaction.user.id}, process {os.getpid()}"


async def say(interaction: "discord.Interaction[DiscordBot]", words: str, **more: Any) -> None:
    """Tell the one who asked alone, as first answer or as a further one; what Discord refuses is logged."""
    try:
        if interaction.response.is_done():
            await interaction.followup.send(words, ephemeral=True, **more)
        else:
            await interaction.response.send_message(words, ephemeral=True, **more)
    except discord.HTTPException as error:
        logger.warning("interaction %s cannot be answered: %s", interaction.id, error)
