"""What crashes takes nobody with it: a poisoned task, a connector that raises anything, the control plane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
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
from config.settings import ControlSettings, GatewaySettings, Listener, MqttSettings, Settings
from daemon.control import listener as control_listener
from daemon.house import House, opened
from daemon.running import RunningEngine
from daemon.settings_in_force import SettingsInForce
from tests.fakes.daemon import ChildDaemon
from tests.path.client import MqttClient
from tests.path.lot import EXAMPLE, FIRST, SECOND, TASK, ParkingLot, report, secret_of

FREE_PORT = Listener(port=0)
SETTINGS = Settings(
    mqtt=MqttSettings(listen=FREE_PORT),
    gateway=GatewaySettings(listen=FREE_PORT),
    control=ControlSettings(listen=FREE_PORT),
)
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


class Tenant:
    """A house that runs in this very process, and what clients ask of it from other threads."""

    def __init__(self, house: House) -> None:
        self.house = house

    def sensor(self, name: str = FIRST) -> MqttClient:
        host, _, port = self.house.addresses()["mqtt"].rpartition(":")
        return MqttClient((host, int(port)), f"parking-sensor/{name}", secret_of(name))

    def ask(self, path: str) -> httpx.Response:
        """GET of the control API; raises where nobody answers."""
        headers = {"Authorization": f"Bearer {self.house.token}"}
        return httpx.get(f"http://{self.house.addresses()['control']}/api/v1/{path}", headers=headers, timeout=5)

    def apply(self, text: str) -> None:
        headers = {"Authorization": f"Bearer {self.house.token}"}
        url = f"http://{self.house.addresses()['control']}/api/v1/apply"
        answer = httpx.post(url, content=text.encode(), headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text

    def free(self) -> str:
        return httpx.get(f"http://{self.house.addresses()['gateway']}/parking/free", timeout=10).text


@asynccontextmanager
async def living(data: Path) -> AsyncIterator[Tenant]:
    async with opened(SettingsInForce(SETTINGS), data) as house, trio.open_nursery() as nursery:
        await nursery.start(_run, house)
        yield Tenant(house)
        house.root.stop()


async def _run(house: House, *, task_status: trio.TaskStatus[None]) -> None:
    await house.root.run(task_status.started)


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    return await trio.to_thread.run_sync(partial(work, *arguments))


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for what the house does by itself."""
    with trio.fail_after(seconds):
        while not await in_thread(condition):  # noqa: ASYNC110 - it happens in a house that tells no test
            await trio.sleep(0.05)


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

    It is tried again with back-off, and started anew it goes on from where it was once the bug is gone.
    """
    async with living(tmp_path) as tenant:

        def go_on(status: str) -> None:
            with tenant.sensor(SECOND) as other:
                other.report(f"parking-sensor/out/{SECOND}", report(SECOND, status))

        def state(name: str) -> dict[str, Any]:
            return tenant.ask(f"tasks/{name}").json()["status"]

        with poisoned_mapping(monkeypatch):
            await in_thread(tenant.apply, EXAMPLE_TEXT + POISONED)
            with await in_thread(tenant.sensor().__enter__) as sensor:
                await in_thread(sensor.report, f"parking-sensor/out/{FIRST}", report(FIRST, "0"))
                await until(lambda: state("poisoned")["runners"][0]["state"] == "failed")
                shown = await in_thread(state, "poisoned")
                assert shown["state"] == "failed"
                assert "a bug in the mapping" in shown["reason"]
                assert shown["lag"] == 1
                await in_thread(go_on, "0")
                await until(lambda: tenant.free() == '{"default":[{"FreeNo":2}]}')
                assert (await in_thread(state, TASK))["state"] == "running"
                assert sensor.disconnects == []
                assert (await in_thread(tenant.ask, "status")).json()["ready"]
        await in_thread(tenant.apply, POISONED.replace("Poisoned", "Cured"))
        await until(lambda: state("poisoned")["lag"] == 0)
        shown = await in_thread(state, "poisoned")
        assert (shown["state"], shown["reason"], shown["rows"]) == ("running", "", 2)


def test_a_connector_that_raises_anything_stays_alone(folder: Path, tmp_path: Path) -> None:
    """A plugin with a bug in each of its methods fails its own tasks and routes, with the reason, and no others."""
    with ChildDaemon(folder, PYTHONPATH=str(install_plugin(tmp_path / "plugins"))) as daemon:
        lot = ParkingLot(daemon)
        daemon.apply(EXAMPLE_TEXT)
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
        raise RuntimeError("a bug in a handler, with a secret")

    async with living(tmp_path) as tenant:
        await in_thread(tenant.apply, EXAMPLE_TEXT)
        with await in_thread(tenant.sensor().__enter__) as sensor:
            with monkeypatch.context() as patch:
                patch.setattr(RunningEngine, "tree", crash)
                answer = await in_thread(tenant.ask, "tree")
            assert answer.status_code == 500
            assert answer.json()["error_code"] == "APIC.0601"
            assert "a bug" not in answer.text
            assert (await in_thread(tenant.ask, "tree")).status_code == 200
            await in_thread(sensor.report, f"parking-sensor/out/{FIRST}", report(FIRST, "0"))
            assert sensor.disconnects == []


async def test_a_crash_of_the_control_plane_does_not_touch_mqtt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started again, at its old address, as often as it takes; sessions, tasks and routes live on meanwhile."""
    serve, crashes, broken = control_listener.serve, 0, trio.Event()

    async def serve_until_broken(*arguments: Any, **options: Any) -> None:
        nonlocal crashes
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve, *arguments, **options))
            await broken.wait()
            crashes += 1
            raise RuntimeError("a bug in the control plane")

    monkeypatch.setattr(control_listener, "serve", serve_until_broken)
    async with living(tmp_path) as tenant:
        # More often than any child may fail in a row, without the waits that grow.
        control = tenant.house.root.child("control")
        assert isinstance(control, Supervisor)
        control._backoff = Backoff(maximum=0.1)
        await in_thread(tenant.apply, EXAMPLE_TEXT)
        address = tenant.house.addresses()["control"]
        with await in_thread(tenant.sensor().__enter__) as sensor:
            broken.set()
            for _ in range(20):
                await in_thread(sensor.report, f"parking-sensor/out/{FIRST}", report(FIRST, "1"))
                await trio.sleep(0.1)
            assert crashes > 6
            broken = trio.Event()
            await in_thread(sensor.report, f"parking-sensor/out/{FIRST}", report(FIRST, "0"))
            await until(lambda: tenant.free() == '{"default":[{"FreeNo":1}]}')
            await until(lambda: _answers(tenant))
            assert tenant.house.addresses()["control"] == address
            assert (await in_thread(tenant.ask, f"tasks/{TASK}")).json()["status"]["rows"] == 21
            assert sensor.disconnects == []


def _answers(tenant: Tenant) -> bool:
    try:
        return tenant.ask("status").json()["ready"] is True
    except httpx.TransportError:
        return False
