"""Why a change to the catalog is refused, beyond a manifest that is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from actors.errors import PenstockError
from actors.ports import ConnectionReport
from config.resources.identity import Identity


class NotFoundError(PenstockError):
    """There is no such resource."""


class InUseError(PenstockError):
    """A resource is not deleted while others refer to it.

    Attributes:
        referrers: who they are.
    """

    def __init__(self, target: Identity, referrers: Sequence[Identity]) -> None:
        named = ", ".join(map(str, referrers[:10]))
        more = f" and {len(referrers) - 10} more" if len(referrers) > 10 else ""  # noqa: PLR2004 - as many as were named
        super().__init__(f"{target} is in use by {named}{more}; delete or change those first")
        self.referrers = tuple(referrers)


class VersionConflictError(PenstockError):
    """The resource has changed since it was read."""


class UnreachableError(PenstockError):
    """Connections of a manifest did not pass their test; its text names them, and leaves the reasons to the reports.

    Attributes:
        reports: what their tests found.
    """

    def __init__(self, reports: Sequence[tuple[Identity, ConnectionReport]]) -> None:
        named = ", ".join(str(identity) for identity, _ in reports)
        super().__init__(f"nothing was applied, as these failed their test: {named} (--allow-unreachable applies them)")
        self.reports = tuple(reports)
