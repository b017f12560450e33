"""What the dashboard loads at its start is everything that pages load, and is set apart from the garbage."""

import subprocess
import sys
from pathlib import Path

from encryption import new_key

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import gc, sys
from ui import warming
warming.warm_up()
kept = gc.get_freeze_count()
print(kept, *(name for name in sys.modules if name.startswith("ui.")))
"""


def test_libraries_and_pages_are_loaded_and_frozen(free_port: int) -> None:
    environ = {"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{free_port}/d", "ENCRYPTION_KEY": new_key()}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    kept, *loaded = done.stdout.split()
    assert int(kept) > 100_000
    parts = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for folder in ("trading_bot", "signal_pages", "account_pages", "admin")
        for path in (ROOT / "ui" / folder).glob("[!_]*.py")
    }
    assert parts <= set(loaded)
