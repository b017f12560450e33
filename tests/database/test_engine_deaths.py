"""A process that dies at any moment of an execution changes nothing (trading.md §1)."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot_database import lanes, orders
from bot_engine import run_lane
from core.order import OrderType
from core.plan import Code
from tests.database.rough_line import RoughFloor, Trouble, rough_floor, signal

__all__ = ["rough_floor"]

D = Decimal
_letters = itertools.count()


def new_symbol(floor: RoughFloor) -> str:
    """Give a ticker that nothing was traded in yet."""
    number = next(_letters)
    symbol = "".join(chr(ord("A") + number // 26**place % 26) for place in (2, 1, 0))
    floor.market.pin(f"Q{symbol}", D("200"), D("200.10"))
    return f"Q{symbol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was there before, and what the process was doing when it died."""

    before: tuple[str, ...] = ()
    begin: Callable[[RoughFloor, int, str], object]
    limits: dict[str, object] | None = None
    size: str = "500"
    troubles: tuple[Trouble, ...] = ()


def send(action: str, **fields) -> Callable[[RoughFloor, int, str], object]:
    return lambda floor, bot, symbol: floor.store(bot, signal(symbol, action, **fields))


def fall_through_stop(floor: RoughFloor, bot: int, symbol: str) -> None:
    floor.market.pin(symbol, D("150"), D("150.10"))
    floor.watch_risk()


def newer_while_older_works(floor: RoughFloor, bot: int, symbol: str) -> None:
    floor.store(bot, signal(symbol, "SELL"))
    floor.store(bot, signal(symbol, "CLOSE"))


def resting_entry_then_opposite(floor: RoughFloor, bot: int, symbol: str) -> None:
    floor.store(bot, signal(symbol, "BUY", order_type=OrderType.LIMIT, limit_price=D(190)))
    floor.work(bot)
    (resting,) = floor.at_broker(symbol)
    assert resting["state"] == "SUBMITTED"
    floor.store(bot, signal(symbol, "SELL"))


STORIES = {
    "entry": Story(begin=send("BUY")),
    "close": Story(before=("BUY",), begin=send("CLOSE")),
    "flip": Story(before=("BUY",), begin=send("SELL")),
    "skipped": Story(before=("BUY",), begin=send("BUY")),
    "too small": Story(begin=send("BUY"), size="0.50"),
    "rejected": Story(begin=send("BUY"), troubles=(Trouble.REFUSED,)),
    "exit rejected": Story(before=("BUY",), begin=send("CLOSE"), troubles=(Trouble.REFUSED,)),
    "answer lost": Story(begin=send("BUY"), troubles=(Trouble.LOST_AFTER,)),
    "exit's answer lost": Story(before=("BUY",), begin=send("CLOSE"), troubles=(Trouble.LOST_AFTER,)),
    "exit lost": Story(before=("BUY",), begin=send("CLOSE"), troubles=(Trouble.LOST_BEFORE,)),
    "unreached": Story(begin=send("BUY"), troubles=(Trouble.UNREACHED,)),
    "stop": Story(before=("BUY",), begin=fall_through_stop, limits={"stop_loss_percent": D(10)}),
    "risk limit": Story(before=("BUY",), begin=fall_through_stop, limits={"risk_limit_percent": D(10)}),
    "entry taken back": Story(begin=resting_entry_then_opposite),
    "two at once": Story(before=("BUY",), begin=newer_while_older_works),
}


def play(floor: RoughFloor, story: Story, limit: int) -> tuple[list[str], dict[str, object]]:
    """Play a story to its end with a process that dies at a moment, and return what is there then."""
    symbol = new_symbol(floor)
    bot = floor.bot(symbol, size=story.size, **(story.limits or {}))
    for action in story.before:
        assert floor.send(bot, action)["state"] == "EXECUTED"
    story.begin(floor, bot, symbol)
    floor.line.order("submit", *story.troubles)
    moments = floor.until_death(bot, limit)
    floor.settle()
    floor.line.forget()
    floor.assert_books_agree(symbol)
    return moments, end_of(floor, bot, symbol)


def end_of(floor: RoughFloor, bot: int, symbol: str) -> dict[str, object]:
    row = floor.bot_row(bot)
    signals = floor.all("SELECT state, code FROM signals WHERE bot_config_id = %s ORDER BY number", (bot,))
    trades = floor.all(
        "SELECT action, status, filled_qty, realized_pnl FROM bot_trades WHERE bot_config_id = %s ORDER BY id",
        (bot,),
    )
    events = floor.all("SELECT kind, state FROM bot_risk_events WHERE bot_config_id = %s ORDER BY id", (bot,))
    return {
        "signals": [tuple(each.values()) for each in signals],
        "orders": [tuple(each.values())[:-1] for each in floor.sent(bot)],
        "broker": [tuple(each.values())[1:] for each in floor.at_broker(symbol)],
        "trades": [tuple(each.values()) for each in trades],
        "events": [tuple(each.values()) for each in events],
        "position": (row["quantity"], row["average_price"], row["total_pnl"], row["total_trades"]),
        "status": row["order_status"],
        "told": floor.told(bot),
    }


def died_unsent(moments: list[str], limit: int) -> bool:
    """Tell whether the process died with an entry's order committed and not yet handed over."""
    if "entry read" not in moments:
        return False
    read = moments.index("entry read")
    return "order committed" in moments[read:] and read < limit - 1 <= moments.index("order committed", read)


def assert_never_received(end: dict[str, list], expected: dict[str, list]) -> None:
    """Nobody knows whether such an entry went, so it is looked up and never sent: it ends NOT_RECEIVED."""
    *others, last = end["orders"]
    assert others == expected["orders"][:-1]
    assert last[-2:] == ("NOT_RECEIVED", 0)
    assert end["broker"] == [each for each in expected["broker"] if each[-1]][: len(others)]
    assert end["signals"][-1][1] == Code.NOT_RECEIVED
    assert end["position"][0] == 0
    assert end["trades"][-1][1] == "FAILED"
    assert end["told"][-1] == "BOT_REJECTED"


@pytest.mark.parametrize("name", STORIES)
def test_a_death_at_any_moment_changes_nothing(rough_floor: RoughFloor, name: str) -> None:
    floor, story = rough_floor, STORIES[name]
    moments, expected = play(floor, story, 0)
    assert len(moments) > 2
    for limit in range(1, len(moments) + 1):
        lived, end = play(floor, story, limit)
        where = f"died at moment {limit} of {len(moments)}: {lived[-3:]}"
        assert lived == moments[:limit], where
        if died_unsent(moments, limit):
            assert_never_received(end, expected)
        else:
            assert end == expected, where


def test_a_signal_that_arrives_at_any_moment_of_a_run_needs_no_sweep(rough_floor: RoughFloor) -> None:
    """Its bell finds the lane held and goes unheard; whoever held the lane looks once more."""
    floor = rough_floor

    def run(limit: int) -> list[str]:
        symbol = new_symbol(floor)
        bot = floor.bot(symbol, size="500")
        floor.store(bot, signal(symbol, "BUY"))
        moments = floor.until_death(bot, limit, lambda: floor.store(bot, signal(symbol, "CLOSE")))
        assert floor.under_way() == [], moments
        assert floor.held(bot) == 0 or not limit
        return moments

    moments = run(0)
    # The last one is when all was looked over, with the lane still held
    assert moments[-1] == "lane looked over"
    for limit in range(1, len(moments) + 1):
        run(limit)


def test_a_lane_has_one_worker_at_a_time(rough_floor: RoughFloor) -> None:
    floor = rough_floor
    bot = floor.bot()
    alone = floor.desk
    tried = []

    def intrude(name: str) -> None:
        before = len(floor.line.calls)
        with lanes.hold_lane(floor.database, floor.bot_row(bot)["lane_id"]) as session:
            assert session is None
        run_lane(alone, floor.bot_row(bot)["lane_id"])
        assert len(floor.line.calls) == before
        tried.append(name)

    floor.desk = replace(alone, step=intrude)
    assert floor.send(bot, "BUY")["state"] == "EXECUTED"
    assert {"decision committed", "order committed", "order sent", "leg finished"} <= set(tried)


def test_a_sender_may_still_live_until_its_time_to_send_is_over(rough_floor: RoughFloor) -> None:
    """The sender lost its lane, not its life: whoever comes next believes nothing before it must be silent."""
    floor = rough_floor
    bot = floor.bot()
    floor.store(bot, signal("AAPL", "BUY"))
    moments = floor.until_death(bot)
    committed = moments.index("order committed") + 1
    sleeper = floor.bot(timeframe="1h")
    floor.store(sleeper, signal("AAPL", "BUY"))
    floor.until_death(sleeper, committed)
    began = floor.now
    (row,) = floor.sent(sleeper)
    assert row["state"] == "NEW"
    silent_until = timedelta(seconds=floor.desk.timing.send_window + 10)
    while floor.now < began + silent_until - timedelta(seconds=1):
        floor.work(sleeper)
        assert floor.sent(sleeper)[0]["state"] == "NEW"
        floor.pass_time(1)
    with floor.database.transaction() as transaction:
        late = orders.order_by_client_id(transaction, row["client_order_id"])
    floor.paper.submit(late.intent)
    floor.settle()
    assert floor.outcome(sleeper) == ("EXECUTED", "EXECUTED")
    floor.assert_books_agree("AAPL")
