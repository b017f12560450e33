"""Setup, My Bots and the first-run checklist in each state: empty, normal, broker or database down, live."""

from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from actions import bots as bot_actions
from actions import connections as connection_actions
from actions import practice
from actions import tokens as token_actions
from actions.acting import Refused
from core.bot import ConnectionStatus
from database import bot_list, bots
from tests.database.office import Office, open_office, with_database
from ui import first_run
from ui.trading_bot import my_bots, setup

PARTS = {"Setup": setup.draw, "My Bots": my_bots.draw, "checklist": first_run.draw}


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def settled(office: Office) -> Office:
    """Give an office with a connection, a webhook URL and a bot."""
    connection_actions.connect_paper(office.services, office.acting)
    token_actions.generate(office.services, office.acting, name="TradingView")
    bot_actions.create(
        office.services, office.acting, connection_id=1, symbol="BTC/USD", timeframe="15 Min",
        position_size=Decimal(5000), risk_limit_percent=Decimal(10),
    )  # fmt: skip
    return office


def words(page: AppTest) -> str:
    """Return everything that a page says."""
    assert not page.exception, page.exception[0]
    kinds = ("markdown", "caption", "error", "warning", "info", "success", "subheader", "code")
    shown = "\n".join(str(each.value) for kind in kinds for each in getattr(page, kind))
    return shown.replace("\\", "")


def press(page: AppTest, label: str) -> AppTest:
    """Press the button of that label."""
    (button,) = [each for each in page.button if each.label == label]
    return button.click().run()


def adding(office: Office) -> AppTest:
    """Return My Bots with the form for a new bot open."""
    page = office.draw(my_bots.draw)
    page.session_state["add-bot"] = True
    return page.run()


def row_of(office: Office, bot_id: int = 1) -> dict[str, object]:
    with office.services.database.transaction() as transaction:
        return bots.bot_row(transaction, bot_id)


def test_empty_says_what_to_do(office: Office) -> None:
    page = office.draw(setup.draw)
    assert "It needs no keys" in words(page)
    assert {"Connect the paper broker", "Generate Webhook URL"} <= {each.label for each in page.button}
    assert "Connect a broker first" in words(office.draw(my_bots.draw))


def test_setup_connects_and_says_so(office: Office) -> None:
    page = press(office.draw(setup.draw), "Connect the paper broker")
    assert "paper is connected." in words(page)
    assert "● connected" in words(page)


def test_the_form_of_a_broker_asks_for_what_its_adapter_declares(office: Office) -> None:
    page = office.draw(setup.draw)
    page.segmented_control(key="connect-broker").set_value("alpaca").run()
    labels = [each.label for each in page.text_input]
    assert {"API key ID", "API secret key"} <= set(labels)
    page = press(page, "Save API Keys")
    assert "API key ID is missing" in words(page)


def test_live_warns_and_needs_the_name(office: Office) -> None:
    page = office.draw(setup.draw)
    page.segmented_control(key="connect-broker").set_value("alpaca").run()
    page.segmented_control(key="connect-mode-alpaca").set_value("live").run()
    assert "real money" in words(page)
    page.text_input(key="connect-alpaca-live-api_key").set_value("k")
    page.text_input(key="connect-alpaca-live-api_secret").set_value("s")
    page = press(page, "Save API Keys")
    assert "type the name of the connection: alpaca live" in words(page)


def test_setup_shows_a_url_on_a_click_alone(settled: Office) -> None:
    page = settled.draw(setup.draw)
    text = token_actions.show(settled.services, settled.acting, 1)
    assert text not in words(page)
    assert f"{text[:8]}…" in words(page)
    assert f"/user/{settled.user.id}/positions?token=YOUR_TOKEN" in words(page)
    page = press(page, "Show")
    assert f"http://localhost:8080/webhook?token={text}" in words(page)
    assert f"/user/{settled.user.id}/bots?token={text}" in words(page)
    assert text not in words(press(page, "Hide"))


def test_a_url_is_rotated_and_revoked(settled: Office) -> None:
    old = token_actions.show(settled.services, settled.acting, 1)
    page = press(settled.draw(setup.draw), "Rotate it")
    assert "TradingView has a new URL." in words(page)
    assert old not in words(page)
    page = press(page, "Revoke it")
    assert "is revoked" in words(page)
    assert "Generate Webhook URL" in [each.label for each in page.button]


def test_the_connections_limits_are_kept_and_wrong_ones_explained(settled: Office) -> None:
    page = settled.draw(setup.draw)
    page.text_input(key="limits-1-most").set_value("many")
    assert "'many' is not a whole number" in words(press(page, "Save limits"))
    page.text_input(key="limits-1-most").set_value("3")
    page.text_input(key="limits-1-size").set_value("2,500")
    page = press(page, "Save limits")
    assert "at most 3 positions, at most $2,500 each, no netting" in words(page)


def test_a_broken_connection_shows_its_last_error(settled: Office) -> None:
    with settled.services.database.transaction() as transaction:
        bots.note_connection(
            transaction, 1, ConnectionStatus.PROBLEM, "unauthorized.", settled.user.created_at
        )
    said = words(settled.draw(setup.draw))
    assert "✕ problem" in said
    assert "unauthorized" in said
    assert "Its connection has a problem" in words(settled.draw(my_bots.draw))


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_without_the_database_a_page_stays_calm(
    office: Office, part: object, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    with_database(f"postgresql://u:p@127.0.0.1:{free_port}/d", monkeypatch)
    assert "The database does not answer at present" in words(office.draw(part))


def test_my_bots_shows_a_card(settled: Office) -> None:
    said = words(settled.draw(my_bots.draw))
    assert "BTC/USD 15 Min" in said
    assert "○ READY" in said
    assert "5,000.00 per trade" in said
    assert "**1** bot ·" in said
    assert "No signal came yet." in said


def test_a_bot_is_made_with_every_limit(settled: Office) -> None:
    page = adding(settled)
    typed = {
        "symbol": "aapl", "size": "$2,500", "risk": "5", "daily_loss_limit": "300", "stop_loss_percent": "1.5",
        "age": "60", "from": "22:00", "to": "04:30", "zone": "UTC",
    }  # fmt: skip
    for name, text in typed.items():
        page.text_input(key=f"new-{name}").set_value(text)
    page.selectbox(key="new-timeframe").set_value("1 Hour")
    page = press(page, "Create Bot")
    assert "Bot AAPL 1 Hour is ready" in words(page)
    assert [page.text_input(key=f"new1-{name}").value for name in ("symbol", "size")] == ["", "5,000"]
    row = row_of(settled, 2)
    assert (row["position_size"], row["risk_limit_percent"], row["daily_loss_limit"]) == (2500, 5, 300)
    assert (row["max_signal_age_seconds"], row["window_zone"], str(row["window_end"])) == (
        60,
        "UTC",
        "04:30:00",
    )


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("symbol", "NO SUCH", "does not trade NO SUCH"),
        ("symbol", "", "Say which symbol"),
        ("size", "much", "'much' is not a number above 0"),
        ("size", "-5", "'-5' is not a number above 0"),
        ("risk", "NaN", "'NaN' is not a number above 0"),
        ("from", "9:30", "'9:30' is not a time such as 09:30"),
        ("from", "09:30", "need a start and another end"),
    ],
)
def test_a_wrong_entry_is_explained(settled: Office, key: str, text: str, said: str) -> None:
    page = adding(settled)
    page.text_input(key="new-symbol").set_value("MSFT")
    page.text_input(key=f"new-{key}").set_value(text)
    page = press(page, "Create Bot")
    assert said in words(page)
    assert page.text_input(key=f"new-{key}").value == text
    with settled.services.database.transaction() as transaction:
        assert bot_list.count_bots(transaction, settled.user.id)["total"] == 1


def test_a_bot_is_paused_edited_and_deleted(settled: Office) -> None:
    page = settled.draw(my_bots.draw)
    page = press(page, "Disable")
    assert "disabled; its exits still pass" in words(page)
    page = press(press(page, "Pause all bots"), "Resume all bots")
    page = press(page, "Details")
    page.text_input(key="bot-1-size").set_value("750")
    page.text_input(key="bot-1-name").set_value("Mine")
    page = press(page, "Save")
    assert (row_of(settled)["position_size"], row_of(settled)["name"]) == (750, "Mine")
    assert "Delete" in [each.label for each in page.button if each.disabled]
    page.checkbox(key="agree-1-False").check().run()
    page = press(page, "Delete")
    assert "Mine is deleted" in words(page)
    assert row_of(settled)["archived_at"] is not None


def test_a_bot_that_holds_something_offers_to_close_first(settled: Office) -> None:
    with settled.services.database.transaction() as transaction:
        transaction.execute("UPDATE user_bot_configs SET quantity = -0.5, average_price = 60000")
    page = press(settled.draw(my_bots.draw), "Details")
    assert "holds SHORT 0.5 BTC/USD" in words(page)
    page.checkbox(key="agree-1-True").check().run()
    page = press(page, "Close and delete")
    assert "It is deleted when the close is final" in words(page)
    assert "⏳ closing, then deleted" in words(page)
    assert row_of(settled)["archive_when_closed"]


def test_another_users_bot_in_the_address_looks_like_none(settled: Office) -> None:
    stranger = settled.another_user()
    at = connection_actions.connect_paper(settled.services, stranger).id
    theirs = bot_actions.create(
        settled.services, stranger, connection_id=at, symbol="ETH/USD", timeframe=None,
        position_size=Decimal(1), name="Secret",
    ).id  # fmt: skip
    page = settled.draw(my_bots.draw)
    page.query_params["bot"] = str(theirs)
    said = words(page.run())
    assert f"There is no bot {theirs}." in said
    assert "Secret" not in said


def test_the_list_is_paged_and_searched(settled: Office) -> None:
    for symbol in ("ETH/USD", "SOL/USD", "XRP/USD", "ADA/USD"):
        for timeframe in ("15 Min", "1 Hour", "4 Hour"):
            bot_actions.create(
                settled.services, settled.acting, connection_id=1, symbol=symbol, timeframe=timeframe,
                position_size=Decimal(1),
            )  # fmt: skip
    page = settled.draw(my_bots.draw)
    assert sum("at a time" in each.label or each.label == "Details" for each in page.button) == my_bots.PAGE
    page.text_input(key="find-bot").set_value("ada").run()
    assert sum(each.label == "Details" for each in page.button) == 3


def test_the_checklist_leads_step_by_step(office: Office) -> None:
    page = office.draw(first_run.draw)
    assert "Your first trade" in words(page)
    for done, label in enumerate(
        ("Connect the paper broker", "Generate Webhook URL", "Create a practice bot")
    ):
        assert page.get("progress")[0].proto.text == f"{done} of 5 steps done"
        page = press(page, label)
    # No webhook server runs in this test, and the page says so.
    page = press(page, "Send a test alert")
    assert "The webhook server does not answer" in words(page)
    assert row_of(office)["risk_limit_percent"] == 10


def test_the_checklist_is_gone_a_while_after_the_first_trade(settled: Office) -> None:
    with settled.services.database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO bot_trades (user_id, bot_config_id, symbol, action, side, status, filled_qty,
                                    filled_price, updated_at)
            VALUES (%s, 1, 'BTC/USD', 'BUY', 'BUY', 'FILLED', 0.5, 60000, now())
            """,
            (settled.user.id,),
        )
    said = words(settled.draw(first_run.draw))
    assert "You are set up" in said
    assert "bought 0.5 BTC/USD at 60,000.00" in said
    with settled.services.database.transaction() as transaction:
        transaction.execute("UPDATE bot_trades SET updated_at = now() - interval '1 hour'")
    assert words(settled.draw(first_run.draw)) == ""


def test_a_live_or_broken_connection_does_not_serve_for_the_test_trade(office: Office) -> None:
    connection_actions.connect_paper(office.services, office.acting, "mine")
    with office.services.database.transaction() as transaction:
        transaction.execute("UPDATE user_api_keys SET mode = 'live'")
    page = office.draw(first_run.draw)
    assert "a test trade needs play money" in words(page)
    with pytest.raises(Refused, match="trades real money"):
        practice.practice_bot(office.services, office.acting, 1)
    with office.services.database.transaction() as transaction:
        transaction.execute(
            "UPDATE user_api_keys SET mode = 'paper', status = 'PROBLEM', last_error = 'Oh no'"
        )
    assert "mine: Oh no" in words(page.run())
    assert "1 of 5" in press(page, "Connect the paper broker").get("progress")[0].proto.text
