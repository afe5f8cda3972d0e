"""Rules whose condition a function decides: what is stored, what is acknowledged when, and what waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.device_session.broker import Broker, open_broker
from actors.device_session.intake.conditions import rule_names
from actors.directory.directory import Directory
from actors.errors import FunctionBusyError, FunctionLostError, FunctionMissingError
from actors.wire.mqtt import encode
from config.resources import RuleCondition
from config.settings import MqttSettings
from tests.actors.device_session.conftest import (
    GOOD,
    Clients,
    FakePartition,
    FakeTopic,
    FakeTopics,
    digest,
    fill,
    forward_rule,
    partition,
    publish,
)
from tests.fakes.functions import FakeFunctions

PUBREC_7, PUBREC_8 = b"\x50\x02\x00\x07", b"\x50\x02\x00\x08"
FREE, TAKEN = b'{"status":"0"}', b'{"status":"1"}'


def is_taken(item: Any) -> bool:
    return item["data"]["status"] == "1"


@dataclass
class World:
    functions: FakeFunctions
    broker: Broker
    clients: Clients

    @property
    def reports(self) -> FakePartition:
        return partition(self.broker)


@asynccontextmanager
async def deciding(function: Any, on_error: str = "drop", **more: Any) -> AsyncIterator[World]:
    """A broker whose one rule takes what the function says."""
    functions = FakeFunctions(f=function)
    broker = open_broker(MqttSettings(), fill(Directory(digest)), FakeTopics(), functions=functions)
    condition = RuleCondition(function="f", on_error=on_error)
    broker.directory.put_rule(msgspec.structs.replace(forward_rule(), condition=condition, **more))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: broker.conditions.run(task_status.started))
        async with trio.open_nursery() as inner:
            yield World(functions, broker, Clients(inner))
            inner.cancel_scope.cancel()
        broker.conditions.stop()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_only_what_the_function_takes_is_stored_and_all_of_it_is_acknowledged() -> None:
    """In the order of the packets; of one read the function is asked once."""
    async with deciding(is_taken) as world:
        client = await world.clients.device(world.broker)
        sent = [publish(number, TAKEN if number % 2 else FREE) for number in range(1, 5)]
        assert await client.ask(*sent) == encode.pubacks([1, 2, 3, 4])
        assert world.reports.values == [TAKEN, TAKEN]
        assert world.reports.appends[0].size == 2 * (len(TAKEN) + len("lot-1"))
        assert world.functions.batches == [4]
        counters = world.broker.counters
        assert (counters.records, counters.dropped_by_condition) == (2, 2)
        assert world.broker.conditions.statistics("forward")[:3] == (2, 2, 0)


async def test_the_function_gets_the_report_as_the_device_sent_it() -> None:
    """With product, device, topic and time, whatever the rule makes of it; it is called as the rule's app."""
    async with deciding(lambda _item: True, include_device=True, base64=True) as world:
        client = await world.clients.device(world.broker)
        await client.ask(publish(1, TAKEN))
        ((_, item, app),) = world.functions.calls
        assert app == "city"
        assert world.functions.callers == {"rule forward"}
        assert item.pop("time") > 1_700_000_000_000
        assert item == {"product": "sensor", "device": "lot-1", "topic": "sensor/out/lot-1", "data": {"status": "1"}}
        (value,) = world.reports.values
        assert b'"device":{' in (value or b"")


async def test_nothing_is_acknowledged_before_it_is_decided_and_stored() -> None:
    """[MQTT-4.6.0-2] What comes later waits for it, though it needs no decision."""
    gate = trio.Event()

    async def later(item: Any) -> bool:
        await gate.wait()
        return is_taken(item)

    async with deciding(later) as world:
        topics = world.broker.topics
        assert isinstance(topics, FakeTopics)
        topics.topics["plain"] = FakeTopic()
        client = await world.clients.device(world.broker)
        world.reports.answers_at_once = False
        assert await client.ask(publish(1, TAKEN)) == b""
        world.broker.directory.put_rule(forward_rule("forward", "plain"))
        assert await client.ask(publish(2, FREE)) == b""
        assert partition(world.broker, "plain").values == [FREE]
        assert world.reports.values == []
        gate.set()
        assert await client.received() == b""
        assert world.reports.values == [TAKEN]
        world.reports.answer()
        assert await client.received() == encode.pubacks([1, 2])


async def test_reports_of_many_sessions_are_decided_together_in_their_order() -> None:
    """While one call runs others gather; each device's reports stay in order."""
    gate = trio.Event()

    async def later(_item: Any) -> bool:
        await gate.wait()
        return True

    async with deciding(later) as world:
        clients = [await world.clients.device(world.broker, number) for number in (1, 2, 3)]
        await clients[0].ask(publish(1, FREE))
        for which, client in enumerate(clients, 1):
            await client.send(*(publish(number, TAKEN, f"sensor/out/lot-{which}") for number in range(2, 6)))
        await clients[0].settle()
        assert world.broker.conditions.waiting == 13
        gate.set()
        await clients[0].settle()
        assert world.functions.batches == [1, 12]
        assert world.reports.values == [FREE] + [TAKEN] * 12


async def test_records_of_two_rules_for_one_partition_are_decided_each_for_itself() -> None:
    """One without a condition is stored whatever the other's function says."""
    async with deciding(is_taken) as world:
        world.broker.directory.put_rule(forward_rule("also"))
        client = await world.clients.device(world.broker)
        assert await client.ask(publish(1, FREE), publish(2, TAKEN)) == encode.pubacks([1, 2])
        assert sorted(map(bytes, filter(None, world.reports.values))) == [FREE, TAKEN, TAKEN]
        assert len(world.reports.appends) == 1


async def test_a_message_of_qos_2_is_decided_once() -> None:
    """One that is repeated waits for the first decision, and one that is dropped is received all the same."""
    async with deciding(is_taken) as world:
        client = await world.clients.device(world.broker)
        sent = publish(7, FREE, qos=2)
        assert await client.ask(sent) == PUBREC_7
        assert await client.ask(publish(7, FREE, qos=2, dup=True)) == PUBREC_7
        assert len(world.functions.calls) == 1
        assert await client.ask(publish(8, TAKEN, qos=2)) == PUBREC_8
        assert world.reports.values == [TAKEN]


@pytest.mark.parametrize(("on_error", "stored"), [("drop", [TAKEN]), ("take", [TAKEN, FREE, FREE])])
async def test_a_report_for_which_the_function_fails_is_dropped_or_taken_as_the_rule_says(
    on_error: str, stored: list[bytes]
) -> None:
    """Acknowledged, counted and told in the log; others of the same call are as they are."""

    def answers(item: Any) -> Any:
        if item["data"]["status"] == "1":
            return True
        if len(world.functions.calls) % 2:
            raise ValueError("no")
        return "yes"

    async with deciding(answers, on_error) as world:
        client = await world.clients.device(world.broker)
        with structlog.testing.capture_logs() as logs:
            answer = await client.ask(publish(1, TAKEN), publish(2, FREE), publish(3, FREE))
        assert answer == encode.pubacks([1, 2, 3])
        assert world.reports.values == stored
        assert world.broker.counters.failed_conditions == 2
        statistics = world.broker.conditions.statistics("forward")
        last = statistics.last_failure
        assert last is not None
        assert (statistics.failed, last.times, last.function, last.reason) == (2, 2, "f", "ValueError: no")
        assert {one["reason"] for one in logs if one["event"] == "A rule's condition failed"} == {
            "ValueError: no",
            "it answers neither true nor false",
        }


async def test_reports_wait_while_the_function_cannot_be_called(autojump_clock: MockClock) -> None:
    """Unacknowledged and in their order; the rule says why, and goes on once it can."""
    async with deciding(is_taken) as world:
        world.functions.shut["f"] = FunctionMissingError("f", 0, "it is not deployed")
        client = await world.clients.device(world.broker)
        await client.send(publish(1, TAKEN))
        await trio.sleep(20)
        assert client.buffer == b""
        assert "not deployed" in world.broker.conditions.statistics("forward").holding
        world.functions.shut.clear()
        await trio.sleep(6)
        assert client.buffer == encode.pubacks([1])
        assert world.broker.conditions.statistics("forward").holding == ""
        assert world.reports.values == [TAKEN]


async def test_the_rule_says_so_while_a_part_of_a_batch_waits_for_its_function(autojump_clock: MockClock) -> None:
    """Also where only what is called again waits, after a call that was lost: with the function, and why."""
    async with deciding(is_taken) as world:
        client = await world.clients.device(world.broker)
        world.functions.shut["f"] = FunctionLostError("f", 1, "its process ended under it")
        with structlog.testing.capture_logs() as logs:
            await client.send(publish(1, TAKEN))
            await trio.sleep(0.05)
            world.functions.shut["f"] = FunctionBusyError("f", 1, "it is refused for another 2 s")
            await trio.sleep(20)
        holding = world.broker.conditions.statistics("forward").holding
        assert holding == "function f version 1: it is refused for another 2 s"
        (told,) = [one for one in logs if one["event"] == "Reports wait for a rule's condition"]
        assert told["reason"] == "function f version 1: its process ended under it"
        world.functions.shut.clear()
        await trio.sleep(3)
        assert client.buffer == encode.pubacks([1])
        assert world.broker.conditions.statistics("forward").holding == ""


async def test_a_report_that_crashes_the_function_ends_as_one_for_which_it_fails(autojump_clock: MockClock) -> None:
    """It holds up nobody for ever: it is dropped or taken as the rule says, and those beside it are decided."""

    def crashes(item: Any) -> bool:
        if item["data"]["status"] == "1":
            return True
        raise FunctionLostError("f", 1, "its process ended under it")

    async with deciding(crashes) as world:
        client = await world.clients.device(world.broker)
        await client.send(publish(1, TAKEN), publish(2, FREE), publish(3, TAKEN))
        await trio.sleep(20)
        assert client.buffer == encode.pubacks([1, 2, 3])
        assert world.reports.values == [TAKEN, TAKEN]
        assert world.broker.conditions.statistics("forward").failed == 1


async def test_a_session_reads_no_more_than_it_may_have_outstanding(autojump_clock: MockClock) -> None:
    """What waits for a decision is bounded as what waits for a disk is."""

    async def never(_item: Any) -> bool:
        await trio.sleep_forever()
        return True

    async with deciding(never) as world:
        client = await world.clients.device(world.broker)
        large = b'{"status":"0","x":"' + b"x" * 1000 + b'"}'
        with trio.move_on_after(10):
            for number in range(1, 2000):
                await client.send(publish(number, large))
        assert world.broker.conditions.waiting * 1000 < 2 * world.broker.settings.inflight_bytes
        assert world.broker.counters.pauses > 0


async def test_what_was_not_decided_at_the_end_is_not_acknowledged() -> None:
    """The session is closed, and its device sends again."""

    async def never(_item: Any) -> bool:
        await trio.sleep_forever()
        return True

    functions = FakeFunctions(f=never)
    broker = open_broker(MqttSettings(), fill(Directory(digest)), FakeTopics(), functions=functions)
    broker.directory.put_rule(msgspec.structs.replace(forward_rule(), condition=RuleCondition(function="f")))
    async with trio.open_nursery() as nursery:
        clients = Clients(nursery)
        async with trio.open_nursery() as inner:
            await inner.start(lambda task_status: broker.conditions.run(task_status.started))
            client = await clients.device(broker)
            assert await client.ask(publish(1, GOOD)) == b""
            inner.cancel_scope.cancel()
        assert await client.received() == b""
        assert await client.is_closed()
        assert broker.conditions.waiting == 0
        other = await clients.device(broker, 2)
        assert await other.ask(publish(1, GOOD, "sensor/out/lot-2")) == b""
        assert await other.is_closed()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("rules", "named"),
    [("b", "rule b"), ("cab", "rule a, b, c"), ("edcba", "rule a, b, c and 2 more")],
)
def test_a_call_for_several_rules_names_a_few(rules: str, named: str) -> None:
    """However many rules ask one function, what is told of a call is short, and the same for the same rules."""
    assert rule_names(set(rules)) == named
