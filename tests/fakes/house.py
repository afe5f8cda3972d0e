"""A whole instance in this process, on free ports, with what a test asks of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from actors.runtime.supervisor import Supervisor
from actors.wire.mqtt import encode
from config.ports import on_free_ports
from config.settings import Settings
from daemon.house import House, opened
from daemon.settings_in_force import SettingsInForce
from tests.fakes.plain_http import NO_TLS

SETTINGS = on_free_ports(Settings())


class Device:
    """A device with a connection of its own that publishes one report at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._packet_id = 0

    async def report(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1 and wait for the acknowledgement."""
        self._packet_id = self._packet_id % 65_535 + 1
        await self.stream.send_all(encode.publish(topic, payload, qos=1, packet_id=self._packet_id))
        assert await self.stream.receive_some(4) == encode.pubacks([self._packet_id])

    async def is_open(self) -> bool:
        """Whether the daemon still keeps the connection."""
        await self.stream.send_all(b"\xc0\x00")  # PINGREQ
        return await self.stream.receive_some(2) == b"\xd0\x00"


class Tenant:
    """Whoever lives in the house: applies, deletes, reports, asks."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._devices: list[Device] = []

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request of the control API."""
        headers = {"Authorization": f"Bearer {self.house.token}"}
        async with httpx.AsyncClient(
            verify=NO_TLS, base_url=f"http://{self.house.addresses()['control']}/api/v1/"
        ) as client:
            return await client.request(method, path, headers=headers, timeout=60, **more)

    async def apply(self, text: str) -> list[str]:
        """Apply a manifest; returns the warnings."""
        answer = await self.call("POST", "apply", content=text.encode())
        assert answer.status_code == 200, answer.text
        return [warning for step in answer.json()["results"] for warning in step.get("warnings", ())]

    async def status(self, path: str) -> dict[str, Any]:
        """The status of one resource: `tasks/NAME`."""
        answer = await self.call("GET", path)
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()["status"]
        return status

    async def get(self, path: str) -> tuple[int, str]:
        """What the gateway answers."""
        async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://{self.house.addresses()['gateway']}") as client:
            answer = await client.get(path, timeout=30)
            return answer.status_code, answer.text

    async def connect(self, device: str, secret: str, client_id: str = "") -> Device:
        """A device that is logged in."""
        host, _, port = self.house.addresses()["mqtt"].rpartition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        name = client_id or device.rpartition("/")[2]
        await stream.send_all(encode.connect(name, username=device, password=secret.encode()))
        assert await stream.receive_some(4) == encode.connack(0)
        self._devices.append(Device(stream))
        return self._devices[-1]

    async def leave(self) -> None:
        """Close what is open."""
        for device in self._devices:
            await device.stream.aclose()

    def entry(self, name: str) -> Supervisor:
        """An entry of the chain as it lives now."""
        chain = self.house.root.child("chain")
        assert isinstance(chain, Supervisor)
        entry = chain.child(name)
        assert isinstance(entry, Supervisor)
        return entry


@asynccontextmanager
async def living(data: Path, settings: Settings = SETTINGS) -> AsyncIterator[Tenant]:
    """An instance on a data folder, until the end of the block, when it drains."""
    data.mkdir(exist_ok=True)  # noqa: ASYNC240 - nothing runs yet
    async with opened(SettingsInForce(settings), data) as house, trio.open_nursery() as nursery:
        await nursery.start(_run, house)
        tenant = Tenant(house)
        yield tenant
        await tenant.leave()
        house.root.stop()


async def _run(house: House, *, task_status: trio.TaskStatus[None]) -> None:
    await house.root.run(task_status.started)


async def eventually(reached: Any, seconds: float = 15.0) -> None:
    """Wait until an async condition holds."""
    with trio.fail_after(seconds):
        while not await reached():  # noqa: ASYNC110 - another process, thread or connection has no event
            await trio.sleep(0.02)


def report(device: str, number: int) -> bytes:
    """A report as the numbered instance's product wants it."""
    return json.dumps({"deviceId": device, "seq": number}).encode()
