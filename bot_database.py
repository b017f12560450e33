"""The only door to PostgreSQL: the pool, transactions, and a typed function for every query."""

from database.pool import Database, Row, Session, Transaction

__all__ = ["Database", "Row", "Session", "Transaction"]
