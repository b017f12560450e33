"""Follow trades by `manage.py tracked`, as an operator does."""

import csv
import io
import sys

import pytest

import manage
from encryption import new_key

ANN, PASSWORD = "ann@example.com", "correct horse battery"
COINS = ("BTC/USD", "long", "--entry", "60000", "--stop", "59000", "--target", "62000")


@pytest.fixture
def run(database_url, monkeypatch, capsys):
    """Give a function that runs a command in this process and returns its code and what it wrote."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())

    def run_it(*arguments, given=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        capsys.readouterr()
        code = manage.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out.strip(), err.strip()

    assert run_it("user", "add", ANN, "--password-stdin", given=PASSWORD)[0] == 0
    return run_it


def test_a_trade_from_its_opening_to_the_file(run):
    code, trade, remark = run("tracked", "open", ANN, *COINS, "--notes", "=1+1", "--key", "a")
    assert (code, trade) == (0, "1")
    assert "only you can close this trade" in remark
    assert run("tracked", "open", ANN, *COINS, "--key", "a")[1] == trade
    assert "BTC/USD" in run("tracked", "list", ANN)[1]
    assert run("tracked", "edit", trade, "--stop", "60500")[1] == "Stop loss 60500, take profit 62000."
    code, _, said = run("tracked", "close", trade)
    assert (code, "say at which price" in said) == (1, True)
    closed = run("tracked", "close", trade, "--price", "61000")[1]
    assert closed.startswith(
        "✋ Closed by hand: +100000 points (+$100)\nTrade #1 · BTC/USD LONG 0.1 lots · 0m"
    )
    assert run("tracked", "list", ANN)[1].startswith("No trades")
    assert "manual_close" in run("tracked", "list", ANN, "--all")[1]
    (row,) = csv.DictReader(io.StringIO(run("tracked", "export", ANN)[1]))
    assert (row["profit_loss"], row["pips"], row["unit"], row["notes"]) == (
        "100",
        "100000",
        "points",
        "'=1+1",
    )
    figures = run("tracked", "statistics", ANN)[1].splitlines()
    assert figures[0].split() == ["closed", "1", "(0", "open)"]
    assert "profit                +$100" in figures


def test_an_order_goes_to_a_paper_connection(run):
    assert run("connect", ANN, "paper")[0] == 0
    code, trade, _ = run("tracked", "open", ANN, *COINS, "--lots", "0.5", "--execute", "paper")
    assert (code, trade) == (0, "1")
    assert "BTC/USD tracked trades" in run("bots", ANN)[1]
    assert "received" in run("signals", ANN)[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("close", "7"), "There is no such trade."),
        (("edit", "7", "--stop", "1"), "There is no such trade."),
        (("open", ANN, *COINS, "--lots", "200"), "Lots go from 0.01 to 100"),
        (("open", ANN, *COINS, "--execute", "live"), "has no connection"),
        (("open", ANN, "SP500", *COINS[1:], "--execute", "paper"), "no connection"),
        (("list", "eve@example.com"), "There is no account"),
    ],
)
def test_what_cannot_be_is_one_line(run, arguments, words):
    code, out, said = run("tracked", *arguments)
    assert (code != 0, out, words in said) == (True, "", True)
