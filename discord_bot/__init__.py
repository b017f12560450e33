"""The Discord bot: turns messages into signals for the API, and shows what the database says.

It knows neither the key of the sealed secrets nor a broker; `hidden` names what its process must not see.
"""

from collections.abc import Iterable

from settings import SECRETS

PART = "discord bot"
# The only secrets it works with
KNOWN = frozenset({"DATABASE_URL", "SIGNAL_API_KEY", "DISCORD_BOT_TOKEN"})
WITHHELD = frozenset(SECRETS) - KNOWN
# View Channel, Send Messages, Embed Links, Add Reactions, Read Message History
NEEDED_PERMISSIONS = 85056
_INVITE = "https://discord.com/oauth2/authorize?client_id={}&scope=bot+applications.commands&permissions={}"
_BROKERS = ("APCA_", "ALPACA_", "BLOFIN_", "BYBIT_", "BINANCE_")


def hidden(variables: Iterable[str]) -> tuple[str, ...]:
    """Return which environment variables are kept from the bot: other parts' secrets, anything of a broker."""
    files = {f"{name}_FILE" for name in WITHHELD}
    of_brokers = {name for name in variables if name.upper().startswith(_BROKERS)}
    return tuple(sorted(WITHHELD | files | of_brokers))


def invite_address(application_id: int) -> str:
    """Return where a server's owner lets the bot in, with all it needs."""
    return _INVITE.format(application_id, NEEDED_PERMISSIONS)
