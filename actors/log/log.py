"""One partition's log: appends, syncs, rolls, retention, and what is done when the disk refuses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from actors.errors import AppendRefusedError, StorageError
from actors.log.batch import Batch
from actors.log.disk import Disk, write_all
from actors.log.reader import LogView
from actors.log.recovery import recover
from actors.log.recovery_point import RecoveryPoint
from actors.log.retention import Keep, expired, surplus, wholly_expired
from actors.log.segment import ActiveSegment, Segment, written
from actors.log.space import SpaceReserves, probe

log = structlog.get_logger()

# How long a refusing log waits before it tries the disk again, in seconds.
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Sizes in bytes. Free space under the reserve, whichever of the two is larger, is not appended to.

    A log that shares the reserve of its file system with others goes by theirs.
    """

    index_interval: int = 4096
    reserve_bytes: int = 64 * 1024 * 1024
    reserve_percent: float = 1.0


@dataclass(slots=True)
class SyncTimes:
    """How long fdatasync took, in seconds."""

    count: int = 0
    total: float = 0.0
    last: float = 0.0


class Log:
    """The folder `<topic>-<n>/` of one partition. One thread at a time may call it; readers use `view` only.

    After a failed write the file is cut back to the last acknowledged batch, and appends are refused until a probe
    write succeeds. After a failed fdatasync it is cut back to what was synced last, and appends go on in a new segment,
    with offsets that were never given out before.
    """

    def __init__(
        self,
        folder: Path,
        limits: LogLimits,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        reserves: SpaceReserves | None = None,
    ) -> None:
        self.folder = folder
        self.sync_times = SyncTimes()
        self._limits = limits
        self._disk = disk or Disk()
        self._clock = clock
        try:
            recovered = recover(folder, self._disk, limits.index_interval)
            reserves = reserves or SpaceReserves(limits.reserve_bytes, limits.reserve_percent, self._disk, clock)
            self._reserve = reserves.of(folder)
        except OSError as error:
            raise StorageError(f"{folder}: the log cannot be opened: {error.strerror or error}") from error
        self._closed: tuple[Segment, ...] = recovered.segments
        self._closed_bytes = sum(segment.size for segment in recovered.segments)
        self._active: ActiveSegment = recovered.active
        self._point = RecoveryPoint(folder, self._disk)
        self.next_offset = self._active.next_offset
        self._synced = self._active.mark()
        self._fault = ""
        self._retry_at = 0.0
        self._roll_due = False
        self.view = self._look()

    @property
    def fault(self) -> str:
        """Why appends are refused; empty while they are taken."""
        return self._fault

    @property
    def active(self) -> ActiveSegment:
        """The segment that is written."""
        return self._active

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return self._closed_bytes + self._active.size

    @property
    def unsynced(self) -> bool:
        """Whether something was appended that is not synced yet."""
        return self._synced.next_offset != self.next_offset

    def append(self, batches: Sequence[Batch], *, sync: bool, now: float) -> None:
        """Write batches that continue at `next_offset`; with `sync` they are on disk when this returns.

        `now` is in seconds since the epoch.

        Raises:
            AppendRefusedError: too little space, or the write failed: nothing of it was kept.
            StorageError: the sync failed: nothing of it was kept.
        """
        data = written(batches)
        self._check_fault()
        active = self._active
        with self._reserve.room(self.folder, len(data)):
            try:
                write_all(self._disk, active.file.descriptor, data, active.size)
            except OSError as error:
                raise self._write_failed(error) from error
        if sync:
            self._sync_file()
        active.began = active.began or now
        for batch in batches:
            active.accept(batch.header)
        self.next_offset = active.next_offset
        if sync:
            self._note_synced()
        self.view = self._look()
        try:
            active.save_indexes(self._disk)
        except OSError as error:
            self._refuse(f"{active.path}: writing its indexes failed: {error.strerror}")

    def sync(self) -> None:
        """Put everything appended so far on disk.

        Raises:
            StorageError: it may not be there; the log goes on without it, in a new segment.
        """
        if self._roll_due:
            # The kernel may have dropped what it could not write: another fsync would only look like success.
            self._check_fault()
        if self.unsynced:
            self._sync_file()
            self._note_synced()

    def roll(self) -> int:
        """Begin a new segment, unless the present one is empty; returns its base offset.

        Raises:
            StorageError: the present one could not be synced, or no file could be made.
        """
        if self._fault:
            self._check_fault()
        if self._active.size:
            self.sync()
            try:
                sealed = self._active.seal(self._disk)
                self._begin_segment(sealed)
            except OSError as error:
                raise self._write_failed(error) from error
        return self._active.base_offset

    def retain(self, now: float, hours: int, max_bytes: int | None, protected: float = math.inf) -> int:
        """Delete what is kept no longer; returns how many segments went. `now` in seconds since the epoch.

        No segment that holds an offset from `protected` on is deleted.

        Raises:
            StorageError: as the disk says.
        """
        if wholly_expired(self._active, now, hours) and not self._fault and self.next_offset <= protected:
            self.roll()
        count = expired(self.view.segments, now, hours, max_bytes, protected)
        for _ in range(count):
            segment = self._delete_oldest()
            log.info("Deleted a segment that is kept no longer", file=str(segment.path), bytes=segment.size)
        return count

    def trim(self, now: float, keep: Keep) -> int:
        """Delete whole segments that hold nothing of what is to be kept; returns how many went.

        `now` is in seconds since the epoch. A segment being written that is older than all that is kept is closed
        first.

        Raises:
            StorageError: as the disk says.
        """
        newest = self._active.max_timestamp
        if keep.seconds is not None and newest is not None and newest < (now - keep.seconds) * 1000 and not self._fault:
            self.roll()
        count = surplus(self.view.segments, self.next_offset, now, keep)
        for _ in range(count):
            self._delete_oldest()
        return count

    def _delete_oldest(self) -> Segment:
        segment, self._closed = self._closed[0], self._closed[1:]
        self._closed_bytes -= segment.size
        self.view = self._look()
        try:
            segment.delete(self._disk)
        except OSError as error:
            raise StorageError(f"{segment.path} cannot be deleted: {error.strerror}") from error
        return segment

    def close(self) -> None:
        """Sync, and complete the indexes.

        Raises:
            StorageError: as the disk says.
        """
        self.sync()
        try:
            self._active.seal(self._disk)
            self._point.move(self._synced.next_offset, sync=True)
        except OSError as error:
            raise StorageError(f"{self.folder}: the log cannot be closed cleanly: {error.strerror}") from error

    def _look(self) -> LogView:
        return LogView((*self._closed, self._active), self.next_offset, self._active.size)

    def _begin_segment(self, sealed: Segment) -> None:
        # The offset is the log's, not the segment's: what a failed sync lost leaves a gap, and no offset comes twice.
        active = ActiveSegment.create(self.folder, self.next_offset, self._disk, self._limits.index_interval)
        if sealed.size:
            self._closed = (*self._closed, sealed)
            self._closed_bytes += sealed.size
        self._active = active
        self._synced = active.mark()
        self.view = self._look()

    def _sync_file(self) -> None:
        began = time.perf_counter()
        try:
            self._disk.sync(self._active.file.descriptor)
        except OSError as error:
            raise self._sync_failed(error) from error
        times = self.sync_times
        times.last = time.perf_counter() - began
        times.total += times.last
        times.count += 1

    def _note_synced(self) -> None:
        self._synced = self._active.mark()
        try:
            self._point.move(self.next_offset)
        except OSError as error:
            # An older point only makes the next recovery longer, but a disk that fails is not written on.
            self._refuse(f"{self.folder}: writing the recovery point failed: {error.strerror}")

    # What is done when the disk refuses.

    def _check_fault(self) -> None:
        """Refuse what would be written in vain."""
        if self._fault:
            if self._clock() < self._retry_at:
                raise AppendRefusedError(self._fault)
            self._repair()

    def _write_failed(self, error: OSError) -> AppendRefusedError:
        self._refuse(f"{self._active.path}: writing failed: {error.strerror}; appends are refused until it works again")
        try:
            self._cut()
        except OSError:
            # Done again before anything else is written; until then nobody reads past the published end.
            log.warning("What a failed write left cannot be cut off yet", file=str(self._active.path))
        return AppendRefusedError(self._fault)

    def _sync_failed(self, error: OSError) -> StorageError:
        lost = self._synced.next_offset
        message = f"{self._active.path}: fdatasync failed: {error.strerror}; what was not synced is given up"
        self._refuse(message)
        if lost != self.next_offset:
            log.error(
                "Records that were acknowledged without a sync may be lost",
                folder=str(self.folder),
                first_offset=lost,
                next_offset=self.next_offset,
            )
        self._active.revert(self._synced)
        self.view = self._look()
        self._roll_due = True
        try:
            self._repair()
        except AppendRefusedError as refused:
            log.warning("A log takes no appends for now", folder=str(self.folder), reason=str(refused))
        return StorageError(message)

    def _refuse(self, message: str) -> None:
        self._fault = message
        self._retry_at = self._clock() + RETRY_SECONDS
        log.error("The disk failed a log", reason=message)

    def _repair(self) -> None:
        """Cut what was not kept, roll where a sync failed, and try a write.

        Raises:
            AppendRefusedError: the disk still refuses.
        """
        self._retry_at = self._clock() + RETRY_SECONDS
        try:
            self._cut()
            probe(self._disk, self.folder)
            if self._roll_due:
                self._begin_after_lost_sync()
        except OSError as error:
            raise AppendRefusedError(f"{self._fault}; tried again: {error.strerror}") from error
        log.info("A log takes appends again", folder=str(self.folder), next_offset=self.next_offset)
        self._fault = ""

    def _cut(self) -> None:
        self._disk.truncate(self._active.file.descriptor, self._active.size)

    def _begin_after_lost_sync(self) -> None:
        lost = self._active
        if not lost.size:
            # Nothing of this file is kept, and its name may be the new segment's.
            lost.delete(self._disk)
        self._begin_segment(lost.seal(self._disk) if lost.size else lost.sealed())
        self._roll_due = False
