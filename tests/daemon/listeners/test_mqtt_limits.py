"""What a listener bounds: connections by address and in their rate, and what a closed connection may still cost."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from actors.errors import ConfigurationError
from actors.wire.mqtt import encode
from config.settings import Anonymous, MqttListen, MqttSettings
from daemon.listeners import lingering
from daemon.listeners.lingering import Lingering
from tests.actors.device_session.conftest import make_broker
from tests.daemon.listeners.site import answer, eventually, standing

CONNECT = encode.connect("lot-1", username="sensor/lot-1", password=b"secret-1")


async def test_an_address_may_have_so_many_connections(tmp_path: Path) -> None:
    """One more is closed at once, whichever entrance it takes; one that goes makes room; all are counted."""
    broker = make_broker()
    settings = MqttSettings(max_connections_per_address=2, trusted_networks=())
    async with standing(broker, tmp_path, settings) as site:
        first, second = await site.connect(), await site.connect("mqtts")
        for entrance in ("mqtt", "mqtts", "mqtt_websocket"):
            assert await answer(await site.connect(entrance), 1) == b""
        assert broker.counters.refused_address == 3
        await second.aclose()
        await eventually(lambda: broker.counters.refused_handshakes == 1)
        third = await site.connect()
        for stream, name in ((first, 1), (third, 2)):
            password = f"secret-{name}".encode()
            await stream.send_all(encode.connect(f"lot-{name}", username=f"sensor/lot-{name}", password=password))
            assert await answer(stream, 4) == encode.connack(0)


async def test_over_the_rate_connections_wait_and_are_let_in(tmp_path: Path) -> None:
    """Nobody is refused for coming with many others: they wait in the kernel, and those who are in do not notice."""
    broker = make_broker()
    async with standing(broker, tmp_path, MqttSettings(connection_rate=20)) as site:
        began = trio.current_time()
        streams = [await site.connect() for _ in range(40)]
        await streams[0].send_all(CONNECT)
        assert await answer(streams[0], 4) == encode.connack(0)
        await eventually(lambda: len(broker.sessions) == 40)
        assert trio.current_time() - began > 0.5
    assert broker.counters.accept_pauses > 0
    assert broker.counters.refused_address == 0


async def test_the_last_word_arrives_although_the_client_goes_on_sending(tmp_path: Path) -> None:
    """A refusal is read by a client that has sent more behind its CONNECT: the connection is not reset under it."""
    async with standing(make_broker(), tmp_path) as site:
        for _ in range(20):
            stream = await site.connect()
            wrong = encode.connect("lot-1", username="sensor/lot-1", password=b"wrong")
            await stream.send_all(wrong + encode.publish("a", b"x" * 50_000))
            await stream.send_all(encode.publish("a", b"x" * 500))
            await trio.sleep(0.01)
            assert (await answer(stream, 100))[:2] == encode.connack(4)[:2]


async def test_lingering_ends_with_the_client_or_with_its_time(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    """A socket whose client closes goes at once, one whose client is silent after a second, past the bound at once."""
    monkeypatch.setattr(lingering, "MOST", 2)
    monkeypatch.setattr(lingering, "SECONDS", 0.3)
    leaving = Lingering()
    nursery.start_soon(leaving.run)
    pairs = [socket.socketpair() for _ in range(3)]
    for ours, theirs in pairs:
        ours.settimeout(0)
        theirs.sendall(b"unread")
        leaving.close(ours)
        assert ours.fileno() == -1
        assert theirs.recv(1) == b""
    assert len(leaving) == 2
    pairs[0][1].close()
    await eventually(lambda: len(leaving) == 1)
    await eventually(lambda: len(leaving) == 0)
    with pytest.raises(BrokenPipeError):
        pairs[1][1].sendall(b"more")
    for _, theirs in pairs:
        theirs.close()


async def test_lingering_waits_for_a_client_that_works_through_much(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    """While the client still answers what it finds, its socket is not reset under it; yet not for ever."""
    monkeypatch.setattr(lingering, "SECONDS", 0.3)
    monkeypatch.setattr(lingering, "LONGEST_SECONDS", 1.5)
    leaving = Lingering()
    nursery.start_soon(leaving.run)
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    leaving.close(ours)
    began = trio.current_time()

    async def answer_without_end() -> None:
        while trio.current_time() < began + 20:
            theirs.sendall(b"answer")
            await trio.sleep(0.05)

    with theirs, pytest.raises(BrokenPipeError):
        await answer_without_end()
    assert trio.current_time() - began > 1.0
    assert len(leaving) == 0


async def test_everybody_is_let_in_from_this_machine_only(tmp_path: Path) -> None:
    """Wherever a host name leads, what was bound decides; the error names the setting and the way out."""
    settings = MqttSettings(listen=MqttListen(host="0.0.0.0", anonymous=Anonymous(product="sensor")))
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match=r"mqtt\.listen\.anonymous.*`force: true`")):
        async with standing(make_broker(), tmp_path, settings):
            pass
    settings = MqttSettings(listen=MqttListen(host="localhost", anonymous=Anonymous(product="sensor")))
    async with standing(make_broker(), tmp_path, settings) as site:
        stream = await site.connect()
        await stream.send_all(encode.connect("whoever"))
        assert await answer(stream, 4) == encode.connack(0)
        other = await site.connect("mqtt_websocket")
        assert site.listener.names == ("mqtt", "mqtts", "mqtt_websocket")
        await other.aclose()
