"""What applying a manifest would change, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from config.manifest import KINDS
from config.resources import AnyResource
from config.resources.identity import Identity, identity

Action = Literal["created", "changed", "unchanged"]

FieldDiffers: TypeAlias = Callable[[AnyResource, AnyResource, str], bool]
"""`(existing, wanted, field)` -> whether a field that holds secrets differs."""

SECRET_FIELDS: Mapping[str, tuple[str, ...]] = {
    "app": ("secret", "app_codes"),
    "device": ("secret",),
    "connection": ("settings",),
    "certificate": ("private_key",),
    "signature_key": ("secret",),
    "user": ("password", "access_keys"),
}
"""Fields that are, or hold, secrets: a store keeps them in another form than they are written in."""

_GENERATED: Mapping[str, tuple[str, ...]] = {
    "app": ("key", "secret", "app_codes"),
    "device": ("secret",),
    "signature_key": ("secret",),
    "user": ("password",),
}
_ORDER = {kind: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """What would become of one resource; `fields` are those that differ, by the names they are written with."""

    identity: Identity
    action: Action
    fields: tuple[str, ...] = ()


def in_order(resources: Iterable[AnyResource]) -> list[AnyResource]:
    """Resources in the order of dependency, so that each finds what it refers to; else in the order given.

    To delete, go through them in reverse.
    """
    return sorted(resources, key=lambda resource: _ORDER[identity(resource).kind])


def differs_as_written(existing: AnyResource, wanted: AnyResource, field: str) -> bool:
    """Compare a field by what was written: for where nothing is sealed."""
    return bool(getattr(existing, field) != getattr(wanted, field))


def plan(
    existing: Mapping[Identity, AnyResource],
    wanted: Iterable[AnyResource],
    secret_differs: FieldDiffers = differs_as_written,
) -> list[PlannedChange]:
    """Compare what is wanted with what exists, in the order in which it is to be applied.

    `secret_differs` is asked about the fields of SECRET_FIELDS, whose stored form only the caller can compare. A key
    or secret that is left out was generated and stays as it is, so it never counts as changed.
    """
    return [_compare(existing.get(identity(resource)), resource, secret_differs) for resource in in_order(wanted)]


def _compare(old: AnyResource | None, new: AnyResource, secret_differs: FieldDiffers) -> PlannedChange:
    name = identity(new)
    if old is None:
        return PlannedChange(name, "created")
    fields = []
    generated, secret = _GENERATED.get(name.kind, ()), SECRET_FIELDS.get(name.kind, ())
    for field, written in zip(new.__struct_fields__, new.__struct_encode_fields__, strict=True):
        if field in generated and getattr(new, field) is None:
            continue
        asked = secret_differs if field in secret else differs_as_written
        if asked(old, new, field):
            fields.append(written)
    return PlannedChange(name, "changed" if fields else "unchanged", tuple(fields))
