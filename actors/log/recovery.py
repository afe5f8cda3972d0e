"""What is done to a partition's folder before it is used again: torn tails cut, damage told, indexes made good."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import structlog

from actors.log.batch import BadBatchError
from actors.log.disk import Disk, OpenFile
from actors.log.index import OffsetIndex, TimeIndex
from actors.log.index_file import Entry
from actors.log.names import LOG, OFFSET_INDEX, PROBE, TIME_INDEX, segment_offsets, segment_path
from actors.log.recovery_point import RecoveryPoint
from actors.log.scan import Placed, SegmentScanner
from actors.log.segment import ActiveSegment, Mark, Segment, rebuild_indexes
from actors.log.segment_reader import SegmentReader

log = structlog.get_logger()


class Recovered(NamedTuple):
    """A folder that is whole again; `next_offset` is where appends go on."""

    segments: tuple[Segment, ...]
    active: ActiveSegment


def recover(folder: Path, disk: Disk, index_interval: int) -> Recovered:
    """Bring a partition's folder (made where it is missing) to a state that can be read and appended to.

    Raises:
        OSError: as the system says.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True)
        disk.sync_folder(folder.parent)
    _sweep(folder)
    recovery = _Recovery(folder, disk, index_interval)
    recovered = recovery.run()
    disk.sync(recovered.active.file.descriptor)
    RecoveryPoint(folder, disk).move(recovered.active.next_offset, sync=True)
    return recovered


def _sweep(folder: Path) -> None:
    """Delete what a deletion or a probe left behind."""
    (folder / PROBE).unlink(missing_ok=True)
    logs = set(segment_offsets(folder, LOG))
    for suffix in (OFFSET_INDEX, TIME_INDEX):
        for base_offset in segment_offsets(folder, suffix):
            if base_offset not in logs:
                segment_path(folder, base_offset, suffix).unlink()


class _Recovery:
    def __init__(self, folder: Path, disk: Disk, index_interval: int) -> None:
        self._folder = folder
        self._disk = disk
        self._index_interval = index_interval
        self._point = RecoveryPoint(folder, disk).load()

    def run(self) -> Recovered:
        offsets = segment_offsets(self._folder)
        if not offsets:
            return Recovered((), self._create(self._point))
        closed = tuple(self._closed(base, end) for base, end in pairwise(offsets))
        active, whole = self._scanned(offsets[-1], None)
        if whole and active.next_offset >= self._point:
            return Recovered(closed, active)
        log.error(
            "Records that had been synced are missing or damaged at the end of a log",
            folder=str(self._folder),
            first_offset=active.next_offset,
            next_offset=self._point,
        )
        return Recovered((*closed, active.seal(self._disk)), self._create(max(self._point, active.next_offset)))

    def _create(self, base_offset: int) -> ActiveSegment:
        return ActiveSegment.create(self._folder, base_offset, self._disk, self._index_interval)

    def _closed(self, base_offset: int, end: int) -> Segment:
        """A segment with another after it; it is read only if it may hold what was not synced."""
        if end > self._point:
            segment, _ = self._scanned(base_offset, end)
            return segment.seal(self._disk)
        size = segment_path(self._folder, base_offset).stat().st_size
        newest = TimeIndex.last_in_file(segment_path(self._folder, base_offset, TIME_INDEX))
        known = Segment(self._folder, base_offset, size, newest[0] if newest is not None else None)
        index = segment_path(self._folder, base_offset, OFFSET_INDEX)
        if OffsetIndex.looks_right(index, size) and (self._is_newest(known, newest, end) or size == 0):
            return known
        log.warning("Rebuilding the indexes of a segment", file=str(known.path))
        return rebuild_indexes(known, self._disk, self._index_interval)

    def _is_newest(self, segment: Segment, newest: Entry | None, end: int) -> bool:
        """Whether the last entry of a time index is what its batch says: retention and look-ups by time rely on it."""
        if newest is None:
            return False
        reader = SegmentReader(self._disk, segment, segment.open().size(), end)
        return reader.holds_time((newest[0], segment.base_offset + newest[1]))

    def _scanned(self, base_offset: int, ceiling: int | None) -> tuple[ActiveSegment, bool]:
        """A segment checked batch by batch from the recovery point on, its tail cut; and whether it is whole.

        `ceiling` is where the next segment begins: what lies at or above it is left from before a roll.
        """
        file = OpenFile.writing(segment_path(self._folder, base_offset))
        size = file.size()
        segment = ActiveSegment(self._folder, base_offset, file, self._index_interval)
        scanner = SegmentScanner(self._disk, file, size)
        segment.began = _began(scanner, file)
        self._skip_to_point(segment, scanner)
        while segment.size < size:
            placed = self._next(segment, scanner)
            if placed is None or (ceiling is not None and placed.header.base_offset >= ceiling):
                break
            segment.resume(placed)
            segment.accept(placed.header)
        if segment.size == size:
            return segment, True
        if segment.next_offset < (self._point if ceiling is None else ceiling):
            log.error(
                "The end of a segment is damaged",
                file=str(segment.path),
                position=segment.size,
                bytes=size - segment.size,
                offset=segment.next_offset,
            )
            return segment, False
        self._cut(segment, size)
        return segment, True

    def _skip_to_point(self, segment: ActiveSegment, scanner: SegmentScanner) -> None:
        """Begin at the last index entry below the recovery point up to which both indexes can be trusted.

        A crash may have left less of one than of the other, and from a time index that lacks its end nobody could tell
        what is newest up to there: it goes no further than its last entry.
        """
        if self._load_indexes(segment, scanner):
            newest = segment.time_index.floor(self._point - segment.base_offset - 1)
            entry = segment.index.floor(newest[1]) if newest is not None else None
            if entry is not None and segment.time_index.floor(entry[0]) is not None:
                segment.begin_at(scanner.header(entry[1]))
                return
        segment.revert(Mark(0, segment.base_offset))

    def _load_indexes(self, segment: ActiveSegment, scanner: SegmentScanner) -> bool:
        """Read both indexes; where one is missing, or wrong below the recovery point, both are to be made anew."""
        index, times = segment.index, segment.time_index
        if index.load(scanner.size) and times.load() and self._are_right(segment, scanner):
            return True
        segment.index, segment.time_index = OffsetIndex(index.path), TimeIndex(times.path)
        if index.path.exists() or times.path.exists():
            log.warning("Rebuilding the indexes of a segment", file=str(segment.path))
            index.path.unlink(missing_ok=True)
            times.path.unlink(missing_ok=True)
        return False

    def _are_right(self, segment: ActiveSegment, scanner: SegmentScanner) -> bool:
        """Whether each entry below the recovery point says what its batch says.

        It takes the header of one batch in every few kilobytes: little beside what a wrong entry costs each look-up.
        """
        known = self._point - segment.base_offset
        times = {relative: timestamp for timestamp, relative in segment.time_index.below_offset(known)}
        try:
            for relative, position in segment.index.below_offset(known):
                header = scanner.header(position).header
                timestamp = times.pop(relative, header.max_timestamp)
                if (header.next_offset - 1 - segment.base_offset, header.max_timestamp) != (relative, timestamp):
                    return False
        except BadBatchError:
            return False
        # Those that are left are of batches without an entry in the other index.
        return all(
            self._is_newest(segment, (timestamp, relative), self._point) for relative, timestamp in times.items()
        )

    def _next(self, segment: ActiveSegment, scanner: SegmentScanner) -> Placed | None:
        """The next whole batch, if need be past damage; None where only a tail is left."""
        try:
            return scanner.batch(segment.size, segment.next_offset)
        except BadBatchError as bad:
            reason = str(bad)
        placed = scanner.next_whole(segment.size, segment.next_offset)
        if placed is not None:
            log.error(
                "A log is damaged",
                file=str(segment.path),
                position=segment.size,
                first_offset=segment.next_offset,
                next_offset=placed.header.base_offset,
                reason=reason,
            )
        return placed

    def _cut(self, segment: ActiveSegment, size: int) -> None:
        self._disk.truncate(segment.file.descriptor, segment.size)
        log.warning(
            "Cut a torn tail off a log",
            file=str(segment.path),
            bytes=size - segment.size,
            next_offset=segment.next_offset,
        )


def _began(scanner: SegmentScanner, file: OpenFile) -> float | None:
    """When a segment's first batch came, as near as can be told: its records' time, but not after the last write."""
    try:
        return min(scanner.header(0).header.base_timestamp / 1000, file.modified())
    except BadBatchError:
        return None
