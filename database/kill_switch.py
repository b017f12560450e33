"""The kill switch of the server, a user, a connection or a bot (trading.md §4).

| state | entries | exits |
|---|---|---|
| ACTIVE | go | go |
| REDUCING | refused | go |
| HALTED | refused | wait |

FLATTEN is REDUCING that closes everything in its scope and turns HALTED when all closes are final.
The strictest switch over a bot counts. After a restore a connection is HALTED whatever its switch
says, until it is reconciled; what is set meanwhile holds from then on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from core.bot import TradingState
from database import audit
from database.notifications import NotificationKind, notify
from database.pool import Row, Transaction
from database.risk import ask_exit

FLATTEN = "FLATTEN"
# Also run by psql at the end of a restore, in its transaction: nobody may trade on the old books.
HALT_AFTER_RESTORE = """
    UPDATE public.user_api_keys
       SET state_after_reconcile = coalesce(state_after_reconcile, trading_state),
           trading_state = 'HALTED', reconciled_at = NULL
"""
# The oldest versions had nowhere to remember the state; theirs are halted when their tables are up to date.
HALT_WITHIN_RESTORE = f"""
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM information_schema.columns
                    WHERE table_schema = 'public' AND column_name = 'state_after_reconcile') THEN
            {HALT_AFTER_RESTORE};
        END IF;
    END $$
"""


class Scope(StrEnum):
    """What a kill switch stands over."""

    SERVER = "server"
    USER = "user"
    CONNECTION = "connection"
    BOT = "bot"


class Wanted(StrEnum):
    """What a kill switch can be set to."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"
    FLATTEN = "FLATTEN"

    @property
    def state(self) -> TradingState:
        return TradingState.REDUCING if self is Wanted.FLATTEN else TradingState(self.value)


class NoSuchScope(LookupError):
    """Name an existing user, connection or bot: this one does not exist, or is not the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was set: the bots whose exits were asked for, and those a HALTED switch keeps from exiting."""

    scope: Scope
    id: int | None
    before: Wanted
    after: Wanted
    closing: tuple[int, ...] = ()
    held_back: tuple[int, ...] = ()
    waits_for_reconcile: bool = False


_TABLES = {
    Scope.SERVER: "server_settings",
    Scope.USER: "users",
    Scope.CONNECTION: "user_api_keys",
    Scope.BOT: "user_bot_configs",
}
# Which bots a switch covers, of a row called switch and a row called bots.
_COVERS = {
    Scope.SERVER: "true",
    Scope.USER: "bots.user_id = switch.id",
    Scope.CONNECTION: "bots.connection_id = switch.id",
    Scope.BOT: "bots.id = switch.id",
}
_OWNERS = {Scope.USER: "switch.id", Scope.CONNECTION: "switch.user_id", Scope.BOT: "switch.user_id"}

_HOLDS_OR_WORKS = """
    (bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below
     OR EXISTS (SELECT FROM plans WHERE plans.bot_config_id = bots.id AND plans.finished_at IS NULL)
     OR EXISTS (SELECT FROM orders WHERE orders.bot_config_id = bots.id AND orders.finished_at IS NULL))
"""


def set_switch(
    transaction: Transaction,
    scope: Scope,
    scope_id: int | None,
    wanted: Wanted,
    *,
    actor: str,
    owner: int | None = None,
    address: str | None = None,
) -> Change:
    """Set a switch, write it to the audit log and tell its user; FLATTEN asks for the exits at once.

    With `owner`, only what belongs to that user can be set, and the server cannot. Raises `NoSuchScope`.
    """
    row = _locked(transaction, scope, scope_id, owner)
    restored = scope is Scope.CONNECTION and row["state_after_reconcile"] is not None
    _write(transaction, scope, scope_id, wanted, restored=restored)
    if wanted is not Wanted.FLATTEN:
        _withdraw(transaction, scope, scope_id)
    closing = _ask_exits(transaction, scope, scope_id) if wanted is Wanted.FLATTEN else ()
    change = Change(
        scope=scope,
        id=scope_id,
        before=_shown(row, restored=restored),
        after=wanted,
        closing=closing,
        held_back=_held_back(transaction, closing),
        waits_for_reconcile=restored,
    )
    _tell(transaction, change, row, actor, address)
    return change


def finish_flattened(transaction: Transaction) -> list[Change]:
    """Turn HALTED every flattening switch under which nothing is held and nothing is under way."""
    finished: list[Change] = []
    for scope in Scope:
        for row in _finished(transaction, scope):
            scope_id = None if scope is Scope.SERVER else row["id"]
            _write(transaction, scope, scope_id, Wanted.HALTED)
            change = Change(scope=scope, id=scope_id, before=Wanted.FLATTEN, after=Wanted.HALTED)
            _tell(transaction, change, row, "engine", None)
            finished.append(change)
    return finished


def halt_after_restore(transaction: Transaction) -> int:
    """Set every connection HALTED until it is reconciled; return how many there are."""
    return transaction.execute(HALT_AFTER_RESTORE)


def lift_after_reconcile(transaction: Transaction, connection_id: int) -> bool:
    """Give a reconciled connection back the state it had before the restore; tell whether it was so held."""
    lifted = transaction.execute(
        """
        UPDATE user_api_keys SET trading_state = state_after_reconcile, state_after_reconcile = NULL
         WHERE id = %s AND state_after_reconcile IS NOT NULL
        """,
        (connection_id,),
    )
    return lifted == 1


def waiting_for_reconcile(transaction: Transaction) -> int:
    """Return how many connections are HALTED because of a restore."""
    sql = """
        SELECT count(*) FROM user_api_keys WHERE state_after_reconcile IS NOT NULL AND archived_at IS NULL
    """
    return int(transaction.value(sql))


def server_state(transaction: Transaction) -> TradingState:
    """Return the switch of the whole server."""
    return TradingState(transaction.value("SELECT trading_state FROM server_settings"))


def server_wanted(transaction: Transaction) -> Wanted:
    """Return what the switch of the whole server is set to."""
    return _shown(transaction.one("SELECT trading_state, flatten FROM server_settings"))


def switches_of(transaction: Transaction, user_id: int) -> list[Row]:
    """Return every switch that stands over a user's bots: the server's, the user's, connections', bots'."""
    return transaction.all(
        """
        SELECT 'server' AS scope, NULL::bigint AS id, 'Server' AS name, trading_state, flatten
          FROM server_settings
        UNION ALL SELECT 'user', id, email, trading_state, flatten FROM users WHERE id = %(user)s
        UNION ALL SELECT 'connection', id, label, trading_state, flatten
                    FROM user_api_keys WHERE user_id = %(user)s AND archived_at IS NULL
        UNION ALL SELECT 'bot', id, name, trading_state, flatten
                    FROM user_bot_configs WHERE user_id = %(user)s AND archived_at IS NULL
        """,
        {"user": user_id},
    )


def _locked(transaction: Transaction, scope: Scope, scope_id: int | None, owner: int | None) -> Row:
    owned_by = _OWNERS.get(scope, "NULL::bigint")
    id_fits = "true" if scope is Scope.SERVER else "switch.id = %(id)s"
    row = transaction.maybe(
        f"""
        SELECT switch.*, {owned_by} AS owner_id FROM {_TABLES[scope]} AS switch
         WHERE {id_fits} AND (%(owner)s::bigint IS NULL OR {owned_by} = %(owner)s)
           FOR NO KEY UPDATE OF switch
        """,
        {"id": scope_id, "owner": owner},
    )
    if row is None:
        raise NoSuchScope(f"there is no {scope} {scope_id}" if scope_id is not None else f"no such {scope}")
    return row


def _write(
    transaction: Transaction, scope: Scope, scope_id: int | None, wanted: Wanted, *, restored: bool = False
) -> None:
    column = "state_after_reconcile" if restored else "trading_state"
    id_fits = "true" if scope is Scope.SERVER else "id = %(id)s"
    transaction.execute(
        f"UPDATE {_TABLES[scope]} SET {column} = %(state)s, flatten = %(flatten)s WHERE {id_fits}",
        {"state": wanted.state, "flatten": wanted is Wanted.FLATTEN, "id": scope_id},
    )


def _shown(row: Row, *, restored: bool = False) -> Wanted:
    state = row["state_after_reconcile"] if restored else row["trading_state"]
    return Wanted.FLATTEN if row["flatten"] else Wanted(state)


def _covered(scope: Scope) -> str:
    """Return the FROM and WHERE that join a switch of an id to the bots it covers."""
    id_fits = "true" if scope is Scope.SERVER else "switch.id = %(id)s"
    return f"""
        FROM {_TABLES[scope]} AS switch JOIN user_bot_configs AS bots ON {_COVERS[scope]}
        JOIN lanes ON lanes.id = bots.lane_id WHERE {id_fits}
    """


def _ask_exits(transaction: Transaction, scope: Scope, scope_id: int | None) -> tuple[int, ...]:
    rows = transaction.all(
        f"SELECT bots.id {_covered(scope)} AND {_HOLDS_OR_WORKS} ORDER BY bots.id", {"id": scope_id}
    )
    bots = tuple(row["id"] for row in rows)
    waiting = transaction.all(
        """
        SELECT bot_config_id FROM bot_risk_events
         WHERE bot_config_id = ANY(%s) AND kind = 'FLATTEN' AND state = 'OPEN'
        """,
        (list(bots),),
    )
    for bot_id in sorted(set(bots) - {row["bot_config_id"] for row in waiting}):
        ask_exit(transaction, bot_id, FLATTEN, sentence=f"Everything of this {scope} is being closed.")
    return bots


def _withdraw(transaction: Transaction, scope: Scope, scope_id: int | None) -> None:
    """End the exits that were asked for and are not planned, unless another switch still flattens."""
    transaction.execute(
        f"""
        UPDATE bot_risk_events AS events
           SET state = 'DONE', action_taken = 'Withdrawn: the kill switch was set anew.', finished_at = now()
         WHERE events.kind = 'FLATTEN' AND events.state = 'OPEN'
           AND events.bot_config_id IN (SELECT bots.id {_covered(scope)})
           AND NOT EXISTS (
               SELECT FROM user_bot_configs AS bots JOIN users ON users.id = bots.user_id
                 JOIN user_api_keys ON user_api_keys.id = bots.connection_id, server_settings
                WHERE bots.id = events.bot_config_id
                  AND (bots.flatten OR users.flatten OR user_api_keys.flatten OR server_settings.flatten))
        """,
        {"id": scope_id},
    )


def _held_back(transaction: Transaction, bots: Iterable[int]) -> tuple[int, ...]:
    rows = transaction.all(
        """
        SELECT bots.id FROM user_bot_configs AS bots JOIN users ON users.id = bots.user_id
          JOIN user_api_keys ON user_api_keys.id = bots.connection_id, server_settings
         WHERE bots.id = ANY(%s) AND 'HALTED' IN (bots.trading_state, users.trading_state,
               user_api_keys.trading_state, server_settings.trading_state) ORDER BY bots.id
        """,
        (list(bots),),
    )
    return tuple(row["id"] for row in rows)


def _finished(transaction: Transaction, scope: Scope) -> list[Row]:
    return transaction.all(
        f"""
        SELECT switch.*, {_OWNERS.get(scope, "NULL::bigint")} AS owner_id
          FROM {_TABLES[scope]} AS switch
         WHERE switch.flatten AND switch.trading_state = 'REDUCING'
           AND NOT EXISTS (
               SELECT FROM user_bot_configs AS bots JOIN lanes ON lanes.id = bots.lane_id
                WHERE {_COVERS[scope]}
                  AND ({_HOLDS_OR_WORKS}
                       OR EXISTS (SELECT FROM bot_risk_events AS events
                                   WHERE events.bot_config_id = bots.id AND events.kind = 'FLATTEN'
                                     AND events.state IN ('OPEN', 'PLANNED'))))
           FOR NO KEY UPDATE OF switch
        """
    )


def _tell(transaction: Transaction, change: Change, row: Row, actor: str, address: str | None) -> None:
    audit.record(
        transaction,
        actor=actor,
        action="kill switch",
        subject=change.scope if change.id is None else f"{change.scope} {change.id}",
        user_id=row["owner_id"],
        address=address,
        before={"state": change.before},
        after={"state": change.after, "closing": list(change.closing)},
    )
    notify(
        transaction,
        row["owner_id"],
        NotificationKind.KILL_SWITCH,
        scope=change.scope,
        id=change.id,
        state=change.after,
        by=actor,
    )
