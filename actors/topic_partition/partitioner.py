"""Which partition a key belongs to: exactly as Kafka's default partitioner says."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_for_key(key: bytes, partitions: int) -> int:
    """Murmur2 of the key, made positive as Kafka's `Utils.toPositive` does, modulo the number of partitions."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
