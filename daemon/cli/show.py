"""Answers of the control API on a terminal, or plainly where nobody looks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.yaml_write import write_documents

# A pipe has no width; nothing is to be cut for it.
_PIPE_WIDTH = 10_000
_FIRST = ("kind", "app", "product", "name")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def show_json(value: Any) -> None:
    """As JSON, for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show_yaml(documents: Sequence[Mapping[str, Any]]) -> None:
    """As YAML."""
    print(write_documents(dict(document) for document in documents), end="")


def show_manifest(items: Sequence[Mapping[str, Any]]) -> None:
    """Resources as a manifest, without what the instance adds to them."""
    show_yaml([_manifest(item) for item in items])


def _manifest(item: Mapping[str, Any]) -> dict[str, Any]:
    written = {name: value for name, value in item.items() if name not in {"meta", "status"}}
    return {name: written[name] for name in _FIRST if name in written} | written


def show_rows(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; columns in which nothing stands are left out."""
    used = [i for i in range(len(header)) if any(row[i] not in {None, ""} for row in rows)] or range(len(header))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for i in used:
        table.add_column(header[i].upper(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_word(row[i])) for i in used))
    _console().print(table)


def show_fields(fields: Mapping[str, Any]) -> None:
    """Names and values, one a line, what is nested indented below its name."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _lines(fields, ""):
        table.add_row(Text(name), Text(value))
    _console().print(table)


def show_resource(kind: str, item: Mapping[str, Any], *, mqtt: str = "") -> None:
    """One resource: what was written, and how it fares."""
    written = _manifest(item)
    status = dict(item.get("status") or {})
    if kind == "device":
        show_fields(_device(written, status, mqtt))
        return
    show_fields({**written, "status": status})


def _device(written: Mapping[str, Any], status: dict[str, Any], mqtt: str) -> dict[str, Any]:
    """A device: how it connects, whether it is there, and what it reports."""
    product, name = written["product"], written["name"]
    online = status.pop("online", None)
    since, reason = status.pop("since", None), status.pop("reason", None)
    topics = status.pop("topics", None) or {}
    state = "online" if online else "offline"
    shown = {
        "device": f"{product}/{name}",
        "app": written.get("app"),
        "enabled": written.get("enabled", True),
        "MQTT address": status.pop("address", None) or mqtt,
        "client id": status.pop("client_id", None) or name,
        "user name": status.pop("user_name", None) or f"{product}/{name}",
        "publishes to": topics.get("publish") or f"{product}/out/{name}",
        "subscribes to": topics.get("subscribe") or f"{product}/in/{name}",
        "state": " ".join(filter(None, [state, since and f"since {since}", reason and f"({reason})"])),
        "last report": status.pop("last_report", None) or "none yet",
        "reports": status.pop("reports", None),
        "rejected": status.pop("rejected", None),
        "rejected reports": [
            f"{each.get('at', '')}  {each.get('reason', '')}" if isinstance(each, Mapping) else each
            for each in status.pop("rejections", None) or ()
        ],
    }
    rest = {name: value for name, value in written.items() if name not in {"kind", "app", "product", "name", "enabled"}}
    return {**shown, **rest, **status}


def _lines(value: Any, indent: str, name: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case None | "" | {} | [] | ():
            return
        case Mapping():
            if name:
                yield indent + name, ""
            below = f"{indent}  " if name else indent
            for key, inner in value.items():
                yield from _lines(inner, below, str(key))
        case list() | tuple():
            if not any(isinstance(each, Mapping | list) for each in value):
                one_line = all(len(str(each)) <= len("parking-sensor/out/lot-000001") for each in value)
                separator = ", " if one_line else "\n"
                yield indent + name, separator.join(_word(each) for each in value)
                return
            for i, each in enumerate(value):
                yield from _lines(each, indent, f"{name}[{i}]")
        case _:
            yield indent + name, _word(value)


def _word(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
    return str(value)
