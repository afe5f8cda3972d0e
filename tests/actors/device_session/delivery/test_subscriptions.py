from collections.abc import Sequence

import pytest

from actors.device_session.delivery.audience import Audience, Subscriber, Terms
from actors.device_session.delivery.fan_out import FanOut
from actors.device_session.delivery.message import Delivery, Message
from actors.device_session.delivery.subscriptions import Subscriptions


class Reader:
    def __init__(self, *, connected: bool = True, room: bool = True, refused: str | None = None) -> None:
        self.is_connected = connected
        self.has_room = room
        self.refused = refused
        self.got: list[tuple[bytes, int, bool, tuple[int, ...]]] = []

    def may_receive(self, topic: str) -> bool:
        return topic != self.refused

    def deliver(self, at_most_once: Sequence[Delivery], otherwise: Sequence[Delivery], fan_out: FanOut) -> None:
        assert isinstance(fan_out, FanOut)
        for one in (*at_most_once, *otherwise):
            self.got.append((one.message.payload, one.qos, one.retain, one.subscription_ids))


def found(audience: Audience) -> dict[Subscriber, Terms]:
    return {subscriber: terms for terms, subscribers in audience.by_terms for subscriber in subscribers}


def matched(topic_filter: str, topic: str) -> bool:
    subscriptions = Subscriptions()
    reader = Reader()
    subscriptions.add(topic_filter, reader, Terms(1))
    audience = subscriptions.match(topic)
    assert found(audience) in ({}, {reader: Terms(1)})
    return bool(audience)


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
    """[MQTT-4.7.1-2, MQTT-4.7.1-3]: `+` stands for one level, also an empty one; `#` for its parent and all below."""
    assert matched(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [("a/b", "a"), ("a/+", "a"), ("a/+", "a/b/c"), ("+", "/finance"), ("#", "$SYS/x"), ("+/x", "$SYS/x"), ("A", "a")],
)
def test_filters_do_not_match_beyond_section_4_7(topic_filter: str, topic: str) -> None:
    """[MQTT-4.7.2-1, MQTT-4.7.3-4]: at the front a wildcard leaves `$` topics alone, and letters are as written."""
    assert not matched(topic_filter, topic)


def test_overlapping_filters_are_one_copy_with_the_highest_qos_and_all_identifiers() -> None:
    """[MQTT-3.3.5-1, MQTT5-3.3.4-2, MQTT5-3.3.4-3, MQTT5-3.3.4-4]."""
    subscriptions = Subscriptions()
    reader, other = Reader(), Reader()
    subscriptions.add("a/b", reader, Terms(0, subscription_ids=(7,)))
    subscriptions.add("a/+", reader, Terms(2, subscription_ids=(8,)))
    subscriptions.add("#", reader, Terms(1, retain_as_published=True))
    subscriptions.add("a/#", other, Terms(0))
    audience = subscriptions.match("a/b")
    both = found(audience)[reader]
    assert (both.qos, both.retain_as_published, sorted(both.subscription_ids)) == (2, True, [7, 8])
    assert found(audience)[other] == Terms(0)
    assert sum(len(subscribers) for _, subscribers in audience.by_terms) == 2


def test_a_second_subscription_to_the_same_filter_replaces_the_first() -> None:
    """[MQTT-3.8.4-3, MQTT5-3.8.4-3]."""
    subscriptions = Subscriptions()
    reader = Reader()
    for topic_filter in ("a/b", "a/+"):
        subscriptions.add(topic_filter, reader, Terms(1, subscription_ids=(1,)))
        subscriptions.add(topic_filter, reader, Terms(0))
    assert found(subscriptions.match("a/b")) == {reader: Terms(0)}


@pytest.mark.parametrize("topic_filter", ["a/b", "a/+", "a/#", "#", "+/+/c", "$share/g/a/+", "$share/g/a/b"])
def test_removing_leaves_others_and_no_empty_levels(topic_filter: str) -> None:
    """[MQTT-3.10.4-1]: what nobody wants any more takes no memory."""
    subscriptions = Subscriptions()
    reader, other = Reader(), Reader()
    longer = topic_filter + "x" if not topic_filter.endswith(("#", "+")) else "z/#"
    for subscriber in (reader, other):
        subscriptions.add(topic_filter, subscriber, Terms(1))
    subscriptions.add(longer, other, Terms(0))
    subscriptions.remove(topic_filter, reader)
    topic = topic_filter.removeprefix("$share/g/").replace("+", "a").replace("#", "b")
    FanOut().give([Message(topic, b"x", 1, 0)], subscriptions.match(topic))
    assert (len(reader.got), len(other.got)) == (0, 1)
    subscriptions.remove(topic_filter, other)
    subscriptions.remove(longer, other)
    assert subscriptions.is_empty()
    subscriptions.remove(topic_filter, other)


@pytest.mark.parametrize("topic_filter", ["a/b/c", "a/b/#", "a/+/c", "#", "+/b/c", "$share/g/a/b/c", "$share/g/a/b/+"])
def test_an_audience_is_stale_once_somebody_comes_or_goes(topic_filter: str) -> None:
    """Whoever keeps an audience knows when to look again."""
    subscriptions = Subscriptions()
    reader = Reader()
    before = subscriptions.match("a/b/c")
    assert subscriptions.is_current(before)
    subscriptions.add(topic_filter, reader, Terms(0))
    assert not subscriptions.is_current(before)
    during = subscriptions.match("a/b/c")
    assert during
    subscriptions.remove(topic_filter, reader)
    assert not subscriptions.is_current(during)
    assert not subscriptions.match("a/b/c")


@pytest.mark.parametrize(("topic", "topic_filter"), [("a/b", "a/b/#"), ("a", "a/#"), ("a/", "a/+"), ("a/b", "+/b")])
def test_an_audience_of_a_short_topic_is_stale_as_well(topic: str, topic_filter: str) -> None:
    """However changes are told apart, none that matters is missed."""
    subscriptions = Subscriptions()
    before = subscriptions.match(topic)
    subscriptions.add(topic_filter, Reader(), Terms(0))
    assert subscriptions.match(topic)
    assert not subscriptions.is_current(before)


def test_a_storm_of_subscriptions_leaves_most_publishers_alone() -> None:
    """Devices that subscribe to their own topics one after another do not make every publisher look again each time."""
    subscriptions = Subscriptions()
    audiences = [subscriptions.match(f"lot/out/{number}") for number in range(100)]
    for number in range(20):
        subscriptions.add(f"lot/in/{number}", Reader(), Terms(1))
        subscriptions.add(f"lot/in/{number}/#", Reader(), Terms(1))
    # Hashes differ between runs; so few of them meet by chance that half is far away.
    assert sum(subscriptions.is_current(audience) for audience in audiences) > 50


# --- what is delivered ------------------------------------------------------------------------------------------------


def test_a_message_is_delivered_at_the_lower_qos_and_without_its_retain_flag() -> None:
    """[MQTT-3.8.4-6, MQTT-3.3.1-9, MQTT5-3.8.4-8, MQTT5-3.3.1-12, MQTT5-3.3.1-13]."""
    subscriptions = Subscriptions()
    plain, as_published = Reader(), Reader()
    subscriptions.add("a", plain, Terms(1))
    subscriptions.add("a", as_published, Terms(2, retain_as_published=True, subscription_ids=(5,)))
    messages = [Message("a", bytes([48 + qos]), qos, 0, retain=qos != 1) for qos in (0, 1, 2)]
    FanOut().give(messages, subscriptions.match("a"))
    assert plain.got == [(b"0", 0, False, ()), (b"1", 1, False, ()), (b"2", 1, False, ())]
    assert as_published.got == [(b"0", 0, True, (5,)), (b"1", 1, False, (5,)), (b"2", 2, True, (5,))]


def test_no_local_keeps_a_clients_own_messages_from_it() -> None:
    """[MQTT5-3.8.3-3]; what its other subscriptions bring, it gets."""
    subscriptions = Subscriptions()
    publisher, other = Reader(), Reader()
    subscriptions.add("a", publisher, Terms(2, no_local=True, subscription_ids=(1,)))
    subscriptions.add("a", other, Terms(0, no_local=True))
    message = Message("a", b"x", 2, 0)
    FanOut().give([message], subscriptions.match("a"), publisher)
    assert (publisher.got, len(other.got)) == ([], 1)
    subscriptions.add("+", publisher, Terms(1, subscription_ids=(2,)))
    FanOut().give([message], subscriptions.match("a"), publisher)
    assert publisher.got == [(b"x", 1, False, (2,))]
    FanOut().give([message], subscriptions.match("a"))
    assert publisher.got[-1][1] == 2
    assert sorted(publisher.got[-1][3]) == [1, 2]


def test_a_topic_without_right_is_not_delivered_whatever_the_filter() -> None:
    """A wildcard never widens a right."""
    subscriptions = Subscriptions()
    reader = Reader(refused="a/secret")
    subscriptions.add("a/#", reader, Terms(0, partly=True))
    subscriptions.add("$share/g/a/#", reader, Terms(0, partly=True))
    for topic in ("a/secret", "a/open"):
        FanOut().give([Message(topic, topic.encode(), 0, 0)], subscriptions.match(topic))
    assert [payload for payload, *_ in reader.got] == [b"a/open", b"a/open"]


def test_each_message_of_a_shared_subscription_goes_to_one_member_in_turn() -> None:
    """[MQTT5-4.8.2-3]; each group gets a copy, and so does who subscribed without a group."""
    subscriptions = Subscriptions()
    members, other, alone = [Reader(), Reader(), Reader()], Reader(), Reader()
    for member in members:
        subscriptions.add("$share/g/a/+", member, Terms(1))
    subscriptions.add("$share/h/a/+", other, Terms(1))
    subscriptions.add("a/b", alone, Terms(1))
    for number in range(6):
        FanOut().give([Message("a/b", b"%d" % number, 1, 0)], subscriptions.match("a/b"))
    assert [[payload for payload, *_ in member.got] for member in members] == [[b"0", b"3"], [b"1", b"4"], [b"2", b"5"]]
    assert len(other.got) == len(alone.got) == 6


def test_members_that_are_connected_and_keep_up_come_first() -> None:
    """A message of a shared subscription waits only where every member is away or behind."""
    subscriptions = Subscriptions()
    away, behind, ready = Reader(connected=False, room=False), Reader(room=False), Reader()
    for member in (away, behind, ready):
        subscriptions.add("$share/g/a", member, Terms(1))
    audience = subscriptions.match("a")
    FanOut().give([Message("a", b"1", 1, 0), Message("a", b"2", 1, 0)], audience)
    assert len(ready.got) == 2
    ready.has_room = ready.is_connected = False
    FanOut().give([Message("a", b"3", 1, 0)], audience)
    assert len(behind.got) == 1
    behind.is_connected = False
    FanOut().give([Message("a", b"4", 1, 0)], audience)
    assert len(away.got) == 1
