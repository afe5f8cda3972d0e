"""Whose a position is, and what a writer hears that has lost his."""

from __future__ import annotations

from plugins.api import FencedError, WriteBatch

Who = tuple[str, str, int]
"""Task, topic and partition."""


def fenced(batch: WriteBatch) -> FencedError:
    """The error for a batch whose position did not move from where its writer left it."""
    return FencedError(
        f"task {batch.task} has lost {batch.source}: its position is no longer epoch {batch.epoch}, offset "
        f"{batch.expected}; another writer has claimed it"
    )
