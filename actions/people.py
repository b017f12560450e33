"""What admins do: accounts, invitations, who may sign up, the server's switch; nobody else may."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actions.acting import Refused, Tools
from actions.safety import check_confirmation
from database import accounts, audit, kill_switch
from database.accounts import Role, SignUp, User
from database.kill_switch import Change, Scope, Wanted
from database.pool import Transaction
from settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who runs the server: an admin by the account's number, or (None) whoever has its command line."""

    actor: str
    user_id: int | None = None
    address: str | None = None

    def note(self, transaction: Transaction, action: str, subject: str, **after: Any) -> None:
        """Write into the audit log what is done in this transaction."""
        audit.record(
            transaction,
            actor=self.actor,
            action=action,
            subject=subject,
            address=self.address,
            after=after or None,
        )


def require_admin(transaction: Transaction, operator: Operator) -> None:
    """Raise `Refused` for an account that is not an admin's by now; asked anew in every action."""
    if operator.user_id is None:
        return
    user = accounts.user(transaction, operator.user_id)
    if user is None or not user.is_active or not user.is_admin:
        raise Refused("Only an admin may do this.")


def invite(tools: Tools, operator: Operator, now: datetime) -> str:
    """Return a link with which somebody makes an account, once within a week."""
    with tools.database.transaction() as transaction:
        require_admin(transaction, operator)
        code = accounts.invite(transaction, now)
        operator.note(transaction, "user invite", "invitation")
    return dashboard_link(tools.settings, f"/auth/signup?code={code}")


def reset_link(tools: Tools, operator: Operator, user_id: int, now: datetime) -> str:
    """Return a link that sets a new password once within a day, and takes the second factor away."""
    with tools.database.transaction() as transaction:
        require_admin(transaction, operator)
        user = _user(transaction, user_id)
        code = accounts.allow_reset(transaction, user.id, now)
        operator.note(transaction, "user reset", f"user {user.id}")
    return dashboard_link(tools.settings, f"/auth/reset?code={code}")


def set_sign_up(tools: Tools, operator: Operator, setting: SignUp) -> None:
    """Decide who may make an account."""
    with tools.database.transaction() as transaction:
        require_admin(transaction, operator)
        accounts.set_sign_up(transaction, setting)
        operator.note(transaction, "user sign-up", "server", sign_up=setting)


def set_active(tools: Tools, operator: Operator, user_id: int, *, active: bool) -> None:
    """Open or close an account; its sessions end, its webhook URLs are dead, what it holds stays."""
    with tools.database.transaction() as transaction:
        require_admin(transaction, operator)
        admins = accounts.lock_admins(transaction)
        user = _user(transaction, user_id)
        if not active and admins == [user.id]:
            raise Refused("This is the only admin: make another one first.")
        accounts.set_active(transaction, user.id, active=active)
        operator.note(transaction, "user enable" if active else "user disable", f"user {user.id}")


def set_role(tools: Tools, operator: Operator, user_id: int, role: Role) -> None:
    """Make an account an admin's, or a user's again."""
    with tools.database.transaction() as transaction:
        require_admin(transaction, operator)
        admins = accounts.lock_admins(transaction)
        user = _user(transaction, user_id)
        if role is not Role.ADMIN and admins == [user.id]:
            raise Refused("This is the only admin: make another one first.")
        accounts.set_role(transaction, user.id, role)
        operator.note(transaction, "user role", f"user {user.id}", role=role)


def set_server_switch(tools: Tools, operator: Operator, wanted: Wanted, *, confirmation: str = "") -> Change:
    """Set the switch over everybody's trading; closing everything needs the word typed."""
    check_confirmation(wanted, confirmation)
    with tools.database.transaction() as transaction:
        require_admin(transaction, operator)
        return kill_switch.set_switch(
            transaction, Scope.SERVER, None, wanted, actor=operator.actor, address=operator.address
        )


def dashboard_link(settings: Settings, path: str) -> str:
    """Return an address of the dashboard."""
    # PUBLIC_URL is the webhook's; a proxy or Replit puts the dashboard on the same host.
    address = settings.public_url
    local = f"http://localhost:{settings.webhook_port}"
    return (f"http://localhost:{settings.dashboard_port}" if address == local else address) + path


def _user(transaction: Transaction, user_id: int) -> User:
    user = accounts.user(transaction, user_id)
    if user is None:
        raise Refused("There is no such account.")
    return user
