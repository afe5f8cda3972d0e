"""Backend `topic`: bodies become records of real producing, whose refusals are the caller's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.errors import CircuitOpenError, StorageError
from actors.gateway_route.backends.topic import TopicProducer
from actors.gateway_route.call import Call
from actors.http_calls.errors import CallRefusedError
from actors.topic_partition.gate import GateState
from actors.topic_partition.topic import TopicReference, Topics
from actors.wire.http.messages import Request
from config.resources import TopicBackend
from config.settings import TopicGatewaySettings
from daemon.stages.records import RouteRecords
from tests.actors.task_runner.world import FakePartition


class World:
    """Topic `t` of two partitions in memory."""

    def __init__(self) -> None:
        self.topics = Topics()
        self.partitions = [FakePartition(), FakePartition()]
        self.topic = TopicReference("t", 2, 100)
        self.topic.partitions[:] = self.partitions  # type: ignore[assignment]
        self.topics.add(self.topic)

    def backend(self, key: str | None = None, topic: str = "t") -> TopicProducer:
        records = RouteRecords(self.topics, TopicGatewaySettings(publish_wait=0.1))
        return TopicProducer(TopicBackend(topic=topic, key=key), records, clock=lambda: 5.0)


def call(body: bytes, **parameters: Any) -> Call:
    return Call(Request("POST", "/x"), body=body, parameters=parameters)


async def test_a_body_is_stored_as_it_is() -> None:
    """With the time of the call, under the key that its parameters make; the answer says where."""
    world = World()
    backend = world.backend("{kind}/{id}")
    answer = await backend.answer(call(b"\x00 {", kind="lot", id=5))
    where = msgspec.json.decode(answer.body)
    assert where == {"topic": "t", "partition": world.topic.partition_for(b"lot/5"), "offset": 0}
    (stored,) = world.partitions[where["partition"]].stored
    assert (stored.key, stored.value, stored.timestamp) == (b"lot/5", b"\x00 {", 5000)


@pytest.mark.parametrize("parameters", [{}, {"id": None}, {"id": ""}])
async def test_a_key_without_its_parameter_is_refused(parameters: dict[str, Any]) -> None:
    """It would put strangers' records into one order."""
    with pytest.raises(CallRefusedError, match="parameter id is missing"):
        await World().backend("{id}").answer(call(b"x", **parameters))


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [
        (CircuitOpenError("topic t: group g lags", retry_after=7.2, reason="group g lags"), 503, "8"),
        (StorageError("/data/t-0: disk full"), 503, "1"),
    ],
)
async def test_what_the_topic_refuses_is_refused_with_a_time(fault: Exception, status: int, retry_after: str) -> None:
    """The circuit's own time where it has one; nothing of the disk is told."""
    world = World()
    for partition in world.partitions:
        partition.append_fault = fault
    with pytest.raises(CallRefusedError) as refused:
        await world.backend().answer(call(b"x"))
    assert refused.value.error.status == status
    assert dict(refused.value.headers)["Retry-After"] == retry_after
    assert refused.value.detail == ""


async def test_a_compressed_body_is_no_record() -> None:
    """What its bytes mean would be lost: 415, and nothing is stored."""
    world = World()
    coded = call(b"x")
    coded.request.headers.append(("content-encoding", "gzip"))
    with pytest.raises(CallRefusedError) as refused:
        await world.backend().answer(coded)
    assert refused.value.error.status == 415


async def test_a_throttled_topic_is_waited_for_and_then_refused() -> None:
    """429 and when to come back."""
    world = World()
    world.topic.gate.set(GateState.THROTTLED, retry_after=3.0)
    with pytest.raises(CallRefusedError) as refused:
        await world.backend().answer(call(b"x"))
    assert (refused.value.error.status, refused.value.error.code) == (429, "APIC.0308")
    assert dict(refused.value.headers)["Retry-After"] == "3"


async def test_too_large_and_unknown() -> None:
    """413 for what the topic does not take; a topic that is gone is no mistake of the caller's."""
    with pytest.raises(CallRefusedError) as refused:
        await World().backend().answer(call(b"x" * 101))
    assert refused.value.error.status == 413
    with pytest.raises(CallRefusedError) as refused:
        await World().backend(topic="nowhere").answer(call(b"x"))
    assert (refused.value.error.status, refused.value.error.code) == (500, "APIC.0103")
