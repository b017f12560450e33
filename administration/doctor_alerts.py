"""Look at the sending of alerts and at the listening to watched bots."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from administration.console import Console
from administration.finding import Finding, moment
from database import alert_channels, alert_reading, health, mqtt_status

LATE_AFTER = timedelta(minutes=10)
LISTENER = "mqtt listener"


def alerts(console: Console) -> Iterator[Finding]:
    """Say what waits to be sent, what failed within a day, and which of the operator's channels is off."""
    now = datetime.now(UTC)
    with console.transaction() as transaction:
        figures = alert_channels.sending_figures(transaction, now)
        channels = alert_reading.operators_standing(transaction, now)
    for channel in channels:
        if not channel["is_active"]:
            words = f"the channel {channel['shown']} is off: {channel['switched_off_because']}"
            yield Finding(subject="alerts", words=words, mend="set DISCORD_WEBHOOK_URL to one that works")
    if figures["oldest"] is not None and now - figures["oldest"] > LATE_AFTER:
        words = f"{figures['waiting']} wait, the oldest since {moment(figures['oldest'])}"
        yield Finding(
            subject="alerts", words=words, mend="see Discord and alerts in the dashboard for the reason"
        )
        return
    if console.settings.discord_webhook_url is None:
        yield Finding(subject="alerts", words="no DISCORD_WEBHOOK_URL: alerts about the server go nowhere")
    yield Finding(
        subject="alerts", words=f"{figures['waiting']} wait, {figures['failed']} failed within a day"
    )


def mqtt(console: Console) -> Iterator[Finding]:
    """Say whether the listener runs and has its broker."""
    with console.transaction() as transaction:
        beats = {row["part"]: row for row in health.heartbeats(transaction)}
        status = mqtt_status.status(transaction)
    beat = beats.get(LISTENER)
    if beat is None or not beat["alive"]:
        words = "never ran" if beat is None else f"silent since {moment(beat['beat_at'])}"
        yield Finding(subject=LISTENER, words=words, mend="start DashTrade: make run")
    elif status.is_connected:
        yield Finding(subject=LISTENER, words=f"connected to {status.broker}")
    else:
        since = f" since {moment(status.changed_at)}" if status.changed_at else ""
        words = f"not connected to {status.broker}{since}: {status.words or 'no reason given'}"
        yield Finding(subject=LISTENER, words=words, mend="check MQTT_BROKER_HOST and the broker's own log")
