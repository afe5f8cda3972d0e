import pytest

from actors.errors import ActorGone
from actors.topic_partition.messages import Roll
from actors.topic_partition.topic import TopicReference, Topics


def test_each_change_raises_the_version() -> None:
    """Whoever keeps plans by version learns of each added, removed or changed topic, and of nothing else."""
    topics = Topics()
    versions = [topics.version]
    topic = TopicReference("t", 2, 100)
    topics.add(topic)
    versions.append(topics.version)
    assert topics.get("t") is topic
    assert list(topics) == [topic]
    topic.grow(4)
    topics.changed()
    versions.append(topics.version)
    topics.remove("t")
    versions.append(topics.version)
    assert topics.get("t") is None
    assert versions == sorted(set(versions))
    topics.remove("t")
    assert topics.version == versions[-1]


async def test_an_unopened_partition_is_gone() -> None:
    """Before its actor has opened, a partition answers everything with ActorGone, and nobody hangs."""
    [partition] = TopicReference("t", 1, 100).partitions
    with pytest.raises(ActorGone):
        partition.submit(Roll())
    with pytest.raises(ActorGone):
        await partition.fetch(0, 100)
    with pytest.raises(ActorGone):
        await partition.wait_appended(0)
    with pytest.raises(ActorGone):
        _ = partition.high_watermark
    with pytest.raises(ActorGone):
        _ = partition.start_offset
    assert not partition.statistics().alive


def test_partitions_are_never_lowered() -> None:
    """Growing keeps the partitions there are."""
    topic = TopicReference("t", 2, 100)
    before = list(topic.partitions)
    topic.grow(1)
    topic.grow(3)
    assert topic.partitions[:2] == before
    assert [str(partition.partition) for partition in topic.partitions] == ["t-0", "t-1", "t-2"]
