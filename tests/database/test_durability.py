"""What was answered was on disk, whatever the server's own setting is."""

from bot_database import Database


def test_a_server_that_commits_lazily_is_overruled(database: Database) -> None:
    with database.transaction() as transaction:
        role = transaction.value("SELECT current_user")
        transaction.execute(f'ALTER ROLE "{role}" SET synchronous_commit = off')
    other = Database(database.url)
    try:
        with other.transaction() as transaction:
            assert transaction.value("SHOW synchronous_commit") == "on"
    finally:
        other.close()
        with database.transaction() as transaction:
            transaction.execute(f'ALTER ROLE "{role}" RESET synchronous_commit')
