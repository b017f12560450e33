"""The transports by name: a new one is a module beside this one and a line here."""

from collections.abc import Mapping

from alerts.discord_webhook import DISCORD, DiscordWebhook
from alerts.json_webhook import JsonWebhook
from alerts.transport import Transport
from core.addresses import networks
from settings import Settings


def transports_for(settings: Settings) -> Mapping[str, Transport]:
    """Return every transport by its name, within what the operator allows."""
    return {
        "DISCORD": DiscordWebhook(str(settings.discord_base_url or DISCORD).rstrip("/")),
        "WEBHOOK": JsonWebhook(allowed=networks(settings.alert_webhook_networks)),
    }
