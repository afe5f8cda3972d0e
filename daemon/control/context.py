"""What the control API is made of, handed in by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from quart import Blueprint

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


class Operation(NamedTuple):
    """One thing that can be asked of the API, for its description: `GET`, `/api/v1/topics/{name}/messages`, why."""

    method: str
    path: str
    summary: str
    query: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """Endpoints that belong together, with all that they work on; the blueprint is made anew for each life.

    `drain` ends what would go on for as long as its client likes; it is called when the API is to stop. What is in
    `open_to_all`, by method and path, needs no token.
    """

    blueprint: Callable[[], Blueprint]
    operations: tuple[Operation, ...] = ()
    drain: Callable[[], None] | None = None
    open_to_all: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Control:
    """Everything a request may need. `token` opens the API; `max_body_bytes` bounds what a request may bring.

    `is_outsider` tells from a request's headers whether somebody asks who is known, but has no business here.

    `families` are the endpoints below /api/v1 that ask neither the catalog nor the engine as a whole.
    """

    engine: Engine
    service: CatalogService
    about: About
    token: str
    max_body_bytes: int
    families: Sequence[Family] = ()
    is_outsider: Callable[[Mapping[str, str]], bool] = lambda _headers: False

    def drain(self) -> None:
        """End what would go on for as long as its client likes."""
        for family in self.families:
            if family.drain is not None:
                family.drain()
