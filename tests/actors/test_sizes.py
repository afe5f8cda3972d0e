"""Sizes as people write them."""

from __future__ import annotations

import pytest

from actors.sizes import size_words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (64 * 1024**2, "64 MiB"),
        (64 * 1024**2 + 1, "64.0 MiB"),
        (3 * 1024**3, "3 GiB"),
    ],
)
def test_a_size_is_told_in_its_largest_unit(size: int, words: str) -> None:
    """What is not exactly so much has a decimal, so that nobody takes it for that."""
    assert size_words(size) == words
