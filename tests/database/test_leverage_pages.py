"""Leverage, margin and protection in parts: a bot's fields, its card, positions, trades; and keys' warnings."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from actions import bots as bot_actions
from actions import connections as connection_actions
from actions import signal_channels
from core.order import MarginMode
from database import bots
from database.pool import Row
from tests.database.office import Office, open_office
from tests.database.test_channel_pages import ROOM, lending_connection
from tests.database.test_setup_pages import press, words
from ui import overview, tables
from ui.trading_bot import my_bots, position_card, setup

NEXT_YEAR = datetime(2027, 5, 4, 12, 30, tzinfo=UTC)
WITHDRAWS = "THIS KEY MAY WITHDRAW MONEY. Delete it and make another."
POSITION: Row = {
    "quantity": Decimal("0.5"), "account_quantity": Decimal("0.5"), "average_price": Decimal(60_000),
    "current_price": Decimal(60_000), "leverage": Decimal(10), "margin_mode": "isolated", "margin": Decimal(3000),
    "liquidation_price": Decimal(54_000), "targets": None, "break_even_after": None, "trail_distance": None,
    "trail_from": None, "trail_best": None, "close_at": None,
}  # fmt: skip


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Give an office with a paper connection and a bot."""
    made = open_office(database_url, monkeypatch)
    connection_actions.connect_paper(made.services, made.acting)
    bot_actions.create(
        made.services, made.acting, connection_id=1, symbol="BTC/USDT", timeframe="15 Min",
        position_size=Decimal(5000),
    )  # fmt: skip
    return made


def stored(office: Office) -> Row:
    with office.services.database.transaction() as transaction:
        return bots.bot_row(transaction, 1)


def lent(office: Office) -> None:
    """Let the bot's connection be one that lends."""
    lending_connection(office)
    with office.services.database.transaction() as transaction:
        transaction.execute("UPDATE user_bot_configs SET connection_id = 2 WHERE id = 1")


def panel(office: Office):
    drawn = office.draw(my_bots.draw)
    drawn.query_params["bot"] = "1"
    return drawn.run()


def fill(drawn, **texts: str):
    for label, text in texts.items():
        (field,) = [each for each in drawn.text_input if each.label == LABELS[label]]
        field.set_value(text)
    return press(drawn, "Save")


LABELS = {
    "leverage": "Leverage", "most": "Maximum leverage", "shares": "Targets' shares (%)",
    "even": "Stop to the entry after target", "trailing": "Trailing stop (%)", "begins": "Trailing begins at (%)",
    "time": "Time limit (minutes)", "waits": "A limit entry waits for (minutes)",
}  # fmt: skip


class TestFields:
    def test_protection_is_kept(self, office: Office) -> None:
        drawn = fill(
            panel(office), shares="50, 30, 20", even="1", trailing="2", begins="3", time="600", waits="45"
        )
        assert "is saved" in words(drawn)
        row = stored(office)
        assert row["target_shares"] == [50, 30, 20]
        assert (row["break_even_after"], row["trailing_stop_percent"]) == (1, 2)
        assert (row["trailing_activation_percent"], row["time_limit_minutes"]) == (3, 600)
        assert row["entry_valid_minutes"] == 45
        drawn = fill(panel(office), shares="", even="", trailing="", begins="", time="", waits="")
        row = stored(office)
        assert [row[name] for name in ("target_shares", "break_even_after", "trailing_stop_percent",
                                       "time_limit_minutes", "entry_valid_minutes")] == [None] * 5  # fmt: skip

    def test_leverage_is_asked_for_where_the_broker_lends_alone(self, office: Office) -> None:
        assert "Leverage" not in {each.label for each in panel(office).text_input}
        lent(office)
        drawn = fill(panel(office), leverage="5", most="20")
        row = stored(office)
        assert (row["leverage"], row["max_leverage"], row["margin_mode"]) == (5, 20, MarginMode.ISOLATED)
        assert "5x isolated" in words(drawn)

    @pytest.mark.parametrize(
        ("texts", "said"),
        [
            ({"leverage": "126"}, "at most 125"),
            ({"leverage": "20", "most": "10"}, "above its maximum, 10x"),
            ({"leverage": "2.5"}, "not a whole number"),
            ({"most": "200"}, "at most 125"),
            ({"shares": "0, 50"}, "percents above 0"),
            ({"shares": "NaN"}, "percents above 0"),
            ({"begins": "2"}, "Say the trailing stop's distance too."),
            ({"time": "-3"}, "not a whole number"),
            ({"even": "21"}, "at most 20"),
        ],
    )
    def test_what_cannot_be_is_said(self, office: Office, texts: dict[str, str], said: str) -> None:
        lent(office)
        before = stored(office)
        assert said in words(fill(panel(office), **texts))
        assert stored(office) == before


class TestPosition:
    def shown(self, **changes: Any) -> dict[str, str]:
        return dict(position_card.borrowed(POSITION | changes))

    def test_leverage_margin_and_liquidation(self) -> None:
        assert self.shown() == {"Leverage": "10x isolated", "Margin": "3,000.00", "Liquidation": "54,000.00"}

    def test_nothing_where_nothing_is_lent(self) -> None:
        assert self.shown(leverage=None) == {}

    def test_the_margin_of_several_bots_is_called_so(self) -> None:
        assert "Margin of all bots" in self.shown(account_quantity=Decimal(2))

    @pytest.mark.parametrize(
        ("price", "colour"),
        [("61000", None), ("57001", None), ("57000", "orange"), ("55501", "orange"), ("55500", "red"),
         ("53000", "red")],
    )  # fmt: skip
    def test_the_liquidation_is_coloured_when_it_is_near(self, price: str, colour: str | None) -> None:
        long = self.shown(current_price=Decimal(price))["Liquidation"]
        assert long.startswith(f":{colour}[⚠") if colour else long == "54,000.00"
        mirrored = Decimal(120_000) - Decimal(price)
        short = self.shown(
            quantity=Decimal("-0.5"), current_price=mirrored, liquidation_price=Decimal(66_000)
        )
        assert (
            short["Liquidation"].startswith(f":{colour}[⚠") if colour else short["Liquidation"] == "66,000.00"
        )

    def test_without_a_price_nothing_is_near(self) -> None:
        assert self.shown(current_price=None)["Liquidation"] == "54,000.00"

    def test_each_part_of_the_protection_has_its_line(self) -> None:
        targets = [
            {"number": 1, "price": "61000", "share": "50", "hit": True},
            {"number": 2, "price": "62000.5", "share": "50", "hit": False},
        ]
        row = POSITION | {
            "targets": targets, "break_even_after": 1, "trail_distance": Decimal(1200),
            "trail_from": Decimal(61_800), "close_at": NEXT_YEAR,
        }  # fmt: skip
        assert list(position_card.more_protection(row, "UTC")) == [
            "Targets: ✓ 61,000.00 (50 %) · 62,000.50 (50 %)",
            "Stop to the entry after target 1",
            "Stop trails by 1,200.00, once the price is at 61,800.00",
            "Closed by its time limit 04 May 12:30:00 UTC",
        ]
        moved = list(position_card.more_protection(row | {"trail_best": Decimal(62_000)}, "UTC"))
        assert "Stop trails by 1,200.00 behind 62,000.00, the best so far" in moved
        assert list(position_card.more_protection(POSITION, "UTC")) == []


TRADE = {
    "id": 7, "created_at": NEXT_YEAR, "symbol": "BTC-USDT", "action": "BUY", "realized_pnl": None, "status": "FILLED",
    "timeframe": None, "filled_qty": Decimal("0.1"), "filled_price": Decimal(60_000), "fees": Decimal(1),
    "reason": None, "message": None, "slippage": None, "bot": "one", "order_id": "x",
}  # fmt: skip


class TestTrades:
    def test_what_was_borrowed_has_columns_where_anything_was(self) -> None:
        plain = tables.trades([TRADE], "UTC")
        assert not {"Leverage", "Margin", "At target"} & set(plain.columns)
        lent = {7: {"leverage": 10, "margin_mode": "cross", "target_number": 2}}
        (first, second) = tables.trades([TRADE, TRADE | {"id": 8}], "UTC", lent).to_dict("records")
        assert (first["Leverage"], first["Margin"], first["At target"]) == ("10x cross", "600.00", "2")
        assert (second["Leverage"], second["Margin"], second["At target"]) == ("–", "–", "–")

    def test_what_did_not_fill_has_no_margin(self) -> None:
        lent = {7: {"leverage": 10, "margin_mode": "cross", "target_number": None}}
        (row,) = tables.trades([TRADE | {"filled_qty": None, "filled_price": None}], "UTC", lent).to_dict(
            "records"
        )
        assert row["Margin"] == "–"


class TestWarnings:
    def warn(self, office: Office, warning: str) -> None:
        with office.services.database.transaction() as transaction:
            bots.note_warning(transaction, 1, warning)

    def test_a_key_that_may_withdraw_is_told_of_in_setup_and_on_the_overview(self, office: Office) -> None:
        self.warn(office, WITHDRAWS)
        assert any(WITHDRAWS.split(".")[0] in each.value for each in office.draw(setup.draw).error)
        assert any(WITHDRAWS.split(".")[0] in each.value for each in office.draw(overview.draw).error)

    def test_a_milder_warning_stays_in_setup(self, office: Office) -> None:
        self.warn(office, "The key expires on 2027-01-01.")
        assert any("The key expires" in each.value for each in office.draw(setup.draw).warning)
        assert "The key expires" not in words(office.draw(overview.draw))

    def test_another_users_warning_is_nobody_elses(self, office: Office) -> None:
        eve = office.another_user()
        connection_actions.connect_paper(office.services, eve)
        with office.services.database.transaction() as transaction:
            bots.note_warning(transaction, 2, WITHDRAWS)
        assert "WITHDRAW" not in words(office.draw(overview.draw))
        assert "WITHDRAW" not in words(office.draw(setup.draw))


class TestBotOfAChannel:
    def test_its_card_leads_to_the_channel(self, office: Office) -> None:
        signal_channels.create(
            office.services, office.acting, connection_id=1, channel_id=ROOM, name="#signals"
        )
        with office.services.database.transaction() as transaction:
            transaction.execute("UPDATE user_bot_configs SET signal_channel_id = 1, source = 'discord:1'")
        drawn = office.draw(my_bots.draw)
        (link,) = [each for each in drawn.get("page_link") if "signals" in each.proto.label]
        assert link.proto.query_string == "open=Signal+channels&channel=1"
        assert "a change of the channel's settings replaces these" in words(panel(office))
        signal_channels.archive(office.services, office.acting, 1)
        assert "from #signals, which is archived" in words(office.draw(my_bots.draw))

    def test_a_signal_of_a_channel_names_its_source(self) -> None:
        assert tables.source("discord:12") == "Signal channel 12"
        assert tables.source("tradingview") == "Webhook"
        assert tables.source("mine") == "mine"


def test_every_kind_of_risk_event_has_a_name() -> None:
    row = {"kind": "TIME_LIMIT", "threshold": Decimal(60_000), "actual": None, "symbol": "BTC-USDT"}
    assert tables.RISK_KINDS["TIME_LIMIT"] == "Time limit reached"
    assert tables.risk_value(row, "threshold") == "60,000.00"
