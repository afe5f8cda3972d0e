"""What fails in the tree is started anew with what was built on it; what it was told meanwhile is not forgotten."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from actors.runtime.child import ChildState
from config.resources.identity import Identity
from tests.fakes.house import Tenant, eventually, living, report
from tests.fakes.numbered import SECRET, manifest

ENTRIES = ["connectors", "partitions", "groups", "backlog", "tasks", "consumers", "listeners"]


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    async with living(tmp_path) as one:
        await one.apply(manifest(["a"]))
        yield one


async def crash(tenant: Tenant, entry: str) -> None:
    """Let something go wrong in an entry of the chain itself, and wait until the tree has noticed."""

    async def fail() -> None:
        raise RuntimeError(f"{entry} went wrong")

    nursery = tenant.entry(entry)._nursery
    assert nursery is not None
    nursery.start_soon(fail)
    with trio.fail_after(5):
        while tenant.house.engine.ready()[0]:  # noqa: ASYNC110 - a status has no event
            await trio.sleep(0.001)


async def is_ready(tenant: Tenant) -> bool:
    return tenant.house.engine.ready()[0]


@pytest.mark.parametrize("entry", ENTRIES)
async def test_an_entry_that_fails_comes_back_with_those_behind_it(tenant: Tenant, tmp_path: Path, entry: str) -> None:
    """After a crash of any entry the instance serves at the same addresses, and a report still becomes a row."""
    device = await tenant.connect("sensor/a", SECRET)
    await device.report("sensor/out/a", report("a", 1))
    addresses = dict(tenant.house.addresses())
    await crash(tenant, entry)
    await eventually(lambda: is_ready(tenant))
    assert tenant.house.addresses() == addresses
    device = await tenant.connect("sensor/a", SECRET, "again")
    await device.report("sensor/out/a", report("a", 2))
    await eventually(lambda: _rows(tmp_path, [(1,), (2,)]))
    chain = next(child for child in tenant.house.engine.tree()["children"] if child["name"] == "chain")
    restarts = {child["name"]: child["restarts"] for child in chain["children"]}
    failed = ENTRIES.index(entry)
    assert [restarts[name] for name in ENTRIES] == [0] * failed + [1] * (len(ENTRIES) - failed)


async def _rows(data: Path, expected: list[tuple[int]]) -> bool:
    database = sqlite3.connect(data / "sink.db")
    try:
        return database.execute('SELECT seq FROM "every" ORDER BY seq').fetchall() == expected
    finally:
        database.close()


async def test_what_is_applied_while_an_entry_is_down_is_there_when_it_comes_back(tenant: Tenant) -> None:
    """Changes that find a part of the tree gone are stored, and followed by its next life."""
    await crash(tenant, "connectors")
    topic = "kind: topic\napp: house\nname: late\npartitions: 2\n"
    sink = "kind: connection\napp: house\nname: late\nconnector: sqlite\nsettings: {path: late.db}\n"
    assert await tenant.apply(f"{topic}---\n{sink}") == []
    await eventually(lambda: is_ready(tenant))
    assert (await tenant.status("topics/late"))["state"] == "running"
    assert len((await tenant.status("topics/late"))["partitions"]) == 2
    assert (await tenant.status("connections/late"))["state"] == "ready"
    await tenant.apply(topic.replace("2", "3"))
    assert (await tenant.status("topics/late"))["state"] == "running"


async def test_a_daemon_that_drains_is_not_ready(tenant: Tenant) -> None:
    """From the moment of the stop on, nobody is sent here any more; who asks is told why."""
    assert tenant.house.engine.ready() == (True, "")
    tenant.house.root.stop()
    await eventually(lambda: _is_unready(tenant), seconds=2)
    assert "stop" in tenant.house.engine.ready()[1]


async def _is_unready(tenant: Tenant) -> bool:
    return not await is_ready(tenant)


async def test_a_parked_resource_does_not_make_the_instance_unready(tenant: Tenant) -> None:
    """A connection that cannot be built is shown as failed; devices and callers are served all the same."""
    text = "kind: connection\napp: house\nname: bad\nconnector: sqlite\nsettings: {path: good.db}\n"
    await tenant.apply(text)
    connections = tenant.house.engine._connections
    await tenant.entry("connectors").remove("bad")

    def broken(*_: object) -> object:
        raise RuntimeError("a library is missing")

    connections._build = broken  # type: ignore[method-assign]
    await tenant.entry("connectors").add(connections._spec("bad"))
    assert tenant.house.engine.ready() == (True, "")
    status = await tenant.status("connections/bad")
    assert status == {"state": "failed", "reason": "RuntimeError: a library is missing"}


async def test_statuses_outlive_the_house(tmp_path: Path) -> None:
    """A device that was drained is offline since then after the restart; its counts and rejections go on."""
    async with living(tmp_path) as tenant:
        await tenant.apply(manifest(["a"]))
        device = await tenant.connect("sensor/a", SECRET)
        await device.report("sensor/out/a", report("a", 1))
        await device.report("sensor/out/a", b'{"deviceId": 5}')
    async with living(tmp_path) as tenant:
        status = await tenant.status("devices/sensor/a")
        assert (status["state"], status["reports"], status["rejected"]) == ("offline", 2, 1)
        assert status["since"] >= status["last_report"]
        assert "deviceId" in status["rejected_reports"][0]["reason"]
        assert status["rejected_reports"][0]["topic"] == "sensor/out/a"


async def test_who_an_instance_is_outlives_the_house(tmp_path: Path) -> None:
    """Over a restart the instance keeps its id and its resources, so that applying them again changes nothing."""
    seen = []
    for _ in range(2):
        async with living(tmp_path) as tenant:
            answer = await tenant.call("POST", "apply", content=manifest(["a"]).encode())
            status = (await tenant.call("GET", "status")).json()
            seen.append((status["instance"], status["resources"], {one["result"] for one in answer.json()["results"]}))
    assert seen[0][:2] == seen[1][:2]
    assert (seen[0][2], seen[1][2]) == ({"created"}, {"unchanged"})


async def test_a_sink_that_is_down_does_not_hold_up_the_drain(tenant: Tenant) -> None:
    """A task that waits for its sink lets go at once: nothing of it is lost, it goes on at the next start."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    sink = f"settings: {{host: 127.0.0.1, port: {port}, database: d, user: u, password: p}}"
    text = manifest(["a"], f"connector: postgres\n{sink}")
    answer = await tenant.call("POST", "apply?allow_unreachable=true", content=text.encode())
    assert answer.status_code == 200, answer.text
    device = await tenant.connect("sensor/a", SECRET)
    await device.report("sensor/out/a", report("a", 1))
    await eventually(lambda: _is_holding(tenant))
    tenant.house.root.stop()
    began = trio.current_time()
    await eventually(lambda: _has_ended(tenant))
    assert trio.current_time() - began < 3


async def _is_holding(tenant: Tenant) -> bool:
    return bool(tenant.house.engine.status(Identity("task", "every"))["holding"])


async def _has_ended(tenant: Tenant) -> bool:
    return all(child.state is ChildState.STOPPED for child in tenant.house.root.children())
