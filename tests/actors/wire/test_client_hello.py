"""The name in a ClientHello, as real clients send it."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.wire.client_hello import MAX_BYTES, NotTlsError, server_name


def hello(name: str | None, *, alpn: tuple[str, ...] = ("h2", "http/1.1"), tls_1_2: bool = False) -> bytes:
    """What OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(alpn)
    if tls_1_2:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same message in records of that size (RFC 8446 5.1)."""
    message = data[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("tls_1_2", [False, True])
def test_the_name_is_found(*, tls_1_2: bool) -> None:
    """Of either version, in lower case."""
    assert server_name(hello("API.example.com", tls_1_2=tls_1_2)) == "api.example.com"


def test_no_name_is_no_name() -> None:
    """A client that asks for none, or for an address, is told from one that is not there yet."""
    assert server_name(hello(None)) == ""
    assert server_name(hello("127.0.0.1")) == ""


@pytest.mark.parametrize("size", [10, 100])
def test_it_may_come_in_pieces(size: int) -> None:
    """However the network cuts it, and however many records it lies in."""
    whole = in_records(hello("a.example.com"), size)
    for end in range(len(whole)):
        assert server_name(whole[:end]) is None
    assert server_name(whole) == "a.example.com"
    assert server_name(whole + b"more") == "a.example.com"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x15\x03\x01", b"\x00"])
def test_what_is_no_tls_is_told_by_its_first_byte(data: bytes) -> None:
    """So that nobody waits for the rest."""
    with pytest.raises(NotTlsError, match="does not speak TLS"):
        server_name(data)


def test_a_message_without_end_is_refused() -> None:
    """One that promises 16 MiB is not waited for."""
    endless = in_records(bytes(5) + b"\x01\xff\xff\xff" + bytes(MAX_BYTES), 2**14)
    with pytest.raises(NotTlsError, match="longer than"):
        server_name(endless)


def test_a_message_in_crumbs_has_no_name() -> None:
    """To read it again with each of them would cost more than it costs to send."""
    assert server_name(in_records(hello("a.example.com"), 1)) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"\x16\x03\x01\x00\x02\x01\x00\x17\x03\x01\x00\x02\x00\x00",
    ],
)
def test_what_is_malformed_is_left_to_openssl(data: bytes) -> None:
    """It has no name, and is refused in the protocol's own words."""
    assert server_name(data) == ""


@given(st.binary(max_size=400), st.integers(0, 200), st.integers(0, 255))
def test_whatever_comes_is_a_name_or_refused(noise: bytes, at: int, byte: int) -> None:
    """Nothing else is raised, of noise and of a hello with something wrong in it."""
    real = bytearray(hello("a.example.com"))
    real[at] = byte
    for data in (noise, b"\x16\x03\x01" + noise, bytes(real), bytes(real[: at + 1]) + noise):
        try:
            found = server_name(data)
        except NotTlsError:
            continue
        assert found is None or isinstance(found, str)
