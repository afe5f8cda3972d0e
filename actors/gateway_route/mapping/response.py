"""What becomes of a backend's answer on its way to the caller."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec
import structlog
import trio

from actors.errors import ConfigurationError
from actors.gateway_route.call import Call
from actors.gateway_route.mapping.documents import Path, move, path_of, put
from actors.gateway_route.mapping.system import system_value
from actors.http_calls.errors import INTERNAL, CallRefusedError
from actors.wire.http.messages import HeaderFields, Response
from actors.wire.http.responses import check_header, has_body
from config.resources import ResponseMapping

log = structlog.get_logger()

_Extra = tuple[tuple[Path, Any], ...]

# A larger answer is taken apart in a thread, beside which others are answered.
_BYTES_HERE = 64 * 1024


class ResponseMap:
    """Maps answers of one route: status, headers, and fields of JSON documents.

    What is no JSON document, by its Content-Type, keeps its body.

    Raises:
        ConfigurationError: a header cannot be sent under that name.
    """

    def __init__(self, settings: ResponseMapping, route: str) -> None:
        self._status = {int(before): after for before, after in settings.status.items()}
        self._headers = {before.lower(): after for before, after in settings.headers.items()}
        for name in self._headers.values():
            _check(name)
        self._moves = tuple((path_of(source), path_of(target)) for source, target in settings.fields.items())
        self._constants = tuple((path_of(target), value) for target, value in settings.constants.items())
        self._system = tuple((path_of(target), system_value(name, route)) for target, name in settings.system.items())
        self._changes_body = bool(self._moves or self._constants or self._system)
        self._threads = trio.CapacityLimiter(1)

    def __call__(self, call: Call, response: Response) -> Response | Awaitable[Response]:
        """Map an answer; only a large body is to be waited for."""
        status = self._status.get(response.status, response.status)
        headers = self._renamed(response.headers) if self._headers else response.headers
        body = response.body if has_body(status) else b""
        if not (self._changes_body and isinstance(body, bytes) and body and _is_json(response.headers)):
            return Response(status, headers, body)
        extra = self._constants + tuple((target, value(call)) for target, value in self._system)
        if len(body) > _BYTES_HERE:
            return self._mapped_aside(status, headers, body, extra)
        return Response(status, headers, self._mapped(body, extra))

    async def _mapped_aside(self, status: int, headers: HeaderFields, body: bytes, extra: _Extra) -> Response:
        mapped = await trio.to_thread.run_sync(self._mapped, body, extra, limiter=self._threads)
        return Response(status, headers, mapped)

    def _mapped(self, body: bytes, extra: _Extra) -> bytes:
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            log.warning("Answer is not the JSON that it says it is", reason=str(error))
            raise CallRefusedError(INTERNAL, "the backend's answer cannot be read") from error
        for source, target in self._moves:
            move(document, source, target)
        for target, value in extra:
            put(document, target, value)
        return msgspec.json.encode(document)

    def _renamed(self, headers: HeaderFields) -> HeaderFields:
        return tuple((self._headers.get(name.lower(), name), value) for name, value in headers)


def _is_json(headers: HeaderFields) -> bool:
    media_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    media_type = media_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _check(name: str) -> None:
    try:
        check_header(name, "x")
    except ValueError as error:
        raise ConfigurationError(f"response.headers: {error}") from error
