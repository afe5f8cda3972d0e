"""What every stage is to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from config.resources.identity import Identity
from daemon.engine import Change


class Stage(Protocol):
    """Makes what runs follow the resources of some kinds."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its resources."""

    async def follow(self, change: Change) -> None:
        """One resource of these kinds has come, changed or gone; it is in the catalog as it is now."""

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """What it does now, ready for JSON."""
