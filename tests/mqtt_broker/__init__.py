"""A real MQTT broker for tests, to be killed and started again: Mosquitto or iotcore."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CHOSEN = "DASHTRADE_TEST_BROKER"
START_SECONDS = 30


@dataclass
class Broker:
    """A broker on one port of 127.0.0.1, with its data in one folder, however often it is started."""

    folder: Path
    port: int
    kind: str = field(default_factory=lambda: CHOSEN_KIND)
    lines: Sequence[str] = ("allow_anonymous true",)
    saving: Sequence[str] = ("autosave_on_changes true", "autosave_interval 1")
    process: subprocess.Popen[bytes] | None = None

    @property
    def keeps_on_disk(self) -> bool:
        """Tell whether what it accepted outlives a SIGKILL."""
        return self.kind == "mosquitto"

    def start(self) -> None:
        """Start it and return when it answers."""
        self.folder.mkdir(exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.written()
            assert time.monotonic() < deadline, self.written()
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal and return when it is gone."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def kill(self) -> None:
        """End it without a warning."""
        self.stop(signal.SIGKILL)

    def written(self) -> str:
        """Return what it wrote last."""
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def _command(self) -> list[str]:
        if self.kind == "mosquitto":
            return [str(mosquitto()), "-c", str(self._configuration())]
        return [sys.executable, "-m", "watching.embedded_broker", str(self.port)]

    def _configuration(self) -> Path:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        lines = (
            f"listener {self.port} 127.0.0.1",
            *self.lines,
            "persistence true",
            f"persistence_location {data}/",
            *self.saving,
            "max_queued_messages 0",
            *(("user root",) if os.geteuid() == 0 else ()),
        )
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


CHOSEN_KIND = os.environ.get(CHOSEN, "iotcore")


def mosquitto() -> str | None:
    """Return Mosquitto's program, or None where it is not installed."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def need_mosquitto() -> None:
    """Skip a test where Mosquitto is not installed."""
    if mosquitto() is None:
        pytest.skip("mosquitto is not installed")
