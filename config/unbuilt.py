"""What can be written already and is not built yet: refused by `check` and `apply`, never silently ignored.

Whoever builds one of these strikes its line, and nothing else need be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from config.flaws import Flaw
from config.resources import (
    AnyResource,
    Backend,
    Route,
)


class _Unbuilt(NamedTuple):
    """A field, and whether a resource uses it; `path` is where it stands."""

    path: str
    used: Callable[[Any], bool]
    reason: str = "is not served by this version yet; leave it out"


_FORMS = (
    _Unbuilt(
        ".device",
        lambda form: form.device is not None,
        "devices take no commands yet, so no backend can send them any; let them fetch what they need, or use `topic`",
    ),
)


def unbuilt(resource: AnyResource) -> Iterator[Flaw]:
    """Everything that a resource asks for and that this version does not do yet."""
    match resource:
        case Backend():
            yield from _used(_FORMS, resource, "$")
        case Route():
            yield from _used(_FORMS, resource.backend, "$.backend")
        case _:
            pass


def _used(table: tuple[_Unbuilt, ...], subject: Any, prefix: str = "") -> Iterator[Flaw]:
    for one in table:
        if one.used(subject):
            yield Flaw(f"{prefix}{one.path}", one.reason)
