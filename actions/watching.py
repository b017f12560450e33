"""Watch bots that run elsewhere: add one by its prefix, name it, and stop watching it."""

from actions.acting import Acting, Refused, Tools
from database import watched_list
from database.pool import Row, Transaction
from settings import Settings

LONGEST_NAME = 60
LONGEST_PREFIX_BYTES = 200
MOST_BOTS = 50
TAKEN = (
    "This prefix is watched already, or lies inside or around one that is. Let the bot report below a prefix of"
    " its own."
)


class NoSuchBot(Refused):
    """Name a bot that the user watches: this one was removed, does not exist, or is another user's."""

    def __init__(self) -> None:
        super().__init__("You watch no such bot any more.")


def add(tools: Tools, acting: Acting, *, name: str, prefix: str) -> int:
    """Watch another bot and return its number; raise `Refused`, about `name` or `prefix`."""
    wanted, below = checked_name(name), checked_prefix(prefix)
    _refuse_kept(tools.settings, below)
    with tools.database.transaction() as transaction:
        watched_list.only_adder(transaction)
        if watched_list.is_taken(transaction, below):
            raise Refused(TAKEN, "prefix")
        _refuse_same_name(transaction, acting, wanted)
        if watched_list.count(transaction, acting.owner) >= MOST_BOTS:
            raise Refused(f"You watch {MOST_BOTS} bots already; remove one first.")
        bot_id = watched_list.add(transaction, acting.owner, wanted, below)
        acting.note(
            transaction, "watched bot add", f"watched bot {bot_id}", after={"name": wanted, "prefix": below}
        )
    return bot_id


def rename(tools: Tools, acting: Acting, bot_id: int, name: str) -> None:
    """Give a watched bot another name; raise `Refused`, about `name`."""
    wanted = checked_name(name)
    with tools.database.transaction() as transaction:
        watched_list.only_adder(transaction)
        bot = _bot(transaction, acting, bot_id)
        _refuse_same_name(transaction, acting, wanted, besides=bot_id)
        watched_list.rename(transaction, acting.owner, bot_id, wanted)
        before, after = {"name": bot["name"]}, {"name": wanted}
        acting.note(transaction, "watched bot rename", f"watched bot {bot_id}", before=before, after=after)


def remove(tools: Tools, acting: Acting, bot_id: int) -> None:
    """Stop watching a bot and delete everything it reported; the bot itself is not touched."""
    with tools.database.transaction() as transaction:
        bot = _bot(transaction, acting, bot_id)
        if bot["is_default"]:
            raise Refused(
                "This bot is watched by the setting MQTT_TOPIC_PREFIX: it can be renamed, not removed."
            )
        watched_list.remove(transaction, acting.owner, bot_id)
        before = {"name": bot["name"], "prefix": bot["prefix"]}
        acting.note(transaction, "watched bot remove", f"watched bot {bot_id}", before=before)


def checked_name(name: str) -> str:
    """Return a name with single spaces; raise `Refused`."""
    wanted = " ".join(name.split())
    if not wanted:
        raise Refused("Give the bot a name.", "name")
    if len(wanted) > LONGEST_NAME:
        raise Refused(f"The name is longer than {LONGEST_NAME} letters.", "name")
    if not wanted.isprintable():
        raise Refused("The name holds signs that cannot be seen.", "name")
    return wanted


def checked_prefix(prefix: str) -> str:
    """Return a prefix that MQTT can subscribe to; raise `Refused`."""
    below = prefix.strip()
    if not below:
        raise Refused("Enter the prefix of the bot's topics, like mybot/", "prefix")
    if "+" in below or "#" in below:
        raise Refused("A prefix holds no + and no #: DashTrade watches everything below it anyway.", "prefix")
    if not below.isprintable():
        raise Refused("The prefix holds signs that cannot be seen.", "prefix")
    if below.startswith("$"):
        raise Refused("Topics that begin with $ belong to the broker itself.", "prefix")
    if not below.strip("/"):
        raise Refused("A prefix names the bot before its slash, like mybot/", "prefix")
    if not below.endswith("/"):
        raise Refused(f"A prefix ends with a slash: {below}/", "prefix")
    if len(below.encode()) > LONGEST_PREFIX_BYTES:
        raise Refused(f"The prefix is longer than {LONGEST_PREFIX_BYTES} bytes.", "prefix")
    return below


def _refuse_kept(settings: Settings, prefix: str) -> None:
    """Refuse what DashTrade itself reports below, and what it watches by its settings."""
    if _overlap(prefix, settings.mqtt_publish_prefix):
        own = settings.mqtt_publish_prefix
        raise Refused(f"This DashTrade itself reports below {own}: choose another prefix.", "prefix")
    if _overlap(prefix, settings.mqtt_topic_prefix):
        raise Refused(TAKEN, "prefix")


def _refuse_same_name(
    transaction: Transaction, acting: Acting, name: str, *, besides: int | None = None
) -> None:
    if watched_list.is_named(transaction, acting.owner, name, besides=besides):
        raise Refused(f"You watch a bot named {name} already: give this one another name.", "name")


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _bot(transaction: Transaction, acting: Acting, bot_id: int) -> Row:
    bot = watched_list.locked(transaction, acting.owner, bot_id)
    if bot is None:
        raise NoSuchBot
    return bot
