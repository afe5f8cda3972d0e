"""Each byte of the last segment and its indexes changed or cut, in turn: told with its place, and nothing else lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.log.disk import Disk
from actors.log.log import Log
from actors.log.lookup import LogLookup
from actors.log.names import RECOVERY_POINT
from actors.log.verify import verify_folder
from actors.records import Record
from tests.actors.log.parts import QuickDisk, append, flip, log_file, open_log, plain, read_all, records

BATCHES = 3
FIRST_BATCHES = 2
FIRST = 2 * FIRST_BATCHES
SIZE = 12


class Written:
    """A partition of two segments, closed; `ends` are the positions at which the last one's batches end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        log = open_log(folder, QuickDisk())
        for number in range(FIRST_BATCHES):
            append(log, records(2, 2 * number, SIZE))
        log.roll()
        self.ends = []
        for number in range(FIRST_BATCHES, FIRST_BATCHES + BATCHES):
            append(log, records(2, 2 * number, SIZE))
            self.ends.append(log.active.size)
        log.close()
        self.next_offset = log.next_offset

    def file(self, suffix: str = ".log", folder: Path | None = None) -> Path:
        return log_file(folder or self.folder, FIRST).with_suffix(suffix)

    def without(self, batch: int) -> list[Record]:
        """All records but those of one batch of the last segment."""
        lost = FIRST + 2 * batch
        return records(lost, 0, SIZE) + records(self.next_offset - lost - 2, lost + 2, SIZE)

    def copies(self, scratch: Path, suffix: str) -> Iterator[tuple[int, Path]]:
        """A fresh copy for each position of a file."""
        for position in range(self.file(suffix).stat().st_size):
            folder = scratch / f"{suffix[1:]}-{position}"
            shutil.copytree(self.folder, folder)
            yield position, folder
            shutil.rmtree(folder)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "t-0")


def opened(folder: Path) -> tuple[Log, list[dict[str, Any]]]:
    """The log after a start, and what that told."""
    with capture_logs() as told:
        log = open_log(folder, QuickDisk())
    return log, [dict(event) for event in told]


def check_goes_on(log: Log) -> None:
    """Appends go on, with an offset that was never given out before, and are read again after a restart."""
    offset = append(log, records(1, log.next_offset, SIZE))
    log.close()
    again = open_log(log.folder, QuickDisk())
    assert plain(read_all(again, offset)[0]) == records(1, offset, SIZE)
    again.close()


@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_each_changed_byte_of_the_last_segment(written: Written, tmp_path: Path, mask: int) -> None:
    """Only its batch is lost; check, start and reader say where that is, by file and offset; the offset stays taken."""
    for position, folder in written.copies(tmp_path, ".log"):
        flip(written.file(folder=folder), position, mask)
        batch = sum(end <= position for end in written.ends)
        begins, offset = (0, *written.ends)[batch], FIRST + 2 * batch

        flaw = verify_folder(folder, Disk()).described[0]
        assert (Path(flaw.file), flaw.position, flaw.offset) == (written.file(folder=folder), begins, offset), position

        log, _ = opened(folder)
        found, damage = read_all(log)
        assert plain(found) == written.without(batch), position
        assert log.next_offset == written.next_offset
        assert [error.resume for error in damage] == [offset + 2], position
        assert str(written.file(folder=folder)) in str(damage[0])
        assert str(offset) in str(damage[0])
        check_goes_on(log)


def test_each_changed_byte_of_a_segment_of_unknown_state(written: Written, tmp_path: Path) -> None:
    """Without a recovery point the start itself meets the damage: it says file and offset, or cuts what is the tail."""
    for position, folder in written.copies(tmp_path, ".log"):
        (folder / RECOVERY_POINT).unlink()
        flip(written.file(folder=folder), position)
        batch = sum(end <= position for end in written.ends)
        log, told = opened(folder)
        found, _ = read_all(log)
        assert plain(found) == written.without(batch), position
        file = str(written.file(folder=folder))
        if batch == BATCHES - 1:
            assert any(event.get("file") == file and event["log_level"] == "warning" for event in told), position
        else:
            told_at = [event.get("first_offset") for event in told if event.get("file") == file]
            assert told_at == [FIRST + 2 * batch], position
        check_goes_on(log)


@pytest.mark.parametrize("synced", [True, False])
def test_each_cut_of_the_last_segment(written: Written, tmp_path: Path, *, synced: bool) -> None:
    """Whole batches before the cut stay; what was synced and is gone is told, and its offsets never come again."""
    for size, folder in written.copies(tmp_path, ".log"):
        if not synced:
            (folder / RECOVERY_POINT).unlink()
        os.truncate(written.file(folder=folder), size)
        whole = FIRST + 2 * sum(end <= size for end in written.ends)
        log, told = opened(folder)
        assert plain(read_all(log)[0]) == records(whole, 0, SIZE), size
        assert log.next_offset == (written.next_offset if synced else whole)
        if synced:
            missing = [event for event in told if event["event"].startswith("Records that had been synced are missing")]
            assert [(event["folder"], event["first_offset"], event["next_offset"]) for event in missing] == [
                (str(folder), whole, written.next_offset)
            ]
        check_goes_on(log)


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("how", ["flip", "cut"])
def test_each_byte_of_an_index(written: Written, tmp_path: Path, suffix: str, how: str) -> None:
    """The check tells of the file; every record is found by its offset and by its time all the same."""
    times = [record.timestamp for record in records(written.next_offset)]
    for position, folder in written.copies(tmp_path, suffix):
        file = written.file(suffix, folder)
        if how == "flip":
            flip(file, position)
        else:
            os.truncate(file, position)
        told = {flaw.file for flaw in verify_folder(folder, Disk()).described}
        # A file that ends between two entries only has fewer of them: look-ups take longer, and nothing is wrong.
        assert told <= {str(file)}
        if how == "flip":
            assert told, position
        log, _ = opened(folder)
        for offset in range(written.next_offset):
            found, damage = read_all(log, offset)
            assert plain(found) == records(written.next_offset - offset, offset, SIZE), position
            assert not damage
        assert [LogLookup(Disk()).offset_of(log.view, time) for time in times] == list(range(written.next_offset))
        check_goes_on(log)
