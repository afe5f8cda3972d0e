"""Points in time are read as people write them, and written as machines read them."""

from __future__ import annotations

import pytest

from config.moments import format_moment, parse_moment

NOW = 1_772_366_400.0  # 2026-03-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-03-01T12:00:00Z", 1_772_366_400_000),
        ("2026-03-01T13:00:00.250+01:00", 1_772_366_400_250),
        ("2026-03-01 12:00", 1_772_366_400_000),
        ("2026-03-01", 1_772_323_200_000),
        ("10m", 1_772_365_800_000),
        ("1d", 1_772_280_000_000),
        ("1772366400123", 1_772_366_400_123),
    ],
)
def test_a_moment_is_read(text: str, milliseconds: int) -> None:
    """RFC 3339, a time ago, and milliseconds are taken; without an offset it is UTC."""
    assert parse_moment(text, NOW) == milliseconds


@pytest.mark.parametrize("text", ["", "yesterday", "10", "m", "-10m", "12:00", "2026-13-01", "1e10"])
def test_what_is_no_moment(text: str) -> None:
    """Anything else is refused with what would be taken."""
    with pytest.raises(ValueError, match="is no point in time: write"):
        parse_moment(text, NOW)


def test_a_moment_is_written() -> None:
    """Written to the millisecond in UTC, it is read as the same; what is no date stays a number."""
    assert format_moment(1_772_366_400_123) == "2026-03-01T12:00:00.123Z"
    assert parse_moment(format_moment(1_772_366_400_123), NOW) == 1_772_366_400_123
    assert format_moment(2**62) == str(2**62)
