"""The HTTP listener: sockets in, one task for each connection, a sweep for all their deadlines."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

import structlog
import trio

from actors.runtime.log_limiter import LogLimiter
from config.settings import Listener
from daemon.listeners import sockets
from daemon.listeners.hang_ups import HangUps
from daemon.listeners.http_connection import HttpConnection
from daemon.listeners.http_service import (
    Handler,
    HttpLimits,
    HttpService,
    HttpStatistics,
    HttpStream,
    Refusal,
    plain_refusal,
)
from daemon.listeners.http_stream import SocketStream
from daemon.listeners.http_writer import STREAM_ERRORS
from daemon.listeners.tls import ServerTls, TlsStream

log = structlog.get_logger()

_SWEEP_SECONDS = 0.25
# When every place is taken, those longest without a request make room, a share of them with each sweep.
_EVICTED_SHARE = 20


class HttpListener:
    """Listens, and serves every connection with one handler; a child of a supervisor.

    `handler` answers requests; `refuse` makes the answer to what is not a request. `name` is the section of the
    settings that an operator is sent to when the address cannot be had. `tls` is what it serves TLS with. `draining`
    is called when the drain begins. `address` is host:port once it runs.
    """

    def __init__(
        self,
        listener: Listener,
        limits: HttpLimits,
        handler: Handler,
        *,
        refuse: Refusal = plain_refusal,
        name: str = "gateway",
        tls: ServerTls | None = None,
        draining: Callable[[], None] = lambda: None,
    ) -> None:
        self.address = ""
        self._tls = tls
        self._draining = draining
        self._shaking = 0
        self._listener = listener
        self._name = name
        self._service = HttpService(handler, limits, refuse)
        self._connections: set[HttpConnection] = set()
        self._hang_ups: HangUps[HttpConnection] = HangUps()
        self._room = trio.lowlevel.ParkingLot()
        self._accepting = trio.CancelScope()
        self._limited_log = LogLimiter(per_second=1)

    async def run(self, started: Callable[[], None]) -> None:
        """Listen until stopped, then finish the requests in flight.

        Raises:
            ConfigurationError: the address cannot be had, or TLS not be served.
        """
        if self._tls is not None:
            await self._tls.begin()
        listeners = await sockets.bind(self._listener, f"{self._name}.listen")
        self.address = sockets.name_of(listeners[0].getsockname())
        self._service.now = trio.current_time()
        async with trio.open_nursery() as background:
            background.start_soon(self._sweep)
            background.start_soon(self._notice_hang_ups)
            async with trio.open_nursery() as connections:
                with self._accepting:
                    await self._accept_all(listeners, connections, started)
                self._drain()
            background.cancel_scope.cancel()

    def stop(self) -> None:
        """Take no more connections; those that are idle end now, the others with the answer in hand."""
        self._accepting.cancel()
        self._draining()

    def statistics(self) -> HttpStatistics:
        """Counters of all connections so far, and how many there are."""
        return replace(self._service.statistics, connections=len(self._connections))

    async def serve(self, stream: HttpStream, peer: str, descriptor: int = -1) -> None:
        """Serve one connection; whatever happens in it, nobody else notices.

        With the `descriptor` of its socket, a client that hangs up ends what its request began.
        """
        connection = HttpConnection(stream, self._service, peer)
        self._connections.add(connection)
        self._hang_ups.watch(descriptor, connection)
        try:
            await connection.run()
        except Exception:
            log.exception("HTTP connection crashed", listener=self._name, peer=peer)
        finally:
            self._connections.discard(connection)
            self._hang_ups.forget(descriptor, connection)
            if self._room:
                self._room.unpark()

    async def _accept_all(
        self, listeners: list[socket.socket], connections: trio.Nursery, started: Callable[[], None]
    ) -> None:
        try:
            async with trio.open_nursery() as acceptors:
                for listening in listeners:
                    acceptors.start_soon(self._accept, listening, connections)
                started()
        finally:
            sockets.close(listeners)

    async def _accept(self, listening: socket.socket, connections: trio.Nursery) -> None:
        while True:
            while len(self._connections) + self._shaking >= self._service.limits.max_connections:
                self._limited_log.warning("All HTTP connections are taken", listener=self._name)
                await self._room.park()
            connection, peer = await sockets.accept(listening, self._short)
            self._service.statistics.accepted += 1
            connections.start_soon(self._serve_socket, connection, str(peer[0]))

    def _short(self, reason: str) -> None:
        self._limited_log.warning("HTTP connection not accepted", listener=self._name, reason=reason)

    async def _serve_socket(self, connected: socket.socket, peer: str) -> None:
        try:
            if self._tls is None:
                stream: HttpStream = SocketStream(connected)
            else:
                stream = await self._shake_hands(connected, self._tls.context)
        except STREAM_ERRORS:
            connected.close()  # the client has gone since, or speaks no TLS
            return
        await self.serve(stream, peer, connected.fileno())

    async def _shake_hands(self, connected: socket.socket, context: ssl.SSLContext) -> HttpStream:
        self._shaking += 1
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = TlsStream(connected, context)
            with trio.move_on_after(self._service.limits.header_timeout):
                await stream.shake_hands()
                return stream
            raise trio.BrokenResourceError("the handshake did not end in time")
        finally:
            self._shaking -= 1
            if self._room:
                self._room.unpark()

    async def _sweep(self) -> None:
        service = self._service
        while True:
            await trio.sleep(_SWEEP_SECONDS)
            now = service.now = trio.current_time()
            for connection in self._connections:
                if connection.deadline.at <= now:
                    connection.expire()
                elif connection.hung_up:
                    connection.hang_up()
            if len(self._connections) >= service.limits.max_connections:
                self._evict_idle()
            self._limited_log.flush()

    async def _notice_hang_ups(self) -> None:
        try:
            while True:
                for connection in await self._hang_ups.wait():
                    connection.hang_up()
        finally:
            self._hang_ups.close()

    def _evict_idle(self) -> None:
        idle = sorted((one for one in self._connections if one.idle), key=lambda one: one.deadline.at)
        for connection in idle[: len(self._connections) // _EVICTED_SHARE + 1]:
            connection.expire()

    def _drain(self) -> None:
        for connection in self._connections:
            connection.drain()
