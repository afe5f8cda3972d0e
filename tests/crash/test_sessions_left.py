"""What sessions leave over an end of the daemon: wills, retained messages that were on their way, what has expired."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.wire.mqtt.packets import Subscription, Will
from actors.wire.mqtt.properties import Properties
from tests.conformance.conftest import ANYONE
from tests.conformance.live import Peer
from tests.fakes.daemon import ChildDaemon

End = Callable[[ChildDaemon], object]
KEPT = {"clean": False, "session_expiry": 600}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ChildDaemon]:
    """A daemon that lets everybody in."""
    with ChildDaemon(tmp_path / "data", PENSTOCK_MQTT__LISTEN__ANONYMOUS__PRODUCT="anyone") as one:
        one.apply(ANYONE)
        yield one


def joined(daemon: ChildDaemon, client_id: str, **fields: object) -> Peer:
    peer = Peer(daemon.mqtt())
    assert peer.connect(client_id, **fields).reason == 0
    return peer


def again(daemon: ChildDaemon, end: End) -> None:
    end(daemon)
    daemon.start()


@pytest.mark.parametrize(("end", "connected"), [(ChildDaemon.stop, False), (ChildDaemon.kill, True)])
def test_a_delayed_will_is_published_after_a_restart(daemon: ChildDaemon, end: End, connected: bool) -> None:  # noqa: FBT001 - a case
    """[MQTT5-3.1.2-8]: whether its delay had begun, or its connection ended with the daemon; and once."""
    with joined(daemon, "reader", **KEPT) as reader:
        reader.subscribe("wills/#", qos=1)
    will = Will("wills/a", b"gone", 1, delay=1, properties=Properties(content_type="text/plain"))
    with joined(daemon, "mortal", will=will, **KEPT) as mortal:
        if connected:
            again(daemon, end)
        mortal.connection.close()
    if not connected:
        time.sleep(0.2)
        again(daemon, end)
    with joined(daemon, "reader", **KEPT) as reader:
        (heard,) = reader.hear()
        assert (heard.payload, heard.properties.content_type) == (b"gone", "text/plain")
        reader.disconnect()
    time.sleep(0.2)
    again(daemon, end)
    with joined(daemon, "reader", **KEPT) as reader:
        time.sleep(1.5)
        reader.silence()


def test_the_will_of_a_session_that_expired_meanwhile_is_published(daemon: ChildDaemon) -> None:
    """[MQTT5-3.1.2-10]: the end of a session is the end of the delay, also where nobody was there to see it."""
    with joined(daemon, "reader", **KEPT) as reader:
        reader.subscribe("wills/#", qos=1)
    with joined(daemon, "mortal", clean=False, session_expiry=1, will=Will("wills/a", b"gone", 1, delay=500)):
        daemon.kill()
    time.sleep(1.1)
    daemon.start()
    with joined(daemon, "reader", **KEPT) as reader:
        assert reader.hear()[0].payload == b"gone"


def test_retained_messages_on_their_way_come_after_a_restart(daemon: ChildDaemon) -> None:
    """A client that takes one at a time gets all that it subscribed to, whenever the daemon ends."""
    with joined(daemon, "publisher") as publisher:
        for number in range(300):
            publisher.publish(f"kept/{number}", b"%d" % number * 500, 1, retain=True)
    reader = joined(daemon, "reader", receive_maximum=1, **KEPT)
    reader.subscribe(Subscription("kept/+", 1))
    heard = {message.topic for message in reader.hear(20)}
    again(daemon, ChildDaemon.kill)
    reader.connection.close()
    with joined(daemon, "reader", receive_maximum=1, **KEPT) as reader:
        while len(heard) < 300:
            heard.add(reader.hear()[0].topic)
        while reader.heard:
            reader.acknowledge(reader.next_message())


def test_what_expired_while_the_daemon_was_away_is_not_sent(daemon: ChildDaemon) -> None:
    """[MQTT5-3.3.2-5, MQTT5-3.3.1-1]: it was never sent, and what was not is no repetition."""
    with joined(daemon, "reader", **KEPT) as reader:
        reader.subscribe("news", qos=2)
    with joined(daemon, "publisher") as publisher:
        for qos in (1, 2):
            publisher.publish("news", b"old", qos, properties=Properties(message_expiry=1))
            publisher.publish("news", b"new", qos)
    daemon.stop()
    time.sleep(1.1)
    daemon.start()
    with joined(daemon, "reader", **KEPT) as reader:
        assert [(message.payload, message.dup) for message in reader.hear(2)] == [(b"new", False)] * 2
        reader.silence()
