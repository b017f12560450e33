"""Gather the evidence of a run: from the database, from the brokers' own books, from the services."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from brokers.base import BrokerName
from core.instrument import symbol_key
from tests.chaos.cast import START_MONEY
from tests.chaos.cover import KEEPS_FROM_LOOKING, RECOVERY_SECONDS, Cover
from tests.chaos.evidence import Delivery, Evidence, Holding, KnownOrder, Money, Row
from tests.chaos.machine import overloaded
from tests.chaos.senders import Alerts, Posts
from tests.chaos.stage import Stage
from tests.chaos.troubles import Struck
from tests.chaos.written import written
from tests.secret_search import Leak, leaks, texts_of

Times = tuple[float, float]
ZERO = Decimal(0)
ALPACA_STATES = {"filled": "FILLED", "canceled": "CANCELED", "expired": "EXPIRED", "rejected": "REJECTED"}
BLOFIN_STATES = {"filled": "FILLED", "canceled": "CANCELED", "partially_canceled": "CANCELED"}
SIGNALS = """
    SELECT uuid::text, state, code, sentence, number, finished_at IS NOT NULL AS is_finished, source,
           convert_from(body, 'UTF8') AS body, signal_channel_id, sender_id, stored_at FROM signals ORDER BY id
"""
PLANS = """
    SELECT signal_id, risk_event_id, count(*) AS count FROM plans GROUP BY 1, 2
"""
UNDER_WAY = """
    SELECT 'signal' AS what, id, state, code AS more FROM signals WHERE finished_at IS NULL
    UNION ALL SELECT 'plan', id, code, sentence FROM plans WHERE finished_at IS NULL
    UNION ALL SELECT 'order', id, state, broker_message FROM orders WHERE finished_at IS NULL
    UNION ALL SELECT 'event', id, state, kind FROM bot_risk_events WHERE state IN ('OPEN', 'PLANNED')
    UNION ALL SELECT 'delivery', id, state, error FROM alert_deliveries WHERE state = 'WAITING'
    UNION ALL SELECT 'notification', id, kind, NULL FROM notifications WHERE routed_at IS NULL
    UNION ALL SELECT 'message', id, state, sentence FROM channel_messages WHERE state = 'SENDING'
"""
ORDERS = """
    SELECT orders.*, keys.label, keys.broker FROM orders
      JOIN legs ON legs.id = leg_id JOIN plans ON plans.id = plan_id
      JOIN user_bot_configs AS bots ON bots.id = plans.bot_config_id
      JOIN user_api_keys AS keys ON keys.id = bots.connection_id
     ORDER BY orders.id
"""
PARTS = """
    SELECT orders.leg_id, part, attempt, orders.quantity, filled_quantity AS filled, legs.parts[part] AS planned,
           orders.state FROM orders JOIN legs ON legs.id = leg_id ORDER BY leg_id, part, attempt
"""
HOLDINGS = """
    SELECT keys.label, bots.symbol, sum(bots.quantity) AS bots, max(coalesce(lanes.dust_below, 0)) AS dust,
           sum((SELECT coalesce(sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END
                                    - CASE WHEN fee_in_base THEN fee ELSE 0 END), 0)
                  FROM fills WHERE bot_config_id = bots.id)) AS fills
      FROM user_bot_configs AS bots JOIN user_api_keys AS keys ON keys.id = bots.connection_id
      JOIN lanes ON lanes.id = bots.lane_id GROUP BY 1, 2
"""
MONEY = """
    SELECT keys.label, keys.broker, sum(bots.total_pnl) AS earned,
           sum(bots.quantity * coalesce(bots.average_price, 0)) AS tied
      FROM user_bot_configs AS bots JOIN user_api_keys AS keys ON keys.id = bots.connection_id GROUP BY 1, 2
"""
DELIVERIES = """
    SELECT each.id, each.state, each.error, each.message_id, each.merged_into, each.attempts, channels.transport,
           keys.label, each.notification_id, each.channel_id
      FROM alert_deliveries AS each JOIN alert_channels AS channels ON channels.id = each.channel_id
      LEFT JOIN user_api_keys AS keys ON keys.user_id = channels.user_id ORDER BY each.id
"""
NOTIFICATIONS = """
    SELECT told.id, told.user_id, told.kind, told.content, told.routed_at IS NOT NULL AS is_routed,
           (SELECT count(*) FROM alert_deliveries AS each JOIN alert_channels AS channels ON channels.id = channel_id
             WHERE notification_id = told.id AND transport <> 'MQTT') AS deliveries
      FROM notifications AS told ORDER BY told.id
"""
EVENTS = "SELECT id, kind, topic, convert_from(payload, 'UTF8') AS payload FROM watched_events ORDER BY id"
POSTS = """
    SELECT noted.message_id::text, noted.signal_channel_id, noted.state, noted.sentence, noted.answered_at,
           (SELECT count(*) FROM signals WHERE signals.signal_channel_id = noted.signal_channel_id
               AND signals.sender_id = noted.message_id::text) AS signals
      FROM channel_messages AS noted WHERE state NOT IN ('EDITED', 'DELETED') ORDER BY noted.id
"""
SUSPICIONS = """
    SELECT kind, sentence, created_at FROM bot_risk_events
     WHERE kind IN ('ACCOUNT_MISMATCH', 'EXTERNAL_CLOSE', 'EXIT_FAILED')
    UNION ALL SELECT 'fill ' || kind, side || ' ' || quantity, booked_at FROM fills WHERE kind <> 'TRADE'
"""
FAULTS = "SELECT subject, words, times FROM faults ORDER BY subject"
# Losing the database is part of the storm; every other failure of a loop is a fault of ours.
EXPECTED_FAULTS = ("OperationalError", "InterfaceError", "AdminShutdown", "CannotConnectNow", "CrashShutdown")


def under_way(stage: Stage) -> list[Row]:
    """Return what has not come to its end."""
    with stage.database.transaction() as transaction:
        return transaction.all(UNDER_WAY)


def gather(stage: Stage, alerts: Alerts, posts: Posts, cover: Cover, struck: list[Struck]) -> Evidence:
    """Return everything that is held against each other."""
    with stage.database.transaction() as transaction:
        rows = {name: transaction.all(sql) for name, sql in _QUERIES.items()}
        paper_money = transaction.all(
            "SELECT label, cash - starting_cash AS change FROM paper_accounts"
            " JOIN user_api_keys AS keys ON keys.id = connection_id"
        )
        paper_held = transaction.all(
            "SELECT label, symbol, quantity FROM paper_positions JOIN user_api_keys AS keys ON keys.id = connection_id"
        )
        paper_orders = transaction.all(
            "SELECT paper_orders.*, label FROM paper_orders JOIN user_api_keys AS keys ON keys.id = connection_id"
        )
    held = {
        **_held(stage),
        **{(row["label"], symbol_key(row["symbol"])): row["quantity"] for row in paper_held},
    }
    changes = {**_changes(stage), **{row["label"]: row["change"] for row in paper_money}}
    deliveries, extra = _deliveries(stage, rows["deliveries"])
    beside, busy = written(stage), overloaded(stage.machine)
    signals_of_posts = {deed.number for deed in stage.script.posts if deed.is_signal}
    return Evidence(
        named={deed.number for deed in stage.script.alerts if deed.named},
        answers=alerts.answers, given_up=alerts.given_up,
        signals=[{**row, "mark": _mark(row["body"])} for row in rows["signals"]],
        plans=rows["plans"], under_way=rows["under_way"],
        orders=[_our_order(row) for row in rows["orders"] if row["broker_order_id"] is not None],
        their_orders=[*_alpaca_orders(stage), *_blofin_orders(stage), *map(_paper_order, paper_orders)],
        parts=rows["parts"],
        holdings=list(_holdings(rows["holdings"], held)),
        money=[_money(row, changes) for row in rows["money"]],
        notifications=rows["notifications"], deliveries=deliveries, extra_messages=extra,
        overloaded=busy, gaps=cover.gaps,
        excused={name: excused(name, struck, busy) for name in ("alpaca", "blofin", "paper")},
        messages={deed.number: deed.kind for deed in stage.script.messages},
        watched_events=[{**row, "mark": _mark(row["payload"])} for row in rows["events"]],
        posts={found for found, number in posts.posted.items() if number in signals_of_posts},
        registrations=sum(user.listens for user in stage.script.users),
        noted_posts=rows["posts"], suspicions=rows["suspicions"],
        faults=[row for row in rows["faults"] if not row["words"].startswith(EXPECTED_FAULTS)],
        metrics=beside.metrics, counted_rows=beside.rows, slips=beside.slips, tracebacks=beside.tracebacks,
        leaks=list(_leaks(stage)),
    )  # fmt: skip


def _leaks(stage: Stage) -> Iterator[Leak]:
    secrets = stage.secrets()
    yield from leaks("the log", stage.stack.log.read_text(errors="replace"), secrets)
    with stage.database.transaction() as transaction:
        for column, text in texts_of(transaction):
            yield from leaks(f"column {column}", text, secrets)


_QUERIES = {
    "signals": SIGNALS, "plans": PLANS, "under_way": UNDER_WAY, "orders": ORDERS, "parts": PARTS,
    "holdings": HOLDINGS, "money": MONEY, "deliveries": DELIVERIES, "notifications": NOTIFICATIONS,
    "events": EVENTS, "posts": POSTS, "suspicions": SUSPICIONS, "faults": FAULTS,
}  # fmt: skip


def excused(broker: str, struck: Iterable[Struck], busy: Iterable[Times]) -> list[Times]:
    """Return the times in which trouble, or an overloaded machine, kept the engine from looking at a broker's."""
    names = {each.format(broker) for each in KEEPS_FROM_LOOKING}
    trouble = [(each.began_at, each.ended_at) for each in struck if each.name in names]
    return [(began, ended + RECOVERY_SECONDS) for began, ended in (*trouble, *busy)]


def _mark(text: str) -> str | int | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content.get("mark") if isinstance(content, dict) else None


def _our_order(row: Row) -> KnownOrder:
    return KnownOrder(
        account=row["label"], id=row["broker_order_id"], client_id=row["client_order_id"], symbol=row["symbol"],
        side=row["side"], quantity=row["quantity"], filled=row["filled_quantity"], state=row["state"],
    )  # fmt: skip


def _alpaca_orders(stage: Stage) -> Iterator[KnownOrder]:
    for order in stage.alpaca.orders():
        yield KnownOrder(
            account=order["key"], id=order["id"], client_id=order["client_order_id"], symbol=order["symbol"],
            side=order["side"].upper(), quantity=Decimal(order["qty"]), filled=Decimal(order["filled_qty"]),
            state=ALPACA_STATES.get(order["status"], order["status"]),
        )  # fmt: skip


def _blofin_orders(stage: Stage) -> Iterator[KnownOrder]:
    for order in stage.blofin.orders():
        units = contract(order["instId"])
        yield KnownOrder(
            account=order["key"], id=order["orderId"], client_id=order["clientOrderId"], symbol=order["instId"],
            side=order["side"].upper(), quantity=Decimal(order["size"]) * units,
            filled=Decimal(order["filledSize"]) * units, state=BLOFIN_STATES.get(order["state"], order["state"]),
        )  # fmt: skip


def _paper_order(row: Row) -> KnownOrder:
    return KnownOrder(
        account=row["label"], id=str(row["id"]), client_id=row["client_order_id"], symbol=row["symbol"],
        side=row["side"], quantity=row["quantity"], filled=row["filled_quantity"], state=row["state"],
    )  # fmt: skip


def contract(symbol: str) -> Decimal:
    """Return how many coins a contract of the local BloFin is, as the stage has made them."""
    return Decimal("0.001") if symbol == "BTC-USDT" else Decimal("0.01")


def _users(stage: Stage, broker: BrokerName) -> list[str]:
    return [user.key for user in stage.script.users if user.broker is broker]


def _held(stage: Stage) -> dict[tuple[str, str], Decimal]:
    held = {
        (key, symbol_key(each["symbol"])): Decimal(each["qty"])
        for key in _users(stage, BrokerName.ALPACA)
        for each in stage.alpaca.books(key)["positions"]
    }
    for key in _users(stage, BrokerName.BLOFIN):
        for each in stage.blofin.books(key)["positions"]:
            held[key, symbol_key(each["instId"])] = Decimal(each["positions"]) * contract(each["instId"])
    return held


def _changes(stage: Stage) -> dict[str, Decimal]:
    found = {
        key: Decimal(stage.alpaca.books(key)["account"]["cash"]) - START_MONEY
        for key in _users(stage, BrokerName.ALPACA)
    }
    for key in _users(stage, BrokerName.BLOFIN):
        [details] = stage.blofin.books(key)["balance"]["details"]
        found[key] = Decimal(details["balance"]) - START_MONEY
    return found


def _holdings(rows: list[Row], held: dict[tuple[str, str], Decimal]) -> Iterator[Holding]:
    left = dict(held)
    for row in rows:
        yield Holding(
            account=row["label"], symbol=row["symbol"], bots=row["bots"], fills=row["fills"], dust=row["dust"],
            broker=left.pop((row["label"], symbol_key(row["symbol"])), ZERO),
        )  # fmt: skip
    for (account, symbol), quantity in left.items():
        yield Holding(account=account, symbol=symbol, bots=ZERO, fills=ZERO, dust=ZERO, broker=quantity)


def _money(row: Row, changes: dict[str, Decimal]) -> Money:
    # A perpetual ties up margin, not its price
    tied = ZERO if row["broker"] == BrokerName.BLOFIN else row["tied"]
    return Money(account=row["label"], broker=changes.get(row["label"], ZERO), ledger=row["earned"] - tied)


def _deliveries(stage: Stage, rows: list[Row]) -> tuple[list[Delivery], dict[str, int]]:
    hooks = {user.key: user.hook for user in stage.script.users}
    came: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for key, hook in hooks.items():
        came["DISCORD", key].update(message["id"] for message in stage.discord.webhooks.taken(hook))
        came["WEBHOOK", key].update(stage.receiver.received(f"/{key}"))
    known: set[tuple[str, str, str]] = set()
    found = []
    for row in rows:
        if row["label"] is None or row["transport"] not in ("DISCORD", "WEBHOOK"):
            continue
        name = row["message_id"] if row["transport"] == "DISCORD" else str(row["id"])
        known.add((row["transport"], row["label"], name))
        found.append(
            Delivery(
                id=row["id"], place=f"{row['transport']} {row['label']}", transport=row["transport"],
                state=row["state"], error=row["error"], attempts=row["attempts"],
                is_carried=row["merged_into"] is not None,
                arrived=came[row["transport"], row["label"]][name or ""],
            )
        )  # fmt: skip
    extra = {
        f"{transport} {key}": sum(n for name, n in names.items() if (transport, key, name) not in known)
        for (transport, key), names in came.items()
    }
    return found, extra
