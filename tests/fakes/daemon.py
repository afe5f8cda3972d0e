"""A daemon as a process of its own, on free ports, with everything a test asks of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

from config.ports import port_variables
from daemon.folder import DaemonNote
from tests.fakes.forked import Before, ForkedCommand, run_forked
from tests.fakes.plain_http import NO_TLS

FREE_PORTS = dict.fromkeys(port_variables(), "0")


class ChildDaemon:
    """`penstock run` on a data folder; `kill` is SIGKILL, `stop` is SIGTERM and waits for the drain.

    It is a fork of a process that has imported what it needs, after which it calls `before`; a program of its own where
    Python itself shall find something other (`PYTHONPATH`).
    """

    def __init__(self, data: Path, *, before: Before | None = None, **environment: str) -> None:
        self.data = data
        self._environment = os.environ | FREE_PORTS | environment
        self._before = before
        self._forked = "PYTHONPATH" not in environment
        self._process: subprocess.Popen[bytes] | ForkedCommand | None = None
        self.arguments: tuple[str, ...] = ()
        """More arguments of `penstock run`."""
        self.note: DaemonNote | None = None

    def __enter__(self) -> Self:
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
        process = self._spawn()
        note = self.data / "daemon.json"
        deadline = time.monotonic() + timeout
        while not note.exists():
            assert process.poll() is None, f"the daemon ended at its start:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"the daemon did not start:\n{self.log.read_text()}"
            time.sleep(0.02)
        self.note = msgspec.json.decode(note.read_bytes(), type=DaemonNote)
        return self.note

    def _spawn(self) -> subprocess.Popen[bytes] | ForkedCommand:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "daemon.json").unlink(missing_ok=True)
        arguments = ["run", "--data", str(self.data), *self.arguments]
        if self._forked:
            self._process = ForkedCommand(arguments, self._environment, self.log, self.log, self._before)
            return self._process
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "daemon.cli.main", *arguments]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        return self._process

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_while_starting(self, seconds: float) -> None:
        """Start it, and kill it after so long, wherever it is then."""
        self._spawn()
        time.sleep(seconds)
        self.kill()

    def stop(self, timeout: float = 40.0) -> int:
        """Let it drain; returns its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout: float = 40.0) -> int:
        """Wait for its end; returns its exit code."""
        assert self._process is not None
        return self._process.wait(timeout)

    def wait_log(self, text: str, timeout: float = 10.0) -> None:
        """Wait until its log says something."""
        deadline = time.monotonic() + timeout
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, f"{text!r} is not in the log:\n{self.log.read_text()[-4000:]}"
            time.sleep(0.02)

    def penstock(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line beside the daemon, as a person calls it."""
        return run_forked(arguments, self._environment | {"PENSTOCK_DATA": str(self.data)}, timeout=60)

    def memory(self) -> int:
        """RssAnon in bytes: what the daemon itself holds, without the files that it has mapped."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024

    def control(self) -> httpx.Client:
        """A client of its control API."""
        assert self.note is not None
        headers = {"Authorization": f"Bearer {self.note.token}"}
        return httpx.Client(verify=NO_TLS, base_url=f"http://{self.note.control}", headers=headers, timeout=30)

    def gateway(self, **options: Any) -> httpx.Client:
        """A client of its gateway."""
        assert self.note is not None
        return httpx.Client(verify=NO_TLS, base_url=f"http://{self.note.gateway}", timeout=30, **options)

    def topics(self, **options: Any) -> httpx.Client:
        """A client of its topic gateway."""
        assert self.note is not None
        return httpx.Client(verify=NO_TLS, base_url=f"http://{self.note.topics}", timeout=60, **options)

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

    def ask(self, path: str) -> dict[str, Any]:
        """What the control API answers to GET: `status`, `tree`, `tasks/NAME`, `devices/PRODUCT/NAME`."""
        with self.control() as client:
            answer = client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def status(self, path: str) -> dict[str, Any]:
        """The status of one resource."""
        status: dict[str, Any] = self.ask(path)["status"]
        return status

    def wait_status(
        self, path: str, reached: Callable[[dict[str, Any]], bool], *, timeout: float = 30.0
    ) -> dict[str, Any]:
        """Wait until a status is as wanted; returns it. Past the deadline the test fails with the last one."""
        deadline = time.monotonic() + timeout
        while not reached(status := self.status(path)):
            assert time.monotonic() < deadline, f"{path} stays {status}\n{self.log.read_text()[-4000:]}"
            time.sleep(0.05)
        return status

    def wait_lag_zero(self, *tasks: str, timeout: float = 30.0) -> None:
        """Wait until tasks have caught up with their topics."""
        for task in tasks:
            self.wait_status(f"tasks/{task}", _caught_up, timeout=timeout)


def _caught_up(status: dict[str, Any]) -> bool:
    return status.get("lag") == 0 and status.get("state") == "running"
