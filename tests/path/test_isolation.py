"""What crashes takes nobody with it: a poisoned task, a connector that raises anything, the control plane."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from actors.runtime.backoff import Backoff
from actors.runtime.supervisor import Supervisor
from actors.task_runner import task as task_module
from actors.task_runner.mapping import Mapping
from config.resources import Task
from daemon.control import listener as control_listener
from daemon.running import RunningEngine
from tests.fakes.daemon import ChildDaemon
from tests.fakes.house import Device, Tenant, eventually, living
from tests.path.lot import EXAMPLE, FIRST, SECOND, TASK, ParkingLot, report, secret_of

EXAMPLE_TEXT = EXAMPLE.read_text()
POISONED = """---
kind: task
app: city-parking
name: poisoned
source:
  topic: parking-status
  start: earliest
  fields: [{name: deviceId, type: string, path: data.deviceId}]
target: {connection: parking-db, table: Poisoned, create: true, columns: {DeviceId: deviceId}}
"""


async def sensor(tenant: Tenant, name: str) -> Device:
    return await tenant.connect(f"parking-sensor/{name}", secret_of(name))


async def tell(device: Device, name: str, status: str) -> None:
    await device.report(f"parking-sensor/out/{name}", report(name, status).encode())


async def wait_free(tenant: Tenant, lots: int) -> None:
    async def answered() -> bool:
        return await tenant.get("/parking/free") == (200, f'{{"default":[{{"FreeNo":{lots}}}]}}')

    await eventually(answered)


@contextmanager
def poisoned_mapping(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The mapping of the task `poisoned` has a bug that shows with every record."""
    compiled = task_module.compile_mapping

    def crash(*_: object) -> Any:
        raise ZeroDivisionError("a bug in the mapping")

    def compile_mapping(task: Task) -> Mapping:
        made = compiled(task)
        return made._replace(apply=crash) if task.name == "poisoned" else made

    with monkeypatch.context() as patch:
        patch.setattr(task_module, "compile_mapping", compile_mapping)
        yield


async def test_a_poisoned_task_is_parked_and_shown_and_nobody_else_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task whose mapping always crashes is failed with its reason; devices, other tasks and routes go on as before.

    Parked it is tried again with back-off, and without its bug it goes on from where it was.
    """

    async def is_parked() -> bool:
        return (await tenant.status("tasks/poisoned"))["runners"][0]["state"] == "failed"

    async def has_caught_up() -> bool:
        return (await tenant.status("tasks/poisoned"))["lag"] == 0

    async with living(tmp_path) as tenant:
        with poisoned_mapping(monkeypatch):
            await tenant.apply(EXAMPLE_TEXT + POISONED)
            first, second = await sensor(tenant, FIRST), await sensor(tenant, SECOND)
            await tell(first, FIRST, "0")
            await eventually(is_parked)
            shown = await tenant.status("tasks/poisoned")
            assert shown["state"] == "failed"
            assert "a bug in the mapping" in shown["reason"]
            assert shown["lag"] == 1
            await tell(second, SECOND, "0")
            await wait_free(tenant, 2)
            assert (await tenant.status(f"tasks/{TASK}"))["state"] == "running"
            assert await first.is_open()
            assert tenant.house.engine.ready() == (True, "")
        await tenant.apply(POISONED.replace("Poisoned", "Cured"))
        await eventually(has_caught_up)
        shown = await tenant.status("tasks/poisoned")
        assert (shown["state"], shown["reason"], shown["rows"]) == ("running", "", 2)


def test_a_connector_that_raises_anything_stays_alone(folder: Path, tmp_path: Path) -> None:
    """A plugin with a bug in each of its methods fails its own tasks and routes, with the reason, and no others."""
    with ChildDaemon(folder, PYTHONPATH=str(install_plugin(tmp_path / "plugins"))) as daemon:
        lot = ParkingLot(daemon)
        daemon.apply(EXAMPLE_TEXT)
        with daemon.control() as client:
            refused = client.post("/api/v1/apply", content=BROKEN_SINK.encode())
        assert refused.status_code == 422
        assert "connector broken has a fault of its own" in refused.text
        daemon.apply(BROKEN_SINK, allow_unreachable="true")
        lot.tell(lot_000001="0", lot_000002="0")
        shown = daemon.wait_status("tasks/broken", lambda status: status["state"] == "failed")
        assert "a bug in claim" in shown["reason"]
        with daemon.gateway() as client:
            refused = client.get("/broken")
        assert refused.status_code == 500
        assert set(refused.json()) == {"error_code", "error_msg", "request_id"}
        assert "a bug" not in refused.text
        lot.tell(lot_000001="1")
        assert lot.free() == '{"default":[{"FreeNo":1}]}'
        assert daemon.stop() == 0


def install_plugin(folder: Path) -> Path:
    """A folder for sys.path with an installed distribution, whose entry point is a connector full of bugs."""
    distribution = folder / "broken-1.0.dist-info"
    distribution.mkdir(parents=True)
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (distribution / "entry_points.txt").write_text("[penstock.plugins]\nbroken = broken_connector\n")
    (folder / "broken_connector.py").write_text(BROKEN_CONNECTOR)
    return folder


BROKEN_CONNECTOR = """
import msgspec
from plugins.api import ConnectorType

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass

class Broken:
    def __init__(self, settings, host):
        pass

    def __getattr__(self, name):
        async def method(*arguments, **options):
            raise KeyError(f"a bug in {name}")
        if name.startswith("_") or name == "backup_into":
            raise AttributeError(name)
        return method

CONNECTOR = ConnectorType(name="broken", settings=Settings, build=Broken)
"""
BROKEN_SINK = """
kind: connection
app: city-parking
name: broken
connector: broken
settings: {}
---
kind: task
app: city-parking
name: broken
source:
  topic: parking-status
  start: earliest
  fields: [{name: deviceId, type: string, path: data.deviceId}]
target: {connection: broken, table: t, columns: {DeviceId: deviceId}}
---
kind: route
app: city-parking
name: broken
request: {path: /broken}
auth: none
backend: {data: {connection: broken, sql: SELECT 1}}
"""


async def test_a_handler_that_crashes_is_answered_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in one control request costs that request: 500 in the error shape; the next one is served, MQTT goes on."""

    def crash(_engine: RunningEngine) -> Any:
        raise RuntimeError("a bug in a handler")

    async with living(tmp_path) as tenant:
        await tenant.apply(EXAMPLE_TEXT)
        device = await sensor(tenant, FIRST)
        with monkeypatch.context() as patch:
            patch.setattr(RunningEngine, "tree", crash)
            answer = await tenant.call("GET", "tree")
        assert answer.status_code == 500
        assert answer.json()["error_code"] == "APIC.0601"
        assert "a bug" not in answer.text
        assert (await tenant.call("GET", "tree")).status_code == 200
        await tell(device, FIRST, "0")
        assert await device.is_open()


async def test_a_crash_of_the_control_plane_does_not_touch_mqtt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started again, at its old address, as often as it takes; sessions, tasks and routes live on meanwhile."""
    serve, crashes, broken = control_listener.serve, 0, trio.Event()

    async def serve_until_broken(*arguments: Any, **options: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            await serve(*arguments, **options)
            nursery.cancel_scope.cancel()

    async def crash() -> None:
        nonlocal crashes
        await broken.wait()
        crashes += 1
        raise RuntimeError("a bug in the control plane")

    async def answers() -> bool:
        try:
            return (await tenant.call("GET", "status")).json()["ready"] is True
        except httpx.TransportError:
            return False

    monkeypatch.setattr(control_listener, "serve", serve_until_broken)
    async with living(tmp_path) as tenant:
        control = tenant.house.root.child("control")
        assert isinstance(control, Supervisor)
        # More often than any child may fail in a row, without the waits that grow.
        control._backoff = Backoff(maximum=0.1)
        await tenant.apply(EXAMPLE_TEXT)
        address = tenant.house.addresses()["control"]
        device = await sensor(tenant, FIRST)
        broken.set()
        reports = 0
        with trio.fail_after(30):
            while crashes < 8:
                await tell(device, FIRST, "1")
                reports += 1
                await trio.sleep(0.05)
        broken = trio.Event()
        await tell(device, FIRST, "0")
        await wait_free(tenant, 1)
        await eventually(answers)
        assert tenant.house.addresses()["control"] == address
        assert (await tenant.status(f"tasks/{TASK}"))["rows"] == reports + 1
        assert await device.is_open()
