"""All resources of this instance in memory, as the store holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from config.resources import AnyResource
from config.resources.identity import Identity
from daemon.store.model import StoredResource


class Catalog:
    """The store's resources by kind and name; read by everybody, written only after the store has taken a change."""

    def __init__(self, stored: Iterable[StoredResource] = ()) -> None:
        self._kinds: dict[str, dict[str, StoredResource]] = {}
        for one in stored:
            self.put(one)

    def __iter__(self) -> Iterator[StoredResource]:
        for kind in self._kinds.values():
            yield from kind.values()

    def get(self, identity: Identity) -> StoredResource | None:
        """A resource with its meta and secrets, or None."""
        return self._kinds.get(identity.kind, {}).get(identity.name)

    def resources(self) -> list[AnyResource]:
        """Every resource, without secrets."""
        return [stored.resource for stored in self]

    def of_kind(self, kind: str) -> list[StoredResource]:
        """All of one kind, by name."""
        named = self._kinds.get(kind, {})
        return [named[name] for name in sorted(named)]

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {kind: len(named) for kind, named in self._kinds.items() if named}

    def put(self, stored: StoredResource) -> None:
        """Know this one from now on."""
        identity = stored.identity
        self._kinds.setdefault(identity.kind, {})[identity.name] = stored

    def remove(self, identity: Identity) -> None:
        """Forget one."""
        self._kinds.get(identity.kind, {}).pop(identity.name, None)
