"""Make the figures a model reads from closed bars: one function for training rows and live rows.

A row is a function of the `NEEDED` bars up to its decision and of nothing else, so bars that come later, and
bars from before, change nothing: averages that usually reach back for ever (ATR, RSI, the exponential ones of
MACD) are taken over finite windows. Distances are in ATR, so that a yen pair and a share read alike; no figure
depends on the size of a pip. Rows of one history and of a longer one agree to 1e-9: summing rounds differently.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from core.bar import Bar

Floats = NDArray[np.float64]
# Takes the newest values of a per-bar series: (series, how many) -> windows in the last axis
Last = Callable[[str, int], Floats]

NEEDED = 120
ATR_BARS = 14
SWING = 10
AT_ONCE = 8192
RETURNS = (1, 2, 3, 6, 12, 24, 48)
RANGES = (20, 55)
# Of a bar's seconds; Monday 1970-01-05 is four days after the beginning of the count
DAY, WEEK, MONDAY = 86_400.0, 604_800.0, 345_600.0
# Hours of UTC at which the two cities trade; a figure to learn from, no calendar
LONDON, NEW_YORK = (7.0, 16.0), (12.0, 21.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Bars as arrays whose last axis is time: seconds since 1970 (UTC), prices, volume (NaN where none is real)."""

    opened: Floats
    closed: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @property
    def count(self) -> int:
        """Return how many bars there are."""
        return int(self.close.shape[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """One row for each bar from the `NEEDED`th on: `values` (…, rows, features), `atr` in price (…, rows).

    `usable` is false where a figure is not finite, as in a market that stood still: nothing is filled in.
    """

    values: Floats
    atr: Floats
    usable: NDArray[np.bool_]

    def of(self, name: str) -> Floats:
        """Return one feature by name."""
        return self.values[..., NAMES.index(name)]


def prices_of(bars: Sequence[Bar]) -> Prices:
    """Return bars as arrays, oldest first."""
    table = np.array(
        [
            (
                bar.opened_at.timestamp(),
                bar.closed_at.timestamp(),
                float(bar.open),
                float(bar.high),
                float(bar.low),
                float(bar.close),
                np.nan if bar.volume is None else float(bar.volume),
            )
            for bar in bars
        ],
        dtype=np.float64,
    ).reshape(-1, 7)
    return _prices(table.T)


def stacked(histories: Sequence[Sequence[Bar]]) -> Prices:
    """Return the newest `NEEDED` bars of several histories as one batch of shape (histories, NEEDED)."""
    each = [prices_of(bars[-NEEDED:]) for bars in histories]
    names = ("opened", "closed", "open", "high", "low", "close", "volume")
    return Prices(**{name: np.stack([getattr(one, name) for one in each]) for name in names})


def rows(prices: Prices) -> Rows:
    """Return the rows of every bar that has `NEEDED` bars up to it, none where there are fewer."""
    if prices.count < NEEDED:
        shape = prices.close.shape[:-1]
        none = np.empty((*shape, 0, len(NAMES)))
        return Rows(values=none, atr=none[..., 0], usable=none[..., 0].astype(bool))
    series = _series(prices)
    parts = [_part(series, start, stop) for start, stop in _parts(prices.count)]
    values, atr = (
        np.concatenate(each, axis=-axis) for each, axis in zip(zip(*parts, strict=True), (2, 1), strict=True)
    )
    return Rows(values=values, atr=atr, usable=np.isfinite(values).all(axis=-1) & (atr > 0))


def _prices(columns: Floats) -> Prices:
    opened, closed, first, high, low, close, volume = columns
    return Prices(opened=opened, closed=closed, open=first, high=high, low=low, close=close, volume=volume)


def _parts(count: int) -> Iterator[tuple[int, int]]:
    """Give the bounds of the bars that are worked on at once, so that memory does not grow with history."""
    for first in range(NEEDED - 1, count, AT_ONCE):
        yield first - NEEDED + 1, min(first + AT_ONCE, count)


def _series(prices: Prices) -> dict[str, Floats]:
    """Return what is known of each bar from itself and the one before; of the first bar that is nothing."""
    before = np.concatenate([np.full_like(prices.close[..., :1], np.nan), prices.close[..., :-1]], axis=-1)
    change = prices.close - before
    return {
        "open": prices.open,
        "high": prices.high,
        "low": prices.low,
        "close": prices.close,
        "closed": prices.closed,
        "lasts": prices.closed - prices.opened,
        "volume": prices.volume,
        "before": before,
        "true_range": np.maximum(prices.high, before) - np.minimum(prices.low, before),
        "gain": np.maximum(change, 0.0),
        "loss": np.maximum(-change, 0.0),
    }


def _part(series: dict[str, Floats], start: int, stop: int) -> tuple[Floats, Floats]:
    def last(name: str, count: int) -> Floats:
        return sliding_window_view(series[name][..., start:stop], NEEDED, axis=-1)[..., NEEDED - count :]

    atr = last("true_range", ATR_BARS).mean(axis=-1)
    # Where nothing moved there is no unit to measure in: the row becomes NaN, and is not used
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {name: value for group in GROUPS for name, value in group(last, atr).items()}
    return np.stack([found[name] for name in NAMES], axis=-1), atr


def _now(last: Last, name: str) -> Floats:
    return last(name, 1)[..., 0]


def _ago(last: Last, bars: int) -> Floats:
    return last("close", bars + 1)[..., 0]


def _returns(last: Last, atr: Floats) -> dict[str, Floats]:
    close = _now(last, "close")
    return {f"return_{bars}": (close - _ago(last, bars)) / (atr * bars**0.5) for bars in RETURNS}


def _ranges(last: Last, atr: Floats) -> dict[str, Floats]:
    found = {"volatility": atr / last("true_range", NEEDED - 1).mean(axis=-1)}
    close = _now(last, "close")
    for bars in RANGES:
        highs, lows = last("high", bars), last("low", bars)
        high, low = highs.max(axis=-1), lows.min(axis=-1)
        found[f"range_position_{bars}"] = (close - low) / (high - low)
        found[f"below_high_{bars}"] = (high - close) / atr
        found[f"above_low_{bars}"] = (close - low) / atr
        found[f"since_high_{bars}"] = 1.0 - highs.argmax(axis=-1) / (bars - 1)
        found[f"since_low_{bars}"] = 1.0 - lows.argmin(axis=-1) / (bars - 1)
    return found


def _oscillators(last: Last, atr: Floats) -> dict[str, Floats]:
    gains, losses = last("gain", 14 + 5), last("loss", 14 + 5)
    rsi, earlier = _rsi(gains[..., 5:], losses[..., 5:]), _rsi(gains[..., :-5], losses[..., :-5])
    closes = last("close", 20)
    middle, spread = closes.mean(axis=-1), closes.std(axis=-1)
    return {
        "rsi_14": rsi,
        "rsi_change_5": rsi - earlier,
        "macd": last("close", len(MACD)) @ MACD / atr,
        "macd_histogram": last("close", len(HISTOGRAM)) @ HISTOGRAM / atr,
        "bollinger_position": (closes[..., -1] - middle) / (2 * spread),
        "bollinger_width": spread / atr,
        "above_mean_50": (closes[..., -1] - last("close", 50).mean(axis=-1)) / atr,
        "above_mean_100": (closes[..., -1] - last("close", 100).mean(axis=-1)) / atr,
    }


def _candles(last: Last, atr: Floats) -> dict[str, Floats]:
    first, high, low, close = (_now(last, name) for name in ("open", "high", "low", "close"))
    return {
        "body": (close - first) / atr,
        "upper_wick": (high - np.maximum(first, close)) / atr,
        "lower_wick": (np.minimum(first, close) - low) / atr,
        "bar_range": (high - low) / atr,
        "gap": (first - _now(last, "before")) / atr,
        "body_before": (last("close", 2)[..., 0] - last("open", 2)[..., 0]) / atr,
    }


def _volume(last: Last, _: Floats) -> dict[str, Floats]:
    volumes = last("volume", 20)
    is_real = (volumes > 0).all(axis=-1)
    ratio = np.asarray(np.log(volumes[..., -1] / volumes.mean(axis=-1)), dtype=np.float64)
    return {"volume": np.where(is_real, ratio, 0.0), "volume_is_real": np.asarray(is_real, dtype=np.float64)}


def _calendar(last: Last, _: Floats) -> dict[str, Floats]:
    closed = _now(last, "closed")
    is_intraday = (_now(last, "lasts") < DAY).astype(np.float64)
    hour, weekday = closed % DAY / 3600, (closed - MONDAY) % WEEK / WEEK
    return {
        "hour_sine": np.sin(hour * np.pi / 12) * is_intraday,
        "hour_cosine": np.cos(hour * np.pi / 12) * is_intraday,
        "london": _between(hour, LONDON) * is_intraday,
        "new_york": _between(hour, NEW_YORK) * is_intraday,
        "weekday_sine": np.sin(weekday * 2 * np.pi),
        "weekday_cosine": np.cos(weekday * 2 * np.pi),
        "is_intraday": is_intraday,
    }


def _between(hour: Floats, hours: tuple[float, float]) -> Floats:
    return ((hour >= hours[0]) & (hour < hours[1])).astype(np.float64)


def _rsi(gains: Floats, losses: Floats) -> Floats:
    gain, loss = gains.sum(axis=-1), losses.sum(axis=-1)
    return np.asarray(100 * gain / (gain + loss), dtype=np.float64)


def _average(span: int, length: int) -> Floats:
    """Return the weights of an exponential average over a finite window, the newest last; their sum is 1."""
    weights = (1 - 2 / (span + 1)) ** np.arange(length, dtype=np.float64)[::-1]
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _macd() -> tuple[Floats, Floats]:
    line = _average(12, 78) - _average(26, 78)
    signal = np.convolve(line, _average(9, 27))
    histogram = -signal
    histogram[-len(line) :] += line
    return line, histogram


MACD, HISTOGRAM = _macd()
GROUPS = (_returns, _ranges, _oscillators, _candles, _volume, _calendar)


def _names() -> tuple[str, ...]:
    def last(_: str, count: int) -> Floats:
        return np.ones((1, count))

    with np.errstate(divide="ignore", invalid="ignore"):
        return tuple(name for group in GROUPS for name in group(last, np.ones(1)))


NAMES = _names()
