"""Where the keys of bearer tokens come from: files, and addresses of those who issue the tokens."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import httpcore
import trio

from actors.gateway_route.auth.jwks import KeySourceError
from actors.http_calls.address_guard import AddressDeniedError, AddressGuard
from config.resources import Jwt
from daemon.guarded_http import GuardedNetwork
from daemon.system_authorities import SystemAuthorities

_MAX_BYTES = 1024 * 1024
_SECONDS = 5.0


class KeySources:
    """Reads key sets; a file that is not absolute is in the data folder. See FetchKeys."""

    def __init__(self, data: Path, guard: AddressGuard) -> None:
        self._data = data
        self._network = GuardedNetwork(guard)
        self._authorities = SystemAuthorities()
        self._threads = trio.CapacityLimiter(2)

    async def __call__(self, settings: Jwt) -> bytes:
        """Read the key set that a route names."""
        if settings.jwks_file is not None:
            path = self._data / settings.jwks_file
            return await trio.to_thread.run_sync(_read, path, limiter=self._threads)
        return await self._fetch(settings.jwks_url or "")

    async def _fetch(self, url: str) -> bytes:
        try:
            with trio.fail_after(_SECONDS):
                return await self._get(url)
        except trio.TooSlowError:
            raise KeySourceError(f"there is no answer within {_SECONDS:g} seconds") from None
        except AddressDeniedError as error:
            raise KeySourceError(str(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ValueError) as error:
            raise KeySourceError(f"it cannot be reached: {str(error) or type(error).__name__}") from error

    async def _get(self, url: str) -> bytes:
        data = bytearray()
        trusted = await self._authorities.context()
        pool = httpcore.AsyncConnectionPool(ssl_context=trusted, network_backend=self._network)
        async with pool, pool.stream("GET", url, headers={"Accept": "application/json"}) as answer:
            if answer.status != HTTPStatus.OK:
                raise KeySourceError(f"the answer is {answer.status}")
            # Its generators must come to an end of their own: leaving them would leave the connection open.
            with trio.CancelScope() as reading:
                async for piece in answer.aiter_stream():
                    data += piece
                    if len(data) > _MAX_BYTES:
                        reading.cancel()
        _check(len(data))
        return bytes(data)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise KeySourceError(f"{path} cannot be read: {error.strerror}") from error
    _check(len(data))
    return data


def _check(length: int) -> None:
    if length > _MAX_BYTES:
        raise KeySourceError(f"it is larger than {_MAX_BYTES} bytes")
