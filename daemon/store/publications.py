"""What is published of routes, and deployed of backends and functions, in the metadata database.

Times are milliseconds since the epoch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import msgspec

from actors.errors import StorageError
from actors.gateway_route.published import Published
from config.resources import Backend
from config.resources.identity import Identity
from daemon.store.function_runs import forget_function_runs
from daemon.store.function_versions import (
    FunctionVersion,
    forget_functions,
    load_last,
    load_running,
    save_functions,
)

_T = TypeVar("_T")

MOST_VERSIONS = 20
"""Versions that are kept of a route in one environment, the newest and the one that is served."""


class Version(NamedTuple):
    """A route as it was published: when, and what was said about it."""

    published: Published
    at: int
    remark: str = ""


class VersionEntry(NamedTuple):
    """One line of a route's history."""

    version: int
    environment: str
    at: int
    remark: str
    served: bool


class Served(NamedTuple):
    """Which version an environment serves from now on; None takes the route offline there."""

    route: str
    environment: str
    version: int | None


class Deployed(NamedTuple):
    """A backend as it was deployed; `version` is that of the resource."""

    backend: Backend
    version: int
    at: int


@dataclass(frozen=True, slots=True)
class Publication:
    """What changes about publications, in one transaction.

    `functions` are new versions of functions, `running` those that run from now on.
    """

    versions: tuple[Version, ...] = ()
    served: tuple[Served, ...] = ()
    deployed: tuple[Deployed, ...] = ()
    functions: tuple[FunctionVersion, ...] = ()
    running: tuple[FunctionVersion, ...] = ()

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes that are served otherwise."""
        return tuple(dict.fromkeys(one.route for one in self.served))


@dataclass(frozen=True, slots=True)
class StoredPublications:
    """What is served of each route, the last version of each, and the deployed backends by name.

    `running` are the functions by name, `last_functions` the last version of each.
    """

    served: tuple[Published, ...] = ()
    last: Mapping[str, int] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)
    running: Mapping[str, FunctionVersion] = field(default_factory=dict)
    last_functions: Mapping[str, int] = field(default_factory=dict)


def load_publications(connection: sqlite3.Connection) -> StoredPublications:
    """Everything but the versions that are not served.

    Raises:
        StorageError: what is stored cannot be read.
    """
    snapshots = connection.execute(
        "SELECT route, snapshot FROM served_versions NATURAL JOIN route_versions ORDER BY route, environment"
    )
    published, backends = msgspec.json.Decoder(Published), msgspec.json.Decoder(Backend)
    deployed = connection.execute("SELECT backend, spec, version, deployed FROM deployed_backends")
    return StoredPublications(
        served=tuple(_decoded(published, "route", route, snapshot) for route, snapshot in snapshots),
        last=dict(connection.execute("SELECT route, max(version) FROM route_versions GROUP BY route").fetchall()),
        deployed={
            name: Deployed(_decoded(backends, "backend", name, spec), version, at)
            for name, spec, version, at in deployed
        },
        running=load_running(connection),
        last_functions=load_last(connection),
    )


def save_publication(connection: sqlite3.Connection, publication: Publication) -> None:
    """Keep versions, what is served, and what is deployed; old versions go once there are too many."""
    connection.executemany(
        "INSERT INTO route_versions (route, version, environment, published, remark, snapshot) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [
            (one.route.name, one.version, one.environment, at, remark, msgspec.json.encode(one).decode())
            for one, at, remark in publication.versions
        ],
    )
    for route, environment, version in publication.served:
        if version is None:
            connection.execute("DELETE FROM served_versions WHERE route = ? AND environment = ?", (route, environment))
        else:
            connection.execute("INSERT OR REPLACE INTO served_versions VALUES (?, ?, ?)", (route, environment, version))
    for one, _, _ in publication.versions:
        _drop_old(connection, one.route.name, one.environment)
    connection.executemany(
        "INSERT OR REPLACE INTO deployed_backends (backend, spec, version, deployed) VALUES (?, ?, ?, ?)",
        [
            (backend.name, msgspec.json.encode(backend).decode(), version, at)
            for backend, version, at in publication.deployed
        ],
    )
    save_functions(connection, publication.functions, publication.running)


def forget_publications(connection: sqlite3.Connection, removals: Sequence[Identity]) -> None:
    """Forget what was published of routes, and deployed of backends and functions, that are gone."""
    forget_functions(connection, removals)
    forget_function_runs(connection, removals)
    routes = [(one.name,) for one in removals if one.kind == "route"]
    connection.executemany("DELETE FROM served_versions WHERE route = ?", routes)
    connection.executemany("DELETE FROM route_versions WHERE route = ?", routes)
    backends = [(one.name,) for one in removals if one.kind == "backend"]
    connection.executemany("DELETE FROM deployed_backends WHERE backend = ?", backends)


def load_versions(connection: sqlite3.Connection, route: str) -> list[VersionEntry]:
    """The history of a route, the newest version first."""
    rows = connection.execute(
        "SELECT v.version, v.environment, v.published, v.remark, s.version IS NOT NULL FROM route_versions v "
        "LEFT JOIN served_versions s USING (route, environment, version) WHERE v.route = ? ORDER BY v.version DESC",
        (route,),
    )
    return [
        VersionEntry(version, environment, at, remark, served=bool(served))
        for version, environment, at, remark, served in rows
    ]


def load_version(connection: sqlite3.Connection, route: str, version: int) -> Published | None:
    """One version of a route, or None where it is not kept."""
    row = connection.execute(
        "SELECT snapshot FROM route_versions WHERE route = ? AND version = ?", (route, version)
    ).fetchone()
    return None if row is None else _decoded(msgspec.json.Decoder(Published), "route", route, row[0])


def _drop_old(connection: sqlite3.Connection, route: str, environment: str) -> None:
    connection.execute(
        "DELETE FROM route_versions WHERE route = ?1 AND environment = ?2 "
        "AND version NOT IN (SELECT version FROM route_versions WHERE route = ?1 AND environment = ?2 "
        "ORDER BY version DESC LIMIT ?3) "
        "AND version NOT IN (SELECT version FROM served_versions WHERE route = ?1 AND environment = ?2)",
        (route, environment, MOST_VERSIONS),
    )


def _decoded(decoder: msgspec.json.Decoder[_T], kind: str, name: str, text: str) -> _T:
    try:
        return decoder.decode(text)
    except msgspec.DecodeError as error:
        raise StorageError(f"what is published of {kind} {name} cannot be read: {error}") from error
