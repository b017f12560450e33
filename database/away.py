"""What says that the database is away, and that no statement of ours is wrong."""

import psycopg2

# The server is shutting down, crashed, or is starting; class 08 is a connection that failed.
SAID_BY_THE_SERVER = frozenset({"57P01", "57P02", "57P03"})


def is_away(error: BaseException | None) -> bool:
    """Tell whether an error is no more than the loss of the database; who meets it tries again."""
    if isinstance(error, psycopg2.InterfaceError):
        return "connection" in str(error) and "closed" in str(error)
    if not isinstance(error, psycopg2.OperationalError):
        return False
    code = error.pgcode
    return code is None or code in SAID_BY_THE_SERVER or code.startswith("08")
