"""MQTT over WebSocket, with a client that this project did not write, and frame by frame."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import trio
from trio_websocket import ConnectionClosed, open_websocket
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from actors.wire.mqtt import encode
from config.settings import ClientCertificates, MqttSettings, MqttWebSocketListen
from tests.actors.device_session.conftest import GOOD, IN, OUT, make_broker, partition
from tests.daemon.listeners.site import Site, answer, eventually, standing

CONNECT = encode.connect("lot-1", username="sensor/lot-1", password=b"secret-1")
ACCEPTED = encode.connack(0)
UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
    b"Sec-WebSocket-Version: %d\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
WSS = MqttSettings(websocket=MqttWebSocketListen(tls=ClientCertificates(client_ca="auto")))


class Frames:
    """A client that says which frames it sends, and shows those that come."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.events: list[Event] = []

    async def say(self, *events: Event) -> None:
        """Send frames, all at once."""
        await self.stream.send_all(b"".join(self.protocol.send(event) for event in events))

    async def hear(self) -> Event:
        """The next frame."""
        with trio.fail_after(5):
            while not self.events:
                data = await self.stream.receive_some(65_536)
                self.protocol.receive_data(data or None)
                self.events += self.protocol.events()
        return self.events.pop(0)

    async def hear_bytes(self, size: int) -> bytes:
        """So many bytes of messages, however they are cut."""
        data = b""
        while len(data) < size:
            event = await self.hear()
            assert isinstance(event, BytesMessage), event
            data += event.data
        return data


@asynccontextmanager
async def opened(site: Site, path: str = "/mqtt") -> AsyncIterator[Frames]:
    """A WebSocket to the listener."""
    frames = Frames(await site.connect("mqtt_websocket"))
    await frames.say(Request(host="localhost", target=path, subprotocols=["mqtt"]))
    accepted = await frames.hear()
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "mqtt"
    yield frames


@asynccontextmanager
async def logged_in(site: Site) -> AsyncIterator[Frames]:
    """A device on a WebSocket."""
    async with opened(site) as frames:
        await frames.say(BytesMessage(CONNECT))
        assert await frames.hear_bytes(4) == ACCEPTED
        yield frames


@pytest.mark.parametrize("secured", [False, True])
async def test_paho_reports_and_hears_over_websocket(tmp_path: Path, *, secured: bool) -> None:
    """Plain and over TLS, with the path and subprotocol that clients use by themselves."""
    broker = make_broker()
    async with standing(broker, tmp_path, WSS if secured else None) as site:
        _, port = site.place("mqtt_websocket")

        def talk() -> list[bytes]:
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="lot-1", transport="websockets")
            client.username_pw_set("sensor/lot-1", "secret-1")
            if secured:
                client.tls_set_context(site.client_context())
            subscribed, heard, messages = threading.Event(), threading.Event(), []
            client.on_connect = lambda *_: client.subscribe(IN, 1)
            client.on_subscribe = lambda *_: subscribed.set()
            client.on_message = lambda _c, _d, message: (messages.append(message.payload), heard.set())
            client.connect("localhost", port)
            client.loop_start()
            assert subscribed.wait(5)
            for sent in [client.publish(OUT, GOOD, qos=1) for _ in range(50)]:
                sent.wait_for_publish(5)
            app = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="app")
            app.username_pw_set("city-key", "city-secret")
            app.connect(*site.place("mqtt"))
            app.loop_start()
            app.publish(IN, b"open" * 100, qos=1).wait_for_publish(5)
            assert heard.wait(5)
            for one in (client, app):
                one.disconnect()
                one.loop_stop()
            return messages

        assert await trio.to_thread.run_sync(talk) == [b"open" * 100]
    assert partition(broker).values == [GOOD] * 50
    assert broker.counters.crashes == 0


async def test_a_certificate_counts_over_websocket_too(tmp_path: Path) -> None:
    """A device with a certificate needs no password there either."""
    broker = make_broker()
    async with standing(broker, tmp_path, WSS) as site:
        issued = site.authority.issue_client("sensor", "lot-1")
        (tmp_path / "lot-1.pem").write_bytes(issued.key + issued.certificate)
        context = site.client_context()
        context.load_cert_chain(tmp_path / "lot-1.pem")
        _, port = site.place("mqtt_websocket")
        async with open_websocket("localhost", port, "/mqtt", use_ssl=context, subprotocols=["mqtt"]) as client:
            await client.send_message(encode.connect("lot-1"))
            assert await client.get_message() == ACCEPTED


async def test_packets_may_be_split_over_frames_and_joined_in_them(tmp_path: Path) -> None:
    """[MQTT-6.0.0-2; MQTT5-6.0.0-2] Whatever the frames, one stream: byte by byte, in fragments, or all in one."""
    broker = make_broker()
    async with standing(broker, tmp_path) as site, opened(site) as frames:
        for byte in CONNECT:
            await frames.say(BytesMessage(bytes([byte])))
        assert await frames.hear_bytes(4) == ACCEPTED
        reports = [encode.publish(OUT, GOOD, qos=1, packet_id=number) for number in range(1, 21)]
        await frames.say(BytesMessage(b"".join(reports[:10])))
        whole = b"".join(reports[10:])
        pieces = [whole[start : start + 7] for start in range(0, len(whole), 7)]
        await frames.say(*(BytesMessage(piece, message_finished=False) for piece in pieces), BytesMessage(b""))
        assert await frames.hear_bytes(80) == encode.pubacks(list(range(1, 21)))
    assert partition(broker).values == [GOOD] * 20


async def test_a_frame_may_reach_over_many_reads(tmp_path: Path) -> None:
    """A message that is larger than any buffer is read as it comes, and larger answers arrive whole."""
    broker = make_broker(max_packet_bytes=2_000_000, outbox_bytes=4_000_000)
    large = b"x" * 1_500_000
    async with standing(broker, tmp_path) as site, logged_in(site) as frames:
        await frames.say(BytesMessage(encode.subscribe(1, [(IN, 0)])))
        assert await frames.hear_bytes(5) == encode.suback(1, [0])
        app = await site.connect()
        await app.send_all(encode.connect("app", username="city-key", password=b"city-secret"))
        assert await answer(app, 4) == ACCEPTED
        await app.send_all(encode.publish(IN, large))
        delivered = encode.publish(IN, large)
        assert await frames.hear_bytes(len(delivered)) == delivered


async def test_a_text_frame_ends_the_connection(tmp_path: Path) -> None:
    """[MQTT-6.0.0-1; MQTT5-6.0.0-1] Anything but binary is refused with 1003, and nothing of it is taken."""
    broker = make_broker()
    async with standing(broker, tmp_path) as site, logged_in(site) as frames:
        await frames.say(TextMessage("hello"))
        closed = await frames.hear()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1003
        await eventually(lambda: len(broker.sessions) == 0)
    assert broker.counters.crashes == 0


async def test_the_subprotocol_is_asked_for_and_told(tmp_path: Path) -> None:
    """[MQTT-6.0.0-3, 6.0.0-4; MQTT5-6.0.0-3, 6.0.0-4] Without `mqtt` a client is refused; one that offers more gets it.

    Clients of MQTT 3.1 call it `mqttv3.1`, as MQTT.js does.
    """
    async with standing(make_broker(), tmp_path) as site:
        for offered in ([], ["mqttv5.1"]):
            frames = Frames(await site.connect("mqtt_websocket"))
            await frames.say(Request(host="localhost", target="/mqtt", subprotocols=offered))
            refused = await frames.hear()
            assert isinstance(refused, RejectConnection)
            assert refused.status_code == 400
        _, port = site.place("mqtt_websocket")
        for offered, told in ((["x", "mqtt"], "mqtt"), (["mqttv3.1", "mqtt"], "mqtt"), (["mqttv3.1"], "mqttv3.1")):
            async with open_websocket("127.0.0.1", port, "/mqtt", use_ssl=False, subprotocols=offered) as client:
                assert client.subprotocol == told


async def test_mqtt_is_at_its_path_and_nowhere_else(tmp_path: Path) -> None:
    """Another path is 404 with the right one; a query is no other path; the path can be set."""
    settings = MqttSettings(websocket=MqttWebSocketListen(path="/broker"))
    async with standing(make_broker(), tmp_path, settings) as site:
        stream = await site.connect("mqtt_websocket")
        wanted = WSConnection(ConnectionType.CLIENT)
        await stream.send_all(wanted.send(Request(host="localhost", target="/mqtt", subprotocols=["mqtt"])))
        said = (await answer(stream, 10_000)).decode()
        assert said.startswith("HTTP/1.1 404")
        assert "MQTT is at /broker" in said
        async with opened(site, "/broker?from=browser"):
            pass


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /mqtt HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"GET /mqtt HTTP/1.1\r\n" + b"X: " + b"y" * 100_000,
        CONNECT * 5,
        b"\r\n\r\n\0\0",
        UPGRADE % (b"\xff\xfe", 13),
        UPGRADE % (b"a", 8),
    ],
)
async def test_what_is_no_websocket_is_refused(tmp_path: Path, sent: bytes) -> None:
    """Plain HTTP, MQTT without WebSocket and rubbish end with an answer or without one, never in a session."""
    broker = make_broker()
    async with standing(broker, tmp_path) as site:
        stream = await site.connect("mqtt_websocket")
        await stream.send_all(sent)
        said = await answer(stream, 10_000)
        assert not said or said.startswith((b"HTTP/1.1 4",))
        await eventually(lambda: broker.counters.refused_handshakes == 1)
    assert (broker.counters.crashes, broker.counters.accepted) == (0, 1)


async def test_a_handshake_that_dribbles_or_stops_has_its_time(tmp_path: Path) -> None:
    """It is closed at the CONNECT time-out, and so is a WebSocket on which no CONNECT comes."""
    broker = make_broker(connect_timeout=0.3)
    async with standing(broker, tmp_path) as site:
        half = await site.connect("mqtt_websocket")
        await half.send_all(b"GET /mqtt HTTP/1.1\r\nHost: a\r\n")
        async with opened(site) as silent:
            assert await answer(half, 1) == b""
            assert isinstance(await silent.hear(), CloseConnection)


async def test_pings_are_answered_also_while_messages_are_sent(tmp_path: Path) -> None:
    """Each with what it brought; of several at once the last is enough (RFC 6455 5.5.3)."""
    async with standing(make_broker(), tmp_path) as site, logged_in(site) as frames:
        await frames.say(Ping(b"one"))
        assert await frames.hear() == Pong(b"one")
        await frames.say(Ping(b"two"), BytesMessage(encode.PINGREQ), Ping(b"three"))
        heard = [await frames.hear(), await frames.hear()]
        assert Pong(b"three") in heard
        assert any(isinstance(event, BytesMessage) and event.data == encode.PINGRESP for event in heard)


async def test_each_side_may_close(tmp_path: Path) -> None:
    """A close frame is answered, the session ends; what came before it is taken. The daemon's own end has one too."""
    broker = make_broker()
    async with standing(broker, tmp_path) as site:
        async with logged_in(site) as frames:
            await frames.say(
                BytesMessage(encode.publish(OUT, GOOD, qos=0)), BytesMessage(encode.DISCONNECT), CloseConnection(1000)
            )
            assert isinstance(await frames.hear(), CloseConnection)
        await eventually(lambda: partition(broker).values == [GOOD])
        assert broker.statuses.view("sensor/lot-1").reason == "the client disconnected"
        async with logged_in(site) as frames:
            broker.sessions.close_device("sensor/lot-1", "for the test")
            assert isinstance(await frames.hear(), CloseConnection)


async def test_broken_frames_end_the_connection(tmp_path: Path) -> None:
    """Reserved bits, an unmasked frame and a continuation of nothing: each is a protocol error of RFC 6455."""
    broker = make_broker()
    for frame in (b"\xf2\x80\0\0\0\0", b"\x82\x00", b"\x80\x80\0\0\0\0", b"\x8f\x80\0\0\0\0"):
        async with standing(broker, tmp_path) as site, logged_in(site) as frames:
            await frames.stream.send_all(frame)
            closed = await frames.hear()
            assert isinstance(closed, CloseConnection)
            assert closed.code == 1002
    assert broker.counters.crashes == 0


async def test_a_message_without_end_is_refused(tmp_path: Path) -> None:
    """One message may join packets up to a bound, whatever is in it: past that the connection ends with 1009."""
    broker = make_broker(max_packet_bytes=1000)
    async with standing(broker, tmp_path) as site, logged_in(site) as frames:
        with pytest.raises((trio.BrokenResourceError, ConnectionClosed)):  # noqa: PT012 - it may come at any of them
            reports = encode.publish(OUT, GOOD + b" " * 900) * 100
            for _ in range(100):
                await frames.say(BytesMessage(reports, message_finished=False))
            while True:
                event = await frames.hear()
                if isinstance(event, CloseConnection):
                    assert event.code == 1009
                    raise trio.BrokenResourceError
        await eventually(lambda: len(broker.sessions) == 0)


async def test_a_session_that_is_not_read_holds_its_client(tmp_path: Path) -> None:
    """Pressure goes back through the WebSocket: while reports cannot be stored, the client's own sends wait."""
    broker = make_broker(inflight_bytes=2000)
    partition(broker).answers_at_once = False
    async with standing(broker, tmp_path) as site, logged_in(site) as frames, trio.open_nursery() as nursery:
        sent: list[int] = []
        nursery.start_soon(_report, frames, sent)
        while True:
            before = len(sent)
            await trio.sleep(0.3)
            if len(sent) == before:
                break
        assert 0 < before < _REPORTS
        assert broker.counters.records < _REPORTS
        partition(broker).answers_at_once = True
        partition(broker).answer()
        acknowledged = await frames.hear_bytes(4 * _REPORTS)
    assert acknowledged == encode.pubacks([1] * _REPORTS)


_REPORTS = 2000


async def _report(frames: Frames, sent: list[int]) -> None:
    report = encode.publish(OUT, b'{"status":"0","x":"' + b"x" * 10_000 + b'"}', qos=1, packet_id=1)
    for number in range(_REPORTS):
        await frames.say(BytesMessage(report))
        sent.append(number)
