"""Whether a function makes sense by itself, before anything asks its language."""

from __future__ import annotations

import re
from collections.abc import Iterator

from config.flaws import Flaw
from config.resources import Function
from config.resources.functions import MAX_MEMORY

# The name by itself, and whether it is called, or declared, where it stands.
_EXECUTE = re.compile(r"(?<![\w$])execute(?![\w$])\s*+(\()?")
# `function execute`, `function* execute`, `function /* ... */ execute`.
_DECLARES = ("function", "*", "/")
# So much of what stands before it is looked at; people write one blank.
_BEFORE = 80


def function_flaws(function: Function) -> Iterator[Flaw]:
    """Memory for what has none of its own; a script without what is called."""
    if function.language == "python" and function.max_memory != MAX_MEMORY:
        reason = "is for JavaScript; a plugin module runs in the daemon itself, and is trusted with its memory"
        yield Flaw("$.max_memory", reason)
    if function.source is not None and not _may_have_execute(function.source):
        reason = (
            "the script has no function execute(data), which is what is called: write `function execute(data) { ... }` "
            "at its top level; `data` is JSON text, for JSON.parse"
        )
        yield Flaw("$.source", reason)


def _may_have_execute(source: str) -> bool:
    """Whether a function of that name may be declared, or assigned, anywhere.

    `connection.execute(...)` and `{ execute(data) { ... } }` give the script itself none; nor does a name that is put
    together while it runs, which nobody can see. What V8 makes of the rest is told by calling it.
    """
    return any(
        found[1] is None or source[max(0, found.start() - _BEFORE) : found.start()].rstrip().endswith(_DECLARES)
        for found in _EXECUTE.finditer(source)
    )
