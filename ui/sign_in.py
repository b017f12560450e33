"""Sign in, sign up, sign out, set a new password: the forms and what they do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from core.addresses import address_behind, networks
from database import accounts, audit, sign_in
from database.accounts import AccountError, LinkKind, SignUp, User
from database.pool import Transaction
from database.sign_in import SESSION_LIFE, CodeNeeded, SignInRefused, TooManyAttempts
from encryption import WrongKey
from ui.bodies import BodyTooLarge, read_body
from ui.forms import Field, page
from ui.gate import COOKIE, Sessions, is_same_origin, session_token
from ui.services import now, services

LARGEST_FORM = 16 * 1024
MOST_FIELDS = 20
HASHING_AT_ONCE = 2
EMAIL = Field(name="email", label="E-mail address", kind="email", fills="username")
PASSWORD = Field(name="password", label="Password", kind="password", fills="current-password")
NEW_PASSWORD = Field(
    name="password",
    label="New password",
    kind="password",
    fills="new-password",
    hint=f"At least {accounts.SHORTEST_PASSWORD} characters.",
)
CODE = Field(
    name="code",
    label="Code",
    fills="one-time-code",
    hint="The six digits that your authenticator shows now.",
    digits=True,
)
AGAIN = Field(name="again", label="The same password again", kind="password", fills="new-password")

Handler = Callable[[Request], Awaitable[Response]]
Form = Mapping[str, str]


class SignInPages:
    """Serve the forms; a session that ends here gives its open pages nothing more."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        # Each hash takes 64 MB: a flood of forms must wait, not fill the memory.
        self._hashing = asyncio.Semaphore(HASHING_AT_ONCE)

    def routes(self) -> list[Route]:
        """Return the routes under /auth."""
        pages: tuple[tuple[str, Handler, Handler], ...] = (
            ("/auth/login", self.show_login, self.log_in),
            ("/auth/code", self.show_login, self.take_code),
            ("/auth/signup", self.show_sign_up, self.sign_up),
            ("/auth/reset", self.show_reset, self.reset),
            ("/auth/logout", self.show_logout, self.log_out),
        )
        shown = [Route(path, show, methods=["GET"]) for path, show, _ in pages]
        return shown + [Route(path, guarded(act), methods=["POST"]) for path, _, act in pages]

    async def show_login(self, request: Request) -> Response:
        """Show the form, or the dashboard to whoever is signed in."""
        token = session_token(request.headers)
        if token is not None and await self._sessions.user(token) is not None:
            return RedirectResponse("/", status_code=303)
        if not await asyncio.to_thread(_is_there_an_account):
            return RedirectResponse("/auth/signup", status_code=303)
        return _login_page()

    async def log_in(self, request: Request) -> Response:
        """Open a session; the same answer for an unknown account and a wrong password."""
        form = await read_form(request)
        email = form.get("email", "")
        try:
            async with self._hashing:
                user = await asyncio.to_thread(_check, email, form.get("password", ""), _address(request))
        except TooManyAttempts as refused:
            return _login_page(email=email, error=str(refused), status=429)
        except SignInRefused as refused:
            return _login_page(email=email, error=str(refused), status=401)
        if isinstance(user, CodeNeeded):
            return _code_page(user.ticket)
        return await self._let_in(request, user, "sign in")

    async def take_code(self, request: Request) -> Response:
        """Open a session after the second factor; the ticket says that the password was right."""
        form = await read_form(request)
        ticket = form.get("ticket", "")
        try:
            user = await asyncio.to_thread(_check_code, ticket, form.get("code", ""), _address(request))
        except TooManyAttempts as refused:
            return _login_page(error=str(refused), status=429)
        except SignInRefused as refused:
            if str(refused) == sign_in.TICKET_DEAD:
                return _login_page(error=str(refused), status=401)
            return _code_page(ticket, error=str(refused), status=401)
        except WrongKey as refused:
            return _code_page(ticket, error=str(refused), status=503)
        return await self._let_in(request, user, "sign in")

    async def show_sign_up(self, request: Request) -> Response:
        """Show the form to whoever may have an account."""
        return await asyncio.to_thread(_sign_up_page, code=request.query_params.get("code", ""))

    async def sign_up(self, request: Request) -> Response:
        """Make an account and sign it in."""
        form = await read_form(request)
        email, code = form.get("email", ""), form.get("code", "")
        try:
            _require_same(form)
            async with self._hashing:
                user = await asyncio.to_thread(_make_account, email, form.get("password", ""), code)
        except AccountError as error:
            return await asyncio.to_thread(_sign_up_page, code=code, email=email, error=str(error))
        return await self._let_in(request, user, "sign up")

    async def show_reset(self, request: Request) -> Response:
        """Show the form for a new password to whoever has a living link."""
        code = request.query_params.get("code", "")
        if not await asyncio.to_thread(_is_reset_alive, code):
            words = "This link was used or is too old. Ask whoever runs this server for a new one."
            return page("New password", error=words, links=(("Sign in", "/auth/login"),), status=404)
        return _reset_page(code)

    async def reset(self, request: Request) -> Response:
        """Set the new password; every session of the account ends, and its pages within seconds."""
        form = await read_form(request)
        code = form.get("code", "")
        try:
            _require_same(form)
            async with self._hashing:
                await asyncio.to_thread(_reset, code, form.get("password", ""), _address(request))
        except AccountError as error:
            return _reset_page(code, error=str(error))
        words = "The new password is set. Sign in with it."
        return page("New password", words=words, links=(("Sign in", "/auth/login"),))

    async def show_logout(self, request: Request) -> Response:
        """Ask, since an address alone must not sign anybody out."""
        words = "This ends your session here and in its other tabs."
        back = (("Back to the dashboard", "/"),)
        return page("Sign out", words=words, action="/auth/logout", button="Sign out", links=back)

    async def log_out(self, request: Request) -> Response:
        """End the session, everywhere it is open."""
        token = session_token(request.headers)
        if token is not None:
            await asyncio.to_thread(_end, token, _address(request))
            self._sessions.end(token)
        response = RedirectResponse("/auth/login", status_code=303)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
        return response

    async def _let_in(self, request: Request, user: User, action: str) -> Response:
        agent = request.headers.get("user-agent", "")
        token = await asyncio.to_thread(_open, user, agent, action, _address(request))
        await self._replace(session_token(request.headers))
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(
            COOKIE,
            token,
            max_age=int(SESSION_LIFE.total_seconds()),
            path="/",
            httponly=True,
            samesite="lax",
            secure=_is_https(request),
        )
        return response

    async def _replace(self, token: str | None) -> None:
        """End the session that the browser had: nobody has its cookie any more, but who copied it."""
        if token is not None:
            await asyncio.to_thread(_forget, token)
            self._sessions.end(token)


def guarded(handler: Handler) -> Handler:
    """Refuse a form that another site sent."""

    async def handle(request: Request) -> Response:
        if not is_same_origin(request.headers):
            words = "This form was not sent from this dashboard. Open it here and try again."
            return page("Refused", error=words, links=(("Sign in", "/auth/login"),), status=403)
        try:
            return await handler(request)
        except BodyTooLarge:
            return page("Refused", error="The form is too long.", status=413)

    return handle


async def read_form(request: Request) -> Form:
    """Return the fields of a form, without NUL, which no database takes; of a field sent twice, the first."""
    body = (await read_body(request, LARGEST_FORM)).decode("utf-8", errors="replace")
    try:
        fields = parse_qs(body, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BodyTooLarge from None
    return {name: values[0].replace("\0", "") for name, values in fields.items()}


def _is_https(request: Request) -> bool:
    # The browser's own word, checked against the host: a proxy may not tell us that it speaks TLS.
    return request.headers.get("origin", "").startswith("https://")


def _address(request: Request) -> str:
    if request.client is None:
        return "unknown"
    proxies = networks(services().settings.trusted_proxies)
    return address_behind(request.client.host, request.headers.getlist("x-forwarded-for"), proxies)


def _require_same(form: Form) -> None:
    if form.get("password", "") != form.get("again", ""):
        raise AccountError("The two passwords are not the same.")


def _login_page(*, email: str = "", error: str = "", status: int = 200) -> Response:
    filled = Field(name="email", label=EMAIL.label, kind="email", fills="username", value=email)
    return page(
        "Sign in to DashTrade",
        error=error,
        action="/auth/login",
        fields=(filled, PASSWORD),
        button="Sign in",
        links=(("Make an account", "/auth/signup"),),
        status=status,
    )


def _sign_up_page(*, code: str = "", email: str = "", error: str = "") -> Response:
    with services().database.transaction() as transaction:
        first = not accounts.there_is_an_account(transaction)
        setting = accounts.sign_up_setting(transaction)
    back = () if first else (("I have an account", "/auth/login"),)
    if not first and setting is SignUp.CLOSED:
        words = "Nobody can sign up here. Ask whoever runs this server."
        return page("Make an account", error=words, links=back, status=403)
    if not first and setting is SignUp.INVITATION and not code:
        words = "You need an invitation: a link that whoever runs this server makes for you."
        return page("Make an account", words=words, links=back, status=403)
    filled = Field(name="email", label=EMAIL.label, kind="email", fills="username", value=email)
    words = "The first account is the administrator's." if first else ""
    return page(
        "Make an account",
        words=words,
        error=error,
        action="/auth/signup",
        fields=(filled, NEW_PASSWORD, AGAIN, *_code_field(first, code)),
        button="Make the account",
        links=back,
        status=400 if error else 200,
    )


def _code_field(first: bool, code: str) -> tuple[Field, ...]:
    if first:
        hint = "DashTrade printed it where it was started."
        return (Field(name="code", label="Sign-up code", value=code, hint=hint),)
    return (Field(name="code", label="", kind="hidden", value=code),) if code else ()


def _code_page(ticket: str, *, error: str = "", status: int = 200) -> Response:
    return page(
        "Second factor",
        words="Your password was right.",
        error=error,
        action="/auth/code",
        fields=(CODE, Field(name="ticket", label="", kind="hidden", value=ticket)),
        button="Sign in",
        links=(("Begin again", "/auth/login"),),
        status=status,
    )


def _reset_page(code: str, *, error: str = "") -> Response:
    return page(
        "New password",
        error=error,
        action="/auth/reset",
        fields=(NEW_PASSWORD, AGAIN, Field(name="code", label="", kind="hidden", value=code)),
        button="Set the new password",
        status=400 if error else 200,
    )


def _is_there_an_account() -> bool:
    with services().database.transaction() as transaction:
        return accounts.there_is_an_account(transaction)


def _check(email: str, password: str, address: str) -> User | CodeNeeded:
    made = services()
    return sign_in.sign_in(made.database, made.vault, email, password, address=address, now=now())


def _check_code(ticket: str, code: str, address: str) -> User:
    made = services()
    return sign_in.sign_in_with_code(made.database, made.vault, ticket, code, address=address, now=now())


def _make_account(email: str, password: str, code: str) -> User:
    with services().database.transaction() as transaction:
        return accounts.sign_up(transaction, services().vault, email, password, code=code.strip(), now=now())


def _is_reset_alive(code: str) -> bool:
    with services().database.transaction() as transaction:
        return accounts.is_link_alive(transaction, LinkKind.RESET, code, now())


def _reset(code: str, password: str, address: str) -> None:
    with services().database.transaction() as transaction:
        user = accounts.reset_password(transaction, code, password, now())
        _note(transaction, user, "new password", address)


def _open(user: User, agent: str, action: str, address: str) -> str:
    with services().database.transaction() as transaction:
        _note(transaction, user, action, address)
        return sign_in.open_session(transaction, user.id, agent=agent, now=now())


def _end(token: str, address: str) -> None:
    with services().database.transaction() as transaction:
        user = sign_in.end_session(transaction, token)
        if user is not None:
            _note(transaction, user, "sign out", address)


def _forget(token: str) -> None:
    with services().database.transaction() as transaction:
        sign_in.end_session(transaction, token)


def _note(transaction: Transaction, user: User, action: str, address: str) -> None:
    subject = f"user {user.id}"
    audit.record(
        transaction, actor=user.email, action=action, subject=subject, user_id=user.id, address=address
    )
