from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actors.errors import AppendRefusedError, OffsetOutOfRangeError, StorageError
from actors.log.disk import Disk
from actors.log.log import LogLimits
from actors.log.reader import LogReader
from tests.actors.log.parts import (
    EIO,
    ENOSPC,
    NOW,
    Clock,
    FaultyDisk,
    append,
    log_file,
    open_log,
    plain,
    read_all,
    records,
)


def test_one_append_is_one_sync(tmp_path: Path) -> None:
    """However many records an append brings, the disk is asked to sync once."""
    disk = FaultyDisk()
    log = open_log(tmp_path / "t-0", disk)
    before = disk.syncs
    append(log, records(1000))
    assert disk.syncs == before + 1
    assert log.sync_times.count == 1


def test_short_writes_are_completed(tmp_path: Path) -> None:
    """A disk that takes a few bytes at a time gets the rest."""
    disk = FaultyDisk()
    disk.write_limit = 33
    log = open_log(tmp_path / "t-0", disk)
    append(log, records(20))
    assert plain(read_all(log)[0]) == records(20)


def test_a_failed_write_keeps_nothing_of_the_batch(tmp_path: Path) -> None:
    """A write that fails half way is cut back to the last acknowledged batch, and the next ones are refused."""
    disk, clock = FaultyDisk(), Clock()
    log = open_log(tmp_path / "t-0", disk, clock)
    append(log, records(10))
    whole = log.size
    disk.write_error, disk.write_limit = ENOSPC, 50
    with pytest.raises(AppendRefusedError, match="No space left"):
        append(log, records(10, 10))
    assert log_file(tmp_path / "t-0").stat().st_size == whole
    assert log.fault
    disk.write_error, disk.write_limit = 0, None
    with pytest.raises(AppendRefusedError):
        append(log, records(10, 10))
    clock.now += 1.1
    assert append(log, records(10, 10)) == 10
    assert not log.fault
    assert plain(read_all(log)[0]) == records(20)
    assert len(log.view.segments) == 1


def test_appends_stay_refused_until_a_probe_succeeds(tmp_path: Path) -> None:
    """A disk that goes on failing is tried at most once a second, and the log stays closed to appends."""
    disk, clock = FaultyDisk(), Clock()
    log = open_log(tmp_path / "t-0", disk, clock)
    append(log, records(10))
    disk.write_error = ENOSPC
    for _ in range(5):
        clock.now += 1.1
        with pytest.raises(AppendRefusedError):
            append(log, records(10, 10))
    assert log.view.end_offset == 10
    assert not (tmp_path / "t-0" / "probe").exists()


def test_a_tail_that_cannot_be_cut_is_cut_before_anything_else_is_written(tmp_path: Path) -> None:
    """While the torn end of a failed write is still there, nothing is appended."""
    disk, clock = FaultyDisk(), Clock()
    log = open_log(tmp_path / "t-0", disk, clock)
    append(log, records(10))
    disk.write_error, disk.write_limit, disk.truncate_error = ENOSPC, 50, EIO
    with pytest.raises(AppendRefusedError):
        append(log, records(10, 10))
    disk.write_error, disk.write_limit = 0, None
    clock.now += 1.1
    with pytest.raises(AppendRefusedError, match="tried again"):
        append(log, records(10, 10))
    disk.truncate_error = 0
    clock.now += 1.1
    append(log, records(10, 10))
    assert plain(read_all(open_log(tmp_path / "t-0"))[0]) == records(20)


def test_a_failed_sync_is_given_up_and_rolled(tmp_path: Path) -> None:
    """What was not synced is cut off, never synced again, and appends go on in a new file at the same offset."""
    disk, clock = FaultyDisk(), Clock()
    log = open_log(tmp_path / "t-0", disk, clock)
    append(log, records(10))
    whole = log.size
    disk.sync_error = EIO
    with pytest.raises(StorageError, match="fdatasync failed"):
        append(log, records(10, 10))
    assert log.view.end_offset == 10
    assert log_file(tmp_path / "t-0").stat().st_size == whole
    disk.sync_error = 0
    clock.now += 1.1
    assert append(log, records(5, 70)) == 10
    assert log.active.base_offset == 10
    expected = [*records(10), *records(5, 70)]
    assert plain(read_all(log)[0]) == expected
    assert plain(read_all(open_log(tmp_path / "t-0"))[0]) == expected


def test_a_sync_that_fails_once_rolls_at_once(tmp_path: Path) -> None:
    """A disk that works again right after a failed sync is written on, in a new segment."""

    class Once(FaultyDisk):
        def sync(self, descriptor: int) -> None:
            failing, self.sync_error = self.sync_error, 0
            if failing:
                raise OSError(failing, "once")
            super().sync(descriptor)

    disk = Once()
    log = open_log(tmp_path / "t-0", disk)
    append(log, records(10))
    disk.sync_error = EIO
    with pytest.raises(StorageError):
        append(log, records(10, 10))
    assert append(log, records(10, 10)) == 10
    assert [segment.base_offset for segment in log.view.segments] == [0, 10]


def test_a_failed_sync_of_an_empty_segment_reuses_its_name(tmp_path: Path) -> None:
    """Where nothing was kept the new segment takes the old one's place, as a new file."""
    disk, clock = FaultyDisk(), Clock()
    log = open_log(tmp_path / "t-0", disk, clock)
    inode = log_file(tmp_path / "t-0").stat().st_ino
    held = log.active.file
    disk.sync_error = EIO
    with pytest.raises(StorageError):
        append(log, records(10))
    disk.sync_error = 0
    clock.now += 1.1
    append(log, records(10))
    assert log_file(tmp_path / "t-0").stat().st_ino != inode
    assert plain(read_all(log)[0]) == records(10)
    del held


def test_unsynced_records_that_are_lost_are_named_and_leave_a_gap(tmp_path: Path) -> None:
    """Without sync, a failed flush says which acknowledged offsets may be lost, and none of them comes again."""
    disk, clock = FaultyDisk(), Clock()
    log = open_log(tmp_path / "t-0", disk, clock)
    append(log, records(10), sync=False)
    log.sync()
    append(log, records(10, 10), sync=False)
    assert log.unsynced
    disk.sync_error = EIO
    with capture_logs() as events, pytest.raises(StorageError):
        log.sync()
    [lost] = [event for event in events if "may be lost" in event["event"]]
    assert (lost["first_offset"], lost["next_offset"]) == (10, 20)
    syncs = disk.syncs
    with pytest.raises(AppendRefusedError):
        log.sync()
    assert disk.syncs == syncs
    disk.sync_error = 0
    clock.now += 1.1
    assert append(log, records(5, 20), sync=False) == 20
    found, [error] = read_all(log)
    assert plain(found) == [*records(10), *records(5, 20)]
    assert error.resume == 20


def test_the_reserve_is_kept_free(tmp_path: Path) -> None:
    """Appends are refused while free space is under the reserve, and taken again once it is not; reads go on."""
    disk, clock = FaultyDisk(), Clock()
    log = open_log(tmp_path / "t-0", disk, clock, LogLimits(reserve_bytes=1000, reserve_percent=0))
    append(log, records(10))
    disk.free = 1100
    clock.now += 1.1
    with pytest.raises(AppendRefusedError, match="1100 bytes are free, 1000 are kept in reserve"):
        append(log, records(10, 10))
    assert plain(read_all(log)[0]) == records(10)
    disk.free = 1_000_000
    assert append(log, records(10, 10)) == 10


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    """One line when a log begins to refuse for want of space and one when there is room, whatever comes between."""
    disk, clock = FaultyDisk(), Clock()
    log = open_log(tmp_path / "t-0", disk, clock, LogLimits(reserve_bytes=1000, reserve_percent=0))
    with capture_logs() as told:
        for disk.free in (1100, 1100, 3000, 1100, 1 << 30, 1 << 30):
            clock.now += 1.1
            with suppress(AppendRefusedError):
                append(log, records(10, log.next_offset))
    assert [(event["log_level"], event["folder"]) for event in told] == [
        ("error", str(tmp_path / "t-0")),
        ("info", str(tmp_path / "t-0")),
    ]


def test_the_reserve_may_be_a_part_of_the_disk(tmp_path: Path) -> None:
    """The larger of bytes and percent counts."""
    disk = FaultyDisk()
    disk.free = 1 << 30
    log = open_log(tmp_path / "t-0", disk, limits=LogLimits(reserve_bytes=1000, reserve_percent=1.0))
    with pytest.raises(AppendRefusedError):
        append(log, records(10))


def test_rolling_an_empty_segment_changes_nothing(tmp_path: Path) -> None:
    """A roll without anything to roll keeps the segment."""
    log = open_log(tmp_path / "t-0")
    assert log.roll() == 0
    append(log, records(3))
    assert log.roll() == 3
    assert log.roll() == 3
    assert [segment.base_offset for segment in log.view.segments] == [0, 3]


def test_retention_deletes_whole_segments(tmp_path: Path) -> None:
    """Segments over the bytes go, oldest first, with their indexes; offsets below them are out of range."""
    log = open_log(tmp_path / "t-0")
    for n in range(0, 40, 10):
        append(log, records(10, n))
        log.roll()
    size = log.view.segments[0].size
    view = log.view
    assert log.retain(NOW, 72, size * 2 + 100) == 2
    assert log.view.start_offset == 20
    assert len(list((tmp_path / "t-0").glob("*.index"))) == len(log.view.segments) - 1
    with pytest.raises(OffsetOutOfRangeError) as error:
        LogReader(Disk()).fetch(log.view, 5, 100)
    assert error.value.start == 20
    with pytest.raises(OffsetOutOfRangeError):
        LogReader(Disk()).fetch(view, 5, 100)
    assert plain(read_all(log)[0]) == records(20, 20)


def test_retention_by_age_rolls_what_is_wholly_too_old(tmp_path: Path) -> None:
    """Once even the newest record is too old everything goes, and the offsets go on."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    assert log.retain(NOW + 3599, 1, None) == 0
    assert log.retain(NOW + 3602, 1, None) == 1
    assert (log.view.start_offset, log.view.end_offset) == (10, 10)
    log.close()
    assert append(open_log(tmp_path / "t-0"), records(1)) == 10


def test_a_reader_finishes_what_retention_deletes(tmp_path: Path) -> None:
    """A segment that is deleted stays readable for those who opened it before."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    file = log.view.segments[0].open()
    log.roll()
    log.retain(NOW + 10_000, 1, None)
    assert Disk().read(file.descriptor, 61, 0)


def test_an_end_is_published_not_what_lies_in_the_file(tmp_path: Path) -> None:
    """A view ends where it ended, whatever is written behind it."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    view = log.view
    append(log, records(10, 10))
    fetched = LogReader(Disk()).fetch(view, 0, 1 << 20)
    assert (fetched.next_offset, fetched.high_watermark) == (10, 10)
    assert plain(fetched.records()) == records(10)


def test_a_batch_larger_than_asked_comes_alone(tmp_path: Path) -> None:
    """A reader that takes few bytes still gets on."""
    log = open_log(tmp_path / "t-0")
    append(log, records(3, size=5000))
    append(log, records(3, 3))
    fetched = LogReader(Disk()).fetch(log.view, 0, 10)
    assert (fetched.next_offset, len(fetched.batches)) == (3, 1)
    assert fetched.size > 15_000


def test_a_disk_that_cannot_be_read_is_not_damage(tmp_path: Path) -> None:
    """A read error is the disk's, and is told as such."""
    disk = FaultyDisk()
    log = open_log(tmp_path / "t-0")
    append(log, records(3))
    disk.read_error = EIO
    with pytest.raises(StorageError, match="cannot be read"):
        LogReader(disk).fetch(log.view, 0, 100)


@pytest.mark.parametrize("offset", [-1, 11])
def test_offsets_outside_are_out_of_range(tmp_path: Path, offset: int) -> None:
    """Below the first and above the next offset there is nothing to read; at the next one there is nothing yet."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    with pytest.raises(OffsetOutOfRangeError) as error:
        LogReader(Disk()).fetch(log.view, offset, 100)
    assert error.value.start == 0
    assert LogReader(Disk()).fetch(log.view, 10, 100).records() == []
