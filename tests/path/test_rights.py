"""Who may say and hear what, as real clients see it: the example of access control lists, running."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.path.talker import Talker, eventually

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "access.yaml"
NOT_AUTHORIZED = 0x87
REFUSED = {"3.1.1": 0x80, "5": NOT_AUTHORIZED}
LEVELS = ["3.1.1", "5"]
ANONYMOUS = {"PENSTOCK_MQTT__LISTEN__ANONYMOUS__PRODUCT": "visitor"}

THERMOSTAT = """
kind: product
app: house
name: thermostat
acl:
"""
DEFAULT_ACL = (
    '- {deny: subscribe, topic: "private/#"}\n'
    '- {allow: publish, topic: "${productId}/out/${deviceId}/#"}\n'
    '- {allow: all, topic: "open/#"}\n'
)


class House:
    """A daemon that runs the example."""

    def __init__(self, daemon: ChildDaemon) -> None:
        self.daemon = daemon

    def kitchen(self, **more: Any) -> Talker:
        return Talker(self.daemon.mqtt(), "kitchen", "thermostat/kitchen", "kitchen-secret", **more)

    def app(self, **more: Any) -> Talker:
        return Talker(self.daemon.mqtt(), "app", "house-key", "house-secret", **more)

    def visitor(self, client_id: str, **more: Any) -> Talker:
        return Talker(self.daemon.mqtt(), client_id, **more)

    def allow(self, acl: str) -> None:
        self.daemon.apply(THERMOSTAT + acl)

    def stored(self, topic: str) -> list[dict[str, Any]]:
        """The values of a topic's records, the oldest first."""
        answer = self.daemon.ask(f"topics/{topic}/messages?order=oldest&from=1h&limit=1000")
        return [
            json.loads(one["value"]) if isinstance(one["value"], str) else one["value"] for one in answer["messages"]
        ]

    def presence(self, device: str) -> list[dict[str, Any]]:
        return [event for event in self.stored("house-presence") if event["device"] == device]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ChildDaemon(tmp_path_factory.mktemp("access") / "data", **ANONYMOUS) as daemon:
        daemon.apply(EXAMPLE.read_text())
        yield House(daemon)
        assert daemon.stop() == 0


@pytest.fixture
def house(running: House) -> Iterator[House]:
    yield running
    running.allow(DEFAULT_ACL)


@pytest.mark.parametrize("level", LEVELS)
def test_a_device_reaches_what_the_list_names_and_nothing_else(house: House, level: str) -> None:
    """[MQTT-3.9.3-2] [MQTT5-3.9.3-2] Filters are granted or refused one by one; what is granted is delivered."""
    no = REFUSED[level]
    with house.kitchen(level=level) as kitchen, house.app(level=level) as app:
        filters = ["open/#", "private/#", "#", "thermostat/in/kitchen", "$share/g/open/+", "$share/g/#", "$SYS/#"]
        assert kitchen.subscribe(*filters) == [1, no, no, 1, 1, no, no]
        assert app.subscribe("open/#", "thermostat/out/#", "thermostat/in/+", "private/#") == [1, 1, no, no]
        assert kitchen.publish("thermostat/out/kitchen/log/1", "below") == 0
        assert app.hears() == ("thermostat/out/kitchen/log/1", "below")
        assert app.publish("thermostat/in/kitchen", "command") == 0
        assert kitchen.hears() == ("thermostat/in/kitchen", "command")


@pytest.mark.parametrize("level", LEVELS)
def test_a_publish_without_a_right_is_dropped_and_said_so_where_the_protocol_can(house: House, level: str) -> None:
    """[MQTT-3.3.5-2] 3.1.1 acknowledges it; 5 says Not authorized. Nobody hears it."""
    with house.kitchen(level=level) as kitchen, house.app(level=level) as app:
        app.subscribe("open/#", "thermostat/out/#")
        for topic in ("thermostat/out/bedroom", "private/x", "$SYS/x", "thermostat/in/kitchen"):
            assert kitchen.publish(topic, "no") == (NOT_AUTHORIZED if level == "5" else 0)
        kitchen.publish("open/last", "yes")
        assert app.hears() == ("open/last", "yes")
        assert app.has_heard() == []


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_denied_never_comes_through_a_wider_filter(house: House, level: str) -> None:
    """A part of a granted filter that an earlier entry denies: live and retained messages of it stay away."""
    house.allow('- {deny: subscribe, topic: "open/shut/#"}\n- {allow: all, topic: "open/#"}\n')
    with house.kitchen(level=level) as kitchen, house.app(level=level) as app:
        kitchen.publish("open/shut/kept", "no", retain=True)
        kitchen.publish("open/kept", "yes", retain=True)
        assert kitchen.subscribe("open/#", "open/shut/#") == [1, REFUSED[level]]
        assert kitchen.hears() == ("open/kept", "yes")
        app.publish("open/shut/live", "no")
        app.publish("open/live", "yes")
        assert kitchen.hears() == ("open/live", "yes")
        assert kitchen.has_heard() == []
        kitchen.publish("open/kept", "", retain=True)
        kitchen.publish("open/shut/kept", "", retain=True)


@pytest.mark.parametrize("level", LEVELS)
def test_a_right_taken_away_counts_for_a_living_subscription(house: House, level: str) -> None:
    """After the change nothing of it is delivered; what is still allowed goes on, on the same connection."""
    with house.kitchen(level=level) as kitchen, house.app(level=level) as app:
        kitchen.subscribe("open/#")
        app.publish("open/a", "before")
        assert kitchen.hears() == ("open/a", "before")
        house.allow('- {deny: subscribe, topic: "open/a"}\n- {allow: all, topic: "open/#"}\n')
        kitchen.publish("open/a", "after")
        kitchen.publish("open/b", "after")
        assert kitchen.hears() == ("open/b", "after")
        house.allow('- {allow: publish, topic: "open/#"}\n')
        kitchen.publish("open/b", "later")
        app.publish("thermostat/in/kitchen", "own")
        assert kitchen.subscribe("thermostat/in/kitchen") == [1]
        app.publish("thermostat/in/kitchen", "own")
        assert kitchen.hears() == ("thermostat/in/kitchen", "own")
        assert kitchen.has_heard() == []


@pytest.mark.parametrize("level", LEVELS)
def test_a_right_taken_away_counts_for_what_waits(house: House, level: str) -> None:
    """Messages that were queued for a session without a connection, and one that is retained, are not delivered."""
    with house.kitchen(level=level, kept=True) as kitchen:
        kitchen.subscribe("open/#", "thermostat/in/kitchen")
    with house.app(level=level) as app:
        app.publish("open/secret", "queued")
        app.publish("open/secret", "retained", retain=True)
        app.publish("thermostat/in/kitchen", "queued")
        house.allow('- {allow: publish, topic: "open/#"}\n')
        with house.kitchen(level=level, kept=True) as kitchen:
            assert kitchen.hears() == ("thermostat/in/kitchen", "queued")
            assert kitchen.subscribe("open/#") == [REFUSED[level]]
            app.publish("thermostat/in/kitchen", "live")
            assert kitchen.hears() == ("thermostat/in/kitchen", "live")
            assert kitchen.has_heard() == []
            house.allow(DEFAULT_ACL)
            app.publish("open/secret", "", retain=True)
    with house.kitchen(level=level):
        pass  # the session is not to be found by others


def test_a_name_widens_nothing(house: House) -> None:
    """A client id with wildcards, levels or `$` in it gets no topic by an entry that has its name in it."""
    for client_id in ("#", "+", "kitchen/x", "$SYS"):
        with house.visitor(client_id, level="5") as visitor:
            assert visitor.subscribe("open/#", f"visitor/out/{client_id}", "visitor/out/#", "#") == [
                1,
                0x87,
                0x87,
                0x87,
            ]
            allowed = client_id == "$SYS"
            assert visitor.publish("visitor/out/x", "") == NOT_AUTHORIZED
            if client_id not in {"#", "+"}:
                assert visitor.publish(f"visitor/out/{client_id}", "") == (0 if allowed else NOT_AUTHORIZED)


@pytest.mark.parametrize("level", LEVELS)
def test_a_passing_devices_reports_go_through_rules(house: House, level: str) -> None:
    """Its client id is its name in the envelope; it has no topics but those of the list."""
    name = f"phone-{level}"
    with house.visitor(name, level=level) as visitor:
        assert visitor.subscribe(f"visitor/in/{name}", "open/+") == [REFUSED[level], 1]
        assert visitor.publish(f"visitor/out/{name}", '"hello"') == 0
    eventually(lambda: any(one["device"]["name"] == name for one in house.stored("house-readings")))
    (record,) = [one for one in house.stored("house-readings") if one["device"]["name"] == name]
    assert record["data"] == "hello"
    assert record["device"]["product"] == "visitor"
    eventually(lambda: [one["event"] for one in house.presence(name)] == ["online", "offline"])


def test_nobody_passes_by_under_the_name_of_a_device(house: House) -> None:
    """The name of a device is not to be had without its secret; who has it when the device comes must go."""
    early = house.visitor("guest")
    assert early.connect() == "Success"
    house.daemon.apply("{kind: device, app: house, product: visitor, name: guest, secret: guest-secret}")
    early.wait_gone()
    early.client.loop_stop()
    late = house.visitor("guest")
    assert late.connect() != "Success"
    late.client.loop_stop()
    with Talker(house.daemon.mqtt(), "any", "visitor/guest", "guest-secret") as guest:
        assert guest.publish("visitor/out/guest", "1") == 0


def test_rules_take_what_the_list_lets_devices_publish(house: House) -> None:
    """A topic below the device's own is stored by the rule that names it, as the device's."""
    with house.kitchen() as kitchen:
        kitchen.publish("thermostat/out/kitchen/set/point", "21.5")
    eventually(lambda: [one["data"] for one in house.stored("house-readings") if one["data"] == 21.5])
    (record,) = [one for one in house.stored("house-readings") if one["data"] == 21.5]
    assert record["device"]["name"] == "kitchen"


def test_who_comes_and_goes_is_stored(house: House) -> None:
    """Online, offline with its reason, and a will, in their order, under the device's name."""
    before = len(house.presence("kitchen"))
    with house.kitchen():
        eventually(lambda: house.daemon.status("devices/thermostat/kitchen")["state"] == "online")
    leaver = house.kitchen()
    leaver.client.will_set("open/will", "gone", qos=1)
    with house.app() as app:
        app.subscribe("open/will")
        assert leaver.connect() == "Success"
        leaver.vanish()
        assert app.hears() == ("open/will", "gone")
    eventually(lambda: len(house.presence("kitchen")) == before + 5)
    events = house.presence("kitchen")[before:]
    assert [event["event"] for event in events][:3] == ["online", "offline", "online"]
    assert sorted(event["event"] for event in events[3:]) == ["offline", "will"]
    assert "disconnected" in events[1]["reason"]
    assert {event["client_id"] for event in events} == {"kitchen"}
    assert {event["product"] for event in events} == {"thermostat"}
    will = next(event for event in events if event["event"] == "will")
    assert will["topic"] == "open/will"
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_a_drain_and_a_kill_are_told_too(tmp_path: Path) -> None:
    """At a drain each device goes offline; after a kill who was online is told offline at the next start."""
    with ChildDaemon(tmp_path / "data", **ANONYMOUS) as daemon:
        daemon.apply(EXAMPLE.read_text())
        house = House(daemon)
        first = house.kitchen()
        first.connect()
        assert daemon.stop() == 0
        first.client.loop_stop()
        daemon.start()
        eventually(lambda: [one["event"] for one in house.presence("kitchen")] == ["online", "offline"])
        assert "shutdown" in house.presence("kitchen")[-1]["reason"]
        second = house.kitchen()
        second.connect()
        eventually(lambda: _is_kept_online(daemon), timeout=20)
        daemon.kill()
        second.client.loop_stop()
        daemon.start()
        told = ["online", "offline", "online", "offline"]
        eventually(lambda: [one["event"] for one in house.presence("kitchen")] == told)
        assert "without a drain" in house.presence("kitchen")[-1]["reason"]
        assert house.presence("kitchen")[-1]["client_id"] is None


def _is_kept_online(daemon: ChildDaemon) -> bool:
    with sqlite3.connect(f"file:{daemon.data / 'penstock.db'}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT online FROM device_status WHERE device = 'kitchen'").fetchall()
    database.close()
    return rows == [(1,)]
