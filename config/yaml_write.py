"""Plain values -> YAML that people like to read, and that reads back as the same values under any YAML version."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

import yaml

from config.yaml import Scalar, resolve

_FLOW_WIDTH = 100
# YAML 1.1 folds these like a line end, 1.2 does not (except for the first).
_FOREIGN_BREAKS = ("\r", "\x85", "\u2028", "\u2029")


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would not read as text, and keeps small collections on one line."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the hook's signature
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = '"' if _needs_quotes(value) else "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _needs_quotes(value: str) -> bool:
    if any(line_break in value for line_break in _FOREIGN_BREAKS):
        return True
    try:
        return not isinstance(resolve(Scalar(value, 0, plain=True)), str)
    except ValueError:
        return True


_Collection: TypeAlias = "dict[str, Any] | list[Any] | tuple[Any, ...]"


def _fits_on_a_line(value: _Collection) -> bool:
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    small = all(isinstance(part, str | int | float) and "\n" not in str(part) for part in parts)
    return small and sum(len(str(part)) + 2 for part in parts) <= _FLOW_WIDTH


def _mapping(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=_fits_on_a_line(value))


def _sequence(dumper: yaml.SafeDumper, value: _Collection) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=_fits_on_a_line(value))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _sequence)
_Dumper.add_representer(tuple, _sequence)


def write_documents(documents: Iterable[dict[str, Any]]) -> str:
    """Each mapping as one document, its own fields on lines of their own, the order of fields kept."""
    return "---\n".join(_write(document) for document in documents)


def _write(document: dict[str, Any]) -> str:
    dumper = _Dumper(io.StringIO())
    root = dumper.represent_mapping("tag:yaml.org,2002:map", document.items(), flow_style=False)
    return str(yaml.serialize(root, Dumper=_Dumper, allow_unicode=True, width=sys.maxsize))
