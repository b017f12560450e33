"""Copies: TradingView sends again after a 5xx, people press twice, scripts repeat; each trades once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

BUY = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}
SELL = {"action": "sell", "symbol": "AAPL", "timeframe": "15"}
WITH_ID = {**BUY, "alert_id": "breakout-17"}
WITH_ID_AND_TIME = {**WITH_ID, "timenow": "2026-11-20T15:00:00Z"}
WITH_TIME = {**BUY, "timenow": "2026-11-20T15:00:00Z"}


def send(trader, alert, token=None):
    answer = trader.send(**alert, token=token)
    assert answer.status_code in (200, 202), answer.json
    assert (answer.status_code == 202) == (answer.json["status"] == "accepted")
    return answer.json["signal_id"] if answer.status_code == 202 else f"copy of {answer.json['signal_id']}"


def let_time_pass(desk, seconds):
    """Make everything that was received so much older."""
    with desk.database.transaction() as transaction:
        transaction.execute(
            "UPDATE signals SET received_at = received_at - %(by)s, last_copy_at = last_copy_at - %(by)s",
            {"by": timedelta(seconds=seconds)},
        )


@pytest.mark.parametrize("alert", [BUY, WITH_TIME, WITH_ID, WITH_ID_AND_TIME])
def test_a_copy_is_answered_with_the_first_ones_id_and_counted(desk, ann, alert):
    ann.bot()
    first = send(ann, alert)
    assert [send(ann, alert) for _ in range(3)] == [f"copy of {first}"] * 3
    [stored] = ann.signals()
    assert (str(stored["uuid"]), stored["duplicates"]) == (first, 3)
    assert stored["last_copy_at"] > stored["received_at"]
    assert desk.value("SELECT bells FROM lanes") == 1


@pytest.mark.parametrize("alert", [BUY, WITH_ID_AND_TIME])
def test_of_twenty_copies_at_once_exactly_one_is_accepted(desk, ann, alert):
    ann.bot()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: desk.app.test_client().post(
            f"/webhook?token={ann.token}", json=alert), range(20)))  # fmt: skip
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 19 + [202]
    [stored] = ann.signals()
    assert {answer.json["signal_id"] for answer in answers} == {str(stored["uuid"])}
    assert (stored["number"], stored["duplicates"]) == (1, 19)


@pytest.mark.parametrize("alert", [BUY, WITH_TIME])
def test_buy_sell_buy_within_a_minute_are_three_signals(ann, alert):
    ann.bot()
    ids = [send(ann, each) for each in (alert, SELL, alert)]
    assert len(set(ids)) == 3
    assert [each["number"] for each in ann.signals()] == [1, 2, 3]
    assert send(ann, alert) == f"copy of {ids[2]}"


def test_an_id_with_a_time_is_a_copy_even_after_another_signal(ann):
    ann.bot()
    first = send(ann, WITH_ID_AND_TIME)
    send(ann, SELL)
    assert send(ann, WITH_ID_AND_TIME) == f"copy of {first}"


def test_an_id_without_a_time_is_a_new_signal_after_another(ann):
    ann.bot()
    first = send(ann, WITH_ID)
    send(ann, SELL)
    assert send(ann, WITH_ID) not in (first, f"copy of {first}")


class TestTheWindow:
    def test_it_ends_after_thirty_seconds(self, desk, ann):
        ann.bot()
        first = send(ann, BUY)
        let_time_pass(desk, 31)
        assert send(ann, BUY) not in (first, f"copy of {first}")

    def test_it_slides_with_each_copy(self, desk, ann):
        ann.bot()
        first = send(ann, BUY)
        for _ in range(3):
            let_time_pass(desk, 25)
            assert send(ann, BUY) == f"copy of {first}"

    @pytest.mark.parametrize("alert", [WITH_ID, WITH_ID_AND_TIME])
    def test_an_id_outlives_it_with_the_same_body(self, desk, ann, alert):
        ann.bot()
        first = send(ann, alert)
        let_time_pass(desk, 3600)
        assert send(ann, alert) == f"copy of {first}"

    def test_an_id_is_nothing_with_another_body(self, ann):
        ann.bot()
        send(ann, WITH_ID)
        assert not send(ann, {**WITH_ID, "price": "143.12"}).startswith("copy")


class TestWhatIsNoCopy:
    def test_another_users_same_alert(self, desk, ann):
        bob = desk.trader("bob@example.org")
        ann.bot(), bob.bot()
        assert not send(ann, BUY).startswith("copy")
        assert not send(bob, BUY).startswith("copy")

    def test_the_same_alert_to_another_connection(self, ann):
        second = ann.connection("Second")
        ann.bot(), ann.bot(name="Second", connection_id=second)
        tokens = [ann.bound_token(each) for each in (ann.connection_id, second)]
        assert not [each for each in (send(ann, BUY, token) for token in tokens) if each.startswith("copy")]

    def test_a_signal_of_another_bot_in_between_does_not_part_copies(self, ann):
        ann.bot(), ann.bot(timeframe="5 Min")
        first = send(ann, BUY)
        send(ann, {**SELL, "timeframe": "5"})
        assert send(ann, BUY) == f"copy of {first}"

    def test_the_resend_of_a_refused_one_whose_bot_was_made_meanwhile(self, ann):
        assert ann.send(**WITH_ID_AND_TIME).status_code == 404
        ann.bot()
        first = send(ann, WITH_ID_AND_TIME)
        assert send(ann, WITH_ID_AND_TIME) == f"copy of {first}"
        assert [each["state"] for each in ann.signals()] == ["REFUSED", "STORED"]

    def test_a_test_before_the_real_one(self, ann):
        ann.bot()
        assert ann.send(**BUY, test=True).status_code == 200
        assert not send(ann, BUY).startswith("copy")

    def test_what_the_engine_refused_still_counts_as_accepted(self, desk, ann):
        ann.bot()
        first = send(ann, WITH_ID)
        with desk.database.transaction() as transaction:
            transaction.execute("UPDATE signals SET state = 'REFUSED', code = 'COOLDOWN', sentence = 'Wait.'")
        assert send(ann, WITH_ID) == f"copy of {first}"


def test_a_refused_alert_between_copies_does_not_part_them(ann):
    ann.bot()
    first = send(ann, BUY)
    assert ann.send(action="sell", symbol="AAPL", timeframe="15", market_position="long").status_code == 422
    assert send(ann, BUY) == f"copy of {first}"


def test_through_two_tokens_of_one_user_it_is_still_one_signal(desk, ann):
    ann.bot()
    first = send(ann, BUY)
    assert send(ann, BUY, ann.bound_token(ann.connection_id)) == f"copy of {first}"
