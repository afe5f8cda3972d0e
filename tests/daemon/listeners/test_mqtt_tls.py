"""MQTT over TLS, with certificates of the instance's own authority and of others."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import structlog
import trio

from actors.errors import ConfigurationError
from actors.wire.mqtt import encode
from config.settings import MqttListen, MqttSettings, MqttTlsListen
from daemon.authority import SERVER_VALID, CertificateAuthority
from tests.actors.device_session.conftest import GOOD, OUT, make_broker, partition
from tests.daemon.listeners.site import Site, answer, eventually, standing

CONNECT = encode.connect("lot-1", username="sensor/lot-1", password=b"secret-1")
NO_PASSWORD = encode.connect("lot-1", username="sensor/lot-1")
NO_NAME = encode.connect("lot-1")
ACCEPTED = encode.connack(0)


def with_client_ca(**more: object) -> MqttSettings:
    return MqttSettings(tls=MqttTlsListen(client_ca="auto", **more))  # type: ignore[arg-type]  # what a test says


def device_context(site: Site, folder: Path, product: str, device: str) -> ssl.SSLContext:
    """What a device is given by `penstock ca issue`."""
    issued = site.authority.issue_client(product, device)
    path = folder / f"{device}.both.pem"
    path.write_bytes(issued.key + issued.certificate)
    context = site.client_context()
    context.load_cert_chain(path)
    return context


async def test_paho_reports_over_tls(tmp_path: Path) -> None:
    """A client that was given ca.pem, and nothing else, believes in the daemon and reports."""
    broker = make_broker()
    async with standing(broker, tmp_path) as site:
        host, port = site.place("mqtts")

        def report() -> None:
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="lot-1")
            client.username_pw_set("sensor/lot-1", "secret-1")
            client.tls_set_context(site.client_context())
            connected = threading.Event()
            client.on_connect = lambda *_: connected.set()
            client.connect("localhost" if host == "127.0.0.1" else host, port)
            client.loop_start()
            assert connected.wait(5)
            for sent in [client.publish(OUT, GOOD, qos=1) for _ in range(50)]:
                sent.wait_for_publish(5)
            client.disconnect()
            client.loop_stop()

        await trio.to_thread.run_sync(report)
    assert partition(broker).values == [GOOD] * 50


async def test_who_does_not_believe_in_the_authority_does_not_connect(tmp_path: Path) -> None:
    """The certificate is really checked, and the refusal is one line here and no session."""
    broker = make_broker()
    async with standing(broker, tmp_path) as site:
        with pytest.raises(trio.BrokenResourceError):
            await site.secured(context=ssl.create_default_context())
        await eventually(lambda: broker.counters.refused_handshakes == 1)
        stream = await site.secured()
        await stream.send_all(CONNECT)
        assert await answer(stream, 4) == ACCEPTED
    assert broker.counters.crashes == 0


async def test_a_handshake_that_does_not_end_holds_up_nobody(tmp_path: Path) -> None:
    """It has the CONNECT time-out, is closed then, and others shake hands meanwhile; so is what is no TLS."""
    broker = make_broker(connect_timeout=0.3)
    async with standing(broker, tmp_path) as site:
        silent, half = await site.connect("mqtts"), await site.connect("mqtts")
        await half.send_all(b"\x16\x03\x01\x02\x00\x01")
        nonsense = await site.connect("mqtts")
        await nonsense.send_all(CONNECT)
        assert await answer(nonsense, 1000) != ACCEPTED
        stream = await site.secured()
        await stream.send_all(CONNECT)
        assert await answer(stream, 4) == ACCEPTED
        for one in (silent, half):
            assert await answer(one, 1) == b""
        await eventually(lambda: broker.counters.refused_handshakes == 3)
        assert len(broker.sessions) == 1


async def test_large_and_many_records_arrive_whole(tmp_path: Path) -> None:
    """A packet of many records, and many packets of a record each, are read and answered in order."""
    broker = make_broker(max_packet_bytes=4_000_000, inflight_bytes=8_000_000)
    async with standing(broker, tmp_path) as site:
        stream = await site.secured()
        await stream.send_all(CONNECT)
        assert await answer(stream, 4) == ACCEPTED
        large = b'{"status":"0","x":"' + b"x" * 900_000 + b'"}'
        await stream.send_all(encode.publish(OUT, large, qos=1, packet_id=1))
        assert await answer(stream, 4) == encode.pubacks([1])
        for packet_id in range(2, 500):
            await stream.send_all(encode.publish(OUT, GOOD, qos=1, packet_id=packet_id))
        assert await answer(stream, 4 * 498) == encode.pubacks(list(range(2, 500)))
    assert partition(broker).values == [large, *[GOOD] * 498]


async def test_a_client_sees_that_nothing_was_cut_off(tmp_path: Path) -> None:
    """The daemon says close_notify when it ends a session, so that an end is told from an attack (RFC 8446 6.1)."""
    broker = make_broker()
    async with standing(broker, tmp_path) as site:
        stream = await site.secured()
        await stream.send_all(CONNECT)
        assert await answer(stream, 4) == ACCEPTED
        broker.sessions.close_device("sensor/lot-1", "for the test")
        assert await answer(stream, 100) == b""


async def test_certificates_are_read_anew_for_new_connections(tmp_path: Path) -> None:
    """A reload serves the new certificate; connections that there are go on; a bad one is told and not taken."""
    broker, today = make_broker(), [datetime.now(UTC) - SERVER_VALID * 0.7]
    authority = CertificateAuthority(tmp_path, lambda: today[0])
    async with standing(broker, tmp_path, authority=authority) as site:
        first = await site.secured()
        await first.send_all(CONNECT)
        assert await answer(first, 4) == ACCEPTED
        serial = first.getpeercert()["serialNumber"]
        today[0] += SERVER_VALID * 0.7
        await site.tls["mqtt.tls"].reload()
        second = await site.secured()
        assert second.getpeercert()["serialNumber"] != serial
        (tmp_path / "ca" / "ca.key").write_bytes(b"rubbish")
        with structlog.testing.capture_logs() as lines:
            await site.tls["mqtt.tls"].reload()
        assert "certificate not read anew" in [line["event"] for line in lines]
        third = await site.secured(context=ssl.create_default_context(cadata=authority.path.read_text()))
        assert third.getpeercert()["serialNumber"] == second.getpeercert()["serialNumber"]
        await first.send_all(encode.PINGREQ)
        assert await answer(first, 2) == encode.PINGRESP


# --- clients with certificates -------------------------------------------------------------------------------------


async def test_a_device_with_a_certificate_needs_no_password(tmp_path: Path) -> None:
    """With its user name or without one; what is written in the certificate decides who it is."""
    broker = make_broker()
    async with standing(broker, tmp_path, with_client_ca()) as site:
        context = await trio.to_thread.run_sync(device_context, site, tmp_path, "sensor", "lot-1")
        for connect in (NO_PASSWORD, NO_NAME):
            stream = await site.secured(context=context)
            await stream.send_all(connect)
            assert await answer(stream, 4) == ACCEPTED
            await stream.send_all(encode.publish(OUT, GOOD, qos=1, packet_id=1))
            assert await answer(stream, 4) == encode.pubacks([1])
            await stream.aclose()
    assert partition(broker).values == [GOOD] * 2


@pytest.mark.parametrize(
    ("product", "device", "connect"),
    [
        ("sensor", "lot-2", NO_PASSWORD),
        ("sensor", "lot-off", NO_NAME),
        ("sensor", "nobody", NO_NAME),
    ],
)
async def test_a_certificate_opens_for_its_own_device_only(
    tmp_path: Path, product: str, device: str, connect: bytes
) -> None:
    """Another user name, a device that is switched off, and one that is not known are refused."""
    broker = make_broker()
    async with standing(broker, tmp_path, with_client_ca()) as site:
        context = await trio.to_thread.run_sync(device_context, site, tmp_path, product, device)
        stream = await site.secured(context=context)
        await stream.send_all(connect)
        assert await answer(stream, 4) in {encode.connack(4), encode.connack(5)}
        assert broker.counters.connected == 0


async def test_without_a_certificate_a_password_is_asked_for(tmp_path: Path) -> None:
    """Where certificates are optional both ways in are open, and each is checked."""
    broker = make_broker()
    async with standing(broker, tmp_path, with_client_ca()) as site:
        for connect, code in ((NO_PASSWORD, 4), (CONNECT, 0)):
            stream = await site.secured()
            await stream.send_all(connect)
            assert await answer(stream, 4) == encode.connack(code)


async def test_a_required_certificate_is_required_and_a_foreign_one_refused(tmp_path: Path) -> None:
    """Neither becomes a session: the handshake fails."""
    broker = make_broker()
    foreign = CertificateAuthority(tmp_path / "foreign").issue_client("sensor", "lot-1")
    (tmp_path / "foreign.pem").write_bytes(foreign.key + foreign.certificate)
    async with standing(broker, tmp_path, with_client_ca(client_certificate="required")) as site:
        stranger = site.client_context()
        stranger.load_cert_chain(tmp_path / "foreign.pem")
        for context in (site.client_context(), stranger):
            with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - TLS 1.3 tells with the first answer
                stream = await site.secured(context=context)
                await stream.send_all(CONNECT)
                await answer(stream, 4)
        context = await trio.to_thread.run_sync(device_context, site, tmp_path, "sensor", "lot-1")
        stream = await site.secured(context=context)
        await stream.send_all(NO_NAME)
        assert await answer(stream, 4) == ACCEPTED
    assert (broker.counters.refused_handshakes, broker.counters.connected) == (2, 1)


# --- certificates of one's own -------------------------------------------------------------------------------------


async def test_own_certificates_are_served(tmp_path: Path) -> None:
    """Chain and key as files in the data folder, the clients' authority too."""
    authority = CertificateAuthority(tmp_path / "company")
    both = authority.server_file("x", ("localhost",)).read_text()
    (tmp_path / "own.pem").write_text(both[both.index("-----BEGIN CERT") :])
    (tmp_path / "own.key").write_text(both[: both.index("-----BEGIN CERT")])
    (tmp_path / "clients.pem").write_bytes(authority.certificate())
    tls = MqttTlsListen(certificate="own.pem", key="own.key", client_ca="clients.pem")
    async with standing(make_broker(), tmp_path, MqttSettings(tls=tls)) as site:
        site.authority = authority
        context = await trio.to_thread.run_sync(device_context, site, tmp_path, "sensor", "lot-1")
        stream = await site.secured(context=context)
        await stream.send_all(NO_NAME)
        assert await answer(stream, 4) == ACCEPTED
    assert not (tmp_path / "ca").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"certificate": "none.pem", "key": "none.key"}, r"mqtt\.tls\.certificate: .*none\.pem cannot be read"),
        ({"certificate": "rubbish", "key": "rubbish"}, r"mqtt\.tls: .*rubbish are no certificate chain"),
        ({"client_ca": "none.pem"}, r"mqtt\.tls\.client_ca: .*none\.pem cannot be read"),
        ({"client_ca": "rubbish"}, r"mqtt\.tls\.client_ca: .*rubbish holds no certificates"),
    ],
)
async def test_certificates_that_cannot_be_used_are_told_at_the_start(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    """With the setting, the file and the reason."""
    (tmp_path / "rubbish").write_bytes(b"rubbish")
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match=said), flatten_subgroups=True):
        async with standing(make_broker(), tmp_path, MqttSettings(tls=MqttTlsListen(**settings))):  # type: ignore[arg-type]
            pass


async def test_an_entrance_that_is_switched_off_is_not_there(tmp_path: Path) -> None:
    """No socket, no address, and no certificate is made for it."""
    settings = MqttSettings(tls=MqttTlsListen(enabled=False), listen=MqttListen(enabled=False))
    async with standing(make_broker(), tmp_path, settings) as site:
        assert site.listener.names == ("mqtt_websocket",)
        assert (site.listener.address, site.listener.address_of("mqtts")) == ("", "")
    assert not (tmp_path / "ca").exists()


async def test_a_client_that_resets_during_the_handshake_is_no_error_of_the_server(tmp_path: Path) -> None:
    """It is a refused connection, whenever it goes."""
    broker = make_broker()
    async with standing(broker, tmp_path) as site:
        for sent in (b"", b"\x16\x03\x01"):
            stream = await site.connect("mqtts")
            await stream.send_all(sent)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await stream.aclose()
        await eventually(lambda: broker.counters.refused_handshakes == 2)
    assert broker.counters.crashes == 0
