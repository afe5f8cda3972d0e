"""Listening sockets, for every protocol alike: where they are bound, how connections are taken, what fails and passes.

They are plain non-blocking sockets, on which tasks wait by `trio.lowlevel`: leaner than trio's own wrappers, of which
each idle connection would pay the parts.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import trio

from actors.errors import ConfigurationError
from config.settings import Listener

_BACKLOG: Final = 4096
# Connections that are taken in one go, before other tasks get their turn.
_AT_ONCE: Final = 32
# The process is out of file descriptors or memory, which passes; new connections wait in the backlog.
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_SHORTAGE_SECONDS: Final = 0.1
# The listening socket itself is of no use any more. Everything else that accept(2) says is about one connection, which
# was gone before it was taken ("Error handling" there).
_BROKEN: Final = frozenset({errno.EBADF, errno.ENOTSOCK, errno.EINVAL, errno.EFAULT})


async def bind(listen: Listener, section: str) -> list[socket.socket]:
    """Sockets that listen at every address of a host; `section` (`mqtt.listen`) names the settings in errors.

    Raises:
        ConfigurationError: they cannot; says why and which setting to change.
    """
    try:
        listeners = await trio.open_tcp_listeners(listen.port, host=listen.host or None, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(_explain(section, listen, error)) from error
    return [_plain(listener.socket) for listener in listeners]


async def accept_all(
    listening: socket.socket, shortage: Callable[[str], None], room: Callable[[], int]
) -> list[tuple[socket.socket, Any]]:
    """The next connections, non-blocking, each with the address of its peer: at least one, and 32 at most.

    Nor more than there is `room` for when they come: there may be none by then, and they are left waiting.
    While the process is out of resources, `shortage` is called with the reason, ten times a second at most.
    """
    taken: list[tuple[socket.socket, Any]] = []
    while not taken:
        await trio.lowlevel.wait_readable(listening)
        most = room()
        if most <= 0:
            break
        reason = _take(listening, taken, most)
        if reason and not taken:
            shortage(reason)
            await trio.sleep(_SHORTAGE_SECONDS)
    return taken


def _take(listening: socket.socket, taken: list[tuple[socket.socket, Any]], most: int) -> str:
    """Accept until there are no more; returns what the process is out of, where that is why."""
    while len(taken) < min(most, _AT_ONCE):
        try:
            connection, peer = listening.accept()
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno in _BROKEN:
                raise
            if error.errno in _SHORTAGES:
                return error.strerror or str(error)
            continue
        connection.settimeout(0)
        taken.append((connection, peer))
    return ""


def close(listeners: Sequence[socket.socket]) -> None:
    """Listen no more; closing twice is no error."""
    for listening in listeners:
        if listening.fileno() >= 0:
            trio.lowlevel.notify_closing(listening)
            listening.close()


def name_of(address: object) -> str:
    """host:port of a socket address, IPv6 in brackets."""
    match address:
        case (str() as host, int() as port, *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case _:
            return str(address)


def _plain(listening: trio.socket.SocketType) -> socket.socket:
    kind = listening.family, listening.type, listening.proto
    plain = socket.socket(*kind, fileno=listening.detach())
    plain.settimeout(0)
    return plain


def _explain(section: str, listen: Listener, error: OSError) -> str:
    where = f"{section}: cannot listen on {listen.host}:{listen.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where}: the port is in use; stop what listens there (`ss -ltnp` shows it), "
            f"or set {section}.port to another one (0 picks a free one)"
        )
    if error.errno == errno.EACCES:
        return f"{where}: this user may not use the port; set {section}.port to 1024 or above"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{where}: this machine has no such address; set {section}.host"
    return f"{where}: {error.strerror or error}; set {section}.host and {section}.port"
