"""Sessions that outlive their connections, in a whole daemon: shown, dropped, deleted with their device, backed up."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.daemon import ChildDaemon
from tests.fakes.enduring import Enduring

SECRET = "enduring-secret"
MANIFEST = f"""
kind: app
name: house
key: house
secret: {SECRET}
---
kind: product
app: house
name: sensor
acl: [{{allow: all, topic: "open/#"}}]
""" + "".join(f"---\nkind: device\napp: house\nproduct: sensor\nname: {name}\nsecret: {SECRET}\n" for name in "abcdefg")


def eventually(reached: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until that is so; returns what it was."""
    deadline = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


def subscriber(daemon: ChildDaemon, name: str) -> Enduring:
    """A device with a persistent session, subscribed and connected."""
    client = Enduring(name, f"sensor/{name}", SECRET)
    client.start(daemon.mqtt(), [("open/#", 1)])
    assert client.granted.wait(10)
    return client


def leave(client: Enduring, daemon: ChildDaemon, name: str) -> None:
    """Let it go, and wait until the daemon has noticed."""
    client.stop()
    eventually(lambda: not sessions(daemon, device=f"sensor/{name}")[0]["connected"])


def sessions(daemon: ChildDaemon, **query: str) -> list[dict[str, Any]]:
    """What the control API lists."""
    with daemon.control() as control:
        answer = control.get("/api/v1/sessions", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def publish(daemon: ChildDaemon, count: int) -> None:
    """Publish so many messages of 100 bytes, retained."""
    sender = Enduring("sender", "sensor/a", SECRET)
    sender.start(daemon.mqtt())
    eventually(sender.is_connected)
    for number in range(count):
        sender.client.publish(f"open/{number}", b"x" * 100, 1, retain=True)
    eventually(lambda: not sender.client._out_messages)
    sender.stop()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    """A daemon with some devices; each test has its own of them."""
    with ChildDaemon(tmp_path_factory.mktemp("sessions") / "data") as child:
        child.apply(MANIFEST)
        yield child


def test_operators_see_sessions_and_what_waits_for_them(daemon: ChildDaemon) -> None:
    """`session list` and `show` say whose a session is, what it subscribed to and what waits; `drop` ends it."""
    leave(subscriber(daemon, "b"), daemon, "b")
    here = subscriber(daemon, "c")
    publish(daemon, 5)
    (waiting,) = sessions(daemon, device="sensor/b")
    assert waiting["account"] == {"kind": "device", "name": "sensor/b"}
    assert (waiting["connected"], waiting["subscriptions"], waiting["queued_messages"]) == (False, 1, 5)
    assert waiting["queued_bytes"] >= 500
    eventually(lambda: sessions(daemon, device="sensor/c")[0]["queued_messages"] == 0)
    listed = json.loads(daemon.penstock("session", "list", "--output", "json").stdout)
    assert {"b", "c", "sender"} <= {one["client_id"] for one in listed}
    assert json.loads(daemon.penstock("session", "list", "--app", "house", "-o", "json").stdout) == []
    table = daemon.penstock("session", "show", waiting["session"]).stdout
    assert "open/#" in table
    assert "5 messages" in table
    assert daemon.penstock("session", "drop", waiting["session"]).returncode == 0
    assert sessions(daemon, device="sensor/b") == []
    again = daemon.penstock("session", "drop", waiting["session"])
    assert again.returncode != 0
    assert "session list" in again.stderr
    (connected,) = sessions(daemon, device="sensor/c")
    assert daemon.penstock("session", "drop", connected["session"]).returncode == 0
    # It connects again, and has a session of its own that knows nothing of the dropped one.
    eventually(lambda: here.sessions_present == [False, False])
    here.stop()


def test_the_api_refuses_what_makes_no_sense(daemon: ChildDaemon) -> None:
    """Unknown sessions, unknown parameters, and a device and an app at once are errors that say so."""
    with daemon.control() as control:
        assert control.get("/api/v1/sessions/none").status_code == 404
        assert control.delete("/api/v1/sessions/none").status_code == 404
        assert control.get("/api/v1/sessions?devic=x").status_code == 400
        assert control.get("/api/v1/sessions?device=x&app=y").status_code == 400


def test_a_deleted_device_takes_its_sessions_with_it(daemon: ChildDaemon) -> None:
    """`penstock delete device` ends its sessions, connected or not, and their queues are gone from the disk as well."""
    leave(subscriber(daemon, "d"), daemon, "d")
    here = subscriber(daemon, "e")
    publish(daemon, 3)
    here.address = None
    for name in ("d", "e"):
        assert on_disk(daemon, name) == 1
        assert daemon.penstock("delete", "device", f"sensor/{name}").returncode == 0
        eventually(lambda name=name: sessions(daemon, device=f"sensor/{name}") == [])  # type: ignore[misc]
        eventually(lambda name=name: on_disk(daemon, name) == 0)  # type: ignore[misc]
    here.stop()


def on_disk(daemon: ChildDaemon, device: str) -> int:
    """How many sessions of a device the file has."""
    file = sqlite3.connect(f"file:{daemon.data / 'sessions.db'}?mode=ro", uri=True)
    try:
        found: int = file.execute("SELECT count(*) FROM sessions WHERE account = ?", (f"sensor/{device}",)).fetchone()[
            0
        ]
    finally:
        file.close()
    return found


def test_a_backup_brings_sessions_back(daemon: ChildDaemon, tmp_path: Path) -> None:
    """Another daemon goes on with a copy made while this one ran: subscriptions and queues are there."""
    leave(subscriber(daemon, "f"), daemon, "f")
    publish(daemon, 4)
    folder = tmp_path / "copy"
    assert daemon.penstock("backup", str(folder)).returncode == 0
    with ChildDaemon(folder) as other:
        (waiting,) = sessions(other, device="sensor/f")
        assert waiting["queued_messages"] >= 4
        back = Enduring("f", "sensor/f", SECRET)
        back.start(other.mqtt())
        eventually(lambda: len(back.received) == waiting["queued_messages"])
        assert back.sessions_present == [True]
        back.stop()


def test_numbers_of_sessions_are_on_the_metrics_page(daemon: ChildDaemon) -> None:
    """What is kept, what is retained, and what the store did can be watched."""
    leave(subscriber(daemon, "g"), daemon, "g")
    publish(daemon, 2)
    with daemon.control() as control:
        page = control.get("/metrics")
        top: httpx.Response = control.get("/api/v1/top")
    values = dict(line.rsplit(" ", 1) for line in page.text.splitlines() if line.startswith("penstock_mqtt_"))
    assert float(values["penstock_mqtt_sessions_kept"]) == len(sessions(daemon))
    assert float(values["penstock_mqtt_retained_messages"]) >= 2
    assert float(values["penstock_mqtt_store_up"]) == 1
    assert float(values["penstock_mqtt_store_commits_total"]) > 0
    assert any(hop["receiver"] == "sessions" for hop in top.json()["hops"])
