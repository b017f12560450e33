"""The end of a plan: the one outcome of its signal, or what became of a risk event."""

import logging

from bot_database import Session, Transaction, bots, protections, trades, work
from core.order import Side
from core.plan import Code, LegPurpose, LegState, Refusal
from core.protection import break_even
from core.signal import PositionSide
from core.wording import grouped, number
from database.work import LegRecord, PlanRecord
from engine.desk import Desk

logger = logging.getLogger("engine")
STOPS = frozenset({"STOP", "RISK_LIMIT", "DAILY_LOSS_LIMIT"})


def finish(desk: Desk, session: Session, plan: PlanRecord, legs: list[LegRecord]) -> None:
    """Close a plan whose legs came to their end; what follows a failed close does not go."""
    with session.transaction() as transaction:
        legs = _end_rest(transaction, desk, legs)
        state, reason = _outcome(transaction, plan, legs)
        work.finish_plan(transaction, plan.id, desk.now())
        if plan.signal_id is not None:
            work.finish_signal(transaction, plan.signal_id, state, reason, desk.now())
        if plan.risk_event_id is not None:
            _finish_event(transaction, desk, plan, legs, state, reason)
    logger.info("ended %s: %s: %s", state, reason.code, reason.sentence)
    desk.step("plan finished")


def _end_rest(transaction: Transaction, desk: Desk, legs: list[LegRecord]) -> list[LegRecord]:
    for leg in legs:
        if not leg.state.is_final:
            sentence = "The close before it did not succeed, so nothing was opened."
            reason = Refusal(code=Code.SUPERSEDED, sentence=sentence)
            work.finish_leg(transaction, leg.id, LegState.SUPERSEDED, reason, desk.now())
    return work.legs_of(transaction, legs[0].plan_id) if legs else []


def _outcome(transaction: Transaction, plan: PlanRecord, legs: list[LegRecord]) -> tuple[str, Refusal]:
    """Sum up the legs: EXECUTED where anything traded, else what failed first, or the last leg met."""
    words = [words for leg in legs if (words := _in_words(transaction, leg))]
    note = work.note_of_plan(transaction, plan.id)
    if note is not None:
        words.append(note.sentence)
    sentence = " ".join(words) or "Nothing was left to do."
    traded = any(_filled(transaction, leg) for leg in legs)
    coded = [leg for leg in legs if leg.code is not None]
    failed = [leg for leg in coded if leg.state in {LegState.FAILED, LegState.REFUSED}]
    bad = next(iter(failed or coded[::-1]), None)
    code = bad.code if bad and bad.code else note.code if note else Code.EXECUTED
    if traded or bad is None or bad.state is LegState.DONE:
        return "EXECUTED", Refusal(code=code, sentence=sentence)
    state = {LegState.REFUSED: "REFUSED", LegState.SUPERSEDED: "SKIPPED"}.get(bad.state, "FAILED")
    return state, Refusal(code=code, sentence=sentence)


def _filled(transaction: Transaction, leg: LegRecord) -> bool:
    trade = trades.trade_of_leg(transaction, leg.id)
    return trade is not None and trade["filled_qty"] > 0


_VERBS = {
    (LegPurpose.OPEN, Side.BUY): "Bought",
    (LegPurpose.OPEN, Side.SELL): "Sold short",
    (LegPurpose.CLOSE, Side.SELL): "Sold",
    (LegPurpose.CLOSE, Side.BUY): "Bought back",
}


def _in_words(transaction: Transaction, leg: LegRecord) -> str:
    trade = trades.trade_of_leg(transaction, leg.id)
    words = leg.sentence or ""
    if trade is None or not trade["filled_qty"]:
        return words
    what = f"{_VERBS[leg.purpose, leg.side]} {number(trade['filled_qty'])} {trade['symbol']}"
    return f"{what} at {grouped(trade['filled_price'])}. {words}".strip()


def _leave_target(transaction: Transaction, desk: Desk, plan: PlanRecord, reached: int) -> None:
    """Go on to the next target; the stop goes to the entry where that was wished for, and never back."""
    record = protections.protection_of(transaction, plan.bot_id, lock=True)
    if record is None:
        return
    protections.pass_targets(transaction, plan.bot_id, reached, desk.now())
    row = bots.bot_row(transaction, plan.bot_id)
    side = PositionSide.LONG if row["quantity"] > 0 else PositionSide.SHORT
    stop = break_even(record.protection, reached, row["average_price"], side)
    if stop != record.protection.stop_price:
        protections.move_stop(
            transaction, plan.bot_id, stop_price=stop, best=record.trail_best, now=desk.now()
        )


def _finish_event(
    transaction: Transaction,
    desk: Desk,
    plan: PlanRecord,
    legs: list[LegRecord],
    state: str,
    reason: Refusal,
) -> None:
    """Say what became of a risk event, and what follows from it.

    The protection is locked before the event, in the monitor's order: neither waits for the other.
    """
    done = state == "EXECUTED"
    closed = next((leg for leg in legs if leg.purpose is LegPurpose.CLOSE), None)
    target = closed.target_number if closed else None
    # A share that is too small to be traded is left to the next target too
    if target is not None and (done or state == "REFUSED"):
        _leave_target(transaction, desk, plan, target)
    kind = work.kind_of_event(transaction, plan.risk_event_id)
    action = f"Bot disabled. {reason.sentence}" if kind == "RISK_LIMIT" else reason.sentence
    work.set_risk_event(transaction, plan.risk_event_id, "DONE" if done else "FAILED", action, desk.now())
    if done and closed is not None and target is None:
        side = PositionSide.LONG if closed.side is Side.SELL else PositionSide.SHORT
        stopped_at = desk.now() if kind in STOPS else None
        # Where the strategy was leaving as well, its next signal is about a new trade
        bots.remember_own_exit(transaction, plan.bot_id, side if plan.own_exit else None, stopped_at)
