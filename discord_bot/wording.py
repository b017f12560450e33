"""What is said in a channel about a message that was a signal; pure, and nothing of whose account it was."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from alerts.neutral import neutral, shortened
from core.wording import grouped
from database.channel_messages import MessageState, Outcome, TradeSoFar

LONGEST = 1900
NEVER_SENT = (MessageState.LATE, MessageState.BACKLOG)
CHANGES = (MessageState.EDITED, MessageState.DELETED)
EDITED = "✏️ This message was edited after its signal was executed; nothing was changed."
GONE = "The signal is no longer known here."
SIGNS = {
    MessageState.LATE: "⌛",
    MessageState.BACKLOG: "⌛",
}
_VERBS = {"BUY": "Bought", "SELL": "Sold"}


def is_settled(row: Mapping[str, Any]) -> bool:
    """Tell whether the end of a message for a registration is known."""
    if row["state"] == MessageState.STORED:
        return row["finished_at"] is not None
    return bool(row["state"] != MessageState.SENDING)


def unsent(row: Mapping[str, Any]) -> str:
    """Say why a message did not become a signal."""
    return f"{SIGNS.get(row['state'], '❌')} {_plain(row['sentence'] or 'No reason is known.')}"


def outcome(found: Outcome | None) -> tuple[str, bool]:
    """Say what became of a signal, and tell whether it did what was asked for."""
    if found is None:
        return f"❌ {GONE}", False
    fills = [_fill(trade) for trade in found.trades if trade.filled_quantity]
    if fills:
        rest = f" {_plain(found.sentence)}" if found.state != "EXECUTED" and found.sentence else ""
        return f"✅ {' '.join(fills)}{rest}", True
    sentence = (
        _plain(found.sentence) if found.sentence else f"Nothing was traded ({found.code or found.state})."
    )
    return (f"✅ {sentence}", True) if found.state == "EXECUTED" else (f"❌ {sentence}", False)


def together(lines: Sequence[str], count: int) -> str:
    """Return the whole reply: what is the same for several is said once."""
    if count == 1 or len(set(lines)) == 1 == len(lines) // count:
        return shortened(lines[0], LONGEST)
    told = [f"{line} ({times} of {count})" for line, times in _counted(lines).items()]
    waiting = count - len(lines)
    if waiting:
        told.append(f"⏳ {waiting} of {count} not known yet.")
    return shortened("\n".join(told), LONGEST)


def in_private(line: str, channel_id: int, message_id: int) -> str:
    """Return what is told in a direct message because the bot may not speak in the channel."""
    return shortened(f"{line}\nOf message {message_id} in <#{channel_id}>, where I may not answer.", LONGEST)


def _counted(lines: Sequence[str]) -> dict[str, int]:
    return {line: lines.count(line) for line in dict.fromkeys(lines)}


def _fill(trade: TradeSoFar) -> str:
    verb = "Closed" if trade.action == "CLOSE" else _VERBS.get(trade.side, trade.side.title())
    price = "" if trade.filled_price is None else f" at {_price(trade.filled_price)}"
    partly = "" if trade.status == "FILLED" else " in part"
    return f"{verb} {_plain(trade.symbol)}: filled{partly}{price}."


def _price(price: Decimal) -> str:
    return grouped(price)


def _plain(text: str) -> str:
    return neutral(" ".join(text.split()))
