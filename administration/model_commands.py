"""Train the reversal model, read its record, say which one scores."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from administration.console import Console, Problem, note, pass_console
from administration.output import print_json, print_table
from database import model_versions
from database.model_versions import ModelState
from database.pool import Row

if TYPE_CHECKING:
    from reversal.training import Made, Series

LISTED = ("version", "state", "made", "champion_since", "learned_until", "series", "edge_shown")
STRATEGIES = (
    *("strategy", "trades", "hit_rate", "expectancy", "from", "to", "profit_factor", "drawdown"),
    "not_opened",
)
AGAINST = ("series", "since", "bars", "model", "trades", "hit_rate", "expectancy", "from", "to")


@click.group()
def model() -> None:
    """Train the model of reversal signals, read what it is worth, and choose which one scores."""


@model.command("train")
@click.option("--recordings-only", is_flag=True, help="Learn only from the recorded series.")
@click.option("--stored-only", is_flag=True, help="Learn only from bars that real sources brought.")
@pass_console
def train_model(console: Console, /, recordings_only: bool, stored_only: bool) -> None:
    """Train a challenger and print how it does beside the champion; nothing that scores is replaced."""
    from reversal import fitting, training

    if recordings_only and stored_only:
        raise Problem("Say --recordings-only or --stored-only, not both.")
    now = datetime.now(UTC)
    series = [] if stored_only else training.recordings()
    series += [] if recordings_only else training.stored(console.database, now)
    if not series:
        least = fitting.FEWEST_ROWS
        raise Problem(f"No pair and timeframe has {least} bars in a row from a real source yet.")
    try:
        made, is_new = _train(console, series, now)
    except fitting.TooLittle as error:
        raise Problem(str(error)) from error
    if not is_new:
        click.echo(f"{made.model.version} is there already: nothing new to learn from.")
        return
    with console.transaction() as transaction:
        note(transaction, None, "model.train", made.model.version, series=len(series))
    click.echo(f"Challenger {made.model.version}. To use it: manage.py model use {made.model.version}")
    _print_record(made.row.metrics)


@model.command("report")
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="Everything that was measured, as JSON.")
@pass_console
def report_model(console: Console, /, version: str | None, as_json: bool) -> None:
    """Print what VERSION did out of sample beside its baselines; the champion without a name."""
    with console.transaction() as transaction:
        found = (
            model_versions.of_version(transaction, version) if version else model_versions.record(transaction)
        )
        known = [row["version"] for row in model_versions.versions(transaction)]
    if found is None and version is None:
        raise Problem(
            "There is no champion yet: the first scan trains it, or manage.py model train, then use"
        )
    if found is None:
        raise Problem(f"There is no model {version}; there are: {', '.join(known) or 'none yet'}")
    if as_json:
        print_json({name: value for name, value in found.items() if name != "file"})
        return
    click.echo(f"{found['version']}, {found['state']}, learned until {found['trained_until']:%Y-%m-%d}")
    _print_record(found["metrics"])


@model.command("use")
@click.argument("version", required=False)
@click.option("--previous", is_flag=True, help="The one that was the champion before the present one.")
@pass_console
def use_model(console: Console, /, version: str | None, previous: bool) -> None:
    """Make VERSION the champion from the next scan on, and print how both did."""
    from reversal import registry
    from reversal.model import ModelRefused

    if bool(version) is previous:
        raise Problem("Say either a VERSION or --previous. See: manage.py model list")
    try:
        with console.transaction() as transaction:
            before, after = registry.use(transaction, version, datetime.now(UTC))
            old = before["version"] if before else None
            note(transaction, None, "model.use", after["version"], before=old)
    except (registry.Unknown, ModelRefused) as error:
        raise Problem(str(error)) from error
    for row, words in ((before, "Until now"), (after, "From now on")):
        if row:
            click.echo(f"{words}: {row['version']}, learned until {row['trained_until']:%Y-%m-%d}")
            _print_record(row["metrics"], only=("model",))
    if before:
        click.echo("To go back: manage.py model use --previous")


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="All columns, as JSON.")
@pass_console
def list_models(console: Console, /, as_json: bool) -> None:
    """List every model: the champion, challengers, retired ones."""
    with console.transaction() as transaction:
        rows = model_versions.versions(transaction)
    if as_json:
        print_json(rows)
    else:
        nothing = "No model yet: the first scan trains one, or manage.py model train"
        print_table([_listed(row) for row in rows], LISTED, nothing=nothing)


def _train(console: Console, series: "list[Series]", now: datetime) -> "tuple[Made, bool]":
    from reversal import training

    with click.progressbar(length=training.steps(series), label="Training") as bar:
        result = training.train_challenger(console.database, series, now, on_step=lambda _: bar.update(1))
        bar.update(bar.length or 0)
    return result


def _listed(row: Row) -> Row:
    shown = [key for key, each in row["metrics"]["record"].items() if each["edge_shown"]]
    return {
        "version": row["version"],
        "state": ModelState(row["state"]).value,
        "made": row["created_at"],
        "champion_since": row["champion_since"],
        "learned_until": row["trained_until"],
        "series": len(row["series"]),
        "edge_shown": ", ".join(shown) or "on none",
    }


def _print_record(metrics: Mapping[str, Any], only: tuple[str, ...] = ()) -> None:
    for key, each in metrics["record"].items():
        click.echo("")
        verdict = "edge shown" if each["edge_shown"] else "no edge shown"
        span = f"{each['from'][:10]} to {each['until'][:10]}" if each["rows"] else "no bars"
        click.echo(f"{key}, {each['kind']}, {span}, {each['rows']} bars: {verdict}")
        rows = [_strategy(name, figures) for name, figures in each["strategies"].items()]
        print_table([row for row in rows if not only or row["strategy"] in only], STRATEGIES, nothing="")
        if each["collapsed"]:
            click.echo("The model has collapsed here: it says the same of every bar.")
        if brier := each["brier"]:
            click.echo(f"Brier score {brier['score']}, of the base rate {brier['of_the_base_rate']}")
    against = metrics.get("against")
    if against and not only:
        click.echo(f"\nOn bars that neither it nor {against['version']} had learned from:")
        nothing = "None: what was judged is what the champion learned from."
        print_table(list(_duels(against)), AGAINST, nothing=nothing)


def _duels(against: Mapping[str, Any]) -> Iterator[Row]:
    for key, each in against["series"].items():
        for who in ("challenger", "champion"):
            figures = _strategy(who, each[who])
            yield {
                "series": key,
                "since": each["from"][:10],
                "bars": each["rows"],
                "model": who,
                **{name: figures[name] for name in ("trades", "hit_rate", "expectancy", "from", "to")},
            }


def _strategy(name: str, figures: Mapping[str, Any]) -> Row:
    return {
        "strategy": name,
        "trades": figures["trades"],
        "hit_rate": _percent(figures["hit_rate"]),
        "expectancy": _signed(figures["expectancy"]),
        "from": _signed(figures["low"]),
        "to": _signed(figures["high"]),
        "profit_factor": None if figures["profit_factor"] is None else f"{figures['profit_factor']:.2f}",
        "drawdown": f"{figures['drawdown']:.1f}",
        "not_opened": figures["not_opened"],
    }


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.3f}"
