"""How resources are named: the one place that knows that a device's name is unique within its product only."""

from __future__ import annotations

from typing import NamedTuple

from config.resources import AnyResource, Device


class Identity(NamedTuple):
    """Kind and name; a device's name is `<product>/<device>`."""

    kind: str
    name: str

    def __str__(self) -> str:
        """As error messages say it."""
        return f"{self.kind} {self.name}"


def identity(resource: AnyResource) -> Identity:
    """The name under which a resource is stored, fetched and referred to."""
    kind = str(resource.__struct_config__.tag)
    if isinstance(resource, Device):
        return Identity(kind, f"{resource.product}/{resource.name}")
    return Identity(kind, resource.name)
