"""The HTTP listener: sockets in, one task for each connection, a sweep for all their deadlines."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog
import trio

from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.tls import TlsSession
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
from daemon.listeners.tls_stream import Chosen, TlsStream, accept_tls

log = structlog.get_logger()

_SWEEP_SECONDS = 0.25
# When every place is taken, those longest without a request make room, a share of them with each sweep; then those who
# have owed the rest of one for so many seconds, which is long for who wants an answer and short for who holds a place.
_EVICTED_SHARE = 20
_SLOW_SECONDS = 1.0
# Of all places no more than this part is for handshakes; past that, the oldest one makes room for the next.
_SHAKING_SHARE: Final = 4


class Handshakes(Protocol):
    """What TLS is served with."""

    async def begin(self) -> None:
        """Get ready at the start of a listener; ConfigurationError where there is nothing to serve with."""

    def choose(self, name: str, /) -> Chosen:
        """What is served to a client that asks for this name (lower case, empty for none), and on which terms."""


@dataclass(frozen=True, slots=True)
class HttpEntrance:
    """Where connections come in: `name` is in addresses and logs, `section` is the one of the settings."""

    listen: Listener
    name: str = "gateway"
    section: str = "gateway.listen"
    tls: Handshakes | None = None


class HttpListener:
    """Listens at its entrances, and serves every connection with one handler; a child of a supervisor.

    `handler` answers requests; `refuse` makes the answer to what is not a request. `draining` is called when the drain
    begins. The limits are for all entrances together.
    """

    def __init__(
        self,
        entrances: Iterable[HttpEntrance],
        limits: HttpLimits,
        handler: Handler,
        *,
        refuse: Refusal = plain_refusal,
        draining: Callable[[], None] = lambda: None,
    ) -> None:
        self._entrances = tuple(entrances)
        self._addresses: dict[str, str] = {}
        self._draining = draining
        # Those that are accepted, and whose tasks have not begun.
        self._entering = 0
        # Those in their handshakes, the oldest first.
        self._shaking: dict[trio.CancelScope, None] = {}
        self._service = HttpService(handler, limits, refuse)
        self._connections: set[HttpConnection] = set()
        self._hang_ups: HangUps[HttpConnection] = HangUps()
        self._room = trio.lowlevel.ParkingLot()
        self._accepting = trio.CancelScope()
        self._limited_log = LogLimiter(per_second=1)
        self._handshake_log = LogLimiter(per_second=1)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its entrances."""
        return tuple(entrance.name for entrance in self._entrances)

    @property
    def address(self) -> str:
        """host:port of the first entrance, once started."""
        return self.address_of(self._entrances[0].name)

    def address_of(self, name: str) -> str:
        """host:port of an entrance, once started; empty where there is none of that name."""
        return self._addresses.get(name, "")

    async def run(self, started: Callable[[], None]) -> None:
        """Listen until stopped, then finish the requests in flight.

        Raises:
            ConfigurationError: an address cannot be had, or TLS not be served.
        """
        listeners: list[tuple[socket.socket, HttpEntrance]] = []
        try:
            for entrance in self._entrances:
                listeners += await self._bind(entrance)
            self._service.now = trio.current_time()
            await self._serve_all(listeners, started)
        finally:
            sockets.close([listening for listening, _ in listeners])

    def stop(self) -> None:
        """Take no more connections; those that are idle end now, the others with the answer in hand."""
        self._accepting.cancel()
        self._draining()

    def statistics(self) -> HttpStatistics:
        """Counters of all connections so far, and how many there are."""
        return replace(self._service.statistics, connections=len(self._connections))

    async def serve(self, stream: HttpStream, peer: str, descriptor: int = -1, tls: TlsSession | None = None) -> None:
        """Serve one connection; whatever happens in it, nobody else notices.

        With the `descriptor` of its socket, a client that hangs up ends what its request began.
        """
        connection = HttpConnection(stream, self._service, peer, tls)
        self._connections.add(connection)
        self._hang_ups.watch(descriptor, connection)
        if self._accepting.cancel_called:
            connection.drain()  # its handshake was the last
        try:
            await connection.run()
        except Exception:
            log.exception("HTTP connection crashed", peer=peer)
        finally:
            self._connections.discard(connection)
            self._hang_ups.forget(descriptor, connection)
            self._room.unpark_all()

    async def _bind(self, entrance: HttpEntrance) -> list[tuple[socket.socket, HttpEntrance]]:
        if entrance.tls is not None:
            await entrance.tls.begin()
        listeners = await sockets.bind(entrance.listen, entrance.section)
        self._addresses[entrance.name] = sockets.name_of(listeners[0].getsockname())
        return [(listening, entrance) for listening in listeners]

    async def _serve_all(
        self, listeners: Sequence[tuple[socket.socket, HttpEntrance]], started: Callable[[], None]
    ) -> None:
        async with trio.open_nursery() as background:
            background.start_soon(self._sweep)
            background.start_soon(self._notice_hang_ups)
            async with trio.open_nursery() as connections:
                with self._accepting:
                    await self._accept_all(listeners, connections, started)
                sockets.close([listening for listening, _ in listeners])
                self._drain()
            background.cancel_scope.cancel()

    async def _accept_all(
        self,
        listeners: Sequence[tuple[socket.socket, HttpEntrance]],
        connections: trio.Nursery,
        started: Callable[[], None],
    ) -> None:
        async with trio.open_nursery() as acceptors:
            for listening, entrance in listeners:
                acceptors.start_soon(self._accept, listening, entrance, connections)
            started()
            await trio.sleep_forever()

    async def _accept(self, listening: socket.socket, entrance: HttpEntrance, connections: trio.Nursery) -> None:
        while True:
            while self._room_left() <= 0:
                self._limited_log.warning("All HTTP connections are taken", listener=entrance.name)
                await self._room.park()
            # One a turn would leave those who come together waiting for as many turns of all who are there already.
            for connection, peer in await sockets.accept_all(listening, self._short, self._room_left):
                self._service.statistics.accepted += 1
                self._entering += 1
                connections.start_soon(self._serve_socket, connection, str(peer[0]), entrance)

    def _room_left(self) -> int:
        taken = len(self._connections) + len(self._shaking) + self._entering
        return self._service.limits.max_connections - taken

    def _short(self, reason: str) -> None:
        self._limited_log.warning("HTTP connection not accepted", reason=reason)

    async def _serve_socket(self, connected: socket.socket, peer: str, entrance: HttpEntrance) -> None:
        self._entering -= 1
        try:
            stream = SocketStream(connected)
        except STREAM_ERRORS:
            connected.close()  # the client has gone since
            self._room.unpark_all()
            return
        if entrance.tls is None:
            await self.serve(stream, peer, connected.fileno())
            return
        try:
            secured, session = await self._shake_hands(stream, entrance.tls)
        except STREAM_ERRORS as error:
            self._service.statistics.failed_handshakes += 1
            self._handshake_log.info("TLS handshake failed", listener=entrance.name, peer=peer, reason=str(error))
            return
        except Exception:
            self._service.statistics.failed_handshakes += 1
            log.exception("TLS handshake crashed", listener=entrance.name, peer=peer)
            return
        await self.serve(secured, peer, connected.fileno(), session)

    async def _shake_hands(self, stream: SocketStream, tls: Handshakes) -> tuple[TlsStream, TlsSession]:
        """The connection under TLS; it is closed where that does not come about."""
        if len(self._shaking) > self._service.limits.max_connections // _SHAKING_SHARE:
            oldest = next(iter(self._shaking))
            del self._shaking[oldest]
            oldest.cancel()
        scope = trio.move_on_after(self._service.limits.header_timeout)
        self._shaking[scope] = None
        done = False
        try:
            with scope:
                shaken = await accept_tls(stream, tls.choose)
                done = True
                return shaken
            raise trio.BrokenResourceError("it did not end in time")
        finally:
            self._shaking.pop(scope, None)
            if not done:
                await stream.aclose()
            self._room.unpark_all()

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
            if self._room_left() <= 0:
                self._make_room(now)
            self._limited_log.flush()
            self._handshake_log.flush()

    async def _notice_hang_ups(self) -> None:
        try:
            while True:
                for connection in await self._hang_ups.wait():
                    connection.hang_up()
        finally:
            self._hang_ups.close()

    def _make_room(self, now: float) -> None:
        found = sorted((one for one in self._connections if one.idle), key=lambda one: one.deadline.since)
        wanted = len(self._connections) // _EVICTED_SHARE + 1
        if len(found) < wanted:
            slow = (one for one in self._connections if one.deadline.late and now - one.deadline.since > _SLOW_SECONDS)
            found += sorted(slow, key=lambda one: one.deadline.since)
        for connection in found[:wanted]:
            connection.expire()

    def _drain(self) -> None:
        for scope in tuple(self._shaking):
            scope.cancel()
        for connection in self._connections:
            connection.drain()
