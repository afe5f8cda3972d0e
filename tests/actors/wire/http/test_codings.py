"""Which content coding an answer has (RFC 9110 12.5.3)."""

from __future__ import annotations

import pytest

from actors.wire.http.codings import choose_coding


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip; q=0.3 , zstd ;q=0.2", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("br", None),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *", "gzip"),
        ("gzip;q=0, zstd;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.4, gzip;q=0.5", "gzip"),
        ("identity;q=0, gzip", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=2", None),
        ("gzip;q=-1", None),
        ("gzip;q=nan", None),
        ("gzip;q=high", None),
        ("gzip;", "gzip"),
        ("gzip, gzip;q=0", None),
        (",,gzip,,", "gzip"),
        (";q=1", None),
    ],
)
def test_the_coding_is_what_the_client_prefers(header: str | None, expected: str | None) -> None:
    """By weight, then by the server's order; what is refused or cannot be read is not used."""
    assert choose_coding(header, ("zstd", "gzip")) == expected


def test_only_what_is_offered_is_chosen() -> None:
    """A route that offers gzip alone sends nothing else."""
    assert choose_coding("zstd, gzip;q=0.1", ("gzip",)) == "gzip"
    assert choose_coding("zstd", ("gzip",)) is None
