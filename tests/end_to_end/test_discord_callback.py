"""Discord sends a browser back: linked once, in the session it began in, and on to the dashboard alone."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from actions import discord_linking
from actions.acting import Acting, Refused
from database import accounts, discord_accounts, sign_in
from tests.end_to_end.discord_oauth import DiscordOauth, serving
from tests.end_to_end.webhook_desk import WebhookDesk
from ui.gate import COOKIE
from webhook.discord_callback import SESSION_COOKIE

CLIENT, SECRET = 1_234_567_890_123_456_789, "a client's secret"
EVE = {"id": "80351110224678912", "username": "eve", "global_name": "Eve"}
DASHBOARD = "http://localhost:5000"


@pytest.fixture
def discord():
    oauth = DiscordOauth(CLIENT, SECRET, "http://localhost:8080/discord/callback")
    with serving(oauth):
        yield oauth


@pytest.fixture
def linking(database_url, discord):
    """Give the webhook server with Discord's settings."""
    made = WebhookDesk(
        database_url, discord_client_id=CLIENT, discord_client_secret=SECRET, discord_base_url=discord.address
    )
    with closing(made):
        yield made


class Browser:
    """Somebody who is signed in at the dashboard."""

    def __init__(self, desk, email="ann@example.org"):
        self.desk = desk
        self.client = desk.app.test_client()
        with desk.database.transaction() as transaction:
            user = accounts.create_user(transaction, email, "correct horse battery")
            self.token = sign_in.open_session(transaction, user.id, agent="", now=datetime.now(UTC))
        self.acting = Acting(owner=user.id, actor=email)
        self.client.set_cookie(SESSION_COOKIE, self.token)

    def begin(self, dashboard=DASHBOARD, now=None, token=None):
        """Return where the dashboard sends the browser, by parts."""
        tools = SimpleNamespace(settings=self.desk.settings, database=self.desk.database)
        address = discord_linking.begin_oauth(
            tools,
            self.acting,
            session_token=token or self.token,
            dashboard=dashboard,
            now=now or datetime.now(UTC),
        )
        return {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}

    def state(self, **options):
        return self.begin(**options)["state"]

    def come_back(self, **arguments):
        return self.client.get("/discord/callback", query_string=arguments)

    @property
    def linked(self):
        with self.desk.database.transaction() as transaction:
            return discord_accounts.settings_of(transaction, self.acting.owner)["discord_user_id"]


@pytest.fixture
def ann(linking):
    return Browser(linking)


def test_the_account_is_linked_and_the_browser_goes_on_to_the_dashboard(linking, discord, ann):
    asked = ann.begin()
    assert asked["scope"] == "identify"
    assert (asked["client_id"], asked["redirect_uri"]) == (str(CLIENT), discord.redirect_uri)
    discord.consent("code", EVE)
    answer = ann.come_back(state=asked["state"], code="code", next="https://evil.example", dashboard="//evil")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{DASHBOARD}/discord?linked=1")
    assert ann.linked == int(EVE["id"])
    record = linking.all("SELECT actor, after FROM audit_log WHERE action = 'discord link'")
    assert record == [{"actor": "ann@example.org", "after": {"account": "eve", "id": int(EVE["id"])}}]


def test_the_cookie_is_the_dashboards():
    assert SESSION_COOKIE == COOKIE


def test_a_state_is_good_once(discord, ann):
    state = ann.state()
    discord.consent("code", EVE)
    discord.consent("another", {**EVE, "id": "80351110224678913"})
    assert ann.come_back(state=state, code="code").status_code == 303
    again = ann.come_back(state=state, code="another")
    assert (again.status_code, "used already" in again.text) == (400, True)
    assert ann.linked == int(EVE["id"])


def test_a_state_is_good_in_its_session_alone(linking, discord, ann):
    bob = Browser(linking, "bob@example.org")
    state = ann.state()
    discord.consent("code", EVE)
    assert bob.come_back(state=state, code="code").status_code == 400
    stranger = linking.app.test_client().get(
        "/discord/callback", query_string={"state": state, "code": "code"}
    )
    assert (stranger.status_code, "not signed in" in stranger.text) == (401, True)
    assert discord.calls == []
    # Nobody else has used it up.
    assert ann.come_back(state=state, code="code").status_code == 303
    assert bob.linked is None


def test_a_state_expires_and_dies_with_its_session(linking, discord, ann):
    discord.consent("code", EVE)
    late = ann.state(now=datetime.now(UTC) - timedelta(minutes=11))
    assert ann.come_back(state=late, code="code").status_code == 400
    state = ann.state()
    with linking.database.transaction() as transaction:
        sign_in.end_session(transaction, ann.token)
    assert ann.come_back(state=state, code="code").status_code == 401
    assert (ann.linked, discord.calls) == (None, [])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ({"error": "access_denied", "error_description": "<b>no</b>"}, 200, "You declined"),
        ({"error": "<script>"}, 400, "did not say yes"),
        ({}, 400, "did not say yes"),
        ({"code": "unknown"}, 400, "used already"),
        ({"code": "x" * 5000}, 400, "used already"),
    ],
)
def test_what_discord_says_else_is_a_plain_page(ann, arguments, status, words):
    answer = ann.come_back(state=ann.state(), **arguments)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert words in answer.text
    assert "<script>" not in answer.text
    assert "<b>" not in answer.text
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert ann.linked is None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((500, {"message": "500"}), "busy"),
        ((429, {"message": "rate limited"}), "busy"),
        ((401, {"error": "invalid_client"}), "DISCORD_CLIENT_SECRET is wrong"),
        ((400, {"error": "invalid_scope"}), "refused"),
        ((200, b"<html>"), "does not answer"),
        ((200, b"[]"), "refused"),
        ((200, {"access_token": None}), "gave no access"),
        ((302, {}), "refused"),
    ],
)
def test_a_fault_of_discords_links_nothing(discord, ann, fault, words):
    discord.consent("code", EVE)
    discord.fault = fault
    answer = ann.come_back(state=ann.state(), code="code")
    assert (answer.status_code, words in answer.text) == (502, True), answer.text
    assert ann.linked is None


def test_discord_that_is_not_there(database_url, free_port):
    settings = {"discord_client_id": CLIENT, "discord_client_secret": SECRET}
    with closing(
        WebhookDesk(database_url, discord_base_url=f"http://127.0.0.1:{free_port}", **settings)
    ) as desk:
        ann = Browser(desk)
        answer = ann.come_back(state=ann.state(), code="code")
        assert (answer.status_code, "does not answer" in answer.text) == (502, True)


@pytest.mark.parametrize("account", [{"id": "x", "username": "eve"}, {"id": 5}, {}])
def test_an_account_without_a_number_or_name(discord, ann, account):
    discord.consent("code", account)
    assert ann.come_back(state=ann.state(), code="code").status_code == 502
    assert ann.linked is None


def test_an_account_of_discord_that_is_anothers_stays_so(linking, discord, ann):
    bob = Browser(linking, "bob@example.org")
    for who, expected in ((ann, 303), (bob, 409)):
        discord.consent("code", {**EVE, "username": "<i>eve"})
        answer = who.come_back(state=who.state(), code="code")
        assert answer.status_code == expected
    assert "&lt;i&gt;eve is linked to another account" in answer.text
    assert (ann.linked, bob.linked) == (int(EVE["id"]), None)


def test_the_way_back_must_be_where_the_session_is_known(ann):
    for dashboard in ("http://127.0.0.1:5000", "https://dash.example.org"):
        with pytest.raises(Refused, match="PUBLIC_URL"):
            ann.begin(dashboard=dashboard)
    for dashboard in ("", "javascript:alert(1)", "http://localhost@evil.example/"):
        with pytest.raises(Refused):
            ann.begin(dashboard=dashboard)
    with pytest.raises(Refused, match="session has ended"):
        ann.begin(token="another")


def test_without_the_settings_it_says_so(database_url):
    with closing(WebhookDesk(database_url)) as desk:
        ann = Browser(desk)
        with pytest.raises(Refused, match="DISCORD_CLIENT_ID"):
            ann.begin()
        answer = ann.come_back(state="x", code="y")
        assert (answer.status_code, "not set up" in answer.text) == (404, True)
