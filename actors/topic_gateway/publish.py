"""Calls of producers: at most ten messages answered one by one, or a bulk answered by offsets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import trio

from actors.http_calls.errors import CallRefusedError
from actors.records import ID_HEADER, TAGS_HEADER, Header, Record
from actors.topic_gateway.encodings import content_encoding, decompress
from actors.topic_gateway.errors import PartlyStoredError, bad
from actors.topic_gateway.ndjson import decode, slices
from actors.topic_gateway.producing import NotStored, Numbering, Outcome, Producing, Stored, with_random_suffix
from actors.topic_gateway.requests import Line, Message, produce, random_suffix, sequence
from actors.wire.http.messages import Request, Response
from config.resources import Topic

JSON = (("Content-Type", "application/json"),)

_ENCODER = msgspec.json.Encoder()


class Run(msgspec.Struct, frozen=True):
    """So many records of a request, from the one at `index` on, that lie next to one another in a partition."""

    index: int
    partition: int
    offset: int
    count: int


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one message."""

    state: str
    id: str
    error_code: str | None = None
    error_msg: str | None = None


class Publish:
    """Answers producers; `max_bytes` bounds a bulk, decompressed."""

    def __init__(self, producing: Producing, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._producing = producing
        self._max_bytes = max_bytes
        self._clock = clock
        # Decompressing takes long enough for others to notice; two at a time leave the rest of the machine to them.
        self._threads = trio.CapacityLimiter(2)

    async def messages(self, request: Request, topic: Topic, app: str) -> Response:
        """`POST .../messages`: one answer for each message, after the commit.

        Raises:
            CallRefusedError: none was stored.
        """
        suffixed, numbering = random_suffix(request.query), _numbering(request, app)
        messages = produce(await self._body(request))
        outcomes = await self._producing.store(topic.name, self._records(messages, suffixed=suffixed), numbering)
        refused: list[CallRefusedError | None] = [None] * len(messages)
        for outcome in outcomes:
            if isinstance(outcome, NotStored):
                for index in outcome.indexes:
                    refused[index] = outcome.reason
        if all(refused) and refused[0] is not None:
            raise refused[0]
        told = [_told(message, reason) for message, reason in zip(messages, refused, strict=True)]
        return Response(200, JSON, _ENCODER.encode(told))

    async def records(self, request: Request, topic: Topic, app: str) -> Response:
        """`POST .../records`: all records of an NDJSON bulk, answered with their offsets after the commit.

        Where a partition refuses, others may have stored theirs: the answer is that error, and says which.

        Raises:
            CallRefusedError: none was stored.
        """
        suffixed, numbering = random_suffix(request.query), _numbering(request, app)
        body = await self._body(request)
        records: list[Record] = []
        for start, end in slices(body):
            lines = decode(body if end - start == len(body) else body[start:end], len(records))
            records += self._records(lines, suffixed=suffixed)
            await trio.lowlevel.checkpoint()
        if not records:
            raise bad("the body has no records")
        outcomes = await self._producing.store(topic.name, records, numbering, whole=True)
        return _bulk_answer(outcomes)

    async def _body(self, request: Request) -> bytes:
        encoding = content_encoding(request.header("content-encoding"))
        body = await request.read()
        work = partial(decompress, body, encoding, self._max_bytes)
        return work() if encoding == "identity" else await trio.to_thread.run_sync(work, limiter=self._threads)

    def _records(self, lines: Sequence[Line] | Sequence[Message], *, suffixed: bool) -> list[Record]:
        now = int(self._clock() * 1000)
        return [
            Record(
                None if line.key is None else _key(line.key, suffixed=suffixed),
                bytes(line.content),
                now,
                _headers(line) if line.id is not None or line.tags is not None else (),
            )
            for line in lines
        ]


def _numbering(request: Request, app: str) -> Numbering | None:
    # Producers of two apps may have the same name without being the same.
    given = sequence(request)
    return None if given is None else Numbering(f"{app}/{given.producer}", given.first)


def _key(text: str, *, suffixed: bool) -> bytes:
    key = text.encode()
    return with_random_suffix(key) if suffixed else key


def _headers(line: Line | Message) -> tuple[Header, ...]:
    named = ((ID_HEADER, line.id), (TAGS_HEADER, line.tags))
    return tuple((name, value.encode()) for name, value in named if value is not None)


def _told(message: Message, refused: CallRefusedError | None) -> Told:
    if refused is None:
        return Told("success", message.id)
    return Told("fail", message.id, refused.error.code, refused.detail or refused.error.message)


def _bulk_answer(outcomes: Sequence[Outcome]) -> Response:
    stored = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
    refused = next((outcome.reason for outcome in outcomes if isinstance(outcome, NotStored)), None)
    if refused is not None and not stored:
        raise refused
    duplicates = sum(len(outcome.indexes) for outcome in stored if outcome.duplicate)
    answer = {
        "records": sum(len(outcome.indexes) for outcome in stored),
        "duplicates": duplicates,
        "offsets": _runs(stored),
    }
    if refused is None:
        return Response(200, JSON, _ENCODER.encode(answer))
    raise PartlyStoredError(refused, answer)


def _runs(stored: Sequence[Stored]) -> list[Run]:
    """Where the records are, in the order of the request."""
    if len(stored) == 1 and isinstance(stored[0].indexes, range):
        one = stored[0]
        return [Run(one.indexes[0], one.partition, one.offset, len(one.indexes))]
    places = sorted(
        (index, outcome.partition, offset)
        for outcome in stored
        for offset, index in enumerate(outcome.indexes, outcome.offset)
    )
    runs: list[Run] = []
    first = previous = places[0]
    for place in places[1:]:
        if place != (previous[0] + 1, previous[1], previous[2] + 1):
            runs.append(Run(*first, previous[0] + 1 - first[0]))
            first = place
        previous = place
    runs.append(Run(*first, previous[0] + 1 - first[0]))
    return runs
