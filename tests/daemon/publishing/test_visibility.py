"""Which routes are shown to whom."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.gateway_route.published import Published
from config.resources import AnyResource, App, MockBackend, Route, RouteBackend, RouteGrant, RouteRequest
from daemon.catalog.catalog import Catalog
from daemon.catalog.errors import NotFoundError
from daemon.publishing.documents import Documents
from daemon.publishing.publications import Publications
from daemon.store.model import Meta, StoredResource
from daemon.store.publications import Publication, Served, Version


def route(name: str, **more: Any) -> Route:
    request = RouteRequest(path=f"/{name}")
    return Route(name=name, app="city", request=request, backend=RouteBackend(mock=MockBackend(body="")), **more)


ROUTES = (route("open"), route("hidden", visibility="private"), route("lent", visibility="private", shared_with=("b",)))
GRANTS = (
    RouteGrant(name="g", app="city", to="c", routes=("hidden",)),
    RouteGrant(name="dev", app="city", to="d", routes=("hidden",), environment="dev"),
    RouteGrant(name="by-others", app="e", to="e", routes=("hidden",)),
)


@pytest.fixture
def documents() -> Documents:
    resources: list[AnyResource] = [*ROUTES, *GRANTS, *(App(name=name, key=name) for name in ("city", *"bcde"))]
    catalog = Catalog(StoredResource(one, Meta(1, 0, 0)) for one in resources)
    publications = Publications()
    versions = [
        Published(route=one, backend=one.backend, environment=environment, version=number)
        for one in ROUTES
        for number, environment in ((1, "RELEASE"), (2, "dev"))
    ]
    publications.put(
        Publication(
            tuple(Version(one, 0, "") for one in versions),
            tuple(Served(one.route.name, one.environment, one.version) for one in versions),
        )
    )
    return Documents(catalog, publications, {})


@pytest.mark.parametrize(
    ("app", "environment", "seen"),
    [
        (None, "RELEASE", {"/open"}),
        ("city", "RELEASE", {"/open", "/hidden", "/lent"}),
        ("b", "RELEASE", {"/open", "/lent"}),
        ("c", "RELEASE", {"/open", "/hidden"}),
        ("c", "dev", {"/open"}),
        ("d", "RELEASE", {"/open"}),
        ("d", "dev", {"/open", "/hidden"}),
        ("e", "RELEASE", {"/open"}),
    ],
)
def test_a_private_route_is_shown_to_those_who_may_call_it(
    documents: Documents, app: str | None, environment: str, seen: set[str]
) -> None:
    """Its own app, those it is shared with, and those with a grant of its owner for that environment; nobody else."""
    exported = documents.export("city", environment, app)
    assert set(exported["paths"]) == seen
    if "/hidden" not in seen:
        assert b"hidden" not in msgspec.json.encode(exported)


def test_a_reader_that_is_not_there_is_an_error(documents: Documents) -> None:
    """A misspelt app does not pass for anybody."""
    with pytest.raises(NotFoundError, match="app nobody"):
        documents.export("city", app="nobody")
