"""The kill switches of a user and of the user's connections."""

from actions.acting import Acting, Refused, Tools
from database import kill_switch
from database.kill_switch import Change, NoSuchScope, Scope, Wanted

FLATTEN_WORD = "FLATTEN"


def set_own_switch(tools: Tools, acting: Acting, wanted: Wanted, *, confirmation: str = "") -> Change:
    """Set the switch over everything of the user; closing everything needs the word typed."""
    check_confirmation(wanted, confirmation)
    return set_switch(tools, acting, Scope.USER, acting.owner, wanted)


def set_connection_switch(
    tools: Tools, acting: Acting, connection_id: int, wanted: Wanted, *, confirmation: str = ""
) -> Change:
    """Set the switch over one connection of the user."""
    check_confirmation(wanted, confirmation)
    return set_switch(tools, acting, Scope.CONNECTION, connection_id, wanted)


def check_confirmation(wanted: Wanted, confirmation: str) -> None:
    """Raise `Refused` where everything would be closed and the word was not typed."""
    if wanted is Wanted.FLATTEN and confirmation.strip() != FLATTEN_WORD:
        raise Refused(
            f"This closes every position at the market. To confirm, type {FLATTEN_WORD}", "confirmation"
        )


def _bots_hold(number: int) -> str:
    return "one bot holds" if number == 1 else f"{number} bots hold"


def in_words(change: Change) -> str:
    """Say what a switch does now, and what it waits for."""
    words = {
        Wanted.ACTIVE: "Trading is ACTIVE again.",
        Wanted.REDUCING: "REDUCING: nothing new is entered, exits still pass.",
        Wanted.HALTED: "HALTED: nothing is sent any more, not even protection.",
        Wanted.FLATTEN: f"Closing what {_bots_hold(len(change.closing))}; then it halts.",
    }[change.after]
    if change.after is Wanted.FLATTEN and not change.closing:
        words = "Nothing is held; it halts at once."
    if change.held_back:
        words += f" {len(change.held_back)} of them cannot close: another switch over them is HALTED."
    if change.waits_for_reconcile:
        words += " The connection stays HALTED until it is reconciled after the restore."
    return words


def set_switch(tools: Tools, acting: Acting, scope: Scope, scope_id: int, wanted: Wanted) -> Change:
    """Set one switch of the user's own; raises Refused where there is no such scope."""
    with tools.database.transaction() as transaction:
        try:
            return kill_switch.set_switch(
                transaction,
                scope,
                scope_id,
                wanted,
                actor=acting.actor,
                owner=acting.owner,
                address=acting.address,
            )
        except NoSuchScope:
            raise Refused(f"There is no such {scope}.") from None
