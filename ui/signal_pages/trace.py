"""One signal: its outcome in words, the way it went with the time between the steps, and all that came of it."""

from typing import Any
from uuid import UUID

import pandas as pd
import streamlit as st

from database import reports, signal_list
from database.accounts import User
from ui import tables
from ui.calm import calm
from ui.drawing import table
from ui.formatting import NOTHING, gain, moment, money, price, quantity
from ui.services import services
from ui.signal_pages import replaying, understanding
from ui.signal_pages.advice import ADVICE
from ui.signal_pages.timeline import NOT_TRADED, Mark, Stage, Trace, gap_in_words, gaps, stages

LOOK_SECONDS = 2
NO_SUCH = "There is no such signal of yours."
SIGNS = {
    Mark.DONE: ":green[:material/check_circle:]",
    Mark.ENDED: ":red[:material/block:]",
    Mark.NOW: ":blue[:material/pending:]",
    Mark.NEVER: ":gray[:material/radio_button_unchecked:]",
}


def draw(user: User, signal_id: UUID) -> None:
    """Draw a signal of the user; another's looks like none."""
    with calm():
        with services().database.transaction() as transaction:
            found = reports.trace(transaction, user.id, signal_id)
            around = signal_list.surroundings(transaction, user.id, signal_id)
        if found is None or around is None:
            st.warning(NO_SUCH, icon=":material/search_off:")
            return
        draw_head(found, around)
        # What has come to its end changes no more: only the others are looked at again.
        every = None if found["finished_at"] is not None else LOOK_SECONDS
        st.fragment(_way, run_every=every)(user, signal_id, found["finished_at"] is None)
        replaying.draw(user, found, around)


def draw_head(trace: Trace, around: dict[str, Any]) -> None:
    """Draw what the signal asked for, of whom and whence it came."""
    understood = trace["understood"] or {}
    asked = understanding.in_words(understood) if understood else "Not understood"
    badge = " :violet-badge[↻ Replay on paper]" if around["is_replay"] else ""
    badge += " :red-badge[LIVE]" if around["mode"] == "live" else ""
    st.subheader(f"{tables.plain(asked)}{badge}", anchor=False)
    bot = (
        f"bot {tables.plain(trace['bot'])} at {tables.plain(around['connection'])}"
        if trace["bot"]
        else "no bot"
    )
    words = [tables.source(trace["source"]), bot]
    if trace["duplicates"]:
        words.append(f"{trace['duplicates']} copies came and were not traded")
    st.caption(" · ".join(words))


def _way(user: User, signal_id: UUID, was_under_way: bool) -> None:
    with calm():
        with services().database.transaction() as transaction:
            trace = reports.trace(transaction, user.id, signal_id)
        if trace is None:
            return
        if was_under_way and trace["finished_at"] is not None:
            st.rerun()
        draw_verdict(trace)
        left, right = st.columns([3, 2], gap="large")
        with left:
            st.markdown("##### The way it went")
            with st.container(gap="xsmall"):
                for stage in stages(trace):
                    draw_stage(stage, user.time_zone)
        with right:
            understanding.draw(trace, user.time_zone)
        draw_plan(trace, user.time_zone)
        draw_details(trace, user.time_zone)


def draw_verdict(trace: Trace) -> None:
    """Answer first of all what became of it, and what can be done about it."""
    sentence = tables.plain(trace["sentence"] or "")
    code, state = trace["code"] or "", trace["state"]
    advice = ADVICE.get(code, "")
    if state in NOT_TRADED:
        words = f"**{tables.plain(code)}**: {sentence}\n\n{advice}" if advice else f"**{code}**: {sentence}"
        if state == "SKIPPED":
            st.info(words, icon=":material/info:")
        else:
            st.error(words, icon=":material/block:")
    elif state == "EXECUTED":
        st.success(f"**Executed.** {sentence}", icon=":material/check_circle:")
    else:
        st.info(f"**Under way.** {sentence}", icon=":material/pending:")


def draw_stage(stage: Stage, zone: str) -> None:
    """Draw one stage in a line: its sign, when, how long after the one before, and what there is to say."""
    at = f" · {clock(stage.at, zone)}" if stage.at else ""
    after = f" :gray-badge[{gap_in_words(stage.after)}]" if stage.after is not None else ""
    words = f"  \n:gray[{tables.plain(stage.words)}]" if stage.words else ""
    if stage.mark is Mark.NEVER:
        st.markdown(f"{SIGNS[stage.mark]} :gray[{stage.name}: not reached]")
    else:
        st.markdown(f"{SIGNS[stage.mark]} **{tables.plain(stage.name)}**{at}{after}{words}")


def clock(at: Any, zone: str) -> str:
    """Write a moment to the millisecond: `21 Nov 14:30:05.123 UTC`."""
    whole = moment(at, zone)
    seconds, _, name = whole.rpartition(" ")
    return f"{seconds}.{at.microsecond // 1000:03d} {name}"


def draw_plan(trace: Trace, zone: str) -> None:
    """Draw the legs with what they traded, then the orders and their fills."""
    plan = trace["plan"]
    if plan is None or not plan["legs"]:
        return
    st.markdown("##### Plan, orders and fills")
    held = plan["position_before"]
    side = "LONG" if held > 0 else "SHORT"
    st.caption(f"Decided when the bot held {f'{side} {quantity(abs(held))}' if held else 'nothing'}.")
    table(pd.DataFrame([_leg(leg) for leg in plan["legs"]]), "", key="legs")
    orders = [_order(order, zone) for leg in plan["legs"] for order in leg["orders"]]
    table(pd.DataFrame(orders), "No order was sent.", key="orders")
    fills = [_fill(fill, zone) for leg in plan["legs"] for order in leg["orders"] for fill in order["fills"]]
    table(pd.DataFrame(fills), "Nothing was filled.", key="fills")


def draw_details(trace: Trace, zone: str) -> None:
    """Draw every recorded step and what was told about the signal."""
    with st.expander(f"All {len(trace['steps'])} steps"):
        rows = [
            {"At": clock(step["at"], zone), "After": after, "What": step["what"]}
            for step, after in zip(trace["steps"], gaps(trace["steps"]), strict=True)
        ]
        table(pd.DataFrame(rows), "No step yet.", key="steps")
    if trace["notifications"]:
        count = len(trace["notifications"])
        label = f"{count} notification{'' if count == 1 else 's'}"
        with st.expander(label):
            told = [_told(each, zone) for each in trace["notifications"]]
            table(pd.DataFrame(told), "", key="notifications")
    st.caption(f"Signal id `{trace['signal_id']}`")


def _leg(leg: dict[str, Any]) -> dict[str, str]:
    trade = leg["trade"] or {}
    filled = trade.get("filled_qty")
    return {
        "Leg": "Entry" if leg["purpose"] == "OPEN" else "Exit",
        "Side": leg["side"],
        "Quantity": quantity(leg["quantity"]),
        "State": leg["state"].lower(),
        "Filled": quantity(filled) if filled else NOTHING,
        "Price": price(trade.get("filled_price")),
        "Stop": price(leg["stop_price"]),
        "Target": price(leg["target_price"]),
        "P&L": gain(trade.get("realized_pnl")) if leg["purpose"] == "CLOSE" else NOTHING,
        "Why": leg["sentence"] or NOTHING,
    }


def _order(order: dict[str, Any], zone: str) -> dict[str, str]:
    return {
        "Order": order["client_order_id"],
        "Side": order["side"],
        "Quantity": quantity(order["quantity"]),
        "Kind": order["order_type"].lower(),
        "Limit": price(order["limit_price"]),
        "State": order["state"].replace("_", " ").lower(),
        "Sent": clock(order["sent_at"], zone) if order["sent_at"] else NOTHING,
        "Broker says": order["broker_message"] or NOTHING,
    }


def _fill(fill: dict[str, Any], zone: str) -> dict[str, str]:
    return {
        "Filled at": clock(fill["filled_at"], zone),
        "Side": fill["side"],
        "Quantity": quantity(fill["quantity"]),
        "Price": price(fill["price"]),
        "Fees": _fee(fill),
        "P&L": gain(fill["realized_pnl"]),
    }


def _fee(fill: dict[str, Any]) -> str:
    asset = fill["fee_asset"]
    return money(fill["fee"], asset) if asset == "USD" else f"{quantity(fill['fee'])} {asset or ''}".strip()


def _told(each: dict[str, Any], zone: str) -> dict[str, str]:
    return {
        "When": moment(each["created_at"], zone),
        "Kind": each["kind"].replace("_", " ").capitalize(),
        "Sent": moment(each["sent_at"], zone) if each["sent_at"] else "not sent",
        "Error": each["error"] or NOTHING,
    }
