"""One bot's position as a card: side, entry against the current price, protection, and closing it."""

from collections.abc import Iterator
from decimal import Decimal

import streamlit as st

from core.money import ZERO
from core.wording import percent
from database.accounts import User
from database.pool import Row
from ui.drawing import facts
from ui.formatting import MINUS, NOTHING, age, average, gain, moment, money, painted, price, quantity
from ui.services import now
from ui.tables import leverage, plain
from ui.trading_bot import bot_card

OLD_SECONDS = 60
# How much of the way from the entry to the liquidation the price may have gone until that is shown in colour.
NEAR, VERY_NEAR = Decimal("0.5"), Decimal("0.75")
WATCHERS = {"ENGINE": "watched by DashTrade", "BROKER": "resting at the broker"}


def draw(user: User, row: Row) -> None:
    """Draw the card with the button that closes the position."""
    long = row["quantity"] > ZERO
    badges = ":green-badge[▲ LONG]" if long else ":orange-badge[▼ SHORT]"
    badges += " :red-badge[LIVE]" if row["mode"] == "live" else ""
    badges += " :blue-badge[… closing]" if row["exit_asked"] else ""
    with bot_card.head_line():
        st.markdown(f"**{plain(row['symbol'])}** {badges} {plain(row['name'])}", width="content")
        if row["exit_asked"]:
            st.caption("Its close is under way.", width="content")
        else:
            bot_card.draw_close(user, row)
    facts(
        ("Quantity", quantity(abs(row["quantity"]))),
        ("Entry", average(row["average_price"])),
        ("Now", price(row["current_price"])),
        ("Unrealized P&L", unrealized(row)),
        *borrowed(row),
    )
    lines = "  \n".join([_protection(row), *more_protection(row, user.time_zone)])
    st.caption(
        f"{lines}  \n{plain(row['connection'])} · open since {moment(row['opened_at'], user.time_zone)}"
        f" · price from {age(row['priced_at'], now())}"
    )
    _tell_old_price(row)


def borrowed(row: Row) -> list[tuple[str, str]]:
    """Return leverage, margin and liquidation price, which is coloured where it is near; none where nothing is lent."""
    if row["leverage"] is None:
        return []
    pairs = [("Leverage", leverage(row))]
    if row["margin"] is not None:
        alone = row["account_quantity"] == row["quantity"]
        pairs.append(("Margin" if alone else "Margin of all bots", money(row["margin"])))
    if row["liquidation_price"] is not None:
        pairs.append(("Liquidation", liquidation(row)))
    return pairs


def liquidation(row: Row) -> str:
    """Write the liquidation price, yellow or red and in words where the price has come near it."""
    text = average(row["liquidation_price"])
    way = way_to_liquidation(row)
    if way is None or way < NEAR:
        return text
    return f":red[⚠ {text} very near]" if way >= VERY_NEAR else f":orange[⚠ {text} near]"


def way_to_liquidation(row: Row) -> Decimal | None:
    """Return how much of the way from the entry to the liquidation the price has gone; None where it is not known."""
    entry, end, price_now = row["average_price"], row["liquidation_price"], row["current_price"]
    if end is None or price_now is None or entry == end:
        return None
    return Decimal(entry - price_now) / Decimal(entry - end)


def more_protection(row: Row, zone: str) -> Iterator[str]:
    """Give a line each for targets in parts, for a trailing stop, for break-even and for a time limit."""
    if row["targets"]:
        yield "Targets: " + " · ".join(_target(each) for each in row["targets"])
    if row["break_even_after"] is not None and row["targets"]:
        yield f"Stop to the entry after target {row['break_even_after']}"
    if row["trail_distance"] is not None:
        yield f"Stop trails by {price(row['trail_distance'])}{_trail_state(row)}"
    if row["close_at"] is not None:
        yield f"Closed by its time limit {moment(row['close_at'], zone)}"


def _target(target: dict[str, object]) -> str:
    share = percent(Decimal(str(target["share"])))
    text = f"{price(Decimal(str(target['price'])))} ({share})"
    return f"✓ {text}" if target["hit"] else text


def _trail_state(row: Row) -> str:
    if row["trail_best"] is not None:
        return f" behind {price(row['trail_best'])}, the best so far"
    return f", once the price is at {price(row['trail_from'])}" if row["trail_from"] is not None else ""


def unrealized(row: Row) -> str:
    """Write the unrealized P&L with its share of what the position cost, coloured and signed."""
    share = percent_of_cost(row)
    if share is None:
        return f"{NOTHING} (no price yet)"
    text = f"{gain(row['unrealized'])} ({share:+.2f} %)".replace("-", MINUS)
    return painted(text, row["unrealized"])


def percent_of_cost(row: Row) -> Decimal | None:
    """Return the unrealized P&L in percent of the position's cost; None without a price."""
    cost = abs(row["quantity"]) * row["average_price"]
    if row["unrealized"] is None or not cost:
        return None
    return Decimal(100) * Decimal(row["unrealized"]) / Decimal(cost)


def _protection(row: Row) -> str:
    if row["stop_price"] is None and row["target_price"] is None:
        return "No stop and no target."
    stop = f"Stop {price(row['stop_price'])}" if row["stop_price"] is not None else "No stop"
    target = f"target {price(row['target_price'])}" if row["target_price"] is not None else "no target"
    if row["held_by"] == "BROKER" and row["has_several_targets"]:
        return f"{stop} · {WATCHERS['BROKER']} · {target} · {WATCHERS['ENGINE']}"
    return f"{stop} · {target} · {WATCHERS[row['held_by']]}"


def _tell_old_price(row: Row) -> None:
    priced_at = row["priced_at"]
    if priced_at is not None and (now() - priced_at).total_seconds() > OLD_SECONDS:
        words = "The broker has not been heard for a while: price and P&L are old. See the account above."
        st.warning(words, icon=":material/schedule:")
