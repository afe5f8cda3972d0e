"""The data folder: who may use it, and the note that tells local clients where the daemon listens."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from actors.errors import ConfigurationError

LOCK = "penstock.lock"


class DaemonNote(msgspec.Struct, frozen=True):
    """What `DIR/daemon.json` says: bound addresses as host:port (empty: not listened), the local token, the process."""

    control: str
    token: str
    pid: int
    gateway: str = ""
    gateway_https: str = ""
    mqtt: str = ""
    mqtts: str = ""
    mqtt_websocket: str = ""
    topics: str = ""


@contextlib.contextmanager
def claimed(data: Path) -> Iterator[None]:
    """Hold the data folder for one daemon; it is made where it is missing.

    Raises:
        ConfigurationError: it cannot be written, or another daemon holds it.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the data folder {data} cannot be written ({error.strerror}): "
            "give another with --data or PENSTOCK_DATA, or change its owner"
        ) from error
    try:
        _lock(descriptor, data)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, data: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        raise ConfigurationError(
            f"another daemon (process {holder or 'unknown'}) uses the data folder {data}: stop it, or give another "
            "folder with --data or PENSTOCK_DATA"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


@contextlib.contextmanager
def announced(data: Path, addresses: Mapping[str, str], token: str) -> Iterator[None]:
    """Write `daemon.json` (mode 0600) while the daemon serves, and take it away afterwards."""
    path = data / "daemon.json"
    note = DaemonNote(**addresses, token=token, pid=os.getpid())
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(note)) + b"\n")
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
