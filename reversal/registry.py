"""Give the model that scores: its row's file, checked against its hash, then against this version of the code."""

import hashlib
from datetime import datetime

from database import model_versions
from database.model_versions import ModelState
from database.pool import Database, Row, Transaction
from reversal.model import Model, ModelRefused


class Unknown(LookupError):
    """There is no such model; the message names those there are."""


def champion(database: Database, now: datetime) -> Model:
    """Return the champion; train the default one first where there is none, once whoever else asks.

    Raises ModelRefused where the champion's file is not what was stored, or not what this version can score
    with: then `manage.py model use` another, or train one.
    """
    with database.transaction() as transaction:
        row = model_versions.champion(transaction)
    return loaded(row) if row else _first(database, now)


def loaded(row: Row) -> Model:
    """Return the model of a row; raise ModelRefused where its file does not have its hash or does not fit."""
    if hashlib.sha256(row["file"]).hexdigest() != row["file_hash"]:
        raise ModelRefused(
            f"The file of model {row['version']} is not the one that was stored: its hash differs."
        )
    model = Model.load(row["file"])
    if model.version != row["version"]:
        raise ModelRefused(f"The file of model {row['version']} is that of {model.version}.")
    return model


def use(transaction: Transaction, version: str | None, now: datetime) -> tuple[Row | None, Row]:
    """Make a version the champion, the one before the present without a name; return the rows before and after.

    Raises Unknown, and ModelRefused for one that cannot score or says the same of every bar; then nothing changes.
    """
    model_versions.lock(transaction)
    wanted = version or model_versions.previous(transaction)
    row = model_versions.of_version(transaction, wanted) if wanted else None
    if row is None:
        raise Unknown(_which(transaction, version))
    loaded(row)
    collapsed = [key for key, each in row["metrics"]["record"].items() if each["collapsed"]]
    if collapsed and len(collapsed) == len(row["metrics"]["record"]):
        raise ModelRefused(f"Model {wanted} gives every bar the same confidence: it has learned nothing.")
    before = model_versions.champion(transaction)
    model_versions.promote(transaction, row["version"], now)
    return before, row


def _first(database: Database, now: datetime) -> Model:
    from reversal import training

    with database.transaction() as transaction:
        model_versions.lock(transaction)
        row = model_versions.champion(transaction)
        if row is None:
            made = training.train(training.recordings())
            model_versions.store(transaction, made.row, ModelState.CHALLENGER, now)
            model_versions.promote(transaction, made.row.version, now)
            row = model_versions.champion(transaction)
    if row is None:
        raise ModelRefused("The default model was trained, and is not there.")
    return loaded(row)


def _which(transaction: Transaction, version: str | None) -> str:
    known = ", ".join(row["version"] for row in model_versions.versions(transaction)) or "none yet"
    if version is None:
        return f"No model was in use before the present one; there are: {known}."
    return f"There is no model {version}; there are: {known}."
