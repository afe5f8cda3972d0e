"""The HTTP listener: sockets in, one task for each connection, a sweep for all their deadlines."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import replace

import structlog
import trio

from actors.errors import ConfigurationError
from actors.runtime.log_limiter import LogLimiter
from config.settings import Listener
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

log = structlog.get_logger()

_SWEEP_SECONDS = 0.25
_BACKLOG = 1024
# No descriptor, no memory: these pass, and the listener must outlive them.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SHORTAGE_PAUSE = 0.1
# When every place is taken, those longest without a request make room, a share of them with each sweep.
_EVICTED_SHARE = 20


class HttpListener:
    """Listens, and serves every connection with one handler; a child of a supervisor.

    `handler` answers requests; `refuse` makes the answer to what is not a request. `name` is the section of the
    settings that an operator is sent to when the address cannot be had. `address` is host:port once it runs.
    """

    def __init__(
        self,
        listener: Listener,
        limits: HttpLimits,
        handler: Handler,
        *,
        refuse: Refusal = plain_refusal,
        name: str = "gateway",
    ) -> None:
        self.address = ""
        self._listener = listener
        self._name = name
        self._service = HttpService(handler, limits, refuse)
        self._connections: set[HttpConnection] = set()
        self._room = trio.lowlevel.ParkingLot()
        self._accepting = trio.CancelScope()
        self._limited_log = LogLimiter(per_second=1)

    async def run(self, started: Callable[[], None]) -> None:
        """Listen until stopped, then finish the requests in flight.

        Raises:
            ConfigurationError: the address cannot be had.
        """
        listeners = await self._bind()
        self.address = _address(listeners[0])
        self._service.now = trio.current_time()
        async with trio.open_nursery() as background:
            background.start_soon(self._sweep)
            async with trio.open_nursery() as connections:
                with self._accepting:
                    await self._accept_all(listeners, connections, started)
                self._drain()
            background.cancel_scope.cancel()

    def stop(self) -> None:
        """Take no more connections; those that are idle end now, the others with the answer in hand."""
        self._accepting.cancel()

    def statistics(self) -> HttpStatistics:
        """Counters of all connections so far, and how many there are."""
        return replace(self._service.statistics, connections=len(self._connections))

    async def serve(self, stream: HttpStream, peer: str) -> None:
        """Serve one connection; whatever happens in it, nobody else notices."""
        connection = HttpConnection(stream, self._service, peer)
        self._connections.add(connection)
        try:
            await connection.run()
        except Exception:
            log.exception("HTTP connection crashed", listener=self._name, peer=peer)
        finally:
            self._connections.discard(connection)
            if self._room:
                self._room.unpark()

    async def _bind(self) -> list[trio.SocketListener]:
        host, port = self._listener.host, self._listener.port
        try:
            return await trio.open_tcp_listeners(port, host=host or None, backlog=_BACKLOG)
        except OSError as error:
            raise ConfigurationError(_explain(self._name, host, port, error)) from error

    async def _accept_all(
        self, listeners: list[trio.SocketListener], connections: trio.Nursery, started: Callable[[], None]
    ) -> None:
        try:
            async with trio.open_nursery() as acceptors:
                for listener in listeners:
                    acceptors.start_soon(self._accept, listener.socket, connections)
                started()
        finally:
            for listener in listeners:
                listener.socket.close()

    async def _accept(self, listening: trio.socket.SocketType, connections: trio.Nursery) -> None:
        while True:
            while len(self._connections) >= self._service.limits.max_connections:
                self._limited_log.warning("All HTTP connections are taken", listener=self._name)
                await self._room.park()
            try:
                accepted, address = await listening.accept()
            except OSError as error:
                await self._accept_failed(error)
                continue
            self._service.statistics.accepted += 1
            connections.start_soon(self._serve_socket, accepted.detach(), str(address[0]))

    async def _accept_failed(self, error: OSError) -> None:
        """A client that left before it was accepted is its own affair; a shortage is waited for (accept(2))."""
        if error.errno in _SHORTAGES:
            self._limited_log.warning("HTTP connection not accepted", listener=self._name, reason=error.strerror)
            await trio.sleep(_SHORTAGE_PAUSE)
        elif error.errno in {errno.EBADF, errno.ENOTSOCK, errno.EINVAL}:
            raise error

    async def _serve_socket(self, descriptor: int, peer: str) -> None:
        connected = socket.socket(fileno=descriptor)
        try:
            stream = SocketStream(connected)
        except OSError:
            connected.close()  # the client has gone since
            return
        await self.serve(stream, peer)

    async def _sweep(self) -> None:
        service = self._service
        while True:
            await trio.sleep(_SWEEP_SECONDS)
            now = service.now = trio.current_time()
            for connection in self._connections:
                if connection.deadline.at <= now:
                    connection.expire()
            if len(self._connections) >= service.limits.max_connections:
                self._evict_idle()
            self._limited_log.flush()

    def _evict_idle(self) -> None:
        idle = sorted((one for one in self._connections if one.idle), key=lambda one: one.deadline.at)
        for connection in idle[: len(self._connections) // _EVICTED_SHARE + 1]:
            connection.expire()

    def _drain(self) -> None:
        for connection in self._connections:
            connection.drain()


def _address(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _explain(name: str, host: str, port: int, error: OSError) -> str:
    where = f"{name} cannot listen on {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the port is in use; stop what listens there (`ss -ltnp`) or set {name}.listen.port"
    if error.errno == errno.EACCES:
        return f"{where}: this user may not use the port; set {name}.listen.port to 1024 or above"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{where}: this machine has no such address; set {name}.listen.host"
    return f"{where}: {error.strerror or error}; set {name}.listen.host and {name}.listen.port"
