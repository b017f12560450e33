"""The demo's watched bot: some days of reports of a bot that runs elsewhere, written as the listener does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from actions import watching as actions
from actions.acting import Acting, Tools
from database import demo
from watching.inbox import Message
from watching.writer import Writer

NAME, PREFIX = "Demo hunter", "dashtrade-demo/"
DAYS = 4
HEARTBEAT_EVERY = timedelta(minutes=20)
FIRST_BALANCE = Decimal(1000)
TRADES_A_DAY = 9
HELD_AT_THE_END = 2
MARKETS = (
    {"symbol": "BTC/USD", "price": "60000", "size": "0.002"},
    {"symbol": "ETH/USD", "price": "3000", "size": "0.05"},
    {"market_name": "Will it rain in Vienna on Sunday?", "token_id": "71321045679252212594", "price": "0.42"},
    {"market_name": "Will the launch be this month?", "token_id": "48331043336612883890", "price": "0.61"},
)
TROUBLE = (
    ("warning", "RateLimit", "429 from the exchange, slowing down"),
    ("error", "OrderRejected", "Insufficient balance for the order"),
    ("warning", "PriceFeed", "The price feed was silent for 12 s and was opened again"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One message of the bot at the time it arrives."""

    at: datetime
    topic: str
    payload: bytes

    @classmethod
    def of(cls, at: datetime, topic: str, **said: Any) -> "Report":
        """Return a message with its time, as the bot sends it."""
        content = {"timestamp": at.timestamp(), **said}
        return cls(at=at, topic=topic, payload=json.dumps(content).encode())


def watch_a_bot(tools: Tools, acting: Acting, now: datetime) -> int:
    """Let a user watch a bot that has reported for some days; return how many messages came."""
    bot_id = actions.add(tools, acting, name=NAME, prefix=PREFIX)
    random = Random(7)  # noqa: S311  the same demo each time
    reports = sorted(_life(now - timedelta(days=DAYS), now, random), key=lambda report: report.at)
    writer = Writer(timedelta(seconds=tools.settings.heartbeat_timeout_seconds))
    with tools.database.session() as session:
        for report in reports:
            with session.transaction() as transaction:
                newest = demo.newest_notification(transaction, acting.owner)
            writer.store(session, {PREFIX: bot_id}, [_message(report)], is_retry=False)
            with session.transaction() as transaction:
                demo.date_notifications(transaction, acting.owner, after=newest, at=report.at)
    return len(reports)


def _message(report: Report) -> Message:
    return Message(
        generation=0,
        connected_at=report.at - timedelta(hours=1),
        mid=0,
        qos=1,
        topic=PREFIX + report.topic,
        payload=report.payload,
        is_retained=False,
        received_at=report.at,
    )


@dataclass(slots=True)
class Account:
    """What the bot has, and how its trades went since it was started."""

    cash: Decimal = FIRST_BALANCE
    first: Decimal = FIRST_BALANCE
    pnls: list[Decimal] = field(default_factory=list)
    held: int = 0

    def heartbeat(self, at: datetime, since: datetime) -> Report:
        """Return the sign of life at a time."""
        uptime = int((at - since).total_seconds())
        figures = {"open_positions": self.held, "total_trades": len(self.pnls), "balance": float(self.cash)}
        return Report.of(at, "status/bot/heartbeat", uptime_seconds=uptime, **figures)

    def balance(self, at: datetime, unrealized: Decimal) -> Report:
        """Return what the account is worth at a time."""
        locked = Decimal(60) * self.held
        return Report.of(
            at,
            "balance/update",
            balance=float(self.cash),
            equity=float(self.cash + unrealized),
            available_balance=float(self.cash - locked),
            locked_in_positions=float(locked),
            unrealized_pnl=float(unrealized),
            total_pnl=float(self.cash - FIRST_BALANCE),
            update_reason="trade",
        )

    def session(self, at: datetime, since: datetime) -> Report:
        """Return the statistics of a session at its end."""
        wins = [pnl for pnl in self.pnls if pnl > 0]
        losses = [pnl for pnl in self.pnls if pnl < 0]
        return Report.of(
            at,
            "stats/session",
            session_id=f"{since:%Y%m%d_%H%M%S}",
            duration_seconds=int((at - since).total_seconds()),
            initial_balance=float(self.first),
            final_balance=float(self.cash),
            total_pnl=float(sum(self.pnls)),
            total_pnl_pct=float(sum(self.pnls) / self.first),
            total_trades=len(self.pnls),
            winning_trades=len(wins),
            losing_trades=len(losses),
            win_rate=len(wins) / len(self.pnls),
            avg_win=float(sum(wins) / max(len(wins), 1)),
            avg_loss=float(sum(losses) / max(len(losses), 1)),
            max_drawdown=float(_fall(self.pnls)),
        )


def _life(start: datetime, end: datetime, random: Random) -> Iterator[Report]:
    """Give two sessions, the second of which still runs."""
    account = Account()
    stop = start + (end - start) * 0.45
    yield from _session(start, stop, account, random)
    yield account.session(stop, start)
    stats = {"total_pnl": float(sum(account.pnls)), "total_trades": len(account.pnls)}
    won = sum(pnl > 0 for pnl in account.pnls) / len(account.pnls)
    yield Report.of(
        stop + timedelta(seconds=1),
        "status/bot/stopped",
        session_id=f"{start:%Y%m%d_%H%M%S}",
        final_stats={**stats, "win_rate": won},
    )
    account = Account(cash=account.cash, first=account.cash)
    again = stop + timedelta(minutes=7)
    yield from _session(again, end, account, random)
    for number in range(HELD_AT_THE_END):
        account.held += 1
        yield _opened(end - timedelta(minutes=50 - 20 * number), MARKETS[number * 2], random)[0]
    yield account.balance(end - timedelta(minutes=10), Decimal("3.85"))
    yield account.heartbeat(end, again)


def _session(start: datetime, end: datetime, account: Account, random: Random) -> Iterator[Report]:
    yield Report.of(
        start,
        "status/bot/started",
        session_id=f"{start:%Y%m%d_%H%M%S}",
        config={"initial_balance": float(account.cash), "position_size": 60, "spike_threshold": 0.03,
                "monitored_markets": len(MARKETS)},
    )  # fmt: skip
    yield from _signs_of_life(start, end, account)
    count = max(int((end - start) / timedelta(days=1) * TRADES_A_DAY), 2)
    for number in range(count):
        at = start + (end - start) * (number + 0.3) / (count + 1)
        yield from _trade(at, MARKETS[number % len(MARKETS)], account, random)
    for number, (severity, kind, words) in enumerate(TROUBLE):
        at = start + (end - start) * (number + 0.7) / (len(TROUBLE) + 1)
        yield Report.of(at, "status/bot/error", error_type=kind, error_message=words, severity=severity)
    # A line that some script of the bot's owner sent by mistake
    yield Report(at=start + (end - start) * 0.5, topic="balance/update", payload=b"{balance: 1000}")


def _signs_of_life(start: datetime, end: datetime, account: Account) -> Iterator[Report]:
    at = start + HEARTBEAT_EVERY
    while at < end:
        yield account.heartbeat(at, start)
        at += HEARTBEAT_EVERY


def _trade(at: datetime, market: dict[str, str], account: Account, random: Random) -> Iterator[Report]:
    """Give what a bot tells of one trade: opened, completed, and the balance after it."""
    opened, entry = _opened(at, market, random)
    yield opened
    change = Decimal(str(round(random.gauss(0.006, 0.03), 4)))
    held = random.randint(300, 5400)
    pnl = (60 * change).quantize(Decimal("0.01"))
    account.cash += pnl
    account.pnls.append(pnl)
    closed = at + timedelta(seconds=held)
    yield Report.of(
        closed,
        "trading/trade/completed",
        **_named(market),
        trade_id=f"demo-{int(at.timestamp())}",
        entry_price=float(entry),
        exit_price=float((entry * (1 + change)).quantize(entry)),
        pnl=float(pnl),
        pnl_pct=float(change),
        duration_seconds=held,
        reason="take_profit" if change > 0 else "stop_loss",
    )
    yield account.balance(closed + timedelta(seconds=1), Decimal(random.randint(-300, 400)) / 100)


def _opened(at: datetime, market: dict[str, str], random: Random) -> tuple[Report, Decimal]:
    price = Decimal(market["price"])
    step = Decimal("0.0001") if price < 1 else Decimal("0.01")
    entry = (price * Decimal(str(round(random.uniform(0.97, 1.03), 4)))).quantize(step)
    limits = {}
    if "symbol" in market:
        limits = {"stop_loss": float(entry * Decimal("0.97")), "take_profit": float(entry * Decimal("1.06"))}
    said = {**_named(market), "entry_price": float(entry), **limits, "reason": "spike_down"}
    return Report.of(at, "trading/position/opened", **said), entry


def _named(market: dict[str, str]) -> dict[str, Any]:
    if "symbol" in market:
        return {"symbol": market["symbol"], "side": "long", "size": float(market["size"])}
    return {"market_name": market["market_name"], "token_id": market["token_id"], "position_size": 60}


def _fall(pnls: list[Decimal]) -> Decimal:
    """Return the deepest fall of the sum below its peak."""
    total = peak = fall = Decimal(0)
    for pnl in pnls:
        total += pnl
        peak = max(peak, total)
        fall = max(fall, peak - total)
    return fall
