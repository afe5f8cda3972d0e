"""The life of routes and backends, over the control API, as callers of the gateway see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.house import Tenant, living
from tests.fakes.plain_http import NO_TLS

OWNER = "{kind: app, name: a, key: key-a}\n---\n"
DEV = "{kind: environment, name: dev}\n---\n"


def route(name: str = "r", path: str = "/r", body: str = "one", extra: str = "publish: false") -> str:
    return (
        f'{{kind: route, app: a, name: {name}, request: {{path: "{path}"}}, auth: none, '
        f"backend: {{mock: {{body: {body}}}}}, {extra}}}\n---\n"
    )


def group(name: str = "a", variables: str = "{}") -> str:
    return f"{{kind: api_group, app: a, name: {name}, variables: {variables}}}\n---\n"


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(OWNER + DEV)
        yield tenant


async def done(tenant: Tenant, path: str, **body: Any) -> dict[str, Any]:
    answer = await tenant.call("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def refused(tenant: Tenant, path: str, **body: Any) -> tuple[int, str]:
    answer = await tenant.call("POST", path, json=body)
    return answer.status_code, answer.json()["error_msg"]


async def apply_refused(tenant: Tenant, text: str) -> str:
    answer = await tenant.call("POST", "apply", content=text.encode())
    assert answer.status_code == 400, answer.text
    return " ".join(one["reason"] for one in answer.json()["details"])


async def staged(tenant: Tenant, path: str, stage: str) -> tuple[int, str]:
    async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://{tenant.house.addresses()['gateway']}") as client:
        answer = await client.get(path, headers={"X-Stage": stage})
        return answer.status_code, answer.text


async def test_a_route_that_becomes_a_draft_says_what_is_served_still(tenant: Tenant) -> None:
    """An apply takes nothing offline that was published, and changes it no more: it says so, once, and what would."""
    assert await tenant.apply(route(extra="title: first")) == []
    (warning,) = await tenant.apply(route(body="two"))
    assert "goes on being served as it was published, in RELEASE (version 1)" in warning
    assert "penstock route offline r" in warning
    assert await tenant.get("/r") == (200, "one")
    assert await tenant.apply(route(body="three")) == []
    await done(tenant, "routes/r/offline", environment="RELEASE")
    assert await tenant.apply(route(extra="title: again")) == []
    assert await tenant.get("/r") == (200, "one")


async def test_a_plan_tells_which_versions_it_would_publish(tenant: Tenant) -> None:
    """Those of the routes that it changes, and of those whose group's variables it does; nothing for what is same."""
    text = group(variables="{RELEASE: {v: x}}") + route(path="/#v#", extra="title: t") + route("draft", "/d")
    for query in ("?plan=true", ""):
        answer = (await tenant.call("POST", f"apply{query}", content=text.encode())).json()
        assert answer["published"] == [{"route": "r", "environment": "RELEASE", "version": 1}]
    assert (await tenant.call("POST", "apply?plan=true", content=text.encode())).json()["published"] == []
    moved = group(variables="{RELEASE: {v: y}}")
    answer = (await tenant.call("POST", "apply?plan=true", content=moved.encode())).json()
    assert answer["published"] == [{"route": "r", "environment": "RELEASE", "version": 2}]
    assert await tenant.get("/x") == (200, "one")


async def test_private_routes_are_in_no_list_for_others(tenant: Tenant) -> None:
    """`visible_to` is the catalogue that an app gets; without it operators see all there is."""
    await tenant.apply(
        "{kind: app, name: b, key: key-b}\n---\n" + route() + route("p", "/p", extra="visibility: private")
    )
    for query, names in (("", ["p", "r"]), ("?visible_to=a", ["p", "r"]), ("?visible_to=b", ["r"])):
        found = (await tenant.call("GET", f"routes{query}")).json()
        assert ([one["name"] for one in found["items"]], found["total"]) == (names, len(names))
    assert (await tenant.call("GET", "topics?visible_to=b")).status_code == 400
    assert list((await tenant.call("GET", "api_groups/a/openapi")).json()["paths"]) == []
    assert list((await tenant.call("GET", "api_groups/a/openapi?app=a")).json()["paths"]) == ["/p"]


async def test_a_draft_is_published_changed_switched_and_taken_offline(tenant: Tenant) -> None:
    """Only what was published is served: an edit changes nothing until then, and every version can come back."""
    await tenant.apply(route())
    assert (await tenant.get("/r"))[0] == 404
    assert (await done(tenant, "routes/r/publish", remark="first"))["version"] == 1
    assert await tenant.get("/r") == (200, "one")
    await tenant.apply(route(body="two"))
    assert await tenant.get("/r") == (200, "one")
    assert (await done(tenant, "routes/r/publish"))["version"] == 2
    assert await tenant.get("/r") == (200, "two")
    await done(tenant, "routes/r/switch", version=1)
    assert await tenant.get("/r") == (200, "one")
    versions = (await tenant.call("GET", "routes/r/versions")).json()["items"]
    assert [(one["version"], one["served"], one["remark"]) for one in versions] == [(2, False, ""), (1, True, "first")]
    await done(tenant, "routes/r/offline")
    assert (await tenant.get("/r"))[0] == 404
    assert await refused(tenant, "routes/r/offline") == (404, "route r is not published in environment RELEASE")
    await done(tenant, "routes/r/switch", version=2)
    assert await tenant.get("/r") == (200, "two")


async def test_what_is_published_outlives_the_daemon(tmp_path: Path) -> None:
    """Versions, what is served in each environment, and deployed backends come back with the store."""
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(OWNER + DEV + route())
        await done(tenant, "routes/r/publish")
        await tenant.apply(route(body="two"))
        await done(tenant, "routes/r/publish", environment="dev")
        await tenant.apply(route(body="draft"))
    async with living(tmp_path / "data") as tenant:
        assert await tenant.get("/r") == (200, "one")
        assert await staged(tenant, "/r", "dev") == (200, "two")
        assert (await tenant.status("routes/r"))["versions"] == {"RELEASE": 1, "dev": 2}
        assert (await done(tenant, "routes/r/publish"))["version"] == 3


async def test_each_environment_serves_its_own_version(tenant: Tenant) -> None:
    """X-Stage picks it; one that does not exist, or has no such route, is 404; no version moves between them."""
    await tenant.apply(route())
    await done(tenant, "routes/r/publish", environment="dev")
    assert [(await staged(tenant, "/r", stage))[0] for stage in ("dev", "RELEASE", "Dev", "none")] == [
        200, 404, 404, 404,
    ]  # fmt: skip
    status, told = await refused(tenant, "routes/r/switch", version=1)
    assert status == 409
    assert "was published in environment dev" in told
    assert (await refused(tenant, "routes/r/publish", environment="none"))[0] == 404
    answer = await tenant.call("DELETE", "environments/dev")
    assert answer.status_code == 409
    assert "route r" in answer.json()["error_msg"]


async def test_applied_is_published(tenant: Tenant) -> None:
    """Without `publish: false` a changed route is a new version in RELEASE; an unchanged one is not."""
    text = route(extra="tags: [x]")
    await tenant.apply(text)
    assert await tenant.get("/r") == (200, "one")
    await tenant.apply(text)
    await tenant.apply(route(body="two", extra="tags: [x]"))
    assert await tenant.get("/r") == (200, "two")
    status = await tenant.status("routes/r")
    assert (status["state"], status["versions"]) == ("served", {"RELEASE": 2})
    await done(tenant, "routes/r/offline")
    assert (await tenant.status("routes/r"))["state"] == "not served"
    await tenant.apply(route(body="two", extra="tags: [x], enabled: false"))
    await tenant.apply(route(body="two", extra="tags: [x]"))
    assert (await tenant.get("/r"))[0] == 404


async def test_variables_are_filled_in_when_a_route_is_published(tenant: Tenant) -> None:
    """Side by side and case-sensitive, by environment; an undefined one refuses publication, and names itself."""
    variables = "{RELEASE: {path: v, request: x}, dev: {path: d}}"
    await tenant.apply(group(variables=variables) + route(path="/#path##request#/#path#"))
    await done(tenant, "routes/r/publish")
    assert await tenant.get("/vx/v") == (200, "one")
    status, told = await refused(tenant, "routes/r/publish", environment="dev")
    assert status == 409
    assert "the variable #request# is not defined in environment dev of group a" in told
    assert "#Path#" in await apply_refused(tenant, route(name="s", path="/#Path#", extra="tags: [x]"))
    await tenant.apply(group(variables="{RELEASE: {path: w, request: x}}"))
    assert await tenant.get("/vx/v") == (200, "one")
    await tenant.apply(route(path="/#path##request#/#path#", extra="tags: [x]"))
    await tenant.apply(group(variables="{RELEASE: {path: u, request: x}}"))
    assert await tenant.get("/ux/u") == (200, "one")
    assert "#path#" in await apply_refused(tenant, group(variables="{RELEASE: {request: x}}"))
    bad = group(variables="{RELEASE: {path: 'a b', request: x}}")
    assert "neither plain text" in await apply_refused(tenant, bad)
    assert await tenant.get("/ux/u") == (200, "one")


async def test_two_routes_never_share_a_place(tenant: Tenant) -> None:
    """What is served keeps its place, also against drafts and old versions; in another environment it is free."""
    await tenant.apply(route() + route(name="s"))
    await done(tenant, "routes/r/publish")
    status, told = await refused(tenant, "routes/s/publish")
    assert (status, told) == (409, "GET /r is served by route r already in environment RELEASE")
    assert "is served by route r already" in await apply_refused(tenant, route(name="t", extra="tags: [x]"))
    await done(tenant, "routes/s/publish", environment="dev")
    await done(tenant, "routes/r/offline")
    await done(tenant, "routes/s/publish")
    assert (await refused(tenant, "routes/r/switch", version=1))[0] == 409


async def test_routes_swap_their_paths_at_one_moment(tenant: Tenant) -> None:
    """No call finds neither of them, nor a third one in their way."""
    swapped = {"x": "/1", "y": "/2", "z": "/3"}
    await tenant.apply("".join(route(name, path, name, "tags: []") for name, path in swapped.items()))
    turned = {"x": "/2", "y": "/3", "z": "/1"}
    await tenant.apply("".join(route(name, path, name, "tags: []") for name, path in turned.items()))
    assert [(await tenant.get(path))[1] for path in ("/1", "/2", "/3")] == ["z", "x", "y"]


async def test_a_draft_is_tried_out_before_anybody_can_call_it(tenant: Tenant) -> None:
    """The test shows request, answer and the time of each step, and serves nothing; what does not fit is told."""
    await tenant.apply(route(path="/r/{id}"))
    tried = await done(tenant, "routes/r/test", parameters={"id": "a b"}, query={"q": 1})
    assert (tried["request"]["method"], tried["request"]["target"]) == ("GET", "/r/a%20b?q=1")
    assert (tried["answer"]["status"], tried["answer"]["body"]) == (200, "one")
    assert [step["step"] for step in tried["steps"]] == ["backend"]
    assert tried["milliseconds"] >= tried["steps"][0]["milliseconds"] > 0
    assert (await tenant.get("/r/a"))[0] == 404
    assert await refused(tenant, "routes/r/test") == (400, "the path /r/{id} needs a value for id")
    assert (await refused(tenant, "routes/r/test", parameters={"id": "1"}, method="POST"))[0] == 400
    assert (await refused(tenant, "routes/r/test", nonsense=1))[0] == 400
    assert (await refused(tenant, "routes/none/test"))[0] == 404


async def test_only_a_deployed_backend_is_published(tenant: Tenant) -> None:
    """An edit touches the saved copy: tests see it at once, callers once it was deployed and published."""
    backend = '{{kind: backend, app: a, name: b, path: "/b", group: g, mock: {{body: {body}}}}}\n'
    await tenant.apply(backend.format(body="one"))
    status, told = await refused(tenant, "backends/b/publish")
    assert status == 409
    assert "penstock backend deploy b" in told
    by_name = "{kind: route, app: a, name: q, request: {path: /q}, backend: {name: b}}"
    assert "is not deployed" in await apply_refused(tenant, by_name)
    assert (await done(tenant, "backends/b/deploy"))["version"] == 1
    published = await done(tenant, "backends/b/publish")
    assert (published["route"], published["group"], published["version"]) == ("b", "g", 1)
    made = (await tenant.call("GET", "routes/b")).json()
    assert (made["backend"], made["publish"]) == ({"name": "b"}, False)
    assert (await tenant.get("/b"))[0] == 401
    await tenant.apply(backend.format(body="two"))
    assert (await tenant.status("backends/b"))["state"] == "changed since it was deployed"
    assert (await done(tenant, "backends/b/test"))["answer"]["body"] == "two"
    assert (await done(tenant, "routes/b/test"))["answer"]["body"] == "two"
    assert (await done(tenant, "backends/b/publish"))["version"] == 2
    await done(tenant, "backends/b/deploy")
    assert (await done(tenant, "backends/b/publish"))["version"] == 3
    await tenant.apply(route(name="c"))
    await tenant.apply(backend.format(body="x").replace("name: b", "name: c"))
    await done(tenant, "backends/c/deploy")
    assert (await refused(tenant, "backends/c/publish"))[0] == 409


async def test_what_is_served_keeps_what_it_works_on(tenant: Tenant) -> None:
    """A connection that only a published version uses is not deleted; a version whose connection went stays off."""
    data = "{{kind: connection, app: a, name: {name}, connector: sqlite, settings: {{path: {name}.db}}}}\n---\n"
    query = (
        "{{kind: route, app: a, name: d, request: {{path: /d}}, auth: none, publish: false, "
        "backend: {{data: {{connection: {name}, sql: SELECT 1 AS n}}}}}}\n"
    )
    await tenant.apply(data.format(name="old") + data.format(name="new") + query.format(name="old"))
    await done(tenant, "routes/d/publish")
    await tenant.apply(query.format(name="new"))
    answer = await tenant.call("DELETE", "connections/old")
    assert answer.status_code == 409
    assert "route d" in answer.json()["error_msg"]
    await done(tenant, "routes/d/publish")
    assert (await tenant.call("DELETE", "connections/old")).status_code == 204
    status, told = await refused(tenant, "routes/d/switch", version=1)
    assert (status, "needs connection old, which is no longer there" in told) == (409, True)
    assert await tenant.get("/d") == (200, '{"default":[{"n":1}]}')


async def test_a_test_says_why_callers_get_an_error(tenant: Tenant) -> None:
    """What the database says is for who tests the route; callers, and the answer that is shown, have none of it."""
    database = "{kind: connection, app: a, name: d, connector: sqlite, settings: {path: d.db}}\n---\n"
    sql = (
        "{kind: route, app: a, name: r, request: {path: /r}, auth: none, backend: {data: {connection: d, sql: SELEC}}}"
    )
    await tenant.apply(database + sql)
    tried = await done(tenant, "routes/r/test")
    assert tried["answer"]["status"] == 500
    assert tried["reasons"] == ['connection d: near "SELEC": syntax error']
    assert "SELEC" not in str(tried["answer"])


async def test_a_route_says_how_it_is_called(tenant: Tenant) -> None:
    """Method and full URL of everything that is served of it, and the stage where it is another one."""
    await tenant.apply(route(path="/r/{id}"))
    await done(tenant, "routes/r/publish")
    await done(tenant, "routes/r/publish", environment="dev")
    base = f"http://{tenant.house.addresses()['gateway']}"
    told = (await tenant.status("routes/r"))["calls"]
    assert [one for one in told if one.startswith(f"GET {base}")] == [
        f"GET {base}/r/{{id}}",
        f"GET {base}/r/{{id}} (X-Stage: dev)",
    ]


async def test_a_group_has_a_document_and_a_document_has_routes(tenant: Tenant) -> None:
    """What is exported is imported as the same routes; a default group needs no resource of its own."""
    await tenant.apply(route(path="/r/{id}", extra="title: One"))
    exported = (await tenant.call("GET", "api_groups/a/openapi")).json()
    assert exported["openapi"] == "3.1.0"
    assert exported["paths"]["/r/{id}"]["get"]["operationId"] == "r"
    answer = await tenant.call("POST", "routes/import?app=a", json=exported)
    assert answer.json()["routes"] == ["r"]
    assert (await tenant.call("GET", "api_groups/none/openapi")).status_code == 404
    assert (await tenant.call("POST", "routes/import?app=none", json=exported)).status_code == 404
    bad = await tenant.call("POST", "routes/import?app=a", content=b"openapi: 3.1.0\npaths: {\n")
    assert (bad.status_code, bad.json()["error_msg"]) == (400, "no routes can be made of this document")
    assert bad.json()["details"][0]["path"] == "line 2"
    assert (await tenant.call("POST", "routes/import?app=a", json={"openapi": "3.0.0", "paths": {}})).status_code == 400
