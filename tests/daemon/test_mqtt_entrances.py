"""The entrances for MQTT of a whole daemon: what operators set, see and hand out."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path

import httpx
import pytest
import trio_websocket

from actors.wire.mqtt import encode
from daemon.authority import CertificateAuthority
from tests.fakes.daemon import ChildDaemon
from tests.fakes.numbered import SECRET, manifest
from tests.fakes.plain_http import NO_TLS

CONNECT = encode.connect("x", username="sensor/dev-1", password=SECRET.encode())


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> ChildDaemon:
    folder = tmp_path_factory.mktemp("entrances")
    settings = folder / "penstock.yaml"
    settings.write_text("mqtt:\n  tls: {client_ca: auto}\n  websocket: {path: /broker}\n")
    with ChildDaemon(folder / "data") as one:
        one.stop()
        one.arguments = ("--config", str(settings))
        one.start()
        one.apply(manifest(["dev-1"]))
        yield one


def place(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host, int(port)


def connack(daemon: ChildDaemon, context: ssl.SSLContext, connect: bytes) -> bytes:
    assert daemon.note is not None
    with (
        socket.create_connection(place(daemon.note.mqtts), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(connect)
        return secured.recv(4)


def test_the_authority_is_handed_out_in_three_ways(daemon: ChildDaemon, tmp_path: Path) -> None:
    """On the terminal, into a file, and by the API without a token, since nothing can be trusted before it; all one."""
    assert daemon.note is not None
    shown = daemon.penstock("ca").stdout
    assert daemon.penstock("ca", "--out", str(tmp_path / "ca.pem")).returncode == 0
    fetched = httpx.get(f"http://{daemon.note.control}/api/v1/ca.pem", verify=NO_TLS)
    assert fetched.headers["content-type"] == "application/x-pem-file"
    assert shown == (tmp_path / "ca.pem").read_text() == fetched.text
    assert connack(daemon, ssl.create_default_context(cadata=shown), CONNECT) == encode.connack(0)
    url = f"http://{daemon.note.control}"
    elsewhere = daemon.penstock("ca", "--url", url)
    assert elsewhere.returncode == 2, "a token is asked for, as for every command with --url"


def test_an_issued_certificate_logs_its_device_in(daemon: ChildDaemon, tmp_path: Path) -> None:
    """Key and certificate as they lie in the folder that was named; the key is nobody else's to read."""
    issued = daemon.penstock("ca", "issue", "sensor", "dev-1", "--out", str(tmp_path / "dev"))
    assert issued.returncode == 0, issued.stderr
    context = ssl.create_default_context(cafile=tmp_path / "dev" / "ca.pem")
    context.load_cert_chain(tmp_path / "dev" / "dev-1.pem", tmp_path / "dev" / "dev-1.key")
    assert connack(daemon, context, encode.connect("x")) == encode.connack(0)
    assert (tmp_path / "dev" / "dev-1.key").stat().st_mode & 0o077 == 0
    refused = daemon.penstock("ca", "issue", "sensor", "a/b", "--out", str(tmp_path / "no"))
    assert refused.returncode == 2
    assert "`a/b` is no name" in refused.stderr


def test_a_device_shows_where_it_connects(daemon: ChildDaemon) -> None:
    """All three addresses, the WebSocket as a URL with its path, and in the daemon's own log and note too."""
    assert daemon.note is not None
    note, mqtt = daemon.note, daemon.status("devices/sensor/dev-1")["mqtt"]
    assert (mqtt["address"], mqtt["tls"]) == (note.mqtt, note.mqtts)
    assert mqtt["websocket"] == f"ws://{note.mqtt_websocket}/broker"
    shown = daemon.penstock("get", "device", "sensor/dev-1").stdout
    for address in (note.mqtt, note.mqtts, mqtt["websocket"]):
        assert address in shown
        assert address.removeprefix("ws://").removesuffix("/broker") in daemon.log.read_text()


async def test_the_websocket_of_a_device_is_where_it_is_said_to_be(daemon: ChildDaemon) -> None:
    """The URL as it is shown, given to a WebSocket client as it is."""
    url = daemon.status("devices/sensor/dev-1")["mqtt"]["websocket"]
    async with trio_websocket.open_websocket_url(url, subprotocols=["mqtt"]) as client:
        await client.send_message(CONNECT)
        assert await client.get_message() == encode.connack(0)


def test_certificates_are_read_anew_at_sighup(daemon: ChildDaemon) -> None:
    """A certificate that was renewed is served to the next connection, without a restart."""
    assert daemon.note is not None
    before = ssl.get_server_certificate(place(daemon.note.mqtts))
    path = daemon.data / "ca" / "mqtt.tls.pem"
    CertificateAuthority(daemon.data).server_file("mqtt.tls", ("localhost",))
    seen = len(daemon.log.read_text())
    daemon.send(signal.SIGHUP)
    daemon.wait_log("settings read anew")
    after = ssl.get_server_certificate(place(daemon.note.mqtts))
    assert after != before
    assert after.strip() in path.read_text()
    assert "not read anew" not in daemon.log.read_text()[seen:]


@pytest.mark.parametrize(("host", "force", "starts"), [("0.0.0.0", "false", False), ("0.0.0.0", "true", True)])
def test_everybody_is_let_in_from_afar_only_where_that_is_meant(
    tmp_path: Path, host: str, force: str, *, starts: bool
) -> None:
    """An anonymous listener beyond loopback is a configuration error that says what to write, or is forced."""
    settings = tmp_path / "penstock.yaml"
    settings.write_text(f"mqtt: {{listen: {{host: {host}, anonymous: {{product: open, force: {force}}}}}}}\n")
    with ChildDaemon(tmp_path / "data") as daemon:
        daemon.stop()
        daemon.arguments = ("--config", str(settings))
        if starts:
            daemon.start()
            assert "lets everybody in" in daemon.log.read_text()
            return
        daemon._spawn()
        assert daemon.wait() == 78
        said = daemon.log.read_text().splitlines()[-1]
        assert "mqtt.listen.anonymous: everybody who reaches 0.0.0.0 would be let in" in said
        assert "`force: true`" in said
