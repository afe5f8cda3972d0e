"""The parking lot as a client sees it: a daemon of its own, its manifest applied, its answers asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import msgspec

from actors.errors import ConfigurationError, PenstockError
from config.ports import port_variables
from daemon.folder import LOCK, DaemonNote, claimed

APP = ("city-parking-key", "city-parking-secret")
MARK = ".penstock-demo"
START_TIMEOUT = 30.0


def manifest(sensors: int) -> str:
    """The example as it stands, and as many more sensors of its kind as are asked for."""
    text = files("config").joinpath("examples", "parking.yaml").read_text(encoding="utf-8")
    return text + "".join(
        f"---\nkind: device\napp: city-parking\nproduct: parking-sensor\nname: {name}\nsecret: {secret}\n"
        for name, secret in secrets(sensors).items()
        if name not in ("lot-000001", "lot-000002")
    )


def secrets(sensors: int) -> dict[str, str]:
    """Names of the sensors and their secrets, as in the example."""
    return {f"lot-{number:06d}": f"lot-secret-{number:06d}" for number in range(1, sensors + 1)}


def fresh_folder(folder: Path) -> None:
    """Empty the demo's data folder, which is made anew at each start.

    Raises:
        ConfigurationError: it holds something that no demo has put there, or another demo runs on it.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise ConfigurationError(f"{folder} is not empty and not a demo's: move it away, or give --data elsewhere")
    with claimed(folder):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
        (folder / MARK).touch()


@contextlib.contextmanager
def running_daemon(folder: Path) -> Iterator[DaemonNote]:
    """Start a daemon on the folder as a process of its own; at the end let it drain."""
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", "daemon.cli.main", "run", "--data", str(folder)],
            env=os.environ | _ports() | {"CITY_PARKING_SECRET": APP[1]},
            stderr=log,
            stdout=log,
            start_new_session=True,  # Ctrl-C is for the demo, which then asks the daemon to drain
        )
    try:
        yield _wait_ready(process, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ports() -> dict[str, str]:
    """The usual ports where they are free, else any free one."""
    return {variable: str(port if _is_free(port) else 0) for variable, port in port_variables().items()}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_ready(process: subprocess.Popen[bytes], folder: Path) -> DaemonNote:
    note = folder / "daemon.json"
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PenstockError(f"the daemon ended at its start: {_last_words(folder / 'daemon.log')}")
        if note.exists():
            return msgspec.json.decode(note.read_bytes(), type=DaemonNote)
        time.sleep(0.05)
    raise PenstockError(f"the daemon did not start within {START_TIMEOUT:.0f} s; see {folder / 'daemon.log'}")


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.removeprefix("penstock: ") for line in reversed(lines) if line.strip()), f"see {log}")


class ParkingLot:
    """What the demo asks of the daemon, over the same HTTP planes that anybody uses."""

    def __init__(self, note: DaemonNote) -> None:
        self._control = httpx.Client(
            base_url=f"http://{note.control}", headers={"Authorization": f"Bearer {note.token}"}, timeout=60
        )
        self._gateway = httpx.Client(base_url=f"http://{note.gateway}", auth=APP, timeout=30)

    def apply(self, text: str) -> None:
        """Apply a manifest."""
        headers = {"Content-Type": "application/yaml", "X-Penstock-File": "parking.yaml"}
        answer = self._control.post("/api/v1/apply", content=text.encode(), headers=headers)
        if answer.status_code != httpx.codes.OK:
            raise PenstockError(f"the daemon refused the manifest: {answer.text}")

    def task(self) -> dict[str, Any]:
        """The status of the task that keeps the table."""
        answer = self._control.get("/api/v1/tasks/status-to-table").raise_for_status()
        status: dict[str, Any] = answer.json()["status"]
        return status

    def free(self) -> int | None:
        """Free lots as a driver is told; None while there is no table yet."""
        answer = self._gateway.get("/parking/free")
        if answer.status_code != httpx.codes.OK:
            return None
        return int(answer.json()["default"][0]["FreeNo"])

    def status_of(self, sensor: str) -> str | None:
        """The row of one lot, as the app is told."""
        rows = self._gateway.get(f"/parking/lots/{sensor}").raise_for_status().json()["default"]
        return str(rows[0]["Status"]) if rows else None

    def close(self) -> None:
        """End the HTTP connections."""
        self._control.close()
        self._gateway.close()
