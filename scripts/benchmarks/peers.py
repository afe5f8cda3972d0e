"""The programs that are measured, each a process of its own on a free port of loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from config.ports import port_variables
from daemon.folder import DaemonNote

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that listens."""

    pid: int
    host: str
    port: int


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def process(command: list[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the block lasts; its output goes to a file of the folder."""
    with (folder / "output.log").open("wb") as output:
        running = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=os.environ | environment)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def find(program: str) -> str | None:
    """Where a program is installed; Debian keeps servers out of a user's PATH."""
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def listening(
    command: list[str], port: int, files: dict[str, str] | None = None, **environment: str
) -> Iterator[Running]:
    """Run a server in a folder of its own, with these files in it, and wait until it listens."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        for file, content in (files or {}).items():
            (folder / file).write_text(content)
        with process(command, folder, **environment) as running:
            deadline = time.monotonic() + START_SECONDS
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if running.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} did not start:\n{(folder / 'output.log').read_text()}")
                time.sleep(0.05)
            time.sleep(0.3)
            yield Running(running.pid, "127.0.0.1", port)


class Penstock:
    """A daemon on a folder of its own."""

    def __init__(self, pid: int, note: DaemonNote, folder: Path) -> None:
        self.pid = pid
        self.folder = folder
        self.mqtt = _address(note.mqtt)
        self.gateway = _address(note.gateway)
        self.topics = _address(note.topics)
        headers = {"Authorization": f"Bearer {note.token}"}
        self.control = httpx.Client(base_url=f"http://{note.control}", headers=headers, timeout=300)

    def apply(self, manifest: str) -> None:
        """Apply a manifest."""
        answer = self.control.post("/api/v1/apply", content=manifest.encode())
        if answer.status_code != httpx.codes.OK:
            raise SystemExit(f"the manifest was refused: {answer.text}")

    def task(self, name: str) -> dict[str, object]:
        """The status of a task."""
        status: dict[str, object] = self.control.get(f"/api/v1/tasks/{name}").raise_for_status().json()["status"]
        return status


@contextlib.contextmanager
def penstock(**environment: str) -> Iterator[Penstock]:
    """Run a daemon, on disk beside this file's checkout rather than on a memory file system."""
    root = Path("var") / "bench"
    root.mkdir(parents=True, exist_ok=True)
    ports = dict.fromkeys(port_variables(), "0")
    with tempfile.TemporaryDirectory(dir=root) as name:
        folder = Path(name).resolve()
        data = folder / "data"
        command = [sys.executable, "-m", "daemon.cli.main", "run", "--data", str(data)]
        with process(command, folder, **ports, **environment) as running:
            note = data / "daemon.json"
            deadline = time.monotonic() + START_SECONDS
            while not note.exists():
                if running.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the daemon did not start:\n{(folder / 'output.log').read_text()}")
                time.sleep(0.05)
            yield Penstock(running.pid, msgspec.json.decode(note.read_bytes(), type=DaemonNote), folder)


def _address(text: str) -> tuple[str, int]:
    host, port = text.rsplit(":", 1)
    return host, int(port)
