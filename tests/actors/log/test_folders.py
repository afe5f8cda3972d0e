from pathlib import Path

from actors.log.folders import delete_records, partitions_in
from tests.actors.log.parts import append, open_log, plain, read_all, records


def test_only_partitions_are_found(tmp_path: Path) -> None:
    """Folders of partitions count, by topic and number; nothing else does."""
    assert partitions_in(tmp_path / "missing") == []
    for name in ("b-1", "a-x-0", "b-0", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "file-0").touch()
    assert partitions_in(tmp_path) == [("a-x", 0), ("b", 0), ("b", 1)]


def test_deleted_records_are_gone_and_their_offsets_never_come_again(tmp_path: Path) -> None:
    """A topic of the same name finds nothing of the deleted one, and goes on where its offsets ended."""
    folder = tmp_path / "t-0"
    assert not delete_records(folder)
    log = open_log(folder)
    append(log, records(3))
    log.roll()
    append(log, records(2, 3))
    log.close()
    assert delete_records(folder)
    assert sum(path.stat().st_size for path in folder.glob("*.log")) == 0
    log = open_log(folder)
    assert (log.view.start_offset, log.next_offset) == (5, 5)
    append(log, records(1, 5))
    assert plain(read_all(log, 5)[0]) == records(1, 5)
