"""Which source serves a pair, what a setting may be, and what loading it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import settings as settings_module
from core.one_module import one_module
from reversal.sources.alpaca_bars import AlpacaBars
from reversal.sources.alpha_vantage import AlphaVantage
from reversal.sources.base import Allowance, SourceRefused, origin_of
from reversal.sources.ccxt_bars import CcxtBars
from reversal.sources.csv_folder import CsvFolder
from reversal.sources.registry import missing_keys, source_of
from reversal.sources.replay import ReplaySource
from settings import Settings, SettingsError

ROOT = Path(__file__).parents[2]


def settings(**values: str) -> Settings:
    return settings_module.load({"DATABASE_URL": "postgresql://nobody@127.0.0.1/none", **values})


def test_a_recording_is_played_unless_something_else_is_chosen() -> None:
    source = source_of("EUR/USD", settings())
    assert isinstance(source, ReplaySource)
    assert origin_of(source).is_replay
    assert origin_of(source).name == "replay"
    assert isinstance(source_of("sp500", settings()), ReplaySource)
    assert source_of("BTC/USD", settings()) is None


@pytest.mark.parametrize(
    ("pair", "setting", "value", "kind"),
    [
        ("EUR/USD", "REVERSAL_FOREX_SOURCE", "alpha_vantage", AlphaVantage),
        ("EUR/USD", "REVERSAL_FOREX_SOURCE", "csv", CsvFolder),
        ("BTC/USD", "REVERSAL_CRYPTO_SOURCE", "alpaca", AlpacaBars),
        ("BTC/USD", "REVERSAL_CRYPTO_SOURCE", "kraken", CcxtBars),
        ("AAPL", "REVERSAL_STOCK_SOURCE", "alpaca", AlpacaBars),
    ],
)
def test_the_setting_of_its_kind_chooses_a_pairs_source(
    pair: str, setting: str, value: str, kind: type
) -> None:
    chosen = settings(**{setting: value})
    source = source_of(pair, chosen)
    assert isinstance(source, kind)
    assert not origin_of(source).is_replay
    assert origin_of(source).name == value
    assert source_of(pair, chosen) is source
    assert source_of(pair, settings(**{setting: "off"})) is None


def test_keys_that_a_chosen_source_lacks_are_named() -> None:
    assert missing_keys(settings()) == []
    chosen = {"REVERSAL_FOREX_SOURCE": "alpha_vantage", "REVERSAL_STOCK_SOURCE": "alpaca"}
    assert missing_keys(settings(**chosen, ALPACA_DATA_KEY_ID="PK1")) == [
        "REVERSAL_FOREX_SOURCE is alpha_vantage, and ALPHA_VANTAGE_API_KEY is missing",
        "REVERSAL_STOCK_SOURCE is alpaca, and ALPACA_DATA_SECRET_KEY is missing",
    ]
    keys = {"ALPHA_VANTAGE_API_KEY": "k", "ALPACA_DATA_KEY_ID": "PK1", "ALPACA_DATA_SECRET_KEY": "s"}
    assert missing_keys(settings(**chosen, **keys)) == []


def test_what_is_no_pair_is_an_error() -> None:
    with pytest.raises(ValueError, match="is no pair"):
        source_of("EUR USD", settings())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REVERSAL_FOREX_SOURCE", "kraken"),
        ("REVERSAL_FOREX_SOURCE", "alpaca"),
        ("REVERSAL_STOCK_SOURCE", "alpha_vantage"),
        ("REVERSAL_CRYPTO_SOURCE", "replay"),
        ("REVERSAL_CRYPTO_SOURCE", "krakn"),
        ("REVERSAL_CRYPTO_SOURCE", "base"),
        ("REVERSAL_CRYPTO_SOURCE", "../kraken"),
        ("REVERSAL_CRYPTO_SOURCE", "Kraken"),
        ("REVERSAL_CSV_TIMEZONE", "Mars/Olympus"),
        ("REVERSAL_CSV_TIMEZONE", "../etc/passwd"),
        ("ALPHA_VANTAGE_SHORTEST_TIMEFRAME", "4 Hour"),
        ("ALPHA_VANTAGE_CALLS_PER_DAY", "-1"),
        ("ALPACA_DATA_FEED", "otc"),
    ],
)
def test_a_source_that_there_is_not_is_refused_at_the_start(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        settings(**{name: value})
    assert "allowed: " in str(refused.value)


def test_alpha_vantages_plan_is_a_setting() -> None:
    def plan(**values: str) -> AlphaVantage:
        source = source_of("EUR/USD", settings(REVERSAL_FOREX_SOURCE="alpha_vantage", **values))
        assert isinstance(source, AlphaVantage)
        return source

    second, minute = Allowance(calls=1, seconds=1), Allowance(calls=5, seconds=60)
    assert plan().allowances == (second, minute, Allowance(calls=25, seconds=86_400))
    assert plan().timeframes("EUR/USD") == ["1 Day"]
    paid = plan(
        ALPHA_VANTAGE_CALLS_PER_MINUTE="75",
        ALPHA_VANTAGE_CALLS_PER_DAY="0",
        ALPHA_VANTAGE_SHORTEST_TIMEFRAME="30 Min",
    )
    assert paid.allowances == (second, Allowance(calls=75, seconds=60))
    assert paid.timeframes("EUR/USD") == ["30 Min", "1 Hour", "1 Day"]


def test_an_exchange_that_ccxt_lacks_is_refused() -> None:
    with pytest.raises(SourceRefused, match="has no exchange nowhere"):
        CcxtBars("nowhere").timeframes("BTC/USD")


def test_one_module_of_a_package_is_loaded_without_the_package() -> None:
    known = set(sys.modules)
    assert one_module("ccxt", "kraken").kraken().id == "kraken"
    assert "ccxt.binanceus" not in set(sys.modules) - known
    with pytest.raises(ModuleNotFoundError):
        one_module("ccxt", "nowhere")
    with pytest.raises(ModuleNotFoundError, match="not installed"):
        one_module("no_such_package", "module")


def test_feeding_loads_neither_what_trains_nor_any_broker() -> None:
    """Long-lived processes import it each: nothing heavy may come along."""
    script = (
        "import sys, reversal.feeding\n"
        "from reversal.sources.ccxt_bars import CcxtBars\n"
        "CcxtBars('kraken').timeframes('BTC/USD')\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
        "print(len([name for name in sys.modules if name.startswith('ccxt.') and name.count('.') == 1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    rooms, exchanges = done.stdout.splitlines()
    heavy = {
        "pandas",
        "numpy",
        "sklearn",
        "alpaca_trade_api",
        "streamlit",
        "aiohttp",
        "brokers",
        "gym_anytrading",
        "arch",
    }
    assert not heavy & set(rooms.split())
    assert int(exchanges) < 10


def test_the_watch_loads_nothing_that_asks_over_http_until_a_source_does() -> None:
    script = (
        "import sys, settings, reversal_watch\n"
        "from reversal import feeding\n"
        "chosen = settings.load({'DATABASE_URL': 'postgresql://nobody@127.0.0.1/none'})\n"
        "print(len(feeding.offered(chosen)), 'requests' in sys.modules)\n"
        "feeding.finest('AAPL', chosen.model_copy(update={'reversal_stock_source': 'alpaca'}))\n"
        "print('requests' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    offered, at_first, at_last = done.stdout.split()
    assert (int(offered) > 3, at_first, at_last) == (True, "False", "True")
