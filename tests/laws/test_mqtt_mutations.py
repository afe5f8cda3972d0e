"""Whatever bytes come, the codec answers with packets or Malformed: never an exception, never more memory."""

import os
import random
import tracemalloc

import pytest

from actors.wire.mqtt.packets import Malformed
from actors.wire.mqtt.reader import PacketReader
from tests.laws.mutations import CONNECTS, PACKETS, mutated

COUNT = 1_000_000 if os.environ.get("PENSTOCK_LONG_TESTS") == "1" else 20_000
LIMIT = 4096
PER_CONNECTION = 20
FLAT_BYTES = 256 * 1024


def feed(seed: int, count: int) -> dict[str, int]:
    """Feed mutated packets to connections of their level, cut at random places; counts what they became."""
    chance = random.Random(seed)
    readers = {level: PacketReader(LIMIT, level=level) for level in (3, 4, 5)}
    fed = dict.fromkeys(readers, 0)
    seen: dict[str, int] = {}
    for level, data in mutated(seed, count):
        border = chance.randrange(len(data) + 1)
        packets = [*readers[level].feed(data[:border]), *readers[level].feed(data[border:])]
        for packet in packets:
            seen[type(packet).__name__] = seen.get(type(packet).__name__, 0) + 1
        assert not any(isinstance(packet, Malformed) for packet in packets[:-1])
        fed[level] += 1
        # One in six packets ends half; what follows it is read as the rest of it.
        if (packets and isinstance(packets[-1], Malformed)) or fed[level] % PER_CONNECTION == 0:
            assert len(readers[level]._rest) <= LIMIT
            readers[level] = PacketReader(LIMIT, level=level)
    return seen


@pytest.mark.timeout(1800)
def test_mutated_packets_never_raise() -> None:
    """Mutated packets at each level yield every kind of packet and Malformed, and nothing else ever.

    1,000,000 of them with PENSTOCK_LONG_TESTS=1; memory stays flat (256 KiB) from the first tenth to the last.
    """
    feed(1, 1_000)
    tracemalloc.start(1)
    try:
        seen = feed(2, COUNT // 10)
        before, _ = tracemalloc.get_traced_memory()
        for seed in range(3, 12):
            for kind, count in feed(seed, COUNT // 10).items():
                seen[kind] = seen.get(kind, 0) + count
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < FLAT_BYTES
    assert seen["Malformed"] > COUNT // 10
    assert {type(packet).__name__ for packet in PACKETS + CONNECTS} <= set(seen)
