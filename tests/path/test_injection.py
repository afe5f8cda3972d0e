"""What callers write stays what it is: no line, header or segment comes of it, and it is decoded once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.fakes import shop
from tests.fakes.daemon import ChildDaemon
from tests.fakes.plain_http import NO_TLS
from tests.fakes.raw_http import exchange

OWN = """
kind: topic
app: shop
name: events
access: publish+subscribe
---
kind: route
app: shop
name: echo
auth: none
request: {path: "/echo/{what}", parameters: [{name: what, in: path}, {name: X-Note, in: header}]}
backend:
  data:
    connection: db
    sql: "SELECT :what AS what, :note AS note, :path AS path, :id AS id, :host AS host"
    parameters:
      - {name: note, parameter: X-Note}
      - {name: path, system: path}
      - {name: id, system: request_id}
      - {name: host, system: host}
response: {system: {asked.path: path, asked.id: request_id, asked.host: host}}
---
kind: route
app: shop
name: keyed
auth: none
request: {path: "/keyed/{id}", method: POST}
backend: {topic: {topic: events, key: "lot-{id}"}}
---
kind: route
app: shop
name: table
auth: none
request: {path: /table}
backend: {data: {connection: db, sql: "SELECT :name AS name, (SELECT count(*) FROM sqlite_master) AS n"}}
"""
MANIFEST = shop.manifest(shop.APP, shop.DATABASE, OWN)
# What stands in the path, and what the backend gets: taken off once, and never again.
DECODED = {
    "plain": "plain",
    "a%20b": "a b",
    "caf%C3%A9": "café",
    "a%2Fb": "a/b",
    "..%2F..%2Fetc%2Fpasswd": "../../etc/passwd",
    "%252e%252e": "%2e%2e",
    "%252F": "%2F",
    "%25252e": "%252e",
    "..%252f": "..%2f",
    "...": "...",
    "..;": "..;",
    "%5C..%5C": "\\..\\",
    "a%0d%0aX-Injected:%20yes": "a\r\nX-Injected: yes",
    "a+b": "a+b",
    "%3Cscript%3E": "<script>",
    "%24%7Bjndi:ldap%7D": "${jndi:ldap}",
    "%27%20OR%201=1--": "' OR 1=1--",
    "%23name%23": "#name#",
    "%7Bwhat%7D": "{what}",
}
CLIMBING = [
    "/echo/..", "/echo/.", "/echo/%2e%2e", "/echo/%2E%2e", "/echo/.%2e", "/echo/../echo/x", "/./echo/x", "/echo/x/..",
    "/echo/x/%2e%2e/%2e%2e/etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/echo/%00", "/echo/x%00.json", "/echo/%",
    "/echo/%zz", "/echo/%2", "/echo/%c0%ae%c0%ae", "/echo/%c0%af", "/echo/%e0%80%ae", "/echo/%ff", "/echo/%ed%a0%80",
    "/echo/%u002e", "/echo\\x", "/echo/..\\..\\x",
]  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    folder = tmp_path_factory.mktemp("injection") / "data"
    environment = {"PENSTOCK_GATEWAY__ACCESS_LOG__LINES": "all", "PENSTOCK_GATEWAY__ACCESS_LOG__QUERY": "true"}
    with ChildDaemon(folder, **environment) as one:
        one.apply(MANIFEST)
        yield one


def raw(daemon: ChildDaemon, target: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a request whose bytes no client has made better."""
    assert daemon.note is not None
    lines = [f"{method} {target} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]
    answer = exchange(daemon.note.gateway, "\r\n".join(lines).encode("latin-1"))
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return (
        int(first.split(" ")[1]),
        {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)},
        body,
    )


@pytest.mark.parametrize(("written", "meant"), DECODED.items())
def test_percent_encoding_is_taken_off_once(daemon: ChildDaemon, written: str, meant: str) -> None:
    """A parameter is what its segment says, a slash and dots in it stay its own, and the backend's path is not ours."""
    status, headers, body = raw(daemon, f"/echo/{written}")
    assert (status, "x-injected" in headers) == (200, False)
    answer = json.loads(body)
    assert answer["default"][0]["what"] == meant
    assert answer["default"][0]["path"] == answer["asked"]["path"] == f"/echo/{written}"


@pytest.mark.parametrize("path", CLIMBING)
def test_paths_that_climb_or_cannot_be_read_are_refused(daemon: ChildDaemon, path: str) -> None:
    """400, whatever they would lead to: dots as a segment, NUL, broken or overlong encodings, backslashes."""
    status, _, body = raw(daemon, path)
    assert (status, json.loads(body)["error_code"]) == (400, "APIC.0201")


@pytest.mark.parametrize("written", [written for written in DECODED if "/" not in DECODED[written]])
def test_keys_of_records_are_what_was_written(daemon: ChildDaemon, written: str) -> None:
    """A line end, a brace or a mark in a parameter makes no other key than the one of its text."""
    assert daemon.note is not None
    answer = httpx.post(f"http://{daemon.note.gateway}/keyed/{written}", content=b"{}", verify=NO_TLS)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "name", ["x'; DROP TABLE t; --", 'x" OR 1=1', "\\'; SELECT 1", ":name", "${name}", "$1", "?", "%", "x\0y"]
)
def test_values_are_bound(daemon: ChildDaemon, name: str) -> None:
    """Whatever a value says, it is a value."""
    answer = raw(daemon, f"/table?name={quote(name, safe='')}")
    assert json.loads(answer[2]) == {"default": [{"name": name, "n": 0}]}


def test_headers_of_callers_are_values_too(daemon: ChildDaemon) -> None:
    """A header becomes a value of the statement, and nothing of an answer's head."""
    note = 'a: b; c="d", ${x} %0d%0aX-Injected: yes'
    _, headers, body = raw(daemon, "/echo/x", f"X-Note: {note}")
    assert json.loads(body)["default"][0]["note"] == note
    assert "x-injected" not in headers


@pytest.mark.parametrize("given", ["abc-123", "Root=1-67a-b0;c|d#e", "a.b_c~d:e/f+g=@,", "x" * 128])
def test_a_sane_request_id_is_taken_over(daemon: ChildDaemon, given: str) -> None:
    """At most 128 characters that need no quotes anywhere, in the answer, in the log, and for the backend."""
    _, headers, body = raw(daemon, "/echo/x", f"X-Request-Id: {given}")
    assert headers["x-request-id"] == json.loads(body)["default"][0]["id"] == given


@pytest.mark.parametrize(
    "given", ["", "a b", "x" * 129, "caf\xe9", "a\tb", "\xc2\x85", "<script>", "a'b", "$(id)", "`id`", "${x}", "%0a"]
)
def test_another_request_id_is_made_anew(daemon: ChildDaemon, given: str) -> None:
    """What is long, blank or not ASCII is not passed on."""
    _, headers, _ = raw(daemon, "/echo/x", f"X-Request-Id: {given}")
    assert headers["x-request-id"] not in {given, given.strip()}
    assert headers["x-request-id"].isascii()


@pytest.mark.parametrize(
    "header", ["X-Stage: RELEASE%0d%0aX: y", "X-Stage: ../dev", "X-Stage: RELEASE;dev", "X-Stage: \xff"]
)
def test_a_stage_is_a_name_and_nothing_else(daemon: ChildDaemon, header: str) -> None:
    """One that is not there is 404, and is not said back."""
    status, headers, body = raw(daemon, "/echo/x", header)
    assert status == 404
    assert header.partition(": ")[2] not in str(headers) + body.decode()


def test_no_line_of_the_log_is_a_callers(daemon: ChildDaemon) -> None:
    """Whatever stands in path, query, header or body, each line of the log is one event of the daemon's own."""
    forged = '{"event": "forged", "level": "info"}'
    line = quote(f"\n{forged}\r\n{forged}\x1b[31m\u2028{forged}", safe="")
    wanted: list[tuple[Any, ...]] = [
        (f"/echo/{line}",),
        (f"/table?name={line}&{line}",),
        ("/echo/x", f"X-Request-Id: {forged.replace(' ', '')}", f"User-Agent: {forged}", f"X-Stage: {forged}"),
        (f"/nowhere/{line}", "X-Forwarded-For: 10.0.0.1\t" + forged),
        ("/\"'<>`{}|^~", f"Referer: {forged}"),
    ]
    for target, *headers in wanted:
        raw(daemon, target, *headers)
    with daemon.control() as client:
        client.post("/api/v1/apply", content=f'kind: app\nname: "x\\n{forged}"\n'.encode())
    daemon.wait_log("/nowhere/")
    for text in daemon.log.read_text().split("\n")[:-1]:
        assert json.loads(text)["event"] != "forged"
