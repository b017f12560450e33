"""Write down what this process counted, and add up what all of them did."""

import logging

import psycopg2

from bot_database import tallies
from engine.desk import Desk

logger = logging.getLogger("engine")


def keep_counts(desk: Desk) -> None:
    """Write this process's counts down and add up what is written; a database that is away is waited for."""
    taken = desk.tallies.take()
    try:
        with desk.database.transaction() as transaction:
            if taken:
                tallies.write_down(transaction, taken)
        taken = ()
        with desk.database.transaction() as transaction:
            tallies.add_up(transaction)
    except psycopg2.Error as error:
        desk.tallies.put_back(taken)
        logger.warning("counts wait for the database", exc_info=error)
