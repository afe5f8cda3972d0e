from pathlib import Path

from actors.log.folders import delete_partition, partitions_in, sweep_deleted
from actors.records import TopicPartition
from tests.actors.log.parts import append, open_log, records


def test_partitions_are_found_and_deleted(tmp_path: Path) -> None:
    """Only partitions count, and deleting one leaves the others."""
    assert partitions_in(tmp_path / "missing") == []
    for name in ("b-1", "a-x-0", "b-0", "other", "c-0.deleted"):
        (tmp_path / name).mkdir()
    (tmp_path / "file-0").touch()
    append(open_log(tmp_path / "b-1"), records(3))
    assert partitions_in(tmp_path) == [("a-x", 0), ("b", 0), ("b", 1)]
    delete_partition(tmp_path, TopicPartition("b", 1))
    delete_partition(tmp_path, TopicPartition("b", 7))
    assert partitions_in(tmp_path) == [("a-x", 0), ("b", 0)]
    assert sweep_deleted(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-x-0", "b-0", "file-0", "other"]


def test_a_partition_that_comes_again_is_empty(tmp_path: Path) -> None:
    """A topic of the same name finds nothing of the deleted one, even where a deletion was interrupted."""
    (tmp_path / "t-0.deleted").mkdir()
    append(open_log(tmp_path / "t-0"), records(3))
    delete_partition(tmp_path, TopicPartition("t", 0))
    log = open_log(tmp_path / "t-0")
    assert (log.view.start_offset, log.next_offset) == (0, 0)
