"""Lines of a WebSocket of the control API, shown as they come."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    WebSocketConnection,
    open_websocket_url,
)

from daemon.cli.client import Client
from daemon.cli.failure import CommandError

_CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
# A frame has many small messages, or a single one as large as a topic may let it be.
_MAX_FRAME_BYTES = 512 * 1024 * 1024


def follow(client: Client, path: str, parameters: Mapping[str, str], show: Callable[[str], Any]) -> None:
    """Show line after line until SIGINT or SIGTERM, or until the daemon has said why it ends.

    Raises:
        CommandError: it is refused, or the daemon cannot be reached, or is there no more.
        OSError: what is shown cannot be written.
    """
    trio.run(_Following(client, show).run, path, parameters)


class _Following:
    """One WebSocket. What is shown is flushed frame by frame."""

    def __init__(self, client: Client, show: Callable[[str], Any]) -> None:
        self._client = client
        self._show = show
        self._ended = False

    async def run(self, path: str, parameters: Mapping[str, str]) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_at, signals, nursery.cancel_scope)
                    await self._connect(path, parameters)
                    nursery.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                raise _innermost(group) from None

    async def _connect(self, path: str, parameters: Mapping[str, str]) -> None:
        call = self._client.web_socket(path, parameters)
        headers = [(name.encode(), value.encode()) for name, value in call.headers.items()]
        try:
            async with open_websocket_url(
                call.url,
                extra_headers=headers,
                message_queue_size=1,
                max_message_size=_MAX_FRAME_BYTES,
                connect_timeout=_CONNECT_SECONDS,
                disconnect_timeout=_CLOSE_SECONDS,
            ) as connection:
                await self._follow(connection)
        except ConnectionRejected as refused:
            raise self._client.refusal(refused.status_code, refused.body or b"") from None
        except (HandshakeError, ConnectionTimeout) as error:
            # Behind a bare HandshakeError stands what the system said.
            raise self._client.unreachable(error.__cause__ or error) from error
        except DisconnectionTimeout:
            pass  # nothing is waited for any more

    async def _follow(self, connection: WebSocketConnection) -> None:
        try:
            while True:
                self._take(await connection.get_message())
        except ConnectionClosed:
            if not self._ended:
                raise self._client.unreachable(ConnectionError("it has closed the connection")) from None
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
                await connection.aclose()

    def _take(self, frame: str | bytes) -> None:
        lines = (frame if isinstance(frame, str) else frame.decode()).split("\n")
        for line in lines:
            self._show(line)
        sys.stdout.flush()
        self._ended = lines[-1].startswith('{"ended"')


async def _cancel_at(signals: Any, scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


def _innermost(error: BaseException) -> BaseException:
    """The one thing that went wrong: there is one task that does anything."""
    while isinstance(error, BaseExceptionGroup):
        of_use = (one for one in error.exceptions if isinstance(one, CommandError | OSError))
        error = next(of_use, error.exceptions[0])
    return error
