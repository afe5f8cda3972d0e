"""`/top` of a whole instance: healthy, and with a sink that another program holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from actors.wire.mqtt import encode
from tests.fakes.house import Tenant, eventually, living, report
from tests.fakes.numbered import SECRET, manifest
from tests.fakes.plain_http import NO_TLS


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the database for itself."""
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")
    finally:
        database.close()


async def top(tenant: Tenant) -> dict[str, Any]:
    answer = await tenant.call("GET", "top")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def entry(actor: dict[str, Any], *path: str) -> dict[str, Any]:
    for name in path:
        actor = next(child for child in actor["children"] if child["name"] == name)
    return actor


async def test_a_healthy_instance_holds_nothing_back(tmp_path: Path) -> None:
    """With reports coming in and tasks keeping up, no hop is to blame, and rates and mailboxes are there."""
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(manifest(["d0"]))
        device = await tenant.connect("sensor/d0", SECRET)

        async def publish(*, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            for number in range(1, 10_000):
                await device.report("sensor/out/d0", report("d0", number))
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            await nursery.start(publish)
            await trio.sleep(1.0)
            found = [await top(tenant) for _ in range(2)][-1]
            nursery.cancel_scope.cancel()
    assert found["blocking"] == []
    assert ("task every", "connector sink") in {(hop["sender"], hop["receiver"]) for hop in found["hops"]}
    partitions = entry(found["actors"], "chain", "partitions")["children"]
    assert len(partitions) >= 3
    assert sum(one["rates"]["records"] for one in partitions) > 0
    assert all(one["mailbox"]["capacity"] > 0 for one in partitions)
    assert entry(found["actors"], "chain", "listeners", "mqtt")["gauges"]["connections"] == 1


async def test_a_locked_sink_is_the_one_to_blame(tmp_path: Path) -> None:
    """Of the whole path only the hop from the task to its database is to blame, and it says why."""
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(manifest(["d0"]))
        device = await tenant.connect("sensor/d0", SECRET)
        await device.report("sensor/out/d0", report("d0", 1))

        async def caught_up() -> bool:
            return (await tenant.status("tasks/every"))["rows"] == 1

        await eventually(caught_up)
        with locked(tmp_path / "data" / "sink.db"):
            for number in range(2, 30):
                await device.report("sensor/out/d0", report("d0", number))
            found: dict[str, Any] = {}

            async def blocked() -> bool:
                found.update(await top(tenant))
                return len(found["blocking"]) == 2

            await eventually(blocked, 20)
        blamed = {(hop["sender"], hop["receiver"]) for hop in found["blocking"]}
    assert blamed == {("task every", "connector sink"), ("task latest", "connector sink")}
    assert all("locked" in hop["reason"] or "writes" in hop["reason"] for hop in found["blocking"])


SHOP = """
kind: app
name: shop
key: shop
secret: shop-secret
---
kind: product
app: shop
name: till
services: [{name: Sale, properties: [{name: number, type: integer}]}]
---
kind: device
app: shop
product: till
name: t1
secret: till-secret
---
kind: topic
app: shop
name: orders
backlog: {limit: {messages: 3}, action: throttle}
---
kind: rule
app: shop
name: sales
from: {product: till}
to: [{topic: orders}]
"""


async def test_it_is_told_who_waits_at_a_throttled_topic(tmp_path: Path) -> None:
    """Devices and callers over HTTP are nodes of their own, and so is each group of consumers, who are to blame here.

    The session whose report is not acknowledged has a line of its own, and the group has its mailbox.
    """
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(SHOP)
        device = await tenant.connect("till/t1", "till-secret")
        base = f"http://{tenant.house.addresses()['topics']}/v1/topic/orders"
        async with (
            httpx.AsyncClient(verify=NO_TLS, auth=("shop", "shop-secret"), timeout=30) as client,
            trio.open_nursery() as nursery,
        ):
            await client.post(f"{base}/records", content=b'{"content":1}\n' * 10)
            await client.get(f"{base}/group/billing/messages?max_msgs=1")
            found: dict[str, Any] = {}

            async def held(*hops: tuple[str, str]) -> bool:
                found.update(await top(tenant))
                return set(hops) <= {(one["sender"], one["receiver"]) for one in found["hops"] if one["held"] >= 0.5}

            async def produce() -> None:
                await client.post(f"{base}/records", content=b'{"content":11}\n')

            await eventually(lambda: held(("partition orders-0", "group billing")))
            assert not await held(("http producers", "partition orders-0"))
            nursery.start_soon(produce)
            await eventually(lambda: held(("http producers", "partition orders-0")))
            assert not await held(("mqtt sessions", "partition orders-0"))
            await device.stream.send_all(encode.publish("till/out/t1", b'{"number": 1}', qos=1, packet_id=1))
            await eventually(
                lambda: held(("http producers", "partition orders-0"), ("mqtt sessions", "partition orders-0"))
            )
            nursery.cancel_scope.cancel()
    assert [(one["sender"], one["receiver"]) for one in found["blocking"]] == [
        ("group billing", "consumers of billing")
    ]
    (session,) = entry(found["actors"], "chain", "listeners", "mqtt")["children"]
    assert session["name"] == "session till/t1 (t1)"
    assert session["gauges"]["unacknowledged bytes"] > 0
    group = entry(found["actors"], "chain", "consumers", "billing")
    assert group["mailbox"]["capacity"] == 1024
    assert group["gauges"]["in hand"] == 1


async def test_parameters_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    """A typing mistake does not pass for an answer."""
    async with living(tmp_path / "data") as tenant:
        assert (await tenant.call("GET", "top?once=1")).status_code == 400
