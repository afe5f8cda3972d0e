"""TLS in front of routes and topics, as clients see it that check whom they talk to."""

from __future__ import annotations

import json
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme

from tests.fakes.daemon import ChildDaemon

MANIFEST = """
{kind: app, name: shop, key: shop-key, secret: shop-secret}
---
{kind: topic, app: shop, name: orders, partitions: 2}
---
{kind: route, app: shop, name: hello, request: {method: GET, path: /hello}, auth: none, backend: {mock: {body: hello}}}
"""
RECORDS = "/v1/topic/orders/records"
FILES = ("cert.pem", "key.pem")
SETTINGS = {
    f"PENSTOCK_{section}__{field}": name
    for section in ("GATEWAY__HTTPS", "TOPICS__TLS")
    for field, name in zip(("CERTIFICATE", "KEY"), FILES, strict=True)
}


class Authority:
    """A CA of its own; `client` is one who trusts it and nobody else."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def issue(self, folder: Path) -> None:
        """Put a new certificate for 127.0.0.1 where the daemon looks for it."""
        made = self._ca.issue_cert("127.0.0.1")
        (folder / FILES[0]).write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        (folder / FILES[1]).write_bytes(made.private_key_pem.bytes())

    def client(self, address: str) -> httpx.Client:
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return httpx.Client(base_url=f"https://{address}", auth=("shop-key", "shop-secret"), verify=context)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def daemon(tmp_path: Path, authority: Authority) -> Iterator[ChildDaemon]:
    data = tmp_path / "data"
    data.mkdir()
    authority.issue(data)
    with ChildDaemon(data, **SETTINGS) as child:
        child.apply(MANIFEST)
        yield child


@contextmanager
def clients(daemon: ChildDaemon, authority: Authority) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """One of the gateway, and one of topics."""
    assert daemon.note is not None
    with authority.client(daemon.note.gateway_https) as gateway, authority.client(daemon.note.topics) as topics:
        yield gateway, topics


def work(gateway: httpx.Client, topics: httpx.Client) -> None:
    """Both answer."""
    assert gateway.get("/hello").text == "hello"
    assert topics.get(RECORDS).status_code == 200


def test_tls_serves_routes(daemon: ChildDaemon, authority: Authority) -> None:
    """Over TLS a route answers as without; a client without TLS gets no word, and disturbs nobody."""
    assert daemon.note is not None
    with clients(daemon, authority) as (gateway, _):
        assert gateway.get("/hello").text == "hello"
        assert gateway.get("/nowhere").json()["error_code"] == "APIC.0101"
        address = f"http://{daemon.note.gateway_https}"
        with httpx.Client(base_url=address) as plain, pytest.raises(httpx.TransportError):
            plain.get("/hello")
        assert gateway.get("/hello").text == "hello"
    assert daemon.stop() == 0


def test_tls_serves_topics(daemon: ChildDaemon, authority: Authority) -> None:
    """Bulks go both ways; a client without TLS gets no word, and disturbs nobody."""
    with clients(daemon, authority) as (_, topics):
        body = "\n".join(json.dumps({"content": "x" * 1000, "key": "k"}) for _ in range(1500))
        (stored,) = topics.post(RECORDS, content=body).json()["offsets"]
        assert stored["count"] == 1500
        with daemon.topics() as plain, pytest.raises(httpx.TransportError):
            plain.get(RECORDS)
        read = topics.get(RECORDS, params={"partition": stored["partition"], "max_bytes": 10_000_000})
        assert len(read.text.splitlines()) == 1500
    assert daemon.stop() == 0


def test_a_certificate_that_was_renewed_is_served_without_a_restart(daemon: ChildDaemon, authority: Authority) -> None:
    """After SIGHUP new connections get it; those that there are go on with what they have."""
    renewed = Authority()
    with clients(daemon, authority) as before:
        work(*before)
        renewed.issue(daemon.data)
        reload(daemon, 1)
        with clients(daemon, renewed) as after:
            work(*after)
        work(*before)
    with clients(daemon, authority) as distrustful:
        for client, path in zip(distrustful, ("/hello", RECORDS), strict=True):
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                client.get(path)


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_certificate_that_is_no_use_changes_nothing(
    daemon: ChildDaemon, authority: Authority, content: str | None
) -> None:
    """It is told in the log, what was read before is served on, and a good one mends it; no settings stand between."""
    (daemon.data / FILES[0]).unlink()
    if content is not None:
        (daemon.data / FILES[0]).write_text(content)
    daemon.send(signal.SIGHUP)
    for section in ("gateway.https", "topics.tls"):
        daemon.wait_log(f'"reason": "{section}')
    with clients(daemon, authority) as still:
        work(*still)
    renewed = Authority()
    renewed.issue(daemon.data)
    reload(daemon, 1)
    with clients(daemon, renewed) as after:
        work(*after)
    assert "Traceback" not in daemon.log.read_text()


def reload(daemon: ChildDaemon, times: int) -> None:
    """Have the files read anew by both listeners."""
    daemon.send(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while daemon.log.read_text().count("certificate read anew") < 2 * times:
        assert time.monotonic() < deadline, daemon.log.read_text()
        time.sleep(0.02)


def test_files_that_cannot_be_used_are_told_at_the_start(tmp_path: Path) -> None:
    """One line names the setting and the file."""
    data = tmp_path / "data"
    data.mkdir()
    child = ChildDaemon(data, **{name: value for name, value in SETTINGS.items() if "TOPICS" in name})
    with pytest.raises(AssertionError, match=r"penstock: topics\.tls\.certificate: .*cert\.pem cannot be read"):
        child.start()
    for name in FILES:
        (data / name).write_text("nonsense")
    with pytest.raises(AssertionError, match=r"penstock: topics\.tls: .* are no certificate chain and its key"):
        child.start()
