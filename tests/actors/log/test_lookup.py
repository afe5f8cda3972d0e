"""Times and sizes are found through the indexes, which are believed only as far as the log agrees."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from actors.log.batch import build_batches
from actors.log.disk import Disk
from actors.log.lookup import LogLookup
from actors.log.names import TIME_INDEX, segment_path
from actors.records import Record
from tests.actors.log.parts import NOW, QuickDisk, append, flip, log_file, open_log, records

START = int(NOW * 1000)


class CountingDisk(QuickDisk):
    """A disk that counts what is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.bytes = 0

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        self.reads += 1
        self.bytes += size
        return super().read(descriptor, size, position)


def timed(*timestamps: int) -> list[Record]:
    return [Record(None, b"%d" % each, each) for each in timestamps]


def test_a_time_is_found_by_a_few_reads(tmp_path: Path) -> None:
    """In thousands of batches over several segments, a look-up reads dozens of times and bytes, and does not scan."""
    log = open_log(tmp_path / "t-0", QuickDisk())
    for n in range(4000):
        append(log, records(1, n), sync=False)
        if n % 1500 == 1499:
            log.roll()
    for wanted in (0, 1, 700, 1499, 1500, 2222, 3999):
        disk = CountingDisk()
        assert LogLookup(disk).offset_of(log.view, START + wanted) == wanted
        assert disk.reads < 50
        assert disk.bytes < 5000
    assert LogLookup(Disk()).offset_of(log.view, START + 4000) == 4000


def test_records_out_of_the_order_of_their_times(tmp_path: Path) -> None:
    """The first record at or after a time is the first by offset, wherever later ones are earlier in time."""
    log = open_log(tmp_path / "t-0", QuickDisk())
    append(log, timed(10, 50, 20))
    append(log, timed(30, 5))
    log.roll()
    append(log, timed(7, 60, 8))
    lookup = LogLookup(Disk())
    found = {timestamp: lookup.offset_of(log.view, timestamp) for timestamp in (0, 10, 11, 50, 51, 60, 61)}
    assert found == {0: 0, 10: 0, 11: 1, 50: 1, 51: 6, 60: 6, 61: 8}


def test_an_empty_log_has_no_times(tmp_path: Path) -> None:
    """Where nothing is written, a time leads to the end, an offset to no time, and no bytes lie anywhere."""
    view = open_log(tmp_path / "t-0", QuickDisk()).view
    lookup = LogLookup(Disk())
    assert (lookup.offset_of(view, 0), lookup.timestamp_at(view, 0), lookup.bytes_between(view, 0, 5)) == (0, None, 0)


def test_times_of_offsets(tmp_path: Path) -> None:
    """An offset in the middle of a batch has the time of its own record."""
    log = open_log(tmp_path / "t-0", QuickDisk())
    append(log, timed(10, 50, 20))
    append(log, timed(30))
    lookup = LogLookup(Disk())
    assert [lookup.timestamp_at(log.view, offset) for offset in range(5)] == [10, 50, 20, 30, None]


def test_damage_is_passed_by(tmp_path: Path) -> None:
    """A damaged batch counts as though it were not there."""
    log = open_log(tmp_path / "t-0", QuickDisk())
    ends = []
    for n in range(5):
        append(log, records(3, 3 * n))
        ends.append(log.size)
    flip(log_file(tmp_path / "t-0"), ends[1] + 70)
    lookup = LogLookup(Disk())
    assert lookup.offset_of(log.view, START + 7) == 9
    assert lookup.timestamp_at(log.view, 7) == START + 9


@pytest.mark.parametrize("entry", [(START + 900, 3), (START + 10, 900), (-5, -5), (START + 99, 2**30)])
def test_a_wrong_entry_is_not_believed(tmp_path: Path, entry: tuple[int, int]) -> None:
    """A time index that its batches do not agree with costs a scan, and never a wrong answer."""
    log = open_log(tmp_path / "t-0", QuickDisk())
    for n in range(100):
        append(log, records(1, n))
    log.roll()
    append(log, records(1, 100))
    segment_path(tmp_path / "t-0", 0, TIME_INDEX).write_bytes(struct.pack(">qi", *entry))
    for wanted in (0, 50, 99, 100):
        assert LogLookup(Disk()).offset_of(log.view, START + wanted) == wanted
    again = open_log(tmp_path / "t-0", QuickDisk())
    assert again.view.segments[0].max_timestamp == START + 99


def test_the_newest_time_outlives_what_is_taken_back(tmp_path: Path) -> None:
    """The time index never names a batch that a failed write or sync took away."""
    path = tmp_path / "t-0"
    log = open_log(path, QuickDisk())
    append(log, timed(10))
    mark = log.active.mark()
    log.active.accept(build_batches(timed(99), 1)[0].header)
    log.active.revert(mark)
    append(log, timed(20))
    log.close()
    assert segment_path(path, 0, TIME_INDEX).read_bytes()[-12:] == struct.pack(">qi", 20, 1)


def test_bytes_between_offsets(tmp_path: Path) -> None:
    """The estimate adds up to the log's size, is nothing where nothing lies, and is near in between."""
    log = open_log(tmp_path / "t-0", QuickDisk())
    for n in range(300):
        append(log, records(1, n))
        if n in (120, 250):
            log.roll()
    lookup = LogLookup(Disk())
    assert lookup.bytes_between(log.view, 0, 300) == log.size
    assert lookup.bytes_between(log.view, 300, 300) == 0
    each = log.size / 300
    for start, end in ((0, 100), (50, 299), (130, 131), (260, 280), (119, 260)):
        assert abs(lookup.bytes_between(log.view, start, end) - each * (end - start)) < 3 * each
