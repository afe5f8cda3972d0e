import pytest
from aiokafka.partitioner import murmur2

from actors.topic_partition.partitioner import partition_for_key
from actors.topic_partition.topic import TopicReference

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", VECTORS)
def test_keys_hash_as_in_kafka(key: bytes) -> None:
    """Murmur2 gives Kafka's own test values, and the partition is their positive part modulo the count."""
    assert (murmur2(key) ^ 0x80000000) - 0x80000000 == VECTORS[key]
    for partitions in (1, 2, 4, 50):
        assert partition_for_key(key, partitions) == (VECTORS[key] & 0x7FFFFFFF) % partitions


def test_records_without_a_key_go_round() -> None:
    """Each partition gets its share of what has no key; a key always leads to the same one."""
    topic = TopicReference("t", 3, 100)
    assert [topic.partition_for(None) for _ in range(6)] == [0, 1, 2, 0, 1, 2]
    assert {topic.partition_for(b"foobar") for _ in range(6)} == {(-790332482 & 0x7FFFFFFF) % 3}
