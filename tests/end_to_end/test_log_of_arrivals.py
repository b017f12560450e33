"""What the webhook server and the Discord bot write of a signal stands under its id; what has none is under none."""

import pytest

from tests.discord_room.room import in_room, serving
from tests.log_lines import logged, named

ALERT = {"action": "buy", "symbol": "AAPL", "timeframe": "15"}


@pytest.fixture
def written():
    """Give signal and words of each line that is logged by our own parts."""
    with logged("webhook") as lines:
        yield lambda *names: [each for each in named(lines()) if each[1].startswith(names)]


def test_an_alert_its_copy_and_its_refusal(desk, ann, written):
    ann.bot()
    accepted = ann.send(**ALERT).json["signal_id"]
    ann.send(**ALERT)
    refused = ann.send(action="buy", symbol="MSFT\x1b[2J").json
    first, copy, other = written("accepted", "duplicate", "refused")
    assert first == (accepted, f"accepted from tradingview of user {ann.id}")
    assert copy == (accepted, f"duplicate from tradingview of user {ann.id}")
    assert other[0] == refused["signal_id"]
    assert f"refused from tradingview of user {ann.id}: {refused['code']}: " in other[1]
    assert "\x1b" not in other[1]


def test_no_token_is_in_any_line(desk, ann, written):
    ann.bot()
    ann.send(**ALERT)
    ann.send(path=f"/webhook/{ann.token}", **ALERT)
    assert not [words for _, words in written("") if ann.token in words]


def test_a_signal_of_a_channel_is_under_the_same_id_in_the_bot_and_the_server(desk, ann, written):
    async def play(room):
        room.register(ann)
        message = await room.ann.send(room.channel, room.long())
        [signal] = room.signals()
        uuid = str(signal["uuid"])
        assert [each for each in written("accepted from discord") if each[0] == uuid]
        assert [each for each in written(f"message {message.id} is STORED") if each[0] == uuid]
        room.work()
        await room.until(lambda: room.replies(message.id))
        assert {each[0] for each in written("decided", "order", "ended")} == {uuid}

    with serving(desk) as served:
        in_room(desk, served, play)
