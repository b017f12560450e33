"""What the pages of reversal signals and of the journal say and draw, without Streamlit and a database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from core.reversal import NEVER_MEASURED, SentBefore
from ui.admin import days
from ui.charts import GAIN, LOSS, MUTED
from ui.journal_pages import words as of_trades
from ui.reversal_pages import figures, frames, measured, record_words, told, words

NOW = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def signal(**changes: Any) -> dict[str, Any]:
    """Give a row of signal_notifications that was found just now."""
    row = {
        "id": 7, "pair": "EUR/USD", "timeframe": "1 Hour", "signal_type": "long", "bar_opened_at": NOW - HOUR,
        "bar_closed_at": NOW, "confidence": Decimal("0.75"), "entry_price": Decimal("1.0854"),
        "stop_loss": Decimal("1.08"), "take_profit": Decimal("1.0962"), "risk_reward_ratio": Decimal("2.00"),
        "model_version": "2026-11-01", "stage1_prob": Decimal("0.8"), "stage2_prob": Decimal("0.9"),
        "source": "alpha_vantage", "edge_shown": True, "factors": [["RSI", "24"]], "expires_at": NOW + HOUR,
        "discord_channel_id": None, "discord_message_id": None, "attempts": 0, "next_attempt_at": NOW,
        "last_error": None, "sent_at": None, "failed_at": None, "acknowledged": False, "acknowledged_at": None,
        "answer": None, "trade_id": None, "created_at": NOW,
    }  # fmt: skip
    return row | changes


def settings(**changes: Any) -> dict[str, Any]:
    """Give a row of user_discord_settings as it is where nobody changed it, with an account linked."""
    row = {
        "user_id": 1, "discord_user_id": 5, "notifications_enabled": True, "enabled_timeframes": ["1h", "4h"],
        "preferred_pairs": ["EUR/USD", "GBP/USD"], "min_confidence": Decimal("0.60"), "only_ml_enhanced": True,
        "only_with_edge": True, "max_notifications_per_day": 20, "notification_cooldown_minutes": 240,
    }  # fmt: skip
    return row | changes


def test_levels_are_told_with_their_distance_in_pips() -> None:
    assert words.distance(signal(), "stop_loss") == "1.08000 (−54.0 pips)"
    assert words.distance(signal(), "take_profit") == "1.09620 (+108.0 pips)"
    short = signal(
        pair="USD/JPY", signal_type="short", entry_price=Decimal("150.10"), stop_loss=Decimal("150.60")
    )
    assert words.distance(short, "stop_loss") == "150.600 (−50.0 pips)"
    stock = signal(pair="AAPL", entry_price=Decimal(100), take_profit=Decimal("101.5"))
    assert words.distance(stock, "take_profit") == "101.50 (+150.0 points)"


def test_prices_keep_decimals_that_they_have() -> None:
    assert words.price("EUR/USD", Decimal("1.0854")) == "1.08540"
    assert words.price("BTC/USD", Decimal("64000.5")) == "64,000.50"
    assert words.price("DOGE/USD", Decimal("0.17088")) == "0.17088"
    assert words.price("BTC/USD", Decimal("64000.123")) == "64,000.12"
    assert words.price("EUR/USD", None) == "–"


@pytest.mark.parametrize(
    ("changes", "said", "why"),
    [
        ({}, "… on its way", "–"),
        ({"sent_at": NOW}, "● sent", "–"),
        ({"sent_at": NOW, "last_error": "It was sent elsewhere: x"}, "● sent", "It was sent elsewhere: x."),
        ({"failed_at": NOW, "last_error": "The user takes no direct messages"}, "✕ not delivered",
         "The user takes no direct messages."),
        ({"last_error": "503", "next_attempt_at": NOW + timedelta(minutes=2)}, "… waits 2m", "503."),
        ({"last_error": "503"}, "… tried again", "503."),
        ({"next_attempt_at": None}, "○ here only", "–"),
    ],
)  # fmt: skip
def test_sending_is_told_with_why_it_failed(changes: dict[str, Any], said: str, why: str) -> None:
    row = signal(**changes)
    assert (words.sending(row, NOW), words.why_not_sent(row)) == (said, why)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "open, 1h left"),
        ({"expires_at": NOW}, "○ expired"),
        ({"answer": "opened", "acknowledged": True, "trade_id": 12}, "● trade #12"),
        ({"answer": "opened", "acknowledged": True}, "● opened"),
        ({"answer": "ignored", "acknowledged": True, "expires_at": NOW}, "– ignored"),
    ],
)
def test_an_answer_is_told(changes: dict[str, Any], said: str) -> None:
    assert words.answer(signal(**changes), NOW) == said


def test_what_is_a_recording_or_has_no_edge_is_marked_everywhere() -> None:
    row = signal(source="replay", edge_shown=False, model_version="rules")
    assert "REPLAY" in words.marks(row)
    assert "no edge shown" in words.marks(row)
    assert "plain RSI rule" in words.marks(row)
    assert words.marks(signal()) == ""
    for frame in (frames.signals([row], "UTC", NOW), frames.deliveries([row], "UTC", NOW)):
        assert frame["Prices"][0] == "↻ REPLAY"
    judged = frames.scores([{**row, "told": "x"}], "UTC")
    assert (judged["Prices"][0], judged["Edge"][0]) == ("↻ REPLAY", "✕ none shown")


def test_the_plain_rule_has_no_confidence_where_it_was_never_measured() -> None:
    rule = signal(model_version="rules", confidence=Decimal(0), told="x")
    for frame in (frames.signals([rule], "UTC", NOW), frames.scores([rule], "UTC")):
        assert frame["Confidence"][0] == "–"
    assert measured.confidence(signal(model_version="rules", confidence=Decimal("0.31"))) == "31 %"
    assert measured.confidence(signal(confidence=Decimal(0))) == "0 %"


def test_no_edge_is_said_of_what_was_tested_and_never_tested_of_what_was_not() -> None:
    never = [["RSI", "24"], ["out of sample", NEVER_MEASURED]]
    assert "the model’s trades of this pair and timeframe showed no gain" in measured.no_edge(signal())
    assert "the plain rule’s trades" in measured.no_edge(signal(model_version="rules"))
    said = "was never tested on this pair and timeframe, so no edge is shown."
    assert measured.no_edge(signal(factors=never)) == f"The model {said}"
    assert measured.no_edge(signal(factors=never, model_version="rules")) == f"The plain rule {said}"


def before(newest: datetime | None = None, count: int = 0) -> SentBefore:
    return SentBefore(newest={"EUR/USD": newest} if newest else {}, day=NOW.date(), count=count)


@pytest.mark.parametrize(
    ("row", "wish", "known", "said"),
    [
        ({"signal_type": "hold"}, {}, before(), told.FOUND_NOTHING),
        ({"signal_type": "hold", "model_version": "rules"}, {}, before(), told.NOTHING_OF_RULE),
        (
            {
                "signal_type": "hold",
                "confidence": Decimal("0.35"),
                "factors": [["worth its costs above", "0.3642"]],
            },
            {},
            before(),
            "○ no signal: its chance is too small for its costs (needs more than 36.4 %)",
        ),
        (
            {
                "signal_type": "hold",
                "confidence": Decimal("0.37"),
                "factors": [["worth its costs above", "0.3642"]],
            },
            {},
            before(),
            told.FOUND_NOTHING,
        ),
        ({}, {}, before(), told.ALLOWED_NOW),
        ({}, {"discord_user_id": None}, before(), told.NOT_LINKED),
        ({}, {"notifications_enabled": False}, before(), told.SWITCHED_OFF),
        ({}, {"preferred_pairs": ["gbp/usd"]}, before(), "✕ a pair that you did not choose"),
        ({}, {"enabled_timeframes": ["1 Day"]}, before(), "✕ a timeframe that you did not choose"),
        ({"model_version": "rules"}, {}, before(), "✕ of the plain rule; you want the model's alone"),
        ({"edge_shown": False}, {}, before(), "✕ no edge shown; you want only those with one"),
        ({"edge_shown": False}, {"only_with_edge": False}, before(), told.ALLOWED_NOW),
        ({}, {"min_confidence": Decimal("0.8")}, before(), "✕ below your minimum of 80 %"),
        ({}, {}, before(NOW - HOUR), "✕ you were told of this pair within 4h"),
        ({}, {}, before(NOW - 4 * HOUR), told.ALLOWED_NOW),
        ({}, {}, before(count=20), "✕ you had your 20 of today"),
    ],
)
def test_why_a_user_was_not_told(
    row: dict[str, Any], wish: dict[str, Any], known: SentBefore, said: str
) -> None:
    assert told.why(signal(**row), settings(**wish), known, None) == said


def test_a_user_who_was_told_reads_how_that_went() -> None:
    wish = settings(preferred_pairs=[])
    assert told.why(signal(), wish, before(), signal(sent_at=NOW)) == told.YES
    assert told.why(signal(), wish, before(), signal(failed_at=NOW)) == told.FAILED
    assert told.why(signal(), wish, before(), signal()) == told.ON_ITS_WAY


def test_what_is_no_pair_is_left_out_of_the_wishes() -> None:
    assert list(told.pairs_of(settings(preferred_pairs=["eur/usd", "EUR/USD", "??", "aapl"]))) == [
        "EUR/USD",
        "AAPL",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (12, "12s"), (300, "5m"), (6180, "1h 43m"), (3600, "1h"), (187_200, "2d 4h"), (-5, "0s")],
)
def test_a_span_in_short(seconds: int, said: str) -> None:
    assert words.in_short(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("row", "is_well", "said"),
    [
        ({"alive": False, "beat_at": None}, False, "`make run` starts it"),
        ({"alive": False, "beat_at": NOW - HOUR}, False, "since 1 h ago"),
        ({"due_at": None}, True, "still to come"),
        ({"failure": "no prices"}, False, "failed: no prices."),
        ({"finished_at": None}, True, "is under way"),
        ({}, True, "3 pairs and timeframes, 4 scores, 2 messages"),
    ],
)
def test_the_scan_is_told_in_words(row: dict[str, Any], is_well: bool, said: str) -> None:
    usual = {"alive": True, "beat_at": NOW, "due_at": NOW, "finished_at": NOW, "failure": None, "pairs": 3,
             "scores": 4, "notifications": 2}  # fmt: skip
    well, sentence = words.scan(usual | row, "UTC", NOW)
    assert (well, said in sentence) == (is_well, True), sentence


def trade(**changes: Any) -> dict[str, Any]:
    row = {
        "id": 3, "pair": "EUR/USD", "direction": "long", "entry_price": Decimal("1.0854"), "entry_time": NOW - HOUR,
        "stop_loss": Decimal("1.0800"), "take_profit": Decimal("1.0962"), "status": "open", "result": None,
        "current_price": Decimal("1.0881"), "current_pips": Decimal(27), "current_pnl": Decimal("27.00"),
        "pips": None, "profit_loss": None, "account_currency": "USD", "close_time": None,
        "reward_to_risk": Decimal("2.00"),
    }  # fmt: skip
    return row | changes


def test_a_trade_stands_between_its_stop_and_its_target() -> None:
    assert words.confidence(of_trades.way(trade())) == "50 %"
    assert words.confidence(of_trades.start(trade())) == "33 %"
    short = trade(direction="short", stop_loss=Decimal("1.09"), take_profit=Decimal("1.07"),
                  entry_price=Decimal("1.085"), current_price=Decimal("1.08"))  # fmt: skip
    assert words.confidence(of_trades.way(short)) == "50 %"
    assert words.confidence(of_trades.start(short)) == "25 %"
    assert of_trades.way(trade(current_price=Decimal("1.2"))) == 1
    assert of_trades.way(trade(current_price=Decimal("1.0"))) == 0
    assert of_trades.way(trade(current_price=None)) is None


def test_pips_and_money_of_a_trade_read_without_colour() -> None:
    assert of_trades.pips(trade(), "current_pips") == "▲ +27.0 pips"
    assert of_trades.pips(trade(current_pips=Decimal(-54)), "current_pips") == "▼ −54.0 pips"
    assert of_trades.pips(trade(), "pips") == "–"
    assert of_trades.profit(trade(), "current_pnl", "current_pips") == "▲ +27.00 USD"
    unknown = of_trades.profit(trade(current_pnl=None), "current_pnl", "current_pips")
    assert unknown == "? USD: no rate known"
    assert of_trades.profit(trade(), "profit_loss", "pips") == "–"
    assert of_trades.risk(trade()) == "1 : 2"
    assert of_trades.lasted(trade(), NOW + timedelta(minutes=43)) == "1h 43m"


def frame(columns: str, *rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


def test_the_range_of_what_a_trade_earns_is_coloured_by_its_side_of_nothing() -> None:
    rows = [("model", 0.2, 0.1, 0.3, 40), ("random", 0.0, -0.2, 0.2, 40), ("never", -0.4, -0.5, -0.3, 9)]
    figure = figures.expectancy(frame("name mean low high trades", *rows))
    (drawn,) = figure.data
    assert list(drawn.y) == ["never", "random", "model"]
    assert list(drawn.x) == [-0.4, 0.0, 0.2]
    assert list(drawn.marker.color) == [LOSS, MUTED, GAIN]
    assert [round(each, 6) for each in drawn.error_x.array] == [0.1, 0.2, 0.1]
    assert [round(each, 6) for each in drawn.error_x.arrayminus] == [0.1, 0.2, 0.1]


def test_reliability_is_drawn_beside_the_line_on_which_it_would_be_perfect() -> None:
    rows = [(0.25, 0.2, 100), (0.35, 0.5, 25)]
    perfect, drawn = figures.reliability(frame("said happened trades", *rows)).data
    assert (list(perfect.x), list(perfect.y)) == ([0, 70], [0, 70])
    assert (list(drawn.x), list(drawn.y)) == ([25.0, 35.0], [20.0, 50.0])
    assert list(drawn.marker.size) == [16.0, 11.0]


def test_the_sum_of_trades_has_a_line_for_each_way_told_apart_by_more_than_colour() -> None:
    rows = [("model", NOW, 1.0), ("model", NOW + HOUR, 0.5), ("random", NOW, -1.0)]
    figure = figures.equity_in_r(frame("name at total", *rows))
    lines = {trace.name: trace for trace in figure.data if isinstance(trace, go.Scatter)}
    assert list(lines["model"].y) == [1.0, 0.5]
    assert list(lines["random"].y) == [-1.0]
    assert lines["model"].line.dash != lines["random"].line.dash


def test_days_are_lines_with_gaps_where_nothing_is_known() -> None:
    shown = frame("day a b", (NOW.date(), 3, None), (NOW.date() + timedelta(days=1), 4, Decimal("2.5")))
    first, second = figures.per_day(shown, {"a": "one", "b": "other"}).data
    assert (first.name, list(first.y)) == ("one", [3.0, 4.0])
    assert (second.name, list(second.y)) == ("other", [None, 2.5])


def test_figures_of_a_day_are_written() -> None:
    assert days.share(3, 12) == "25 % of 12"
    assert days.share(0, 0) == "–"
    assert days.milliseconds(Decimal("420.4")) == "420 ms"
    assert days.milliseconds(Decimal(1640)) == "1.6 s"
    assert days.milliseconds(None) == "–"


def test_a_record_with_sums_over_time_gives_a_line_for_each_way() -> None:
    curves = {
        "rsi_rule": [["2017-01-03T00:00:00+00:00", -1.0]],
        "model": [["2017-01-02T00:00:00+00:00", 2.0]],
    }
    found = record_words.equity({"equity": curves})
    assert list(found["name"]) == ["The model", "Plain RSI rule"]
    assert list(found["total"]) == [2.0, -1.0]
    assert record_words.equity({}).empty
