"""What the control API is made of, handed in by the composition root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.catalog.service import CatalogService
from daemon.engine import Engine


@dataclass(frozen=True, slots=True)
class About:
    """Who this instance is.

    `settings` are those in force that differ from their defaults, by dotted path; they may change while it runs.
    """

    instance: str
    version: str
    data: Path
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Control:
    """Everything a request may need. `token` opens the API; `max_body_bytes` bounds what a request may bring."""

    engine: Engine
    service: CatalogService
    about: About
    token: str
    max_body_bytes: int
