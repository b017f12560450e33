"""Apply the migrations to the database; ask first, unless `--yes` is given."""

import sys

import click

import settings
from database import migrate


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--check", is_flag=True, help="Only say what is outstanding; exit with 1 if anything is.")
def main(yes: bool, check: bool) -> None:
    """Bring the tables of the database to this version."""
    try:
        url = settings.load().database
        names = migrate.outstanding(url)
        _say(names)
        if check:
            sys.exit(1 if names else 0)
        if names and (yes or _agreed()):
            click.echo(f"Applied {len(migrate.apply(url))} migrations.")
    except (settings.SettingsError, migrate.SchemaError) as error:
        raise click.ClickException(str(error)) from error


def _say(names: list[str]) -> None:
    for name in names:
        click.echo(f"outstanding: {name}")
    if not names:
        click.echo("Nothing is outstanding.")


def _agreed() -> bool:
    answer: str = click.prompt("This changes the database; type yes", default="no", show_default=False)
    if answer.strip().lower() != "yes":
        raise click.ClickException("Nothing was changed.")
    return True


if __name__ == "__main__":
    main()
