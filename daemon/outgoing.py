"""Outgoing HTTP calls of functions: to addresses that the guard lets pass, with answers of a bounded size."""

from __future__ import annotations

from collections.abc import Mapping

import httpcore
import trio

from actors.errors import OutgoingCallError
from actors.functions.declaration import HttpAnswer
from actors.http_calls.address_guard import AddressDeniedError, AddressGuard
from daemon.guarded_http import GuardedNetwork
from daemon.system_authorities import SystemAuthorities

_MOST_CONNECTIONS = 100
_KEPT_OPEN = 20
_KEPT_SECONDS = 30.0
# A function's own time-out ends most calls before.
_SECONDS = 60.0
# Where a message ends is not for functions to say: connections are used again, by those of other apps, too (RFC 9112
# 11.2).
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


class OutgoingHttp:
    """A pool of connections to other systems, which certificates of the system's own authorities vouch for."""

    def __init__(self, guard: AddressGuard, max_bytes: int) -> None:
        self._network = GuardedNetwork(guard)
        self._max_bytes = max_bytes
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._authorities = SystemAuthorities()

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Make a call; redirects are not followed.

        Raises:
            OutgoingCallError: the address is not to be called, nobody answers, or too much of an answer comes.
        """
        try:
            with trio.fail_after(_SECONDS):
                return await self._request(method, url, headers, body)
        except trio.TooSlowError:
            raise OutgoingCallError(f"{method} {_shown(url)}: there is no answer within {_SECONDS:g} seconds") from None
        except AddressDeniedError as error:
            raise OutgoingCallError(f"{method} {_shown(url)}: {error}") from error
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise OutgoingCallError(f"{method} {_shown(url)} does not answer: {_told(error)}") from error
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, ValueError, TypeError) as error:
            raise OutgoingCallError(f"{method} {_shown(url)} cannot be called: {_told(error)}") from error

    async def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        pool, self._pool = self._pool, None
        self._authorities = SystemAuthorities()
        if pool is not None:
            await pool.aclose()

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        if method.upper() == "CONNECT":
            raise ValueError("there are no tunnels")
        for name in headers:
            if name.lower() in _FRAMING:
                raise ValueError(f"the header {name} is not for functions to set; leave it out")
        fields = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        data = bytearray()
        async with (await self._open()).stream(method, url, headers=fields, content=body) as answer:
            # Its generators must come to an end of their own: leaving them would leave the connection open.
            with trio.CancelScope() as reading:
                async for piece in answer.aiter_stream():
                    data += piece
                    if len(data) > self._max_bytes:
                        reading.cancel()
            if len(data) > self._max_bytes:
                raise OutgoingCallError(f"{method} {_shown(url)} answers more than {self._max_bytes} bytes")
            received = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
            return HttpAnswer(answer.status, received, bytes(data))

    async def _open(self) -> httpcore.AsyncConnectionPool:
        if self._pool is not None:
            return self._pool
        trusted = await self._authorities.context()
        if self._pool is None:  # nobody else has opened one meanwhile
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=trusted,
                max_connections=_MOST_CONNECTIONS,
                max_keepalive_connections=_KEPT_OPEN,
                keepalive_expiry=_KEPT_SECONDS,
                network_backend=self._network,
            )
        return self._pool


def _shown(url: str) -> str:
    """Without what may be secret: user, password and query."""
    plain = url.partition("?")[0].partition("#")[0]
    scheme, slashes, rest = plain.partition("//")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"[:200]


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
