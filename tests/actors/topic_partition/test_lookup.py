"""What one may ask of a living partition besides its records."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.errors import ActorGone
from actors.topic_partition.messages import Roll
from tests.actors.log.parts import NOW, records
from tests.actors.topic_partition.parts import running

START = int(NOW * 1000)


async def test_times_offsets_and_sizes_of_a_living_partition(tmp_path: Path) -> None:
    """Over a roll as within the segment being written: times lead to offsets, offsets to times, and sizes add up."""
    async with running(tmp_path / "t-0") as t:
        for n in range(10):
            await t.append(records(10, 10 * n))
            if n == 4:
                await t.ask(Roll())
        partition = t.partition
        assert [await partition.offset_of(START + n) for n in (-5, 0, 33, 77, 99, 100)] == [0, 0, 33, 77, 99, 100]
        assert [await partition.timestamp_at(n) for n in (0, 33, 99, 100)] == [START, START + 33, START + 99, None]
        size = partition.statistics().size
        assert await partition.bytes_between(0, 100) == size
        assert abs(await partition.bytes_between(60, 100) - 0.4 * size) < 0.2 * size
        assert await partition.bytes_between(100, 100) == 0


async def test_a_living_partition_is_verified(tmp_path: Path) -> None:
    """What is acknowledged is checked while more is appended."""
    async with running(tmp_path / "t-0") as t:
        await t.append(records(10))
        verified = await t.partition.verify()
        assert (verified.flaws, verified.records, verified.end_offset) == (0, 10, 10)


async def test_a_partition_that_has_ended_tells_so(tmp_path: Path) -> None:
    """Nobody is left waiting for a partition that is gone."""
    async with running(tmp_path / "t-0") as t:
        partition = t.partition
    for ask in (partition.offset_of(0), partition.timestamp_at(0), partition.bytes_between(0, 1), partition.verify()):
        with pytest.raises(ActorGone):
            await ask
