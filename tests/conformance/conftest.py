"""A daemon that lets everybody in: what suites of conformance tests are run against."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import pytest

from actors.wire.mqtt.packets import MQTT_5
from tests.conformance.live import Peer
from tests.fakes.daemon import ChildDaemon

ANYONE = """
kind: app
name: tests
key: tests-key
secret: tests-secret
---
kind: product
app: tests
name: anyone
acl:
  - {deny: subscribe, topic: "test/nosubscribe"}
  - {allow: all, topic: "#"}
"""


class Connected(Protocol):
    """Opens a connection and logs in."""

    def __call__(self, client_id: str, level: int = MQTT_5, *, clean: bool = True, **fields: object) -> Peer:
        """The fields are those of `Connect`."""


@pytest.fixture(scope="package")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    folder = tmp_path_factory.mktemp("conformance") / "data"
    with ChildDaemon(folder, PENSTOCK_MQTT__LISTEN__ANONYMOUS__PRODUCT="anyone") as one:
        one.apply(ANYONE)
        yield one
        assert "crashed" not in one.log.read_text()


@pytest.fixture
def connected(daemon: ChildDaemon) -> Iterator[Connected]:
    """Connections that are closed after the test; none of their sessions is left."""
    kept: set[tuple[str, int]] = set()
    with contextlib.ExitStack() as stack:

        def connect(client_id: str, level: int = MQTT_5, *, clean: bool = True, **fields: object) -> Peer:
            peer = stack.enter_context(Peer(daemon.mqtt(), level))
            assert peer.connect(client_id, clean=clean, **fields).reason == 0
            kept.add((client_id, level))
            return peer

        yield connect
    for client_id, level in kept:
        with Peer(daemon.mqtt(), level) as peer:
            peer.connect(client_id)
            peer.disconnect()
