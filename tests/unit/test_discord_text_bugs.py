"""What an older parser got wrong must not come back, each fault by name; and what the door promises."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from core.plan import Code
from core.signal import Action, PositionSide, QuantityMode
from signals.discord_text import (
    FORMATS,
    NoSignal,
    RefusedSignal,
    SignalFormat,
    TextSignal,
    explain,
    fields_of,
    read,
)
from signals.discord_vocabulary import TALK, WORDS, pieces_of

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "signal-formats.md").read_text()
LEVELS = "entry 60000 stop 58000 targets 65000"


def summary(text):
    reading = read(text)
    assert isinstance(reading, TextSignal), reading
    return reading.summary


def refusal(text):
    reading = read(text)
    assert isinstance(reading, RefusedSignal), reading
    return reading


def test_the_minimal_form_is_a_market_order_without_a_stop():
    reading = read("LONG BTC-USDT")
    assert isinstance(reading, TextSignal)
    assert (reading.entry, reading.stop_loss, reading.take_profits) == (None, None, ())


def test_compact_keeps_stop_and_target_also_with_a_hyphen_in_the_symbol():
    assert summary("SHORT ETH-USDT 3500/3600/3200") == "SELL ETH-USDT entry 3500 stop 3600 targets 3200"


def test_a_negative_entry_is_no_market_order_without_a_stop():
    reading = refusal("LONG BTC-USDT Entry: -60000 SL: 58000 TP: 65000")
    assert reading.code is Code.INVALID_SIGNAL
    assert "“-60000” is negative" in reading.sentence


def test_thousands_separators_are_read():
    assert summary("LONG BTC-USDT Entry: 60,000 SL: 58,000 TP: 65,000") == f"BUY BTC-USDT {LEVELS}"


def test_commas_between_the_parts_lose_nothing():
    assert summary("LONG BTC-USDT Entry 60000, SL 58000, TP 65000") == f"BUY BTC-USDT {LEVELS}"


@pytest.mark.parametrize(
    "order",
    [
        "TP: 65000 SL: 58000 Entry: 60000",
        "SL: 58000 Entry: 60000 TP: 65000",
        "TP: 65000 Entry: 60000 SL: 58000",
    ],
)
def test_labels_come_in_any_order(order):
    assert summary(f"LONG BTC-USDT {order}") == f"BUY BTC-USDT {LEVELS}"


def test_an_entry_that_cannot_be_read_is_never_dropped():
    assert "not understood" in refusal("LONG BTC-USDT Entry: 60000.. SL: 58000 TP: 65000").sentence


def test_a_friend_is_no_coin():
    assert isinstance(read("so long well-known friend"), NoSignal)


def test_labels_after_a_symbol_without_a_hyphen():
    assert summary("LONG BTCUSDT Entry: 60000 SL: 58000 TP: 65000") == f"BUY BTC-USDT {LEVELS}"


def test_spaces_around_the_slashes():
    assert summary("LONG BTCUSDT 60000 / 58000 / 65000") == f"BUY BTC-USDT {LEVELS}"


def test_buy_and_a_symbol_in_dollars():
    assert summary("Buy BTCUSD 60000/58000/65000") == f"BUY BTC-USD {LEVELS}"


def test_digits_in_a_symbol():
    assert (
        summary("LONG 1000BONK-USDT SL 0.018 TP 0.025") == "BUY 1000BONK-USDT market stop 0.018 targets 0.025"
    )


@pytest.mark.parametrize(
    "text",
    [
        "long btc-usdt\nentry: 60000\nsl: 58000\ntp: 65000",
        "LONG BTC\n\nENTRY `60000`\nSL `58000`\nTP `65000`",
    ],
)
def test_what_was_right_stays_right(text):
    assert summary(text) == f"BUY BTC-USDT {LEVELS}"


def test_a_market_form_with_a_size():
    reading = read("LONG BTC-USDT SL: 58000 TP: 65000 Size: 0.01")
    assert isinstance(reading, TextSignal)
    assert (reading.entry, reading.quantity, reading.quantity_mode) == (
        None,
        Decimal("0.01"),
        QuantityMode.UNITS,
    )


@pytest.mark.parametrize(
    "command", ["!test ", "!", "/test ", " !test ", "**!test** ", "`!test` ", "!test\n", "@everyone !test "]
)
def test_a_command_never_trades(command):
    assert isinstance(read(f"{command}LONG BTC-USDT Entry: 60000 SL: 58000 TP: 65000"), NoSignal)


def test_a_short_has_its_targets_below_and_none_is_made_up():
    assert "below" in refusal("SHORT BTC 60000/62000/66000").sentence
    assert read("SHORT BTC Entry 60000 SL 62000").take_profits == ()


def test_decimals_of_stops_and_targets_are_kept():
    reading = read("LONG BTC Entry 0.52 SL 0.4815 TP 0.560457")
    assert (reading.stop_loss, reading.take_profits) == (Decimal("0.4815"), (Decimal("0.560457"),))


def test_every_target_is_kept_and_none_is_chosen():
    assert read("LONG BTC 60000/58000/61000/62000/63000").take_profits == tuple(
        map(Decimal, (61000, 62000, 63000))
    )


def test_a_stop_is_not_made_up():
    reading = read("LONG BTC Entry 60000 TP 65000")
    assert isinstance(reading, TextSignal)
    assert reading.stop_loss is None
    assert "No stop-loss" in explain("LONG BTC Entry 60000 TP 65000")


def test_a_range_is_entered_at_the_edge_that_the_price_reaches_first():
    assert read("LONG BTC Entry 60000-60500 SL 58000").entry == 60500
    assert read("SHORT BTC Entry 60000-60500 SL 62000").entry == 60000


def test_a_contradiction_has_its_own_code():
    assert refusal("LONG BTC 60000/62000/65000").code is Code.CONTRADICTORY_SIGNAL
    assert refusal("LONG BTC 60000/-58000/65000").code is Code.INVALID_SIGNAL


def test_closing_says_which_side_and_how_much():
    reading = read("Close half of the BTC long")
    assert isinstance(reading, TextSignal)
    assert (reading.action, reading.closes, reading.quantity) == (Action.CLOSE, PositionSide.LONG, 50)
    assert fields_of(reading) == {
        "action": "close",
        "symbol": "BTC",
        "quantity": "50",
        "quantity_type": "percent_of_position",
        "prev_market_position": "long",
    }


@pytest.mark.parametrize("digit", "¹²³⁰①❶٣३")
@pytest.mark.parametrize(
    "text",
    [
        "LONG BTC-USDT Entry: 60000 SL: 58000 TP: 65000 {}",
        "LONG BTC-USDT Entry: 60000 SL: 58000 TP{}: 65000",
        "LONG BTC-USDT Entry: 60000 SL: 58000 TP {} 65000",
    ],
)
def test_a_digit_that_is_no_digit_of_ours_is_refused_and_raises_nothing(text, digit):
    assert isinstance(read(text.format(digit, digit)), RefusedSignal)


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("close BTC", "BTC"),
        ("close BTC/USDT", "BTC-USDT"),
        ("exit BTCUSD", "BTC-USD"),
        ("LONG BTC 60000/58000/65000", "BTC-USDT"),
    ],
)
def test_only_a_close_of_a_coin_alone_leaves_its_quote_open(text, symbol):
    assert fields_of(read(text))["symbol"] == symbol


def test_a_json_message_says_its_side_in_words():
    reading = read('{"ticker": "BTCUSDT", "action": "buy", "price": 60000}')
    assert isinstance(reading, TextSignal)
    assert (reading.action, reading.entry, reading.stop_loss) == (Action.BUY, 60000, None)


def test_the_fields_for_the_server():
    assert fields_of(read("SHORT ETH 3500-3520/3600/3300/3200 5x")) == {
        "action": "sell",
        "symbol": "ETH-USDT",
        "price": "3500",
        "entry_range": ["3500", "3520"],
        "stop_loss": "3600",
        "take_profit": ["3300", "3200"],
        "leverage": "5",
    }
    json.dumps(fields_of(read("LONG BTC-USDT")))


def test_what_was_understood_is_shown_word_by_word():
    lines = explain("LONG $BTC Entry: 60k SL 58000 TP1 65000 10x").splitlines()
    assert lines[0] == f"Signal: BUY BTC-USDT {LEVELS} leverage 10"
    assert [line.split("→")[-1].strip() for line in lines[2:]] == [
        "BUY",
        "BTC",
        "60000",
        "58000",
        "65000",
        "10x",
    ]
    assert explain("LONG BTC 60000/62000/65000").startswith("Refused (CONTRADICTORY_SIGNAL): A long's stop")
    assert explain("gm") == "No signal: It names no side, and nothing to close."


def test_a_message_longer_than_discord_allows_is_not_read():
    assert isinstance(read("LONG BTC 60000/58000/65000" + " 🚀" * 4000), NoSignal)
    assert isinstance(read("LONG BTC 60000/58000/65000" + "\n" * 3000 + "🚀"), TextSignal)


def test_the_command_line():
    command = [sys.executable, "-m", "signals.discord_text"]
    given = subprocess.run([*command, "close BTC"], cwd=ROOT, capture_output=True, text=True, check=True)
    piped = subprocess.run(command, cwd=ROOT, input="close BTC", capture_output=True, text=True, check=True)
    assert given.stdout == piped.stdout == explain("close BTC") + "\n"


def test_words_of_talk_are_no_words_of_signals():
    known = {pieces_of(word) for words in WORDS.values() for word in words.split(", ")}
    assert not {word for word in TALK if (word,) in known}


@pytest.mark.parametrize("written", FORMATS, ids=[each.name for each in FORMATS])
def test_the_guide_has_every_format_with_its_examples(written):
    _, _, section = GUIDE.partition(f"### `{written.name}`\n")
    section = section.split("\n### ")[0]
    assert section.startswith(written.what)
    for example in written.examples:
        assert f"```\n{example.text}\n```\n→ `{example.summary}`" in section


def test_the_guide_has_no_format_that_does_not_exist():
    titles = [
        line.removeprefix("### `").rstrip("`") for line in GUIDE.splitlines() if line.startswith("### `")
    ]
    assert titles == [each.name for each in FORMATS]
    assert set(titles) == set(SignalFormat)
