"""Whom this machine trusts: read when it is needed, beside the loop."""

from __future__ import annotations

import ssl
import threading

import pytest
import trio

from daemon.system_authorities import SystemAuthorities


async def test_authorities_are_read_once_and_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read before somebody asks; of many who ask at once, one reads for all, and holds nobody up."""
    readers: list[threading.Thread] = []
    real = ssl.create_default_context

    def read() -> ssl.SSLContext:
        readers.append(threading.current_thread())
        return real()

    monkeypatch.setattr(ssl, "create_default_context", read)
    authorities = SystemAuthorities()
    assert readers == []
    found: list[ssl.SSLContext] = []

    async def ask() -> None:
        found.append(await authorities.context())

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    (reader,) = readers
    assert reader is not threading.current_thread()
    assert len(found) == 5
    assert {id(one) for one in found} == {id(await authorities.context())}
    assert found[0].verify_mode is ssl.CERT_REQUIRED
