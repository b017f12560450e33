"""Whether a bot can trade reversal signals by itself: its pair, its bars, and where it trades."""

from actions.refused import Refused
from core.bar import length
from core.instrument import Instrument
from core.pips import market_of
from database.pool import Row
from database.reversal_wants import pair_of
from reversal import feeding
from reversal.choosing import TIMEFRAMES
from reversal.sources.base import SourceRefused, SourceUnavailable
from reversal.sources.registry import setting_of, source_of
from settings import Settings

PRACTICE = "paper"


def check(settings: Settings, place: Row, instrument: Instrument, timeframe: str | None) -> None:
    """Raise `Refused`, with the field, for a bot that no signal would ever reach; `place` has `broker` and `label`."""
    pair = pair_of(instrument.symbol, instrument.asset_class, instrument.base_asset)
    if pair is None:
        raise Refused(f"{instrument.symbol} is no pair whose bars a source gives", "symbol")
    check_pair(settings, pair, timeframe)
    source = source_of(pair, settings)
    if source is not None and source.is_replay and place["broker"] != PRACTICE:
        raise Refused(
            f"{pair} is played from a recording, and that is traded at the paper broker alone, not at"
            f" {place['label']}. Choose a source of real prices in {setting_of(market_of(pair).kind)}",
            "connection",
        )


def check_pair(settings: Settings, pair: str, timeframe: str | None) -> None:
    """Raise `Refused` for a pair or timeframe that is not scanned."""
    if timeframe not in TIMEFRAMES:
        allowed = ", ".join(TIMEFRAMES)
        raise Refused(f"A bot that follows reversal signals needs one timeframe of {allowed}", "timeframe")
    setting = setting_of(market_of(pair).kind)
    source = source_of(pair, settings)
    if source is None:
        raise Refused(f"Nobody looks for reversals in {pair}: {setting} is off", "symbol")
    finest = _finest(pair, settings)
    if finest is None:
        raise Refused(f"{source.name}, the source of {setting}, has no bars of {pair}", "symbol")
    if length(finest) > length(timeframe):
        raise Refused(f"The shortest bars of {pair} that {source.name} gives are of {finest}", "timeframe")


def _finest(pair: str, settings: Settings) -> str | None:
    try:
        return feeding.finest(pair, settings)
    except (SourceRefused, SourceUnavailable) as error:
        raise Refused(f"The bars of {pair} cannot be had now: {error}", "symbol") from None
