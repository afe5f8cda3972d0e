"""Sizes as people write them."""

from __future__ import annotations

_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size_words(size: int) -> str:
    """A number of bytes in the largest unit that it fills, to a tenth: `64 MiB`, `1.5 KiB`, `20 bytes`."""
    for length, unit in _UNITS:
        if size >= length:
            return f"{size / length:.{1 if size % length else 0}f} {unit}"
    return f"{size} bytes"
