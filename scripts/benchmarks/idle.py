"""idle: what a connected device costs that says nothing."""

from __future__ import annotations

import re
import resource
import socket
import time
from pathlib import Path

from actors.wire.mqtt import encode
from scripts.benchmarks.manifests import HOUSE, devices
from scripts.benchmarks.peers import penstock
from scripts.benchmarks.report import Line, show

CONNECTIONS = 5_000
PER_DEVICE = 5
MOST_KILOBYTES = 16.0


def anonymous_kilobytes(pid: int) -> int:
    """RssAnon of a process: memory of its own, without files that it maps."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) if found else 0


def idle(*, seconds: float, runs: int, as_json: bool) -> int:
    """Connect 5,000 devices and divide the growth of the daemon's memory by them."""
    raise_limit()
    figures = []
    for _ in range(runs):
        with penstock() as daemon:
            daemon.apply(HOUSE + devices(CONNECTIONS // PER_DEVICE))
            open_connections(daemon.mqtt, 50)[0].close()
            time.sleep(seconds)
            before = anonymous_kilobytes(daemon.pid)
            connections = open_connections(daemon.mqtt, CONNECTIONS)
            time.sleep(seconds)
            figures.append((anonymous_kilobytes(daemon.pid) - before) / CONNECTIONS)
            for connection in connections:
                connection.close()
    line = Line("an idle connection", "KB", figures, note=f"at most {MOST_KILOBYTES:g} KB")
    line.note += "" if line.median <= MOST_KILOBYTES else ": NOT MET"
    code = show("idle", {"connections": CONNECTIONS, "runs": runs}, [line], as_json=as_json)
    return code or int(line.median > MOST_KILOBYTES)


def raise_limit() -> None:
    """Take as many file descriptors as may be had."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_connections(address: tuple[str, int], count: int) -> list[socket.socket]:
    """Connect so many sessions, several for each device, and see each accepted."""
    opened = []
    for number in range(count):
        device = f"dev{number // PER_DEVICE + 1:06d}"
        connection = socket.create_connection(address, timeout=30)
        password = f"secret-{device}".encode()
        packet = encode.connect(f"idle-{number}", username=f"bench/{device}", password=password, keep_alive=600)
        connection.sendall(packet)
        if connection.recv(4) != encode.connack(0):
            raise SystemExit(f"connection {number} was refused")
        opened.append(connection)
    return opened
