"""The second factor: a code of six digits that changes every 30 s (TOTP, RFC 6238); each counts once."""

import hmac
from datetime import datetime

import pyotp

from database.pool import Transaction
from encryption import Vault

ISSUER = "DashTrade"
STEP_SECONDS = 30
# A phone's clock may be half a minute off either way.
STEPS_AROUND = (0, -1, 1)


def new_secret() -> str:
    """Return the secret of a new second factor, to be typed or scanned into an authenticator."""
    return pyotp.random_base32()


def address_of(secret: str, email: str) -> str:
    """Return the `otpauth://` address that an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def has_second_factor(transaction: Transaction, user_id: int) -> bool:
    """Tell whether an account asks for a code after the password."""
    sql = "SELECT totp_sealed IS NOT NULL FROM users WHERE id = %s"
    return bool(transaction.value(sql, (user_id,)))


def set_second_factor(
    transaction: Transaction, vault: Vault, user_id: int, secret: str, code: str, now: datetime
) -> bool:
    """Ask for codes of this secret from now on; tell whether `code` was one, else nothing changed."""
    step = _step_of(secret, code, now)
    if step is None:
        return False
    transaction.execute(
        """
        UPDATE users SET totp_sealed = %s, totp_sealed_with = %s, totp_last_step = %s
         WHERE id = %s
        """,
        (vault.seal(secret), vault.key_id, step, user_id),
    )
    return True


def drop_second_factor(transaction: Transaction, user_id: int) -> None:
    """Ask for the password alone from now on."""
    transaction.execute(
        """
        UPDATE users SET totp_sealed = NULL, totp_sealed_with = NULL, totp_last_step = NULL WHERE id = %s
        """,
        (user_id,),
    )


def take_code(transaction: Transaction, vault: Vault, user_id: int, code: str, now: datetime) -> bool:
    """Tell whether a code is right and was not used before, and use it up.

    Raises `WrongKey` where no key opens the secret.
    """
    row = transaction.one(
        "SELECT totp_sealed, totp_sealed_with, totp_last_step FROM users WHERE id = %s FOR NO KEY UPDATE",
        (user_id,),
    )
    if row["totp_sealed"] is None:
        return False
    step = _step_of(vault.open(row["totp_sealed"], row["totp_sealed_with"]), code, now)
    if step is None or step <= (row["totp_last_step"] or 0):
        return False
    transaction.execute("UPDATE users SET totp_last_step = %s WHERE id = %s", (step, user_id))
    return True


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """Return the number of the half minute that a code belongs to, None where it is none of now."""
    typed = "".join(code.split()).encode()
    current = int(now.timestamp()) // STEP_SECONDS
    factor = pyotp.TOTP(secret, interval=STEP_SECONDS)
    for around in STEPS_AROUND:
        if hmac.compare_digest(factor.generate_otp(current + around).encode(), typed):
            return current + around
    return None
