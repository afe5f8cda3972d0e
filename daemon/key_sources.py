"""Where the keys of bearer tokens come from: files, and addresses of those who issue the tokens."""

from __future__ import annotations

from pathlib import Path

import httpx
import trio

from actors.gateway_route.auth.jwks import KeySourceError
from config.resources import Jwt

_MAX_BYTES = 1024 * 1024
_SECONDS = 5.0


class KeySources:
    """Reads key sets; a file that is not absolute is in the data folder. See FetchKeys."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._threads = trio.CapacityLimiter(2)

    async def __call__(self, settings: Jwt) -> bytes:
        """Read the key set that a route names."""
        if settings.jwks_file is not None:
            path = self._data / settings.jwks_file
            return await trio.to_thread.run_sync(_read, path, limiter=self._threads)
        return await _fetch(settings.jwks_url or "")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise KeySourceError(f"{path} cannot be read: {error.strerror}") from error
    _check(len(data))
    return data


async def _fetch(url: str) -> bytes:
    data = bytearray()
    try:
        with trio.fail_after(_SECONDS):
            async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", url) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise KeySourceError(f"the answer is {answer.status_code}")
                async for piece in answer.aiter_bytes():
                    data += piece
                    _check(len(data))
    except trio.TooSlowError:
        raise KeySourceError(f"there is no answer within {_SECONDS:g} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise KeySourceError(f"it cannot be reached: {error or type(error).__name__}") from error
    return bytes(data)


def _check(length: int) -> None:
    if length > _MAX_BYTES:
        raise KeySourceError(f"it is larger than {_MAX_BYTES} bytes")
