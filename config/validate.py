"""A manifest against itself and against what an instance holds, with the places where things were written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from config.errors import ManifestError, Problem
from config.manifest import Document
from config.references import check
from config.resources import AnyResource


def validate(documents: Sequence[Document], instance: Iterable[AnyResource] = ()) -> list[Problem]:
    """Cross-check a manifest; answers the warnings.

    Raises:
        ManifestError: with all that is wrong, when anything is; nothing of the manifest may be applied then.
    """
    where = {document.identity: document for document in documents}
    problems = []
    for finding in check([document.resource for document in documents], instance):
        document = where.get(finding.identity)
        if document is not None:
            problem = document.problem(finding.path, finding.reason, warning=finding.warning)
        else:
            subject = f"{finding.identity}, which is on the instance"
            problem = Problem(finding.reason, subject=subject, path=finding.path, warning=finding.warning)
        problems.append(problem)
    errors = [problem for problem in problems if not problem.warning]
    if errors:
        raise ManifestError(sorted(errors, key=lambda problem: (problem.file, problem.line)))
    return problems
