"""Give the model that scores: its row's file, checked against its hash, then against this version of the code."""

import hashlib
import logging
from datetime import datetime

from database import health, model_versions
from database.model_versions import ModelState
from database.notifications import NotificationKind, notify
from database.pool import Database, Row, Transaction
from reversal.model import Model, ModelOutdated, ModelRefused

logger = logging.getLogger(__name__)


class Unknown(LookupError):
    """There is no such model; the message names those there are."""


def champion(database: Database, now: datetime) -> Model:
    """Return the champion; train the default one first where there is none, once whoever else asks.

    One of a release whose features were others is replaced by this release's default, and the operator is told.
    Raises ModelRefused where the champion's file is not what was stored, or cannot be read: then
    `manage.py model use` another, or train one.
    """
    with database.transaction() as transaction:
        row = model_versions.champion(transaction)
    if row is None:
        return _default(database, None, now)
    try:
        return loaded(row)
    except ModelOutdated as error:
        logger.error(
            "model %s does not fit this release, so the default one scores: %s", row["version"], error
        )
        return _default(database, row["version"], now)


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


def _default(database: Database, outdated: str | None, now: datetime) -> Model:
    """Make the default model the champion, where there still is none, or still the outdated one."""
    from reversal import training

    with database.transaction() as transaction:
        model_versions.lock(transaction)
        row = model_versions.champion(transaction)
        if row is None or row["version"] == outdated:
            made = training.train(training.recordings())
            model_versions.store(transaction, made.row, ModelState.CHALLENGER, now)
            model_versions.promote(transaction, made.row.version, now)
            row = model_versions.champion(transaction)
            if outdated is not None:
                _tell(transaction, outdated, made.row.version, now)
    if row is None:
        raise ModelRefused("The default model was trained, and is not there.")
    return loaded(row)


def _tell(transaction: Transaction, outdated: str, version: str, now: datetime) -> None:
    sentence = (
        f"Model {outdated} was made by a release with other features, and cannot score now. The default model"
        f" {version} scores in its place. To have one of your own again: manage.py model train, then use."
    )
    health.note_fault(transaction, "model", sentence, now)
    notify(transaction, None, NotificationKind.PART_DOWN, part="reversal model", sentence=sentence)


def _which(transaction: Transaction, version: str | None) -> str:
    known = ", ".join(row["version"] for row in model_versions.versions(transaction)) or "none yet"
    if version is None:
        return f"No model was in use before the present one; there are: {known}."
    return f"There is no model {version}; there are: {known}."
