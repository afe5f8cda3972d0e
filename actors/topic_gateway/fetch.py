"""Calls of readers who keep their own offsets: NDJSON from a partition, from an offset on."""

from __future__ import annotations

from functools import partial

import trio

from actors.errors import ActorGone, DamagedLogError, OffsetOutOfRangeError, PenstockError
from actors.http_calls.errors import CallRefusedError
from actors.records import StoredRecord
from actors.topic_gateway.access import shown_to
from actors.topic_gateway.encodings import accepted_encoding, compress
from actors.topic_gateway.errors import DAMAGED, OUT_OF_RANGE, UNAVAILABLE, retry_after_header, unknown
from actors.topic_gateway.ndjson import encode
from actors.topic_gateway.requests import Read, read
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import Topics
from actors.wire.http.messages import HeaderFields, Request, Response
from config.resources import Topic

# What is turned into lines before others get a turn: about a millisecond's worth.
_SLICE_RECORDS = 1000
# Below this compressing costs less than a thread.
_SMALL_BYTES = 16 * 1024


class FetchCalls:
    """Answers `GET .../records`."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._threads = trio.CapacityLimiter(2)

    async def read(self, request: Request, topic: Topic, app: str) -> Response:
        """Whole batches from an offset on, about `max_bytes` of them; where to go on is in `X-Next-Offset`.

        Raises:
            CallRefusedError: 404 no such partition, 416 the offset is not there, 500 the log is damaged there.
        """
        asked = read(request.query)
        partition = self._partition(topic, asked.partition)
        try:
            offset = _offset(partition, asked)
            if asked.time_wait and partition.high_watermark <= offset:
                with trio.move_on_after(asked.time_wait):
                    await partition.wait_appended(offset)
            fetched = await partition.fetch(offset, asked.max_bytes)
            records = fetched.records()
        except PenstockError as error:
            raise _refusal(error) from error
        body = await self._encoded(asked.partition, records, topic, app)
        encoding = accepted_encoding(request.header("accept-encoding"))
        headers: HeaderFields = (
            ("Content-Type", "application/x-ndjson"),
            ("X-Next-Offset", str(fetched.next_offset)),
            ("X-High-Watermark", str(fetched.high_watermark)),
            ("Vary", "Accept-Encoding"),
        )
        if encoding != "identity" and body:
            headers = (*headers, ("Content-Encoding", encoding))
            work = partial(compress, body, encoding)
            body = work() if len(body) < _SMALL_BYTES else await trio.to_thread.run_sync(work, limiter=self._threads)
        return Response(200, headers, body)

    async def _encoded(self, number: int, records: list[StoredRecord], topic: Topic, app: str) -> bytes:
        shown = shown_to(app, topic)
        pieces = []
        for start in range(0, len(records), _SLICE_RECORDS):
            pieces.append(encode(number, records[start : start + _SLICE_RECORDS], shown))
            await trio.lowlevel.checkpoint()
        return b"".join(pieces)

    def _partition(self, topic: Topic, number: int) -> PartitionReference:
        reference = self._topics.get(topic.name)
        if reference is None or number >= len(reference.partitions):
            count = len(reference.partitions) if reference is not None else 0
            raise unknown(f"topic {topic.name} has no partition {number}: it has {count}, numbered from 0")
        return reference.partitions[number]


def _offset(partition: PartitionReference, asked: Read) -> int:
    match asked.offset:
        case "earliest":
            return partition.start_offset
        case "latest":
            return partition.high_watermark
        case offset:
            return offset


def _refusal(error: PenstockError) -> CallRefusedError:
    if isinstance(error, OffsetOutOfRangeError):
        return CallRefusedError(OUT_OF_RANGE, str(error), (("X-Start-Offset", str(error.start)),))
    if isinstance(error, DamagedLogError):
        # Its text names a file of this machine.
        detail = f"the log is damaged here; it can be read again from offset {error.resume}"
        return CallRefusedError(DAMAGED, detail, (("X-Resume-Offset", str(error.resume)),))
    detail = "" if isinstance(error, ActorGone) else "its storage does not answer"
    return CallRefusedError(UNAVAILABLE, detail, retry_after_header(1))
