"""What callers see of routes on a whole instance, with curl: prefixes, CORS, headers, methods, stages."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from tests.fakes.house import Tenant, living

PAGE = "https://page.example"
MANIFEST = """
kind: app
name: files
key: files-key
secret: files-secret
app_codes: [files-code]
---
kind: environment
name: dev
---
kind: connection
app: files
name: db
connector: sqlite
settings: {path: files.db}
---
kind: route
app: files
name: below
auth: none
request: {path: "/files/{owner}", match: prefix}
backend:
  data:
    connection: db
    sql: SELECT :owner AS owner, :rest AS rest
    parameters: [{name: rest, system: rest_of_path}]
---
kind: route
app: files
name: own
auth: none
request: {path: /files/me/free}
backend: {mock: {body: own, headers: {Server: secret-1.2, Link: <a>}}}
response_headers: {Server: null, Link: [<b>], Strict-Transport-Security: max-age=60}
---
kind: route
app: files
name: pages
auth: {app: [appcode], appcode_over_http: true}
request: {path: /pages, method: POST}
backend: {mock: {body: done}}
cors: {origins: ["https://page.example"], headers: [X-Apig-AppCode], expose: [X-Request-Id], credentials: true}
"""


class Answer(NamedTuple):
    """What curl got: status, headers in lower case in their order, body."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str | None:
        found = [value for one, value in self.headers if one == name]
        assert len(found) <= 1
        return found[0] if found else None


class Curl:
    """Calls the gateway of an instance as its users do."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant

    async def __call__(self, path: str, *options: str) -> Answer:
        url = f"http://{self.tenant.house.addresses()['gateway']}{path}"
        command = ["curl", "-s", "-i", "--path-as-is", "--max-time", "20", *options, url]
        ran = await trio.to_thread.run_sync(partial(subprocess.run, command, capture_output=True, check=True))
        head, _, body = ran.stdout.decode().partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        return Answer(int(status.split(" ")[1]), headers, body)


@pytest.fixture
async def curl(tmp_path: Path) -> AsyncIterator[Curl]:
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(MANIFEST)
        yield Curl(tenant)


async def test_a_prefix_takes_what_is_below_it_and_nothing_else(curl: Curl) -> None:
    """The backend gets the rest, decoded once; a path of its own goes first; no spelling climbs out."""
    for path, rest in (("", ""), ("/", ""), ("/a/b.txt", "a/b.txt"), ("/a%20b/%25", "a b/%"), ("/free/x", "free/x")):
        answer = await curl(f"/files/me{path}")
        assert (answer.status, json.loads(answer.body)) == (200, {"default": [{"owner": "me", "rest": rest}]})
    assert (await curl("/files/me/free")).body == "own"
    for path in ("/filesme", "/files", "/files/", "/Files/me", "/files//me", "/files/me//x"):
        assert (await curl(path)).status == 404, path
    for climb in ("..", "%2e%2e", "%252e%252e", "..%2f..%2fetc", "%2fetc%2fpasswd", "..%5c", "a/../../b", "x%00"):
        answer = await curl(f"/files/me/{climb}")
        assert (answer.status, json.loads(answer.body)["error_code"]) == (400, "APIC.0201"), climb
        assert "root:" not in answer.body


async def test_headers_are_set_added_and_taken_away(curl: Curl) -> None:
    """Of what the backend answers, as the route says; what belongs to the connection cannot be written."""
    answer = await curl("/files/me/free")
    assert answer.header("server") is None
    assert [value for name, value in answer.headers if name == "link"] == ["<a>", "<b>"]
    assert answer.header("strict-transport-security") == "max-age=60"
    route = MANIFEST.split("---")[4].replace("Server: null", '"X-A": "a\\r\\nSet-Cookie: b"')
    refused = await curl.tenant.call("POST", "apply", content=route.encode())
    assert refused.status_code == 400
    assert "line breaks" in refused.text
    assert (await curl("/files/me/free")).header("strict-transport-security") == "max-age=60"


async def test_a_page_may_ask_call_and_read_errors(curl: Curl) -> None:
    """As its browser does: a preflight without credentials, the call, and a refusal that it may read."""
    origin = ("-H", f"Origin: {PAGE}")
    ask = ("-X", "OPTIONS", "-H", "Access-Control-Request-Method: POST")
    allowed = await curl("/pages", *ask, *origin, "-H", "Access-Control-Request-Headers: x-apig-appcode")
    assert (allowed.status, allowed.header("access-control-allow-origin")) == (204, PAGE)
    assert allowed.header("access-control-allow-methods") == "POST"
    assert allowed.header("access-control-allow-headers") == "X-Apig-AppCode"
    done = await curl("/pages", "-d", "x", *origin, "-H", "X-Apig-AppCode: files-code")
    assert (done.status, done.body, done.header("access-control-allow-origin")) == (200, "done", PAGE)
    refused = await curl("/pages", "-d", "x", *origin)
    assert (refused.status, refused.header("access-control-allow-origin")) == (401, PAGE)
    assert (refused.header("vary"), refused.header("access-control-allow-credentials")) == ("Origin", "true")
    other = await curl("/pages", *ask, "-H", "Origin: https://evil.example")
    assert (other.status, other.header("access-control-allow-origin")) == (403, None)
    plain = await curl("/files/me/free", *ask, *origin)
    assert (plain.status, plain.header("access-control-allow-origin")) == (204, None)


async def test_methods_that_no_server_should_answer(curl: Curl) -> None:
    """TRACE and CONNECT: 405 with Allow, and nothing of the request comes back."""
    for method in ("TRACE", "CONNECT"):
        answer = await curl("/files/me/free", "-X", method, "-H", "X-Secret: told-once")
        assert (answer.status, answer.header("allow")) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
        assert answer.header("x-request-id")
        assert "told-once" not in str(answer)


async def test_a_stage_that_is_not_served_is_not_there(curl: Curl) -> None:
    """Never published, unknown, or taken offline: 404; RELEASE is another matter."""
    stage = ("-H", "X-Stage: dev")
    assert (await curl("/files/me/free", *stage)).status == 404
    assert (await curl("/files/me/free", "-H", "X-Stage: nowhere")).status == 404
    published = await curl.tenant.call("POST", "routes/own/publish", json={"environment": "dev"})
    assert published.status_code == 200, published.text
    assert (await curl("/files/me/free", *stage)).body == "own"
    assert (await curl.tenant.call("POST", "routes/own/offline", json={"environment": "dev"})).status_code == 200
    gone = await curl("/files/me/free", *stage)
    assert (gone.status, json.loads(gone.body)["error_code"]) == (404, "APIC.0101")
    assert (await curl("/files/me/free")).status == 200


async def test_a_draft_by_prefix_is_tried_below_it(curl: Curl) -> None:
    """A test says what it is called by, and climbs no better than a caller."""
    path = "routes/below/test"
    tried = (await curl.tenant.call("POST", path, json={"parameters": {"owner": "me"}, "rest": "a b/c"})).json()
    assert tried["request"]["target"] == "/files/me/a%20b/c"
    assert json.loads(tried["answer"]["body"]) == {"default": [{"owner": "me", "rest": "a b/c"}]}
    refused = await curl.tenant.call("POST", path, json={"parameters": {"owner": "me"}, "rest": "../x"})
    assert refused.status_code == 400, refused.text
    exact = await curl.tenant.call("POST", "routes/own/test", json={"rest": "x"})
    assert exact.status_code == 400
    assert "nothing is below it" in exact.text
