"""The part of Setup that makes webhook URLs, shows them on a click, renews and revokes them."""

import streamlit as st

from actions import tokens as actions
from database import tokens
from database.accounts import User
from database.connections import shown_connections
from database.tokens import Token
from ui.calm import acting, calm, done
from ui.formatting import age
from ui.services import now, services
from ui.tables import plain

ANY = "All connections"
SHOWN = "shown webhook tokens"
HERE_ONLY = ("http://localhost", "http://127.0.0.1")
REACH = (
    "`localhost` is reached from this machine alone. TradingView needs an address of the internet, at port 80 or"
    " 443: `PUBLIC_URL` says which, and docs/operations.md how to get one."
)


def draw(user: User) -> None:
    """Draw the URLs there are, then the form for another."""
    with services().database.transaction() as transaction:
        places = {row["id"]: row["label"] for row in shown_connections(transaction, user.id)}
        active = [each for each in tokens.tokens_of(transaction, user.id) if each.is_active]
    st.caption("Whoever knows the URL can trade with your bots: paste it into TradingView, and nowhere else.")
    if services().settings.public_url.startswith(HERE_ONLY):
        st.caption(REACH)
    for token in active:
        with st.container(border=True):
            draw_token(user, token, places)
    if not active:
        generate_form(user, places)
        return
    with st.expander("Generate another"):
        generate_form(user, places)


def draw_token(user: User, token: Token, places: dict[int, str]) -> None:
    """Draw one URL by its beginning, with what can be done about it."""
    bound = (
        f"only {places.get(token.connection_id, 'one connection')}" if token.connection_id else ANY.lower()
    )
    st.markdown(f"**{plain(token.name)}** `{token.prefix}…`")
    used = "not used yet" if token.last_used_at is None else f"used {age(token.last_used_at, now())}"
    st.caption(f"For {bound} · {used}")
    text = shown_texts().get(token.id)
    if text is not None:
        st.code(actions.webhook_url(services().settings, text), language=None, wrap_lines=True)
    with st.container(horizontal=True):
        if text is None and st.button("Show", key=f"show-{token.id}", icon=":material/visibility:"):
            with calm():
                shown_texts()[token.id] = actions.show(services(), acting(user), token.id)
                st.rerun()
        if text is not None and st.button("Hide", key=f"hide-{token.id}", icon=":material/visibility_off:"):
            del shown_texts()[token.id]
            st.rerun()
        with st.popover("Rotate", icon=":material/autorenew:"):
            rotation(user, token)
        with st.popover("Revoke", icon=":material/block:"):
            revocation(user, token)


def rotation(user: User, token: Token) -> None:
    """Ask before a URL is renewed."""
    st.markdown(
        f"Give **{plain(token.name)}** a new URL? The old one is dead at once: change it in every alert."
    )
    if st.button("Rotate it", key=f"rotate-{token.id}", type="primary"):
        with calm():
            shown_texts()[token.id] = actions.rotate(services(), acting(user), token.id)
            done(f"{token.name} has a new URL.")


def revocation(user: User, token: Token) -> None:
    """Ask before a URL is revoked."""
    st.markdown(f"Revoke **{plain(token.name)}**? Alerts sent to it are refused from then on.")
    if st.button("Revoke it", key=f"revoke-{token.id}", type="primary"):
        with calm():
            actions.revoke(services(), acting(user), token.id)
            shown_texts().pop(token.id, None)
            done(f"The URL {token.name} is revoked.")


def generate_form(user: User, places: dict[int, str]) -> None:
    """Draw the form for a new URL."""
    with st.form("generate-token", border=False):
        name = st.text_input("What it is for", "TradingView", key="generate-name", autocomplete="off")
        # A choice that is None would read as nothing chosen.
        choices = {0: ANY} | places
        bound = 0
        if len(places) > 1:
            bound = st.selectbox(
                "It may trade at", list(choices), key="generate-connection", format_func=choices.__getitem__
            )
        if st.form_submit_button("Generate Webhook URL", type="primary", icon=":material/link:"):
            with calm():
                text = actions.generate(
                    services(), acting(user), name=name or "", connection_id=bound or None
                )
                remember(user, text)
                done("Your webhook URL is ready: copy it into TradingView's alert, under Notifications.")


def remember(user: User, text: str) -> None:
    """Keep a new token's text for this page, so that it is shown at once."""
    with services().database.transaction() as transaction:
        for token in tokens.tokens_of(transaction, user.id):
            if token.is_active and text.startswith(token.prefix):
                shown_texts()[token.id] = text


def shown_texts() -> dict[int, str]:
    """Return the tokens that this page shows in full, by id."""
    texts: dict[int, str] = st.session_state.setdefault(SHOWN, {})
    return texts
