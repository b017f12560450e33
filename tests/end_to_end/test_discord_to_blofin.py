"""The whole way: a message in a simulated Discord server becomes an order at a local BloFin, and its fill a reply.

The bot, the API, the engine and ccxt are the real ones; the local BloFin verifies every signature by a rule
of its own.
"""

import asyncio
import json
import time
from decimal import Decimal

import pytest

from bot_engine import desk_for
from database import bots
from engine.monitor import watch_risk
from tests.blofin_server.local import running_server
from tests.discord_room.room import in_room, serving
from tests.end_to_end.webhook_desk import WebhookDesk

KEYS = {"api_key": "key", "api_secret": "secret", "passphrase": "phrase"}
CARD = """🚨 **TRADING SIGNAL ALERT** 🚨
**PAIR:** `BTC/USDT`
**SIDE:** LONG
**ENTRY:** 60,000
**SL:** 58,800
**TP1:** 61,500
**TP2:** 63,000
**LEVERAGE:** 5x"""


@pytest.fixture
def blofin():
    with running_server("demo") as server:
        server.account(*KEYS.values(), balance=10_000)
        server.price("BTC-USDT", 60_000, 60_001)
        yield server


@pytest.fixture
def desk(database_url, blofin):
    desk = WebhookDesk(database_url, blofin_base_url=blofin.url)
    yield desk
    desk.close()


@pytest.fixture
def ann(desk):
    """Give a user with a demo account at BloFin."""
    ann = desk.trader()
    with desk.database.transaction() as transaction:
        ann.connection_id = bots.create_connection(
            transaction,
            user_id=ann.id,
            broker="blofin",
            mode="demo",
            label="Perpetuals",
            credentials_sealed=desk.vault.seal(json.dumps(KEYS)),
            credentials_prefix="key",
            sealed_with=desk.vault.key_id,
        )
        transaction.execute("UPDATE user_api_keys SET status = 'OK'")
    return ann


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


async def settled(room, message):
    """Let everybody work until the message has its outcome; the engine asks the exchange by real time."""
    deadline = time.monotonic() + 90
    while room.signs(message.id) in (set(), {"⏳"}):
        assert time.monotonic() < deadline, room.env.transcript()
        room.work()
        await room.told()
        await asyncio.sleep(0.2)
    await room.told()


RISK = {
    "size_mode": "risk_percent",
    "position_size": Decimal(1),
    "max_position_size": Decimal(4000),
    "leverage": 3,
    "max_leverage": 10,
    "entry_mode": "limit",
}


def test_a_card_becomes_an_order_with_stop_and_a_reply_with_the_fill(desk, ann, served, blofin):
    async def play(room):
        room.register(ann, **RISK)
        message = await room.ann.send(room.channel, CARD)
        assert room.signs(message.id) == {"⏳"}
        room.work()
        # The limit rests until the market comes to it
        [order] = blofin.orders("key")
        assert (order["orderType"], order["state"], order["side"]) == ("limit", "live", "buy")
        assert (Decimal(order["price"]), order["leverage"], order["marginMode"]) == (60_000, "5", "isolated")
        blofin.price("BTC-USDT", 59_990, 59_991)
        await settled(room, message)
        [reply] = room.replies(message.id)
        assert reply.startswith("✅ Bought BTC-USDT: filled at 6")
        assert [
            (Decimal(each["slTriggerPrice"]), Decimal(each["size"])) for each in blofin.protections("key")
        ] == [(58_800, Decimal(order["size"]))]

        # 1 % of 10,000 USDT is lost at a stop 1,200 away: 0.0833 BTC, more than 4,000 USDT allow
        [row] = desk.all("SELECT * FROM user_bot_configs")
        assert row["quantity"] == Decimal("0.0666")
        assert (row["name"], row["signal_channel_id"] is not None) == ("BTC-USDT from #signals", True)
        targets = desk.all("SELECT price, share FROM protection_targets ORDER BY number")
        assert [tuple(each.values()) for each in targets] == [(61_500, 50), (63_000, 50)]

        # Every request was signed rightly, and the second target takes the rest
        watch = desk_for(desk.settings, desk.database)
        for price, left in ((61_500, "0.0333"), (63_000, "0")):
            blofin.price("BTC-USDT", price, price + 1)
            with desk.database.session() as session:
                watch_risk(watch, session, ann.connection_id)
            deadline = time.monotonic() + 90
            while desk.value("SELECT quantity FROM user_bot_configs") != Decimal(left):
                assert time.monotonic() < deadline
                room.work()
                await asyncio.sleep(0.2)
        [row] = desk.all("SELECT * FROM user_bot_configs")
        assert (row["quantity"], row["total_trades"]) == (0, 1)
        assert row["total_pnl"] > 100
        assert blofin.books("key")["positions"] == []

    in_room(desk, served, play)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("LONG BTC-USDT Entry: 60000 SL: 58000 TP: 65000 20x", "takes up to 10x"),
        ("LONG BTC-USDT Entry: 60000 TP: 65000", "stop"),
        ("LONG BTC-USDT Entry: 60000 SL: 54000 TP: 65000 10x", "liquidated"),
        ("LONG QQQQ-USDT Entry: 60000 SL: 58000 TP: 65000", "QQQQ"),
        ("SHORT BTC-USDT Entry: 60000 SL: 58000 TP: 55000", "stop"),
    ],
)
def test_a_refusal_is_told_with_its_reason_and_nothing_is_sent(desk, ann, served, blofin, text, words):
    async def play(room):
        room.register(ann, **RISK)
        message = await room.ann.send(room.channel, text)
        await settled(room, message)
        [reply] = room.replies(message.id)
        assert reply.startswith("❌ ")
        assert words in reply
        assert room.signs(message.id) == {"❌"}
        assert blofin.orders("key") == []

    in_room(desk, served, play)


def test_an_insufficient_margin_at_the_exchange_is_a_refusal_with_its_words(desk, ann, served, blofin):
    async def play(room):
        room.register(ann, **RISK, entry_valid_minutes=60)
        blofin.operation_error("103003")
        message = await room.ann.send(room.channel, "LONG BTC-USDT 60000/58800/65000")
        await settled(room, message)
        [reply] = room.replies(message.id)
        assert reply.startswith("❌ ")
        assert "margin" in reply.lower()
        assert blofin.orders("key") == []

    in_room(desk, served, play)


def test_a_close_in_the_channel_closes_at_the_exchange(desk, ann, served, blofin):
    async def play(room):
        room.register(ann, **RISK | {"entry_mode": "market"})
        opened = await room.ann.send(room.channel, "LONG BTC-USDT 60000/58800/65000")
        await settled(room, opened)
        closed = await room.ann.send(room.channel, "close BTC")
        await settled(room, closed)
        [reply] = room.replies(closed.id)
        assert "BTC-USDT" in reply
        assert blofin.books("key")["positions"] == []
        assert [each["state"] for each in blofin.protections("key")] == ["canceled"]

    in_room(desk, served, play)
