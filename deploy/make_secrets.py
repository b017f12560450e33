"""Make the secrets that compose.yaml reads: passwords and the encryption key, each in a file of its own.

`python3 deploy/make_secrets.py` needs nothing but Python's standard library. A file that exists is
left as it is, so running it again does no harm.
"""

import base64
import secrets
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "secrets"
DATABASE_HOST = "database"
NAME = "dashtrade"


def make(folder: Path) -> list[str]:
    """Write what is missing and return the names of it.

    The folder is its owner's alone. The files in it may be read by all, since in a container another
    account than the owner's reads them.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    written = []
    for name, recipe in RECIPES.items():
        path = folder / name
        if not path.exists():
            _write(path, recipe(folder))
            written.append(name)
    return written


def _password(_folder: Path) -> str:
    return secrets.token_hex(24)


def _encryption_key(_folder: Path) -> str:
    # What encryption.py makes too: a key of Fernet's
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _database_url(folder: Path) -> str:
    return f"postgresql://{NAME}:{_read(folder, 'database_password')}@{DATABASE_HOST}:5432/{NAME}"


def _mqtt_users(folder: Path) -> str:
    return f"{NAME}:{_read(folder, 'mqtt_password')}"


# In this order: some are made of those before them.
RECIPES: dict[str, Callable[[Path], str]] = {
    "database_admin_password": _password,
    "database_password": _password,
    "database_url": _database_url,
    "encryption_key": _encryption_key,
    "mqtt_password": _password,
    "mqtt_users": _mqtt_users,
}


def _read(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def _write(path: Path, value: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(value + "\n")
    new.chmod(0o644)
    new.replace(path)


def main() -> None:
    """Make them where compose.yaml looks, and say what to keep a copy of."""
    written = make(FOLDER)
    print(f"Made in {FOLDER}: {', '.join(written)}" if written else "All secrets exist already.")
    if "encryption_key" in written:
        print("Keep a copy of encryption_key elsewhere: without it no stored broker key can be opened.")


if __name__ == "__main__":
    main()
