"""Run a checkout of robswc/tradingview-webhooks-bot under the gunicorn settings that are ours, from a copy."""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.webhook import _wait_for

SECRET = "5d0e2c55-7a63-4f0c-9f3b-0d6f1c6d8a11"  # noqa: S105  of the copy
# Shipped, every alert also runs a demo that sleeps five seconds; its owner would take that away first.
SETTINGS = """
REGISTERED_ACTIONS = ['PrintData']
REGISTERED_EVENTS = ['WebhookReceived']
REGISTERED_LINKS = [('PrintData', 'WebhookReceived')]
"""
SAME = ("workers", "threads", "timeout", "graceful_timeout", "keepalive", "worker_tmp_dir")
_TELL = (
    "import json, runpy; found = runpy.run_path('gunicorn.conf.py');"
    "print(json.dumps({name: found[name] for name in %r}))"
)
_NUMBER = re.compile(r"'comment': '(\d{12})'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running copy: its port, the key that its alerts must bear, and what it printed."""

    port: int
    key: str
    printed: Path

    def acted_on(self) -> Counter[int]:
        """Return how often its action printed each alert's number; complete only when it has ended."""
        return Counter(int(number) for number in _NUMBER.findall(self.printed.read_text(errors="replace")))


def gunicorn_options(environ: dict[str, str]) -> dict[str, object]:
    """Return what our gunicorn.conf.py says, as far as it is about any app."""
    told = subprocess.run(
        [sys.executable, "-c", _TELL % (SAME,)],
        cwd=load.ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(told.stdout))


def copy_of(checkout: Path, folder: Path) -> Path:
    """Copy the checkout's program, with nothing linked but the action that prints."""
    source = checkout / "src"
    if not (source / "wsgi.py").exists():
        raise SystemExit(
            f"{checkout} is no checkout of robswc/tradingview-webhooks-bot: it has no src/wsgi.py"
        )
    made = folder / "tradingview-webhooks-bot"
    shutil.copytree(source, made)
    (made / "settings.py").write_text(SETTINGS)
    (made / ".key").write_text(SECRET)
    return made


@contextmanager
def running(checkout: Path, folder: Path, port: int, environ: dict[str, str]) -> Iterator[Running]:
    """Run it until the end of the block; `environ` is that of our own server."""
    if importlib.util.find_spec("asgiref") is None:
        raise SystemExit("Its view is asynchronous, for which Flask needs asgiref: pip install asgiref")
    where = copy_of(checkout, folder)
    options = gunicorn_options(environ)
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread",
               *(f"--{_option(name)}={value}" for name, value in options.items()), "--no-control-socket"]  # fmt: skip
    printed, log = folder / "theirs.out", folder / "theirs.log"
    with open(printed, "w") as out, open(log, "w") as errors:
        server = subprocess.Popen(command, cwd=where, stdout=out, stderr=errors)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", log)
        yield Running(port=port, key=_key(), printed=printed)
    finally:
        server.terminate()
        server.wait(20)


def _option(name: str) -> str:
    return {"keepalive": "keep-alive"}.get(name, name.replace("_", "-"))


def _key() -> str:
    """Return the key of its one event, made as its own code makes it."""
    name = "WebhookReceived"
    return f"{name}:{hashlib.md5((name + SECRET).encode()).hexdigest()[:6]}"  # noqa: S324  theirs
