"""`/top` of a whole instance: healthy, and with a sink that another program holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

from tests.fakes.house import Tenant, eventually, living, report
from tests.fakes.numbered import SECRET, manifest


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


async def test_parameters_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    """A typing mistake does not pass for an answer."""
    async with living(tmp_path / "data") as tenant:
        assert (await tenant.call("GET", "top?once=1")).status_code == 400
