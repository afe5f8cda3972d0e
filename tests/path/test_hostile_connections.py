"""Thousands that open and close, reset, stay half open or talk nonsense, and one that only wants to report."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.wire.mqtt import encode
from tests.fakes.daemon import ChildDaemon
from tests.fakes.numbered import SECRET, manifest

CROWD = 2_000
RESET = struct.pack("ii", 1, 0)
CONNECT = encode.connect("good", username="sensor/dev-1", password=SECRET.encode())
NONSENSE = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    encode.publish("sensor/out/dev-1", b"{}", qos=1, packet_id=1),
    encode.PINGREQ,
    # A CONNECT, and something else, that claim to be 256 MB long.
    b"\x10\xff\xff\xff\x7f" + b"x" * 1000,
    b"\x30\xff\xff\xff\x7f" + b"x" * 1000,
    b"\x10\xff\xff\xff\xff\xff",
    CONNECT[:-20],
    CONNECT.replace(b"MQTT", b"MQTX"),
    encode.connect("bad", username="sensor/nobody", password=b"wrong"),
    random.Random(4).randbytes(500),
    b"",
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ChildDaemon]:
    with ChildDaemon(tmp_path / "data", PENSTOCK_MQTT__CONNECT_TIMEOUT="3") as one:
        one.apply(manifest(["dev-1"]))
        yield one


def places(daemon: ChildDaemon) -> list[tuple[str, int]]:
    """TCP, TLS and WebSocket."""
    assert daemon.note is not None
    note = daemon.note
    pairs = [address.rsplit(":", 1) for address in (note.mqtt, note.mqtts, note.mqtt_websocket)]
    return [(host, int(port)) for host, port in pairs]


def descriptors(daemon: ChildDaemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def wait_for(reached: Callable[[], bool], timeout: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def seconds_to_connack(daemon: ChildDaemon) -> float:
    """How long a device that behaves waits to be let in."""
    began = time.monotonic()
    with socket.create_connection(daemon.mqtt(), timeout=10) as connection:
        connection.sendall(CONNECT)
        assert connection.recv(4) == encode.connack(0)
    return time.monotonic() - began


def attack(places: list[tuple[str, int]], number: int) -> socket.socket | None:
    """One of the crowd; the connection where it stays."""
    connection = socket.create_connection(places[number % 3], timeout=10)
    with contextlib.suppress(OSError):
        match number % 4:
            case 0:
                connection.close()
            case 1:
                connection.sendall(NONSENSE[number // 4 % len(NONSENSE)])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                connection.close()
            case 2:
                connection.sendall(NONSENSE[number // 4 % len(NONSENSE)])
            case _:
                connection.sendall((b"\x10", b"\x16\x03\x01", b"GET /mqtt HT")[number % 3])
    return None if connection.fileno() < 0 else connection


def test_a_crowd_that_misbehaves_keeps_nobody_out(daemon: ChildDaemon) -> None:
    """A client still gets its CONNACK within a second; descriptors and memory return to where they were."""
    everywhere = places(daemon)
    for number in range(200):  # whatever is made once is made now
        left = attack(everywhere, number)
        if left is not None:
            left.close()
    seconds_to_connack(daemon)
    assert wait_for(lambda: daemon.ask("status")["ready"])
    time.sleep(1.5)
    before, memory = descriptors(daemon), daemon.memory()

    crowd: list[socket.socket] = []
    waited: list[float] = []
    for number in range(CROWD):
        stays = attack(everywhere, number)
        if stays is not None:
            crowd.append(stays)
        if number % 100 == 99:
            waited.append(seconds_to_connack(daemon))
    assert sorted(waited)[len(waited) // 2] < 1.0, waited
    assert max(waited) < 3.0, waited

    # Half of them stay as long as they may, which is the CONNECT time-out, and are closed then by the daemon.
    assert wait_for(lambda: descriptors(daemon) <= before + 2), f"{descriptors(daemon)} descriptors, {before} before"
    for connection in crowd:
        connection.close()
    assert wait_for(lambda: daemon.memory() < memory + 8 * 1024 * 1024), f"{memory} became {daemon.memory()}"
    log = daemon.log.read_text()
    assert "crashed" not in log
    assert len(log.splitlines()) < CROWD // 4, "every one of them has a line of its own"
    assert seconds_to_connack(daemon) < 1.0


def test_a_claim_of_256_megabytes_is_not_waited_for(daemon: ChildDaemon) -> None:
    """The connection is closed at its first bytes, on TCP and, once it is there, on WebSocket; memory stays flat."""
    memory = daemon.memory()
    for _ in range(50):
        with socket.create_connection(daemon.mqtt(), timeout=5) as connection:
            connection.sendall(b"\x10\xff\xff\xff\x7f")
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
    assert daemon.memory() < memory + 4 * 1024 * 1024


def test_wrong_passwords_lock_an_address_and_a_name_and_nobody_else(daemon: ChildDaemon) -> None:
    """The right password is refused too, for a while, and only there; no answer tells which part was wrong."""

    def code(name: str, password: str, host: str) -> int:
        with socket.create_connection(daemon.mqtt(), timeout=10, source_address=(host, 0)) as connection:
            connection.sendall(encode.connect("x", username=name, password=password.encode()))
            return connection.recv(4)[3]

    wrong = {code("sensor/dev-1", "wrong", "127.0.0.2") for _ in range(10)}
    assert wrong == {code("sensor/nobody", "wrong", "127.0.0.3")}
    unknown = {code("sensor/nobody", "wrong", "127.0.0.2") for _ in range(10)}
    assert unknown == wrong
    locked = code("sensor/dev-1", SECRET, "127.0.0.2")
    assert locked != 0
    assert code("sensor/nobody", "wrong", "127.0.0.2") == locked
    assert code("sensor/dev-1", SECRET, "127.0.0.3") == 0
