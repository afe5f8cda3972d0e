"""Laws of the on-disk log that hold for any input."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.log.disk import Disk
from actors.log.log import Log
from actors.log.lookup import LogLookup
from actors.log.names import RECOVERY_POINT
from actors.log.verify import verify_folder
from actors.records import Record
from tests.actors.log.parts import QuickDisk, append, flip, log_file, open_log, plain, read_all, records
from tests.fakes.record_batches import crc32c, read_batches

BYTES = st.none() | st.binary(max_size=40)
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2).map(tuple)
RECORDS = st.builds(Record, BYTES, BYTES, st.integers(0, 2**50), HEADERS)
COMMITS = st.lists(st.lists(RECORDS, min_size=1, max_size=5), min_size=1, max_size=12)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "t-0"


def write(path: Path, batches: int) -> list[int]:
    """Write batches of three records each; the positions at which they end."""
    log = open_log(path, QuickDisk())
    ends = []
    for n in range(batches):
        append(log, records(3, 3 * n))
        ends.append(log.size)
    return ends


@settings(deadline=None, max_examples=60)
@given(commits=COMMITS, rolls=st.sets(st.integers(0, 11)), max_bytes=st.integers(1, 2000), data=st.data())
def test_what_is_appended_is_fetched(
    commits: list[list[Record]], rolls: set[int], max_bytes: int, data: st.DataObject
) -> None:
    """Any records, over any rolls, come back in order from any offset by any fetch size, also after a restart."""
    with folder() as path:
        log = open_log(path, QuickDisk())
        for number, commit in enumerate(commits):
            append(log, commit)
            if number in rolls:
                log.roll()
        everything = [record for commit in commits for record in commit]
        start = data.draw(st.integers(0, len(everything)))
        for each in (log, open_log(path, QuickDisk())):
            found, damage = read_all(each, start, max_bytes)
            assert plain(found) == everything[start:]
            assert [record.offset for record in found] == list(range(start, len(everything)))
            assert not damage


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_prefix_recovers_to_its_last_whole_batch(data: st.DataObject) -> None:
    """Wherever the last segment is torn, exactly the whole batches before that are kept, and appends go on there."""
    with folder() as path:
        ends = write(path, 6)
        size = data.draw(st.integers(0, ends[-1]))
        (path / RECOVERY_POINT).unlink()
        with log_file(path).open("r+b") as file:
            file.truncate(size)
        whole = 3 * sum(end <= size for end in ends)
        log = open_log(path, QuickDisk())
        assert log.next_offset == whole
        append(log, records(2, whole))
        assert plain(read_all(log)[0]) == records(whole + 2)


@settings(deadline=None, max_examples=150)
@given(data=st.data(), synced=st.booleans())
def test_any_changed_byte_is_found(data: st.DataObject, *, synced: bool) -> None:
    """Whichever byte of a log changes, only its batch is lost, that is told, and all others read as they were written.

    Where nothing says that the last batch was ever synced it is a torn tail, and cut.
    """
    with folder() as path:
        ends = write(path, 5)
        position = data.draw(st.integers(0, ends[-1] - 1))
        if not synced:
            (path / RECOVERY_POINT).unlink()
        flip(log_file(path), position, data.draw(st.integers(1, 255)))
        bad = sum(end <= position for end in ends)
        found, damage = read_all(open_log(path, QuickDisk()))
        expected = [record for n in range(5) if n != bad for record in records(3, 3 * n)]
        assert plain(found) == expected
        torn = bad == 4 and not synced
        assert [error.resume for error in damage] == ([] if torn else [3 * bad + 3])


def test_a_changed_base_offset_is_not_believed() -> None:
    """No CRC covers a batch's base offset: wrong in the first batch it is found all the same."""
    with folder() as path:
        write(path, 5)
        (path / RECOVERY_POINT).unlink()
        flip(log_file(path), 7, 1)
        found, damage = read_all(open_log(path, QuickDisk()))
        assert plain(found) == [record for n in range(1, 5) for record in records(3, 3 * n)]
        assert [error.resume for error in damage] == [3]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_changed_byte_is_found_while_the_log_is_open(data: st.DataObject) -> None:
    """A reader of a living log meets damage as an error with the offset to go on at, never as wrong records."""
    with folder() as path:
        log = open_log(path, QuickDisk())
        ends = []
        for n in range(5):
            append(log, records(3, 3 * n))
            ends.append(log.size)
        position = data.draw(st.integers(0, ends[-1] - 1))
        flip(log_file(path), position, data.draw(st.integers(1, 255)))
        bad = sum(end <= position for end in ends)
        found, damage = read_all(log, max_bytes=data.draw(st.integers(1, 2000)))
        assert plain(found) == [record for n in range(5) if n != bad for record in records(3, 3 * n)]
        assert [error.resume for error in damage] == [3 * bad + 3]


@settings(deadline=None, max_examples=40)
@given(garbage=st.binary(min_size=1, max_size=400))
def test_any_garbage_at_the_end_is_cut(garbage: bytes) -> None:
    """Bytes behind the last batch that are no batch never become records and never stop a start."""
    with folder() as path:
        ends = write(path, 3)
        with log_file(path).open("ab") as file:
            file.write(garbage)
        log = open_log(path, QuickDisk())
        assert (log.next_offset, log.size) == (9, ends[-1])
        assert log_file(path).stat().st_size == ends[-1]


@settings(deadline=None, max_examples=40)
@given(name=st.sampled_from([".index", ".timeindex"]), content=st.none() | st.binary(max_size=100))
def test_no_index_can_make_records_wrong(name: str, content: bytes | None) -> None:
    """Whatever an index file holds, every offset reads the same."""
    with folder() as path:
        log = open_log(path, QuickDisk())
        for n in range(20):
            append(log, records(1, n))
        log.roll()
        append(log, records(1, 20))
        log.close()
        shutil.copytree(path, path.parent / "copy")
        index = log_file(path).with_suffix(name)
        index.unlink()
        if content is not None:
            index.write_bytes(content)
        log = open_log(path, QuickDisk())
        for start in range(21):
            assert plain(read_all(log, start)[0]) == records(21 - start, start)


TIMES = st.integers(0, 30)


@settings(deadline=None, max_examples=80)
@given(
    commits=st.lists(st.lists(TIMES, min_size=1, max_size=4), min_size=1, max_size=15),
    rolls=st.sets(st.integers(0, 14)),
    name=st.sampled_from([".index", ".timeindex", None]),
    content=st.none() | st.binary(max_size=60),
)
@example(commits=[[1], [0]], rolls=set(), name=".timeindex", content=b"")
def test_a_time_leads_to_its_first_offset(
    commits: list[list[int]], rolls: set[int], name: str | None, content: bytes | None
) -> None:
    """Whatever the order of times and whatever became of an index, the first record at or after a time is found."""
    with folder() as path:
        log = open_log(path, QuickDisk())
        for number, commit in enumerate(commits):
            append(log, [Record(None, b"x" * 40, timestamp) for timestamp in commit])
            if number in rolls:
                log.roll()
        log.close()
        times = [timestamp for commit in commits for timestamp in commit]
        for each in (log, _reopened(path, name, content)):
            for timestamp in range(32):
                first = next((n for n, one in enumerate(times) if one >= timestamp), len(times))
                assert LogLookup(Disk()).offset_of(each.view, timestamp) == first
            found = [LogLookup(Disk()).timestamp_at(each.view, offset) for offset in range(len(times))]
            assert found == times


def _reopened(path: Path, name: str | None, content: bytes | None) -> Log:
    """The log after a restart, its first segment's index meddled with."""
    if name is not None:
        index = log_file(path).with_suffix(name)
        index.unlink()
        if content is not None:
            index.write_bytes(content)
    return open_log(path, QuickDisk())


@settings(deadline=None, max_examples=150)
@given(data=st.data(), rolls=st.sets(st.integers(0, 7)))
def test_verifying_finds_any_changed_byte(data: st.DataObject, rolls: set[int]) -> None:
    """Whichever byte of a closed log's segments and indexes changes, the check says so, and names a file beside it."""
    with folder() as path:
        log = open_log(path, QuickDisk())
        for n in range(8):
            append(log, records(3, 3 * n))
            if n in rolls:
                log.roll()
        log.close()
        assert verify_folder(path, Disk()).flaws == 0
        files = sorted(file for file in path.iterdir() if file.name != RECOVERY_POINT and file.stat().st_size)
        file = data.draw(st.sampled_from(files))
        flip(file, data.draw(st.integers(0, file.stat().st_size - 1)), data.draw(st.integers(1, 255)))
        found = verify_folder(path, Disk())
        assert found.flaws
        assert file.stem in {Path(flaw.file).stem for flaw in found.described}


@settings(deadline=None, max_examples=80)
@given(commits=COMMITS, rolls=st.sets(st.integers(0, 11)))
def test_the_files_are_kafkas(commits: list[list[Record]], rolls: set[int]) -> None:
    """A reader that knows nothing but Kafka's format finds in the files what was appended, and indexes that are right.

    An offset index entry is the last offset of a batch and its position; a time index entry the largest timestamp so
    far and the last offset of the batch it came with; both big-endian, offsets relative to the segment's name.
    """
    assert crc32c(b"123456789") == 0xE3069283
    with folder() as path:
        log = open_log(path, QuickDisk())
        for number, commit in enumerate(commits):
            append(log, commit)
            if number in rolls:
                log.roll()
        log.close()
        found = []
        for file in sorted(path.glob("*.log")):
            base, largest = int(file.stem), -1
            places, times = set(), set()
            for position, last, newest, read in read_batches(file.read_bytes()):
                found += read
                places.add((last - base, position))
                if newest > largest:
                    largest = newest
                    times.add((newest, last - base))
            assert set(struct.iter_unpack(">ii", file.with_suffix(".index").read_bytes())) <= places
            assert set(struct.iter_unpack(">qi", file.with_suffix(".timeindex").read_bytes())) <= times
    everything = [record for commit in commits for record in commit]
    assert [(one.key, one.value, one.timestamp, one.headers) for one in found] == [tuple(one) for one in everything]
    assert [one.offset for one in found] == list(range(len(everything)))
