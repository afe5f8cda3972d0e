"""How resources are named: the one place that knows that a device's name is unique within its product only."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from config.resources import AnyResource, Device


class Identity(NamedTuple):
    """Kind and name; a device's name is `<product>/<device>`."""

    kind: str
    name: str

    def __str__(self) -> str:
        """As error messages say it."""
        return f"{self.kind} {self.name}"


@cache
def _kind_of(resource_type: type[AnyResource]) -> str:
    """Remembered: every resource is asked whenever one of them changes, and there are few types."""
    return str(resource_type.__struct_config__.tag)


def identity(resource: AnyResource) -> Identity:
    """The name under which a resource is stored, fetched and referred to."""
    kind = _kind_of(type(resource))
    if isinstance(resource, Device):
        return Identity(kind, f"{resource.product}/{resource.name}")
    return Identity(kind, resource.name)
