"""The rules of watched bots: which names and prefixes they may have, and who changes what."""

import pytest

from actions import watching as actions
from actions.acting import Refused
from tests.database.office import Office, open_office
from tests.database.test_setup_pages import words
from tests.database.test_watched_pages import tab
from tests.database.watched_desk import WatchedDesk


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.mark.parametrize(
    "prefix",
    ["", "/", "//", "a", "a/#", "+/a/", "a\0b/", "\x1b/", "$SYS/", "é" * 100 + "/", "dashtrade/", "dashtrade/x/",
     "polyspike/", "polyspike/a/", "taken/", "taken/below/"],
)  # fmt: skip
def test_a_prefix_that_cannot_be_watched_is_refused(office: Office, prefix: str) -> None:
    WatchedDesk(office.services.database, office.another_user().owner, prefix="taken/")
    with pytest.raises(Refused) as refused:
        actions.add(office.services, office.acting, name="bot", prefix=prefix)
    assert refused.value.field == "prefix"
    assert "eve@" not in refused.value.sentence


def test_a_prefix_around_another_is_refused_and_beside_it_taken(office: Office) -> None:
    WatchedDesk(office.services.database, office.another_user().owner, prefix="farm/one/")
    with pytest.raises(Refused):
        actions.add(office.services, office.acting, name="bot", prefix="farm/")
    assert actions.add(office.services, office.acting, name="two", prefix="farm/two/")
    # Of the same letters, yet not inside
    assert actions.add(office.services, office.acting, name="bot", prefix="far/")


def test_an_underscore_is_no_wildcard(office: Office) -> None:
    WatchedDesk(office.services.database, office.user.id, prefix="a_b/")
    assert actions.add(office.services, office.acting, name="bot", prefix="axb/")


@pytest.mark.parametrize("name", ["", "  ", "n" * 61, "a\u202eb"])
def test_a_name_that_cannot_be_shown_is_refused(office: Office, name: str) -> None:
    with pytest.raises(Refused) as refused:
        actions.add(office.services, office.acting, name=name, prefix="a/")
    assert refused.value.field == "name"


def test_two_bots_of_one_user_do_not_have_the_same_name(office: Office) -> None:
    first = actions.add(office.services, office.acting, name="Grid", prefix="a/")
    with pytest.raises(Refused, match="a bot named GRID already") as refused:
        actions.add(office.services, office.acting, name=" GRID ", prefix="b/")
    assert refused.value.field == "name"
    other = actions.add(office.services, office.acting, name="other", prefix="b/")
    with pytest.raises(Refused, match="a bot named grid already"):
        actions.rename(office.services, office.acting, other, "grid")
    actions.rename(office.services, office.acting, first, "GRID")
    assert actions.add(office.services, office.another_user(), name="Grid", prefix="c/")


def test_there_is_an_end_to_it(office: Office) -> None:
    for number in range(actions.MOST_BOTS):
        actions.add(office.services, office.acting, name=f"bot {number}", prefix=f"b{number}/")
    with pytest.raises(Refused, match="50 bots"):
        actions.add(office.services, office.acting, name="bot", prefix="another/")
    assert actions.add(office.services, office.another_user(), name="bot", prefix="another/")


def test_the_default_bot_stays_and_may_be_renamed(office: Office) -> None:
    desk = WatchedDesk(office.services.database, office.user.id, prefix="polyspike/")
    with office.services.database.transaction() as transaction:
        transaction.execute("UPDATE watched_bots SET is_default = true")
    with pytest.raises(Refused, match="not removed"):
        actions.remove(office.services, office.acting, desk.bot_id)
    actions.rename(office.services, office.acting, desk.bot_id, "  Poly   Spike ")
    assert desk.row()["name"] == "Poly Spike"
    assert "renamed, not removed" in words(tab(office, "Connect"))


def test_nobody_touches_anothers_bot(office: Office) -> None:
    desk = WatchedDesk(office.services.database, office.user.id)
    eve = office.another_user()
    for act in (
        lambda: actions.rename(office.services, eve, desk.bot_id, "mine"),
        lambda: actions.remove(office.services, eve, desk.bot_id),
    ):
        with pytest.raises(actions.NoSuchBot):
            act()
    assert desk.row()["name"] == "my bot"


def test_what_is_done_stands_in_the_audit_log(office: Office) -> None:
    bot_id = actions.add(office.services, office.acting, name="bot", prefix="a/")
    actions.rename(office.services, office.acting, bot_id, "tob")
    actions.remove(office.services, office.acting, bot_id)
    with office.services.database.transaction() as transaction:
        rows = transaction.all(
            "SELECT action FROM audit_log WHERE user_id = %s ORDER BY id", (office.user.id,)
        )
    assert [row["action"] for row in rows if row["action"].startswith("watched")] == [
        "watched bot add", "watched bot rename", "watched bot remove",
    ]  # fmt: skip
