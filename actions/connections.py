"""Connect accounts at brokers, change their limits and keys, and take them out of use."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg2.errors

from actions.acting import Acting, Refused, Tools
from brokers.base import Account, Broker, BrokerName, CredentialField, Mode
from brokers.ccxt_venues import VENUES
from core.bot import ConnectionStatus
from core.errors import BrokerError, Rejected
from core.money import ZERO
from core.wording import number
from database import bots, connections
from database.pool import Row, Transaction

SHOWN_OF_A_KEY = 4
LONGEST_LABEL = 60
TITLES = {
    BrokerName.PAPER: "Paper (built in, simulated prices)",
    BrokerName.ALPACA: "Alpaca",
    **{name: venue.title for name, venue in VENUES.items()},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A broker that can be connected: its modes, the safest first, and what its form asks for."""

    name: BrokerName
    title: str
    modes: tuple[Mode, ...]
    fields: tuple[CredentialField, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A connection to be made. `confirmation` must repeat the label where the mode is live."""

    broker: BrokerName
    mode: Mode
    label: str
    credentials: Mapping[str, str]
    confirmation: str | None = None
    allow_netting: bool = False
    max_open_positions: int | None = None
    max_position_size: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A connection that was made; `problem` is what the broker says keeps the account from trading.

    `warning` is what the user must know of the account or its key although it can trade.
    """

    id: int
    label: str
    problem: str | None = None
    warning: str | None = None


def offers() -> tuple[Offer, ...]:
    """Return the brokers there are, the one that needs nothing first."""
    # Loading the brokers' libraries takes a second, which no other action should wait for.
    from brokers.registry import CLASSES

    return tuple(
        Offer(
            name=name,
            title=TITLES[name],
            modes=tuple(sorted(kind.capabilities.modes, key=lambda mode: mode is Mode.LIVE)),
            fields=kind.credential_fields,
        )
        for name, kind in CLASSES.items()
    )


def offer(name: BrokerName) -> Offer:
    """Return one broker's offer."""
    return next(each for each in offers() if each.name is name)


def connect(tools: Tools, acting: Acting, wish: Wish) -> Connected:
    """Try the credentials at the broker, then keep them sealed.

    Raises `Refused` for a label that is taken, a live connection without its confirmation and incomplete
    credentials, `BrokerError` where the broker refuses them or does not answer.
    """
    label = _checked_label(wish.label)
    _check_mode(wish.broker, wish.mode)
    with tools.database.transaction() as transaction:
        _check_label_is_free(transaction, acting.owner, label)
    if wish.mode is Mode.LIVE and (wish.confirmation or "").strip() != label:
        raise Refused(
            f"This trades real money. To confirm, type the name of the connection: {label}", "confirmation"
        )
    credentials = _checked_credentials(wish.broker, wish.credentials)
    account = _tried(tools, wish.broker, wish.mode, credentials)
    return _store(tools, acting, wish, label, credentials, account)


def connect_paper(tools: Tools, acting: Acting, label: str = "paper") -> Connected:
    """Connect an account at the built-in paper broker, which needs nothing."""
    wish = Wish(broker=BrokerName.PAPER, mode=Mode.PAPER, label=label, credentials={})
    return connect(tools, acting, wish)


def replace_keys(
    tools: Tools, acting: Acting, connection_id: int, credentials: Mapping[str, str]
) -> str | None:
    """Try other credentials of the same account and keep them; return what keeps it from trading.

    Keys of an account that does not hold what the bots hold are refused: the engine would take the
    difference for positions closed by hand, and book them.
    """
    place = _place(tools, acting, connection_id)
    name, mode = BrokerName(place["broker"]), Mode(place["mode"])
    checked = _checked_credentials(name, credentials)
    if not checked:
        raise Refused(f"{place['label']} needs no keys.")
    broker = tools.registry.open(name, mode, checked)
    account = broker.account()
    with tools.database.transaction() as transaction:
        held = connections.held_at(transaction, connection_id)
    _check_same_account(broker, held)
    prefix = _prefix(checked)
    with tools.database.transaction() as transaction:
        sealed = tools.vault.seal(json.dumps(checked))
        bots.store_credentials(transaction, connection_id, sealed, prefix, tools.vault.key_id)
        _note_account(transaction, connection_id, account)
        acting.note(
            transaction,
            "connection keys",
            f"connection {connection_id}",
            before={"key": place["credentials_prefix"]},
            after={"key": prefix},
        )
    return account.problem


def check(tools: Tools, acting: Acting, connection_id: int) -> str | None:
    """Ask the broker for the account and note the answer; return what is wrong, None where it can trade."""
    _place(tools, acting, connection_id)
    try:
        account = tools.registry.broker(connection_id).account()
    except BrokerError as error:
        with tools.database.transaction() as transaction:
            _note_status(transaction, connection_id, error.message)
        return error.message
    with tools.database.transaction() as transaction:
        _note_account(transaction, connection_id, account)
    return account.problem


def edit(tools: Tools, acting: Acting, connection_id: int, **changes: Any) -> None:
    """Change the label, netting or limits of a connection."""
    if "label" in changes:
        changes["label"] = _checked_label(changes["label"])
    try:
        with tools.database.transaction() as transaction:
            place = _locked_place(transaction, acting, connection_id)
            connections.edit_connection(transaction, acting.owner, connection_id, **changes)
            before = {name: place[name] for name in changes}
            acting.note(
                transaction, "connection edit", f"connection {connection_id}", before=before, after=changes
            )
    except psycopg2.errors.UniqueViolation:
        raise _label_is_taken(changes["label"]) from None


def remove(tools: Tools, acting: Acting, connection_id: int) -> None:
    """Forget a connection's keys and take it out of use; trades made there stay in the history."""
    with tools.database.transaction() as transaction:
        place = _locked_place(transaction, acting, connection_id)
        if place["bots"]:
            names = [
                row["name"]
                for row in bots.bots_of(transaction, acting.owner)
                if row["connection_id"] == connection_id
            ]
            raise Refused(f"Bots still trade there; delete them first: {', '.join(names[:10])}.")
        if connections.has_open_orders(transaction, connection_id):
            raise Refused("An order is still open there; wait for its end first.")
        stays = connections.remove_connection(transaction, connection_id)
        acting.note(
            transaction,
            "connection remove",
            f"connection {connection_id}",
            before={"label": place["label"], "broker": place["broker"], "mode": place["mode"]},
            after={"trades stay": stays},
        )


def _place(tools: Tools, acting: Acting, connection_id: int) -> Row:
    with tools.database.transaction() as transaction:
        return _locked_place(transaction, acting, connection_id)


def _locked_place(transaction: Transaction, acting: Acting, connection_id: int) -> Row:
    place = connections.shown_connection(transaction, acting.owner, connection_id, lock=True)
    if place is None:
        raise Refused("There is no such connection.")
    return place


def _checked_label(text: str) -> str:
    label = " ".join(text.split())
    if not label:
        raise Refused("Give the connection a name, such as: My Alpaca", "label")
    if len(label) > LONGEST_LABEL:
        raise Refused(f"The name is longer than {LONGEST_LABEL} letters.", "label")
    return label


def _check_mode(name: BrokerName, mode: Mode) -> None:
    modes = offer(name).modes
    if mode not in modes:
        raise Refused(f"{name} has no mode {mode}; allowed: {', '.join(modes)}", "mode")


def _check_label_is_free(transaction: Transaction, owner: int, label: str) -> None:
    if any(each.label == label for each in bots.connections_of(transaction, owner)):
        raise _label_is_taken(label)


def _label_is_taken(label: str) -> Refused:
    return Refused(f"There is a connection {label} already; give this one another name", "label")


def _checked_credentials(name: BrokerName, given: Mapping[str, str]) -> dict[str, str]:
    fields = offer(name).fields
    checked = {field.name: given.get(field.name, "").strip() for field in fields}
    for field in fields:
        if not checked[field.name]:
            raise Refused(f"{field.label} is missing; copy it from your broker's page.", field.name)
    return checked


def _tried(tools: Tools, name: BrokerName, mode: Mode, credentials: dict[str, str]) -> Account | None:
    return tools.registry.open(name, mode, credentials).account() if credentials else None


def _check_same_account(broker: Broker, held: list[Row]) -> None:
    for row in held:
        there = broker.position(row["symbol"]).quantity
        if row["quantity"] * there <= ZERO:
            raise Refused(
                f"These are keys of another account: it does not hold the {number(row['quantity'])}"
                f" {row['symbol']} of {row['bots']}. Close that first, or enter keys of the same account."
            )


def _store(
    tools: Tools,
    acting: Acting,
    wish: Wish,
    label: str,
    credentials: dict[str, str],
    account: Account | None,
) -> Connected:
    sealed: dict[str, Any] = {}
    if credentials:
        sealed = {
            "credentials_sealed": tools.vault.seal(json.dumps(credentials)),
            "credentials_prefix": _prefix(credentials),
            "sealed_with": tools.vault.key_id,
        }
    limits = {
        "allow_netting": wish.allow_netting,
        "max_open_positions": wish.max_open_positions,
        "max_position_size": wish.max_position_size,
    }
    try:
        with tools.database.transaction() as transaction:
            connection_id = bots.create_connection(
                transaction, user_id=acting.owner, broker=wish.broker, mode=wish.mode, label=label, **sealed
            )
            _note_account(transaction, connection_id, account)
            connections.edit_connection(transaction, acting.owner, connection_id, **limits)
            acting.note(
                transaction,
                "connect",
                f"connection {connection_id}",
                after={
                    "broker": wish.broker,
                    "mode": wish.mode,
                    "label": label,
                    "key": sealed.get("credentials_prefix"),
                    **limits,
                },
            )
    except psycopg2.errors.UniqueViolation:
        raise _label_is_taken(label) from None
    if account is None:
        return Connected(id=connection_id, label=label)
    return Connected(id=connection_id, label=label, problem=account.problem, warning=account.warning)


def _note_account(transaction: Transaction, connection_id: int, account: Account | None) -> None:
    _note_status(transaction, connection_id, account.problem if account else None)
    bots.note_warning(transaction, connection_id, account.warning if account else None)


def _note_status(transaction: Transaction, connection_id: int, problem: str | None) -> None:
    status = ConnectionStatus.PROBLEM if problem else ConnectionStatus.OK
    bots.note_connection(transaction, connection_id, status, problem, datetime.now(UTC))


def _prefix(credentials: Mapping[str, str]) -> str:
    return next(iter(credentials.values()))[:SHOWN_OF_A_KEY] + "…"


def credentials_in_words(error: Rejected) -> str:
    """Say of a broker's refusal of new credentials what to do about it."""
    return (
        f"The broker refused these keys: {error.message} Check each of them, and whether they belong to the"
        " mode that you chose."
    )
