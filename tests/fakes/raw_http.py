"""Bytes to an HTTP server as they are: requests that no client has made better."""

from __future__ import annotations

import socket


def exchange(address: str, *pieces: bytes, seconds: float = 20.0) -> bytes:
    """All that comes back for these bytes until the server closes; it may do so before it has them all."""
    host, _, port = address.rpartition(":")
    data = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while piece := connection.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
    return data
