"""An example of an alert: a trade that a bot completed."""

from alerts.wording import alert_for
from database.accounts import User
from database.notifications import NotificationKind
from ui.alert_pages import embed
from ui.services import now

CONTENT = {
    "watched_bot": "my bot",
    "name": "BTC/USD",
    "side": "long",
    "entry_price": "60000",
    "exit_price": "61200",
    "pnl": "120.00",
    "pnl_fraction": "0.02",
    "quantity": "0.1",
    "quantity_unit": "BTC",
    "duration_seconds": 5025,
    "reason": "take_profit",
}


def draw(user: User) -> None:
    """Draw the example."""
    embed.draw(alert_for(NotificationKind.WATCHED_TRADE_COMPLETED, CONTENT, now()), user.time_zone)
