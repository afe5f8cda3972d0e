"""The control API's socket, served by Hypercorn."""

from __future__ import annotations

import socket
from collections.abc import Callable

import msgspec
import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio import serve
from quart_trio import QuartTrio

from config.settings import ControlSettings
from daemon.listeners import sockets

BACKLOG = 128
GRACE_SECONDS = 3.0
KEEP_ALIVE_SECONDS = 75.0


class ControlListener:
    """Serves the control API until it is stopped; implements `actors.runtime.actor.Child`.

    When it is run again after a crash it binds the same port, also where port 0 picked it.
    """

    def __init__(self, settings: ControlSettings, app: QuartTrio) -> None:
        self._listen = settings.listen
        self._port = settings.listen.port
        self._app = app
        self._stopping = trio.Event()

    @property
    def address(self) -> str:
        """host:port as bound; the port is 0 before it is."""
        host = self._listen.host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    async def run(self, started: Callable[[], None]) -> None:
        """Bind, call `started`, and serve.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        listen = msgspec.structs.replace(self._listen, port=self._port)
        listeners = await sockets.bind(listen, "control")
        try:
            self._port = listeners[0].getsockname()[1]
            started()
            await serve(self._app, _BoundConfig(listeners), shutdown_trigger=self._stopping.wait)
        finally:
            sockets.close(listeners)

    def stop(self) -> None:
        """Take no new connections; requests under way have a few seconds to end."""
        self._stopping.set()


class _BoundConfig(Config):
    """Hypercorn's configuration, with sockets that are bound already and stay ours to close.

    Hypercorn itself never closes the sockets it makes, which would keep the port after a crash.
    """

    def __init__(self, bound: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = bound
        self.accesslog = None
        self.errorlog = None
        self.include_server_header = False
        self.backlog = BACKLOG
        self.graceful_timeout = GRACE_SECONDS
        self.keep_alive_timeout = KEEP_ALIVE_SECONDS

    def create_sockets(self) -> Sockets:
        """Those that are bound."""
        return Sockets(secure_sockets=[], insecure_sockets=self._sockets, quic_sockets=[])
