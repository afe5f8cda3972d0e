from pathlib import Path

import pytest

from actors.errors import StorageError
from actors.log.backup import copy_partition
from tests.actors.log.parts import append, open_log, plain, read_all, records


def filled(folder: Path) -> None:
    log = open_log(folder)
    for n in range(0, 60, 10):
        append(log, records(10, n))
        if n % 20:
            log.roll()
    log.close()


@pytest.mark.parametrize("high_watermark", [10, 20, 30, 60])
def test_a_copy_holds_what_is_below_the_high_watermark(tmp_path: Path, high_watermark: int) -> None:
    """A copy opens as a log of its own, with the records below the high watermark and the offsets going on there."""
    filled(tmp_path / "t-0")
    copied = copy_partition(tmp_path / "t-0", tmp_path / "copy" / "t-0", high_watermark)
    log = open_log(tmp_path / "copy" / "t-0")
    found, damage = read_all(log)
    assert plain(found) == records(high_watermark)
    assert not damage
    assert copied == log.size
    assert append(log, records(1)) == high_watermark


def test_a_copy_of_nothing_goes_on_where_the_source_is(tmp_path: Path) -> None:
    """A partition whose records are all gone keeps its offsets in the copy."""
    (tmp_path / "t-0").mkdir()
    copy_partition(tmp_path / "t-0", tmp_path / "copy-0", 77)
    assert open_log(tmp_path / "copy-0").next_offset == 77


def test_segments_that_vanish_meanwhile_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What retention deletes during the copy, and all before it, is not in the copy."""
    filled(tmp_path / "t-0")
    monkeypatch.setattr("actors.log.backup.segment_offsets", lambda _: [0, 10, 20, 40])
    copy_partition(tmp_path / "t-0", tmp_path / "copy-0", 60)
    log = open_log(tmp_path / "copy-0")
    assert log.view.start_offset == 20
    assert plain(read_all(log)[0]) == records(40, 20)


def test_an_existing_target_is_not_written_to(tmp_path: Path) -> None:
    """A copy never mixes with what is there."""
    filled(tmp_path / "t-0")
    (tmp_path / "copy-0").mkdir()
    with pytest.raises(StorageError, match="cannot be copied"):
        copy_partition(tmp_path / "t-0", tmp_path / "copy-0", 60)
