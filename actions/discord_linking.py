"""Join a user's account to their Discord account: by a code typed there, or on Discord's own page."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode, urlsplit

from actions.acting import Acting, Refused, Tools
from database import discord_accounts, sign_in
from settings import Settings

DISCORD = "https://discord.com"
CALLBACK = "/discord/callback"
SCOPE = "identify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A code that is shown once, as it is typed in Discord: `/link ABCDE-FGHJK`."""

    text: str
    expires_at: datetime


def can_visit_discord(settings: Settings) -> bool:
    """Tell whether linking on Discord's own page is set up; codes need nothing but the bot."""
    return settings.discord_client_id is not None and settings.discord_client_secret is not None


def make_code(tools: Tools, acting: Acting, now: datetime) -> Code:
    """Make the user's one code, good for ten minutes; the one before is dead."""
    text = discord_accounts.new_code()
    with tools.database.transaction() as transaction:
        discord_accounts.store_code(transaction, acting.owner, discord_accounts.code_hash(text), now)
        acting.note(transaction, "discord code", f"user {acting.owner}")
    middle = len(text) // 2
    return Code(text=f"{text[:middle]}-{text[middle:]}", expires_at=now + discord_accounts.CODE_LIFE)


def unlink(tools: Tools, acting: Acting) -> None:
    """Part the accounts; channels that take the owner's messages alone take none until it is linked again."""
    with tools.database.transaction() as transaction:
        was = discord_accounts.unlink(transaction, acting.owner)
        if was is None:
            raise Refused("No Discord account is linked.")
        before = {"account": was["discord_username"], "id": was["discord_user_id"]}
        acting.note(transaction, "discord unlink", f"user {acting.owner}", before=before)


def begin_oauth(tools: Tools, acting: Acting, *, session_token: str, dashboard: str, now: datetime) -> str:
    """Return the address of Discord's page that asks the user, who comes back to the dashboard's address.

    The way back is good once, for ten minutes, and in the session it began in alone. Raises `Refused`.
    """
    settings = tools.settings
    if not can_visit_discord(settings):
        raise Refused("DISCORD_CLIENT_ID and DISCORD_CLIENT_SECRET are not set: link by a code instead.")
    origin = _origin(dashboard)
    if urlsplit(origin).hostname != urlsplit(settings.public_url).hostname:
        raise Refused(
            f"Discord sends you back to {settings.public_url} (PUBLIC_URL), where your session at {origin} is"
            " not known. Open the dashboard under that name, or link by a code."
        )
    state = secrets.token_urlsafe(32)
    with tools.database.transaction() as transaction:
        user = sign_in.user_of_session(transaction, session_token, now)
        session = sign_in.session_id(transaction, session_token)
        if user is None or session is None or user.id != acting.owner:
            raise Refused("Your session has ended: sign in again.")
        discord_accounts.store_state(
            transaction, acting.owner, session, discord_accounts.state_hash(state), now, dashboard=origin
        )
    asked = {
        "response_type": "code",
        "client_id": settings.discord_client_id,
        "scope": SCOPE,
        "state": state,
        "redirect_uri": redirect_uri(settings),
        "prompt": "consent",
    }
    return f"{discord_address(settings)}/oauth2/authorize?{urlencode(asked)}"


def redirect_uri(settings: Settings) -> str:
    """Return where Discord sends the browser back; the same must stand in Discord's developer portal."""
    return f"{settings.public_url}{CALLBACK}"


def discord_address(settings: Settings) -> str:
    """Return where Discord is."""
    return (settings.discord_base_url or DISCORD).rstrip("/")


def _origin(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise Refused("The dashboard's own address is not known: link by a code instead.")
    return f"{parts.scheme}://{parts.netloc}"
