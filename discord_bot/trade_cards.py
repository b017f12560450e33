"""How trades that are followed look in Discord: open ones, closed ones, one that was just closed; pure."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import discord

from actions.tracked_trades import Closed
from alerts.neutral import neutral, shortened
from core.pips import Direction, market_of
from core.tracked_trade import CloseReason
from core.trade_wording import duration, money, steps
from core.wording import number
from database.pool import Row
from discord_bot.reversal_embed import FIELD_VALUE, GREEN, GREY, REPLAY, moment, price

NO_SOURCE = "none"
STEPS_OF_BAR = 10
NO_OPEN = (
    "You have no open trade. Press Open Trade below a signal, or add one in the dashboard's Trade journal."
)
NO_CLOSED = "None of your trades has ended yet. Those that are open: `/trades`."
NO_TRADES = "You have opened no trade from a signal or in the dashboard yet, so there is nothing to count."
REASONS = {
    CloseReason.TARGET: "✅ Take profit",
    CloseReason.STOP: "❌ Stop loss",
    CloseReason.BY_HAND: "✋ By hand",
    CloseReason.TIME: "⏰ Time limit",
}


def no_data(subject: str, why: str) -> discord.Embed:
    """Say that there is nothing to show, and why."""
    return discord.Embed(title=f"{subject}: No Data", description=why, colour=GREY)


def open_trades(rows: Sequence[Row], count: int, now: datetime) -> discord.Embed:
    """Show open trades with what each is worth; `count` is how many there are."""
    if not rows:
        return no_data("Open trades", NO_OPEN)
    left = (
        f"The newest {len(rows)} of {count}; the dashboard's Trade journal has them all."
        if count > len(rows)
        else None
    )
    made = discord.Embed(title=f"📊 Open trades: {count}", description=left, colour=GREEN)
    for row in rows:
        made.add_field(name=_name(row), value=_open(row, now), inline=False)
    return made


def closed_trades(rows: Sequence[Row], *, is_first: bool) -> discord.Embed:
    """Show one page of trades that ended."""
    if not rows:
        return no_data("History", NO_CLOSED if is_first else "There are no older ones.")
    made = discord.Embed(title="🗂️ Closed trades", colour=GREY)
    for row in rows:
        made.add_field(name=_name(row), value=_closed(row), inline=False)
    return made


def just_closed(closed: Closed) -> str:
    """Return what is said when a trade was closed by hand: at what price, and what came of it."""
    at = f"\nClosed at {number(closed.price)}." if closed.price is not None and not closed.is_pending else ""
    return f"{neutral(closed.message)}{at}"


def progress(row: Row) -> str:
    """Return where the price stands between stop and target: `🛑 ▰▰▰▱▱▱▱▱▱▱ 🎯 34 %`."""
    stop, target = row["stop_loss"], row["take_profit"]
    share = min(max((row["current_price"] - stop) / (target - stop), Decimal(0)), Decimal(1))
    full = int(share * STEPS_OF_BAR)
    return f"🛑 {'▰' * full}{'▱' * (STEPS_OF_BAR - full)} 🎯 {share * 100:.0f} %"


def statistics(found: Row, currency: str) -> discord.Embed:
    """Show a user's own statistics of trades that were followed."""
    if not found["trades"]:
        return no_data("Your tracked trades", NO_TRADES)
    made = discord.Embed(title="📈 Your tracked trades", colour=GREY)
    for name, value in _figures(found, currency):
        made.add_field(name=name, value=value)
    return made


def _figures(found: Row, currency: str) -> list[tuple[str, str]]:
    return []


def _name(row: Row) -> str:
    mark = "REPLAY · " if row["source"] == REPLAY else ""
    side = Direction(row["direction"]).upper()
    return neutral(f"{mark}#{row['id']} {row['pair']} {side} · {number(row['lot_size'])} lots")


def _open(row: Row, now: datetime) -> str:
    market = market_of(row["pair"])
    levels = f"Entry {price(market, row['entry_price'])}, stop {price(market, row['stop_loss'])}, target"
    lines = [f"{levels} {price(market, row['take_profit'])}"]
    if row["current_price"] is None or row["current_pips"] is None:
        why = "nothing gives prices of this pair" if row["source"] == NO_SOURCE else "no price has come since"
        lines.append(f"Not looked at yet: {why}.")
    else:
        lines.append(
            f"Now {price(market, row['current_price'])}: {_worth(row, 'current_pips', 'current_pnl')}"
        )
        lines.append(progress(row))
    lines.append(f"Open for {duration(now - row['entry_time'])}{_notes(row)}")
    return shortened("\n".join(lines), FIELD_VALUE)


def _closed(row: Row) -> str:
    market = market_of(row["pair"])
    if row["status"] == "cancelled" or row["close_reason"] is None:
        return shortened(f"🚫 Cancelled{_notes(row)}", FIELD_VALUE)
    lasted = duration(row["close_time"] - row["entry_time"])
    path = f"{price(market, row['entry_price'])} → {price(market, row['close_price'])}"
    ended = f"{REASONS[CloseReason(row['close_reason'])]}: {_worth(row, 'pips', 'profit_loss')}"
    return shortened(
        f"{ended}\n{path} · {lasted} · {moment(row['close_time'], 'f')}{_notes(row)}", FIELD_VALUE
    )


def _worth(row: Row, pips: str, amount: str) -> str:
    unit = market_of(row["pair"]).unit
    return f"{steps(row[pips], unit)} ({money(row[amount], row['account_currency'])})"


def _notes(row: Row) -> str:
    notes: Any = row["notes"]
    return f"\n📝 {neutral(notes)}" if notes else ""
