import struct
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actors.errors import StorageError
from actors.log.batch import build_batches
from actors.log.disk import Disk
from actors.log.names import OFFSET_INDEX, RECOVERY_POINT, TIME_INDEX, segment_path
from actors.log.verify import verify_folder, verify_view
from tests.actors.log.parts import (
    EIO,
    FaultyDisk,
    QuickDisk,
    append,
    flip,
    log_file,
    open_log,
    plain,
    read_all,
    records,
)


def forget_point(folder: Path) -> None:
    (folder / RECOVERY_POINT).unlink()


def test_a_closed_log_opens_as_it_was(tmp_path: Path) -> None:
    """Offsets, segments and records survive a close, and appends go on behind them."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    log.roll()
    append(log, records(10, 10))
    log.close()
    again = open_log(tmp_path / "t-0")
    assert append(again, records(5, 20)) == 20
    found, damage = read_all(again)
    assert plain(found) == records(25)
    assert not damage


def test_an_unclean_end_loses_nothing_whole(tmp_path: Path) -> None:
    """A log that was never closed is recovered to its last whole batch, without its indexes."""
    log = open_log(tmp_path / "t-0")
    for n in range(30):
        append(log, records(1, n), sync=False)
    del log
    again = open_log(tmp_path / "t-0")
    assert again.next_offset == 30
    assert plain(read_all(again)[0]) == records(30)


def test_a_torn_tail_is_cut_and_told(tmp_path: Path) -> None:
    """A bad end with no whole batch behind it is cut off, and the log says how much that was."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    whole = log.size
    append(log, records(10, 10))
    forget_point(tmp_path / "t-0")
    path = log_file(tmp_path / "t-0")
    with path.open("r+b") as file:
        file.truncate(whole + 70)
    with capture_logs() as events:
        again = open_log(tmp_path / "t-0")
    assert again.next_offset == 10
    assert path.stat().st_size == whole
    [event] = events
    assert (event["event"], event["bytes"], event["next_offset"]) == ("Cut a torn tail off a log", 70, 10)
    assert append(again, records(1)) == 10


def test_zeros_at_the_end_are_a_torn_tail(tmp_path: Path) -> None:
    """A file system that extended the file but lost the data leaves zeros: they are cut."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    with log_file(tmp_path / "t-0").open("ab") as file:
        file.write(bytes(5000))
    assert open_log(tmp_path / "t-0").next_offset == 10
    assert log_file(tmp_path / "t-0").stat().st_size == log.size


@pytest.mark.parametrize("keep_point", [True, False])
def test_damage_in_the_middle_is_kept_and_told(tmp_path: Path, *, keep_point: bool) -> None:
    """Where whole batches follow a bad one nothing is cut, and readers learn which offsets are lost."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    position = log.size
    append(log, records(10, 10))
    append(log, records(10, 20))
    size = log.size
    if not keep_point:
        forget_point(tmp_path / "t-0")
    flip(log_file(tmp_path / "t-0"), position + 100)
    again = open_log(tmp_path / "t-0")
    assert (again.next_offset, again.size) == (30, size)
    found, [error] = read_all(again)
    assert plain(found) == [*records(10), *records(10, 20)]
    assert error.resume == 20
    assert str(log_file(tmp_path / "t-0")) in str(error)
    assert "offsets 10 to 19" in str(error)


@pytest.mark.parametrize("length", [61, 100, 5000, 100_000])
def test_a_wrong_length_does_not_hide_what_follows(tmp_path: Path, length: int) -> None:
    """A length that leads too near, too far or past the end of the file does not make acknowledged records a tail."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    position = log.size
    for n in range(10, 40, 10):
        append(log, records(10, n))
    forget_point(tmp_path / "t-0")
    with log_file(tmp_path / "t-0").open("r+b") as file:
        file.seek(position + 8)
        file.write(struct.pack(">i", length - 12))
    found, damage = read_all(open_log(tmp_path / "t-0"))
    assert plain(found) == [*records(10), *records(20, 20)]
    assert [error.resume for error in damage] == [20]


def test_a_batch_as_payload_is_not_taken_for_one(tmp_path: Path) -> None:
    """A torn record whose value is itself a batch, of offsets to come, is a torn tail all the same."""
    [inner] = build_batches(records(3), 500)
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    whole = log.size
    append(log, [records(1)[0]._replace(value=bytes(100) + bytes(inner.data) + bytes(1000))])
    forget_point(tmp_path / "t-0")
    with log_file(tmp_path / "t-0").open("r+b") as file:
        file.truncate(log.size - 300)
    assert open_log(tmp_path / "t-0").next_offset == 10
    assert log_file(tmp_path / "t-0").stat().st_size == whole


def test_synced_records_that_vanished_leave_a_gap(tmp_path: Path) -> None:
    """What was synced and is gone is never taken for a torn tail: no offset is given out twice."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    whole = log.size
    append(log, records(10, 10))
    with log_file(tmp_path / "t-0").open("r+b") as file:
        file.truncate(whole + 30)
    again = open_log(tmp_path / "t-0")
    assert append(again, records(5, 20)) == 20
    found, [error] = read_all(again)
    assert plain(found) == [*records(10), *records(5, 20)]
    assert error.resume == 20
    assert log_file(tmp_path / "t-0").stat().st_size == whole + 30
    assert plain(read_all(open_log(tmp_path / "t-0"))[0]) == plain(found)


@pytest.mark.parametrize("suffix", [OFFSET_INDEX, TIME_INDEX])
@pytest.mark.parametrize("content", [None, b"nonsense!"])
@pytest.mark.parametrize("base", [0, 50])
def test_indexes_are_rebuilt(tmp_path: Path, suffix: str, content: bytes | None, base: int) -> None:
    """A missing or wrong index, of an old segment or the present one, comes back as it was."""
    log = open_log(tmp_path / "t-0")
    for n in range(50):
        append(log, records(1, n))
    log.roll()
    for n in range(50, 100):
        append(log, records(1, n))
    log.close()
    path = segment_path(tmp_path / "t-0", base, suffix)
    before = path.read_bytes()
    assert before
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    again = open_log(tmp_path / "t-0")
    assert plain(read_all(again)[0]) == records(100)
    again.close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", [OFFSET_INDEX, TIME_INDEX])
@pytest.mark.parametrize("ordered", [True, False])
def test_every_wrong_entry_of_the_last_segment_has_its_index_rebuilt(
    tmp_path: Path, suffix: str, *, ordered: bool
) -> None:
    """Whichever byte of it was flipped: the start finds it, and makes the index as it was.

    What points behind all that was synced is cut off as what a crash may leave; all else is told.
    """
    folder = tmp_path / "t-0"
    log = open_log(folder, QuickDisk())
    for n in range(60):
        # Times that do not rise with each batch leave entries in one index that the other one has not.
        now = records(1, n)[0].timestamp
        append(log, [records(1, n)[0]._replace(timestamp=now if ordered else now + (n * 7) % 11 + n)])
    log.close()
    path = segment_path(folder, 0, suffix)
    before, told = path.read_bytes(), 0
    for position in range(len(before)):
        path.write_bytes(before)
        flip(path, position)
        with capture_logs() as events:
            again = open_log(folder, QuickDisk())
        assert [event["event"] for event in events] in ([], ["Rebuilding the indexes of a segment"])
        told += len(events)
        assert verify_view(again.view, Disk()).flaws == 0 or not events
        assert read_all(again, 33)[0][0].offset == 33
        again.close()
        assert path.read_bytes() == before
        assert verify_folder(folder, Disk()).flaws == 0
    assert told > len(before) * 0.9


def test_an_index_that_is_right_is_not_rebuilt(tmp_path: Path) -> None:
    """A start after a good end leaves the files of both as they are."""
    folder = tmp_path / "t-0"
    log = open_log(folder)
    for n in range(60):
        append(log, records(1, n))
    log.close()
    paths = [segment_path(folder, 0, suffix) for suffix in (OFFSET_INDEX, TIME_INDEX)]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]
    with capture_logs() as events:
        open_log(folder)
    assert events == []
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths] == before


def test_a_lying_index_only_costs_time(tmp_path: Path) -> None:
    """Entries that point between batches lead readers back to the segment's beginning."""
    log = open_log(tmp_path / "t-0")
    for n in range(50):
        append(log, records(1, n))
    log.roll()
    append(log, records(1, 50))
    log.close()
    path = segment_path(tmp_path / "t-0", 0, OFFSET_INDEX)
    entries = list(struct.iter_unpack(">ii", path.read_bytes()))
    path.write_bytes(b"".join(struct.pack(">ii", relative, position - 7) for relative, position in entries))
    assert plain(read_all(open_log(tmp_path / "t-0"), 33)[0]) == records(18, 33)


def test_what_is_left_of_a_failed_sync_gives_way(tmp_path: Path) -> None:
    """Batches that lie past the next segment's first offset are left-overs: they are cut, not read twice."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    log.roll()
    append(log, records(3, 10))
    forget_point(tmp_path / "t-0")
    [stale] = build_batches(records(5, 90), 10)
    with log_file(tmp_path / "t-0").open("ab") as file:
        file.write(stale.data)
    found, damage = read_all(open_log(tmp_path / "t-0"))
    assert plain(found) == records(13)
    assert not damage


def test_left_overs_are_swept_up(tmp_path: Path) -> None:
    """Indexes without their log, and a probe, go."""
    log = open_log(tmp_path / "t-0")
    append(log, records(1))
    log.close()
    for name in ("probe", "00000000000000000777.index", "00000000000000000777.timeindex"):
        (tmp_path / "t-0" / name).write_bytes(b"x")
    open_log(tmp_path / "t-0")
    assert sorted(path.name for path in (tmp_path / "t-0").iterdir()) == [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "recovery-point",
    ]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"%020d 00000000\n" % 5])
def test_an_unreadable_recovery_point_counts_as_none(tmp_path: Path, content: bytes) -> None:
    """A recovery point that is not what was written only makes recovery read everything."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    (tmp_path / "t-0" / RECOVERY_POINT).write_bytes(content)
    assert plain(read_all(open_log(tmp_path / "t-0"))[0]) == records(10)


def test_a_disk_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A log whose files cannot be read does not open as an empty one."""
    log = open_log(tmp_path / "t-0")
    append(log, records(10))
    disk = FaultyDisk()
    disk.read_error = EIO
    with pytest.raises(StorageError, match="cannot be opened"):
        open_log(tmp_path / "t-0", disk)
