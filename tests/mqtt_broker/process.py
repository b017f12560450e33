"""The listener as the process it is, to be killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from settings import Settings
from tests.conftest import KEPT_FROM_OUTSIDE

ROOT = Path(__file__).resolve().parents[2]


class ListenerProcess:
    """`mqtt_listener.py` with its own environment; it may be started again and again."""

    def __init__(self, settings: Settings, log: Path, **more: object) -> None:
        self._log = log
        self._environ = {name: value for name, value in os.environ.items() if name in KEPT_FROM_OUTSIDE}
        self._environ |= {
            "DATABASE_URL": settings.database,
            "DASHTRADE_ENV_FILE": str(log.with_name("absent.env")),
            "MQTT_BROKER_HOST": str(settings.mqtt_broker_host),
            "MQTT_BROKER_PORT": str(settings.mqtt_broker_port),
            **{name: str(value) for name, value in more.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "mqtt_listener.py"], cwd=ROOT, env=self._environ, stdout=log, stderr=log
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal and return its exit code; do nothing where it does not run."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process = None
        return code

    def resident(self) -> int:
        """Return how much memory it takes, in bytes."""
        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def written(self) -> str:
        """Return what it wrote last."""
        return self._log.read_text()[-3000:] if self._log.exists() else ""
