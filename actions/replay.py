"""Play a stored signal again on paper: through the same inbox and engine, never at a real account."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import psycopg2.errors

from actions.acting import Acting, Refused, Tools
from core.errors import Rejected
from core.instrument import Instrument, symbol_key
from core.matching import choose
from core.plan import Refusal
from core.signal import Signal
from core.signal_json import from_json, to_json
from database import bots, inbox, replays
from database.inbox import Arrival, Sender
from database.pool import Row, Transaction
from intake import receive_replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The new signal that repeats another, and the bot on paper that takes it."""

    signal_id: UUID
    bot: str


def replay(tools: Tools, acting: Acting, signal_id: UUID) -> Replayed:
    """Store a signal of the user again, for a copy of its bot on the user's paper connection for replays.

    It counts as sent now; all else is as it was understood. The first replay makes the connection, the
    first of a symbol and timeframe the bot; both keep what they hold from one replay to the next. Raises
    `Refused` for a signal that nobody understood or no bot is for, and a symbol that paper does not trade.
    """
    now = datetime.now(UTC)
    with tools.database.transaction() as transaction:
        row = replays.signal_to_replay(transaction, acting.owner, signal_id)
        if row is None:
            raise Refused("There is no such signal.")
        if row["understood"] is None:
            raise Refused("Nobody could read this signal, so there is nothing to play again.")
        signal = replace(from_json(row["understood"]), sent_at=now, bar_time=None, bot=None, test=False)
        original = _bot_of(transaction, acting, row, from_json(row["understood"]))
        connection_id, made = replays.replay_connection(transaction, acting.owner)
        if made:
            acting.note(transaction, "connect", f"connection {connection_id}", after={"label": replays.LABEL})
    instrument = _look_up(tools, connection_id, original["symbol"])
    with tools.database.transaction() as transaction:
        bot_id = _copy(transaction, acting, connection_id, original, instrument)
        bot = replays.candidate(transaction, acting.owner, bot_id)
        arrival = Arrival(body=_body(row["uuid"], signal), received_at=now)
        sender = Sender(user_id=acting.owner, source=replays.SOURCE, connection_id=connection_id)
        stored = receive_replay(transaction, sender, arrival, signal, bot, original=row["id"])
        acting.note(transaction, "signal replay", f"signal {row['uuid']}", after={"as": stored})
    return Replayed(signal_id=stored, bot=bot.name)


def _bot_of(transaction: Transaction, acting: Acting, row: Row, signal: Signal) -> Row:
    """Return the bot that a signal went to, or would go to by now."""
    if row["bot_id"] is not None:
        return bots.bot_row(transaction, row["bot_id"])
    sender = Sender(user_id=acting.owner, source=row["source"])
    chosen = choose(signal, inbox.bots_open_to(transaction, sender, signal.symbol_key))
    if isinstance(chosen, Refusal):
        raise Refused(f"{chosen.sentence} A replay needs a bot whose settings it copies: make one first.")
    return bots.bot_row(transaction, chosen.id)


def _look_up(tools: Tools, connection_id: int, symbol: str) -> Instrument:
    try:
        return tools.registry.broker(connection_id).instrument(symbol)
    except Rejected as error:
        raise Refused(f"The paper broker does not trade {symbol}: {error.message}") from None


def _copy(
    transaction: Transaction, acting: Acting, connection_id: int, original: Row, instrument: Instrument
) -> int:
    """Return the bot on paper with the settings that the original has now."""
    settings = replays.copied_settings(original)
    known = replays.bot_for_replays(
        transaction, connection_id, symbol_key(instrument.symbol), original["timeframe"]
    )
    if known is not None:
        bots.edit_bot(transaction, acting.owner, known["id"], **settings)
        return int(known["id"])
    try:
        return bots.create_bot(
            transaction,
            user_id=acting.owner,
            connection_id=connection_id,
            instrument=instrument,
            timeframe=original["timeframe"],
            source=replays.SOURCE,
            name=f"{replays.LABEL}: {instrument.symbol} {original['timeframe'] or 'any timeframe'}",
            **settings,
        )
    except psycopg2.errors.UniqueViolation:
        raise Refused(
            "A bot of yours has the name that the replay's bot needs, or another replay began at this moment:"
            " try again, or rename that bot."
        ) from None


def _body(original: UUID, signal: Signal) -> bytes:
    """Return a body of its own for each replay: the guard against copies must see no copy of the first."""
    return json.dumps({"replay_of": str(original), **to_json(signal)}, sort_keys=True).encode()
