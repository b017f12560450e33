"""What is said in a channel about a message that was a signal; pure, and nothing of whose account it was."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from alerts.neutral import neutral, shortened
from core.plan import Code
from core.wording import grouped
from database.channel_messages import MessageState, Outcome, TradeSoFar

LONGEST = 1900
NEVER_SENT = (MessageState.LATE, MessageState.BACKLOG)
CHANGES = (MessageState.EDITED, MessageState.DELETED)
EDITED = "✏️ This message was edited after it had been read; nothing was changed."
GONE = "The signal is no longer known here."
# What the sentences of these codes tell is of an account, and not everybody's in the channel
_NOT_TOLD = {
    Code.ALREADY_LONG: "Already long.",
    Code.ALREADY_SHORT: "Already short.",
    Code.AMBIGUOUS_BOT: "Several bots could take it.",
    Code.KILL_SWITCH: "Trading is halted.",
    Code.BOT_DISABLED: "Its bot is disabled.",
    Code.NO_CREDENTIALS: "The account has no usable API keys.",
    Code.CONNECTION_PROBLEM: "The account cannot be used.",
    Code.ACCOUNT_MISMATCH: "The account holds something else than the bots.",
    Code.COOLDOWN: "It waits after a stop.",
    Code.OPPOSITE_POSITION: "The account holds the other side.",
    Code.MAX_OPEN_POSITIONS: "Enough positions are open.",
    Code.MAX_POSITION_SIZE: "The size is above what is allowed.",
    Code.DAILY_LOSS_LIMIT: "The daily loss limit is reached.",
    Code.SIZE_TOO_SMALL: "The size is below what the broker takes.",
    Code.INSUFFICIENT_BUYING_POWER: "The buying power is not enough.",
    Code.SHORT_NOT_ALLOWED: "Shorts are not opened there.",
}
# Of these the broker's words are worth telling, without amounts
_WITHOUT_AMOUNTS = frozenset(
    {Code.BROKER_REJECTED, Code.NOT_RECEIVED, Code.NOT_FILLED, Code.PARTLY_FILLED, Code.EXTERNAL_CLOSE}
)
_AMOUNT = re.compile(r"[0-9][0-9.,']*")
_VERBS = {"BUY": "Bought", "SELL": "Sold"}


def is_settled(row: Mapping[str, Any]) -> bool:
    """Tell whether the end of a message for a registration is known."""
    if row["state"] == MessageState.STORED:
        return row["finished_at"] is not None or row["signal_state"] is None
    return bool(row["state"] != MessageState.SENDING)


def unsent(row: Mapping[str, Any]) -> str:
    """Say why a message did not become a signal."""
    sign = "⌛" if row["state"] in NEVER_SENT else "❌"
    return f"{sign} {_plain(row['sentence'] or 'No reason is known.')}"


def outcome(found: Outcome | None, *, in_private: bool = False) -> tuple[str, bool]:
    """Say what became of a signal, and tell whether it did what was asked for.

    Only `in_private` is everything told that the sentence says of the account.
    """
    if found is None:
        return f"❌ {GONE}", False
    said = found.sentence if in_private else _for_all(found)
    fills = [_fill(trade) for trade in found.trades if trade.filled_quantity]
    if fills:
        rest = f" {_plain(said)}" if found.state != "EXECUTED" and said else ""
        return f"✅ {' '.join(fills)}{rest}", True
    sentence = _plain(said) if said else f"Nothing was traded ({found.code or found.state})."
    return (f"✅ {sentence}", True) if found.state == "EXECUTED" else (f"❌ {sentence}", False)


def together(lines: Sequence[str], count: int) -> str:
    """Return the whole reply: what is the same for several is said once."""
    if count == 1 or len(set(lines)) == 1 == len(lines) // count:
        return shortened(lines[0], LONGEST)
    told = [f"{line} ({times} of {count})" for line, times in Counter(lines).items()]
    waiting = count - len(lines)
    if waiting:
        told.append(f"⏳ {waiting} of {count} not known yet.")
    return shortened("\n".join(told), LONGEST)


def in_private(line: str, channel_id: int, message_id: int) -> str:
    """Return what is told in a direct message because the bot may not speak in the channel."""
    return shortened(f"{line}\nOf message {message_id} in <#{channel_id}>, where I may not answer.", LONGEST)


def _for_all(found: Outcome) -> str | None:
    if found.code == Code.SYMBOL_NOT_TRADEABLE:
        return f"{found.symbol} cannot be traded there."
    if found.code in _NOT_TOLD:
        return _NOT_TOLD[Code(found.code)]
    if found.code in _WITHOUT_AMOUNTS and found.sentence:
        return _AMOUNT.sub("…", found.sentence)
    return found.sentence


def _fill(trade: TradeSoFar) -> str:
    verb = "Closed" if trade.action == "CLOSE" else _VERBS.get(trade.side, trade.side.title())
    price = "" if trade.filled_price is None else f" at {grouped(trade.filled_price)}"
    partly = "" if trade.status == "FILLED" else " in part"
    return f"{verb} {_plain(trade.symbol)}: filled{partly}{price}."


def _plain(text: str) -> str:
    return neutral(" ".join(text.split()))
