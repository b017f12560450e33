"""Make webhook addresses, show them again, renew and revoke them."""

from actions.acting import Acting, Refused, Tools
from database import connections, tokens
from encryption import WrongKey
from settings import Settings

LONGEST_NAME = 60
MOST_TOKENS = 50


class NoSuchToken(Refused):
    """Name a token in use: this one was revoked, does not exist, or is another user's."""

    def __init__(self) -> None:
        super().__init__("There is no such webhook URL in use.")


def webhook_url(settings: Settings, text: str) -> str:
    """Return the address that alerts are sent to."""
    return f"{settings.public_url}/webhook?token={text}"


def generate(tools: Tools, acting: Acting, *, name: str, connection_id: int | None = None) -> str:
    """Make another token, bound to one connection or to none, and return its text; older ones stay valid."""
    wanted = " ".join(name.split()) or "TradingView"
    if len(wanted) > LONGEST_NAME:
        raise Refused(f"The name is longer than {LONGEST_NAME} letters.", "name")
    with tools.database.transaction() as transaction:
        if connection_id is not None and not connections.shown_connection(
            transaction, acting.owner, connection_id
        ):
            raise Refused("There is no such connection.", "connection")
        active = [each for each in tokens.tokens_of(transaction, acting.owner) if each.is_active]
        if len(active) >= MOST_TOKENS:
            raise Refused(f"There are {MOST_TOKENS} webhook URLs already; revoke one that is not used.")
        text = tokens.create_token(
            transaction, tools.vault, acting.owner, name=wanted, connection_id=connection_id
        )
        acting.note(transaction, "token add", f"token {text[: tokens.SHOWN]}", after={"name": wanted})
    return text


def show(tools: Tools, acting: Acting, token_id: int) -> str:
    """Return the text of an active token again, and record that it was shown."""
    with tools.database.transaction() as transaction:
        try:
            text = tokens.reveal_token(transaction, tools.vault, acting.owner, token_id)
        except WrongKey as error:
            raise Refused(f"{error} Rotate this URL to get a new one.") from None
        if text is None:
            raise NoSuchToken
        acting.note(transaction, "token show", f"token {token_id}")
    return text


def rotate(tools: Tools, acting: Acting, token_id: int) -> str:
    """Give a token a new text and return it; the old address is dead at once."""
    with tools.database.transaction() as transaction:
        text = tokens.rotate_token(transaction, tools.vault, acting.owner, token_id)
        if text is None:
            raise NoSuchToken
        acting.note(transaction, "token rotate", f"token {token_id}")
    return text


def revoke(tools: Tools, acting: Acting, token_id: int) -> None:
    """Make a token invalid: alerts that carry it are refused from now on."""
    with tools.database.transaction() as transaction:
        if not tokens.revoke_token(transaction, acting.owner, token_id):
            raise NoSuchToken
        acting.note(transaction, "token revoke", f"token {token_id}")
