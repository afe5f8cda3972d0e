"""The ports of all listeners, wherever they stand in the settings: for those who start a daemon beside others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec

from config.load import NESTING, PREFIX
from config.settings import Listener, Settings

S = TypeVar("S", bound=msgspec.Struct)


def port_variables() -> Mapping[str, int]:
    """The environment variable that sets the port of each listener, and the port that it has by default."""
    return {PREFIX + NESTING.join((*path, "port")).upper(): port for path, port in _ports(Settings(), ())}


def on_free_ports(settings: S) -> S:
    """The settings, or a section of them, with every listener on a port that the system picks (port 0)."""
    changes = {}
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, msgspec.Struct):
            changes[field.name] = on_free_ports(value)
    if isinstance(settings, Listener):
        changes["port"] = 0  # type: ignore[assignment]  # a port is a field of its own
    return msgspec.structs.replace(settings, **changes) if changes else settings


def _ports(section: msgspec.Struct, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(section, Listener):
        yield path, section.port
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _ports(value, (*path, field.encode_name))
