"""A publisher with a window, on a bare socket: knows exactly what it sent and what was acknowledged."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import Puback
from actors.wire.mqtt.reader import PacketReader
from tests.fakes.numbered import SECRET


@contextmanager
def publishers(address: tuple[str, int], acknowledged: dict[str, int]) -> Iterator[list[WindowPublisher]]:
    """One publisher for each device, going on after what it has acknowledged.

    At the end of the block they stop once all is acknowledged, or the daemon is gone; `acknowledged` says how far each
    came.
    """
    crowd = [WindowPublisher(address, device, SECRET, first=last + 1) for device, last in acknowledged.items()]
    for publisher in crowd:
        publisher.start()
    try:
        yield crowd
    finally:
        for publisher in crowd:
            publisher.stopping.set()
        for publisher in crowd:
            publisher.join(30)
            acknowledged[publisher.name] = publisher.acknowledged
    for publisher in crowd:
        assert not publisher.is_alive(), f"{publisher.name} waits for an acknowledgement that does not come"
        assert publisher.problem == "", f"{publisher.name}: {publisher.problem}"


class WindowPublisher(threading.Thread):
    """Publishes numbered QoS 1 reports with up to `window` outstanding, in order, until the connection ends.

    What was not acknowledged is sent again by the next publisher that goes on from `acknowledged`.
    """

    def __init__(self, address: tuple[str, int], device: str, secret: str, first: int, window: int = 10) -> None:
        super().__init__(name=device, daemon=True)
        self._address = address
        self._device = device
        self._secret = secret
        self._window = window
        self._next = first
        self._outstanding: deque[tuple[int, int]] = deque()
        self.acknowledged = first - 1
        self.stopping = threading.Event()
        self.problem = ""
        self.broken = ""
        """How the connection ended, where it was not the publisher who ended it."""

    def run(self) -> None:
        try:
            with socket.create_connection(self._address, timeout=10) as connection:
                self._connect(connection)
                self._publish(connection)
        except OSError as error:
            self.broken = str(error) or type(error).__name__

    def _connect(self, connection: socket.socket) -> None:
        packet = encode.connect(self._device, username=f"sensor/{self._device}", password=self._secret.encode())
        connection.sendall(packet)
        answer = connection.recv(4)
        if answer and answer != encode.connack(0):
            self.problem = f"CONNACK {answer!r}"

    def _publish(self, connection: socket.socket) -> None:
        reader = PacketReader(1024)
        while not self.stopping.is_set() or self._outstanding:
            if not self.stopping.is_set():
                connection.sendall(self._fill())
            data = connection.recv(4096)
            if not data:
                self.broken = "the daemon closed the connection"
                return
            for packet in reader.feed(data):
                assert isinstance(packet, Puback)
                self._acknowledge(packet.packet_id)

    def _fill(self) -> bytes:
        packets = []
        while len(self._outstanding) < self._window:
            number, packet_id = self._next, self._next % 65_535 + 1
            self._next += 1
            payload = json.dumps({"deviceId": self._device, "seq": number}).encode()
            packets.append(encode.publish(f"sensor/out/{self._device}", payload, qos=1, packet_id=packet_id))
            self._outstanding.append((number, packet_id))
        return b"".join(packets)

    def _acknowledge(self, packet_id: int) -> None:
        number, expected = self._outstanding.popleft()
        if packet_id != expected:
            self.problem = f"PUBACK {packet_id} came before {expected}"
        self.acknowledged = number
