"""Clients that others wrote: each publishes, subscribes, comes back, and finds its session after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients.foreign import Gmqtt, MqttJs
from tests.clients.mosquitto_client import Mosquitto
from tests.clients.paho_client import Paho
from tests.clients.visits import SECRET, Client, Place, Report, Visit
from tests.fakes.daemon import ChildDaemon

CLIENTS: dict[str, type[Client]] = {"paho": Paho, "mosquitto": Mosquitto, "mqttjs": MqttJs, "gmqtt": Gmqtt}
# How many of its own messages it hears: mosquitto's commands come and go, so one of QoS 0 finds nobody there.
LIVE = {"paho": 3, "mosquitto": 2, "mqttjs": 3, "gmqtt": 3}
PRODUCT = """
kind: app
name: house
key: house-key
secret: house-secret
---
kind: product
app: house
name: visitor
acl: [{allow: all, topic: "greet/${deviceId}"}]
"""


class Case(NamedTuple):
    """A client at a level over a transport."""

    client: str
    level: str
    transport: str

    def __str__(self) -> str:
        return f"{self.client}-{self.level.replace('.', '')}-{self.transport}"

    def visit(self, suffix: str = "", **asked: object) -> Visit:
        return Visit(f"{self}{suffix}", self.level, self.transport, f"greet/{self}", **asked)


CASES = [
    Case(name, level, transport)
    for name, client in CLIENTS.items()
    for level in client.levels
    for transport in client.transports
]


def place(daemon: ChildDaemon) -> Place:
    """Where it listens now, and what it is believed by."""
    assert daemon.note is not None
    authority = daemon.data.parent / "authority.pem"
    assert daemon.penstock("ca", "--out", str(authority)).returncode == 0
    pairs = [one.rsplit(":", 1) for one in (daemon.note.mqtt, daemon.note.mqtts, daemon.note.mqtt_websocket)]
    return Place(*((host, int(port)) for host, port in pairs), authority)


class Story:
    """All clients were there before one restart of the daemon; how each fared is told by its own test."""

    def __init__(self, daemon: ChildDaemon, wanted: list[Case]) -> None:
        self._fates: dict[Case, BaseException] = {}
        self._clients: dict[str, Client] = {}
        here = place(daemon)
        for case in wanted:
            self._try(case, lambda case=case: self._before(here, case))
        assert daemon.stop() == 0
        daemon.start()
        self._place = place(daemon)

    def after(self, case: Case) -> Report:
        """The session as its client finds it, unless something failed before."""
        if case in self._fates:
            raise self._fates[case]
        return self._clients[case.client].visit(self._place, case.visit(hear=2))

    def _try(self, case: Case, do: Callable[[], None]) -> None:
        try:
            do()
        except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - it is the test's that asks for this case
            self._fates[case] = error

    def _before(self, here: Place, case: Case) -> None:
        if case.client not in self._clients:
            self._clients[case.client] = CLIENTS[case.client]()
        visit = self._clients[case.client].visit
        own = visit(
            here, case.visit(subscribe=True, publish=(("zero", 0), ("one", 1), ("two", 2)), hear=LIVE[case.client])
        )
        assert not own.present
        assert own.heard == ["zero", "one", "two"][-LIVE[case.client] :]
        Paho().visit(here, case.visit("-other", kept=False, publish=(("lost", 0), ("second", 1), ("third", 2))))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Story]:
    asked = [
        item.callspec.params["case"] for item in request.session.items if "story" in getattr(item, "fixturenames", ())
    ]
    devices = [f"---\nkind: device\napp: house\nproduct: visitor\nname: {case}\nsecret: {SECRET}\n" for case in asked]
    with ChildDaemon(Path(tmp_path_factory.mktemp("clients")) / "data") as daemon:
        daemon.apply(PRODUCT + "".join(devices))
        yield Story(daemon, asked)
        assert daemon.stop() == 0
        assert "crashed" not in daemon.log.read_text()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_client_finds_its_session_after_a_restart(story: Story, case: Case) -> None:
    """[MQTT-7.0.0-2, 7.1.1-1; MQTT5-4.2.0-1] By no extension, over each transport: what came meanwhile, in order."""
    found = story.after(case)
    assert found.present is not False
    assert found.heard == ["second", "third"]
