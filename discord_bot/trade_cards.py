"""How trades that are followed look in Discord: open ones, closed ones, one that was just closed; pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

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
# A page of trades with these fits into one embed
LONGEST_NOTES = 120
NO_OPEN = (
    "You have no open trade. Press Open Trade below a signal, or add one in the dashboard's Trade journal."
)
NO_CLOSED = "None of your trades has ended yet. Those that are open: `/trades`."
NO_TRADES = "None of the trades that you opened from signals or in the dashboard has ended yet."
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
    # Without its sign: nothing of a negative distance is −0
    share = abs(min(max((row["current_price"] - stop) / (target - stop), Decimal(0)), Decimal(1)))
    full = int(share * STEPS_OF_BAR)
    return f"🛑 {'▰' * full}{'▱' * (STEPS_OF_BAR - full)} 🎯 {share * 100:.0f} %"


def statistics(found: Row) -> discord.Embed:
    """Show the figures of `tracked_trades.statistics`."""
    if not found["trades"]:
        still = f" {found['open']} still open: `/trades`." if found["open"] else ""
        return no_data("Your Tracked Trades", f"{NO_TRADES}{still}")
    made = discord.Embed(title="🎯 Your Tracked Trades", description=_left_out(found), colour=GREY)
    for name, value in _figures(found).items():
        if value is not None:
            made.add_field(name=name, value=value)
    return made


def _figures(found: Row) -> dict[str, str | None]:
    won = f"{found['won']} / {found['lost']} / {found['breakeven']}"
    rate, ratio, lasted = found["win_rate"], found["average_reward_to_risk"], found["average_seconds"]
    return {
        "Trades": str(found["trades"]),
        "Won / lost / even": won,
        "Win rate": None if rate is None else f"{number(round(rate, 1))} %",
        "P&L": money(found["total_profit_loss"], found["currency"]),
        "Pips": steps(found["total_pips"], "pips") if found["total_pips"] else None,
        "Points": steps(found["total_points"], "points") if found["total_points"] else None,
        "Average R:R": None if ratio is None else f"1:{number(ratio)}",
        "Average holding time": None if lasted is None else duration(timedelta(seconds=lasted)),
        "Best": _end(found["best"], found["currency"]),
        "Worst": _end(found["worst"], found["currency"]),
    }


def _end(row: Row | None, currency: str) -> str | None:
    if row is None:
        return None
    return neutral(f"#{row['id']} {row['pair']}: {steps(row['pips'], row['unit'])}") + (
        f" ({money(row['profit_loss'], currency)})"
    )


def _left_out(found: Row) -> str | None:
    reasons = (
        (found["in_other_currencies"], "in other currencies"),
        (found["without_rate"], "whose rate was not known"),
    )
    parts = [f"{count} trades {why}" for count, why in reasons if count]
    return f"P&L leaves out {' and '.join(parts)}." if parts else None


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
    notes = " ".join(row["notes"].split())
    return f"\n📝 {shortened(neutral(notes), LONGEST_NOTES)}" if notes else ""
