"""Exchange prefixes: the same letters elsewhere are another thing."""

import pytest

from core.exchanges import CRYPTO_EXCHANGES, US_STOCK_EXCHANGES, objection
from core.instrument import AssetClass

STOCK, CRYPTO = AssetClass.STOCK, AssetClass.CRYPTO


@pytest.mark.parametrize("exchange", [None, *sorted(US_STOCK_EXCHANGES)])
def test_american_exchanges_name_american_shares(exchange):
    assert objection("AAPL", exchange, STOCK, "alpaca") is None


@pytest.mark.parametrize("exchange", [None, *sorted(CRYPTO_EXCHANGES)])
def test_any_crypto_exchange_names_the_coin(exchange):
    assert objection("BTC/USD", exchange, CRYPTO, "alpaca") is None


@pytest.mark.parametrize(
    ("exchange", "asset_class", "kind"),
    [
        ("XETR", STOCK, "another market"),
        ("LSE", STOCK, "another market"),
        ("TSX", STOCK, "another market"),
        ("BINANCE", STOCK, "a crypto exchange"),
        ("NASDAQ", CRYPTO, "an American stock exchange"),
        ("OANDA", CRYPTO, "another market"),
        ("NOSUCH", CRYPTO, "another market"),
    ],
)
def test_other_exchanges_are_refused_with_the_reason(exchange, asset_class, kind):
    sentence = objection("AMD", exchange, asset_class, "alpaca")
    assert sentence.startswith(f"{exchange}:AMD is not what this bot trades: alpaca trades AMD as ")
    assert f"{exchange} is {kind}." in sentence


def test_no_exchange_is_both():
    assert not US_STOCK_EXCHANGES & CRYPTO_EXCHANGES
