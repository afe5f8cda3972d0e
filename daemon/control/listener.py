"""The control API's socket, served by Hypercorn."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio
from hypercorn.config import Config
from quart_trio import QuartTrio

from config.settings import ControlSettings
from daemon.control.server import serve
from daemon.listeners import sockets

GRACE_SECONDS = 3.0
KEEP_ALIVE_SECONDS = 75.0


class ControlListener:
    """Serves the control API until it is stopped; implements `actors.runtime.actor.Child`.

    When it is run again after a crash it binds the same port, also where port 0 picked it.
    """

    def __init__(
        self, settings: ControlSettings, app: QuartTrio, *, draining: Callable[[], None] = lambda: None
    ) -> None:
        """Serve `app`; `draining` is called when it is to stop."""
        self._listen = settings.listen
        self._draining = draining
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
        listeners = await sockets.bind(listen, "control.listen")
        try:
            self._port = listeners[0].getsockname()[1]
            started()
            await serve(self._app, _config(), listeners, self._stopping.wait)
        finally:
            sockets.close(listeners)

    def stop(self) -> None:
        """Take no new connections; requests under way have a few seconds to end."""
        self._stopping.set()
        self._draining()


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.graceful_timeout = GRACE_SECONDS
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    return config
