"""Try a message: what is understood of it, word by word, and what a channel would do with it. Nothing is stored."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pandas as pd
import streamlit as st

from actions import channel_trial
from actions.channel_trial import Trial
from actions.lending import margin_modes
from core.signal import PositionSide
from core.wording import grouped, number
from database import channel_pages
from database.accounts import User
from database.signal_channels import SignalChannel
from signals.discord_formats import BY_NAME
from signals.discord_reading import NoSignal, RefusedSignal, SignalFormat, TextSignal
from ui.channel_pages import words
from ui.drawing import facts, table
from ui.formatting import money
from ui.services import now, services
from ui.tables import plain

READING_ONLY = "No channel: only read it"
EXAMPLE = BY_NAME[SignalFormat.STANDARD].examples[0].text
BEFORE_THE_BROKER = "The account, the broker and the price at that moment have the last word."


def draw(user: User, channels: Sequence[SignalChannel]) -> None:
    """Draw the box, the choice of channel where there are several, and what comes of the text."""
    st.caption("Nothing is stored or traded.")
    key = f"try-{channels[0].id if len(channels) == 1 else 'any'}"
    text = st.text_area("Message", key=f"{key}-text", placeholder=EXAMPLE, height=110)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Read it", key=f"{key}-read", icon=":material/science:", type="primary")
        channel = _chosen(channels, key)
    if not (text or "").strip():
        return
    trial = channel_trial.attempt(text or "", channel, now())
    draw_reading(trial)
    if channel is not None and isinstance(trial.reading, TextSignal):
        draw_outcome(user, channel, trial, now())
    draw_parts(trial)


def draw_reading(trial: Trial) -> None:
    """Say what the message is."""
    match trial.reading:
        case NoSignal(why=why):
            st.info(f"**No signal.** {plain(why)} Nobody is answered.", icon=":material/chat_bubble:")
        case RefusedSignal(sentence=sentence):
            st.error(f"**Refused:** {plain(sentence)}", icon=":material/block:")
        case TextSignal() as signal:
            st.success(f"**Understood:** {plain(signal.summary)} :gray[· {words.format_title(signal.format)}]",
                       icon=":material/check_circle:")  # fmt: skip


def draw_parts(trial: Trial) -> None:
    """Draw which of the message's words gave what."""
    if isinstance(trial.reading, NoSignal):
        return
    parts = trial.reading.explanation
    frame = pd.DataFrame(
        [
            {
                "What": part.what.capitalize(),
                "Read from": " ".join(part.text.split()),
                "Value": part.value or "–",
            }
            for part in parts
        ],
        columns=["What", "Read from", "Value"],
    )
    if parts:
        table(frame, "", key="try-parts")


def draw_outcome(user: User, channel: SignalChannel, trial: Trial, at: datetime) -> None:
    """Say what a channel would do with a signal: the order, or why there would be none."""
    name = plain(channel.title)
    if not channel.is_active:
        st.warning(f"{name} is switched off: it would take nothing.", icon=":material/pause:")
    if trial.refusal is not None:
        st.error(f"**{name} would refuse it:** {plain(trial.refusal.sentence)}", icon=":material/block:")
        return
    if trial.signal is None:
        return
    with st.container(border=True):
        st.markdown(f"**{name} would:**")
        if trial.is_exit:
            st.markdown(f"Close what its bot holds of {plain(trial.signal.symbol)}, at the market.")
            return
        with services().database.transaction() as transaction:
            rows = channel_pages.registrations(transaction, user.id, at, only=channel.id)
        facts(*_order(channel, trial, lends=bool(rows and margin_modes(rows[0]["broker"]))))
        st.caption(BEFORE_THE_BROKER)


def _order(channel: SignalChannel, trial: Trial, *, lends: bool) -> list[tuple[str, str]]:
    signal = trial.signal
    if signal is None:
        return []
    side = "▲ Buy" if signal.wanted is PositionSide.LONG else "▼ Sell short"
    pairs = [(side, plain(signal.symbol)), ("Order", _kind(channel, trial))]
    pairs.append(("Stop", grouped(trial.stop) if trial.stop is not None else "none"))
    pairs += _targets(channel, trial.targets)
    pairs.append(("Size", f"{words.size(channel)}, at most ${money(channel.max_position_size)}"))
    if lends:
        asked = signal.leverage
        chosen = number(asked) if asked is not None else channel.leverage
        pairs.append(("Leverage", f"{chosen}x {channel.margin_mode}"))
    return pairs


def _kind(channel: SignalChannel, trial: Trial) -> str:
    if trial.entry is None:
        return "Market"
    if trial.is_limit:
        return f"Limit {grouped(trial.entry)}, for {words.minutes(channel.entry_valid_minutes)}"
    return f"Market, ±{number(channel.max_price_deviation_percent)} % around {grouped(trial.entry)}"


def _targets(channel: SignalChannel, prices: Sequence[Decimal]) -> list[tuple[str, str]]:
    """Write the targets, and what is left at each where there are several."""
    if len(prices) < 2:
        return [("Target", grouped(price)) for price in prices]
    shares = ", ".join(f"{number(share)} %" for share in channel.target_shares)
    return [
        ("Targets", " · ".join(grouped(price) for price in prices)),
        ("Leaves at each", f"{shares}; the last the rest" if shares else "equal shares"),
    ]


def _chosen(channels: Sequence[SignalChannel], key: str) -> SignalChannel | None:
    if len(channels) == 1:
        return channels[0]
    if not channels:
        return None
    by_id = {each.id: each for each in channels}
    chosen = st.selectbox(
        "In", [*by_id, None], key=f"{key}-channel", width=260,
        format_func=lambda each: READING_ONLY if each is None else by_id[each].title,
    )  # fmt: skip
    return by_id.get(chosen) if chosen is not None else None
