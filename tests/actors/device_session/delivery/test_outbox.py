from actors.device_session.delivery.message import OVERHEAD, Delivery, Message
from actors.device_session.delivery.outbox import MemoryQueue, Outbox


def delivery(name: str, size: int = 100, qos: int = 0) -> Delivery:
    return Delivery(Message("t", name.encode().ljust(size - OVERHEAD - 1, b"."), qos, 0), qos)


def drained(outbox: Outbox | MemoryQueue) -> list[str]:
    return [outbox.pop().message.payload.rstrip(b".").decode() for _ in range(len(outbox))]


def test_deliveries_come_out_in_order() -> None:
    """[MQTT-4.6.0-5]: the order of what was published stays."""
    outbox = Outbox(1000)
    assert outbox.offer([delivery(name) for name in "abc"]) == 0
    assert outbox.offer([delivery("d")]) == 0
    assert outbox.size == 400
    assert drained(outbox) == ["a", "b", "c", "d"]
    assert outbox.size == 0


def test_qos_0_drops_the_oldest() -> None:
    """A reader of live values gets the newest."""
    outbox = Outbox(300)
    assert [outbox.offer([delivery(name)]) for name in "abcd"] == [0, 0, 0, 1]
    assert outbox.offer([delivery(name) for name in "efg"]) == 3
    assert drained(outbox) == ["e", "f", "g"]


def test_a_delivery_larger_than_the_outbox_is_taken_alone() -> None:
    """A bound on what waits is no bound on the size of a message."""
    outbox = Outbox(100)
    assert outbox.offer([delivery("small", 90)]) == 0
    assert outbox.offer([delivery("big", 500)]) == 1
    assert drained(outbox) == ["big"]


def test_discarding_keeps_the_count_of_bytes() -> None:
    """What is dropped for a right that is gone frees its room."""
    outbox = Outbox(1000)
    outbox.offer([delivery(name) for name in "abc"])
    assert outbox.discard(lambda one: one.message.payload.startswith(b"b")) == 1
    assert outbox.size == 200
    assert drained(outbox) == ["a", "c"]


def test_a_memory_queue_is_crowded_until_half_of_it_has_drained() -> None:
    """[MQTT-4.6.0-6]: nothing of QoS 1 and 2 is dropped; whoever feeds it is held instead."""
    queue = MemoryQueue(400)
    queue.offer([delivery(name, qos=1) for name in "abcd"])
    assert not queue.is_crowded
    queue.offer([delivery("e", qos=1)])
    assert queue.is_crowded
    assert [queue.pop().message.payload[:1] for _ in range(2)] == [b"a", b"b"]
    assert queue.is_crowded
    queue.pop()
    assert not queue.is_crowded
    assert drained(queue) == ["d", "e"]
    assert queue.head() is None


def test_a_memory_queue_has_a_hard_cap() -> None:
    """A subscriber that many feed at once cannot take the daemon's memory; one message may be as large as it likes."""
    queue = MemoryQueue(100)
    queue.offer([delivery("big", 5000, qos=1)])
    assert not queue.has_overflowed
    queue.offer([delivery("a", qos=1)])
    assert queue.has_overflowed


def test_discarding_from_a_memory_queue_may_relieve_it() -> None:
    """What is dropped for a right that is gone holds nobody."""
    queue = MemoryQueue(100)
    queue.offer([delivery(name, qos=1) for name in "ab"])
    assert queue.is_crowded
    assert queue.discard(lambda one: one.message.payload.startswith(b"a")) == 1
    assert not queue.is_crowded
    assert drained(queue) == ["b"]
