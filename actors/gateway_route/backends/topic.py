"""Backend `topic`: the body becomes a record, and the answer comes once it is stored."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from actors.gateway_route.call import Call
from actors.gateway_route.codings import check_uncompressed
from actors.http_calls.errors import BAD_REQUEST, CallRefusedError
from actors.records import Record
from actors.wire.http.messages import Response
from config.resources import TopicBackend

_JSON_HEADERS = (("Content-Type", "application/json"),)
_PLACE = re.compile(r"\{([^{}]+)\}")


class StoredAt(NamedTuple):
    """Where a record lies."""

    partition: int
    offset: int


class Records(Protocol):
    """The way into topics."""

    async def store(self, topic: str, record: Record) -> StoredAt:
        """Store a record; it is committed when the call returns.

        Raises:
            CallRefusedError: it was not stored: too large, no such topic, or its backlog policy takes nothing now (429
                and 503 say in Retry-After when it will).
        """


class TopicProducer:
    """Stores the bodies of calls, as they are.

    The answer is `{"topic": ..., "partition": ..., "offset": ...}`. A key is put together out of the call's parameters;
    records of one key keep their order.
    """

    takes_body = True
    waits = True

    def __init__(self, settings: TopicBackend, records: Records, clock: Callable[[], float] = time.time) -> None:
        self._topic = settings.topic
        self._key = None if settings.key is None else _template(settings.key)
        self._records = records
        self._clock = clock

    async def answer(self, call: Call) -> Response:
        """Store the body, and say where."""
        check_uncompressed(call.request)
        if not call.body:
            raise CallRefusedError(BAD_REQUEST, "the body is empty; it becomes the record")
        key = None if self._key is None else self._key(call)
        record = Record(key, call.body, int(self._clock() * 1000))
        stored = await self._records.store(self._topic, record)
        answer = {"topic": self._topic, "partition": stored.partition, "offset": stored.offset}
        return Response(200, _JSON_HEADERS, msgspec.json.encode(answer))


def key_parameters(key: str) -> tuple[str, ...]:
    """The parameters that a key is made of."""
    return tuple(_PLACE.findall(key))


def _template(key: str) -> Callable[[Call], bytes]:
    parts = _PLACE.split(key)

    def filled(call: Call) -> bytes:
        return "".join(_text(call, part) if index % 2 else part for index, part in enumerate(parts)).encode()

    return filled


def _text(call: Call, name: str) -> str:
    value: Any = call.parameters.get(name)
    if value is None or value == "":
        raise CallRefusedError(BAD_REQUEST, f"parameter {name} is missing; it is part of the record's key")
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
