"""The accounts: who there is, inviting, roles, closing, links for new passwords, who may sign up."""

import streamlit as st

from actions import people as actions
from database import accounts
from database.accounts import Role, SignUp, User
from database.pool import Row
from ui.admin.operator import operator
from ui.calm import calm, doing, done
from ui.formatting import age, moment
from ui.services import now, services
from ui.tables import plain

PAGE = 20
LINK = "the link that was made last"
SIGN_UP = {
    SignUp.INVITATION: "By invitation",
    SignUp.OPEN: "Open to everybody",
    SignUp.CLOSED: "Closed",
}


def draw(user: User) -> None:
    """Draw who may sign up, the link made last, and a page of accounts."""
    sign_up(user)
    draw_link()
    text = (
        st.text_input("Find an account", key="find-account", type="search", placeholder="e-mail address")
        or ""
    )
    page = st.session_state.get("accounts-page", 1)
    with services().database.transaction() as transaction:
        rows = accounts.accounts_page(transaction, text, limit=PAGE, offset=(page - 1) * PAGE)
    if not rows:
        st.caption("No account has that in its address.")
    for row in rows:
        with st.container(border=True):
            draw_account(user, row)
    pages = -(-rows[0]["total"] // PAGE) if rows else 1
    if pages > 1:
        st.pagination(pages, key="accounts-page")


def sign_up(user: User) -> None:
    """Draw who may make an account, and the button that invites somebody."""
    with services().database.transaction() as transaction:
        setting = accounts.sign_up_setting(transaction)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.selectbox("Who may sign up", list(SIGN_UP), index=list(SIGN_UP).index(setting),
                              format_func=SIGN_UP.__getitem__, key=f"sign-up-{setting}", width=240)  # fmt: skip
        if st.button("Invite somebody", icon=":material/person_add:", type="primary"):
            with calm():
                link = actions.invite(services(), operator(user), now())
                st.session_state[LINK] = ("Whoever opens this link makes one account, within a week.", link)
                st.rerun()
    if wanted is not setting:
        with calm():
            actions.set_sign_up(services(), operator(user), wanted)
            done(f"Sign-up: {SIGN_UP[wanted].lower()}.")


def draw_link() -> None:
    """Draw the link made last until it is put away; it cannot be shown again."""
    made = st.session_state.get(LINK)
    if made is None:
        return
    with st.container(border=True):
        st.markdown(f"**{made[0]}** Send it yourself; it is not shown again.")
        st.code(made[1], language=None, wrap_lines=True)
        if st.button("Put it away", icon=":material/close:"):
            del st.session_state[LINK]
            st.rerun()


def draw_account(user: User, row: Row) -> None:
    """Draw one account with what can be done about it."""
    badges = " :blue-badge[★ admin]" if row["role"] == Role.ADMIN else ""
    badges += "" if row["is_active"] else " :red-badge[– closed]"
    badges += " :green-badge[✓ second factor]" if row["has_second_factor"] else ""
    badges += " :gray-badge[you]" if row["id"] == user.id else ""
    st.markdown(f"**{plain(row['email'])}**{badges}")
    bots = f"{row['bots']} bot{'' if row['bots'] == 1 else 's'}"
    st.caption(
        f"Id {row['id']} · {bots} · last seen {age(row['last_seen_at'], now())}"
        f" · since {moment(row['created_at'], user.time_zone)}"
    )
    with st.container(horizontal=True):
        if st.button("Link for a new password", key=f"reset-{row['id']}", icon=":material/key:"):
            with doing():
                link = actions.reset_link(services(), operator(user), row["id"], now())
                words = f"With this link {row['email']} sets a new password, once within a day."
                st.session_state[LINK] = (plain(words), link)
                st.rerun()
        draw_role(user, row)
        draw_closing(user, row)


def draw_role(user: User, row: Row) -> None:
    """Draw what makes an account an admin's, or a user's again, after asking."""
    is_admin = row["role"] == Role.ADMIN
    label = "Make a user" if is_admin else "Make an admin"
    with st.popover(label, icon=":material/shield_person:"):
        st.markdown("They see this page no more." if is_admin else "An admin sees all accounts and backups.")
        if st.button("Yes", key=f"role-{row['id']}", type="primary"):
            with doing():
                role = Role.USER if is_admin else Role.ADMIN
                actions.set_role(services(), operator(user), row["id"], role)
                done(f"{row['email']} is {'a user' if is_admin else 'an admin'} now.")


def draw_closing(user: User, row: Row) -> None:
    """Draw what closes an account after asking, or opens it again."""
    if not row["is_active"]:
        if st.button("Open again", key=f"enable-{row['id']}", icon=":material/lock_open:"):
            with doing():
                actions.set_active(services(), operator(user), row["id"], active=True)
                done(f"{row['email']} may sign in again.")
        return
    with st.popover("Close the account", icon=":material/block:"):
        st.markdown("They are signed out everywhere and their webhook URLs are dead. What their bots hold stays"
                    " and is watched; nothing is closed.")  # fmt: skip
        if st.button("Close it", key=f"disable-{row['id']}", type="primary"):
            with doing():
                actions.set_active(services(), operator(user), row["id"], active=False)
                done(f"{row['email']} is closed.")
