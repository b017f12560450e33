"""What is told of trades where others read it too."""

from decimal import Decimal

import pytest

from database.trade_updates import UpdateKind
from discord_bot import trade_words

KINDS = (
    (UpdateKind.OPENED, "📝 Opened · trade #7 EUR/USD"),
    (UpdateKind.CANCELLED, "🚫 Cancelled · trade #7 EUR/USD"),
    (UpdateKind.RUNNING, "📊 Still running +12 pips · trade #7 EUR/USD"),
    (UpdateKind.STOP, "❌ Stop Loss Hit! +12 pips · trade #7 EUR/USD"),
)


@pytest.mark.parametrize(("kind", "said"), KINDS)
def test_where_others_read_it_no_amount_and_no_reason_is_told(kind, said):
    row = {
        "id": 1, "update_type": kind, "message": "(+$108) the broker says @everyone", "current_pips": Decimal(12),
        "trade_id": 7, "pair": "EUR/USD",
    }  # fmt: skip
    assert trade_words.updates([row], in_private=False) == said
