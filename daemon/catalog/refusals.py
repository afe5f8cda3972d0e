"""What an apply would serve or run and cannot, told where it was written."""

from __future__ import annotations

from collections.abc import Sequence

from config.errors import ManifestError, Problem
from config.manifest import Document
from config.resources.identity import Identity
from daemon.publishing.function_planning import FunctionRefusal
from daemon.publishing.planning import Refusal


def refuse(documents: Sequence[Document], routes: Sequence[Refusal], functions: Sequence[FunctionRefusal]) -> None:
    """See that nothing is refused.

    Raises:
        ManifestError: something is; with the place of each, where the manifest has it.
    """
    where = {document.identity: document for document in documents}
    problems = [_problem(where, Identity("route", one.route), one.path, one.reason) for one in routes]
    problems += [
        _problem(where, Identity("function", one.function), one.path, f"{one.reason} (`deploy: false` only saves it)")
        for one in functions
    ]
    if problems:
        raise ManifestError(problems)


def _problem(where: dict[Identity, Document], target: Identity, path: str, reason: str) -> Problem:
    document = where.get(target)
    if document is not None:
        return document.problem(path, reason)
    return Problem(reason, subject=f"{target}, which is on the instance", path=path)
