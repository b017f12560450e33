"""Administer DashTrade from the command line: `python manage.py --help`."""

import sys
from collections.abc import Sequence

import click
import psycopg2

import settings
from actions.acting import Refused
from administration import (
    backups,
    bot_commands,
    channel_commands,
    connecting,
    demo,
    doctor,
    model_commands,
    people,
    reading,
    safety,
    server,
    tracked_commands,
)
from administration.console import Console
from core.errors import BrokerError
from database.accounts import AccountError
from database.embedded import EmbeddedError
from database.migrate import SchemaError
from encryption import KeyMissing, WrongKey

MEANT_FOR_PEOPLE = (
    Refused, settings.SettingsError, AccountError, KeyMissing, WrongKey, EmbeddedError, SchemaError,
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def command(context: click.Context) -> None:
    """Accounts, connections and bots; what happened and why; the kill switch; keys and backups."""
    context.obj = Console()


for part in (
    people.user,
    people.token,
    connecting.connect,
    bot_commands.bot,
    bot_commands.list_bots,
    channel_commands.channel,
    channel_commands.list_channels,
    model_commands.model,
    reading.list_signals,
    reading.show_signal,
    reading.list_trades,
    reading.list_orders,
    reading.positions,
    reading.show_performance,
    reading.list_risk_events,
    tracked_commands.tracked,
    safety.set_kill_switch,
    server.database_url,
    server.key_commands,
    backups.backup,
    backups.restore,
    doctor.doctor,
    demo.make_demo,
):
    command.add_command(part)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is one line on standard error."""
    try:
        result = command.main(args=arguments, prog_name="manage.py", standalone_mode=False)
    except click.Abort:
        return _say("Nothing was changed.", 130)
    except click.ClickException as error:
        return _say(error.format_message(), error.exit_code)
    except MEANT_FOR_PEOPLE as error:
        return _say(str(error), 1)
    except BrokerError as error:
        return _say(f"The broker says: {error.message}", 1)
    except psycopg2.OperationalError as error:
        return _say(f"The database does not answer: {error}. Is DashTrade running? Start it: make run", 1)
    except psycopg2.Error as error:
        words = f"The database refused: {error}. Are all migrations applied? See: manage.py doctor"
        return _say(words, 1)
    except OSError as error:
        return _say(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    return result if isinstance(result, int) else 0


def _say(words: str, code: int) -> int:
    click.echo("Error: " + " ".join(words.split()), err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
