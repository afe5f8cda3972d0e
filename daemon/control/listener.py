"""The control API's socket, served by Hypercorn."""

from __future__ import annotations

import socket
from collections.abc import Callable

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

from actors.errors import ConfigurationError
from config.settings import ControlSettings

BACKLOG = 128
GRACE_SECONDS = 3.0


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
        self._port = bound.getsockname()[1]
        config = _config(bound)
        started()
        await serve(self._app, config, shutdown_trigger=self._stopping.wait)

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


def _config(bound: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{bound.detach()}"]
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.backlog = BACKLOG
    config.graceful_timeout = GRACE_SECONDS
    config.keep_alive_timeout = 75.0
    return config
