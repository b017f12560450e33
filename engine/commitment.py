"""Committing a decision: plan, outcome and news in the one transaction that decided."""

from bot_database import Row, Transaction, bots, notifications, orders, work
from core.plan import Code, Plan, Refusal
from core.signal import PositionSide
from database.notifications import NotificationKind
from database.work import RiskExit, StoredSignal
from engine.desk import Desk
from engine.news import note_and_tell


def commit_signal(
    transaction: Transaction, desk: Desk, stored: StoredSignal, row: Row, decision: Plan
) -> None:
    """Commit what was decided about a signal; one that trades nothing has its outcome here."""
    plan_id = work.create_plan(
        transaction,
        lane_id=stored.lane_id,
        bot_id=stored.bot_id,
        event_uuid=stored.uuid,
        signal_id=stored.id,
        risk_event_id=None,
        own_exit=False,
        position_before=row["quantity"],
        legs=decision.legs,
        note=decision.note,
        now=desk.now(),
    )
    bots.note_sent_at(transaction, stored.bot_id, stored.sent_at, stored.received_at)
    if decision.forgets_own_exit:
        bots.remember_own_exit(transaction, stored.bot_id, None)
    if decision.missed_alert is not None:
        _tell_missed_alert(transaction, stored, row, decision.missed_alert)
    if decision.skip is None:
        work.mark_planned(transaction, stored.id, desk.now())
    else:
        work.finish_plan(transaction, plan_id, desk.now())
        state, reason = _outcome(transaction, stored, decision.skip)
        work.finish_signal(transaction, stored.id, state, reason, desk.now())


def _outcome(transaction: Transaction, stored: StoredSignal, skip: Refusal) -> tuple[str, Refusal]:
    """Say what became of a signal that trades nothing: a close may have taken back an entry that was open."""
    closes = stored.signal.wanted is PositionSide.FLAT and skip.code is Code.ALREADY_FLAT
    if closes and orders.took_entry_back(transaction, stored.bot_id, stored.received_at):
        sentence = "The entry that was still open has been cancelled; the bot holds nothing."
        return "EXECUTED", Refusal(code=Code.EXECUTED, sentence=sentence)
    return "SKIPPED", skip


def _tell_missed_alert(transaction: Transaction, stored: StoredSignal, row: Row, sentence: str) -> None:
    note_and_tell(
        transaction,
        bots.bot_from(row),
        NotificationKind.MISSED_ALERT,
        sentence,
        event=stored.uuid,
        action_taken="followed the position the strategy states now",
    )


def commit_exit(transaction: Transaction, desk: Desk, event: RiskExit, row: Row, decision: Plan) -> None:
    """Commit an exit of our own; a risk limit disables its bot in the same moment."""
    gone = _gone(event, row, decision)
    if gone is not None:
        work.set_risk_event(transaction, event.id, "DONE", gone, desk.now())
        return
    work.create_plan(
        transaction,
        lane_id=event.lane_id,
        bot_id=event.bot_id,
        event_uuid=event.uuid,
        signal_id=None,
        risk_event_id=event.id,
        own_exit=True,
        position_before=row["quantity"],
        legs=decision.legs,
        note=None,
        now=desk.now(),
    )
    work.set_risk_event(transaction, event.id, "PLANNED", None, desk.now())
    if event.kind == "RISK_LIMIT":
        bots.stop_bot(transaction, event.bot_id)
    if event.kind in {"RISK_LIMIT", "DAILY_LOSS_LIMIT", "STOP", "TARGET"}:
        notifications.notify(
            transaction,
            event.user_id,
            NotificationKind.RISK_LIMIT_HIT,
            bot=row["name"],
            event=event.kind,
            sentence=event.sentence,
        )


def _gone(event: RiskExit, row: Row, decision: Plan) -> str | None:
    """Say why there is nothing left to close; an event about one position never closes the next."""
    skip: Refusal | None = decision.skip
    if skip is not None:
        return skip.sentence
    if event.opening_fill_id not in (None, row["opening_fill_id"]):
        return "The position that this was about is closed already."
    return None
