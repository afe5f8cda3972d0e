"""Which test holds which normative statement of MQTT 3.1.1 (`MQTT-x.y.z-n`) and MQTT 5 (`MQTT5-x.y.z-n`).

`statements.csv` has a line for each, in our own words: nothing where a test names it in its docstring, otherwise the
reason why none has to. In a docstring the prefix may be said once for several:
`[MQTT5-3.4.2-1, 3.5.2-1; MQTT-2.2.2-1]`.

`python -m tests.conformance.index` prints for each statement its tests, or the reason.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent.parent
TABLE = Path(__file__).with_name("statements.csv")

_NUMBER = re.compile(r"(?:(MQTT5?)-)?(\d+\.\d+\.\d+-\d+)")


class Statement(NamedTuple):
    """One line of the table."""

    name: str
    why_not: str
    asks: str


def statements() -> list[Statement]:
    """Every line of the table, in its order."""
    with TABLE.open(newline="") as lines:
        return [Statement(*row) for row in csv.reader(lines)][1:]


def named_in_tests(folder: Path = TESTS) -> dict[str, set[str]]:
    """The statements that docstrings of tests name, each with the tests that do."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for test, docstring in _docstrings(path):
            for name in names(docstring):
                found.setdefault(name, set()).add(f"{path.relative_to(folder)}::{test}")
    return found


def names(docstring: str) -> Iterator[str]:
    """The statements that a docstring names; a number without prefix has that of the one before it."""
    prefix = None
    for match in _NUMBER.finditer(docstring):
        prefix = match[1] or prefix
        if prefix is not None:
            yield f"{prefix}-{match[2]}"


def missing(table: Iterable[Statement], named: dict[str, set[str]]) -> list[Statement]:
    """What has neither a test nor a reason why not."""
    return [statement for statement in table if not statement.why_not and statement.name not in named]


def _docstrings(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""


def main() -> None:
    """Print what holds each statement, and how many nothing holds."""
    table, named = statements(), named_in_tests()
    for statement in table:
        held = ", ".join(sorted(named.get(statement.name, ()))) or statement.why_not or "NOTHING"
        print(f"{statement.name}: {statement.asks}\n    {held}")  # noqa: T201 - what it is for
    print(f"{len(missing(table, named))} of {len(table)} statements have neither test nor reason")  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
