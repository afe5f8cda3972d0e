"""The listener on real sockets, with real clients."""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import paho.mqtt.client as paho
import pytest
import structlog
import trio

from actors.device_session.broker import Broker
from actors.errors import ConfigurationError
from actors.wire.mqtt import encode
from config.settings import MqttListen, MqttSettings
from daemon.listeners.mqtt import MqttListener
from tests.actors.device_session.conftest import GOOD, IN, OUT, make_broker, partition
from tests.daemon.listeners.site import answer, eventually


class Site:
    """A running listener, and connections to it that are closed in the end."""

    def __init__(self, listener: MqttListener) -> None:
        self.listener = listener
        self.address = listener.address
        self.streams: list[trio.SocketStream] = []

    async def connect(self) -> trio.SocketStream:
        host, _, port = self.address.rpartition(":")
        self.streams.append(await trio.open_tcp_stream(host, int(port)))
        return self.streams[-1]

    async def device(self, number: int = 1) -> trio.SocketStream:
        stream = await self.connect()
        name, secret = f"sensor/lot-{number}", f"secret-{number}".encode()
        await stream.send_all(encode.connect(f"lot-{number}", username=name, password=secret))
        assert await answer(stream, 4) == encode.connack(0)
        return stream


@asynccontextmanager
async def listening(broker: Broker, **settings: object) -> AsyncIterator[Site]:
    listener = MqttListener(MqttSettings(listen=MqttListen(port=0), **settings), broker)
    async with trio.open_nursery() as nursery:
        await nursery.start(_run, listener)
        site = Site(listener)
        try:
            with trio.fail_after(20):
                yield site
        finally:
            listener.stop()
            for stream in site.streams:
                stream.socket.close()


async def _run(listener: MqttListener, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    await listener.run(task_status.started)


class Phone:
    """A paho client, driven from a thread of its own."""

    def __init__(self, address: str, username: str, password: str, client_id: str) -> None:
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id)
        self.client.username_pw_set(username, password)
        self.client.on_connect = lambda *_: self.connected.set()
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._on_message
        self.connected, self.subscribed, self.heard = threading.Event(), threading.Event(), threading.Event()
        self.messages: list[tuple[str, bytes, int]] = []

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.messages.append((message.topic, message.payload, message.qos))
        self.heard.set()

    def __enter__(self) -> Self:
        self.client.connect(self.host, self.port, keepalive=5)
        self.client.loop_start()
        assert self.connected.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, topic_filter: str) -> None:
        self.subscribed.clear()
        self.client.subscribe(topic_filter, qos=1)
        assert self.subscribed.wait(5)


async def test_paho_clients_reach_the_topic_and_one_another() -> None:
    """A device reports, an app hears it and answers: with a client that this project did not write."""
    broker = make_broker()

    def talk(address: str) -> tuple[Phone, Phone]:
        sensor = Phone(address, "sensor/lot-1", "secret-1", "lot-1")
        city = Phone(address, "city-key", "city-secret", "city")
        with sensor, city:
            city.subscribe("sensor/out/+")
            sensor.subscribe(IN)
            reports = [sensor.client.publish(OUT, GOOD, qos=1) for _ in range(50)]
            for report in reports:
                report.wait_for_publish(5)
            city.client.publish(IN, b"open", qos=1).wait_for_publish(5)
            assert sensor.heard.wait(5)
        return sensor, city

    async with listening(broker) as site:
        sensor, city = await trio.to_thread.run_sync(talk, site.address)
    assert partition(broker).values == [GOOD] * 50
    assert sensor.messages == [(IN, b"open", 1)]
    assert city.messages == [(OUT, GOOD, 1)] * 50
    assert broker.statuses.view("sensor/lot-1").reason == "the client disconnected"
    assert broker.counters.protocol_errors == broker.counters.crashes == 0


async def test_a_port_in_use_is_told_with_what_to_do() -> None:
    """One clear error that names the setting, no traceback of a socket call."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = MqttSettings(listen=MqttListen(port=taken.getsockname()[1]))
        with pytest.raises(ConfigurationError, match=r"in use.*mqtt\.listen\.port"):
            await MqttListener(settings, make_broker()).run(lambda: None)


async def test_an_address_that_is_not_ours_is_told_with_what_to_do() -> None:
    """TEST-NET-1 (RFC 5737) belongs to nobody."""
    settings = MqttSettings(listen=MqttListen(host="192.0.2.1", port=0))
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1:0: .*mqtt\.listen\.host"):
        await MqttListener(settings, make_broker()).run(lambda: None)


async def test_connections_beyond_the_bound_are_closed_at_once() -> None:
    """They are counted; those that are there go on, and a place that becomes free is given again."""
    broker = make_broker()
    async with listening(broker, max_connections=2) as site:
        first, second = await site.device(1), await site.device(2)
        third = await site.connect()
        assert await answer(third, 1) == b""
        assert broker.counters.refused_full == 1
        await second.aclose()
        await eventually(lambda: len(broker.sessions) == 1)
        await site.device(3)
        await first.send_all(encode.PINGREQ)
        assert await answer(first, 2) == encode.PINGRESP


async def test_who_has_not_said_who_it_is_makes_room() -> None:
    """When all places are taken, the oldest connection without CONNECT goes; nobody who is logged in does."""
    broker = make_broker()
    async with listening(broker, max_connections=3) as site:
        device = await site.device(1)
        oldest, newer = await site.connect(), await site.connect()
        await eventually(lambda: len(broker.sessions) == 3)
        await site.device(2)
        assert await answer(oldest, 1) == b""
        await site.device(3)
        assert await answer(newer, 1) == b""
        assert (broker.counters.evicted, broker.counters.refused_full) == (2, 0)
        await device.send_all(encode.PINGREQ)
        assert await answer(device, 2) == encode.PINGRESP
        assert await answer(await site.connect(), 1) == b""
        assert broker.counters.refused_full == 1


async def test_half_of_the_open_files_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of open files below what was asked for bounds the connections, and is told."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (4, 4))
    broker = make_broker()
    with structlog.testing.capture_logs() as logs:
        async with listening(broker, max_connections=100) as site:
            await site.device(1)
            await site.device(2)
            assert await answer(await site.connect(), 1) == b""
    assert {"most": 2, "open_files": 4}.items() <= next(line for line in logs if "open_files" in line).items()


async def test_stop_acknowledges_what_is_stored_and_takes_no_more() -> None:
    """Intake ends, what was taken is acknowledged, connections are closed, `run` returns."""
    broker = make_broker()
    reports = partition(broker)
    reports.answers_at_once = False
    async with listening(broker) as site:
        stream = await site.device()
        await stream.send_all(encode.publish(OUT, GOOD, qos=1, packet_id=1))
        await eventually(lambda: bool(reports.appends))
        site.listener.stop()
        await trio.sleep(0.05)
        with pytest.raises(OSError, match="all attempts"):
            await site.connect()
        reports.answer()
        assert await answer(stream, 5) == encode.pubacks([1])
    assert len(broker.sessions) == 0


async def test_running_out_of_file_descriptors_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """New connections wait in the kernel until descriptors are free again."""
    broker = make_broker()
    real = socket.socket.accept
    failures = [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED]

    def accept(listening: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            code = failures.pop()
            raise OSError(code, errno.errorcode[code])
        return real(listening)

    monkeypatch.setattr(socket.socket, "accept", accept)
    with structlog.testing.capture_logs() as lines:
        async with listening(broker) as site:
            stream = await site.device()
            await stream.send_all(encode.PINGREQ)
            assert await answer(stream, 2) == encode.PINGRESP
    assert broker.counters.accept_failures == 2
    assert any("out of resources" in line["event"] for line in lines)


async def test_a_reset_connection_is_no_error_of_the_server() -> None:
    """A client that vanishes takes nobody with it."""
    broker = make_broker()
    async with listening(broker) as site:
        stream, other = await site.device(1), await site.device(2)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()
        await eventually(lambda: not broker.statuses.view("sensor/lot-1").online)
        await other.send_all(encode.PINGREQ)
        assert await answer(other, 2) == encode.PINGRESP
    assert "connection lost" in broker.statuses.view("sensor/lot-1").reason
    assert broker.counters.crashes == 0


async def test_large_messages_arrive_whole_both_ways() -> None:
    """More than a socket buffer takes at once goes in pieces."""
    broker = make_broker(outbox_bytes=4_000_000, max_packet_bytes=4_000_000)
    payload = b"x" * 3_000_000
    async with listening(broker, max_packet_bytes=4_000_000) as site:
        stream = await site.device()
        await stream.send_all(encode.subscribe(1, [(IN, 0)]))
        assert await answer(stream, 5) == encode.suback(1, [0])
        app = await site.connect()
        await app.send_all(encode.connect("app", username="city-key", password=b"city-secret"))
        assert await answer(app, 4) == encode.connack(0)
        await app.send_all(encode.publish(IN, payload, qos=1, packet_id=1))
        assert await answer(app, 4) == encode.pubacks([1])
        assert await answer(stream, len(payload)) == encode.publish(IN, payload)[: len(payload)]


async def test_the_address_is_known_once_started() -> None:
    """Port 0 picks a free one; IPv6 addresses stand in brackets."""
    async with listening(make_broker()) as site:
        assert site.address.startswith("127.0.0.1:")
        assert not site.address.endswith(":0")
    with contextlib.suppress(ConfigurationError):  # a machine without IPv6
        listener = MqttListener(MqttSettings(listen=MqttListen(host="::1", port=0)), make_broker())
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, listener)
            assert listener.address.startswith("[::1]:")
            listener.stop()
