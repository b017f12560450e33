"""Keep the key of the token hashes, and seal every stored secret anew after a rotation."""

import hmac
from dataclasses import dataclass

from database.pool import Database, Row, Transaction
from encryption import Vault, WrongKey, keyed_hash, new_token


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumn:
    """Name a column that holds sealed secrets, its row's key and the column of the key's id.

    `is_row` says that the row is nothing without its secret.
    """

    table: str
    column: str
    sealed_with: str
    key: str = "id"
    is_row: bool = False


SEALED_COLUMNS = (
    SealedColumn(table="user_api_keys", column="credentials_sealed", sealed_with="sealed_with"),
    SealedColumn(table="user_webhook_tokens", column="token_sealed", sealed_with="sealed_with", is_row=True),
    SealedColumn(table="users", column="totp_sealed", sealed_with="totp_sealed_with"),
    SealedColumn(table="alert_channels", column="address_sealed", sealed_with="sealed_with"),
    SealedColumn(
        table="server_settings", column="hash_key_sealed", sealed_with="hash_key_sealed_with", key="only_row"
    ),
)


# Carried out where any version's tables may be; the names of keys are no secret.
_REFUSAL = """
DO $$
DECLARE sealed record; found text;
BEGIN
    FOR sealed IN SELECT table_name, column_name FROM information_schema.columns
                   WHERE table_schema = 'public' AND (table_name, column_name) IN ({columns})
    LOOP
        EXECUTE format('SELECT %2$I FROM public.%1$I WHERE %2$I <> ALL ($1) LIMIT 1',
                       sealed.table_name, sealed.column_name) INTO found USING ARRAY[{held}];
        IF found IS NOT NULL THEN
            RAISE EXCEPTION 'a secret in % was sealed with the key %, and ENCRYPTION_KEY holds %. {mend}',
                            sealed.table_name, found, {words};
        END IF;
    END LOOP;
END $$
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Count what a rotation did; each of `failures` is a sentence about a secret that did not open."""

    resealed: int
    failures: tuple[str, ...]


def hash_key(transaction: Transaction, vault: Vault) -> bytes:
    """Return the key of the token hashes, made at the first call and the same ever after.

    Raises `WrongKey` where ENCRYPTION_KEY no longer opens it.
    """
    query = "SELECT hash_key_sealed, hash_key_sealed_with FROM server_settings"
    row = transaction.one(query)
    if row["hash_key_sealed"] is None:
        row = transaction.one(query + " FOR UPDATE")
    if row["hash_key_sealed"] is not None:
        return vault.open(row["hash_key_sealed"], row["hash_key_sealed_with"]).encode()
    key = new_token("")
    transaction.execute(
        "UPDATE server_settings SET hash_key_sealed = %s, hash_key_sealed_with = %s",
        (vault.seal(key), vault.key_id),
    )
    return key.encode()


def reseal(database: Database, vault: Vault) -> Rotation:
    """Seal every secret with the newest key, each column in one transaction; may be repeated.

    A secret that no key opens stays as it is and is reported.
    """
    resealed = 0
    failures: list[str] = []
    for sealed in SEALED_COLUMNS:
        with database.transaction() as transaction:
            for row in _old_rows(transaction, sealed, vault):
                try:
                    _reseal_row(transaction, sealed, vault, row)
                    resealed += 1
                except WrongKey as error:
                    failures.append(f"{sealed.table} {row['key']}: {error}")
    return Rotation(resealed=resealed, failures=tuple(failures))


def refusal_unless_held(vault: Vault, mend: str) -> str:
    """Return a statement that fails where a stored secret was sealed with a key that we do not hold."""
    return _REFUSAL.format(
        columns=", ".join(f"('{each.table}', '{each.sealed_with}')" for each in SEALED_COLUMNS),
        held=", ".join(f"'{name}'" for name in vault.key_ids),
        words=f"'{', '.join(vault.key_ids)}'",
        mend=f"Put the right one into it and {mend}",
    )


def forget_unreadable(database: Database, vault: Vault) -> int:
    """Drop every secret that no key opens, for when a key is lost for good; return how many.

    Broker keys must then be entered again, webhook tokens and second factors made anew.
    """
    forgotten = 0
    with database.transaction() as transaction:
        for sealed in SEALED_COLUMNS:
            for row in _old_rows(transaction, sealed, vault):
                if not _opens(vault, row):
                    _forget(transaction, sealed, row)
                    forgotten += 1
    return forgotten


def keep_service_key(transaction: Transaction, vault: Vault, name: str, key: str) -> None:
    """Make `key` the key of the service of that name, in place of any it had."""
    transaction.execute(
        """
        INSERT INTO service_keys (name, key_hash) VALUES (%s, %s)
        ON CONFLICT (name) DO UPDATE SET key_hash = excluded.key_hash
        """,
        (name, keyed_hash(hash_key(transaction, vault), key)),
    )


def new_sign_up_code(transaction: Transaction, vault: Vault) -> str | None:
    """Return a code with which the first account becomes admin, or None where there is an account.

    It takes the place of a code given out before.
    """
    if transaction.value("SELECT count(*) FROM users"):
        return None
    code = new_token("")[:20]
    transaction.execute(
        "UPDATE server_settings SET sign_up_code_hash = %s", (keyed_hash(hash_key(transaction, vault), code),)
    )
    return code


def is_sign_up_code(transaction: Transaction, vault: Vault, code: str) -> bool:
    """Say whether `code` is the one that was given out last and there is no account yet."""
    row = transaction.one("SELECT sign_up_code_hash FROM server_settings FOR UPDATE")
    kept = row["sign_up_code_hash"]
    if kept is None or transaction.value("SELECT count(*) FROM users"):
        return False
    return hmac.compare_digest(bytes(kept), keyed_hash(hash_key(transaction, vault), code))


def _old_rows(transaction: Transaction, sealed: SealedColumn, vault: Vault) -> list[Row]:
    return transaction.all(
        f"""
        SELECT {sealed.key} AS key, {sealed.column} AS sealed, {sealed.sealed_with} AS sealed_with
          FROM {sealed.table}
         WHERE {sealed.column} IS NOT NULL AND {sealed.sealed_with} IS DISTINCT FROM %s
         ORDER BY {sealed.key} FOR UPDATE
        """,
        (vault.key_id,),
    )


def _opens(vault: Vault, row: Row) -> bool:
    try:
        vault.open(row["sealed"], row["sealed_with"])
    except WrongKey:
        return False
    return True


def _forget(transaction: Transaction, sealed: SealedColumn, row: Row) -> None:
    change = f"UPDATE {sealed.table} SET {sealed.column} = NULL, {sealed.sealed_with} = NULL"
    if sealed.is_row:
        change = f"DELETE FROM {sealed.table}"
    transaction.execute(f"{change} WHERE {sealed.key} = %s", (row["key"],))


def _reseal_row(transaction: Transaction, sealed: SealedColumn, vault: Vault, row: Row) -> None:
    transaction.execute(
        f"UPDATE {sealed.table} SET {sealed.column} = %s, {sealed.sealed_with} = %s WHERE {sealed.key} = %s",
        (vault.reseal(row["sealed"], row["sealed_with"]), vault.key_id, row["key"]),
    )
