from actors.device_session.outbox import OVERHEAD, WINDOW, Delivery, Outbox


def delivery(name: str, size: int = 100) -> Delivery:
    packet = name.encode().ljust(size - OVERHEAD, b".")
    return Delivery("t", name.encode(), packet)


def sent(outbox: Outbox) -> list[str]:
    packets, numbered = outbox.take()
    return [packet.rstrip(b".").decode() for packet in packets] + [one.payload.decode() for one, _ in numbered]


def test_deliveries_come_out_in_order() -> None:
    """Within a QoS the order stays (MQTT-4.6.0-5)."""
    outbox = Outbox(1000)
    for name in "abc":
        assert outbox.offer(delivery(name), 0) == (0, 0)
    for name in "xyz":
        assert outbox.offer(delivery(name), 1) == (0, 0)
    assert sent(outbox) == ["a", "b", "c", "x", "y", "z"]
    assert outbox.size == 0
    assert not outbox.is_ready()


def test_qos_0_drops_the_oldest() -> None:
    """A reader of live values gets the newest."""
    outbox = Outbox(300)
    dropped = [outbox.offer(delivery(name), 0) for name in "abcde"]
    assert dropped == [(0, 0), (0, 0), (0, 0), (1, 0), (1, 0)]
    assert sent(outbox) == ["c", "d", "e"]


def test_qos_1_pushes_out_qos_0_and_is_itself_dropped_when_only_qos_1_stands() -> None:
    """What was promised at least once goes before what was promised at most once; its order has no holes inside."""
    outbox = Outbox(300)
    outbox.offer(delivery("a"), 0)
    assert [outbox.offer(delivery(name), 1) for name in "xyz"] == [(0, 0), (0, 0), (1, 0)]
    assert outbox.offer(delivery("w"), 1) == (0, 1)
    assert outbox.offer(delivery("b"), 0) == (1, 0)
    assert sent(outbox) == ["x", "y", "z"]


def test_a_delivery_larger_than_the_outbox_is_taken_when_nothing_waits() -> None:
    """A bound on what waits is no bound on the size of a message."""
    outbox = Outbox(100)
    assert outbox.offer(delivery("big", 500), 1) == (0, 0)
    assert outbox.offer(delivery("small"), 1) == (0, 1)
    assert sent(outbox) == ["big"]


def test_at_most_a_window_of_qos_1_is_under_way() -> None:
    """A subscriber that does not acknowledge gets no more; each PUBACK lets one more out."""
    outbox = Outbox(1_000_000)
    for number in range(WINDOW + 2):
        outbox.offer(delivery(str(number)), 1)
    _, numbered = outbox.take()
    assert [packet_id for _, packet_id in numbered] == list(range(1, WINDOW + 1))
    assert not outbox.is_ready()
    assert outbox.acknowledge(5)
    assert not outbox.acknowledge(5)
    assert outbox.is_ready()
    _, numbered = outbox.take()
    assert [(one.payload, packet_id) for one, packet_id in numbered] == [(str(WINDOW).encode(), WINDOW + 1)]


def test_packet_ids_wrap_around_and_skip_those_under_way() -> None:
    """An id is not used again before its PUBACK (MQTT-2.3.1-4), and never 0 (MQTT-2.3.1-1)."""
    outbox = Outbox(1_000_000)
    outbox.offer(delivery("first"), 1)
    _, [(_, held)] = outbox.take()
    used = []
    for _ in range(65_536):
        outbox.offer(delivery("x"), 1)
        _, [(_, packet_id)] = outbox.take()
        outbox.acknowledge(packet_id)
        used.append(packet_id)
    assert held == 1
    assert held not in used
    assert set(used) == set(range(2, 65_536))


def test_one_take_brings_about_one_send() -> None:
    """What does not fit into one write stays where it is counted."""
    outbox = Outbox(10_000_000)
    for _ in range(10):
        outbox.offer(delivery("x", 30_000), 0)
    packets, _ = outbox.take()
    assert len(packets) == 3
    assert outbox.size == 7 * 30_000
