"""Say where alerts go and which are wanted, and send one to try it."""

from actions.acting import Acting, Refused, Tools
from alerts import json_webhook
from alerts.kinds import Delivery, kinds_to_choose
from alerts.registry import transports_for
from alerts.transport import InvalidAddress
from database import alert_channels, alert_deliveries
from database.notifications import NotificationKind, notify
from database.pool import Row

# A test whose result nobody waited for is enough; more would only fill the channel.
MOST_TESTS_WAITING = 3


def keep_address(tools: Tools, acting: Acting, transport: str, text: str) -> str | None:
    """Send the user's alerts to this address from now on; raise `Refused` for one that cannot be used.

    Returns the secret that messages to it are signed with, where they are: to be shown once.
    """
    carrier = transports_for(tools.settings)[transport]
    try:
        address = carrier.checked_address(text)
    except InvalidAddress as error:
        raise Refused(str(error), "address") from None
    shown = carrier.shown(address)
    with tools.database.transaction() as transaction:
        alert_channels.keep_channel(transaction, tools.vault, acting.owner, transport, address, shown)
        acting.note(transaction, "alert address set", f"{transport.lower()} {shown}")
    return json_webhook.Address.of(address).secret if transport == json_webhook.JsonWebhook.name else None


def remove_address(tools: Tools, acting: Acting, transport: str) -> None:
    """Forget an address; what waits for it is not sent."""
    with tools.database.transaction() as transaction:
        if not alert_channels.remove_channel(transaction, acting.owner, transport):
            raise Refused("There is no such address any more.")
        acting.note(transaction, "alert address remove", transport.lower())


def switch_on(tools: Tools, acting: Acting, transport: str) -> None:
    """Try a channel again that its service had refused."""
    with tools.database.transaction() as transaction:
        if not alert_channels.switch_on(transaction, acting.owner, transport):
            raise Refused("There is no such address any more.")
        acting.note(transaction, "alert address on", transport.lower())


def choose(tools: Tools, acting: Acting, wishes: dict[NotificationKind, Delivery]) -> None:
    """Keep what the user wants of each kind of news named here."""
    known = {kind for group in kinds_to_choose().values() for kind in group}
    if not wishes.keys() <= known:
        raise Refused("There is no such kind of news to choose.")
    with tools.database.transaction() as transaction:
        plain = {str(kind): str(delivery) for kind, delivery in wishes.items()}
        alert_channels.set_wishes(transaction, acting.owner, plain)
        acting.note(transaction, "alert kinds", f"user {acting.owner}", after=plain)


def send_test(tools: Tools, acting: Acting) -> int:
    """Write a test alert to all of the user's channels, sent like any other; return its number."""
    with tools.database.transaction() as transaction:
        if not alert_channels.has_any(transaction, acting.owner):
            raise Refused("There is no address yet that alerts could go to.")
        if alert_deliveries.tests_waiting(transaction, acting.owner) >= MOST_TESTS_WAITING:
            raise Refused("Earlier test alerts still wait to be sent.")
        return notify(transaction, acting.owner, NotificationKind.TEST_ALERT, by=acting.actor)


def test_result(tools: Tools, acting: Acting, notification_id: int) -> list[Row]:
    """Return how a test alert stands, a row for each channel; an empty list while it was not looked at."""
    with tools.database.transaction() as transaction:
        return alert_deliveries.of_notification(transaction, acting.owner, notification_id)
