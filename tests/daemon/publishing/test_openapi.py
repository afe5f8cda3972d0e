"""Routes as OpenAPI documents, and documents as routes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.gateway_route.published import Published
from config.errors import ManifestError
from config.manifest import dump
from config.resources import (
    ApiGroup,
    Auth,
    DataBackend,
    MockBackend,
    Parameter,
    Route,
    RouteBackend,
    RouteRequest,
    TopicBackend,
)
from daemon.publishing.openapi_export import openapi
from daemon.publishing.openapi_import import Target, routes_of

PARAMETERS = (
    Parameter(name="id", place="path", type="integer", min=1),
    Parameter(name="limit", place="query", type="integer", default=10, max=100, description="How many."),
    Parameter(name="X-Kind", place="header", enum=("a", "b"), required=True),
    Parameter(name="name", place="body", required=True, min_length=1, max_length=5, pattern="^[a-z]+$"),
    Parameter(name="size", place="body", type="number"),
)


def route(name: str = "lot", **more: Any) -> Route:
    request = more.pop("request", RouteRequest(path="/lots/{id}", method="PUT", parameters=PARAMETERS))
    mock = more.pop("mock", MockBackend(body=""))
    more = {"title": "A lot", "description": "One of them.", "tags": ("lots",), **more}
    return Route(name=name, app="city", request=request, **({"backend": RouteBackend(mock=mock)} | more))


def document(*routes: Route, environment: str = "RELEASE", group: ApiGroup | None = None) -> dict[str, Any]:
    published = [Published(route=one, backend=one.backend, environment=environment, version=1) for one in routes]
    return openapi("city", group, published, ["http://127.0.0.1:8080"])


def taken(text: dict[str, Any] | str, **target: Any) -> list[Route]:
    return routes_of(text.encode() if isinstance(text, str) else msgspec.json.encode(text), Target("city", **target))


def problems(text: dict[str, Any] | str) -> str:
    with pytest.raises(ManifestError) as caught:
        taken(text)
    return str(caught.value)


def operation(**parts: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "paths": {"/x/{id}": {"get": parts}}}


@pytest.mark.parametrize(
    "one",
    [
        route(),
        route(auth="none"),
        route(request=RouteRequest(path="/all", method="ANY")),
        route(request=RouteRequest(path="/below", match="prefix")),
        route(request=RouteRequest(path="/sealed", protocol="https")),
        route(title="", description="", tags=()),
        route(mock=MockBackend(status=201, body="")),
        route(mock=MockBackend(status=204, body="")),
    ],
)
def test_what_is_exported_is_imported_as_the_same_route(one: Route) -> None:
    """Method, path, match, parameters with their bounds, words and openness; also a route of any method."""
    assert taken(document(one)) == [one]


def test_an_export_tells_which_urls_a_route_takes() -> None:
    """The servers of its group, fewer where its protocol says so; a wildcard is a part that callers choose."""
    request = RouteRequest(path="/sealed", protocol="https")
    open_one = route("open", request=RouteRequest(path="/open"))
    published = [Published(route=one, backend=one.backend, version=1) for one in (route(request=request), open_one)]
    exported = openapi("city", None, published, ["http://a.b:8080", "https://*.b:8443"])
    wildcard = {
        "url": "https://{label}.b:8443",
        "variables": {"label": {"default": "www", "description": "any one label"}},
    }
    assert exported["servers"] == [{"url": "http://a.b:8080"}, wildcard]
    assert exported["paths"]["/sealed"]["get"]["servers"] == [wildcard]
    assert "servers" not in exported["paths"]["/open"]["get"]


def test_an_export_tells_who_may_call_and_where() -> None:
    """Security schemes of what the routes take, servers, the group's words, and the stage of another environment."""
    group = ApiGroup(name="city", app="city", title="City", description="All of it.")
    exported = document(route(auth=Auth(app=("appcode",))), environment="dev", group=group)
    assert exported["info"] == {"title": "City", "version": "1", "description": "All of it."}
    assert exported["servers"] == [{"url": "http://127.0.0.1:8080"}]
    assert list(exported["components"]["securitySchemes"]) == ["appcode"]
    put = exported["paths"]["/lots/{id}"]["put"]
    assert put["security"] == [{"appcode": []}]
    assert put["parameters"][-1] == {
        "name": "X-Stage", "in": "header", "required": True, "schema": {"type": "string", "const": "dev"},
    }  # fmt: skip
    assert document(route(auth="none"))["paths"]["/lots/{id}"]["put"]["security"] == []


@pytest.mark.parametrize(
    ("backend", "status", "media"),
    [
        (RouteBackend(data=DataBackend(connection="d", sql="s")), "200", ["application/json"]),
        (RouteBackend(data=DataBackend(connection="d", sql="s", returns="xml")), "200", ["application/xml"]),
        (
            RouteBackend(data=DataBackend(connection="d", sql="s", returns="stream")),
            "200",
            ["application/octet-stream"],
        ),
        (RouteBackend(mock=MockBackend(body="hello")), "200", ["text/plain"]),
        (RouteBackend(mock=MockBackend(body={"a": 1}, status=202)), "202", ["application/json"]),
        (RouteBackend(mock=MockBackend(body="a,b", headers={"content-type": "text/csv"})), "200", ["text/csv"]),
        (RouteBackend(mock=MockBackend(status=204)), "204", []),
        (RouteBackend(topic=TopicBackend(topic="t")), "200", ["application/json"]),
    ],
)
def test_an_export_tells_what_comes_back(backend: RouteBackend, status: str, media: list[str]) -> None:
    """The status and the media type of the backend, not JSON whatever it is."""
    responses = document(route(backend=backend))["paths"]["/lots/{id}"]["put"]["responses"]
    assert list(responses) == [status, "default"]
    assert list(responses[status].get("content", {})) == media


def test_an_export_tells_how_to_page() -> None:
    """`pageNo` and `pageSize` stand there although the route does not declare them."""

    def pages(**more: Any) -> dict[str, Any]:
        backend = RouteBackend(data=DataBackend(connection="d", sql="s", paging=True, **more))
        shown = document(route(request=RouteRequest(path="/p"), backend=backend))["paths"]["/p"]["get"]["parameters"]
        return {one["name"]: one["schema"] for one in shown}

    assert pages()["pageSize"] == {"type": "integer", "default": 20, "minimum": 1}
    assert pages(max_rows=50)["pageSize"] == {"type": "integer", "default": 20, "minimum": 1, "maximum": 50}
    assert pages()["pageNo"]["default"] == 1


def test_what_is_imported_is_written_without_empty_parts() -> None:
    """A manifest for people to look at: no `samples: {}`."""
    assert "samples" not in dump(taken(operation()))


def test_what_is_more_exact_is_documented_first() -> None:
    """Of routes at one path that of a method goes before that of any, and a path of its own before a prefix."""
    both = [route("any", request=RouteRequest(path="/p", method="ANY")), route("own", request=RouteRequest(path="/p"))]
    paths = document(*both)["paths"]["/p"]
    assert (paths["get"]["operationId"], paths["post"]["operationId"]) == ("own", "any-post")
    below = route("below", request=RouteRequest(path="/p", match="prefix"))
    assert document(below, *both)["paths"]["/p"]["get"]["operationId"] == "own"
    assert document(below)["paths"]["/p"]["get"]["operationId"] == "below"


def test_a_document_is_read_as_people_write_them() -> None:
    """YAML, references, parameters of a path, types that may be null, the path of a server, examples as answers."""
    (one,) = taken("""
openapi: 3.1.0
servers: [{url: "https://api.example.com/v1/"}]
paths:
  /pets/{pet id}:
    parameters: [{$ref: "#/components/parameters/Id"}]
    get:
      operationId: get pet!
      security: []
      parameters: [{name: tags, in: query, schema: {type: array, items: {type: string}}}]
      responses: {"404": {description: none}, "200": {content: {application/json: {example: {id: 7}}}}}
components:
  parameters:
    Id: {name: pet id, in: path, required: true, schema: {$ref: "#/components/schemas/Id"}}
  schemas:
    Id: {type: [integer, "null"], minimum: 1}
""")
    assert (one.name, one.auth, one.request.path) == ("get-pet", "none", "/v1/pets/{pet_id}")
    assert one.request.parameters == (
        Parameter(name="pet_id", place="path", type="integer", min=1),
        Parameter(name="tags", place="query"),
    )
    assert one.backend.mock == MockBackend(body={"id": 7})


def test_a_document_that_says_nothing_of_security_opens_nothing() -> None:
    """Only `security: []` makes a route that everybody may call; a named backend answers instead of examples."""
    assert taken(operation())[0].auth == "app"
    assert taken(operation(security=[]))[0].auth == "none"
    assert taken(operation() | {"security": []})[0].auth == "none"
    (one,) = taken(operation(), backend="b", group="g")
    assert (one.name, one.backend, one.group) == ("get-x-id", RouteBackend(name="b"), "g")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", "did not find expected node content"),
        ("openapi: 2.0", "expected an OpenAPI 3 document"),
        ({"openapi": "3.0.0", "paths": []}, "expected a mapping of paths"),
        ({"openapi": "3.0.0", "paths": {}}, "no operation"),
        (operation(parameters=[{"name": "c", "in": "cookie"}]), "c: parameters in cookie are not taken"),
        (operation(parameters=[{"$ref": "other.yaml#/x"}]), "is not within the document"),
        (operation(parameters=[{"$ref": "#/components/none"}]), "leads nowhere"),
        (operation(parameters=[{"$ref": "#/paths/~1x~1{id}/get/parameters/0"}]), "leads nowhere"),
        (operation(parameters=["id"]), "expected a mapping"),
        (operation(parameters=7), "expected a mapping"),
        (operation(responses=[]), "cannot be read"),
        (operation(tags=7), "cannot be read"),
        (operation(parameters=[{"name": "q", "in": "query", "schema": {"minimum": "x"}}]), "cannot be read"),
    ],
)
def test_what_cannot_be_taken_is_told(text: dict[str, Any] | str, reason: str) -> None:
    """Where in the document, and why; never a crash."""
    assert reason in problems(text)
