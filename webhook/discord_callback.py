"""Where Discord sends a browser back that linked an account: `GET /discord/callback`."""

import logging
from datetime import UTC, datetime
from html import escape

import requests
from flask import Response, request

from actions.discord_linking import can_visit_discord, discord_address, redirect_uri
from database import discord_accounts, sign_in
from database.pool import Row
from signals.service import number_of
from webhook.services import client_address, services

# The dashboard's cookie; ui.gate sets it.
SESSION_COOKIE = "dashtrade_session"
PAGE_OF_DASHBOARD = "/discord?linked=1"
TIMEOUT_SECONDS = (5, 10)
LONGEST_VALUE = 512
DECLINED = "access_denied"
SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # The address holds Discord's code and the state.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;"
    "padding:0 1rem}h1{font-size:1.35rem}"
)

logger = logging.getLogger(__name__)


class LinkFailed(Exception):
    """Show the sentence on a page of its own: nothing was linked."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


def link_account() -> Response:
    """Link the Discord account whose owner comes back with a code, to the user of the browser's session.

    The state is used up first, whatever follows. The way on is the dashboard's address that was stored with
    it; nothing of the request decides it.
    """
    try:
        begun = _begun()
        account = _account_of(_code())
        _link(begun, account)
    except LinkFailed as failed:
        return _page("Nothing was linked", failed.sentence, failed.status)
    return Response(status=303, headers={**SAFE, "Location": f"{begun['dashboard']}{PAGE_OF_DASHBOARD}"})


def _begun() -> Row:
    """Use up the state and return who began; raise `LinkFailed` where this browser's session did not."""
    settings, now = services().settings, datetime.now(UTC)
    if not can_visit_discord(settings):
        raise LinkFailed(
            "Linking on Discord's page is not set up here: link by a code in the dashboard.", 404
        )
    state, token = _argument("state"), request.cookies.get(SESSION_COOKIE, "")
    again = "Begin again on the Discord page of the dashboard"
    with services().database.transaction() as transaction:
        user = sign_in.user_of_session(transaction, token, now) if token else None
        session = sign_in.session_id(transaction, token) if user else None
        if user is None or session is None:
            raise LinkFailed(f"You are not signed in here. {again}, in this browser.", 401)
        hashed = discord_accounts.state_hash(state)
        begun = discord_accounts.take_state(transaction, hashed, session, now)
    if begun is None or begun["dashboard"] is None:
        raise LinkFailed(f"This way back was used already, took too long, or began elsewhere. {again}.")
    return begun


def _code() -> str:
    """Return what Discord exchanges for a token; raise `LinkFailed` where its page ended otherwise."""
    error = _argument("error")
    if error == DECLINED:
        raise LinkFailed("You declined on Discord's page. Nothing was changed.", 200)
    code = _argument("code")
    if error or not code:
        raise LinkFailed("Discord did not say yes. Begin again on the Discord page of the dashboard.")
    return code


def _account_of(code: str) -> tuple[int, str]:
    """Return id and name of the Discord account that a code is for; its token is thrown away."""
    settings = services().settings
    secret = settings.discord_client_secret
    base = f"{discord_address(settings)}/api/v10"
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri(settings)}
    who = (str(settings.discord_client_id), secret.get_secret_value() if secret else "")
    token = _asked("POST", f"{base}/oauth2/token", data=given, auth=who).get("access_token")
    if not isinstance(token, str) or not token:
        raise LinkFailed("Discord gave no access. Begin again on the Discord page of the dashboard.", 502)
    account = _asked("GET", f"{base}/users/@me", headers={"Authorization": f"Bearer {token}"})
    number, name = number_of(str(account.get("id"))), account.get("username")
    if number is None or not isinstance(name, str):
        raise LinkFailed("Discord did not say whose account it is. Try again later.", 502)
    return number, name


def _asked(method: str, address: str, **options: object) -> Row:
    """Return what Discord answers; raise `LinkFailed` where that is no success."""
    try:
        answer = requests.request(
            method,
            address,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            **options,  # type: ignore[arg-type]
        )
        said = answer.json()
    except requests.RequestException as error:
        logger.warning("discord's %s gave no answer: %s", address, type(error).__name__)
        raise LinkFailed("Discord does not answer now. Begin again in a few minutes.", 502) from None
    if answer.status_code != 200 or not isinstance(said, dict):
        reason = said.get("error") if isinstance(said, dict) else None
        logger.warning("discord's %s answered %s, %s", address, answer.status_code, reason)
        raise _refusal(answer.status_code, reason)
    return said


def _refusal(status: int, reason: object) -> LinkFailed:
    if reason == "invalid_client" or status == 401:
        return LinkFailed(
            "Discord does not know this DashTrade: DISCORD_CLIENT_ID or DISCORD_CLIENT_SECRET is wrong.", 502
        )
    if reason == "invalid_grant":
        words = "Discord's answer was used already or is too old. Begin again on the Discord page of the dashboard."
        return LinkFailed(words)
    if status == 429 or status >= 500:
        return LinkFailed("Discord is busy. Begin again in a few minutes.", 502)
    return LinkFailed("Discord refused. Begin again on the Discord page of the dashboard.", 502)


def _link(begun: Row, account: tuple[int, str]) -> None:
    number, name = account
    with services().database.transaction() as transaction:
        done = discord_accounts.link(
            transaction, begun["user_id"], number, name, datetime.now(UTC),
            actor=begun["email"], address=client_address(),
        )  # fmt: skip
    if not done:
        raise LinkFailed(
            f"The Discord account {name} is linked to another account here. Unlink it there first, or sign in"
            " to Discord with another account.",
            409,
        )


def _argument(name: str) -> str:
    return request.args.get(name, "")[:LONGEST_VALUE]


def _page(title: str, words: str, status: int) -> Response:
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>'
        f"<main><h1>{escape(title)}</h1><p>{escape(words)}</p></main></html>"
    )
    return Response(body, status=status, headers=SAFE, content_type="text/html; charset=utf-8")
