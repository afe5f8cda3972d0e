"""Domains, certificates and HTTPS on a whole instance, with the clients that people use."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec
import pytest
import trio

from config.settings import GatewayHttpsListen, GatewayListen
from tests.fakes.certificates import Authority, Pair
from tests.fakes.house import SETTINGS, Tenant, living

APP = "kind: app\nname: a\nkey: a-key\nsecret: a-secret-1\napp_codes: [a-code]\n"


def group(name: str, *domains: str) -> str:
    return f"---\nkind: api_group\napp: a\nname: {name}\ndomains: [{', '.join(f'{{{one}}}' for one in domains)}]\n"


def route(name: str, more: str = "group: g", request: str = "path: /x", body: str = "") -> str:
    said = f"backend: {{mock: {{body: {body or name}}}}}"
    return f"---\nkind: route\napp: a\nname: {name}\nauth: none\nrequest: {{{request}}}\n{said}\n{more}\n"


class Site:
    """An instance with a domain, as its callers see it."""

    def __init__(self, tenant: Tenant, folder: Path) -> None:
        self.tenant = tenant
        self.folder = folder
        self.authority = Authority()
        self.file = self.authority.file(folder)

    def port(self, listener: str = "gateway_https") -> int:
        return int(self.tenant.house.addresses()[listener].rpartition(":")[2])

    def secured(self, name: str, *, most: ssl.TLSVersion | None = None, shown: Pair | None = None) -> Client:
        return Client(name, self.port(), self.authority.client(shown, most=most))

    def plain(self, name: str) -> Client:
        return Client(name, self.port("gateway"))

    async def curl(self, url: str, *arguments: str) -> tuple[int, str]:
        """Exit code and what it printed; names lead to the instance, and `{https}` and `{http}` are its ports."""
        command = shutil.which("curl")
        if command is None:
            pytest.skip("there is no curl")
        ports = {"https": self.port(), "http": self.port("gateway")}
        to = "::127.0.0.1:"
        whole = [command, "-sS", "--max-time", "10", "--cacert", str(self.file), "--connect-to", to, *arguments]
        run = partial(subprocess.run, capture_output=True, text=True, check=False)
        done = await trio.to_thread.run_sync(run, [*whole, url.format(**ports)])
        return done.returncode, done.stdout + done.stderr

    async def refused(self, manifest: str) -> str:
        """Why a manifest is not applied."""
        answer = await self.tenant.call("POST", "apply", content=manifest.encode())
        assert answer.status_code == 400, answer.text
        return " | ".join(f"{one['field']}: {one['reason']}" for one in answer.json()["details"])


class Client:
    """Calls one name; `tls` is what it believes and shows."""

    def __init__(self, name: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._name = name
        self._client = httpx.AsyncClient(
            base_url=f"{'http' if tls is None else 'https'}://127.0.0.1:{port}", verify=tls or False, timeout=30
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def call(self, path: str = "/x", method: str = "GET", *, host: str = "", **headers: str) -> httpx.Response:
        named = {"Host": host or self._name} | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._client.request(
            method, path, headers=named, extensions={"sni_hostname": self._name}, follow_redirects=False
        )


async def text(client: Client, *arguments: Any, **more: Any) -> tuple[int, str]:
    """One call on a connection of its own."""
    async with client:
        answer = await client.call(*arguments, **more)
        code = answer.json()["error_code"] if answer.text.startswith('{"error_code"') else answer.text
        return answer.status_code, code


@asynccontextmanager
async def opened(folder: Path, **gateway: Any) -> AsyncIterator[Site]:
    settings = msgspec.structs.replace(SETTINGS, gateway=msgspec.structs.replace(SETTINGS.gateway, **gateway))
    async with living(folder / "data", settings) as tenant:
        yield Site(tenant, folder)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(tmp_path) as made:
        await made.tenant.apply(APP)
        yield made


async def test_each_domain_has_its_certificate_and_its_routes(site: Site) -> None:
    """Clients that check whom they talk to reach the group of the name; other names reach routes without domains."""
    api, other = site.authority.issue("api.example.com"), site.authority.issue("*.other.example.com")
    await site.tenant.apply(
        APP
        + api.manifest("api")
        + other.manifest("other")
        + group("g", "name: api.example.com, certificate: api")
        + group("h", "name: '*.other.example.com', certificate: other")
        + route("g")
        + route("h", "group: h")
        + route("default", "")
    )
    for name, body in (("api.example.com", "g"), ("a.other.example.com", "h"), ("b.other.example.com", "h")):
        assert await text(site.secured(name)) == (200, body)
        assert await text(site.plain(name)) == (200, body)
    assert await text(site.plain("127.0.0.1")) == (200, "default")
    with pytest.raises(httpx.ConnectError):
        await text(site.secured("a.b.other.example.com"))
    own = ssl.create_default_context(cafile=str(site.folder / "data" / "ca" / "ca.pem"))
    assert await text(Client("localhost", site.port(), own)) == (200, "default")


async def test_a_route_tells_its_urls(site: Site) -> None:
    """`penstock get route` and the OpenAPI document have scheme, domain and port."""
    pair = site.authority.issue("api.example.com")
    await site.tenant.apply(
        APP
        + pair.manifest("c")
        + group("g", "name: api.example.com, certificate: c")
        + route("both")
        + route("sealed", request="path: '/sealed/{id}', method: PUT, protocol: https")
    )
    http, https = f"http://api.example.com:{site.port('gateway')}", f"https://api.example.com:{site.port()}"
    assert (await site.tenant.status("routes/both"))["calls"] == [f"GET {http}/x", f"GET {https}/x"]
    assert (await site.tenant.status("routes/sealed"))["calls"] == [f"PUT {https}/sealed/{{id}}"]
    document = (await site.tenant.call("GET", "api_groups/g/openapi")).json()
    assert document["servers"] == [{"url": http}, {"url": https}]
    assert document["paths"]["/sealed/{id}"]["put"]["servers"] == [{"url": https}]


async def test_curl_follows_to_https(site: Site) -> None:
    """GET and HEAD are sent there where the domain says so; what cannot be sent is served, or told what is taken."""
    pair = site.authority.issue("api.example.com")
    await site.tenant.apply(
        APP
        + pair.manifest("c")
        + group("g", "name: api.example.com, certificate: c, redirect: true", "name: plain.example.com")
        + route("both", request="path: /x, method: ANY")
        + route("sealed", request="path: /sealed, method: ANY, protocol: https")
        + route("open", request="path: /open, protocol: http")
    )
    url = "http://api.example.com:{http}"
    status, location, final = "%{http_code}", "%{redirect_url}", "%{http_code} %{url_effective}"
    quiet = ("-o", "/dev/null", "-w")
    said = await site.curl(f"{url}/x?a=1", *quiet, f"{status} {location}")
    assert said == (0, f"301 https://api.example.com:{site.port()}/x?a=1")
    assert await site.curl(f"{url}/sealed", "-I", "-L", *quiet, final) == (
        0,
        f"200 https://api.example.com:{site.port()}/sealed",
    )
    assert await site.curl(f"{url}/x", "-L") == (0, "both")
    assert await site.curl(f"{url}/x", "-X", "POST") == (0, "both")
    assert await site.curl(f"{url}/open") == (0, "open")
    refused = '"error_code":"APIC.0607","error_msg":"The following protocol is supported: '
    for asked, taken in (
        (site.curl(f"{url}/sealed", "-X", "POST"), "https"),
        (site.curl("http://plain.example.com:{http}/sealed"), "https"),
        (site.curl("https://api.example.com:{https}/open"), "http"),
    ):
        assert f'{refused}{taken}"' in (await asked)[1]


async def test_versions_of_tls_are_a_domains_own(site: Site) -> None:
    """1.2 goes through, unless the domain wants 1.3: then not even by the name of another."""
    pair = site.authority.issue("api.example.com", "strict.example.com")
    await site.tenant.apply(
        APP
        + pair.manifest("c")
        + group("g", "name: api.example.com, certificate: c")
        + group("h", "name: strict.example.com, certificate: c, minimum_tls: '1.3'")
        + route("g")
        + route("h", "group: h")
    )
    assert await site.curl("https://api.example.com:{https}/x", "--tls-max", "1.2") == (0, "g")
    assert await site.curl("https://strict.example.com:{https}/x") == (0, "h")
    code, reason = await site.curl("https://strict.example.com:{https}/x", "--tls-max", "1.2")
    assert (code, "protocol version" in reason) == (35, True)
    old = ssl.TLSVersion.TLSv1_2
    assert await text(site.secured("api.example.com", most=old), host="strict.example.com") == (421, "APIC.0201")


async def test_a_domain_may_believe_client_certificates_only(site: Site) -> None:
    """None, and a stranger's, come to nothing, as do another name in the handshake and http; the subject is told."""
    pair, clients = site.authority.issue("mutual.example.com", "api.example.com"), Authority()
    domain = f"name: mutual.example.com, certificate: c, client_authorities: {json.dumps(clients.pem)}"
    whoami = "response: {system: {who: client_certificate}}"
    await site.tenant.apply(
        APP
        + pair.manifest("c")
        + group("g", domain)
        + group("h", "name: api.example.com, certificate: c")
        + route("g", f"group: g\n{whoami}", body="{}")
        + route("h", f"group: h\n{whoami}", body="{}")
    )
    robot = clients.issue("robot@example.com", subject="robot")
    async with site.secured("mutual.example.com", shown=robot) as client:
        assert (await client.call()).json()["who"].startswith("CN=robot")
        assert (await client.call(host="api.example.com")).json()["who"].startswith("CN=robot")
    for shown in (None, Authority().issue("robot@example.com", subject="robot")):
        with pytest.raises(httpx.TransportError):
            await text(site.secured("mutual.example.com", shown=shown))
    for shown in (None, robot):
        async with site.secured("api.example.com", shown=shown) as client:
            assert (await client.call()).json()["who"] is None
            answer = await client.call(host="Mutual.example.com.:1")
            assert (answer.status_code, answer.headers["connection"]) == (421, "close")
            assert (await client.call()).status_code == 200
    assert await text(site.plain("mutual.example.com")) == (400, "APIC.0607")
    files = (site.folder / "robot.pem", site.folder / "robot.key")
    for file, content in zip(files, (robot.chain, robot.key), strict=True):
        file.write_text(content)
    code, said = await site.curl(
        "https://mutual.example.com:{https}/x", "--cert", str(files[0]), "--key", str(files[1])
    )
    assert (code, json.loads(said)["who"].startswith("CN=robot")) == (0, True)


async def test_who_was_let_in_is_asked_again_once_others_are_believed(site: Site) -> None:
    """A connection from before is no good for the domain as it is now; its client is told to make another."""
    pair, before, after = site.authority.issue("m.example.com"), Authority(), Authority()

    def believing(authority: Authority) -> str:
        domain = f"name: m.example.com, certificate: c, client_authorities: {json.dumps(authority.pem)}"
        return APP + pair.manifest("c") + group("g", domain) + route("g")

    await site.tenant.apply(believing(before))
    async with site.secured("m.example.com", shown=before.issue("x@example.com")) as client:
        assert (await client.call()).status_code == 200
        await site.tenant.apply(believing(after))
        assert (await client.call()).status_code == 421
        with pytest.raises(httpx.TransportError):
            await client.call()
    assert await text(site.secured("m.example.com", shown=after.issue("x@example.com"))) == (200, "g")


async def test_app_codes_travel_encrypted(site: Site) -> None:
    """Over plain HTTP they are taken only where the route allows it."""
    coded = route("coded", "", "path: /coded").replace("auth: none", "auth: {app: [appcode]}")
    loose = route("loose", "", "path: /loose").replace("none", "{app: [appcode], appcode_over_http: true}")
    await site.tenant.apply(APP + coded + loose)
    own = ssl.create_default_context(cafile=str(site.folder / "data" / "ca" / "ca.pem"))
    for path in ("/coded", "/loose"):
        assert await text(Client("localhost", site.port(), own), path, X_Apig_AppCode="a-code") == (200, path[1:])
    assert await text(site.plain("x"), "/loose", X_Apig_AppCode="a-code") == (200, "loose")
    assert await text(site.plain("x"), "/coded", X_Apig_AppCode="a-code") == (401, "APIC.0303")


async def test_a_certificate_is_renewed_under_load(site: Site) -> None:
    """Not one call fails; new handshakes get the new one, and connections that there are go on."""
    names = ("api.example.com",)
    await site.tenant.apply(
        APP
        + site.authority.issue(*names).manifest("c")
        + group("g", "name: api.example.com, certificate: c")
        + route("g")
    )
    seen: set[str] = set()
    answered = 0
    done = trio.Event()

    async def keep() -> None:
        nonlocal answered
        async with site.secured("api.example.com") as client:
            while not done.is_set():
                assert (await client.call()).text == "g"
                answered += 1

    async def anew() -> None:
        nonlocal answered
        while not done.is_set():
            async with site.secured("api.example.com") as client:
                answer = await client.call()
                assert answer.text == "g"
                tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
                seen.add(ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True)))
                answered += 1

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(keep)
            nursery.start_soon(anew)
        served = set()
        for _ in range(3):
            renewed = site.authority.issue(*names)
            await site.tenant.apply(renewed.manifest("c")[4:])
            served.add(ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(renewed.chain)))
            before = answered
            with trio.fail_after(30):
                while answered < before + 40 or not served <= seen:  # noqa: ASYNC110 - by many
                    await trio.sleep(0.01)
        done.set()
    assert len(seen) == 4


async def test_what_files_have_is_read_anew(site: Site) -> None:
    """At SIGHUP and every hour; what cannot be used is told by the status, and what was read before is served on."""
    chain, key = site.folder / "chain.pem", site.folder / "key.pem"

    def write(pair: Pair) -> None:
        chain.write_text(pair.chain)
        key.write_text(pair.key)

    write(site.authority.issue("api.example.com"))
    certificate = f"---\nkind: certificate\napp: a\nname: c\nchain: {{file: {chain}}}\nprivate_key: {{file: {key}}}\n"
    manifest = APP + certificate + group("g", "name: api.example.com, certificate: c") + route("g")
    await site.tenant.apply(manifest)
    first = await site.tenant.status("certificates/c")
    assert (first["state"], first["names"], first["domains"]) == (
        "valid",
        ["api.example.com"],
        ["api.example.com"],
    )
    write(site.authority.issue("api.example.com"))
    await site.tenant.house.renew_certificates()
    second = await site.tenant.status("certificates/c")
    assert second["fingerprint"] != first["fingerprint"]
    key.write_text(Authority().issue("api.example.com").key)
    await site.tenant.house.renew_certificates()
    third = await site.tenant.status("certificates/c")
    assert (third["state"], third["fingerprint"]) == ("failed", second["fingerprint"])
    assert "public keys differ" in third["reason"]
    assert await text(site.secured("api.example.com")) == (200, "g")
    shown = (await site.tenant.call("GET", "certificates/c")).json()
    assert (shown["chain"], shown["private_key"]) == ({"file": str(chain)}, "***")


async def test_certificates_are_checked_before_they_are_stored(site: Site) -> None:
    """What is wrong is named with its field; what is odd is a warning; a key is never in either."""
    one, other = site.authority.issue("api.example.com"), site.authority.issue("api.example.com")
    mixed = one.manifest("c").replace(json.dumps(one.key), json.dumps(other.key))
    turned = one.manifest("c").replace(json.dumps(one.chain), json.dumps(other.chain + one.chain))
    broken = one.manifest("c").replace(json.dumps(one.chain), json.dumps("nonsense"))
    keyless = one.manifest("c").replace(json.dumps(one.key), json.dumps("nonsense " + one.key[40:]))
    for manifest, reason in (
        (mixed, "$.private_key: the key does not belong to the certificate"),
        (turned, "$.chain: the key belongs to certificate 2 of the chain"),
        (broken, "$.chain: expected certificates as PEM"),
        (keyless, "$.private_key: expected a private key as PEM"),
    ):
        said = await site.refused(manifest[4:])
        assert reason in said
        assert one.key[50:80] not in said
    assert (await site.tenant.call("GET", "certificates/c")).status_code == 404
    now = datetime.now(UTC)
    soon = site.authority.issue("api.example.com", not_after=now + timedelta(days=5))
    past = site.authority.issue("api.example.com", not_before=now - timedelta(9), not_after=now - timedelta(days=1))
    for pair, state, warning in ((soon, "expires soon", "in 4 days; renew it"), (past, "expired", "clients refuse it")):
        (said,) = await site.tenant.apply(pair.manifest("c")[4:])
        assert warning in said
        assert (await site.tenant.status("certificates/c"))["state"] == state
    (said,) = await site.tenant.apply(group("g", "name: other.example.com, certificate: c")[4:])
    assert "certificate c is for api.example.com: clients of other.example.com refuse it" in said
    refused = await site.refused(group("h", "name: Other.Example.com")[4:])
    assert "the domain Other.Example.com is already that of api_group g" in refused
    answer = await site.tenant.call("DELETE", "certificates/c")
    assert (answer.status_code, "api_group g" in answer.text) == (409, True)


async def test_a_group_that_loses_its_domains_must_not_be_in_the_way(site: Site) -> None:
    """Its routes come to be called as others are: refused with the holder's name, and nothing is changed."""
    await site.tenant.apply(APP + group("g", "name: g.example.com") + route("g") + route("d", ""))
    refused = await site.refused(group("g")[4:])
    assert "GET /x is already served by route" in refused
    assert (await text(site.plain("g.example.com")), await text(site.plain("x"))) == ((200, "g"), (200, "d"))
    await site.tenant.apply(APP + group("g") + route("d", "", "path: /y"))
    assert (await text(site.plain("x")), await text(site.plain("x"), "/y")) == ((200, "g"), (200, "d"))


async def test_domains_are_there_after_a_restart(tmp_path: Path) -> None:
    """With their sealed keys, before the first connection comes."""
    async with opened(tmp_path) as site:
        pair = site.authority.issue("api.example.com")
        await site.tenant.apply(
            APP + pair.manifest("c") + group("g", "name: api.example.com, certificate: c") + route("g")
        )
        authority = site.authority
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file():
            assert pair.key.splitlines()[1].encode() not in file.read_bytes(), file
    async with opened(tmp_path) as site:
        assert await text(Client("api.example.com", site.port(), authority.client())) == (200, "g")


async def test_listeners_can_be_switched_off(tmp_path: Path) -> None:
    """Each by itself; then nobody is sent to https, and routes that take it alone have no URL."""
    http_only = GatewayHttpsListen(enabled=False)
    async with opened(tmp_path, https=http_only) as site:
        pair = site.authority.issue("api.example.com")
        await site.tenant.apply(
            APP
            + pair.manifest("c")
            + group("g", "name: api.example.com, certificate: c, redirect: true")
            + route("g")
            + route("sealed", request="path: /sealed, protocol: https")
        )
        assert "gateway_https" not in site.tenant.house.addresses()
        assert await text(site.plain("api.example.com")) == (200, "g")
        assert await text(site.plain("api.example.com"), "/sealed") == (400, "APIC.0607")
        assert (await site.tenant.status("routes/sealed"))["calls"] == []
    https_only = GatewayListen(port=0, enabled=False)
    async with opened(tmp_path, listen=https_only) as site:
        assert "gateway" not in site.tenant.house.addresses()
        own = ssl.create_default_context(cafile=str(tmp_path / "data" / "ca" / "ca.pem"))
        assert await text(Client("localhost", site.port(), own)) == (404, "APIC.0101")


async def test_redirects_lead_to_the_public_port(tmp_path: Path) -> None:
    """Behind a port forward the one that is bound is not the one that callers use."""
    async with opened(tmp_path, https=GatewayHttpsListen(port=0, public_port=443)) as site:
        pair = site.authority.issue("api.example.com")
        await site.tenant.apply(
            APP + pair.manifest("c") + group("g", "name: api.example.com, certificate: c, redirect: true") + route("g")
        )
        async with site.plain("api.example.com") as client:
            assert (await client.call()).headers["location"] == "https://api.example.com/x"


async def test_a_default_certificate_of_ones_own(tmp_path: Path) -> None:
    """Where no domain has one, `gateway.https.certificate` is shown."""
    authority = Authority()
    pair = authority.issue("gateway.example.com")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.pem").write_text(pair.chain)
    (tmp_path / "data" / "own.key").write_text(pair.key)
    own = GatewayHttpsListen(port=0, certificate="own.pem", key="own.key")
    async with opened(tmp_path, https=own) as site:
        client = Client("gateway.example.com", site.port(), authority.client())
        assert await text(client) == (404, "APIC.0101")


async def test_plain_http_at_the_tls_port_is_closed(site: Site) -> None:
    """Nothing is answered in the clear, and others are served meanwhile."""
    code, _ = await site.curl("http://x:{https}/x")
    assert code == 52  # an empty reply
    with socket.create_connection(("127.0.0.1", site.port())):
        own = ssl.create_default_context(cafile=str(site.folder / "data" / "ca" / "ca.pem"))
        assert await text(Client("localhost", site.port(), own)) == (404, "APIC.0101")
