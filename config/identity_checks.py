"""What is wrong with keys as they stand beside others: those that backends ask for, and those that users share."""

from __future__ import annotations

from collections.abc import Iterator

from config.findings import Finding, World
from config.resources import Backend, Route, User
from config.resources.identity import Identity


def identity_findings(world: World, new: World) -> Iterator[Finding]:
    """What would be wrong with a world of which `new` is to be applied."""
    for name, resource in world.items():
        match resource:
            case Route():
                yield from _unbound(name, resource, world, new)
            case User():
                yield from _shared_keys(name, resource, world, new)
            case _:
                pass


def _unbound(name: Identity, route: Route, world: World, new: World) -> Iterator[Finding]:
    """A backend with a signature key answers only routes bound to the same key."""
    backend_name = Identity("backend", route.backend.name or "")
    backend = world.get(backend_name)
    if not isinstance(backend, Backend) or backend.signature_key in (None, route.signature_key):
        return
    wants = f"{backend_name} answers only routes bound to signature_key {backend.signature_key}"
    if name in new:
        yield Finding(name, "$.signature_key", f"{wants}; bind this one to it, or use another backend")
    elif backend_name in new:
        yield Finding(backend_name, "$.signature_key", f"{name} uses this backend and is not bound to the key")


def _shared_keys(name: Identity, user: User, world: World, new: World) -> Iterator[Finding]:
    """An access key names one user."""
    if name not in new or not user.access_keys:
        return
    taken = {
        one.key: other.name
        for other in world.values()
        if isinstance(other, User) and other.name != user.name
        for one in other.access_keys
    }
    for i, one in enumerate(user.access_keys):
        if one.key in taken:
            reason = f"the access key {one.key} is already that of user {taken[one.key]}"
            yield Finding(name, f"$.access_keys[{i}].key", reason)
