"""Choose the one bot that a signal is for."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.exchanges import objection
from core.instrument import AssetClass
from core.plan import Code, Refusal
from core.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What choosing must know of a bot. `timeframe` None takes signals of any timeframe.

    `connection` is the connection's label.
    """

    id: int
    name: str
    symbol: str
    symbol_key: str
    timeframe: str | None
    lane_id: int
    asset_class: AssetClass
    connection: str
    broker: str


def choose(signal: Signal, candidates: Sequence[Candidate]) -> Candidate | Refusal:
    """Return the bot that a signal is for, or why there is none.

    `candidates` are the user's bots that are not archived, of the signal's source, and of the token's
    connection where it has one. A disabled bot is chosen too: its exits pass.
    By symbol and timeframe; a bot made for that timeframe comes before one that takes any. Without a
    timeframe: the only bot on that symbol. A `bot` in the signal, name or id, narrows the choice.
    """
    left = [bot for bot in candidates if bot.symbol_key == signal.symbol_key and _is_meant(signal.bot, bot)]
    if signal.timeframe is not None:
        made_for_it = [bot for bot in left if bot.timeframe == signal.timeframe]
        left = made_for_it or [bot for bot in left if bot.timeframe is None]
    if len(left) != 1:
        return _ambiguous(signal, left) if left else _none(signal)
    return _at_its_exchange(signal, left[0])


def looked_for(signal: Signal) -> str:
    """Return what a signal's bot is looked up by, in words: `AAPL 15 Min`."""
    parts = [signal.symbol, signal.timeframe, f"and the name or id {signal.bot}" if signal.bot else None]
    return " ".join(part for part in parts if part)


def _is_meant(named: str | None, bot: Candidate) -> bool:
    return named is None or named.casefold() == bot.name.casefold() or named == str(bot.id)


def _none(signal: Signal) -> Refusal:
    return Refusal(code=Code.NO_BOT, sentence=f"No bot configuration found for {looked_for(signal)}.")


def _ambiguous(signal: Signal, bots: Sequence[Candidate]) -> Refusal:
    names = ", ".join(f"{bot.name} ({bot.timeframe or 'any timeframe'}, {bot.connection})" for bot in bots)
    missing = "a bot's name or id as “bot”"
    if signal.timeframe is None:
        missing = f"a timeframe, or {missing}"
    return Refusal(
        code=Code.AMBIGUOUS_BOT,
        sentence=f"{len(bots)} bots would take {looked_for(signal)}: {names}. Send {missing}.",
    )


def _at_its_exchange(signal: Signal, bot: Candidate) -> Candidate | Refusal:
    sentence = objection(bot.symbol, signal.exchange, bot.asset_class, bot.broker)
    return bot if sentence is None else Refusal(code=Code.SYMBOL_NOT_TRADEABLE, sentence=sentence)
