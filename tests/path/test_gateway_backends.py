"""Routes of every backend on a whole instance, over sockets: parameters, mappings, several statements, topics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.fakes.house import Tenant, eventually, living
from tests.fakes.plain_http import NO_TLS
from tests.fakes.postgres import (  # noqa: F401 - fixtures
    PostgresDatabase,
    fixture_postgres_database,
    fixture_postgres_server,
)

MANIFEST = """
kind: app
name: lots
key: lots-key
secret: lots-secret
---
kind: connection
app: lots
name: db
connector: sqlite
settings: {path: lots.db}
---
kind: topic
app: lots
name: events
access: publish+subscribe
partitions: 2
"""
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def route(name: str, backend: str, more: str = "", request: str = "") -> str:
    """A route at /NAME that anybody may call."""
    told = request or f"{{path: /{name}}}"
    return f"---\nkind: route\napp: lots\nname: {name}\nauth: none\nrequest: {told}\nbackend: {backend}\n{more}"


def data(name: str, sql: str, more: str = "", request: str = "", *, beside: str = "") -> str:
    return route(name, f'{{data: {{connection: db, sql: "{sql}"{beside}}}}}', more, request)


class Caller:
    """Calls the gateway of an instance."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant

    @property
    def address(self) -> str:
        return self.tenant.house.addresses()["gateway"]

    async def __call__(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://{self.address}") as client:
            return await client.request(method, path, timeout=30, **more)

    async def refusal(self, path: str, method: str = "GET", **more: Any) -> tuple[int, str, str]:
        answer = await self(path, method, **more)
        return answer.status_code, answer.json()["error_code"], answer.json()["error_msg"]


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    """An instance with a table of four lots."""
    async with living(tmp_path / "data") as tenant:
        made = Caller(tenant)
        await tenant.apply(
            MANIFEST
            + data("make", "CREATE TABLE lot (id INTEGER PRIMARY KEY, name TEXT, size REAL, picture BLOB)")
            + data("add", "INSERT INTO lot VALUES (:id, :name, :size, NULL)", request="{method: POST, path: /add}")
        )
        assert (await made("/make")).status_code == 200
        for number in range(1, 5):
            lot = {"id": number, "name": f"lot {number}", "size": number / 2}
            assert (await made("/add", "POST", json=lot)).json() == {"default": [], "affected": 1}
        yield made


async def test_parameters_are_checked_before_the_backend_sees_them(caller: Caller) -> None:
    """Typed and bounded ones reach the statement, others are refused by name; a statement may have optional ones."""
    parameters = (
        "[{name: id, in: path, type: integer, min: 1}, {name: least, in: query, type: number, default: 0}, "
        "{name: X-Name, in: header, pattern: '^lot'}]"
    )
    sql = "SELECT name FROM lot WHERE id = :id AND size >= :least AND (:name IS NULL OR name = :name)"
    beside = ", parameters: [{name: name, parameter: X-Name}]"
    request = f"{{path: '/lots/{{id}}', parameters: {parameters}, undeclared: refuse}}"
    await caller.tenant.apply(data("lot", sql, request=request, beside=beside))
    assert (await caller("/lots/2?least=0.5")).json() == {"default": [{"name": "lot 2"}]}
    assert (await caller("/lots/2", headers={"X-Name": "lot 3"})).json() == {"default": []}
    for path, reason in (
        ("/lots/two", "parameter id in the path must be an integer"),
        ("/lots/0", "parameter id in the path must be at least 1"),
        ("/lots/1?least=x", "parameter least in the query must be a number"),
        ("/lots/1?admin=1", "admin in the query is no parameter of this API"),
    ):
        assert await caller.refusal(path) == (400, "APIC.0201", f"API request error: {reason}")
    status, _, reason = await caller.refusal("/lots/1", headers={"X-Name": "x"})
    assert (status, reason) == (
        400,
        "API request error: parameter X-Name among the headers must match the pattern ^lot",
    )


async def test_callers_set_nothing_that_the_route_sets(caller: Caller) -> None:
    """Constants and what the gateway knows go before what a caller writes under their names."""
    beside = (
        ", parameters: [{name: role, constant: guest}, {name: who, system: source_address}, {name: id, parameter: lot}]"
    )
    await caller.tenant.apply(data("who", "SELECT :role AS role, :who AS who, ${id} AS id", beside=beside))
    answer = await caller("/who?role=admin&who=evil&id=9&lot=1")
    assert answer.json() == {"default": [{"role": "guest", "who": "127.0.0.1", "id": "1"}]}


async def test_answers_are_mapped(caller: Caller) -> None:
    """Names, places, constants and statuses as the route says."""
    response = "response: {status: {'200': 203}, fields: {default.0.n: lots}, constants: {unit: lots}}\n"
    await caller.tenant.apply(data("count", "SELECT count(*) AS n FROM lot", response))
    answer = await caller("/count")
    assert (answer.status_code, answer.json()) == (203, {"default": [{}], "lots": 4, "unit": "lots"})


async def test_several_statements_answer_together(caller: Caller) -> None:
    """Each under its name, in order; the one that fails is named, and what the ones before it did stays."""
    statements = (
        "{data: {statements: ["
        '{connection: db, sql: "UPDATE lot SET size = size + 1 WHERE id = :id", result: change}, '
        '{connection: db, sql: "SELECT size FROM lot WHERE id = ${id}", result: lot}, '
        '{connection: db, sql: "SELECT abs(:number) AS number", result: number}]}}'
    )
    await caller.tenant.apply(route("several", statements))
    answer = await caller("/several?id=1&number=-5")
    assert answer.json() == {
        "change": [],
        "lot": [{"size": 1.5}],
        "number": [{"number": 5.0}],
        "affected": {"change": 1},
    }
    assert await caller.refusal("/several?id=1") == (
        400,
        "APIC.0201",
        "API request error: parameter number is missing (result number)",
    )
    assert (await caller("/several?id=1&number=1")).json()["lot"] == [{"size": 3.5}]


async def test_pages_come_with_a_total(caller: Caller) -> None:
    """In the statement's own order; page and size are checked like declared parameters."""
    paged = ", paging: true, max_rows: 3"
    await caller.tenant.apply(data("page", "SELECT id FROM lot WHERE id <> :not ORDER BY id DESC;", beside=paged))
    answer = await caller("/page?pageNo=2&pageSize=2&not=0")
    assert answer.json() == {"default": [{"id": 2}, {"id": 1}], "pageNo": 2, "pageSize": 2, "total": 4}
    answer = await caller("/page?not=3")
    assert answer.json() == {"default": [{"id": 4}, {"id": 2}, {"id": 1}], "pageNo": 1, "pageSize": 3, "total": 3}
    for query, reason in (
        ("pageNo=0", "parameter pageNo in the query must be at least 1"),
        ("pageSize=4", "parameter pageSize in the query must be at most 3"),
        ("pageSize=x", "parameter pageSize in the query must be an integer"),
    ):
        assert await caller.refusal(f"/page?{query}&not=0") == (400, "APIC.0201", f"API request error: {reason}")


async def test_answers_in_xml_and_raw(caller: Caller) -> None:
    """XML as SQL/XML writes rows; a raw answer is the values of one column."""
    await caller.tenant.apply(
        data("xml", "SELECT id, name || ' <&>' AS 'full name', picture FROM lot WHERE id = 1", beside=", returns: xml")
        + data("raw", "SELECT name FROM lot ORDER BY id", beside=", returns: stream")
        + data("two", "SELECT id, name FROM lot", beside=", returns: stream")
        + data("pretty", "SELECT id FROM lot WHERE id = 1", beside=", format: true")
    )
    answer = await caller("/xml")
    assert answer.headers["content-type"] == "application/xml; charset=utf-8"
    assert answer.text == (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<response {XSI}><default><row><id>1</id>'
        "<full_x0020_name>lot 1 &lt;&amp;&gt;</full_x0020_name>"
        '<picture xsi:nil="true"/></row></default></response>'
    )
    answer = await caller("/raw")
    assert (answer.headers["content-type"], answer.text) == ("application/octet-stream", "lot 1lot 2lot 3lot 4")
    assert (await caller.refusal("/two"))[:2] == (500, "APIC.0601")
    assert (await caller("/pretty")).text == '{\n  "default": [\n    {\n      "id": 1\n    }\n  ]\n}'


async def test_too_much_is_said_to_be_too_much(caller: Caller) -> None:
    """Rows and bytes of one answer are bounded by the backend's own limits as well."""
    await caller.tenant.apply(data("rows", "SELECT id FROM lot", beside=", max_rows: 3, max_bytes: 1000"))
    assert await caller.refusal("/rows") == (
        500,
        "APIC.0601",
        "Internal server error: the result has more than 3 rows or 1000 bytes; ask for less",
    )


async def test_a_statement_has_its_own_time(caller: Caller) -> None:
    """It ends when that is over, with its connection free again."""
    await caller.tenant.apply(data("slow", SLOW, beside=", timeout_ms: 100"))
    assert await caller.refusal("/slow") == (
        504,
        "APIC.0203",
        "Backend timeout: the query took longer than 100 ms",
    )


async def test_slow_queries_hold_nobody_else_up(caller: Caller) -> None:
    """More calls of an endless query than there are readers, and others are answered; those who hang up end theirs."""
    await caller.tenant.apply(data("slow", SLOW) + data("fast", "SELECT 1 AS n"))
    host, _, port = caller.address.rpartition(":")
    streams = []
    for _ in range(12):
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        streams.append(stream)

    async def all_running() -> bool:
        return (await caller.tenant.status("routes/slow"))["in_flight"] == 12

    await eventually(all_running)
    with trio.fail_after(10):
        assert (await caller("/fast")).json() == {"default": [{"n": 1}]}
    for stream in streams:
        await stream.aclose()

    async def none_running() -> bool:
        status = await caller.tenant.status("routes/slow")
        return (status["in_flight"], status["abandoned"]) == (0, 12)

    await eventually(none_running)


async def test_bodies_become_records(caller: Caller) -> None:
    """The answer comes after the commit and says where the record lies; keys decide the partition."""
    await caller.tenant.apply(
        route("event", "{topic: {topic: events, key: 'lot-{id}'}}", request="{method: POST, path: '/events/{id}'}")
        + route("loose", "{topic: {topic: events}}", request="{method: POST, path: /loose}")
    )
    first = (await caller("/events/1", "POST", content=b'{"free": true}')).json()
    second = (await caller("/events/1", "POST", content=b'{"free": false}')).json()
    assert first["topic"] == "events"
    assert (second["partition"], second["offset"]) == (first["partition"], first["offset"] + 1)
    assert await caller.refusal("/loose", "POST") == (
        400,
        "APIC.0201",
        "API request error: the body is empty; it becomes the record",
    )
    status, code, _ = await caller.refusal("/loose", "POST", content=b"x" * (5 * 1024 * 1024))
    assert (status, code) == (413, "APIC.0201")


async def test_statements_that_are_two_are_not_applied(caller: Caller) -> None:
    """The connector reads them before anything is stored."""
    answer = await caller.tenant.call("POST", "apply", content=data("two", "DELETE FROM lot; SELECT 1").encode())
    assert answer.status_code == 400
    (detail,) = answer.json()["details"]
    assert detail["field"] == "$.backend.data.sql"
    assert "more than one statement" in detail["reason"]


async def test_postgresql_tells_what_it_takes(postgres_database: PostgresDatabase, caller: Caller) -> None:
    """Text of a query becomes what the statement asks for, or is refused with parameter and type; procedures run."""
    postgres_database.execute(
        "CREATE TABLE lot (id int, at timestamptz, tags int[]); "
        "CREATE PROCEDURE park(n int, INOUT total int) LANGUAGE sql AS $$ SELECT n + 1 $$;"
    )
    settings = postgres_database.settings
    place = f"{{host: {settings['host']}, database: {settings['database']}, user: {settings['user']}}}"
    insert = "INSERT INTO lot VALUES (:id, :at, ${tags}) RETURNING id, at, tags"
    await caller.tenant.apply(
        f"kind: connection\napp: lots\nname: pg\nconnector: postgres\nsettings: {place}\n"
        + data("put", insert, request="{method: POST, path: /put}").replace("connection: db", "connection: pg")
        + data("park", "CALL park(:n, NULL)").replace("connection: db", "connection: pg")
        + data("pages", "SELECT id FROM lot ORDER BY id DESC", beside=", paging: true").replace(": db", ": pg")
        + data("nap", "SELECT pg_sleep(60)::text", "timeout_ms: 300\n").replace(": db", ": pg")
    )
    answer = await caller("/put?id=7&at=2026-01-02T03:04:05Z&tags=[1,2]", "POST")
    assert answer.json() == {"default": [{"id": 7, "at": "2026-01-02T03:04:05Z", "tags": [1, 2]}]}
    assert await caller.refusal("/put?id=seven&at=2026-01-02&tags=[]", "POST") == (
        400,
        "APIC.0201",
        "API request error: parameter id cannot be converted to int4",
    )
    assert (await caller("/park?n=4")).json() == {"default": [{"total": 5}]}
    assert (await caller("/pages?pageSize=1")).json() == {
        "default": [{"id": 7}], "pageNo": 1, "pageSize": 1, "total": 1
    }  # fmt: skip
    assert (await caller.refusal("/nap"))[:2] == (504, "APIC.0203")
