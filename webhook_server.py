"""Take alerts over HTTP: authenticate, parse, record, answer. Run by gunicorn, see gunicorn.conf.py."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider

import log
import settings as settings_module
from core.wording import number
from database.pool import Database
from settings import Settings
from webhook import (
    alerts,
    counting,
    discord_callback,
    docs_page,
    errors,
    health,
    metrics,
    openapi,
    service_api,
    users,
)
from webhook.limits import limit_address, limited_by_token, limited_explaining
from webhook.services import install

# One for each thread of gunicorn.conf.py, so that no request waits for a connection, and one that counts.
CONNECTIONS = 9
# TradingView hangs up after 3 s and then does not send again.
CONNECT_SECONDS = 2


def create_app(settings: Settings) -> Flask:
    """Return the webhook server for these settings; nothing connects before the first request."""
    app = Flask(__name__, static_folder=None)
    # One more, since Werkzeug silently cuts off what comes in chunks and is longer.
    app.config["MAX_CONTENT_LENGTH"] = alerts.LARGEST_BODY + 1
    app.json = Json(app)
    database = Database(
        settings.database,
        size=CONNECTIONS,
        application_name="dashtrade webhook",
        connect_timeout=CONNECT_SECONDS,
    )
    counting.install(app, install(app, settings, database).counted)
    errors.register(app)
    _add_routes(app)
    return app


class Json(DefaultJSONProvider):
    """Write times as ISO 8601, numbers in plain digits, and keep the order of fields."""

    sort_keys = False

    @staticmethod
    def default(value: Any) -> Any:
        """Return what JSON can hold of a value it does not know."""
        if isinstance(value, Decimal):
            return number(value)
        return value.isoformat() if isinstance(value, datetime) else DefaultJSONProvider.default(value)


def _add_routes(app: Flask) -> None:
    app.before_request(limit_address)
    take_alert = limited_by_token(alerts.take_alert)
    app.add_url_rule("/webhook", view_func=take_alert, methods=["POST"])
    app.add_url_rule("/webhook/<token>", view_func=take_alert, methods=["POST"])
    app.add_url_rule("/test-webhook", view_func=limited_explaining(alerts.explain_alert), methods=["POST"])
    app.add_url_rule("/api/v1/signals", view_func=service_api.take_signal, methods=["POST"])
    app.add_url_rule("/api/v1/signals/<uuid:signal_id>", view_func=limited_by_token(service_api.trace))
    app.add_url_rule("/api/v1/stats", view_func=service_api.figures)
    app.add_url_rule("/user/<int:user_id>/positions", view_func=limited_by_token(users.positions))
    app.add_url_rule("/user/<int:user_id>/bots", view_func=limited_by_token(users.bots_with_status))
    app.add_url_rule("/discord/callback", view_func=discord_callback.link_account)
    app.add_url_rule("/health", view_func=health.health)
    app.add_url_rule("/metrics", view_func=metrics.metrics)
    app.add_url_rule("/openapi.json", view_func=openapi.openapi)
    app.add_url_rule("/docs", view_func=docs_page.docs)


def __getattr__(name: str) -> Flask:
    # gunicorn asks for `app`; made here and not above, so that importing this module connects nothing.
    if name != "app":
        raise AttributeError(name)
    settings = settings_module.load()
    log.logging_setup("webhook", settings)
    return create_app(settings)
