"""A daemon as a process of its own, on free ports, with everything a test asks of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec

from daemon.folder import DaemonNote

FREE_PORTS = {f"PENSTOCK_{name}__LISTEN__PORT": "0" for name in ("MQTT", "GATEWAY", "CONTROL")}


class ChildDaemon:
    """`penstock run` on a data folder; `kill` is SIGKILL, `stop` is SIGTERM and waits for the drain."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self._environment = os.environ | FREE_PORTS | environment
        self._process: subprocess.Popen[bytes] | None = None
        self.note: DaemonNote | None = None

    def __enter__(self) -> ChildDaemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, timeout: float = 30.0) -> DaemonNote:
        """Start and wait until it serves."""
        self.data.mkdir(parents=True, exist_ok=True)
        note = self.data / "daemon.json"
        note.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "daemon.cli.main", "run", "--data", str(self.data)]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        deadline = time.monotonic() + timeout
        while not note.exists():
            assert self._process.poll() is None, f"the daemon ended at its start:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"the daemon did not start:\n{self.log.read_text()}"
            time.sleep(0.02)
        self.note = msgspec.json.decode(note.read_bytes(), type=DaemonNote)
        return self.note

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, timeout: float = 40.0) -> int:
        """Let it drain; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def control(self) -> httpx.Client:
        """A client of its control API."""
        assert self.note is not None
        headers = {"Authorization": f"Bearer {self.note.token}"}
        return httpx.Client(base_url=f"http://{self.note.control}", headers=headers, timeout=30)

    def gateway(self, **options: Any) -> httpx.Client:
        """A client of its gateway."""
        assert self.note is not None
        return httpx.Client(base_url=f"http://{self.note.gateway}", timeout=30, **options)

    def mqtt(self) -> tuple[str, int]:
        """Where it takes devices."""
        assert self.note is not None
        host, port = self.note.mqtt.rsplit(":", 1)
        return host, int(port)

    def apply(self, manifest: str, **parameters: str) -> dict[str, Any]:
        """Apply a manifest; a refusal fails the test with its reasons."""
        with self.control() as client:
            answer = client.post("/api/v1/apply", content=manifest.encode(), params=parameters)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def status(self, path: str) -> dict[str, Any]:
        """The status of one resource: `tasks/NAME`, `devices/PRODUCT/NAME`."""
        with self.control() as client:
            answer = client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()["status"]
        return status

    def wait_lag_zero(self, *tasks: str, timeout: float = 30.0) -> None:
        """Wait until tasks have caught up with their topics."""
        deadline = time.monotonic() + timeout
        for task in tasks:
            while (status := self.status(f"tasks/{task}")).get("lag") != 0 or status.get("state") != "running":
                assert time.monotonic() < deadline, f"{task} did not catch up: {status}\n{self.log.read_text()[-4000:]}"
                time.sleep(0.05)
