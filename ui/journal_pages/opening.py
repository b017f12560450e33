"""The form that opens a trade: of a signal, filled in, or by hand; followed alone, or sent to a broker too."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

import streamlit as st

from actions import executed_trades
from actions import tracked_trades as actions
from actions.acting import Refused
from actions.tracked_trades import TradeRequest
from brokers.base import BrokerName
from core.pips import Direction, market_of
from core.trade_wording import REPLAY
from database import connections
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm, done
from ui.inputs import Slots, amount, amount_input
from ui.reversal_pages import words
from ui.services import now, services

USUAL_LOTS = Decimal("0.1")
ELSEWHERE = "I open it myself elsewhere: only follow it"
LOTS_HELP = (
    "0.01 to 100. A lot of currencies is 100,000 units; of shares and coins it is one share or one coin."
)
FOLLOWED = (
    "Opening it here places no order, unless you choose a connection below: DashTrade follows what you did elsewhere,"
    " to its stop or target."
)
SIDES = {Direction.LONG: "▲ LONG", Direction.SHORT: "▼ SHORT"}


def for_signal(user: User, row: Row) -> None:
    """Draw the form of a signal, filled in with its prices."""
    given = {
        "entry": row["entry_price"],
        "stop": row["stop_loss"],
        "target": row["take_profit"],
        "pair": row["pair"],
        "timeframe": row["timeframe"],
        "direction": Direction(row["signal_type"]),
        "notification_id": row["id"],
        "is_replay": row["source"] == REPLAY,
    }
    draw(user, f"signal-{row['id']}", given)


def by_hand(user: User) -> None:
    """Draw the empty form."""
    draw(user, f"by-hand-{st.session_state.get(MADE, 0)}", {"is_replay": False})


MADE = "trades opened by hand on this page"


def draw(user: User, key: str, given: Mapping[str, Any]) -> None:
    """Draw the form; what `given` holds of pair and direction is not asked for."""
    slots: Slots = {}
    with services().database.transaction() as transaction:
        shown = connections.shown_connections(transaction, user.id)
    # What comes of a recording trades on paper alone
    places = [row for row in shown if row["broker"] == BrokerName.PAPER or not given["is_replay"]]
    with st.form(f"{key}-form"):
        st.caption(FOLLOWED if places else FOLLOWED.partition(", unless")[0] + ".")
        typed = _what(given, key, slots) | _levels(given, key, slots)
        typed["place"] = _place(places, key, slots)
        if st.form_submit_button("Open the trade", type="primary", icon=":material/add:"):
            with calm(slots):
                _open(user, key, given, typed, {row["id"]: row for row in places})


def _what(given: Mapping[str, Any], key: str, slots: Slots) -> dict[str, Any]:
    if "pair" in given:
        return {"pair": given["pair"], "direction": given["direction"]}
    left, right = st.columns(2)
    with left:
        pair = st.text_input(
            "Pair", key=f"{key}-pair", placeholder="EUR/USD, BTC/USD or AAPL", autocomplete="off"
        )
        slots["pair"] = st.empty()
    with right:
        direction = st.segmented_control("Direction", list(SIDES), default=Direction.LONG, required=True,
                                         format_func=SIDES.__getitem__, key=f"{key}-direction")  # fmt: skip
        slots["direction"] = st.empty()
    return {"pair": pair or "", "direction": direction}


def _levels(given: Mapping[str, Any], key: str, slots: Slots) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    left, right = st.columns(2)
    with left:
        typed["entry"] = _price(slots, "entry", "Entry price", given, key)
    with right:
        typed["lots"] = amount_input(slots, "lots", "Lots", USUAL_LOTS, key=f"{key}-lots", help=LOTS_HELP,
                                     checked=False)  # fmt: skip
    left, right = st.columns(2)
    with left:
        typed["stop"] = _price(slots, "stop", "Stop loss", given, key)
    with right:
        typed["target"] = _price(slots, "target", "Take profit", given, key)
    typed["notes"] = st.text_area("Notes", key=f"{key}-notes", height=70, max_chars=1000,
                                  placeholder="why you took it; for yourself")  # fmt: skip
    slots["notes"] = st.empty()
    return typed


def _price(slots: Slots, name: str, label: str, given: Mapping[str, Any], key: str) -> str:
    return amount_input(slots, name, label, given.get(name), key=f"{key}-{name}", checked=False)


def _place(places: list[Row], key: str, slots: Slots) -> dict[str, Any]:
    """Draw where the order goes, where there is anywhere it could."""
    if not places:
        return {"connection": None, "confirmation": ""}
    labels = {row["id"]: f"Send the order to {row['label']} ({row['mode']})" for row in places}
    chosen = st.selectbox("Where it is traded", [None, *labels], key=f"{key}-place",
                          format_func=lambda each: ELSEWHERE if each is None else labels[each])  # fmt: skip
    slots["connection"] = st.empty()
    typed = ""
    if any(row["mode"] == "live" for row in places):
        typed = st.text_input(
            "For a live connection: type its name to confirm that this trades real money", key=f"{key}-live",
            autocomplete="off", placeholder="not needed on paper",
        )  # fmt: skip
    slots["confirmation"] = st.empty()
    return {"connection": chosen, "confirmation": typed or ""}


def _open(
    user: User, key: str, given: Mapping[str, Any], typed: Mapping[str, Any], places: Mapping[int, Row]
) -> None:
    request = read(given, typed, _request_key(key))
    connection_id, confirmation = typed["place"]["connection"], typed["place"]["confirmation"]
    if connection_id is None:
        opened = actions.open_trade(
            services().database, services().settings, user.id, acting(user).actor, request, now()
        )
        told = f"{_opened(opened.trade_id, request, is_new=opened.is_new)} {opened.remark or ''}"
    else:
        with st.spinner("Sending the order…"):
            sent = executed_trades.open_and_execute(
                services(), acting(user), request, connection_id, now(), confirmation=confirmation
            )
        place = places[connection_id]["label"]
        told = f"{_opened(sent.trade_id, request, is_new=sent.is_new)} Its order is on its way to {place}."
    st.session_state[MADE] = st.session_state.get(MADE, 0) + 1
    done(told)


def _opened(trade_id: int, request: TradeRequest, *, is_new: bool) -> str:
    was = "is opened" if is_new else "was opened already"
    entry = words.price(request.pair, request.entry)
    return f"Trade #{trade_id} {was}: {request.pair} {request.direction.value.upper()} at {entry}."


def read(given: Mapping[str, Any], typed: Mapping[str, Any], request_key: str) -> TradeRequest:
    """Return what is asked for; raise `Refused` with the field that cannot be read."""
    try:
        pair = market_of(typed["pair"]).pair
    except ValueError as error:
        raise Refused(f"{str(error)[:1].upper()}{str(error)[1:]}.", "pair") from None
    figures = {
        name: amount(typed[name], name, label) or Decimal(0)
        for name, label in (("entry", "Entry price"), ("lots", "Lots"), ("stop", "Stop loss"),
                            ("target", "Take profit"))
    }  # fmt: skip
    return TradeRequest(
        pair=pair,
        timeframe=given.get("timeframe"),
        direction=Direction(typed["direction"]),
        entry=figures["entry"],
        lots=figures["lots"],
        stop=figures["stop"],
        target=figures["target"],
        notes=(typed["notes"] or "").strip(),
        request_key=request_key,
        notification_id=given.get("notification_id"),
    )


def _request_key(key: str) -> str:
    """Return the key of this form's trade: pressed twice, it is opened once."""
    name = f"{key} request"
    made: str = st.session_state.setdefault(name, f"page-{uuid4().hex}")
    return made
