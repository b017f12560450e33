"""Users, their alert channels at a server that behaves like Discord, and a notifier whose clock is ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from alerts.discord_webhook import DiscordWebhook
from alerts.posting import Patience
from alerts.transport import Transport
from database import accounts, alert_channels
from database.notifications import NotificationKind, notify
from database.pool import Database, Row
from encryption import Vault, new_key
from notifier import Notifier
from tests.discord_server.server import DiscordServer


@dataclass(slots=True)
class Clock:
    """A time that stands until it is moved."""

    at: datetime = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass(slots=True, kw_only=True)
class AlertPost:
    """A database, a Discord-like server, and what is needed to send from one to the other."""

    database: Database
    discord: DiscordServer
    clock: Clock = field(default_factory=Clock)
    vault: Vault = field(default_factory=lambda: Vault(SecretStr(new_key())))

    def user(self, email: str = "ann@example.org") -> int:
        with self.database.transaction() as transaction:
            return accounts.create_user(transaction, email, "correct horse battery").id

    def channel(self, user_id: int, webhook_id: int) -> int:
        """Give a user a webhook of the server."""
        with self.database.transaction() as transaction:
            return alert_channels.keep_channel(
                transaction,
                self.vault,
                user_id,
                "DISCORD",
                self.discord.url_of(webhook_id),
                f"hook {webhook_id}",
            )

    def tell(self, user_id: int | None, kind: NotificationKind, **content: Any) -> int:
        with self.database.transaction() as transaction:
            return notify(transaction, user_id, kind, **content)

    def notifier(
        self, *, operator: int | None = None, transports: Mapping[str, Transport] | None = None
    ) -> Notifier:
        """Return a sender like a process's own; `operator` is the webhook of DISCORD_WEBHOOK_URL."""
        made = transports or {"DISCORD": DiscordWebhook(self.discord.base, patience=Patience(answer=2.0))}
        notifier = Notifier(
            self.database,
            self.vault,
            made,
            operators={} if operator is None else {"DISCORD": self.discord.url_of(operator)},
            now=self.clock,
        )
        notifier.prepare()
        return notifier

    def deliver(self, notifier: Notifier, *, turns: int = 1) -> None:
        """Let a sender look so many times, and wait for what it began."""
        for _ in range(turns):
            notifier.turn()
            notifier.settle()

    def deliveries(self) -> list[Row]:
        return self.all("SELECT * FROM alert_deliveries ORDER BY id")

    def states(self) -> list[str]:
        return [row["state"] for row in self.deliveries()]

    def titles(self, webhook_id: int) -> list[str]:
        """Return the titles of all embeds that a webhook got, in their order."""
        return [embed["title"] for message in self.discord.taken(webhook_id) for embed in message["embeds"]]

    def all(self, sql: str, parameters: Any = None) -> list[Row]:
        with self.database.transaction() as transaction:
            return transaction.all(sql, parameters)
