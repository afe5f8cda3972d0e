"""What installed connectors say about the settings of connections."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from config.errors import Problem
from config.manifest import Document
from config.resources import Connection
from plugins.api import ConnectorType


def installed_connectors(folder: Path | None = None) -> Mapping[str, ConnectorType]:
    """All connectors that are installed, and those of plugins in a folder, by name."""
    import structlog

    from plugins.loader import load_connectors

    # What plugins that fail say must not mix with what the command answers.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    return load_connectors(folder)


def settings_types(connectors: Mapping[str, ConnectorType]) -> dict[str, type[msgspec.Struct]]:
    """Connector name -> the type of its settings."""
    return {name: connector.settings for name, connector in connectors.items()}


def unknown_connectors(documents: Sequence[Document], installed: Mapping[str, object]) -> list[Problem]:
    """Connections whose connector is not installed."""
    known = ", ".join(sorted(installed))
    return [
        document.problem("$.connector", f"there is no connector {document.resource.connector}; installed: {known}")
        for document in documents
        if isinstance(document.resource, Connection) and document.resource.connector not in installed
    ]
