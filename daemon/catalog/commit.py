"""How a change that was planned takes hold: in the store first, then in memory, then at work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import structlog
import trio

from actors.errors import PenstockError
from actors.gateway_route.published import Published
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.steps import Step
from daemon.engine import Change, Engine
from daemon.publishing.publications import Publications
from daemon.store.model import Store, StoredResource
from daemon.store.publications import Publication

log = structlog.get_logger()

RECONCILE_SECONDS = 60.0
NAMED_IN_LOG = 5


class Commit:
    """Takes changes, one after another: whoever calls holds the turn of the catalog."""

    def __init__(self, catalog: Catalog, publications: Publications, store: Store, engine: Engine) -> None:
        self._catalog = catalog
        self._publications = publications
        self._store = store
        self._engine = engine

    async def put(
        self,
        steps: Sequence[Step],
        removed: Sequence[StoredResource],
        publication: Publication | None = None,
        switched: Mapping[tuple[str, int], Published] | None = None,
    ) -> str:
        """Store, then put to work; says what kept the engine from it, if anything did."""
        if publication == Publication():
            publication = None
        if not steps and not removed and publication is None:
            return ""
        gone = [Change(stored.identity, stored.resource, None) for stored in removed]
        trouble = ""
        # From here on there is no turning back, also when the caller hangs up.
        with trio.CancelScope(shield=True):
            await self._store.apply(
                [step.after for step in steps], [stored.identity for stored in removed], publication
            )
            for step in steps:
                self._catalog.put(step.after)
            for stored in removed:
                self._catalog.remove(stored.identity)
                self._publications.forget(stored.identity)
            if publication is not None:
                self._publications.put(publication, switched)
            changes = [*gone, *map(_change, steps)]
            trouble = await self._reconcile([*changes, *self._served_otherwise(publication, changes)])
        return trouble  # noqa: RET504 - a cancel scope may end its block early, as far as types can tell

    def _served_otherwise(self, publication: Publication | None, changes: Sequence[Change]) -> Iterator[Change]:
        """Routes and functions that have not changed themselves, but what is served of them, or runs."""
        if publication is None:
            return
        known = {change.identity for change in changes}
        running = [Identity("function", one.function.name) for one in publication.running]
        for name in (*running, *(Identity("route", route) for route in publication.routes)):
            stored = self._catalog.get(name)
            if stored is not None and name not in known:
                yield Change(stored.identity, stored.resource, stored.resource)

    async def _reconcile(self, changes: Sequence[Change]) -> str:
        named = ", ".join(str(change.identity) for change in changes[:NAMED_IN_LOG])
        log.info("resources changed", count=len(changes), first=named)
        try:
            with trio.fail_after(RECONCILE_SECONDS):
                await self._engine.reconcile(changes)
        except trio.TooSlowError:
            log.warning("resources were stored, but not put to work in time", seconds=RECONCILE_SECONDS)
            return f"stored, but not at work after {RECONCILE_SECONDS:g} seconds; a restart of the daemon tries again"
        except PenstockError as error:
            log.warning("resources were stored, but could not be put to work", reason=str(error))
            return f"stored, but not at work: {error}"
        except Exception:
            # What is stored may hold generated secrets, which the caller must get to see all the same.
            log.exception("resources were stored, but putting them to work crashed")
            return "stored, but putting it to work crashed (see the daemon's log); a restart tries again"
        else:
            return ""


def _change(step: Step) -> Change:
    before = None if step.before is None else step.before.resource
    return Change(step.identity, before, step.after.resource, step.secrets)
