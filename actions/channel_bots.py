"""Make a channel's bot for a symbol, at its first signal: what it is at the broker, its name and settings."""

from actions.acting import Tools
from actions.bots import LONGEST_NAME
from brokers.base import Broker
from core.errors import Rejected
from core.instrument import AssetClass, Instrument, symbol_key
from core.plan import Code, Refusal
from database import audit, bots, connections, signal_channels
from database.pool import Transaction
from database.signal_channels import USUAL_QUOTE, SignalChannel

ACTOR = "signal channel"


def look_up(tools: Tools, channel: SignalChannel, symbol: str) -> Instrument | Refusal:
    """Return what the channel's broker says of a symbol, or why it cannot be traded there.

    Raises BrokerError where the broker does not answer.
    """
    with tools.database.transaction() as transaction:
        place = connections.shown_connection(transaction, channel.user_id, channel.connection_id)
    if place is None:
        sentence = f"The connection that {channel.title} trades at was removed."
        return Refusal(code=Code.NO_CREDENTIALS, sentence=sentence)
    try:
        broker = tools.registry.broker(channel.connection_id)
    except Rejected as error:
        return Refusal(code=Code.NO_CREDENTIALS, sentence=f"{place['label']}: {error.message}")
    return _instrument(broker, place["label"], symbol)


def make(transaction: Transaction, channel: SignalChannel, instrument: Instrument) -> int:
    """Make the bot of a registration that is locked; its id.

    Raises psycopg2's UniqueViolation where somebody took its name in this moment.
    """
    columns = channel.for_bots
    bot_id = bots.create_bot(
        transaction,
        user_id=channel.user_id,
        connection_id=channel.connection_id,
        instrument=instrument,
        timeframe=None,
        source=channel.source,
        name=_free_name(transaction, channel, instrument.symbol),
        signal_channel_id=channel.id,
        **columns,
    )
    audit.record(
        transaction, actor=ACTOR, action="bot add", subject=f"bot {bot_id}", user_id=channel.user_id,
        after={"symbol": instrument.symbol, "channel": channel.id, "size": channel.position_size},
    )  # fmt: skip
    return bot_id


def _instrument(broker: Broker, label: str, symbol: str) -> Instrument | Refusal:
    refused = ""
    for spelling in _spellings(broker, symbol):
        try:
            found = broker.instrument(spelling)
        except Rejected as error:
            refused = refused or f"{label} does not trade {spelling}: {error.message}"
            continue
        if found.tradable:
            return found
        refused = refused or f"{found.symbol} cannot be traded at {label} at present"
    return Refusal(code=Code.SYMBOL_NOT_TRADEABLE, sentence=refused)


def _spellings(broker: Broker, symbol: str) -> tuple[str, ...]:
    # Where shares are traded too, a coin's three letters may be somebody's share.
    only_coins = broker.capabilities.asset_classes == (AssetClass.CRYPTO,)
    return (symbol, symbol_key(symbol) + USUAL_QUOTE) if only_coins else (symbol,)


def _free_name(transaction: Transaction, channel: SignalChannel, symbol: str) -> str:
    taken = signal_channels.names_of_bots(transaction, channel.user_id)
    whole = f"{symbol} from {channel.title}"
    names = [whole[:LONGEST_NAME], *(f"{whole[: LONGEST_NAME - 6]} {number}" for number in range(2, 10_000))]
    return next(name for name in names if name.lower() not in taken)
