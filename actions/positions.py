"""Say whose a holding is that the bots do not explain."""

from decimal import Decimal

from actions.acting import Acting, Refused, Tools
from core.wording import number
from database import holdings, lanes


def acknowledge(tools: Tools, acting: Acting, lane_id: int, *, own: Decimal) -> str:
    """Declare that `own` (signed) of a lane's symbol is the user's, outside all bots; return the symbol.

    Entries that the difference had stopped go again. `own` is what the user was shown: raises `Refused`
    where account and bots have moved since, for then the user agreed to something else.
    """
    with tools.database.transaction() as transaction:
        row = holdings.mismatch_of(transaction, acting.owner, lane_id)
        if row is None:
            raise Refused("This account adds up again: there is nothing to decide.")
        if not row["settled"]:
            raise Refused(f"An order moves {row['symbol']} just now. Look again in a minute.")
        if own != row["unexplained"]:
            now = number(row["unexplained"])
            raise Refused(f"It has moved meanwhile: {now} {row['symbol']} are unexplained now. Look again.")
        lanes.acknowledge_foreign(transaction, lane_id, own)
        acting.note(
            transaction,
            "positions acknowledge",
            f"{row['symbol']} at connection {row['connection_id']}",
            before={"quantity": row["foreign_quantity"]},
            after={"quantity": own},
        )
        return str(row["symbol"])
