"""Manifests as a command is given them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from daemon.cli.failure import CommandError

_SUFFIXES = {".yaml", ".yml"}


class Source(NamedTuple):
    """A manifest's file, as it was named, and its text."""

    file: str
    text: str


def read_sources(names: Sequence[str]) -> list[Source]:
    """Read the files; a folder stands for the YAML files in it, `-` for standard input.

    Raises:
        CommandError: one cannot be read.
    """
    return [_read(name) for given in names for name in _expanded(given)]


_BETWEEN = "\n---\n"


def joined(sources: Sequence[Source]) -> Source:
    """Several files as one stream of documents, so that they are applied as one."""
    if len(sources) == 1:
        return sources[0]
    return Source(" + ".join(source.file for source in sources), _BETWEEN.join(source.text for source in sources))


def located(sources: Sequence[Source], line: int) -> str:
    """File and line of a line of the joined stream."""
    for source in sources:
        lines = f"{source.text}{_BETWEEN}".count("\n")
        if line <= lines:
            return f"{source.file}:{line}"
        line -= lines
    return ""


def _expanded(name: str) -> list[str]:
    folder = Path(name)
    if name == "-" or not folder.is_dir():
        return [name]
    found = sorted(str(path) for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if not found:
        raise CommandError(f"{name}: the folder holds no .yaml file")
    return found


def _read(name: str) -> Source:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return Source("standard input" if name == "-" else name, data.decode("utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CommandError(f"{name}:{line}: not UTF-8 text") from error
