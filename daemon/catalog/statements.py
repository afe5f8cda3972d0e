"""Statements of routes and backends, read by their connectors before they are ever run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from actors.errors import StatementError
from actors.gateway_route.backends.paging import page_sql, total_sql
from config.errors import Problem
from config.manifest import Document
from config.resources import Backend, Connection, DataBackend, Route
from plugins.api import ConnectorType

FindConnection = Callable[[str], Connection | None]
"""A connection by its name; None where there is none."""

_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})


def statement_problems(
    documents: Iterable[Document], connection: FindConnection, connectors: Mapping[str, ConnectorType]
) -> Iterator[Problem]:
    """What connectors say of the statements of a manifest; those that cannot read them say nothing."""
    written = {
        document.resource.name: document.resource for document in documents if isinstance(document.resource, Connection)
    }
    for document in documents:
        match document.resource:
            case Route(backend=form):
                data, path = form.data, "$.backend.data"
            case Backend(data=data):
                path = "$.data"
            case _:
                continue
        if data is not None:
            for where, reason in _flaws(data, lambda name: written.get(name) or connection(name), connectors):
                yield document.problem(f"{path}{where}", reason)


def _flaws(
    data: DataBackend, connection: FindConnection, connectors: Mapping[str, ConnectorType]
) -> Iterator[tuple[str, str]]:
    for i, statement in enumerate(data.all_statements):
        where = f".statements[{i}].sql" if data.statements else ".sql"
        found = connection(statement.connection)
        connector = None if found is None else connectors.get(found.connector)
        if connector is None or connector.parse is None:
            continue
        try:
            parsed = connector.parse(statement.sql)
            if data.paging and parsed.verb not in _QUERIES:
                yield where, f"pages are those of a query, and this is {parsed.verb}"
            elif data.paging:
                for made in (page_sql(statement.sql), total_sql(statement.sql)):
                    connector.parse(made)
        except StatementError as error:
            yield where, str(error)
