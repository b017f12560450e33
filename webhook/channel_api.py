"""Signals of Discord channels at `POST /api/v1/signals`: whose registrations they are for, and the answer."""

from dataclasses import asdict
from typing import Any

from flask import Response, jsonify

import intake
from channel_intake import ChannelReceipt, ChannelStatus, switched_off
from core.plan import Code
from database import signal_channels
from database.pool import Transaction
from database.signal_channels import SignalChannel
from database.tokens import ServiceKey
from signals.problems import FieldProblem, InvalidSignal
from signals.service import ServiceFields, number_of
from webhook.access import may_see
from webhook.alerts import STATUS_OF_CODE
from webhook.counting import note_refusal
from webhook.errors import ApiError

# The first of these that any registration has is the whole answer's.
_ORDER = (
    ChannelStatus.NOT_STORED,
    ChannelStatus.ACCEPTED,
    ChannelStatus.DUPLICATE,
    ChannelStatus.TEST,
    ChannelStatus.REFUSED,
)
_STATUS = {
    ChannelStatus.NOT_STORED: 503,
    ChannelStatus.ACCEPTED: 202,
    ChannelStatus.DUPLICATE: 200,
    ChannelStatus.TEST: 200,
}


def channels_for(transaction: Transaction, key: ServiceKey, fields: ServiceFields) -> list[SignalChannel]:
    """Return the registrations that take the author of a message, of the users this key may signal for.

    Raises 404 for a channel that nobody registered, or this key may not name, and 403 for an author whom
    nobody takes: nothing of that is kept, since anybody may talk in a channel.
    """
    channel_id, author_id = _numbers(fields)
    known = signal_channels.of_discord_channel(transaction, channel_id) if _may_name(key, channel_id) else []
    known = [each for each in known if may_see(key, each.user_id)]
    active = [each for each in known if each.is_active]
    if not active:
        words = switched_off(known[0]).sentence if known else "Nobody here has registered this channel."
        raise ApiError(404, Code.NO_CHANNEL, words)
    taking = [each for each in active if each.takes_author(author_id, fields.author_roles)]
    if not taking:
        sentence = "No registration of this channel takes signals of this author."
        raise ApiError(403, Code.AUTHOR_NOT_ALLOWED, sentence)
    return taking


def answer_to(receipts: list[ChannelReceipt]) -> Response:
    """Return the answer to what the registrations made of a message.

    503 wants it sent again, also where some of them have stored it: these will say duplicate.
    """
    decisive = min(receipts, key=lambda receipt: _ORDER.index(receipt.status))
    said: dict[str, Any] = {"status": decisive.status, "signals": [asdict(receipt) for receipt in receipts]}
    status = _STATUS.get(decisive.status) or STATUS_OF_CODE.get(Code(decisive.code or ""), 422)
    if status >= 400:
        said = {"error": decisive.message, "code": decisive.code, **said}
        note_refusal(decisive.code or str(decisive.status))
    answer = jsonify(said)
    answer.status_code = status
    return answer


def refused(name: str, got: str | None, allowed: str) -> ApiError:
    """Return the answer to a field that is wrong, or missing, so that no user is known."""
    problem = FieldProblem(name=name, got="nothing" if got is None else f'"{got[:80]}"', allowed=allowed)
    unreadable = intake.unreadable(InvalidSignal((problem,)))
    return ApiError(422, unreadable.refusal.code, unreadable.refusal.sentence, **unreadable.details)


def _numbers(fields: ServiceFields) -> tuple[int, int]:
    channel_id, author_id = number_of(fields.channel), number_of(fields.author)
    if channel_id is None:
        raise refused("channel", fields.channel, "the id of a Discord channel")
    if author_id is None:
        raise refused("author", fields.author, "the id of the Discord account that wrote the message")
    if fields.message_id is None:
        raise refused("message_id", None, "the id of the message, under which it trades once")
    roles = next((each for each in fields.problems if each.name.startswith("author")), None)
    if roles is not None:
        raise ApiError(422, Code.INVALID_SIGNAL, str(roles), fields=[asdict(roles)])
    return channel_id, author_id


def _may_name(key: ServiceKey, channel_id: int) -> bool:
    return key.allowed_channels is None or str(channel_id) in key.allowed_channels
