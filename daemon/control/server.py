"""Hypercorn's connections in a nursery of our own: whatever happens on one of them, nobody else notices.

`hypercorn.trio.serve` ends, and with it every request under way, when one connection raises; it keeps a socket whose
client has left until the keep-alive time-out, and one that was to be closed for as long as the client likes.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIFramework, ConnectionState, LifespanState

from actors.runtime.log_limiter import LogLimiter

# The CLI, a console, a scraper of metrics and a few scripts have a handful each.
MAX_CONNECTIONS = 512


async def serve(
    app: ASGIFramework, config: Config, listeners: Sequence[socket.socket], stopping: Callable[[], Awaitable[None]]
) -> None:
    """Serve an application on bound sockets until `stopping` returns; requests under way then have a grace period."""
    wrapped = ASGIWrapper(app)
    state: LifespanState = {}
    lifespan = Lifespan(wrapped, config, state)
    context = WorkerContext(None)
    async with trio.open_nursery() as living:
        await living.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        async with trio.open_nursery() as connections:
            handler = _Connections(wrapped, config, context, state).serve
            try:
                await _accept(handler, listeners, connections, stopping)
            finally:
                await context.terminated.set()
                connections.cancel_scope.deadline = trio.current_time() + config.graceful_timeout
        await lifespan.wait_for_shutdown()
        living.cancel_scope.cancel()


async def _accept(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
    listeners: Sequence[socket.socket],
    connections: trio.Nursery,
    stopping: Callable[[], Awaitable[None]],
) -> None:
    listening = [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in listeners]
    async with trio.open_nursery() as accepting:
        accepting.start_soon(partial(trio.serve_listeners, handler, listening, handler_nursery=connections))
        await stopping()
        accepting.cancel_scope.cancel()


class _Connections:
    """The connections of one server: bounded, and each with its own fate."""

    def __init__(self, app: AppWrapper, config: Config, context: WorkerContext, state: LifespanState) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._state = state
        self._present = 0
        self._log = LogLimiter(per_second=1)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end; never raises for what happens on it."""
        if self._present >= MAX_CONNECTIONS:
            self._log.warning("control connection refused: there are too many", most=MAX_CONNECTIONS)
            await trio.aclose_forcefully(stream)
            return
        self._present += 1
        try:
            state = ConnectionState(self._state.copy())
            # Without TLS Hypercorn takes a bare stream as well.
            await _Connection(self._app, self._config, self._context, state, stream).run()  # type: ignore[arg-type]
        except* Exception:  # noqa: BLE001 - whatever it is, it stays this connection's
            self._log.exception("control connection crashed")
        finally:
            self._present -= 1


class _Connection(TCPServer):
    """Hypercorn's connection, which ends when it is over."""

    _over = False

    async def protocol_send(self, event: Event) -> None:
        """Send; a client that has left is not waited for."""
        if not (self._over and isinstance(event, Updated)):
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        await super()._read_data()
        self._over = True
        await self.idle_task.stop()

    async def _close(self) -> None:
        # The request's own task closes, and is cancelled by its application as soon as that hears of it.
        with trio.CancelScope(shield=True):
            await super()._close()
