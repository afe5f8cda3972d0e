"""Connections: one living connector for each, which reaches its system when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

from actors.errors import PenstockError
from actors.ports import ConnectionReport, Connector, EmbeddedStore
from actors.runtime.child import ChildSpec
from actors.runtime.supervisor import Supervisor
from config.resources import Connection
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.credentials import Credentials
from daemon.engine import Change
from plugins.api import Host
from plugins.loader import Connectors, prepare, settings_of


class Connections:
    """The living connectors by their connection's name (a `ConnectionLookup`), and the stage that makes them.

    Building a connector reaches nothing, so that a system that is down never stops a start.
    """

    kinds = ("connection",)

    def __init__(self, connectors: Connectors, credentials: Credentials, host: Host, catalog: Catalog) -> None:
        self._connectors = connectors
        self._credentials = credentials
        self._host = host
        self._catalog = catalog
        self._living: dict[str, Connector] = {}
        self._problems: dict[str, str] = {}
        self._supervisor: Supervisor | None = None

    def supervisor(self) -> Supervisor:
        """A fresh supervisor of a holder for each connection that the catalog knows."""
        stored = self._catalog.of_kind("connection")
        self._supervisor = Supervisor("connectors", [self._spec(one.resource.name) for one in stored])
        return self._supervisor

    def get(self, name: str) -> Connector | None:
        """The connector of a connection; None where there is none, or it could not be built."""
        return self._living.get(name)

    async def follow(self, change: Change) -> None:
        """Build, replace or close; who holds a replaced connector gets its errors and looks it up anew."""
        name = change.identity.name
        if self._supervisor is None:
            return  # it will be built from the catalog as it is now
        if change.before is not None and change.after is not None and not self.replaces(change):
            return
        await self._supervisor.remove(name)
        self._problems.pop(name, None)
        if change.after is not None:
            await self._supervisor.add(self._spec(name))

    async def rebuild(self, name: str) -> None:
        """Build the connector of a connection anew, with its module as it is now."""
        if self._supervisor is not None and self._catalog.get(Identity("connection", name)) is not None:
            await self._supervisor.remove(name)
            self._problems.pop(name, None)
            await self._supervisor.add(self._spec(name))

    def replaces(self, change: Change) -> bool:
        """Whether a change makes another connector of a living one; a new title or other words do not."""
        match change.before, change.after:
            case Connection() as before, Connection() as after if change.identity.name in self._living:
                same = before.connector == after.connector and before.settings == after.settings
                return bool(change.secrets) or not same
            case _:
                return change.before is not None

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """Whether the connector stands; whether its system answers is for a test to find out."""
        name = identity.name
        if name in self._living:
            return {"state": "ready"}
        child = self._supervisor.status(name) if self._supervisor is not None else None
        reason = self._problems.get(name) or (child.reason if child is not None else "")
        return {"state": "failed", "reason": reason} if reason else {"state": "starting"}

    async def test(self, connection: Connection) -> ConnectionReport:
        """Try a connection whose settings are complete, with a connector of its own."""
        try:
            await prepare(self._connectors.named(connection.connector))
            connector = self._build(connection, connection.settings)
        except PenstockError as error:
            return ConnectionReport(connected=False, problem=str(error))
        try:
            return await connector.test()
        finally:
            with trio.CancelScope(shield=True):
                await connector.close()

    def embedded(self) -> Mapping[str, EmbeddedStore]:
        """Connectors that keep their data in the data folder."""
        return {name: one for name, one in self._living.items() if isinstance(one, EmbeddedStore)}

    def living(self, name: str) -> Connector:
        """The connector of a connection, for whoever must have it.

        Raises:
            PenstockError: there is none, or it could not be built; says why.
        """
        connector = self._living.get(name)
        if connector is None:
            raise PenstockError(f"connection {name}: {self._problems.get(name, 'there is no such connection')}")
        return connector

    def _spec(self, name: str) -> ChildSpec:
        return ChildSpec(name, lambda: _Holder(self, name), resource=True, shutdown=10.0)

    def _build(self, connection: Connection, settings: Mapping[str, Any]) -> Connector:
        connector = self._connectors.named(connection.connector)
        complete = settings_of(connection, connector, settings)
        return connector.build(complete, self._host)

    async def open(self, name: str) -> Connector:
        """Build the connector of a stored connection and make it known."""
        wanted = self._stored(name).connector
        try:
            await prepare(self._connectors.named(wanted))
            stored = self._stored(name)
            connector = self._build(stored, self._credentials.connection_settings(stored))
        except PenstockError as error:
            self._problems[name] = str(error)
            raise
        self._problems.pop(name, None)
        self._living[name] = connector
        return connector

    def _stored(self, name: str) -> Connection:
        stored = self._catalog.get(Identity("connection", name))
        if stored is None or not isinstance(stored.resource, Connection):
            raise PenstockError(f"there is no connection {name}")
        return stored.resource

    def forget(self, name: str) -> None:
        """The connector is being closed."""
        self._living.pop(name, None)


class _Holder:
    """Holds one connector open for as long as its connection is wanted."""

    def __init__(self, connections: Connections, name: str) -> None:
        self._connections = connections
        self._name = name
        self._ending = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        connector = await self._connections.open(self._name)
        try:
            started()
            await self._ending.wait()
        finally:
            self._connections.forget(self._name)
            with trio.CancelScope(shield=True):
                await connector.close()

    def stop(self) -> None:
        self._ending.set()
