"""What lies on disk and is worked off from there."""

from __future__ import annotations

from typing import Annotated

import msgspec

from config.settings.section import Positive, Seconds, Section


class LogSettings(Section, frozen=True, kw_only=True):
    """The on-disk log. Sizes in bytes, times in seconds."""

    segment_bytes: Positive = 256 * 1024 * 1024
    segment_seconds: Positive = 24 * 3600
    index_interval_bytes: Positive = 4096
    mailbox_bytes: Positive = 4 * 1024 * 1024
    flush_interval: Seconds = 0.5
    retention_interval: Seconds = 60.0
    # Free space kept for offsets and metadata: whichever of the two is larger.
    reserve_bytes: int = 64 * 1024 * 1024
    reserve_percent: float = 1.0


class TaskSettings(Section, frozen=True, kw_only=True):
    """Task runners. Sizes in bytes, times in seconds."""

    fetch_bytes: Positive = 1024 * 1024
    batch_rows: Positive = 5_000
    retry_initial: Seconds = 0.2
    retry_max: Seconds = 30.0


class GroupSettings(Section, frozen=True, kw_only=True):
    """Consumer groups. Times in seconds."""

    # A member that says nothing for so long is thrown out, and others get its partitions.
    session_timeout: Annotated[float, msgspec.Meta(ge=1)] = 30.0
    # How often the bytes and the age of what waits are looked up.
    sample_interval: Annotated[float, msgspec.Meta(ge=0.1)] = 5.0
    # Groups of HTTP consumers come into being when they are first asked for: there are at most so many.
    max_http_groups: Positive = 1000
