"""Seal secrets for the database and open them again; run as a script it prints a new key.

`ENCRYPTION_KEY` holds one key or several, newest first. The newest seals, every one of them opens.
To rotate: put a new key in front, run `manage.py keys rotate`, then drop the old one.

Tokens are looked up by a keyed hash. Its key must not change when `ENCRYPTION_KEY` rotates, or every
webhook URL would die, so it is a secret of its own: random, made once, sealed in the database like
any other and sealed anew by a rotation (`database/keys.py`).
"""

import hashlib
import hmac
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

HOW_TO_MEND = (
    "Put the key it was sealed with back into ENCRYPTION_KEY, after the newest and a comma;"
    " if that key is lost, enter the secret anew."
)


class KeyMissing(Exception):
    """Set ENCRYPTION_KEY: without it no stored secret can be opened and none may be stored."""


class WrongKey(Exception):
    """Put the right key back into ENCRYPTION_KEY, or enter the secret anew; nothing was opened."""


class Vault:
    """Seal with the newest of the keys, open with any of them.

    Sealing is authenticated (Fernet: AES-128-CBC and HMAC-SHA256): what was changed, or sealed with
    another key, raises `WrongKey` and never gives garbage.
    """

    def __init__(self, keys: SecretStr | None) -> None:
        if keys is None:
            raise KeyMissing(
                "ENCRYPTION_KEY is not set. Set the key that this database's secrets were sealed with;"
                " for a new database make one: python encryption.py"
            )
        self._keys = [key.strip() for key in keys.get_secret_value().split(",")]
        self._fernet = MultiFernet([Fernet(key) for key in self._keys])

    def __repr__(self) -> str:
        return f"Vault({self.key_id})"

    @property
    def key_id(self) -> str:
        """Name the newest key without telling it; kept beside what it sealed."""
        return _key_id(self._keys[0])

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Name every key that opens, newest first, without telling it."""
        return tuple(_key_id(key) for key in self._keys)

    def seal(self, secret: str) -> bytes:
        """Return the secret sealed with the newest key."""
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes | memoryview, sealed_with: str | None = None) -> str:
        """Return the secret; raise `WrongKey` where no key opens it.

        `sealed_with` is the key id kept beside it, for the message.
        """
        try:
            return self._fernet.decrypt(bytes(sealed)).decode()
        except InvalidToken:
            raise WrongKey(self._complaint(sealed_with)) from None

    def is_newest(self, sealed_with: str | None) -> bool:
        """Say whether the newest key sealed it, so that a rotation may leave it as it is."""
        return sealed_with == self.key_id

    def reseal(self, sealed: bytes | memoryview, sealed_with: str | None = None) -> bytes:
        """Return the same secret sealed with the newest key; raise `WrongKey` where no key opens it."""
        return self.seal(self.open(sealed, sealed_with))

    def _complaint(self, sealed_with: str | None) -> str:
        if sealed_with in self.key_ids:
            return f"A stored secret does not open with the key {sealed_with} that sealed it: it was damaged."
        sealed_by = f"the key {sealed_with}" if sealed_with else "another key"
        held = ", ".join(self.key_ids)
        return f"A stored secret was sealed with {sealed_by}; ENCRYPTION_KEY holds {held}. {HOW_TO_MEND}"


def new_key() -> str:
    """Return a new key for `ENCRYPTION_KEY`."""
    return Fernet.generate_key().decode()


def new_token(prefix: str) -> str:
    """Return a token with 256 random bits, safe in a URL, such as `usr_…`."""
    return prefix + secrets.token_urlsafe(32)


def keyed_hash(hash_key: bytes, token: str) -> bytes:
    """Return the HMAC-SHA256 by which a token is looked up; 32 bytes."""
    return hmac.new(hash_key, token.encode(), hashlib.sha256).digest()


def _key_id(key: str) -> str:
    return hashlib.sha256(b"dashtrade key id " + key.encode()).hexdigest()[:8]


if __name__ == "__main__":
    print(f"ENCRYPTION_KEY={new_key()}")
