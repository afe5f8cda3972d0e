"""The MQTT listener: connections in, over TCP, TLS or WebSocket; sessions out."""

from __future__ import annotations

import math
import resource
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
import trio

from actors.device_session.actor import Session
from actors.device_session.broker import Broker
from actors.device_session.registry.expiry import expire
from actors.runtime.token_bucket import TokenBucket
from config.settings import MqttSettings
from daemon.listeners import sockets
from daemon.listeners.admission import Admission, Source
from daemon.listeners.lingering import Lingering
from daemon.listeners.memory import CrowdMemory
from daemon.listeners.mqtt_entrances import TCP, Entrance, Opening, tcp_entrance
from daemon.listeners.mqtt_streams import SocketBytes

_SWEEP_SECONDS: Final = 1.0
# MQTT takes no more than this part of the file descriptors: partitions, databases and callers need some as well.
_DESCRIPTORS_SHARE: Final = 2


class MqttListener:
    """Accepts MQTT connections at every entrance and runs a session for each of them.

    Connections that agree on keys, or on a WebSocket, first have `connect_timeout` for it, each in a task of its own,
    and count like all others. Sessions are temporary: one that crashes is logged and counted, and nobody else notices.
    `stop` ends intake and drains the sessions, for which they get `drain_seconds`; `draining` is called when that
    begins. Without `entrances` there is the one for TCP.
    """

    def __init__(
        self,
        settings: MqttSettings,
        broker: Broker,
        entrances: Sequence[Entrance] | None = None,
        *,
        drain_seconds: float = math.inf,
        draining: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._entrances = (tcp_entrance(settings),) if entrances is None else tuple(entrances)
        self._drain_seconds = drain_seconds
        self._draining = draining
        self._most = settings.max_connections
        self._admission = Admission(settings)
        self._lingering = Lingering()
        self._memory = CrowdMemory()
        self._rate = TokenBucket(settings.connection_rate, -math.inf)
        # Those in their handshakes, the oldest first.
        self._opening: dict[trio.CancelScope, None] = {}
        self._stopping = trio.Event()
        self._addresses: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its entrances."""
        return tuple(entrance.name for entrance in self._entrances)

    @property
    def address(self) -> str:
        """host:port of the entrance for TCP, once started."""
        return self.address_of(TCP)

    def address_of(self, name: str) -> str:
        """host:port of an entrance, once started; empty where there is none of that name."""
        return self._addresses.get(name, "")

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until stopped.

        Raises:
            ConfigurationError: an address cannot be bound, or TLS not be served.
        """
        listeners: list[tuple[socket.socket, Entrance]] = []
        try:
            for entrance in self._entrances:
                listeners += await self._bind(entrance)
            self._bound_by_descriptors()
            await self._serve(listeners, started)
        finally:
            sockets.close([listening for listening, _ in listeners])

    def stop(self) -> None:
        """Accept no more, acknowledge what gets stored, close the sessions, return from `run`."""
        self._stopping.set()

    async def _bind(self, entrance: Entrance) -> list[tuple[socket.socket, Entrance]]:
        if entrance.tls is not None:
            await entrance.tls.begin()
        listeners = await sockets.bind(entrance.endpoint, entrance.section)
        try:
            for listening in listeners:
                entrance.check_anonymous(listening.getsockname()[0])
                # Inherited by what is accepted (tcp(7)). Acknowledgements are small and waited for; a peer that has
                # vanished is found even without keep alive.
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except BaseException:
            sockets.close(listeners)
            raise
        address = self._addresses[entrance.name] = sockets.name_of(listeners[0].getsockname())
        log = structlog.get_logger()
        log.info("MQTT listener bound", listener=entrance.name, address=address)
        if entrance.endpoint.anonymous is not None:
            log.warning(
                "MQTT listener lets everybody in", listener=entrance.name, product=entrance.endpoint.anonymous.product
            )
        return [(listening, entrance) for listening in listeners]

    async def _serve(self, listeners: Sequence[tuple[socket.socket, Entrance]], started: Callable[[], None]) -> None:
        async with trio.open_nursery() as sessions:
            sessions.start_soon(self._sweep)
            sessions.start_soon(self._lingering.run)
            async with trio.open_nursery() as accepting:
                for listening, entrance in listeners:
                    accepting.start_soon(self._accept, listening, entrance, sessions)
                started()
                await self._stopping.wait()
                accepting.cancel_scope.cancel()
            sockets.close([listening for listening, _ in listeners])
            self._draining()
            for scope in tuple(self._opening):
                scope.cancel()
            await self._broker.sessions.drain(trio.current_time() + self._drain_seconds)
            sessions.cancel_scope.cancel()

    async def _accept(self, listening: socket.socket, entrance: Entrance, connections: trio.Nursery) -> None:
        """Take what comes, no faster than it may: over the rate, connections wait in the kernel's backlog."""
        while True:
            taken = await sockets.accept_all(listening, self._short, self._may_come)
            now = trio.current_time()
            for connection, peer in taken:
                self._enter(connection, peer, entrance, connections)
            wait = self._rate.take(len(taken), now)
            if wait > 0:
                self._broker.counters.accept_pauses += 1
                self._broker.log.warning(
                    "MQTT connections come too fast, and wait", most_per_second=self._settings.connection_rate
                )
                await trio.sleep(wait)

    def _may_come(self) -> int:
        return max(1, int(self._rate.available(trio.current_time())))

    def _enter(self, connection: socket.socket, peer: Any, entrance: Entrance, connections: trio.Nursery) -> None:
        source = self._admission.admit(peer[0], trio.current_time())
        if isinstance(source, str):
            connection.close()
            self._broker.counters.refused_address += 1
            self._broker.log.warning("MQTT connection refused", reason=source, peer=sockets.name_of(peer))
            return
        stream = SocketBytes(connection, source, self._lingering)
        if self._admission.connections > self._most and not self._make_room():
            self._refuse_full(connection, source, peer)
            return
        self._broker.counters.accepted += 1
        if entrance.opening is None:
            session = Session(stream, sockets.name_of(peer), self._broker, entrance.profile)
            connections.start_soon(session.run, name="mqtt session")
        else:
            connections.start_soon(self._open, stream, sockets.name_of(peer), entrance, entrance.opening)

    def _refuse_full(self, connection: socket.socket, source: Source, peer: object) -> None:
        connection.close()
        source.left()
        self._broker.counters.refused_full += 1
        self._broker.log.warning(
            "MQTT connection refused: all places are taken", most=self._most, peer=sockets.name_of(peer)
        )

    def _make_room(self) -> bool:
        """End whoever has been there longest without having said who it is; False where there is nobody like that."""
        for oldest in self._opening:
            del self._opening[oldest]
            oldest.cancel()
            self._broker.counters.evicted += 1
            return True
        return self._broker.sessions.make_room()

    async def _open(self, connection: SocketBytes, peer: str, entrance: Entrance, opening: Opening) -> None:
        """Shake hands, and serve the session."""
        stream = await self._shake_hands(connection, peer, entrance, opening)
        if stream is not None:
            await Session(stream, peer, self._broker, entrance.profile).run()

    async def _shake_hands(
        self, connection: SocketBytes, peer: str, entrance: Entrance, opening: Opening
    ) -> trio.abc.Stream | None:
        reason = "no handshake in time, or its place was needed"
        scope = trio.CancelScope(deadline=trio.current_time() + self._settings.connect_timeout)
        self._opening[scope] = None
        try:
            with scope:
                return await opening(connection)
        except trio.BrokenResourceError as error:
            reason = str(error)
        except Exception:
            self._broker.counters.crashes += 1
            self._broker.log.exception("MQTT handshake crashed", listener=entrance.name, peer=peer)
        finally:
            self._opening.pop(scope, None)
        self._broker.counters.refused_handshakes += 1
        self._broker.log.warning("MQTT connection refused", listener=entrance.name, reason=reason, peer=peer)
        await trio.aclose_forcefully(connection)
        return None

    def _short(self, reason: str) -> None:
        self._broker.counters.accept_failures += 1
        self._broker.log.warning("MQTT connections wait: the process is out of resources", reason=reason)
        self._make_room()

    def _bound_by_descriptors(self) -> None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(1, min(self._settings.max_connections, descriptors // _DESCRIPTORS_SHARE))
        if self._most < self._settings.max_connections:
            structlog.get_logger().info(
                "MQTT takes fewer connections than mqtt.max_connections: raise the limit of open files (ulimit -n)",
                most=self._most,
                open_files=descriptors,
            )

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(_SWEEP_SECONDS)
            await self._broker.sessions.sweep()
            await expire(self._broker)
            now = trio.current_time()
            self._admission.sweep(now)
            self._broker.failed_logins.sweep(now)
            await self._memory.look(self._broker.counters.accepted, self._admission.connections, now)
            self._broker.log.flush()
