"""Answers of the control API on a terminal, or plainly where nobody looks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, assert_never

from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.yaml_write import write_documents
from daemon.cli.options import Output
from daemon.cli.views import manifest, view

# A pipe has no width; nothing is to be cut for it.
_PIPE_WIDTH = 10_000


def _console() -> Console:
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _print(table: Table) -> None:
    """Print a table without the blanks that fill its last column."""
    console = _console()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def show_json(value: Any) -> None:
    """As JSON, for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show_yaml(documents: Sequence[Mapping[str, Any]]) -> None:
    """As YAML."""
    print(write_documents(dict(document) for document in documents), end="")


def show_as(output: Output, found: Mapping[str, Any] | Sequence[Mapping[str, Any]], table: Callable[[], None]) -> None:
    """One thing, or several, as whoever looks wants to see them; `table` shows them to people."""
    match output:
        case Output.JSON:
            show_json(found)
        case Output.YAML:
            show_yaml([found] if isinstance(found, Mapping) else found)
        case Output.TABLE:
            table()
        case _:
            assert_never(output)


def show_manifest(items: Sequence[Mapping[str, Any]]) -> None:
    """Resources as a manifest, without what the instance adds to them."""
    show_yaml([manifest(item) for item in items])


def show_rows(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; columns in which nothing stands are left out."""
    used = [i for i in range(len(header)) if any(row[i] not in {None, ""} for row in rows)] or range(len(header))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for i in used:
        table.add_column(header[i].upper(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_word(row[i])) for i in used))
    _print(table)


def show_fields(fields: Mapping[str, Any]) -> None:
    """Names and values, one a line, what is nested indented below its name."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _lines(fields, ""):
        table.add_row(Text(name), Text(value))
    _print(table)


def show_resource(kind: str, item: Mapping[str, Any]) -> None:
    """One resource: what was written, how it fares, and a table of each of its parts."""
    shown = view(kind, item)
    show_fields(shown.fields)
    for title, rows in shown.tables.items():
        if rows:
            print(f"\n{title}")
            names = list(rows[0])
            show_rows(
                [name.replace("_", " ") for name in names],
                [[_on_one_line(row.get(name)) for name in names] for row in rows],
            )


def _lines(value: Any, indent: str, name: str = "") -> Iterator[tuple[str, str]]:
    """Each name with its value; what is nested stands indented below its name, unless it fits on the name's line."""
    if value in (None, "", {}, [], ()):
        return
    words = _on_one_line(value) if name else None
    if words is not None:
        yield indent + name, words
    elif isinstance(value, Mapping):
        if name:
            yield indent + name, ""
        for key, inner in value.items():
            yield from _lines(inner, f"{indent}  " if name else indent, str(key))
    else:
        for i, inner in enumerate(value):
            flat = isinstance(inner, Mapping) and all(_on_one_line(each) is not None for each in inner.values())
            if flat:
                yield (
                    f"{indent}{name}[{i}]",
                    ", ".join(f"{key} {_on_one_line(each)}" for key, each in inner.items() if each != ""),
                )
            else:
                yield from _lines(inner, indent, f"{name}[{i}]")


def _on_one_line(value: Any) -> str | None:
    """The value as words, where there is nothing nested in it; None where it needs lines of its own."""
    match value:
        case Mapping():
            return None
        case list() | tuple() if any(isinstance(inner, Mapping | list | tuple) for inner in value):
            return None
        case list() | tuple():
            return ", ".join(map(_word, value))
    return _word(value)


def _word(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
    return str(value)
