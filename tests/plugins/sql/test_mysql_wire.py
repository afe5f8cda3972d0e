"""What a server says of its columns is measured before it is read."""

import struct

import pytest
from asyncmy.errors import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from plugins.sql.mysql_wire import check_description


def described(texts: list[bytes], rest: bytes) -> bytes:
    parts = [bytes([len(text)]) if len(text) < 251 else b"\xfc" + struct.pack("<H", len(text)) for text in texts]
    return b"".join(part + text for part, text in zip(parts, texts, strict=True)) + rest


WHOLE = described([b"def", b"db", b"t", b"t", "größe".encode() * 64, b"c"], b"\x0c" + bytes(12))


@given(st.lists(st.binary(max_size=1024), min_size=6, max_size=6), st.binary(min_size=13, max_size=20))
def test_a_whole_description_passes(texts: list[bytes], rest: bytes) -> None:
    """However long its names are, and whatever comes after."""
    check_description(described(texts, rest))


@pytest.mark.parametrize("kept", range(len(WHOLE)))
def test_a_description_that_ends_too_soon_is_refused(kept: int) -> None:
    """Wherever it ends: what lies behind it in memory is nobody's."""
    with pytest.raises(OperationalError, match="none to what it was asked"):
        check_description(WHOLE[:kept])


@given(st.integers(0, 5), st.sampled_from([251, 253, 254, 255]))
def test_a_length_that_no_name_has_is_refused(index: int, length: int) -> None:
    """Those of 3 and of 8 bytes, NULL, and what is no length."""
    texts = [b"x"] * 6
    data = bytearray(described(texts, bytes(13)))
    data[2 * index] = length
    with pytest.raises(OperationalError):
        check_description(bytes(data) + b"\xff" * 20)
