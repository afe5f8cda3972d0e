"""Laws of a device session, for whatever clients and partitions do."""

from __future__ import annotations

import random
from functools import partial

import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.device_session.intake.inflight import Inflight
from actors.runtime.reply import Reply
from actors.wire.mqtt import encode
from tests.actors.device_session.conftest import BAD, GOOD, IN, OUT, Clients, make_broker, partition


@given(st.lists(st.integers(0, 3), max_size=12), st.randoms(use_true_random=False))
def test_acknowledgements_come_once_each_and_in_order(reads: list[int], chance: random.Random) -> None:
    """Whatever order the appends are answered in: what is acknowledged is a prefix, in the end everything."""
    inflight = Inflight()
    replies: list[Reply[int]] = []
    for number, appends in enumerate(reads):
        waits_for = [Reply[int]() for _ in range(appends)]
        inflight.add([number], waits_for, 1, now=0.0)
        replies += waits_for
    chance.shuffle(replies)
    acknowledged = inflight.take()
    for reply in replies:
        reply.set(0)
        acknowledged += inflight.take()
        assert acknowledged == list(range(len(acknowledged)))
    assert acknowledged == list(range(len(reads)))
    assert inflight.size == 0


packets = st.one_of(
    st.builds(lambda i, p: encode.publish(OUT, p, qos=1, packet_id=i), st.integers(1, 9), st.sampled_from([GOOD, BAD])),
    st.builds(
        lambda topic, qos, retain: encode.publish(topic, GOOD, qos=qos, packet_id=7, retain=retain),
        st.sampled_from([OUT, IN, "x", "sensor/out/lot-2"]),
        st.integers(0, 3),
        st.booleans(),
    ),
    st.builds(
        lambda name, qos: encode.subscribe(3, [(name, qos)]), st.sampled_from([IN, OUT, "#", "+/"]), st.integers(0, 3)
    ),
    st.builds(lambda name: encode.unsubscribe(4, [name]), st.sampled_from([IN, OUT, "#"])),
    st.sampled_from([encode.PINGREQ, encode.DISCONNECT, encode.pubacks([1]), b"\x50\x02\x00\x01"]),
    st.builds(encode.connect, st.sampled_from(["", "lot-1"])),
    st.binary(max_size=20),
)
pieces = st.lists(st.tuples(packets, st.integers(0, 3), st.binary(min_size=1, max_size=2)), max_size=12)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(conversation=pieces, logged_in=st.booleans(), cut=st.integers(1, 50))
def test_no_conversation_disturbs_anybody(
    *, conversation: list[tuple[bytes, int, bytes]], logged_in: bool, cut: int
) -> None:
    """Whatever one client sends, in whatever pieces: no crash, nothing left behind, the others are served."""
    converse = partial(_converse, _damaged(conversation), logged_in=logged_in, cut=cut)
    trio.run(converse, clock=trio.testing.MockClock(autojump_threshold=0.01))


def _damaged(conversation: list[tuple[bytes, int, bytes]]) -> bytes:
    """The packets one after another, some with bytes overwritten."""
    data = bytearray()
    for packet, damage, noise in conversation:
        broken = bytearray(packet)
        if damage == 3 and broken:
            place = len(broken) // 2
            broken[place : place + len(noise)] = noise
        data += broken
    return bytes(data)


async def _converse(data: bytes, *, logged_in: bool, cut: int) -> None:
    broker = make_broker()
    async with trio.open_nursery() as nursery:
        clients = Clients(nursery)
        other = await clients.device(broker, 2)
        client = await clients.device(broker) if logged_in else clients.open(broker)
        try:
            for start in range(0, len(data), cut):
                await client.send(data[start : start + cut])
        except trio.BrokenResourceError:
            pass
        await client.stream.aclose()
        await client.settle()
        assert len(broker.sessions) == 1
        assert not broker.subscriptions.match(IN)
        assert broker.counters.crashes == 0
        assert all(value == GOOD for value in partition(broker).values)
        assert await other.ask(encode.publish("sensor/out/lot-2", GOOD, qos=1, packet_id=5)) == encode.pubacks([5])
        nursery.cancel_scope.cancel()
