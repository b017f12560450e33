"""Send an alert as TradingView would: over HTTP, to the webhook server, with the user's own token.

It is a real signal that trades, so it goes to bots on play money alone.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import requests

from actions.acting import Acting, Refused, Tools
from actions.bots import DEFAULT_RISK_PERCENT, DEFAULT_SIZE, DEFAULT_TIMEFRAME, Created, create
from brokers.base import Mode
from core.errors import BrokerError
from core.instrument import AssetClass
from core.signal import Action
from database import connections, first_run, tokens
from database.pool import Row
from encryption import WrongKey
from intake import TRADINGVIEW

TIMEOUT_SECONDS = (2.0, 10.0)
STOCK, COIN = "AAPL", "BTC/USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A test alert that was stored; `signal_id` leads to what became of it."""

    signal_id: UUID
    bot: str
    symbol: str
    action: Action


def practice_bot(tools: Tools, acting: Acting, connection_id: int) -> Created:
    """Make a bot on a symbol that trades at this hour, with the usual size."""
    with tools.database.transaction() as transaction:
        place = connections.shown_connection(transaction, acting.owner, connection_id)
    if place is None:
        raise Refused("There is no such connection.")
    if place["mode"] == Mode.LIVE:
        raise Refused(f"{place['label']} trades real money; connect the paper broker for a test trade.")
    is_open = tools.registry.broker(connection_id).clock(AssetClass.STOCK).is_open
    return create(
        tools,
        acting,
        connection_id=connection_id,
        symbol=STOCK if is_open else COIN,
        timeframe=DEFAULT_TIMEFRAME,
        position_size=DEFAULT_SIZE,
        risk_limit_percent=DEFAULT_RISK_PERCENT,
    )


def send_alert(tools: Tools, acting: Acting, bot_id: int | None = None, action: Action | None = None) -> Sent:
    """Send an alert for a bot whose market is open; without a wish it buys, or closes what is held.

    Raises `Refused` with what to do first, or with what the webhook server said.
    """
    with tools.database.transaction() as transaction:
        candidates = first_run.bots_for_a_test(transaction, acting.owner, TRADINGVIEW)
        active = [each for each in tokens.tokens_of(transaction, acting.owner) if each.is_active]
    bot = _choose(tools, candidates, bot_id)
    token = next((each for each in active if each.connection_id in (None, bot["connection_id"])), None)
    if token is None:
        raise Refused("A test alert goes to your webhook URL: generate one first.", "token")
    chosen = action or (Action.CLOSE if bot["holds"] else Action.BUY)
    signal_id = _post(tools, _opened(tools, acting, token.id), _body(bot, chosen, datetime.now(UTC)))
    with tools.database.transaction() as transaction:
        acting.note(transaction, "test alert", f"bot {bot['id']}", after={"action": chosen})
    return Sent(signal_id=signal_id, bot=bot["name"], symbol=bot["symbol"], action=chosen)


def _opened(tools: Tools, acting: Acting, token_id: int) -> str:
    with tools.database.transaction() as transaction:
        try:
            secret = tokens.reveal_token(transaction, tools.vault, acting.owner, token_id)
        except WrongKey as error:
            raise Refused(f"{error} Rotate your webhook URL to get a new one.", "token") from None
    if secret is None:
        raise Refused("Your webhook URL was revoked a moment ago: generate one first.", "token")
    return secret


def _choose(tools: Tools, candidates: list[Row], bot_id: int | None) -> Row:
    wanted = [bot for bot in candidates if bot_id in (None, bot["id"])]
    if not wanted:
        raise Refused(
            "A test alert trades, so it goes to an enabled bot on a paper connection that follows TradingView;"
            " there is no such bot yet.",
            "bot",
        )
    market = ""
    for bot in wanted:
        try:
            clock = tools.registry.broker(bot["connection_id"]).clock(AssetClass(bot["asset_class"]))
        except BrokerError as error:
            market = f"{bot['connection']} does not answer: {error.message}"
            continue
        if clock.is_open:
            return bot
        opens = f"{clock.next_open:%a %H:%M} UTC" if clock.next_open else "later"
        market = f"The market of {bot['symbol']} is closed and opens {opens}."
    raise Refused(f"{market} A bot on {COIN} trades at any hour.", "market")


def _body(bot: Row, action: Action, now: datetime) -> bytes:
    message = {
        "action": action.lower(),
        "symbol": bot["symbol"],
        "timeframe": bot["timeframe"],
        "bot": str(bot["id"]),
        "timenow": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return json.dumps({name: value for name, value in message.items() if value is not None}).encode()


def _post(tools: Tools, secret: str, body: bytes) -> UUID:
    url = f"http://127.0.0.1:{tools.settings.webhook_port}/webhook"
    headers = {"Content-Type": "application/json; charset=utf-8"}
    try:
        answer = requests.post(
            url, data=body, params={"token": secret}, headers=headers, timeout=TIMEOUT_SECONDS
        )
        said = answer.json()
    except (requests.ConnectionError, requests.Timeout):
        raise Refused("The webhook server does not answer. Is everything running? See Health.") from None
    except requests.JSONDecodeError:
        raise Refused(f"The webhook server answered {answer.status_code} without a word.") from None
    if not answer.ok:
        raise Refused(f"The webhook server refused the alert: {said.get('error', answer.status_code)}")
    return UUID(said["signal_id"])
