"""Register Discord channels as sources of signals, change and switch registrations, put them away."""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import psycopg2.errors

from actions import limits
from actions.acting import Acting, Refused, Tools
from actions.limits import HIGHEST_LEVERAGE, HUNDRED
from core.bot import SizeMode
from core.order import MarginMode
from database import connections, signal_channels
from database.pool import Transaction
from database.signal_channels import EntryMode, SignalChannel
from settings import Settings
from signals.discord_reading import SignalFormat
from signals.service import number_of

LONGEST_NAME = 60
MOST_CHANNELS = 50
MOST_IDS = 100

_ID = re.compile(r"[1-9][0-9]{14,18}")
_ABOVE_ZERO = {
    "position_size": "Position size",
    "max_position_size": "Max position size",
    "entry_valid_minutes": "Entry waits for",
    "max_price_deviation_percent": "Price may have moved",
    "max_signal_age_seconds": "Oldest message",
    "break_even_after": "Stop to the entry after target",
    "trailing_stop_percent": "Trailing stop",
    "trailing_activation_percent": "Trailing begins at",
    "time_limit_minutes": "Time limit",
}
_MAY_BE_NONE = frozenset(
    {
        *("guild_id", "target_shares", "break_even_after", "trailing_stop_percent"),
        *("trailing_activation_percent", "time_limit_minutes"),
    }
)


class NoSuchChannel(Refused):
    """Name a registration of the user: this one was archived, does not exist, or is another user's."""

    def __init__(self) -> None:
        super().__init__("There is no such signal channel.")


def defaults(settings: Settings) -> dict[str, Any]:
    """Return what a new registration has where nothing else is said, of the settings that decide it."""
    return {
        "size_mode": SizeMode.RISK_PERCENT,
        "position_size": settings.risk_per_trade_percent,
        "max_position_size": settings.max_position_size_usd,
        "leverage": settings.default_leverage,
        "max_leverage": settings.default_leverage,
    }


def create(
    tools: Tools, acting: Acting, *, connection_id: int, channel_id: int | str, name: str, **columns: Any
) -> int:
    """Register a Discord channel, to trade at a connection, and return the registration's number.

    `columns` are those of `signal_channels.EDITABLE`; the rest is as `defaults` says. Raises `Refused`.
    """
    wanted = _checked(_with_defaults(tools.settings, {**columns, "name": name}))
    room = ids_of([channel_id], "channel_id", "the channel")[0]
    _check_together(wanted)
    try:
        with tools.database.transaction() as transaction:
            if connections.shown_connection(transaction, acting.owner, connection_id, lock=True) is None:
                raise Refused("There is no such connection.", "connection")
            if len(signal_channels.of_user(transaction, acting.owner)) >= MOST_CHANNELS:
                raise Refused(f"You have {MOST_CHANNELS} signal channels already; archive one first.")
            registration = signal_channels.create(
                transaction,
                user_id=acting.owner,
                connection_id=connection_id,
                channel_id=room,
                columns=wanted,
            )
            after = {"channel": room, "connection": connection_id, **_plain(wanted)}
            acting.note(transaction, "channel add", f"signal channel {registration}", after=after)
    except psycopg2.errors.UniqueViolation:
        raise Refused(
            "You have registered this channel already: edit that registration", "channel_id"
        ) from None
    return registration


def edit(tools: Tools, acting: Acting, registration: int, **changes: Any) -> None:
    """Change a registration and its bots; what already protects a position stays as it was placed.

    Channel and connection stay, since its bots' trades belong to them. Raises `Refused`.
    """
    checked = _checked(changes)
    with tools.database.transaction() as transaction:
        channel = _channel(transaction, acting, registration)
        before = {name: getattr(channel, name) for name in checked}
        changed = {
            name: value
            for name, value in checked.items()
            if _comparable(name, value) != _comparable(name, before[name])
        }
        if not changed:
            return
        if "size_mode" in changed and "position_size" not in checked:
            raise Refused("With another way of sizing, say the size too.", "position_size")
        _check_together({**_all_of(channel), **changed})
        signal_channels.edit(transaction, registration, changed)
        old = _plain({name: before[name] for name in changed})
        acting.note(
            transaction, "channel edit", f"signal channel {registration}", before=old, after=_plain(changed)
        )


def switch(tools: Tools, acting: Acting, registration: int, *, active: bool) -> None:
    """Let a registration take signals, or none: what its bots hold stays, with its stops and targets."""
    with tools.database.transaction() as transaction:
        channel = _channel(transaction, acting, registration)
        signal_channels.switch(transaction, registration, active=active)
        acting.note(
            transaction,
            "channel enable" if active else "channel disable",
            f"signal channel {registration}",
            before={"active": channel.is_active},
        )


def archive(tools: Tools, acting: Acting, registration: int) -> list[str]:
    """Take a registration out of use for good, and return the names of its bots, which stay with their trades.

    They get no more signals; the positions they hold stay protected as they are.
    """
    with tools.database.transaction() as transaction:
        channel = _channel(transaction, acting, registration)
        signal_channels.archive(transaction, registration)
        names = [row["name"] for row in signal_channels.bots_of(transaction, registration)]
        before = {"name": channel.name, "channel": channel.channel_id, "bots": names}
        acting.note(transaction, "channel archive", f"signal channel {registration}", before=before)
    return names


def ids_of(given: Iterable[int | str] | str, field: str, what: str = "the list") -> list[int]:
    """Return Discord's numbers of a list, or of a text with commas or spaces between; raise `Refused`."""
    parts = (
        given.replace(",", " ").split() if isinstance(given, str) else [str(each).strip() for each in given]
    )
    for part in parts:
        if not _ID.fullmatch(part) or number_of(part) is None:
            raise Refused(
                f"{part[:40]!r} in {what} is no id of Discord's. Switch on Developer Mode there, right-click"
                " and Copy ID: a number of 17 to 19 digits.",
                field,
            )
    if len(parts) > MOST_IDS:
        raise Refused(f"There are more than {MOST_IDS} ids in {what}.", field)
    return list(dict.fromkeys(int(part) for part in parts))


def _with_defaults(settings: Settings, columns: Mapping[str, Any]) -> dict[str, Any]:
    usual = defaults(settings)
    mode = columns.get("size_mode", usual["size_mode"])
    if mode != usual["size_mode"] and columns.get("position_size") is None:
        raise Refused("Say how large a position is to be.", "position_size")
    given = {name: value for name, value in columns.items() if value is not None or name not in usual}
    wanted = {**usual, **given}
    if "leverage" in given and "max_leverage" not in given:
        wanted["max_leverage"] = max(given["leverage"], usual["max_leverage"])
    if "max_leverage" in given and "leverage" not in given:
        wanted["leverage"] = min(given["max_leverage"], usual["leverage"])
    return wanted


def _checked(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns as they are stored; raise `Refused` for the first that cannot be."""
    unknown = set(columns) - signal_channels.EDITABLE
    if unknown:
        raise ValueError(f"not to be set: {sorted(unknown)}; allowed: {sorted(signal_channels.EDITABLE)}")
    for column, name in _ABOVE_ZERO.items():
        value = columns.get(column)
        if value is not None and not value > 0:
            raise Refused(f"{name} must be above 0.", column)
    for column, value in columns.items():
        if value is None and column not in _MAY_BE_NONE:
            raise Refused(f"Say what {column.replace('_', ' ')} is to be.", column)
    checked = dict(columns)
    for column, check in _CHECKS.items():
        if checked.get(column) is not None:
            checked[column] = check(checked[column])
    return checked


def _check_together(columns: Mapping[str, Any]) -> None:
    """Refuse settings that cannot stand beside each other."""
    limits.check(columns)
    if columns["size_mode"] == SizeMode.RISK_PERCENT and columns["position_size"] > HUNDRED:
        raise Refused("More than 100 % of the account cannot be risked.", "position_size")


def _checked_name(name: str) -> str:
    wanted = " ".join(str(name).split())
    if not wanted.strip("#"):
        raise Refused("Give the channel a name, such as #signals.", "name")
    if len(wanted) > LONGEST_NAME:
        raise Refused(f"The name is longer than {LONGEST_NAME} letters.", "name")
    if not wanted.isprintable():
        raise Refused("The name holds signs that cannot be seen.", "name")
    return wanted


def _checked_formats(formats: Iterable[str]) -> list[str]:
    names = list(dict.fromkeys(str(each).strip().upper() for each in formats))
    wrong = next((each for each in names if each not in set(SignalFormat)), None)
    if wrong is not None:
        allowed = ", ".join(SignalFormat)
        raise Refused(f"{wrong[:40]!r} is no format; allowed: {allowed}, or none for all.", "formats")
    return names


def _checked_leverage(field: str) -> Callable[[int], int]:
    def check(leverage: int) -> int:
        if not 1 <= leverage <= HIGHEST_LEVERAGE or leverage != int(leverage):
            raise Refused(f"Leverage is a whole number from 1 to {HIGHEST_LEVERAGE}.", field)
        return int(leverage)

    return check


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _checked_name,
    "guild_id": lambda given: ids_of([given], "guild_id", "the server")[0],
    "author_ids": lambda given: ids_of(given, "author_ids", "the authors"),
    "role_ids": lambda given: ids_of(given, "role_ids", "the roles"),
    "formats": _checked_formats,
    "size_mode": SizeMode,
    "margin_mode": MarginMode,
    "entry_mode": EntryMode,
    "leverage": _checked_leverage("leverage"),
    "max_leverage": _checked_leverage("max_leverage"),
    "target_shares": lambda given: list(given) or None,
}


def _channel(transaction: Transaction, acting: Acting, registration: int) -> SignalChannel:
    channel = signal_channels.find(transaction, registration, user_id=acting.owner, lock=True)
    if channel is None or channel.archived_at is not None:
        raise NoSuchChannel
    return channel


def _all_of(channel: SignalChannel) -> dict[str, Any]:
    return {name: getattr(channel, name) for name in signal_channels.EDITABLE}


def _comparable(column: str, value: Any) -> Any:
    """Return what two values of a column are compared by: lists have no order but that of shares."""
    if column in ("author_ids", "role_ids", "formats"):
        return frozenset(value)
    return tuple(value or ()) if column == "target_shares" else value


def _plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns as the audit log takes them."""
    return {
        name: [str(each) if isinstance(each, Decimal) else each for each in value]
        if isinstance(value, list | tuple | frozenset)
        else value
        for name, value in columns.items()
    }
