"""What was decided stands, whatever becomes of the message that shows it."""

import pytest

from tests.discord_room.room import in_room, serving
from tests.end_to_end.test_reversal_buttons import FORM, newest, said, signal, told, trades


@pytest.fixture
def served(desk):
    with serving(desk) as served:
        yield served


def no_edits(room, person, status):
    channel = person.dm_channel.id
    room.env.inject_error("PATCH", f"/channels/{channel}/messages/*", status=status, times=None)


@pytest.mark.parametrize("status", [400, 403, 503])
def test_who_ignored_a_signal_is_not_told_that_it_failed(desk, ann, served, status):
    async def play(room):
        number, person = await signal(room, ann)
        no_edits(room, person, status)
        answer = await person.click(newest(person), label="Ignore")
        assert told(desk, number)["answer"] == "ignored"
        assert [each.content for each in answer.followups] == []

    in_room(desk, served, play)


@pytest.mark.parametrize("status", [400, 503])
def test_who_opened_a_trade_is_told_of_it_alone(desk, ann, served, status):
    async def play(room):
        _, person = await signal(room, ann)
        shown = await person.click(newest(person), label="Open Trade")
        no_edits(room, person, status)
        answer = await person.submit_modal(shown, FORM)
        assert said(answer).content.startswith("✅ **Trade opened**")
        assert [each.content for each in answer.followups if "failed" in each.content] == []
        assert len(trades(desk)) == 1

    in_room(desk, served, play)
