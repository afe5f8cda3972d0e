"""An MQTT listener on free ports in this process, and clients of it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from actors.device_session.broker import Broker
from config.ports import on_free_ports
from config.settings import ClientCertificates, MqttSettings
from daemon.authority import CertificateAuthority
from daemon.listeners.mqtt import MqttListener
from daemon.listeners.mqtt_entrances import entrances
from daemon.listeners.tls import ServerTls


class Site:
    """A running listener with all its entrances, and connections to it that are closed in the end."""

    def __init__(self, listener: MqttListener, authority: CertificateAuthority, tls: dict[str, ServerTls]) -> None:
        self.listener = listener
        self.authority = authority
        self.tls = tls
        self.sockets: list[socket.socket] = []

    def place(self, entrance: str) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.listener.address_of(entrance).rpartition(":")
        return host, int(port)

    async def connect(self, entrance: str = "mqtt") -> trio.SocketStream:
        """A bare connection."""
        stream = await trio.open_tcp_stream(*self.place(entrance))
        self.sockets.append(stream.socket)  # type: ignore[arg-type]  # closed alike
        return stream

    async def secured(self, entrance: str = "mqtts", context: ssl.SSLContext | None = None) -> trio.SSLStream:
        """A connection under TLS, that believes in the authority and in nobody else."""
        client = context or self.client_context()
        stream = trio.SSLStream(await self.connect(entrance), client, server_hostname="localhost")
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    def client_context(self) -> ssl.SSLContext:
        """What a client believes that was given `ca.pem`."""
        return ssl.create_default_context(cadata=self.authority.certificate().decode())


@asynccontextmanager
async def standing(
    broker: Broker, folder: Path, settings: MqttSettings | None = None, *, authority: CertificateAuthority | None = None
) -> AsyncIterator[Site]:
    """A listener until the end of the block."""
    settings = on_free_ports(settings or broker.settings)
    authority = authority or CertificateAuthority(folder)
    made: dict[str, ServerTls] = {}

    def make_tls(tls: ClientCertificates, section: str, host: str) -> ServerTls:
        made[section] = ServerTls(tls, folder, section, host=host, authority=authority)
        return made[section]

    listener = MqttListener(settings, broker, entrances(settings, make_tls))
    async with trio.open_nursery() as nursery:
        await nursery.start(_run, listener)
        site = Site(listener, authority, made)
        try:
            with trio.fail_after(20):
                yield site
        finally:
            listener.stop()
            for one in site.sockets:
                one.close()


async def _run(listener: MqttListener, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    await listener.run(task_status.started)


async def answer(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """So many bytes, or fewer where the stream ends."""
    data = b""
    with trio.fail_after(5):
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            if not more:
                break
            data += more
    return data


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    for _ in range(500):
        if condition():
            return
        await trio.sleep(0.01)
    pytest.fail("it did not happen")
