"""The HTTP listener under TLS: names, terms, bounds of handshakes, and clients that speak something else."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import structlog
import trio

from actors.errors import ConfigurationError
from actors.wire.http.messages import Request, Response
from actors.wire.http.tls import TlsTerms
from config.settings import GatewaySettings, Listener, TlsSettings
from daemon.authority import CertificateAuthority
from daemon.listeners.domain_tls import HTTP_1_1, DomainTls, domain_context
from daemon.listeners.http import HttpEntrance, HttpListener
from daemon.listeners.tls import ServerTls
from tests.fakes.certificates import Authority, Pair

LIMITS = GatewaySettings(header_timeout=0.5, max_connections=40)
STRICT = TlsTerms("strict.example.com", "1.3", "THEIRS")
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def tell(request: Request) -> Response:
    """Says by which TLS it was asked, and how much came."""
    tls = request.tls
    told = "plain" if tls is None else f"{tls.version} {tls.terms.domain if tls.terms else '-'} {tls.client or '-'}"
    body = await request.read()
    if request.path == "/long":
        return Response(200, (), b"y" * 3_000_000)
    return Response(421 if request.path == "/421" else 200, (), told.encode() + b" %d" % len(body))


class Site:
    """A listener with an entrance for http and one for https, and two domains."""

    def __init__(self, folder: Path, limits: GatewaySettings = LIMITS) -> None:
        self.authority, self.clients = Authority(), Authority()
        own = ServerTls(
            TlsSettings(),
            folder,
            "gateway.https",
            host="127.0.0.1",
            authority=CertificateAuthority(folder),
            protocols=HTTP_1_1,
        )
        self.tls = DomainTls(own)
        self.own_authority = folder / "ca" / "ca.pem"
        self.listener = HttpListener(
            [HttpEntrance(Listener()), HttpEntrance(Listener(), "https", "gateway.https", self.tls)], limits, tell
        )
        self.serve(self.authority.issue("api.example.com"))

    def serve(self, pair: Pair) -> None:
        strict = self.authority.issue("strict.example.com")
        authorities = TlsTerms("strict.example.com", "1.3", self.clients.pem)
        self.tls.put(
            {
                "api.example.com": (domain_context(pair.chain, pair.key, TlsTerms("")), TlsTerms("api.example.com")),
                "strict.example.com": (domain_context(strict.chain, strict.key, authorities), STRICT),
            }
        )

    async def open(self, name: str | None, context: ssl.SSLContext | None = None) -> trio.SSLStream[trio.SocketStream]:
        """A client under TLS, which asked for that name."""
        transport = await self.connect()
        stream = trio.SSLStream(
            transport, context or self.authority.client(), server_hostname=name, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(transport)
            raise
        return stream

    def own_client(self) -> ssl.SSLContext:
        """A client that believes the instance's own authority."""
        return ssl.create_default_context(cafile=str(self.own_authority))

    async def connect(self, entrance: str = "https") -> trio.SocketStream:
        host, _, port = self.listener.address_of(entrance).rpartition(":")
        return await trio.open_tcp_stream(host, int(port))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(Site(tmp_path)) as made:
        yield made


@asynccontextmanager
async def running(made: Site) -> AsyncIterator[Site]:
    started = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.listener.run, started.set)
        await started.wait()
        yield made
        made.listener.stop()


async def ask(stream: trio.abc.HalfCloseableStream | trio.SSLStream[trio.SocketStream], request: bytes = GET) -> bytes:
    """The body of an answer."""
    await stream.send_all(request)
    return await hear(stream)


async def hear(stream: trio.abc.ReceiveStream | trio.SSLStream[trio.SocketStream]) -> bytes:
    """The body of the next answer, which has a length; nothing comes after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await stream.receive_some()
        assert piece, data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += await stream.receive_some()
    return body


async def test_both_entrances_serve_the_same(site: Site) -> None:
    """A handler is told what a request came by."""
    async with await site.connect("gateway") as plain:
        assert await ask(plain) == b"plain 0"
    async with await site.open("api.example.com") as secured:
        assert await ask(secured) == b"TLSv1.3 api.example.com - 0"
        assert await ask(secured) == b"TLSv1.3 api.example.com - 0"
        assert secured.selected_alpn_protocol() is None


async def test_http_1_1_is_what_alpn_offers(site: Site) -> None:
    """RFC 7301: to a client that can speak more, too."""
    for name, context in (("api.example.com", site.authority.client()), ("localhost", site.own_client())):
        context.set_alpn_protocols(["h2", "http/1.1"])
        async with await site.open(name, context) as stream:
            assert stream.selected_alpn_protocol() == "http/1.1"


async def test_whoever_asks_for_no_known_name_gets_the_listeners_own(site: Site) -> None:
    """By the instance's authority; names are compared without case."""
    async with await site.open("localhost", site.own_client()) as stream:
        assert await ask(stream) == b"TLSv1.3 - - 0"
    nameless = site.own_client()
    nameless.check_hostname = False
    async with await site.open(None, nameless) as stream:
        assert await ask(stream) == b"TLSv1.3 - - 0"
    async with await site.open("API.example.com") as stream:
        assert await ask(stream) == b"TLSv1.3 api.example.com - 0"


async def test_each_domain_has_its_own_minimum(site: Site) -> None:
    """1.2 where nothing is said, and the handshake itself fails below it."""
    old = site.authority.client(most=ssl.TLSVersion.TLSv1_2)
    async with await site.open("api.example.com", old) as stream:
        assert await ask(stream) == b"TLSv1.2 api.example.com - 0"
    shown = site.authority.client(site.clients.issue("robot@example.com"), most=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(trio.BrokenResourceError) as caught:
        await site.open("strict.example.com", shown)
    assert "PROTOCOL_VERSION" in str(caught.value.__cause__)


async def test_a_domain_may_ask_for_certificates(site: Site) -> None:
    """Without one, or with one of somebody else, no request comes through; with one, its subject is known."""
    for shown, alert in ((None, "CERTIFICATE_REQUIRED"), (site.authority.issue("x@example.com"), "UNKNOWN_CA")):
        stream = await site.open("strict.example.com", site.authority.client(shown))
        with pytest.raises(trio.BrokenResourceError) as caught:
            await ask(stream)
        assert alert in str(caught.value.__cause__)
        await trio.aclose_forcefully(stream)
    robot = site.clients.issue("robot@example.com", subject="robot")
    async with await site.open("strict.example.com", site.authority.client(robot)) as stream:
        assert b" strict.example.com CN=robot" in await ask(stream)
    async with await site.open("api.example.com", site.authority.client(robot)) as stream:
        assert await ask(stream) == b"TLSv1.3 api.example.com - 0"


async def test_a_certificate_that_cannot_be_read_ends_its_own_connection_only(site: Site) -> None:
    """OpenSSL verifies names that are no text; whoever has such a one is refused, and the listener serves on."""
    shown = site.authority.client(site.clients.issue_unreadable())
    with pytest.raises((trio.BrokenResourceError, AssertionError)):
        async with await site.open("strict.example.com", shown) as stream:
            await ask(stream)
    assert site.listener.statistics().failed_handshakes == 1
    robot = site.clients.issue("robot@example.com", subject="robot")
    async with await site.open("strict.example.com", site.authority.client(robot)) as stream:
        assert b"CN=robot" in await ask(stream)


async def test_long_bodies_and_answers_pass(site: Site) -> None:
    """In many records, both ways."""
    body = b"x" * 1_000_000
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with await site.open("api.example.com") as stream:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, post)
            assert await hear(stream) == b"TLSv1.3 api.example.com - 1000000"
        assert await ask(stream, b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n") == b"y" * 3_000_000
        assert await ask(stream) == b"TLSv1.3 api.example.com - 0"


async def test_new_handshakes_get_what_was_put_last(site: Site) -> None:
    """Connections that there are go on with what they have."""
    stream = await site.open("api.example.com")
    first = stream.getpeercert(binary_form=True)
    assert await ask(stream)
    renewed = site.authority.issue("api.example.com")
    site.serve(renewed)
    assert await ask(stream) == b"TLSv1.3 api.example.com - 0"
    async with await site.open("api.example.com") as other:
        shown = other.getpeercert(binary_form=True)
        assert shown == ssl.PEM_cert_to_DER_cert(renewed.chain) != first
    await trio.aclose_forcefully(stream)


async def test_a_misdirected_connection_is_closed(site: Site) -> None:
    """RFC 9110 15.5.20: its client is to make another one."""
    stream = await site.open("api.example.com")
    await stream.send_all(b"GET /421 HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = b""
    while piece := await stream.receive_some():
        answer += piece
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"Connection: close\r\n" in answer
    await trio.aclose_forcefully(stream)


async def test_the_end_is_told(site: Site) -> None:
    """RFC 8446 6.1: who reads up to the end of the stream knows that nothing was cut off."""
    transport = await site.connect()
    stream = trio.SSLStream(transport, site.authority.client(), server_hostname="api.example.com")
    await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while piece := await stream.receive_some():  # raises without a close_notify
        answer += piece
    assert answer.endswith(b"TLSv1.3 api.example.com - 0")
    await trio.aclose_forcefully(transport)


@pytest.mark.parametrize("said", [GET, b"\x00\x01", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", b"SSH-2.0-x\r\n"])
async def test_who_speaks_no_tls_is_closed(site: Site, said: bytes) -> None:
    """At once, without an answer in the clear; nobody else notices, and the log takes one line of many."""
    with structlog.testing.capture_logs() as logs:
        for _ in range(20):
            async with await site.connect() as stream:
                await stream.send_all(said)
                with trio.fail_after(5):
                    assert GET[:3] not in await everything(stream)
    assert 1 <= len([line for line in logs if line["event"] == "TLS handshake failed"]) <= 3
    with trio.fail_after(5):
        while site.listener.statistics().failed_handshakes < 20:  # noqa: ASYNC110 - counted after the client has gone
            await trio.sleep(0.01)
    async with await site.open("api.example.com") as stream:
        assert await ask(stream)


async def test_a_handshake_has_its_time(site: Site) -> None:
    """Whoever says nothing, or half a word, is let go with `header_timeout`."""
    for said in (b"", b"\x16\x03\x01\x02\x00\x01"):
        stream = await site.connect()
        if said:
            await stream.send_all(said)
        with trio.fail_after(5):
            assert await everything(stream) == b""
        await stream.aclose()


async def test_silent_clients_keep_nobody_out(tmp_path: Path) -> None:
    """A share of the connections may be in their handshakes; past it the oldest makes room for the next."""
    limits = msgspec.structs.replace(LIMITS, header_timeout=60.0)
    async with running(Site(tmp_path, limits)) as site:
        silent = [await site.connect() for _ in range(100)]
        with trio.fail_after(10):
            async with await site.open("api.example.com") as stream:
                assert await ask(stream)
            async with await site.connect("gateway") as plain:
                assert await ask(plain) == b"plain 0"
        assert site.listener.statistics().failed_handshakes >= 80
        for stream in silent:
            await stream.aclose()


async def test_clients_that_leave_in_their_handshake_leave_nothing(site: Site) -> None:
    """Wherever they reset it; their places are free again."""
    for said in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
        for _ in range(30):
            stream = await site.connect()
            if said:
                await stream.send_all(said)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            await stream.aclose()
    async with await site.open("api.example.com") as stream:
        assert await ask(stream)


async def test_a_drain_waits_for_no_handshake(tmp_path: Path) -> None:
    """Nor for idle connections under TLS."""
    limits = msgspec.structs.replace(LIMITS, header_timeout=60.0)
    with trio.fail_after(5):
        async with running(Site(tmp_path, limits)) as site:
            silent = await site.connect()
            idle = await site.open("api.example.com")
            assert await ask(idle)
    await silent.aclose()
    await trio.aclose_forcefully(idle)


async def test_a_listener_without_entrances_serves_nobody() -> None:
    """Both are switched off: it starts, and stops when it is told to."""
    listener, started = HttpListener([], LIMITS, tell), trio.Event()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run, started.set)
            await started.wait()
            listener.stop()


def test_what_openssl_does_not_take_is_told() -> None:
    """Without a word of the key."""
    pair, other = Authority().issue("a.example.com"), Authority().issue("a.example.com")
    with pytest.raises(ConfigurationError, match="key values mismatch"):
        domain_context(pair.chain, other.key, TlsTerms("a"))
    with pytest.raises(ConfigurationError, match="client authorities cannot be used"):
        domain_context(pair.chain, pair.key, TlsTerms("a", authorities="nonsense"))


async def everything(stream: trio.SocketStream) -> bytes:
    data = b""
    try:
        while piece := await stream.receive_some():
            data += piece
    except trio.BrokenResourceError:
        pass
    return data
