"""What is wrong with a partition's files is found and placed, and what is right is left in peace."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from actors.errors import StorageError
from actors.log.disk import Disk
from actors.log.names import OFFSET_INDEX, TIME_INDEX, segment_path
from actors.log.verify import MAX_FLAWS, Verified, repair_indexes, verify_folder, verify_view
from tests.actors.log.parts import EIO, LIMITS, FaultyDisk, QuickDisk, append, flip, log_file, open_log, records


def written(folder: Path, batches: int = 20, roll_after: int = 9) -> list[int]:
    """Write batches of three records, in two segments, and close; the positions at which they end."""
    log = open_log(folder, QuickDisk())
    ends = []
    for n in range(batches):
        append(log, records(3, 3 * n))
        ends.append(log.active.size)
        if n == roll_after:
            log.roll()
    log.close()
    return ends


def flaws(found: Verified) -> list[tuple[str, int, str]]:
    return [(Path(flaw.file).name, flaw.offset, flaw.reason) for flaw in found.described]


def test_a_good_log_has_no_flaws(tmp_path: Path) -> None:
    """Everything is counted, offline and while it is being written."""
    folder = tmp_path / "t-0"
    ends = written(folder)
    size = ends[9] + ends[19]
    for found in (verify_folder(folder, Disk()), verify_view(open_log(folder, QuickDisk()).view, Disk())):
        assert flaws(found) == []
        assert (found.segments, found.batches, found.records, found.bytes) == (2, 20, 60, size)
        assert (found.start_offset, found.end_offset, found.torn_bytes) == (0, 60, 0)


def test_an_empty_partition_has_no_flaws(tmp_path: Path) -> None:
    """Where nothing is written there is nothing wrong."""
    log = open_log(tmp_path / "t-0", QuickDisk())
    assert verify_view(log.view, Disk()).flaws == 0
    log.close()
    assert verify_folder(tmp_path / "t-0", Disk()).flaws == 0


def test_damage_is_placed_and_what_lies_around_is_checked(tmp_path: Path) -> None:
    """A changed byte is told with its file, position and offsets; the batches around it count as good."""
    folder = tmp_path / "t-0"
    ends = written(folder)
    flip(log_file(folder), ends[3] + 80)
    flip(log_file(folder, 30), ends[15] + 80)
    found = verify_folder(folder, Disk())
    assert found.batches == 18
    assert [(flaw.file, flaw.position, flaw.offset) for flaw in found.described] == [
        (str(log_file(folder)), ends[3], 12),
        (str(log_file(folder, 30)), ends[15], 48),
    ]
    assert "offsets 12 to 14 cannot be read: the CRC-32C does not match" in found.described[0].reason


def test_a_missing_segment_is_a_gap(tmp_path: Path) -> None:
    """Offsets that are in no segment are told."""
    folder = tmp_path / "t-0"
    log = open_log(folder, QuickDisk())
    for n in range(3):
        append(log, records(2, 2 * n))
        log.roll()
    log.close()
    log_file(folder, 2).unlink()
    assert flaws(verify_folder(folder, Disk())) == [(log_file(folder, 4).name, 2, "offsets 2 to 3 are in no segment")]


def test_a_torn_tail_is_no_flaw_and_a_synced_one_is(tmp_path: Path) -> None:
    """What a crash left behind the last batch is told as such; what was synced and is missing is a flaw."""
    folder = tmp_path / "t-0"
    ends = written(folder)
    with log_file(folder, 30).open("ab") as file:
        file.write(b"torn")
    torn = verify_folder(folder, Disk())
    assert (torn.flaws, torn.torn_bytes) == (0, 4)
    with log_file(folder, 30).open("r+b") as file:
        file.truncate(ends[18])
    assert "offsets 57 to 59 had been synced and are missing" in [
        reason for _, _, reason in flaws(verify_folder(folder, Disk()))
    ]
    with log_file(folder, 30).open("r+b") as file:
        file.truncate(ends[18] - 1)
    assert "everything from offset 54 on cannot be read" in flaws(verify_folder(folder, Disk()))[0][2]


@pytest.mark.parametrize(
    ("suffix", "content", "reason"),
    [
        (OFFSET_INDEX, struct.pack(">ii", 5, 7), "points to position 7, where no batch begins"),
        (OFFSET_INDEX, struct.pack(">ii", 5, -7), "points to position -7, where no batch begins"),
        (OFFSET_INDEX, struct.pack(">ii", 5, 99_999), "points to position 99999, where no batch begins"),
        (OFFSET_INDEX, struct.pack(">iiii", 5, 300, 4, 200), "not above the one before it"),
        (OFFSET_INDEX, b"\0" * 7, "the file ends within an entry"),
        (OFFSET_INDEX, None, "the file is missing"),
        (TIME_INDEX, struct.pack(">qi", 5, 2), "says 5 where the largest timestamp so far is"),
        (TIME_INDEX, struct.pack(">qi", 5, 1), "an offset with which no batch ends"),
        (TIME_INDEX, struct.pack(">qi", 5, 30), "speaks of an offset that is not in the segment"),
    ],
)
def test_wrong_indexes_are_found(tmp_path: Path, suffix: str, content: bytes | None, reason: str) -> None:
    """Each entry is held against the batch that it speaks of."""
    folder = tmp_path / "t-0"
    written(folder)
    path = segment_path(folder, 0, suffix)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    found = verify_folder(folder, Disk())
    assert any(name == path.name and reason in told for name, _, told in flaws(found))


def test_a_log_is_checked_while_it_is_written(tmp_path: Path) -> None:
    """Of a log that is being written what is published is checked, and what comes after it is not looked at."""
    folder = tmp_path / "t-0"
    log = open_log(folder, QuickDisk())
    for n in range(300):
        append(log, records(3, 3 * n))
    view = log.view
    for n in range(300, 600):
        append(log, records(3, 3 * n))
    log.roll()
    found = verify_view(view, Disk())
    assert (flaws(found), found.end_offset) == ([], 900)


def test_retention_may_be_faster(tmp_path: Path) -> None:
    """Segments that go while they are being checked are left out."""
    folder = tmp_path / "t-0"
    written(folder)
    view = open_log(folder, QuickDisk()).view
    log_file(folder).unlink()
    found = verify_view(view, Disk())
    assert (flaws(found), found.segments, found.start_offset) == ([], 1, 30)


def test_many_flaws_are_counted(tmp_path: Path) -> None:
    """However much is wrong, only so much of it is described."""
    folder = tmp_path / "t-0"
    ends = written(folder, 400, 1000)
    for end in ends[:-1:2]:
        flip(log_file(folder), end + 80)
    found = verify_folder(folder, Disk())
    assert found.flaws == 200
    assert len(found.described) == MAX_FLAWS


def test_a_disk_that_does_not_read_is_told(tmp_path: Path) -> None:
    """An error of the disk is an error of the check, not a flaw of the log."""
    folder = tmp_path / "t-0"
    written(folder)
    disk = FaultyDisk()
    disk.read_error = EIO
    with pytest.raises(StorageError, match=r"0\.log: cannot be read: Input/output error"):
        verify_folder(folder, disk)
    with pytest.raises(StorageError, match="cannot be read: No such file"):
        verify_folder(tmp_path / "nothing", disk)


@pytest.mark.parametrize("suffix", [OFFSET_INDEX, TIME_INDEX])
@pytest.mark.parametrize("base", [0, 30])
def test_wrong_indexes_are_repaired_and_nothing_else(tmp_path: Path, suffix: str, base: int) -> None:
    """An index is made as it was, from whatever batches there are; the log itself is left as it is, damage and all."""
    folder = tmp_path / "t-0"
    ends = written(folder)
    path = segment_path(folder, base, suffix)
    before = path.read_bytes()
    flip(path, len(before) // 2)
    wrong = verify_folder(folder, Disk())
    assert wrong.wrong_indexes == [base]
    repair_indexes(folder, Disk(), LIMITS.index_interval, wrong.wrong_indexes)
    assert verify_folder(folder, Disk()).flaws == 0
    assert path.read_bytes() == before
    flip(log_file(folder, base), ends[3] + 80)
    path.unlink()
    damaged = log_file(folder, base).read_bytes()
    repair_indexes(folder, Disk(), LIMITS.index_interval, [base])
    assert log_file(folder, base).read_bytes() == damaged
    assert [reason for _, _, reason in flaws(verify_folder(folder, Disk()))] == [
        f"offsets {base + 12} to {base + 14} cannot be read: the CRC-32C does not match"
    ]


def test_a_disk_that_refuses_a_repair_is_told(tmp_path: Path) -> None:
    """With the file, and not with a traceback."""
    folder = tmp_path / "t-0"
    written(folder)
    disk = FaultyDisk()
    disk.write_error = EIO
    with pytest.raises(StorageError, match=r"0\.log: its indexes cannot be made anew"):
        repair_indexes(folder, disk, LIMITS.index_interval, [0])
