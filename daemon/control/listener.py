"""The control API's socket, served by Hypercorn."""

from __future__ import annotations

import socket
from collections.abc import Callable

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio import serve
from quart_trio import QuartTrio

from actors.errors import ConfigurationError
from config.settings import ControlSettings

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
        bound = await self._bind()
        with bound:
            self._port = bound.getsockname()[1]
            started()
            await serve(self._app, _BoundConfig(bound), shutdown_trigger=self._stopping.wait)

    def stop(self) -> None:
        """Take no new connections; requests under way have a few seconds to end."""
        self._stopping.set()

    async def _bind(self) -> socket.socket:
        # Hypercorn would raise a bare OSError in an exception group, so the socket is bound here and handed over.
        host, port = self._listen.host, self._port
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            bound = socket.socket(family, kind, protocol)
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind(address)
                bound.listen(BACKLOG)
            except OSError:
                bound.close()
                raise
        except OSError as error:
            raise ConfigurationError(
                f"control.listen: {host}:{port} cannot be bound: {error.strerror}; "
                "stop what uses it, or set another port (0 picks a free one)"
            ) from error
        return bound


class _BoundConfig(Config):
    """Hypercorn's configuration, with a socket that is bound already and stays ours to close.

    Hypercorn itself never closes the sockets it makes, which would keep the port after a crash.
    """

    def __init__(self, bound: socket.socket) -> None:
        super().__init__()
        self._bound = bound
        self.accesslog = None
        self.errorlog = None
        self.include_server_header = False
        self.backlog = BACKLOG
        self.graceful_timeout = GRACE_SECONDS
        self.keep_alive_timeout = KEEP_ALIVE_SECONDS

    def create_sockets(self) -> Sockets:
        """The one socket there is."""
        return Sockets(secure_sockets=[], insecure_sockets=[self._bound], quic_sockets=[])
