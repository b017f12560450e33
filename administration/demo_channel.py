"""The demo's signal channel: messages of an analyst, taken by the real parser and the real inbox."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import channel_intake
import intake
from actions import channel_bots, signal_channels
from administration.console import ACTOR, Console, acting_for
from administration.demo_history import Event, Past, hold_lane
from brokers.simulated_market import SimulatedMarket
from channel_intake import ChannelMessage, ChannelReceipt, ChannelStatus
from core.bot import SizeMode
from core.wording import number
from database import channel_messages, demo, discord_accounts, tokens
from database import signal_channels as registrations
from database.channel_messages import MessageState, SeenMessage
from database.inbox import Arrival
from database.pool import Transaction
from database.signal_channels import EntryMode, SignalChannel
from signals import discord_text
from signals.discord_reading import NoSignal, TextSignal
from signals.service import read_service_fields

NAME = "crypto-calls"
# Numbers of Discord's from before its first account, so that they are nobody's.
ROOM, ANALYST, OWNER = 100_000_000_000_001, 100_000_000_000_002, 100_000_000_000_003
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
LATE = "The message is 187 s old; this channel takes entries up to 120 s old."


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A message: when, so long before the end, about which symbol, and how it is written of the price then."""

    before: timedelta
    symbol: str
    write: Callable[[Decimal], str]
    late: bool = False


def _at(price: Decimal, percent: str) -> str:
    """Write a price so many percent away, to four digits or whole numbers."""
    moved = price * (100 + Decimal(percent)) / 100
    return number(round(moved, 2 if moved < 1000 else 0))


def _card(price: Decimal) -> str:
    return (
        f"🚨 **SIGNAL ALERT** 🚨\nPAIR: BTC/USDT\nSIDE: LONG 📈\nENTRY: {_at(price, '0')}\nSL: {_at(price, '-2')}\n"
        f"TP1: {_at(price, '1')}\nTP2: {_at(price, '2')}\nTP3: {_at(price, '4')}"
    )


CALLS = (
    Call(before=timedelta(days=5, hours=3), symbol="BTC/USDT", write=_card),
    Call(before=timedelta(days=4, hours=9), symbol="ETH/USDT",
         write=lambda price: f"LONG ETH-USDT Entry: {_at(price, '0')} TP: {_at(price, '3')}"),
    Call(before=timedelta(days=4, hours=8, minutes=58), symbol="ETH/USDT",
         write=lambda price: f"LONG ETH-USDT Entry: {_at(price, '0')} SL: {_at(price, '-2')} TP: {_at(price, '3')}"),
    Call(before=timedelta(days=3, hours=5), symbol="SOL/USDT",
         write=lambda price: f"📈 SOL-USDT 💰 {_at(price, '0')} 🛑 {_at(price, '2')} 🎯 {_at(price, '5')}"),
    Call(before=timedelta(days=2, hours=7), symbol="SOL/USDT",
         write=lambda price: f"📈 SOL-USDT 💰 {_at(price, '0')} 🛑 {_at(price, '-3')} 🎯 {_at(price, '5')}"),
    Call(before=timedelta(days=1, hours=6), symbol="ETH/USDT", write=lambda _price: "close ETH"),
    Call(before=timedelta(hours=9), symbol="ETH/USDT", late=True,
         write=lambda price: f"LONG ETHUSDT {_at(price, '0')}/{_at(price, '-2')}/{_at(price, '3')}"),
    Call(before=timedelta(hours=2), symbol="BTC/USDT",
         write=lambda price: f"LONG BTC {_at(price, '0')}/{_at(price, '-3')}/{_at(price, '3')}/{_at(price, '5')} 5x"),
)  # fmt: skip


def register(console: Console, past: Past, stack: ExitStack, start: datetime, now: datetime) -> SignalChannel:
    """Register the demo's channel with its bots, and link the demo's user to a Discord account of nobody."""
    number_of = signal_channels.create(
        console, acting_for(past.user_id), connection_id=past.connection_id, channel_id=ROOM, name=NAME,
        author_ids=[ANALYST], entry_mode=EntryMode.MARKET, max_price_deviation_percent=Decimal(2),
        size_mode=SizeMode.RISK_PERCENT, position_size=Decimal("0.1"), max_position_size=Decimal(5000),
        target_shares=[Decimal(50), Decimal(30), Decimal(20)], break_even_after=1,
    )  # fmt: skip
    with console.transaction() as transaction:
        discord_accounts.link(transaction, past.user_id, OWNER, "demo", now, actor=ACTOR)
        channel = registrations.find(transaction, number_of, lock=True)
        if channel is None:
            raise LookupError(f"registration {number_of} is gone")
        for symbol in SYMBOLS:
            channel_bots.make(transaction, channel, past.paper.instrument(symbol))
        demo.begin(transaction, past.user_id, past.connection_id, start)
        lane_ids = demo.lanes_of_channel(transaction, number_of)
    for lane_id in lane_ids:
        hold_lane(past, stack, lane_id)
    return channel


def retire(console: Console, channel: SignalChannel) -> None:
    """Switch the channel off where a real bot runs, which would miss a channel that is nowhere."""
    if console.settings.discord_bot_token is not None:
        signal_channels.switch(console, acting_for(channel.user_id), channel.id, active=False)


def events(console: Console, past: Past, channel: SignalChannel, end: datetime) -> Iterator[Event]:
    """Give the messages as events of the past; none where no service may send signals."""
    with console.transaction() as transaction:
        key = next((each for each in tokens.service_keys(transaction) if each.allowed_users is None), None)
    market = SimulatedMarket()
    for call in CALLS if key is not None else ():
        at = end - call.before
        text = call.write(market.quote(call.symbol, at).middle)
        message = SeenMessage(
            message_id=channel_messages.message_id_at(at), author_id=ANALYST, author="ana.lyst", text=text,
            posted_at=at,
        )  # fmt: skip
        happen = partial(_come, console, past, channel, message, key.id if key else 0, late=call.late)
        yield Event(at=at, happen=partial(past.live, at, happen), is_alert=True)


def _come(
    console: Console, past: Past, channel: SignalChannel, message: SeenMessage, key_id: int, *, late: bool
) -> None:
    """Do what the bot and the webhook server do with a message."""
    reading, now = discord_text.read(message.text), past.clock()
    with past.session.transaction() as transaction:
        if isinstance(reading, NoSignal):
            return
        if late or not isinstance(reading, TextSignal):
            state = MessageState.LATE if late else MessageState.REFUSED
            words = LATE if isinstance(reading, TextSignal) else reading.sentence
            channel_messages.note_not_sent(transaction, [channel.id], message, state, words, now)
            demo.note_told(transaction, channel.id)
            return
        channel_messages.note_sending(transaction, [channel.id], message, now)
    body = json.dumps({**discord_text.fields_of(reading), "posted_at": now.isoformat()}).encode()
    sent = ChannelMessage(
        arrival=Arrival(body=body, received_at=now, message_id=str(message.message_id)),
        reading=intake.read(body, "application/json", beside=read_service_fields(body)),
        format=reading.format,
        service_key_id=key_id,
    )
    (receipt,) = channel_intake.receive(console, [channel], sent)
    with past.session.transaction() as transaction:
        _note(transaction, channel, message, receipt)


def _note(
    transaction: Transaction, channel: SignalChannel, message: SeenMessage, receipt: ChannelReceipt
) -> None:
    taken = receipt.status in (ChannelStatus.ACCEPTED, ChannelStatus.DUPLICATE)
    state = MessageState.STORED if taken else MessageState.REFUSED
    words = None if taken else receipt.message
    channel_messages.note_answer(transaction, channel.id, message.message_id, state, words, receipt.signal_id)
    demo.note_told(transaction, channel.id)
