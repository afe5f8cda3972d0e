"""What becomes of one resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from config.plan import Action
from config.resources import Connection
from config.resources.identity import Identity
from daemon.store.model import StoredResource


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one resource of a manifest.

    `fields` are the names that differ, `secrets` the secret fields among them as the store names them. `generated`
    holds what nobody wrote, in plain text, to be shown this once.
    """

    action: Action
    before: StoredResource | None
    after: StoredResource
    fields: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    generated: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def identity(self) -> Identity:
        """Whose step it is."""
        return self.after.identity

    @property
    def wants_test(self) -> bool:
        """Whether it changes how another system is reached."""
        return isinstance(self.after.resource, Connection) and not {"connector", "settings"}.isdisjoint(self.touched)

    @property
    def touched(self) -> tuple[str, ...]:
        """The fields that are new or differ."""
        return self.after.resource.__struct_fields__ if self.action == "created" else self.fields
