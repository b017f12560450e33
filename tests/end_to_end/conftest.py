"""Fixtures of the webhook server's tests."""

import pytest

from tests.end_to_end.webhook_desk import WebhookDesk


@pytest.fixture
def desk(database_url):
    """Give the webhook server on a database of its own."""
    desk = WebhookDesk(database_url)
    yield desk
    desk.close()


@pytest.fixture
def ann(desk):
    """Give a user with an account at the paper broker and a webhook token."""
    return desk.trader()
