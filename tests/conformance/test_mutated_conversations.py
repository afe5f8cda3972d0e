"""Thousands of conversations that go wrong somewhere, and one client that keeps to the rules."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.conftest import ANYONE
from tests.conformance.conversations import conversations
from tests.conformance.live import Peer
from tests.fakes.daemon import ChildDaemon

LONG = os.environ.get("PENSTOCK_LONG_TESTS") == "1"
COUNT = 10_000 if LONG else 300
WARM_UP = 150
OPEN_AT_A_TIME = 50
MEGABYTE = 1024 * 1024
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ChildDaemon]:
    environment = {f"PENSTOCK_MQTT__{name}__ANONYMOUS__PRODUCT": "anyone" for name in ("LISTEN", "WEBSOCKET")}
    environment |= {f"PENSTOCK_MQTT__{name}__SESSION_EXPIRY_MAX": "2" for name in ("LISTEN", "WEBSOCKET")}
    with ChildDaemon(tmp_path / "data", PENSTOCK_MQTT__CONNECT_TIMEOUT="2", **environment) as one:
        one.apply(ANYONE)
        yield one


def descriptors(daemon: ChildDaemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def crashes(daemon: ChildDaemon) -> int:
    with daemon.control() as client:
        page = client.get("/metrics").text
    found = re.search(r"^penstock_mqtt_crashes_total (\d+)(?:\.0)?$", page, re.MULTILINE)
    assert found is not None
    return int(found[1])


def eventually(reached: Callable[[], bool], timeout: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.1)
    return reached()


def send(address: tuple[str, int], pieces: list[bytes]) -> socket.socket:
    """Say it all, or as much as the daemon hears before it closes."""
    connection = socket.create_connection(address, timeout=5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            connection.sendall(piece)
    return connection


def leave(connection: socket.socket, number: int) -> None:
    """Some hear the daemon out first, some reset, some just go."""
    if number % 3 == 0 and select.select([connection], [], [], 0.01)[0]:
        with contextlib.suppress(ConnectionError):
            connection.recv(65536)
    elif number % 3 == 1:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def converse(daemon: ChildDaemon, seed: int, count: int, served: Callable[[], None]) -> None:
    assert daemon.note is not None
    host, port = daemon.note.mqtt_websocket.rsplit(":", 1)
    places = {"tcp": daemon.mqtt(), "websocket": (host, int(port))}
    still: list[socket.socket] = []
    for number, (transport, pieces) in enumerate(conversations(seed, count)):
        still.append(send(places[transport], pieces))
        if len(still) == OPEN_AT_A_TIME:
            leave(still.pop(0), number)
        if number % 50 == 0:
            served()
    for connection in still:
        connection.close()


@pytest.mark.timeout(900)
def test_conversations_that_go_wrong_harm_nobody(daemon: ChildDaemon) -> None:
    """No crash, no leak, no hang: a client that keeps to the rules is answered within a second all the while."""
    with Peer(daemon.mqtt()) as valid:
        valid.connect("valid", keep_alive=0)
        valid.subscribe("valid", qos=1)
        waited: list[float] = []

        def served() -> None:
            began = time.monotonic()
            assert valid.publish("valid", b"x", 1) == 0
            valid.hear()
            waited.append(time.monotonic() - began)

        converse(daemon, 1, WARM_UP, served)
        assert eventually(lambda: daemon.ask("status")["ready"])
        time.sleep(4)  # sessions that were left behind have expired
        before, memory = descriptors(daemon), daemon.memory()
        converse(daemon, 2, COUNT, served)
        served()
    assert sorted(waited)[len(waited) // 2] < 1.0, waited
    assert max(waited) < 3.0, waited
    assert crashes(daemon) == 0
    assert eventually(lambda: descriptors(daemon) <= before), f"{descriptors(daemon)} descriptors, {before} before"
    assert eventually(lambda: daemon.memory() < memory + 8 * MEGABYTE), f"{memory} became {daemon.memory()}"
    log = daemon.log.read_text()
    assert "crashed" not in log
    assert "Traceback" not in log
    assert daemon.stop() == 0
