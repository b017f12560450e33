"""Each action does what it says, writes it down, and refuses another user's things in words."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from actions import bots as bot_actions
from actions import connections as connection_actions
from actions import practice
from actions import tokens as token_actions
from actions.acting import Acting, Refused, Tools
from actions.connections import Wish
from brokers.base import BrokerName, Mode
from core.errors import Rejected
from database import audit, bot_list, bots, connections
from database.kill_switch import Wanted
from database.pool import Row
from tests.alpaca_server.local import Control, running_server
from tests.database.office import Office, open_office

KEYS = {"api_key": "PKTEST0123456789", "api_secret": "the secret of a test"}


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def alpaca(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[Control]:
    """Run Alpaca's double, with the account of `KEYS`; before `office`, which reads the settings."""
    with running_server() as broker:
        broker.account(KEYS["api_key"], KEYS["api_secret"])
        monkeypatch.setenv("APCA_API_BASE_URL", broker.url)
        monkeypatch.setenv("APCA_API_DATA_URL", broker.url)
        yield broker


def paper(office: Office, label: str = "paper") -> int:
    return connection_actions.connect_paper(office.services, office.acting, label).id


def wish(label: str = "Mine", mode: Mode = Mode.PAPER, **more: object) -> Wish:
    return Wish(broker=BrokerName.ALPACA, mode=mode, label=label, **{"credentials": KEYS, **more})


def a_bot(office: Office, connection_id: int, symbol: str = "BTC/USD", **more: object) -> int:
    made = bot_actions.create(
        office.services, office.acting, connection_id=connection_id, symbol=symbol, timeframe="15 Min",
        position_size=Decimal(5000), **more,
    )  # fmt: skip
    return made.id


def place(office: Office, connection_id: int) -> Row | None:
    with office.services.database.transaction() as transaction:
        return connections.shown_connection(transaction, office.user.id, connection_id)


def recorded(office: Office) -> list[str]:
    with office.services.database.transaction() as transaction:
        return [row["action"] for row in reversed(audit.newest(transaction, user_id=office.user.id))]


def hold(office: Office, bot_id: int, quantity: str) -> None:
    with office.services.database.transaction() as transaction:
        sql = "UPDATE user_bot_configs SET quantity = %s, average_price = 100 WHERE id = %s"
        transaction.execute(sql, (Decimal(quantity), bot_id))


def test_keys_are_tried_sealed_and_kept_with_limits(alpaca: Control, office: Office) -> None:
    tools = office.services
    with pytest.raises(Rejected):
        connection_actions.connect(
            tools, office.acting, wish(credentials=KEYS | {"api_secret": "a wrong one"})
        )
    made = connection_actions.connect(
        tools, office.acting, wish(" My  Alpaca ", max_open_positions=3, max_position_size=Decimal(900))
    )
    row = place(office, made.id)
    assert row is not None
    assert (row["label"], row["credentials_prefix"], row["status"]) == ("My Alpaca", "PKTE…", "OK")
    assert (row["max_open_positions"], row["max_position_size"]) == (3, 900)
    assert recorded(office) == ["connect"]


def test_a_live_connection_needs_its_name_typed(alpaca: Control, office: Office) -> None:
    for confirmation in (None, "", "mine", "yes"):
        with pytest.raises(Refused) as refused:
            connection_actions.connect(
                office.services, office.acting, wish(mode=Mode.LIVE, confirmation=confirmation)
            )
        assert refused.value.field == "confirmation"
    # Confirmed, it goes on to the broker: the double is not the live Alpaca, and that is noticed.
    with pytest.raises(Rejected, match="this connection is live"):
        connection_actions.connect(office.services, office.acting, wish(mode=Mode.LIVE, confirmation="Mine"))
    with office.services.database.transaction() as transaction:
        assert connections.shown_connections(transaction, office.user.id) == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"label": "  "}, "label"),
        ({"label": "paper"}, "label"),
        ({"credentials": {"api_key": "k"}}, "api_secret"),
        ({"mode": Mode.DEMO}, "mode"),
    ],
)
def test_what_cannot_be_connected_names_its_field(
    office: Office, more: dict[str, object], field: str
) -> None:
    paper(office)
    with pytest.raises(Refused) as refused:
        connection_actions.connect(office.services, office.acting, wish(**more))
    assert refused.value.field == field


def test_new_keys_must_be_of_the_account_that_holds_what_the_bots_hold(
    alpaca: Control, office: Office
) -> None:
    tools = office.services
    made = connection_actions.connect(tools, office.acting, wish())
    bot = a_bot(office, made.id, "AAPL")
    hold(office, bot, "5")
    alpaca.holding(KEYS["api_key"], "AAPL", 5)
    other = {"api_key": "PKOTHER", "api_secret": "another secret"}
    alpaca.account(*other.values())
    with pytest.raises(Refused, match=r"another account.*5 AAPL"):
        connection_actions.replace_keys(tools, office.acting, made.id, other)
    alpaca.holding("PKOTHER", "AAPL", 5)
    assert connection_actions.replace_keys(tools, office.acting, made.id, other) is None
    row = place(office, made.id)
    assert row is not None
    assert row["credentials_prefix"] == "PKOT…"


def test_a_check_says_what_the_broker_says(alpaca: Control, office: Office) -> None:
    made = connection_actions.connect(office.services, office.acting, wish())
    assert connection_actions.check(office.services, office.acting, made.id) is None
    alpaca.fault("answer_before", method="GET", path="/v2/account", status=401,
                 body='{"message": "unauthorized."}')  # fmt: skip
    said = connection_actions.check(office.services, office.acting, made.id)
    row = place(office, made.id)
    assert row is not None
    assert (row["status"], row["last_error"]) == ("PROBLEM", said)


def test_a_connection_is_removed_only_without_bots_and_its_trades_stay(office: Office) -> None:
    used, unused = paper(office), paper(office, "second")
    bot = a_bot(office, used)
    with pytest.raises(Refused, match=r"delete them first: BTC/USD 15 Min"):
        connection_actions.remove(office.services, office.acting, used)
    bot_actions.archive(office.services, office.acting, bot)
    connection_actions.remove(office.services, office.acting, used)
    connection_actions.remove(office.services, office.acting, unused)
    assert place(office, used) is None
    with office.services.database.transaction() as transaction:
        rows = transaction.all("SELECT id, archived_at FROM user_api_keys")
        assert [row["id"] for row in rows if row["archived_at"]] == [used]
        assert bots.all_connections(transaction) == []
    # The name is free again.
    assert paper(office) not in (used, unused)


def test_a_bot_is_made_on_the_brokers_own_symbol(office: Office) -> None:
    at = paper(office)
    made = bot_actions.create(
        office.services, office.acting, connection_id=at, symbol=" NASDAQ:aapl ", timeframe="15",
        position_size=Decimal(100),
    )  # fmt: skip
    assert (made.name, made.instrument.symbol) == ("AAPL 15 Min", "AAPL")
    coin = bot_actions.create(
        office.services, office.acting, connection_id=at, symbol="btcusd", timeframe=None,
        position_size=Decimal(100),
    )  # fmt: skip
    assert (coin.name, coin.remark) == (
        "BTC/USD any timeframe", "BTC/USD cannot be sold short: a sell signal only closes."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"symbol": ""}, "symbol"),
        ({"symbol": "NO SUCH"}, "symbol"),
        ({"symbol": "AAPL"}, "symbol"),
        ({"timeframe": "soon"}, "timeframe"),
        ({"position_size": Decimal(0)}, "position_size"),
        ({"stop_loss_percent": Decimal(100)}, "stop_loss_percent"),
        ({"daily_loss_limit": Decimal(-1)}, "daily_loss_limit"),
        ({"window_zone": "Mars/Olympus"}, "window_zone"),
        ({"name": "aapl 15 min", "timeframe": "1h"}, "name"),
        ({"connection_id": 99}, "connection"),
    ],
)
def test_what_cannot_be_a_bot_names_its_field(office: Office, more: dict[str, object], field: str) -> None:
    at = paper(office)
    a_bot(office, at, "AAPL")
    wanted = {"connection_id": at, "symbol": "MSFT", "timeframe": "15 Min", "position_size": Decimal(1)}
    if field == "name":
        wanted["symbol"] = "AAPL"
    with pytest.raises(Refused) as refused:
        bot_actions.create(office.services, office.acting, **{**wanted, **more})
    assert refused.value.field == field


def test_an_edit_keeps_and_records_what_changed(office: Office) -> None:
    bot = a_bot(office, paper(office), risk_limit_percent=Decimal(10))
    bot_actions.edit(
        office.services, office.acting, bot, timeframe="1h", position_size=Decimal(5000),
        risk_limit_percent=None, cooldown_minutes=5,
    )  # fmt: skip
    with office.services.database.transaction() as transaction:
        row = bots.bot_row(transaction, bot)
        newest = audit.newest(transaction, user_id=office.user.id)[0]
    assert (row["timeframe"], row["risk_limit_percent"], row["cooldown_minutes"]) == ("1 Hour", None, 5)
    assert newest["before"] == {"timeframe": "15 Min", "risk_limit_percent": "10", "cooldown_minutes": 0}
    assert newest["after"] == {"timeframe": "1 Hour", "risk_limit_percent": None, "cooldown_minutes": 5}


def test_a_bot_that_holds_something_is_closed_before_it_is_put_away(office: Office) -> None:
    bot = a_bot(office, paper(office))
    hold(office, bot, "0.5")
    with pytest.raises(Refused, match=r"holds 0\.5 BTC/USD: close it first"):
        bot_actions.archive(office.services, office.acting, bot)
    closing = bot_actions.close_and_archive(office.services, office.acting, bot, sentence="Away.")
    assert (closing.quantity, closing.already) == (Decimal("0.5"), False)
    again = bot_actions.close(office.services, office.acting, bot, sentence="Again.")
    assert again.already
    with office.services.database.transaction() as transaction:
        assert bots.archive_closed(transaction) == []
        assert not bots.bot_row(transaction, bot)["is_active"]
        transaction.execute("UPDATE bot_risk_events SET state = 'DONE'")
        transaction.execute("UPDATE user_bot_configs SET quantity = 0")
        assert [row["id"] for row in bots.archive_closed(transaction)] == [bot]
        assert bot_list.bot_card(transaction, office.user.id, bot) is None


def test_a_bot_that_is_enabled_meanwhile_stays(office: Office) -> None:
    bot = a_bot(office, paper(office))
    hold(office, bot, "0.5")
    bot_actions.close_and_archive(office.services, office.acting, bot, sentence="Away.")
    bot_actions.switch(office.services, office.acting, bot, active=True)
    with office.services.database.transaction() as transaction:
        transaction.execute("UPDATE bot_risk_events SET state = 'DONE'")
        transaction.execute("UPDATE user_bot_configs SET quantity = 0")
        assert bots.archive_closed(transaction) == []


def test_dust_does_not_keep_a_bot(office: Office) -> None:
    bot = a_bot(office, paper(office))
    hold(office, bot, "0.000000001")
    bot_actions.archive(office.services, office.acting, bot)


def test_a_close_under_a_halted_switch_says_that_it_waits(office: Office) -> None:
    bot = a_bot(office, paper(office))
    hold(office, bot, "0.5")
    bot_actions.set_switch(office.services, office.acting, bot, Wanted.HALTED)
    assert bot_actions.close(office.services, office.acting, bot, sentence="x").waits_for == "this bot"


def test_pausing_all_leaves_each_bots_own_state(office: Office) -> None:
    at = paper(office)
    first, second = a_bot(office, at), a_bot(office, at, "ETH/USD")
    bot_actions.switch(office.services, office.acting, second, active=False)
    assert bot_actions.pause_all(office.services, office.acting).after is Wanted.REDUCING
    assert bot_actions.resume_all(office.services, office.acting).after is Wanted.ACTIVE
    with office.services.database.transaction() as transaction:
        assert [bots.bot_row(transaction, bot)["is_active"] for bot in (first, second)] == [True, False]


Deed = Callable[[Tools, Acting, int], object]
DEEDS_TO_A_BOT: dict[str, Deed] = {
    "edit": lambda tools, acting, bot: bot_actions.edit(tools, acting, bot, position_size=Decimal(1)),
    "switch": lambda tools, acting, bot: bot_actions.switch(tools, acting, bot, active=False),
    "close": lambda tools, acting, bot: bot_actions.close(tools, acting, bot, sentence="x"),
    "archive": bot_actions.archive,
    "close and archive": lambda tools, acting, bot: bot_actions.close_and_archive(
        tools, acting, bot, sentence="x"
    ),
    "kill switch": lambda tools, acting, bot: bot_actions.set_switch(tools, acting, bot, Wanted.HALTED),
    "test alert": practice.send_alert,
}
DEEDS_TO_A_CONNECTION: dict[str, Deed] = {
    "keys": lambda tools, acting, place: connection_actions.replace_keys(tools, acting, place, KEYS),
    "check": connection_actions.check,
    "edit": lambda tools, acting, place: connection_actions.edit(tools, acting, place, allow_netting=True),
    "remove": connection_actions.remove,
    "bot": lambda tools, acting, place: bot_actions.create(
        tools, acting, connection_id=place, symbol="AAPL", timeframe=None, position_size=Decimal(1)
    ),
    "practice bot": practice.practice_bot,
    "token": lambda tools, acting, place: token_actions.generate(
        tools, acting, name="x", connection_id=place
    ),
}
DEEDS_TO_A_TOKEN: dict[str, Deed] = {
    "show": token_actions.show,
    "rotate": token_actions.rotate,
    "revoke": token_actions.revoke,
}


@pytest.mark.parametrize("deed", DEEDS_TO_A_BOT.values(), ids=DEEDS_TO_A_BOT)
def test_nobody_touches_anothers_bot(office: Office, deed: Deed) -> None:
    bot = a_bot(office, paper(office))
    hold(office, bot, "0.5")
    with office.services.database.transaction() as transaction:
        before = bots.bot_row(transaction, bot)
    with pytest.raises(Refused, match="no such bot"):
        deed(office.services, office.another_user(), bot)
    with office.services.database.transaction() as transaction:
        assert bots.bot_row(transaction, bot) == before


@pytest.mark.parametrize("deed", DEEDS_TO_A_CONNECTION.values(), ids=DEEDS_TO_A_CONNECTION)
def test_nobody_touches_anothers_connection(office: Office, deed: Deed) -> None:
    at = paper(office)
    before = place(office, at)
    with pytest.raises(Refused, match="no such connection"):
        deed(office.services, office.another_user(), at)
    assert place(office, at) == before


@pytest.mark.parametrize("deed", DEEDS_TO_A_TOKEN.values(), ids=DEEDS_TO_A_TOKEN)
def test_nobody_touches_anothers_token(office: Office, deed: Deed) -> None:
    text = token_actions.generate(office.services, office.acting, name="TradingView")
    with pytest.raises(Refused, match="no such webhook URL"):
        deed(office.services, office.another_user(), 1)
    assert token_actions.show(office.services, office.acting, 1) == text


def test_a_token_is_never_written_into_the_audit_log(office: Office) -> None:
    text = token_actions.generate(office.services, office.acting, name="TradingView")
    new = token_actions.rotate(office.services, office.acting, 1)
    token_actions.revoke(office.services, office.acting, 1)
    with office.services.database.transaction() as transaction:
        written = str(audit.newest(transaction))
    assert text not in written
    assert new not in written
    assert recorded(office) == ["token add", "token rotate", "token revoke"]


def test_a_test_alert_says_what_comes_first(office: Office) -> None:
    def refusal() -> str:
        with pytest.raises(Refused) as refused:
            practice.send_alert(office.services, office.acting)
        return refused.value.sentence

    assert "there is no such bot yet" in refusal()
    at = paper(office)
    a_bot(office, at)
    assert "generate one first" in refusal()
    token_actions.generate(office.services, office.acting, name="TradingView")
    # No webhook server runs in this test.
    assert "does not answer" in refusal()


def test_a_test_alert_never_goes_to_a_live_connection(office: Office) -> None:
    at = paper(office)
    bot = a_bot(office, at)
    token_actions.generate(office.services, office.acting, name="TradingView")
    with office.services.database.transaction() as transaction:
        transaction.execute("UPDATE user_api_keys SET mode = 'live'")
    for wanted in (None, bot):
        with pytest.raises(Refused, match="no such bot yet"):
            practice.send_alert(office.services, office.acting, wanted)
