"""Say whether a part works, for a container's health check: `python deploy/healthcheck.py PART`.

The webhook server and the dashboard are asked themselves. The others have no port: the webhook
server's `/health` knows when they last gave a sign of life, of any of a part's processes.
"""

import json
import sys
import urllib.error
import urllib.request
from typing import Any

WEBHOOK = "http://webhook:8080"
OWN_WEBHOOK = "http://127.0.0.1:8080"
OWN_DASHBOARD = "http://127.0.0.1:5000"
# As the parts name themselves in /health
NAMES = {
    "worker": "worker",
    "watch": "broker watch",
    "reversal": "reversal watch",
    "mqtt": "mqtt listener",
    "discord": "discord bot",
}
SECONDS = 10


def fault(part: str, webhook: str = WEBHOOK, dashboard: str = OWN_DASHBOARD) -> str | None:
    """Return what is wrong with a part, None where it works."""
    if part == "dashboard":
        return None if _answers(dashboard) else "the sign-in page does not come"
    said = _health(webhook)
    if part == "webhook":
        # Its own health alone: a worker that died is the worker's fault
        return None if said.get("database") == "ok" else f"/health says {said}"
    alive = said.get("parts", {}).get(NAMES[part], {}).get("alive", 0)
    return None if alive else f"no sign of life; /health says {said}"


def _answers(dashboard: str) -> bool:
    with urllib.request.urlopen(f"{dashboard}/auth/login", timeout=SECONDS) as answer:  # noqa: S310
        return bool(answer.status == 200)


def _health(webhook: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{webhook}/health", timeout=SECONDS) as answer:  # noqa: S310
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        return dict(json.load(error))


def main(part: str) -> None:
    """End with 0 where the part works, else with 1 and the reason."""
    try:
        sys.exit(fault(part, webhook=OWN_WEBHOOK if part == "webhook" else WEBHOOK))
    except (OSError, ValueError) as error:
        sys.exit(f"{part}: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
