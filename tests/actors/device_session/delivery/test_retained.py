import pytest

from actors.device_session.delivery.fan_out import FanOut
from actors.device_session.delivery.message import Message
from actors.device_session.delivery.retained import Retained
from actors.device_session.journal import Retain, Unretain
from actors.device_session.registry.expiry import expire
from actors.wire.mqtt.properties import Properties
from tests.actors.device_session.disk import Disk
from tests.actors.device_session.receiving_world import world


def message(topic: str, payload: bytes = b"x", expires_at: int | None = None) -> Message:
    return Message(topic, payload, 1, 0, retain=True, expires_at=expires_at)


def kept(*topics: str) -> Retained:
    retained = Retained(1000, 1_000_000)
    for topic in topics:
        retained.keep(message(topic), 0)
    return retained


def test_the_last_message_of_a_topic_is_kept() -> None:
    """[MQTT-3.3.1-5, MQTT-3.3.1-7, MQTT5-3.3.1-5]: it takes the place of the one before."""
    retained = Retained(10, 10_000)
    first, second = message("a", b"1"), message("a", b"22")
    assert retained.keep(first, 0) == Retain(first)
    assert retained.keep(second, 0) == Retain(second)
    assert retained.get("a", 0) is second
    assert (len(retained), retained.size) == (1, second.size)


def test_an_empty_payload_removes_it() -> None:
    """[MQTT-3.3.1-10, MQTT-3.3.1-11, MQTT5-3.3.1-6, MQTT5-3.3.1-7]: it is not itself retained, and leaves nothing."""
    retained = kept("a/b/c", "a/b")
    assert retained.keep(message("a/b/c", b""), 0) == Unretain("a/b/c")
    assert retained.keep(message("a/b/c", b""), 0) is None
    assert retained.keep(message("never", b""), 0) is None
    assert list(retained.topics("#")) == ["a/b"]
    retained.remove("a/b")
    assert (len(retained), retained.size) == (0, 0)
    assert not retained._root.children


@pytest.mark.parametrize(
    ("topic_filter", "found"),
    [
        ("a/b", ["a/b"]),
        ("a", ["a"]),
        ("a/+", ["a/", "a/b"]),
        ("a/#", ["a", "a/", "a/b", "a/b/c"]),
        ("+", ["a"]),
        ("+/b/#", ["/b", "a/b", "a/b/c"]),
        ("#", ["/b", "a", "a/", "a/b", "a/b/c"]),
        ("$x/#", ["$x", "$x/y"]),
        ("$x/+", ["$x/y"]),
        ("nobody/+", []),
        ("nobody", []),
        ("a/b/c/d/#", []),
    ],
)
def test_filters_find_what_they_match(topic_filter: str, found: list[str]) -> None:
    """[MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-4.7.2-1]: as for subscriptions."""
    assert sorted(kept("a", "a/", "a/b", "a/b/c", "/b", "$x", "$x/y").topics(topic_filter)) == found


def test_topics_may_come_and_go_while_they_are_looked_through() -> None:
    """A slow subscriber holds nobody: what is gone is passed over, nothing comes twice."""
    retained = kept("a/stays", *(f"a/{number}" for number in range(10)))
    topics = retained.topics("a/+")
    seen = [next(topics), next(topics)]
    for number in range(10):
        retained.remove(f"a/{number}")
    for number in range(5, 15):
        retained.keep(message(f"a/{number}"), 0)
    seen += topics
    assert "a/stays" in seen
    assert len(seen) == len(set(seen))
    assert {f"a/{number}" for number in range(5, 10)} <= set(seen)


def test_bounds_refuse_what_is_new_and_keep_what_is_there() -> None:
    """A retained message is not pushed out by another topic's."""
    size = message("a").size
    retained = Retained(2, 3 * size)
    assert retained.keep(message("a"), 0)
    assert retained.keep(message("b"), 0)
    assert retained.keep(message("c"), 0) is None
    assert retained.keep(message("a", b"y" * (size + 2)), 0) is None
    assert retained.keep(message("a", b"y" * size), 0)
    assert retained.refused == 2
    assert sorted(retained.topics("#")) == ["a", "b"]
    fan_out = FanOut()
    assert not fan_out.retain(message("c"), retained, 0)
    assert fan_out.retain(message("b", b""), retained, 0)
    assert fan_out.retain(message("c"), retained, 0)
    assert fan_out.refused == 1
    assert [type(change) for change in fan_out.changes] == [Unretain, Retain]


def test_what_has_expired_is_not_found_and_makes_room() -> None:
    """[MQTT5-3.3.2-5]."""
    retained = Retained(1, 10_000)
    retained.keep(message("a", expires_at=1000), 0)
    assert retained.get("a", 999) is not None
    assert retained.get("a", 1000) is None
    assert retained.keep(message("b"), 999) is None
    assert retained.keep(message("b"), 1000)
    assert list(retained.topics("#")) == ["b"]


def test_expiry_is_that_of_the_message_that_is_there_now() -> None:
    """One that took the place of another lives as long as it says itself."""
    retained = Retained(10, 10_000)
    retained.keep(message("a", expires_at=1000), 0)
    retained.keep(message("a"), 0)
    retained.keep(message("b", expires_at=500), 0)
    assert retained.take_expired(2000) == [Unretain("b")]
    assert list(retained.topics("#")) == ["a"]


async def test_what_has_expired_is_forgotten_on_disk_as_well() -> None:
    """Nobody has to ask for it: time sees to it, some of them each second."""
    disk = Disk()
    broker = world(disk)
    fan_out = FanOut()
    for number in range(1500):
        fan_out.retain(message(f"a/{number}", expires_at=1000), broker.retained, 0)
    fan_out.write(disk, lambda: None)
    await expire(broker)
    assert len(disk.retained) == len(broker.retained) == 500
    await expire(broker)
    assert not disk.retained


def test_a_topic_that_is_retained_again_and_again_takes_no_memory() -> None:
    """Notes of expiry are bounded by what there is."""
    retained = Retained(10, 10_000)
    for number in range(5000):
        retained.keep(message("a", expires_at=1000 + number), 0)
    assert len(retained._expiries) < 2000
    assert retained.take_expired(5998) == []
    assert retained.take_expired(5999) == [Unretain("a")]


def test_what_was_retained_before_a_restart_is_there_after_it() -> None:
    """[MQTT-3.3.1-5]."""
    retained = Retained(10, 10_000)
    retained.restore([message("a"), message("b", expires_at=10)])
    assert retained.take_expired(10) == [Unretain("b")]
    assert len(retained) == 1


def test_expiry_is_counted_from_the_publication() -> None:
    """[MQTT5-3.3.2-6]: in whole seconds, the last one begun counts."""
    one = Message("a", b"", 0, 5_000, properties=Properties(message_expiry=10))
    assert [one.remaining(now) for now in (5_000, 5_001, 14_001, 15_000, 20_000)] == [10, 10, 1, 0, 0]
    assert not one.is_expired(14_999)
    assert one.is_expired(15_000)
    assert Message("a", b"", 0, 5_000).remaining(6_000) is None
