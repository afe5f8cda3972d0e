import pytest

from actors.device_session.outbox import Delivery
from actors.device_session.subscriptions import Subscriptions


class Reader:
    def deliver(self, delivery: Delivery, qos: int) -> None:
        raise NotImplementedError


def matched(topic_filter: str, topic: str) -> bool:
    subscriptions = Subscriptions()
    reader = Reader()
    subscriptions.add(topic_filter, reader, 1)
    found = subscriptions.match(topic)
    assert found in ((), ((reader, 1),))
    return bool(found)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/b"),
        ("a/+", "a/b"),
        ("a/+/c", "a/b/c"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("#", "a/b/c"),
        ("a/#", "a/b/c"),
        ("a/#", "a"),
        ("a/+/#", "a/b"),
        ("a/+", "a/"),
        ("$SYS/#", "$SYS/x"),
        ("$SYS/+", "$SYS/x"),
    ],
)
def test_filters_match_as_section_4_7_says(topic_filter: str, topic: str) -> None:
    """`+` stands for one level, also an empty one; `#` for the level above it and all below."""
    assert matched(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [("a/b", "a"), ("a/+", "a"), ("a/+", "a/b/c"), ("+", "/finance"), ("#", "$SYS/x"), ("+/x", "$SYS/x"), ("A", "a")],
)
def test_filters_do_not_match_beyond_section_4_7(topic_filter: str, topic: str) -> None:
    """A wildcard keeps its level, and at the front leaves `$` topics alone (MQTT-4.7.2-1)."""
    assert not matched(topic_filter, topic)


def test_overlapping_filters_deliver_once_at_the_highest_qos() -> None:
    """A subscriber gets one copy (MQTT-3.3.5-1)."""
    subscriptions = Subscriptions()
    reader, other = Reader(), Reader()
    subscriptions.add("a/b", reader, 0)
    subscriptions.add("a/+", reader, 1)
    subscriptions.add("#", reader, 0)
    subscriptions.add("a/#", other, 0)
    assert dict(subscriptions.match("a/b")) == {reader: 1, other: 0}
    assert len(subscriptions.match("a/b")) == 2


def test_a_second_subscription_to_the_same_filter_replaces_the_first() -> None:
    """Its QoS is the new one (MQTT-3.8.4-3)."""
    subscriptions = Subscriptions()
    reader = Reader()
    for topic_filter in ("a/b", "a/+"):
        subscriptions.add(topic_filter, reader, 1)
        subscriptions.add(topic_filter, reader, 0)
    assert subscriptions.match("a/b") == ((reader, 0),)


@pytest.mark.parametrize("topic_filter", ["a/b", "a/+", "a/#", "#", "+/+/c"])
def test_removing_leaves_others_and_no_empty_levels(topic_filter: str) -> None:
    """What nobody wants any more takes no memory."""
    subscriptions = Subscriptions()
    reader, other = Reader(), Reader()
    subscriptions.add(topic_filter, reader, 1)
    subscriptions.add(topic_filter, other, 1)
    subscriptions.add(topic_filter + "x" if "#" not in topic_filter else "z/#", other, 0)
    subscriptions.remove(topic_filter, reader)
    topic = topic_filter.replace("+", "a").replace("#", "b")
    assert subscriptions.match(topic) == ((other, 1),)
    subscriptions.remove(topic_filter, other)
    subscriptions.remove(topic_filter + "x" if "#" not in topic_filter else "z/#", other)
    assert not subscriptions._exact
    assert not subscriptions._wildcards.children
    subscriptions.remove(topic_filter, other)


def test_each_change_raises_the_version() -> None:
    """Whoever keeps a match knows when it is stale."""
    subscriptions = Subscriptions()
    reader = Reader()
    seen = [subscriptions.version]
    subscriptions.add("a", reader, 0)
    seen.append(subscriptions.version)
    subscriptions.remove("a", reader)
    seen.append(subscriptions.version)
    assert seen == sorted(set(seen))
