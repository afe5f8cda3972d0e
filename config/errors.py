"""What is wrong with what a person wrote: where, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN = 50


class InvalidConfigError(Exception):
    """Base of the errors of this package; the text is fit for a person to read."""


class SecretError(InvalidConfigError):
    """A secret that is written elsewhere cannot be read: says what to set."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong (or, as a warning, odd) in one place.

    `document` and `line` count from 1; 0 means that there is none to name. `path` is that of JSON (`$.to[0].topic`).
    """

    reason: str
    file: str = ""
    document: int = 0
    line: int = 0
    subject: str = ""
    path: str = ""
    warning: bool = False

    @property
    def place(self) -> str:
        """Where it is, from file to path: `parking.yaml:52: document 8 (task status-to-table): $.source`."""
        file = f"{self.file}:{self.line}" if self.line else self.file
        document = f"document {self.document}" if self.document else ""
        subject = f"{document} ({self.subject})" if document and self.subject else document or self.subject
        return ": ".join(part for part in (file, subject, self.path) if part)

    def __str__(self) -> str:
        """One line: the place and the reason."""
        return f"{self.place}: {self.reason}" if self.place else self.reason


class ProblemsError(InvalidConfigError):
    """All that is wrong in what was read, one problem a line.

    Attributes:
        problems: in the order in which they stand in the files.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = [str(problem) for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"... and {len(problems) - _SHOWN} more problems")
        super().__init__("\n".join(lines))
        self.problems = tuple(problems)


class ManifestError(ProblemsError):
    """A manifest cannot be used; nothing of it was."""


class SettingsError(ProblemsError):
    """Settings cannot be used."""
