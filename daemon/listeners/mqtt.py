"""The MQTT listener: sockets in, sessions out."""

from __future__ import annotations

import math
import resource
import socket
from collections.abc import Callable, Sequence
from typing import Final

import structlog
import trio

from actors.device_session.actor import Session
from actors.device_session.broker import Broker
from config.settings import MqttSettings
from daemon.listeners import sockets

_RECEIVE_BYTES: Final = 65_536
_SWEEP_SECONDS: Final = 1.0
# MQTT takes no more than this part of the file descriptors: partitions, databases and callers need some as well.
_DESCRIPTORS_SHARE: Final = 2


class SocketBytes(trio.abc.Stream):
    """A TCP connection as a stream, leaner than trio.SocketStream both in memory and per call.

    It waits before it reads, as a client that was just answered has sent nothing yet; and sends without waiting first,
    as there nearly always is room. One task may read and one may send.
    """

    __slots__ = ("_socket",)

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What is there, at most `max_bytes`; empty at the end of the stream."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(max_bytes or _RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(error.strerror) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; not a checkpoint where the kernel takes it at once."""
        left = memoryview(data)
        while True:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                pass
            except OSError as error:
                raise trio.BrokenResourceError(error.strerror) from error
            if not left:
                return
            await trio.lowlevel.wait_writable(self._socket)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel takes something again."""
        await trio.lowlevel.wait_writable(self._socket)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        await trio.lowlevel.checkpoint()


class MqttListener:
    """Accepts MQTT connections over TCP and runs a session for each of them.

    Sessions are temporary: one that crashes is logged and counted, and nobody else notices. `stop` ends intake and
    drains the sessions, for which they get `drain_seconds`; `draining` is called when that begins.
    """

    def __init__(
        self,
        settings: MqttSettings,
        broker: Broker,
        *,
        drain_seconds: float = math.inf,
        draining: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._drain_seconds = drain_seconds
        self._draining = draining
        self._most = settings.max_connections
        self._stopping = trio.Event()
        self.address = ""
        """host:port as bound, once started."""

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until stopped.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        listeners = await sockets.bind(self._settings.listen, "mqtt")
        try:
            self.address = sockets.name_of(listeners[0].getsockname())
            structlog.get_logger().info("MQTT listener bound", address=self.address)
            self._bound_by_descriptors()
            await self._serve(listeners, started)
        finally:
            sockets.close(listeners)

    def stop(self) -> None:
        """Accept no more, acknowledge what gets stored, close the sessions, return from `run`."""
        self._stopping.set()

    async def _serve(self, listeners: Sequence[socket.socket], started: Callable[[], None]) -> None:
        async with trio.open_nursery() as sessions:
            sessions.start_soon(self._sweep)
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(self._accept, listener, sessions)
                started()
                await self._stopping.wait()
                accepting.cancel_scope.cancel()
            sockets.close(listeners)
            self._draining()
            await self._broker.sessions.drain(trio.current_time() + self._drain_seconds)
            sessions.cancel_scope.cancel()

    async def _accept(self, listening: socket.socket, connections: trio.Nursery) -> None:
        counters, log = self._broker.counters, self._broker.log
        while True:
            connection, peer = await sockets.accept(listening, self._short)
            sessions = self._broker.sessions
            if len(sessions) >= self._most and not sessions.make_room():
                connection.close()
                counters.refused_full += 1
                log.warning(
                    "MQTT connection refused: all places are taken", most=self._most, peer=sockets.name_of(peer)
                )
                continue
            self._start(connection, sockets.name_of(peer), connections)

    def _short(self, reason: str) -> None:
        self._broker.counters.accept_failures += 1
        self._broker.log.warning("MQTT connections wait: the process is out of resources", reason=reason)
        self._broker.sessions.make_room()

    def _bound_by_descriptors(self) -> None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(1, min(self._settings.max_connections, descriptors // _DESCRIPTORS_SHARE))
        if self._most < self._settings.max_connections:
            structlog.get_logger().info(
                "MQTT takes fewer connections than mqtt.max_connections: raise the limit of open files (ulimit -n)",
                most=self._most,
                open_files=descriptors,
            )

    def _start(self, connection: socket.socket, peer: str, sessions: trio.Nursery) -> None:
        try:
            # Acknowledgements are small and waited for; a peer that vanished is found even without keep alive.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError:
            connection.close()  # reset between accept and here
            return
        session = Session(SocketBytes(connection), peer, self._broker)
        self._broker.counters.accepted += 1
        sessions.start_soon(session.run, name="mqtt session")

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(_SWEEP_SECONDS)
            await self._broker.sessions.sweep()
            self._broker.log.flush()
