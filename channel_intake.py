"""Take in a message of a Discord channel: one signal for each registration that takes its author.

Each registration's signal is stored in a transaction of its own, under the message's id for good: a message
that is sent again, after any answer or none, gives every registration what it got the first time. So one
user's broker that hangs, or a fault in one of them, costs no other user the signal, and nobody trades twice.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.errors

import intake
from actions import channel_bots
from actions.acting import Tools
from core.errors import BrokerError
from core.instrument import Instrument, symbol_key
from core.plan import Code, Refusal
from core.signal import Signal
from core.wording import seconds
from database import inbox, signal_channels
from database.inbox import Arrival, Sender
from database.pool import Transaction
from database.signal_channels import SignalChannel
from intake import Receipt, Status, Unreadable
from signals import channel_rules
from signals.tradingview import Understood

# A name that another process took a moment before is no reason to send the message again.
MOST_TRIES = 3
# The bot hangs up after 10 s and sends again; what was stored by then need not be asked for once more.
LOOK_UP_SECONDS = 5.0
LOOK_UPS_AT_ONCE = 4
NOT_STORED = "NOT_STORED"
UNKNOWN_FAULT = "That failed here, and was written into the log; send it again."

logger = logging.getLogger(__name__)


class ChannelStatus(StrEnum):
    """What became of a message for one registration; NOT_STORED wants it sent again."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    TEST = "test"
    REFUSED = "refused"
    NOT_STORED = "not_stored"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMessage:
    """A message of a channel as it was read, with its `format` and the service that brought it.

    `arrival.message_id` is set; it names the message for good.
    """

    arrival: Arrival
    reading: Understood | Unreadable
    format: str | None
    service_key_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelReceipt:
    """What one registration made of the message; `code` and `message` say why it does not trade."""

    user: int
    channel_registration: int
    status: ChannelStatus
    signal_id: UUID | None = None
    code: Code | str | None = None
    message: str | None = None


def receive(tools: Tools, channels: Sequence[SignalChannel], message: ChannelMessage) -> list[ChannelReceipt]:
    """Store the message for each of the registrations, which take its author.

    What needs a broker asked comes last, so that nobody waits for another's. Raises psycopg2.Error where
    the database does not answer; what was stored by then is found again when the message is sent again.
    """
    receipts = {channel.id: _stored(tools, channel, message, None) for channel in channels}
    waiting = [channel for channel in channels if receipts[channel.id] is None]
    for channel, found in _looked_up(tools, waiting, message):
        receipts[channel.id] = (
            found if isinstance(found, ChannelReceipt) else _stored(tools, channel, message, found)
        )
    return [receipts[channel.id] or _not_stored(channel, UNKNOWN_FAULT) for channel in channels]


def _looked_up(
    tools: Tools, channels: Sequence[SignalChannel], message: ChannelMessage
) -> Iterator[tuple[SignalChannel, Instrument | Refusal | ChannelReceipt]]:
    """Ask the channels' brokers, a few at once, what the symbol is; a receipt where there is no answer in time."""
    signal = message.reading.signal
    if signal is None or not channels:
        return
    askers = ThreadPoolExecutor(LOOK_UPS_AT_ONCE, "look up")
    asked = [
        (channel, askers.submit(channel_bots.look_up, tools, channel, signal.symbol)) for channel in channels
    ]
    wait([each for _, each in asked], LOOK_UP_SECONDS)
    askers.shutdown(wait=False, cancel_futures=True)
    for channel, each in asked:
        yield channel, _answer_of(each, channel, signal.symbol)


def _answer_of(
    asked: Future[Instrument | Refusal], channel: SignalChannel, symbol: str
) -> Instrument | Refusal | ChannelReceipt:
    if asked.cancelled() or not asked.done():
        words = f"no answer within {seconds(timedelta(seconds=LOOK_UP_SECONDS))}"
    elif (error := asked.exception()) is None:
        return asked.result()
    elif isinstance(error, BrokerError):
        words = error.message
    else:
        logger.error("channel %s: %s cannot be looked up", channel.id, symbol, exc_info=error)
        return _not_stored(channel, UNKNOWN_FAULT)
    logger.warning("channel %s: the broker does not say what %s is: %s", channel.id, symbol, words)
    return _not_stored(channel, f"The broker does not say now whether it trades {symbol}: {words}")


def _not_stored(channel: SignalChannel, words: str) -> ChannelReceipt:
    return ChannelReceipt(
        user=channel.user_id,
        channel_registration=channel.id,
        status=ChannelStatus.NOT_STORED,
        code=NOT_STORED,
        message=words,
    )


def _stored(
    tools: Tools, channel: SignalChannel, message: ChannelMessage, found: Instrument | Refusal | None
) -> ChannelReceipt | None:
    """Store the message for one registration; a fault there is its own, one of the whole database is raised."""
    try:
        return _tried(tools, channel, message, found)
    except Exception as error:
        if isinstance(error, psycopg2.Error) and error.pgcode is None:
            raise
        logger.exception("channel %s: a message cannot be stored", channel.id)
        return _not_stored(channel, UNKNOWN_FAULT)


def _tried(
    tools: Tools, channel: SignalChannel, message: ChannelMessage, found: Instrument | Refusal | None
) -> ChannelReceipt | None:
    sender = _sender(channel, message)
    for tries_left in reversed(range(MOST_TRIES)):
        try:
            with tools.database.transaction() as transaction:
                receipt = _take(transaction, channel, sender, message, found)
        except psycopg2.errors.UniqueViolation:
            if not tries_left:
                raise
            continue
        if receipt is None:
            return None
        intake.note(tools.database, sender, receipt, message.arrival.received_at)
        return _told(channel, receipt)
    return None


def _take(
    transaction: Transaction,
    channel: SignalChannel,
    sender: Sender,
    message: ChannelMessage,
    found: Instrument | Refusal | None,
) -> Receipt | None:
    """Store the message, or return None where its bot must be made and `found` does not say of what."""
    arrival, reading = message.arrival, message.reading
    before = inbox.first_of_message(transaction, sender, arrival)
    if before is not None:
        return _again(before)
    refusal = channel_rules.entry_refusal(channel, reading.signal, message.format, arrival.received_at)
    if refusal is not None:
        return intake.refuse(transaction, sender, arrival, reading.signal, refusal)
    if isinstance(reading, Unreadable):
        return intake.take(transaction, sender, arrival, reading, ())
    return _take_signal(transaction, channel, sender, arrival, reading, found)


def _take_signal(
    transaction: Transaction,
    channel: SignalChannel,
    sender: Sender,
    arrival: Arrival,
    reading: Understood,
    found: Instrument | Refusal | None,
) -> Receipt | None:
    signal = _in_channel(channel, reading)
    if isinstance(found, Instrument):
        signal = replace(signal, symbol=found.symbol)
    bots = inbox.bots_open_to(transaction, sender, signal.symbol_key)
    if not bots:
        signal = _by_its_coin(transaction, channel, signal)
        bots = inbox.bots_open_to(transaction, sender, signal.symbol_key)
    if not bots:
        refusal = (
            _without_bot(channel, signal)
            or _overtaken(transaction, channel, signal)
            or (found if isinstance(found, Refusal) else None)
        )
        if refusal is not None:
            return intake.refuse(transaction, sender, arrival, signal, refusal)
        if not isinstance(found, Instrument):
            return None
        locked = signal_channels.find(transaction, channel.id, lock=True)
        if locked is None or locked.archived_at is not None or not locked.is_active:
            return intake.refuse(transaction, sender, arrival, signal, switched_off(channel))
        channel_bots.make(transaction, locked, found)
        bots = inbox.bots_open_to(transaction, sender, signal.symbol_key)
    return intake.take(transaction, sender, arrival, replace(reading, signal=signal), bots)


def switched_off(channel: SignalChannel) -> Refusal:
    """Return what a registration says that takes no signals."""
    sentence = f"The signal channel {channel.title} is switched off in the dashboard."
    return Refusal(code=Code.NO_CHANNEL, sentence=sentence)


def _in_channel(channel: SignalChannel, reading: Understood) -> Signal:
    # Only a message that says "market" sends an order type of that name beside its price.
    market_meant = "order_type" in reading.sources and reading.signal.limit_price is None
    return channel_rules.entered(channel, reading.signal, market_meant=market_meant)


def _by_its_coin(transaction: Transaction, channel: SignalChannel, signal: Signal) -> Signal:
    """Return the signal for the channel's one bot that trades the coin: people write `close BTC`."""
    symbol = signal_channels.symbol_of_coin(transaction, channel.id, signal.symbol_key)
    return signal if symbol is None else replace(signal, symbol=symbol)


def _without_bot(channel: SignalChannel, signal: Signal) -> Refusal | None:
    if channel_rules.is_exit(signal):
        sentence = f"Nothing of {channel.title} is held in {signal.symbol}: it has no bot there."
        return Refusal(code=Code.NO_BOT, sentence=sentence)
    if signal.test:
        sentence = f"This is a test: {channel.title} would have taken it, with a new bot. Nothing was traded."
        return Refusal(code=Code.TEST_SIGNAL, sentence=sentence)
    return None


def _overtaken(transaction: Transaction, channel: SignalChannel, signal: Signal) -> Refusal | None:
    """Refuse an entry that was written before a close that came first: no bot had that one, so none knows."""
    if signal.sent_at is None:
        return None
    later = signal_channels.symbols_after(transaction, channel.id, signal.sent_at)
    if not any(signal.symbol_key.startswith(symbol_key(symbol)) for symbol in later):
        return None
    sentence = f"A newer message about {signal.symbol} came before this one."
    return Refusal(code=Code.OUT_OF_ORDER, sentence=sentence)


def _sender(channel: SignalChannel, message: ChannelMessage) -> Sender:
    return Sender(
        user_id=channel.user_id,
        source=channel.source,
        service_key_id=message.service_key_id,
        connection_id=channel.connection_id,
        signal_channel_id=channel.id,
    )


def _again(row: dict[str, Any]) -> Receipt:
    if row["number"] is not None:
        return Receipt(status=Status.DUPLICATE, signal_id=row["uuid"], copy_of=row["id"])
    code = Code(row["code"])
    status = Status.TEST if code is Code.TEST_SIGNAL else Status.REFUSED
    refusal = Refusal(code=code, sentence=row["sentence"])
    return Receipt(status=status, signal_id=row["uuid"], refusal=refusal)


def _told(channel: SignalChannel, receipt: Receipt) -> ChannelReceipt:
    refusal = receipt.refusal
    return ChannelReceipt(
        user=channel.user_id,
        channel_registration=channel.id,
        status=ChannelStatus(receipt.status.value),
        signal_id=receipt.signal_id,
        code=refusal.code if refusal else None,
        message=refusal.sentence if refusal else None,
    )
