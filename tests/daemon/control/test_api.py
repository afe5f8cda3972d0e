"""The control API through Quart's test client."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
import trio

from actors.errors import ConfigurationError, ConnectorError
from config.manifest import KINDS
from daemon.control.app import MAX_REQUESTS
from tests.daemon.conftest import Instance
from tests.daemon.control.conftest import AUTHORIZED, MAX_BODY_BYTES, Api

REMOTE = b"kind: connection\napp: city-parking\nname: remote\nconnector: remote\nsettings: {host: h, password: word}\n"
LOT = "/api/v1/devices/parking-sensor/lot-000001"


async def test_apply_says_what_it_did(api: Api, parking: bytes) -> None:
    """Each resource has its result, what was generated is shown once, and a second apply changes nothing."""
    status, body, _ = await api.apply(parking)
    assert status == 200
    assert body["results"][0] == {
        "kind": "app",
        "name": "city-parking",
        "result": "created",
        "fields": [],
        "warnings": [],
    }
    ((generated),) = body["generated"]
    assert (generated["kind"], generated["name"], generated["field"]) == ("app", "city-parking", "app_codes.0")
    _, again, _ = await api.apply(parking)
    assert ({one["result"] for one in again["results"]}, again["generated"]) == ({"unchanged"}, [])


async def test_a_plan_shows_no_secret_that_will_never_be(api: Api, parking: bytes) -> None:
    """A plan lists what would be created and generates nothing."""
    status, body, _ = await api.apply(parking, "?plan=true")
    assert (status, body["generated"]) == (200, [])
    assert {one["result"] for one in body["results"]} == {"created"}
    assert (await api.call("GET", "/api/v1/apps"))[1]["total"] == 0


async def test_a_wrong_manifest_is_told_place_by_place(api: Api, parking: bytes) -> None:
    """The error shape carries file, line, path and reason of each problem, by the caller's own name of the file."""
    text = parking.replace(b"partitions: 4", b"partitions: many").replace(b"auth: none", b"auth: nobody")
    status, body, _ = await api.apply(text, **{"X-Penstock-File": "parking.yaml"})
    assert (status, body["error_code"], len(body["details"])) == (400, "APIC.0201", 2)
    first = body["details"][0]
    assert first["path"].startswith("parking.yaml:")
    assert first["path"].endswith("$.partitions")
    assert (first["field"], first["file"], first["document"]) == ("$.partitions", "parking.yaml", 5)
    assert "expected" in first["reason"]


async def test_an_unreachable_connection_refuses_the_apply(api: Api, instance: Instance, parking: bytes) -> None:
    """422 with the connection and its problem; with allow_unreachable a warning on its result."""
    instance.engine.unreachable["parking-db"] = "no such folder"
    status, body, _ = await api.apply(parking)
    assert (status, body["details"]) == (422, [{"path": "connection parking-db", "reason": "no such folder"}])
    status, body, _ = await api.apply(parking, "?allow_unreachable=true")
    warned = [one for one in body["results"] if one["warnings"]]
    assert (status, [one["name"] for one in warned]) == (200, ["parking-db"])


async def test_no_answer_shows_a_secret(api: Api, parking: bytes) -> None:
    """Whatever is asked, stored secrets show as stars."""
    await api.apply(parking)
    _, app, _ = await api.call("GET", "/api/v1/apps/city-parking")
    assert (app["secret"], app["app_codes"], app["key"]) == ("***", ["***"], "city-parking-key")
    everything = ""
    for kind in ("apps", "devices", "connections", "products", "topics", "rules", "tasks", "routes"):
        _, listed, _ = await api.call("GET", f"/api/v1/{kind}?size=1000")
        assert listed["total"] == len(listed["items"]) > 0
        everything += json.dumps(listed)
    assert "lot-secret" not in everything
    assert "city-parking-secret" not in everything


async def test_a_resource_is_its_manifest_with_meta_and_status(api: Api, parking: bytes) -> None:
    """GET shows the spec, its version as ETag too, its times, and what it does now."""
    await api.apply(parking)
    status, task, headers = await api.call("GET", "/api/v1/tasks/status-to-table")
    assert (status, headers["ETag"], task["status"]) == (200, '"1"', {"state": "running"})
    assert task["target"]["columns"] == {"DeviceId": "deviceId", "Status": "status"}
    assert task["meta"]["version"] == 1
    assert task["meta"]["created"].endswith("Z")
    status, device, _ = await api.call("GET", LOT)
    assert (status, device["name"], device["product"], device["tags"]) == (
        200,
        "lot-000001",
        "parking-sensor",
        ["north"],
    )


async def test_what_get_shows_can_be_applied_again(api: Api, parking: bytes) -> None:
    """Everything that is shown, stars and all, is a manifest of the same instance: applied, it changes nothing."""
    await api.apply(parking + b"\n---\n" + REMOTE)
    shown: list[dict[str, Any]] = []
    for kind in KINDS:
        _, listed, _ = await api.call("GET", f"/api/v1/{kind}s")
        shown += ({k: v for k, v in item.items() if k not in {"meta", "status"}} for item in listed["items"])
    manifest = "\n---\n".join(map(json.dumps, shown)).encode()
    assert manifest.count(b'"***"') == 5
    status, body, _ = await api.apply(manifest)
    assert (status, len(body["results"]), {one["result"] for one in body["results"]}) == (200, 12, {"unchanged"})


async def test_lists_are_filtered_and_paged(api: Api, parking: bytes) -> None:
    """By app, by tag, page by page; the total counts what matches."""
    await api.apply(parking + b"\n---\nkind: app\nname: other\n")
    for query, names, total in (
        ("devices?tag=south", ["lot-000002"], 1),
        ("devices?app=other", [], 0),
        ("devices?size=1&page=2", ["lot-000002"], 2),
        ("devices?size=1&page=3", [], 2),
        ("apps?app=other", ["other"], 1),
        ("topics?tag=dead-letter", ["status-to-table.dead"], 1),
    ):
        status, body, _ = await api.call("GET", f"/api/v1/{query}")
        assert (status, [one["name"] for one in body["items"]], body["total"]) == (200, names, total)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("page=0", "from 1 to 1000000, got '0'"),
        ("size=1001", "from 1 to 1000, got '1001'"),
        ("size=99999999999999999999", "from 1 to 1000"),
        ("page=%C2%B2", "from 1 to 1000000"),
        ("sise=3", "knows no such query parameter; it takes app, page, size, tag"),
    ],
)
async def test_a_query_that_means_nothing_is_refused(api: Api, query: str, reason: str) -> None:
    """A mistyped parameter is an error and not a full list."""
    status, body, _ = await api.call("GET", f"/api/v1/devices?{query}")
    assert status == 400
    assert reason in body["details"][0]["reason"]


async def test_put_takes_back_what_get_showed(api: Api, parking: bytes) -> None:
    """A resource that was read, changed in one field and put back changes in that field; its secret stays."""
    await api.apply(parking)
    _, device, headers = await api.call("GET", LOT)
    device["title"] = "North entrance"
    status, body, after = await api.call("PUT", LOT, json=device, headers={"If-Match": headers["ETag"]})
    assert (status, body["title"], after["ETag"]) == (200, "North entrance", '"2"')
    assert [(one["result"], one["fields"]) for one in body["results"]] == [("changed", ["title"])]
    status, body, _ = await api.call("PUT", LOT, json=device, headers={"If-Match": headers["ETag"]})
    assert (status, body["error_code"]) == (412, "APIC.0602")
    assert "has version 2" in body["error_msg"]


async def test_put_creates_and_shows_what_it_generated(api: Api, parking: bytes) -> None:
    """A new resource is 201, its name comes from the path, and its generated secret is shown this once."""
    await api.apply(parking)
    path = "/api/v1/devices/parking-sensor/10:20:30:40:50:10"
    status, body, _ = await api.call("PUT", path, json={"app": "city-parking"})
    assert (status, body["name"], body["generated"][0]["field"]) == (201, "10:20:30:40:50:10", "secret")
    _, body, _ = await api.call("GET", path)
    assert body["secret"] == "***"
    assert "generated" not in body
    status, body, _ = await api.call("PUT", path, json={"app": "city-parking", "name": "other"})
    assert status == 400
    assert "expected device parking-sensor/10:20:30:40:50:10" in body["details"][0]["reason"]


async def test_delete(api: Api, instance: Instance, parking: bytes) -> None:
    """What is in use is 409 and names its users; a topic's files go only when asked for, also afterwards."""
    await api.apply(parking)
    instance.engine.data = {"parking-status", "status-to-table.dead"}
    status, body, _ = await api.call("DELETE", "/api/v1/topics/parking-status?data=true")
    assert status == 409
    assert [one["path"] for one in body["details"]] == ["rule forward-status", "task status-to-table"]
    for path in ("tasks/status-to-table", "rules/forward-status", "topics/parking-status"):
        assert (await api.call("DELETE", f"/api/v1/{path}"))[0] == 204
    assert instance.engine.data == {"parking-status", "status-to-table.dead"}
    assert (await api.call("DELETE", "/api/v1/topics/parking-status?data=true"))[0] == 204
    assert (await api.call("DELETE", "/api/v1/topics/status-to-table.dead?data=true"))[0] == 204
    assert instance.engine.data == set()
    assert (await api.call("DELETE", "/api/v1/topics/parking-status?data=true"))[0] == 404
    assert (await api.call("DELETE", "/api/v1/topics/parking-status"))[0] == 404


async def test_verbs(api: Api, instance: Instance, parking: bytes) -> None:
    """Start and stop are kept, rotate and disconnect act on a device, and each is 404 for what is not there."""
    await api.apply(parking)
    assert (await api.call("POST", "/api/v1/tasks/status-to-table/stop"))[0] == 200
    assert (await api.call("GET", "/api/v1/tasks/status-to-table"))[1]["enabled"] is False
    assert (await api.call("POST", "/api/v1/tasks/status-to-table/start"))[:2] == (200, {"state": "running"})
    status, body, _ = await api.call("POST", f"{LOT}/rotate-secret")
    assert (status, len(body["secret"]) >= 32) == (200, True)
    assert (await api.call("POST", f"{LOT}/disconnect"))[:2] == (200, {"disconnected": True})
    assert instance.engine.calls[-1] == ("disconnect", "parking-sensor/lot-000001")
    for path in ("tasks/none/start", "tasks/none/stop", "devices/a/b/rotate-secret", "devices/a/b/disconnect"):
        status, body, _ = await api.call("POST", f"/api/v1/{path}")
        assert (status, body["error_code"]) == (404, "APIC.0101")


async def test_connections(api: Api, instance: Instance, parking: bytes) -> None:
    """Saved and unsaved ones are tested, tables and columns listed; a table that is not there is 404."""
    await api.apply(parking)
    status, body, _ = await api.call("POST", "/api/v1/connections/parking-db/test")
    assert (status, body["connected"], body["may_write"]) == (200, True, True)
    text = b"kind: connection\napp: none\nname: new\nconnector: remote\nsettings: {host: h, password: word}\n"
    yaml = {"Content-Type": "application/yaml"}
    status, body, _ = await api.call("POST", "/api/v1/connections/test", data=text, headers=yaml)
    assert (status, instance.engine.tested[-1].settings) == (200, {"host": "h", "password": "word"})
    status, body, _ = await api.call("POST", "/api/v1/connections/test", data=parking, headers=yaml)
    assert (status, "one document of kind connection" in body["details"][0]["reason"]) == (400, True)
    instance.engine.unreachable["new"] = "nobody there"
    status, body, _ = await api.call("POST", "/api/v1/connections/test", data=text, headers=yaml)
    assert (status, body["connected"], body["problem"]) == (200, False, "nobody there")
    _, body, _ = await api.call("GET", "/api/v1/connections/parking-db/tables")
    assert body == {"tables": ["parking-db_table"]}
    _, body, _ = await api.call("GET", "/api/v1/connections/parking-db/tables/parking-db_table")
    assert body["columns"] == [{"name": "id", "type": "INTEGER", "nullable": False, "key": True}]
    assert (await api.call("GET", "/api/v1/connections/parking-db/tables/x"))[0] == 404
    assert (await api.call("GET", "/api/v1/connections/none/tables"))[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic token-of-the-test"},
        {"Authorization": "Bearer tökén"},
        {"Authorization": "token-of-the-test"},
    ],
)
async def test_without_the_token_nothing_is_told(api: Api, headers: dict[str, str]) -> None:
    """Everything but health is 401 with the way to authenticate, whether it exists or not."""
    for path in ("/api/v1/apps", "/api/v1/status", "/metrics", "/nothing", "/api/v1/openapi.json"):
        response = await api.client.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await response.get_json())["error_code"] == "APIC.0301"


async def test_health_needs_no_token(api: Api, instance: Instance) -> None:
    """Probes ask without a token; ready is 503 with the reason until it is true."""
    assert (await api.client.get("/healthz")).status_code == 200
    assert (await api.client.get("/readyz")).status_code == 200
    instance.engine.is_ready = False
    response = await api.client.get("/readyz")
    assert (response.status_code, await response.get_json()) == (
        503,
        {"ready": False, "reason": "partitions are being recovered"},
    )


JSON_BODY = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "said"),
    [
        ("GET", "/api/v1/holograms", {}, 404, "there is no kind holograms; there are access_lists, api_groups, apps"),
        ("GET", "/api/v1/apps/none", {}, 404, "there is no app none"),
        ("GET", "/api/v1/apps/a/b", {}, 404, "there is no app a/b"),
        ("GET", "/nowhere", {}, 404, "not found"),
        ("POST", "/api/v1/status", {}, 405, "not allowed"),
        ("PATCH", "/api/v1/apps/a", {"json": {}}, 405, "not allowed"),
        ("POST", "/api/v1/apply", {"form": {"a": "b"}}, 415, "this endpoint takes application/yaml"),
        ("PUT", "/api/v1/apps/a", {"data": "kind: app", "headers": {"Content-Type": "text/yaml"}}, 415, "json"),
        ("PUT", "/api/v1/apps/a", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "not JSON"),
        ("PUT", "/api/v1/apps/a", {"data": b"[" * 50_000, "headers": JSON_BODY}, 400, "not JSON"),
        ("PUT", "/api/v1/apps/a", {"data": b'{"title": "\xff"}', "headers": JSON_BODY}, 400, "not JSON"),
        ("PUT", "/api/v1/apps/a", {"json": {}, "headers": {"If-Match": f'"{"9" * 5000}"'}}, 412, "does not exist"),
        ("PUT", "/api/v1/apps/a", {"json": []}, 400, "must be a JSON object"),
        ("PUT", "/api/v1/apps/a", {"json": {"colour": "red"}}, 400, "one problem"),
        ("PUT", "/api/v1/apps/a/b", {"json": {}}, 400, "problem"),
        ("POST", "/api/v1/apply?plan=perhaps", {"data": b""}, 400, "plan cannot be used"),
        ("POST", "/api/v1/apply", {"data": b"\xff\xfe\x00"}, 400, "problem"),
        ("POST", "/api/v1/apply", {"data": b"x" * (MAX_BODY_BYTES + 1)}, 413, "exceeds"),
        ("POST", "/api/v1/backup", {"json": {"folder": "relative"}}, 400, "cannot be used"),
        ("POST", "/api/v1/backup", {"json": {"folder": 7}}, 400, "cannot be used"),
    ],
)
async def test_bad_requests_get_the_right_status(  # noqa: PLR0917 - pytest names them
    api: Api, method: str, path: str, more: dict[str, Any], status: int, said: str
) -> None:
    """Each wrong request has its own status, the one shape, a reason, and an id."""
    found, body, headers = await api.call(method, path, **more)
    assert (found, set(body)) == (status, {"error_code", "error_msg", "request_id", "details"})
    assert said in body["error_msg"]
    assert body["request_id"] == headers["X-Request-Id"]
    if status == 405:
        assert headers["Allow"]


async def test_request_ids(api: Api) -> None:
    """A caller's id is kept where it is harmless; else each answer has one of its own."""
    _, _, kept = await api.call("GET", "/api/v1/apps", headers={"X-Request-Id": "trace-1"})
    _, _, first = await api.call("GET", "/api/v1/apps", headers={"X-Request-Id": "<script>"})
    _, _, second = await api.call("GET", "/api/v1/apps")
    assert kept["X-Request-Id"] == "trace-1"
    assert len({kept["X-Request-Id"], first["X-Request-Id"], second["X-Request-Id"], "<script>"}) == 4


async def test_a_crash_is_one_answer_and_one_log_line(api: Api, instance: Instance) -> None:
    """A handler that crashes answers 500 without a traceback, logs under the request's id, and the next one works."""

    def crash(_identity: object) -> dict[str, Any]:
        raise ZeroDivisionError("a fault with details inside")

    await api.apply(b"kind: app\nname: a\n")
    works = instance.engine.status
    instance.engine.status = crash  # type: ignore[method-assign, assignment]
    with structlog.testing.capture_logs() as logs:
        status, body, headers = await api.call("GET", "/api/v1/apps/a")
    assert (status, body["error_code"]) == (500, "APIC.0601")
    assert "details inside" not in json.dumps(body)
    assert "Traceback" not in json.dumps(body)
    assert [entry["request_id"] for entry in logs] == [headers["X-Request-Id"]]
    instance.engine.status = works  # type: ignore[method-assign]
    assert (await api.call("GET", "/api/v1/apps/a"))[0] == 200


async def test_too_many_requests_at_once_are_turned_away(api: Api, instance: Instance) -> None:
    """Past the bound the answer is 503 with Retry-After, health still answers, and places are given back."""
    gate, full, here = trio.Event(), trio.Event(), []

    async def held(name: str) -> list[str]:
        here.append(name)
        if len(here) == MAX_REQUESTS:
            full.set()
        await gate.wait()
        return []

    instance.engine.tables = held  # type: ignore[method-assign]
    await api.apply(
        b"kind: app\nname: a\n---\nkind: connection\napp: a\nname: c\nconnector: sqlite\nsettings: {path: x}\n"
    )
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_REQUESTS):
            nursery.start_soon(api.call, "GET", "/api/v1/connections/c/tables")
        await full.wait()
        status, _, headers = await api.call("GET", "/api/v1/apps")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert (await api.client.get("/healthz")).status_code == 200
        gate.set()
    assert (await api.call("GET", "/api/v1/apps"))[0] == 200


async def test_status_tree_and_backup(api: Api, parking: bytes, tmp_path: object) -> None:
    """The instance as a whole: who it is, where it listens, what differs from the defaults, what it holds."""
    await api.apply(parking)
    _, body, _ = await api.call("GET", "/api/v1/status")
    assert (body["instance"], body["version"], body["settings"]) == ("id", "1.2.3", {"mqtt.listen.port": 0})
    assert (body["addresses"], body["resources"]["device"]) == ({"mqtt": "127.0.0.1:1883"}, 2)
    assert (await api.call("GET", "/api/v1/tree"))[1]["name"] == "root"
    assert (await api.call("POST", "/api/v1/backup", json={"folder": "/x/y"}))[1] == {"folder": "/x/y"}


async def test_what_the_engine_refuses_is_told(api: Api, instance: Instance) -> None:
    """A backup into a folder that cannot take it is the caller's mistake; a database that fails is not."""

    def refuse(error: Exception) -> Any:
        async def refused(*_given: object) -> Any:
            raise error

        return refused

    await api.apply(
        b"kind: app\nname: a\n---\nkind: connection\napp: a\nname: c\nconnector: sqlite\nsettings: {path: x}\n"
    )
    instance.engine.backup = refuse(ConfigurationError("/x is not empty"))  # type: ignore[method-assign]
    status, body, _ = await api.call("POST", "/api/v1/backup", json={"folder": "/x"})
    assert (status, body["error_msg"]) == (400, "/x is not empty")
    instance.engine.tables = refuse(ConnectorError("the server is gone"))  # type: ignore[method-assign]
    status, body, _ = await api.call("GET", "/api/v1/connections/c/tables")
    assert (status, body["error_code"], body["error_msg"]) == (502, "APIC.0202", "the server is gone")


async def test_metrics(api: Api) -> None:
    """Prometheus' text, with the engine's numbers and the process's own."""
    status, body, headers = await api.call("GET", "/metrics")
    text = body.decode()
    assert (status, headers["Content-Type"].startswith("text/plain; version=0.0.4")) == (200, True)
    assert '# TYPE penstock_reports_total counter\npenstock_reports_total{product="a\\"b"} 3.0\n' in text
    assert "penstock_lag_records 1.5\n" in text
    assert "process_resident_memory_bytes" in text


async def test_the_description_covers_every_route(api: Api) -> None:
    """OpenAPI names every endpoint the application has, and every kind's fields."""
    _, body, _ = await api.call("GET", "/api/v1/openapi.json")
    described = {(path, method.upper()) for path, one in body["paths"].items() for method in one}
    for rule in api.app.url_map.iter_rules():
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        path = rule.rule.replace("<path:", "<").replace("<", "{").replace(">", "}")
        if path.startswith("/api/v1/{plural}"):
            paths = ["/api/v1/tasks" + ("/{name}" if "{name}" in path else "")]
        else:
            paths = [path.replace("{product}/{name}", "{product}/{device}")]
        assert {(one, method) for one in paths for method in methods} <= described
    assert body["openapi"] == "3.1.0"
    assert "partitions" in body["components"]["schemas"]["Topic"]["properties"]


async def test_an_unauthorized_body_is_not_read(api: Api) -> None:
    """Without the token even an oversized body is answered with 401, and nothing of it is applied."""
    response = await api.client.post("/api/v1/apply", data=b"x" * (MAX_BODY_BYTES * 2))
    assert response.status_code == 401
    assert AUTHORIZED["Authorization"] not in str(response.headers)
