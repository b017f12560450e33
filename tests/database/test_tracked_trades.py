"""Trades that users follow: opened once, answered once, changed, ended by hand; each its owner's alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest

from actions import tracked_trades
from actions.refused import Refused
from actions.trade_checks import number_of
from core.pips import Direction
from database.pool import Database
from tests.database.trade_desk import TradeDesk

DEADLINE_SECONDS = 60


@pytest.fixture
def desk(database: Database) -> TradeDesk:
    return TradeDesk(database)


def refusal(desk, **changes):
    with pytest.raises(Refused) as refused:
        desk.open(**changes)
    assert desk.one("SELECT count(*) FROM user_trades")["count"] == 0
    return refused.value


def test_a_trade_is_opened_once_for_one_request(desk):
    wish = desk.wish()
    first, again = desk.open(wish=wish), desk.open(wish=wish)
    assert (first.is_new, again.is_new, again.trade_id) == (True, False, first.trade_id)
    assert desk.one("SELECT count(*) FROM user_trades")["count"] == 1


def test_of_many_who_ask_at_once_one_opens(desk):
    signal, begin = desk.notify(), threading.Barrier(8)
    wishes = [desk.wish(notification_id=signal, request_key=f"press {number // 2}") for number in range(8)]

    def press(wish):
        begin.wait(DEADLINE_SECONDS)
        try:
            return desk.open(wish=wish)
        except Refused as refused:
            return refused.sentence

    with ThreadPoolExecutor(8) as pool:
        found = [each.result(DEADLINE_SECONDS) for each in [pool.submit(press, wish) for wish in wishes]]
    opened = [each for each in found if not isinstance(each, str)]
    assert sum(each.is_new for each in opened) == 1
    trade = opened[0].trade_id
    assert {each for each in found if isinstance(each, str)} == {
        f"You opened trade #{trade} from this signal already."
    }
    assert desk.one("SELECT count(*) FROM user_trades")["count"] == 1


def test_one_request_key_of_two_users_opens_two_trades(desk):
    first = desk.open(request_key="the same")
    second = desk.open(desk.eve, request_key="the same")
    assert second.is_new
    assert first.trade_id != second.trade_id


def test_a_trade_has_all_that_was_said_of_it(desk):
    desk.link(desk.ann, trade_limit_hours=48, running_update_minutes=30, account_currency="EUR")
    signal = desk.notify()
    trade = desk.open(notification_id=signal, notes=" a note ", lots=Decimal("0.25")).trade_id
    row = desk.trade(trade)
    assert (row["timeframe"], row["source"], row["notes"]) == ("1 Hour", "replay", "a note")
    assert (row["expires_at"], row["next_update_at"]) == (
        desk.now + timedelta(hours=48),
        desk.now + timedelta(minutes=30),
    )
    assert (row["reward_to_risk"], row["account_currency"], row["lot_size"]) == (2, "EUR", Decimal("0.25"))
    notification = desk.one("SELECT * FROM signal_notifications WHERE id = %s", (signal,))
    assert (notification["acknowledged"], notification["answer"], notification["trade_id"]) == (
        True,
        "opened",
        trade,
    )
    audit = desk.one("SELECT * FROM audit_log WHERE subject = %s", (f"trade {trade}",))
    assert (audit["action"], audit["user_id"]) == ("trade open", desk.ann)


def test_a_signal_is_answered_once(desk):
    opened, ignored = desk.notify(), desk.notify(signal_type="short")
    trade = desk.open(notification_id=opened).trade_id
    tracked_trades.ignore(desk.database, desk.ann, ignored, desk.now)
    with pytest.raises(Refused, match=f"opened trade #{trade}"):
        desk.open(notification_id=opened)
    with pytest.raises(Refused, match=f"opened trade #{trade}"):
        tracked_trades.ignore(desk.database, desk.ann, opened, desk.now)
    with pytest.raises(Refused, match="ignored this signal"):
        desk.open(notification_id=ignored, direction=Direction.SHORT)


def test_an_expired_signal_says_so(desk):
    signal = desk.notify()
    desk.wait(hours=1)
    assert "expired at 2026-11-18 16:00 UTC" in refusal(desk, notification_id=signal).sentence
    with pytest.raises(Refused, match="expired"):
        tracked_trades.ignore(desk.database, desk.ann, signal, desk.now)


def test_a_strangers_signal_is_answered_like_an_unknown_one(desk):
    signal = desk.notify(desk.eve)
    strange, unknown = refusal(desk, notification_id=signal), refusal(desk, notification_id=987_654)
    assert strange.sentence == unknown.sentence == "There is no such signal."
    for number in (signal, 987_654):
        with pytest.raises(Refused, match="no such signal"):
            tracked_trades.ignore(desk.database, desk.ann, number, desk.now)
    assert not desk.one("SELECT acknowledged FROM signal_notifications")["acknowledged"]


@pytest.mark.parametrize("entry", ["10000", "1000.1", "0.00009"])
def test_two_currencies_without_a_known_price_have_a_rate_that_can_be(desk, entry):
    price = Decimal(entry)
    wish = {"entry": price, "stop": price * Decimal("0.99"), "target": price * Decimal("1.02")}
    refused = refusal(desk, **wish)
    assert refused.field == "entry"
    assert refused.sentence.endswith(f"an entry at {entry} is a slip. Allowed: 0.0001 to 1000.")
    assert desk.open(pair="BTC/USD", **wish).is_new


def test_a_refused_trade_answers_no_signal(desk):
    signal = desk.notify()
    refusal(desk, notification_id=signal, lots=Decimal(1000))
    refusal(desk, notification_id=signal, direction=Direction.SHORT)
    assert desk.open(notification_id=signal).is_new


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"lots": Decimal("0.009")}, "lots", "Lots go from 0.01 to 100"),
        ({"lots": Decimal("100.01")}, "lots", "Lots go from 0.01 to 100"),
        ({"lots": Decimal("NaN")}, "lots", "above 0"),
        ({"entry": Decimal("Infinity")}, "entry", "above 0"),
        ({"entry": Decimal(-1)}, "entry", "above 0"),
        ({"stop": Decimal("1.09")}, "stop", "stop loss of a LONG stands below its entry"),
        ({"target": Decimal("1.08")}, "target", "take profit of a LONG stands above its entry"),
        ({"target": Decimal(10962)}, "target", "too far from the entry"),
        ({"pair": "EUR/"}, "pair", "write EUR/USD"),
        ({"timeframe": "yesterday"}, "timeframe", "no timeframe"),
        ({"notes": "x" * 1001}, "notes", "1000 letters"),
        ({"notes": "\x00"}, "notes", "1000 letters"),
        ({"request_key": ""}, "request_key", "1 to 200"),
        ({"request_key": "x" * 201}, "request_key", "1 to 200"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field_and_what_is_allowed(desk, changes, field, words):
    refused = refusal(desk, **changes)
    assert refused.field == field
    assert words in refused.sentence


def test_an_entry_far_from_the_price_is_a_slip(desk):
    desk.price("1.0860")
    far = {"entry": Decimal(10000), "stop": Decimal(9900), "target": Decimal(10200)}
    refused = refusal(desk, **far)
    assert refused.field == "entry"
    assert "EUR/USD is at 1.08600 now" in refused.sentence
    assert "Allowed: 0.98727 to 1.19460" in refused.sentence


def test_an_entry_lies_within_the_last_days(desk):
    for moved in (timedelta(days=-8), timedelta(minutes=5)):
        assert refusal(desk, entered_at=desk.now + moved).field == "entered_at"
    assert refusal(desk, entered_at=desk.now.replace(tzinfo=None)).field == "entered_at"
    earlier = desk.now - timedelta(days=1)
    assert desk.trade(desk.open(entered_at=earlier).trade_id)["entry_time"] == earlier


def test_nobody_follows_trades_without_end(desk, monkeypatch):
    monkeypatch.setattr(tracked_trades, "MOST_OPEN", 2)
    trades = [desk.open().trade_id for _ in range(2)]
    with pytest.raises(Refused, match="2 open trades"):
        desk.open()
    assert desk.open(desk.eve).is_new
    desk.close(trades[0], "1.09")
    assert desk.open().is_new


def test_closing_by_hand_counts_pips_and_money(desk):
    trade = desk.open().trade_id
    desk.wait(hours=1, minutes=43)
    closed = desk.close(trade, "1.0962")
    assert (closed.pips, closed.profit_loss, closed.duration) == (108, 108, "1h 43m")
    assert closed.message.startswith(f"✋ Closed by hand: +108 pips (+$108)\nTrade #{trade} ")
    row = desk.trade(trade)
    assert (row["status"], row["close_reason"], row["result"]) == ("closed", "manual_close", "win")
    with pytest.raises(Refused, match="was closed at 2026-11-18 16:43 UTC already"):
        desk.close(trade, "1.0962")


def test_closing_without_a_price_takes_the_newest(desk):
    trade = desk.open(direction=Direction.SHORT).trade_id
    desk.price("1.0800")
    assert desk.close(trade).profit_loss == 54


def test_a_pair_that_nothing_gives_prices_of_is_closed_by_its_owner_alone(desk):
    made = desk.open(pair="BTC/USD", entry=Decimal(60000), stop=Decimal(59000), target=Decimal(62000))
    assert "Nothing gives prices of BTC/USD here, so only you can close this trade" in made.remark
    with pytest.raises(Refused, match="say at which price") as refused:
        desk.close(made.trade_id)
    assert refused.value.field == "price"
    with pytest.raises(Refused, match="above 0"):
        desk.close(made.trade_id, "0")
    assert desk.close(made.trade_id, "61000").profit_loss == 100


def test_a_closed_trade_is_edited_by_nobody(desk):
    trade = desk.open().trade_id
    desk.close(trade, "1.09")
    with pytest.raises(Refused, match="was closed"):
        desk.edit(trade, stop="1.0700")


def test_an_edit_is_recorded_with_what_was_before(desk):
    trade = desk.open().trade_id
    desk.edit(trade, target="1.1000")
    desk.edit(trade, target="1.1000")
    row = desk.trade(trade)
    assert (row["take_profit"], row["stop_loss"], row["levels_since"]) == (
        Decimal("1.1000"),
        Decimal("1.0800"),
        desk.now,
    )
    audit = desk.all("SELECT before, after FROM audit_log WHERE action = 'trade edit'")
    assert [(row["before"]["target"], row["after"]["target"]) for row in audit] == [("1.0962", "1.1000")]


def test_a_stranger_edits_nothing_and_learns_nothing(desk):
    trade = desk.open().trade_id
    for number in (trade, 987_654):
        with pytest.raises(tracked_trades.NoSuchTrade):
            desk.edit(number, desk.eve, stop="1.0700")
    assert desk.trade(trade)["stop_loss"] == Decimal("1.0800")


@pytest.mark.parametrize(("text", "number"), [("1.0854", "1.0854"), (" 60000 ", "60000")])
def test_a_typed_number_is_read_exactly(text, number):
    assert number_of(text, "entry") == Decimal(number)


@pytest.mark.parametrize(
    "text", ["", "1,0854", "60,000", "1e5", "-1", "+1", "one", "1.", "٣", "NaN", "9" * 13]
)
def test_what_is_no_plain_number_is_refused(text):
    with pytest.raises(Refused, match="write it with a point") as refused:
        number_of(text, "entry")
    assert refused.value.field == "entry"


@pytest.mark.parametrize(
    ("direction", "price", "stops"),
    [
        (Direction.LONG, "1.0908", ("1.0854", "1.0881", "1.0907")),
        (Direction.SHORT, "1.0800", ("1.0854", "1.0827", "1.0801")),
    ],
)
def test_d7_10_a_stop_goes_to_break_even_and_beyond_up_to_the_price_now(desk, direction, price, stops):
    trade = desk.open(direction=direction).trade_id
    desk.price(price)
    for stop in stops:
        assert desk.edit(trade, stop=stop).stop == Decimal(stop)
        assert desk.trade(trade)["stop_loss"] == Decimal(stop)
    with pytest.raises(Refused) as refused:
        desk.edit(trade, stop=price)
    assert refused.value.field == "stop"
    assert f"EUR/USD is at {price}0 now" in refused.value.sentence
    with pytest.raises(Refused) as refused:
        desk.edit(trade, target=price)
    assert refused.value.field == "target"


def test_without_a_price_stop_and_target_keep_their_sides(desk):
    trade = desk.open().trade_id
    assert desk.edit(trade, stop="1.0900").price is None
    with pytest.raises(Refused, match="different sides"):
        desk.edit(trade, target="1.0890")


@pytest.mark.parametrize("direction", list(Direction))
def test_d7_12_a_profit_is_the_same_wherever_it_is_read(desk, direction):
    """The row as it runs, its update, its close by hand and a close by the monitor all say one figure."""
    from tests.database.test_trade_judging import look

    desk.link(desk.ann, running_update_minutes=1)
    price = "1.0896" if direction is Direction.LONG else "1.0812"
    trade = desk.open(direction=direction, lots=Decimal("0.5")).trade_id
    desk.wait(minutes=5)
    desk.price(price)
    look(desk)
    runs, told = desk.trade(trade), desk.updates(trade, "price_update")[0]
    closed = desk.close(trade)
    row = desk.trade(trade)
    pips = {runs["current_pips"], told["current_pips"], closed.pips, row["pips"], row["current_pips"]}
    money = {
        runs["current_pnl"],
        told["current_pnl"],
        closed.profit_loss,
        row["profit_loss"],
        row["current_pnl"],
    }
    assert (pips, money) == ({Decimal(42)}, {Decimal(210)})
    assert "+42 pips (+$210)" in told["message"]
    assert "+42 pips (+$210)" in closed.message
