"""Say whether everything runs: `GET /health`, for monitors and load balancers."""

import logging
from datetime import UTC, datetime
from typing import Any

import psycopg2
from flask import Response, jsonify

import database.health
from database import discord_status, inbox
from database.pool import Row, Transaction
from discord_bot import PART as BOT
from settings import version
from webhook.services import services

# Without these no alert is carried out; the others run only where they are set up.
NEEDED = ("worker", "broker watch")
REVERSAL = "reversal watch"

logger = logging.getLogger(__name__)


def health() -> Response:
    """Answer 200 when alerts are stored and carried out, 503 when not; no secret, no user's data."""
    try:
        with services().database.transaction() as transaction:
            parts = _parts(transaction)
            queue = inbox.waiting(transaction)
    except psycopg2.Error as error:
        logger.error("the database does not answer", exc_info=error)
        return _answer({"status": "down", "database": "unreachable", "version": version()}, 503)
    alive = all(parts[name]["alive"] for name in NEEDED)
    status = "ok" if alive else "degraded"
    said = {"status": status, "database": "ok", "parts": parts, "queue": queue, "version": version()}
    return _answer(said, 200 if alive else 503)


def _parts(transaction: Transaction) -> dict[str, Any]:
    now = datetime.now(UTC)
    silent: Row = {"alive": 0, "silent_seconds": None}
    beats = {row["part"]: _part(row, now) for row in database.health.heartbeats(transaction)}
    wanted = {name: dict(silent) for name in (*NEEDED, *_switched_on())}
    switched_off = {name: {"status": "off"} for name in ("mqtt listener", REVERSAL, BOT)}
    parts = switched_off | wanted | beats
    if services().settings.discord_bot_token is not None:
        parts[BOT] |= _at_discord(transaction)
    return parts


def _at_discord(transaction: Transaction) -> dict[str, Any]:
    """Say whether the bot is connected, how fast, and how many things it lacks; `doctor` names them."""
    status = discord_status.status(transaction)
    return {
        "connected": status.is_connected,
        "latency_ms": status.latency_ms,
        "lacking": len(status.lacking),
    }


def _part(row: Row, now: datetime) -> dict[str, Any]:
    return {"alive": row["alive"], "silent_seconds": round((now - row["beat_at"]).total_seconds(), 1)}


def _switched_on() -> list[str]:
    settings = services().settings
    on = {
        "mqtt listener": settings.mqtt_broker_host is not None,
        REVERSAL: settings.reversal_watches > 0,
        BOT: settings.discord_bot_token is not None,
    }
    return [name for name, is_on in on.items() if is_on]


def _answer(said: dict[str, Any], status: int) -> Response:
    answer = jsonify(said)
    answer.status_code = status
    answer.headers["Cache-Control"] = "no-store"
    return answer
