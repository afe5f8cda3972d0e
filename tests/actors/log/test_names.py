from pathlib import Path

import pytest

from actors.log.names import parse_partition_folder, partition_folder, segment_offsets, segment_path
from actors.records import TopicPartition


@pytest.mark.parametrize("topic", ["t", "with-dash", "ends-0", "a-1-2", "-", "x.y_z"])
@pytest.mark.parametrize("number", [0, 7, 49])
def test_a_folder_names_its_partition(topic: str, number: int) -> None:
    """The folder of any topic, dashes and digits in its name or not, leads back to topic and partition."""
    partition = TopicPartition(topic, number)
    assert parse_partition_folder(partition_folder(Path("x"), partition).name) == partition


@pytest.mark.parametrize("name", ["topic", "topic-", "topic-x", "-3", "topic-01", "topic-1.bak", "lost+found"])
def test_other_folders_are_no_partitions(name: str) -> None:
    """What lies beside partitions is left alone."""
    assert parse_partition_folder(name) is None


def test_segments_are_found_in_order(tmp_path: Path) -> None:
    """Segments are those files whose names are 20 digits, by base offset."""
    for name in (segment_path(tmp_path, 900).name, segment_path(tmp_path, 20).name, "7.log", "recovery-point"):
        (tmp_path / name).touch()
    assert segment_offsets(tmp_path) == [20, 900]
